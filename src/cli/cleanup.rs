//! `s3ferry cleanup`: multipart uploads that were left open are listed and aborted. Their parts are
//! billed until then.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::arguments::Invocation;
use super::{code_of, complain, exit, load_signing_config, printed};
use crate::clock;
use crate::config::Config;
use crate::config::model::Job;
use crate::os::durable::cure_of_folder;
use crate::os::lock::StateLock;
use crate::os::signals::Signals;
use crate::record::copy::{self, StateCopier};
use crate::record::keeper::Repaired;
use crate::record::ledger::{Ledger, OpenUpload};
use crate::record::parse_timestamp;
use crate::s3::{Client, Failure, UploadId, UploadInfo};
use crate::text::{escape_bytes, human_duration};
use crate::upload::end_leftovers;

pub fn run(invocation: &Invocation) -> u8 {
    let config = match load_signing_config(invocation) {
        Ok(config) => config,
        Err(code) => return code,
    };
    // The service's own uploads are under way.
    let _lock = match StateLock::take(&config.state_dir) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            complain(
                "s3ferry: the service is already running; stop it first, its uploads are open",
            );
            return exit::ALREADY_RUNNING;
        }
        Err(error) => return cannot_use(&config, &error),
    };
    let opened = copy::restore(&config).and_then(|()| Ledger::open(&config.state_dir));
    let mut ledger = match opened {
        Ok((mut ledger, damage)) => {
            ledger.set_copier(StateCopier::new(&config));
            if let Some(repaired) = Repaired::ledger(damage) {
                complain(&format!("s3ferry: {repaired}"));
            }
            ledger
        }
        Err(error) => return cannot_use(&config, &error),
    };
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("s3ferry: cannot catch signals: {error}"));
            return exit::INTERNAL;
        }
    };
    // Its open uploads must be known before any is called a leftover.
    if let Err(error) = ledger.adopt_copy() {
        return cannot_use(&config, &error);
    }
    let mut code = exit::OK;
    let mut out = Lines { written: Ok(()) };
    let wanted = config
        .jobs
        .iter()
        .filter(|job| invocation.jobs.is_empty() || invocation.jobs.contains(&job.name));
    for job in wanted {
        if let Err((found, message)) =
            clean(job, &signals, &mut ledger, invocation.older_than, &mut out)
        {
            complain(&format!("s3ferry: job `{}`: {message}", job.name));
            code = found;
        }
    }
    if let Err(error) = ledger.copy() {
        code = cannot_use(&config, &error);
    }
    match printed(out.written) {
        exit::OK => code,
        unwritten => unwritten,
    }
}

/// What is done goes on when nobody can read of it; that is told at the end.
struct Lines {
    written: io::Result<()>,
}

impl Lines {
    fn say(&mut self, line: &str) {
        if self.written.is_ok() {
            self.written = writeln!(io::stdout(), "{line}");
        }
    }
}

fn cannot_use(config: &Config, error: &io::Error) -> u8 {
    complain(&format!(
        "s3ferry: cannot use `{}`: {error}; {}",
        config.state_dir.display(),
        cure_of_folder(error)
    ));
    exit::LOCAL
}

fn clean(
    job: &Job,
    signals: &Arc<Signals>,
    ledger: &mut Ledger,
    older_than: Duration,
    out: &mut Lines,
) -> Result<(), (u8, String)> {
    let mut client =
        Client::new(job, signals).map_err(|error| (exit::CONFIGURATION, error.to_string()))?;
    let explain = |failure: Failure| {
        let cure = failure.cure().map(|hint| format!("; {hint}"));
        (
            code_of(&failure),
            format!("{failure}{}", cure.unwrap_or_default()),
        )
    };
    end_leftovers(&mut client, ledger, &job.name).map_err(explain)?;
    if job.prefix.is_empty() {
        out.say(&format!(
            "{}: no `prefix`, so uploads of others cannot be told from ours; only those in the ledger were seen to",
            job.name
        ));
        return Ok(());
    }
    clean_prefix(job, &mut client, ledger, older_than, out).map_err(explain)
}

/// Everything open below the job's prefix but what the ledger means to go on with.
fn clean_prefix(
    job: &Job,
    client: &mut Client,
    ledger: &mut Ledger,
    older_than: Duration,
    out: &mut Lines,
) -> Result<(), Failure> {
    let now = clock::wall();
    let (mut aborted, mut left) = (0, 0);
    let mut from = None;
    loop {
        let page = client.list_multipart_uploads(&job.prefix, from.as_ref())?;
        for upload in page.uploads {
            let known = ledger
                .open_uploads()
                .iter()
                .find(|open| open.upload_id == upload.upload_id)
                .cloned();
            let ours = known.as_ref().is_some_and(OpenUpload::file_is_there);
            let age = age_of(&upload, now);
            let shown = escape_bytes(upload.key.as_bytes());
            let old = age.map_or("of unknown age".to_owned(), |age| {
                format!("{} old", human_duration(age))
            });
            if ours || age.is_none_or(|age| age < older_than) {
                left += 1;
                let why = if ours {
                    "to be gone on with"
                } else {
                    "too young"
                };
                out.say(&format!("kept     {shown} ({old}, {why})"));
                continue;
            }
            client.abort_multipart_upload(&upload.key, &UploadId(upload.upload_id.clone()))?;
            if let Some(known) = known {
                ledger.end_upload(&known.token);
            }
            aborted += 1;
            out.say(&format!("aborted  {shown} ({old})"));
        }
        match page.next {
            // A store that repeats its marker would be asked for ever.
            Some(next) if from.as_ref() != Some(&next) => from = Some(next),
            _ => break,
        }
    }
    out.say(&format!("{}: {aborted} aborted, {left} kept", job.name));
    Ok(())
}

fn age_of(upload: &UploadInfo, now: OffsetDateTime) -> Option<Duration> {
    let initiated = parse_timestamp(&upload.initiated)?;
    Duration::try_from(now - initiated).ok()
}
