//! The command line: one file a command. Results go to standard output, everything else to
//! standard error.

mod arguments;
mod check;
mod cleanup;
mod elsewhere;
mod help;
mod once;
mod plan;
mod processing;
mod records;
mod run;
mod show;
mod status;
mod table;
mod view;

use std::io::Write;
use std::path::Path;

use crate::agent::StartError;
use crate::config::{self, Config, ConfigError, FolderProblem, Job, Problem};
use crate::credentials::missing_at_start;
use crate::s3::{Class, Failure};

use arguments::{Command, Invocation};

/// Exit codes, after sysexits.h.
pub mod exit {
    pub const OK: u8 = 0;
    pub const USAGE: u8 = 64;
    pub const ALREADY_RUNNING: u8 = 69;
    pub const INTERNAL: u8 = 70;
    pub const LOCAL: u8 = 74;
    pub const TRY_AGAIN: u8 = 75;
    pub const REFUSED: u8 = 77;
    pub const CONFIGURATION: u8 = 78;
}

/// Runs the command of this process's arguments and returns its exit code.
pub fn main() -> u8 {
    let invocation = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(invocation) => invocation,
        Err(error) => {
            complain(&format!("{error}\nTry `s3ferry --help`."));
            return exit::USAGE;
        }
    };
    match invocation.command {
        Command::Help(of) => print(help::of(of)),
        Command::Version => print(&version()),
        Command::Run => run::run(&invocation),
        Command::Once => once::run(&invocation),
        Command::Plan => plan::run(&invocation),
        Command::Check => check::run(&invocation),
        Command::Cleanup => cleanup::run(&invocation),
        Command::Status => status::run(&invocation),
        Command::History | Command::Events => show::run(&invocation),
        Command::Pause => processing::run(&invocation, false),
        Command::Resume => processing::run(&invocation, true),
    }
}

/// `s3ferry 0.1.0 (x86_64-unknown-linux-gnu, commit 0123456789ab)`
fn version() -> String {
    format!(
        "s3ferry {} ({}, commit {})\n",
        env!("CARGO_PKG_VERSION"),
        env!("S3FERRY_TARGET"),
        env!("S3FERRY_COMMIT")
    )
}

/// Reads the configuration that the invocation names; on failure it is complained about, and the
/// exit code is returned.
fn load_config(invocation: &Invocation) -> Result<Config, u8> {
    let config = read_config(invocation).map_err(|error| refuse(&error.problems))?;
    know_jobs(&config, invocation)?;
    Ok(config)
}

fn read_config(invocation: &Invocation) -> Result<Config, ConfigError> {
    config::load(&invocation.config, &|name| std::env::var(name).ok())
}

/// Complains about a job that is named and not there.
fn know_jobs(config: &Config, invocation: &Invocation) -> Result<(), u8> {
    for job in &invocation.jobs {
        if !config.jobs.iter().any(|known| known.name == *job) {
            let names: Vec<&str> = config.jobs.iter().map(|job| job.name.as_str()).collect();
            complain(&format!(
                "there is no job `{job}` in `{}`; there is: {}",
                invocation.config.display(),
                names.join(", ")
            ));
            return Err(exit::USAGE);
        }
    }
    Ok(())
}

/// As [`load_config`], for a command that uses the folders and writes nothing: those of s3ferry's own
/// may be as they are.
fn load_readable_config(invocation: &Invocation) -> Result<Config, u8> {
    let config = load_config(invocation)?;
    let mut found = config::validate_folders(&config);
    for found in &mut found {
        found.may_pass |= is_of_state(&config, &found.problem);
    }
    usable(config, found, |_| Vec::new())
}

/// As [`load_config`], for commands that use the folders and sign requests. A folder that is not
/// mounted yet, or that may become usable in another way, is a warning: its job is blocked until then,
/// the others work.
fn load_signing_config(invocation: &Invocation) -> Result<Config, u8> {
    let config = load_config(invocation)?;
    let found = config::validate_folders(&config);
    usable(config, found, |config| {
        let mut problems = problems_of_credentials(config);
        let named = |job: &Job| invocation.jobs.is_empty() || invocation.jobs.contains(&job.name);
        if let Err(error) = config::refuse_certificates(config, named) {
            problems.extend(error.problems);
        }
        problems
    })
}

