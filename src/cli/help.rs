//! The help texts.

/// The help of a command, or the program's.
pub fn of(command: Option<&str>) -> &'static str {
    match command {
        Some("run") => RUN,
        Some("once") => ONCE,
        Some("plan") => PLAN,
        Some("check") => CHECK,
        Some("status") => STATUS,
        Some("history") => HISTORY,
        Some("events") => EVENTS,
        Some("pause") => PAUSE,
        Some("resume") => RESUME,
        Some("cleanup") => CLEANUP,
        _ => PROGRAM,
    }
}

const PROGRAM: &str = "\
s3ferry carries the files of a directory to Amazon S3.

Usage: s3ferry COMMAND [-c FILE] [OPTIONS]

  run       the service: a pass over each job at its interval, until SIGTERM
  once      one pass over each enabled job, then exit
  plan      what a pass would take, skip and why, and the object keys; sends nothing
  check     is the configuration right, can each destination be written
  status    what the service is doing
  history   the uploads that S3 has confirmed
  events    what happened
  pause     stop processing a job, until resume; survives a restart
  resume    go on processing a job
  cleanup   abort multipart uploads that were left open

  -c, --config FILE   the configuration; else $S3FERRY_CONFIG, else /etc/s3ferry/s3ferry.json
  -h, --help          this help; with a command, the command's
  -V, --version       version, target and commit

Exit codes: 0 all done, 64 wrong usage, 69 already running, 70 internal error, 74 local I/O
error, 75 something is left for a temporary reason, 77 refused by S3, 78 configuration.
";

const RUN: &str = "\
Usage: s3ferry run [-c FILE]

Runs in the foreground until SIGTERM or SIGINT: a pass over each job at its interval.
SIGHUP reads the configuration again, SIGUSR1 starts a pass over every enabled job now.
";

const ONCE: &str = "\
Usage: s3ferry once [-c FILE] [--job NAME]... [--give-up DURATION]

One pass over each enabled job, then exit.
  --job NAME           only this job; may be given several times
  --give-up DURATION   how long to keep retrying without a success (5m)
";

const PLAN: &str = "\
Usage: s3ferry plan [-c FILE] [--job NAME]... [--json]

Shows what a pass would take, what it would skip and why, and the object keys. Sends nothing.
  --json   one JSON object a line
";

const CHECK: &str = "\
Usage: s3ferry check [-c FILE] [--job NAME]... [--offline] [--json]

Goes the way of a request, one line a step: configuration, folders, DNS, proxy, TCP, TLS, clock,
credentials, region, and each permission that the job needs, with a small object that is removed
again where that is allowed. What fails comes with its cure.
`skip` stands before what is not tried.
  --offline   without the network
  --json      one JSON object a line
";

const STATUS: &str = "\
Usage: s3ferry status [-c FILE] [--json]

Whether the service runs, and for each job its state, last and next pass, current file, backlog
and last error.
  --json   one JSON object
";

const HISTORY: &str = "\
Usage: s3ferry history [-c FILE] [-n N] [--job NAME]... [--json | --csv]

The uploads that S3 has confirmed, the latest last.
  -n N         the last N; else all
  --job NAME   only of this job
  --json       the records, one JSON object a line
  --csv        comma-separated values, with a header
";

const EVENTS: &str = "\
Usage: s3ferry events [-c FILE] [-n N] [--job NAME]... [--json | --csv] [--follow]

What happened, the latest last.
  -n N         the last N; else `events.shown` of the configuration
  --job NAME   only of this job
  --json       the records, one JSON object a line
  --csv        comma-separated values, with a header
  --follow     go on with what happens from now on
";

const PAUSE: &str = "\
Usage: s3ferry pause [-c FILE] [JOB]...

Stops processing the jobs (all, if none is named) until `s3ferry resume`, whether the service runs
or not, and over restarts. An upload in parts stops after the part under way and is gone on with.
";

const RESUME: &str = "\
Usage: s3ferry resume [-c FILE] [JOB]...

Goes on processing the jobs (all, if none is named), starting with a pass at once.
";

const CLEANUP: &str = "\
Usage: s3ferry cleanup [-c FILE] [--job NAME]... [--older-than DURATION]

Lists the multipart uploads that are open below each job's prefix, and aborts those that are older
and that s3ferry does not mean to go on with. The service must not run meanwhile.
  --job NAME              only this job; may be given several times
  --older-than DURATION   what counts as left (7d)
";