fn usable(
    mut config: Config,
    found: Vec<FolderProblem>,
    more: impl Fn(&Config) -> Vec<Problem>,
) -> Result<Config, u8> {
    let (passing, folders): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.may_pass);
    let mut problems: Vec<Problem> = folders.into_iter().map(|found| found.problem).collect();
    problems.extend(more(&config));
    if !problems.is_empty() {
        refuse(&problems);
        return Err(code_of_machine(&config, &problems));
    }
    let warnings = passing.iter().map(|found| found.problem.to_string());
    config.warnings.extend(warnings);
    Ok(config)
}

/// Keys that are nowhere.
fn problems_of_credentials(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (job, places) in config.jobs.iter().zip(&config.places.jobs) {
        let env = |name: &str| std::env::var(name).ok();
        if let Some(error) = missing_at_start(&job.credentials, &env)
            && job.enabled
        {
            // A job without credentials has no place for them: that of its folder is near.
            let place = &places.source_path;
            problems.push(Problem {
                path: config.path.clone(),
                line: place.line,
                column: place.column,
                field: place.field.replace("source_path", "credentials"),
                message: format!("{error}; {}", error.hint()),
            });
        }
    }
    problems
}

/// A state directory, or its copy, that cannot be written is no mistake of the configuration, as long as that is
/// all.
fn code_of_machine(config: &Config, problems: &[Problem]) -> u8 {
    if problems.iter().all(|problem| is_of_state(config, problem)) {
        exit::LOCAL
    } else {
        exit::CONFIGURATION
    }
}

fn is_of_state(config: &Config, problem: &Problem) -> bool {
    let own = [&config.places.state_dir, &config.places.state_copy].map(|place| &place.field);
    own.contains(&&problem.field)
}

fn refuse(problems: &[Problem]) -> u8 {
    for problem in problems {
        complain(&problem.to_string());
    }
    exit::CONFIGURATION
}

/// The exit code for an agent that could not start, after saying why.
fn cannot_start(error: &StartError) -> u8 {
    complain(&format!("s3ferry: {error}"));
    match error {
        StartError::AlreadyRunning => exit::ALREADY_RUNNING,
        StartError::StateDirectory(_) => exit::LOCAL,
        StartError::Signals(_) => exit::INTERNAL,
        StartError::Transport(..) => exit::CONFIGURATION,
    }
}

/// The exit code for a request that did not work.
fn code_of(failure: &Failure) -> u8 {
    match failure.class {
        Class::Blocked | Class::Credentials | Class::ThisFile => exit::REFUSED,
        Class::Stopped => exit::OK,
        _ => exit::TRY_AGAIN,
    }
}

fn warn_of(config: &Config) {
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
}

/// Prints a result that ends with a line end.
fn print(text: &str) -> u8 {
    printed(std::io::stdout().write_all(text.as_bytes()))
}

/// The exit code for a result of which this came. A reader that has gone away (`| head`) has seen
/// enough; any other that could not be written is not there.
fn printed(written: std::io::Result<()>) -> u8 {
    let written = written.and_then(|()| std::io::stdout().flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&format!(
                "s3ferry: cannot write to standard output: {error}"
            ));
            exit::LOCAL
        }
        _ => exit::OK,
    }
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Whether standard output takes escape sequences.
fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && rustix::termios::isatty(std::io::stdout())
}

/// The width to fit tables to; `None` for a pipe.
fn table_width() -> Option<usize> {
    if rustix::termios::isatty(std::io::stdout()) {
        crate::progress::terminal_width()
    } else {
        None
    }
}

fn record_path(state_dir: &Path, name: &str) -> std::path::PathBuf {
    state_dir.join(name)
}
