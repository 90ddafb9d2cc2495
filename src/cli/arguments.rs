//! Arguments to an [`Invocation`].

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::config::units::parse_duration;
use crate::text::nearest;

/// Where the configuration is when nothing says otherwise.
const DEFAULT_CONFIG: &str = "/etc/s3ferry/s3ferry.json";
/// Long enough for any upload that somebody means to go on with.
const DEFAULT_OLDER_THAN: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const DEFAULT_GIVE_UP: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Help(Option<&'static str>),
    Version,
    Run,
    Once,
    Plan,
    Check,
    Status,
    History,
    Events,
    Pause,
    Resume,
    Cleanup,
}

/// Every command by its name.
pub const COMMANDS: &[(&str, Command)] = &[
    ("run", Command::Run),
    ("once", Command::Once),
    ("plan", Command::Plan),
    ("check", Command::Check),
    ("status", Command::Status),
    ("history", Command::History),
    ("events", Command::Events),
    ("pause", Command::Pause),
    ("resume", Command::Resume),
    ("cleanup", Command::Cleanup),
];

/// How the results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    #[default]
    Table,
    Json,
    Csv,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    pub command: Command,
    pub config: PathBuf,
    /// Empty: all.
    pub jobs: Vec<String>,
    pub give_up: Duration,
    pub form: Form,
    /// `-n`.
    pub count: Option<usize>,
    pub follow: bool,
    pub offline: bool,
    pub older_than: Duration,
}

/// A call that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3ferry: {}", self.0)
    }
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        UsageError(error.to_string())
    }
}

/// Reads the arguments behind the program's name.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut command: Option<(&'static str, Command)> = None;
    let mut invocation = Invocation {
        command: Command::Help(None),
        config: default_config(),
        jobs: Vec::new(),
        give_up: DEFAULT_GIVE_UP,
        form: Form::Table,
        count: None,
        follow: false,
        offline: false,
        older_than: DEFAULT_OLDER_THAN,
    };
    while let Some(argument) = parser.next()? {
        let name = command.map_or("", |(name, _)| name);
        match argument {
            Short('h') | Long("help") => {
                invocation.command = Command::Help(command.map(|(name, _)| name));
                return Ok(invocation);
            }
            Short('V') | Long("version") => {
                invocation.command = Command::Version;
                return Ok(invocation);
            }
            Short('c') | Long("config") => invocation.config = parser.value()?.into(),
            Long("job") if takes(name, "once plan check history events cleanup") => {
                invocation.jobs.push(parser.value()?.string()?);
            }
            Long("json") if takes(name, "plan check status history events") => {
                invocation.form = form(invocation.form, Form::Json)?;
            }
            Long("csv") if takes(name, "history events") => {
                invocation.form = form(invocation.form, Form::Csv)?;
            }
            Short('n') if takes(name, "history events") => {
                invocation.count = Some(count(&parser.value()?)?);
            }
            Long("follow") if name == "events" => invocation.follow = true,
            Long("offline") if name == "check" => invocation.offline = true,
            Long("give-up") if name == "once" => {
                invocation.give_up = duration("--give-up", &parser.value()?)?;
            }
            Long("older-than") if name == "cleanup" => {
                invocation.older_than = duration("--older-than", &parser.value()?)?;
            }
            Value(word) if command.is_none() => command = Some(command_named(&word)?),
            // `help once` is `once --help`.
            Value(word) if is_help(command) => {
                command = match command_named(&word)? {
                    (name, Command::Help(_)) => Some((name, Command::Help(None))),
                    (name, _) => Some((name, Command::Help(Some(name)))),
                };
            }
            Value(job) if takes(name, "pause resume") => invocation.jobs.push(job.string()?),
            other if name.is_empty() => {
                let error = other.unexpected();
                return Err(UsageError(format!("{error}; the command comes first")));
            }
            other => {
                let error = other.unexpected();
                return Err(UsageError(format!("{error} for `{name}`")));
            }
        }
    }
    match command {
        Some((_, command)) => invocation.command = command,
        None => return Err(UsageError("there is no command".to_owned())),
    }
    Ok(invocation)
}

/// Whether `help` stands there, still without a command that it is about.
fn is_help(command: Option<(&'static str, Command)>) -> bool {
    matches!(command, Some((_, Command::Help(None))))
}

fn takes(command: &str, commands: &str) -> bool {
    !command.is_empty() && commands.split(' ').any(|name| name == command)
}

fn command_named(word: &OsString) -> Result<(&'static str, Command), UsageError> {
    let word = word.to_string_lossy();
    if word == "help" {
        return Ok(("", Command::Help(None)));
    }
    if let Some(found) = COMMANDS.iter().find(|(name, _)| *name == word) {
        return Ok(*found);
    }
    let hint = nearest(&word, &mut COMMANDS.iter().map(|(name, _)| *name))
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    Err(UsageError(format!("there is no command `{word}`{hint}")))
}

fn count(value: &OsString) -> Result<usize, UsageError> {
    value
        .to_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            UsageError(format!(
                "-n takes a number, not `{}`",
                value.to_string_lossy()
            ))
        })
}

fn form(known: Form, wanted: Form) -> Result<Form, UsageError> {
    if known == Form::Table || known == wanted {
        return Ok(wanted);
    }
    Err(UsageError("--json and --csv exclude each other".to_owned()))
}

fn duration(option: &str, value: &OsString) -> Result<Duration, UsageError> {
    parse_duration(&value.to_string_lossy())
        .map_err(|error| UsageError(format!("{option}: {error}")))
}

fn default_config() -> PathBuf {
    match std::env::var_os("S3FERRY_CONFIG") {
        Some(path) if !path.is_empty() => path.into(),
        _ => DEFAULT_CONFIG.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(line: &str) -> Result<Invocation, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn options_stand_behind_their_command_and_config_anywhere() {
        let found = call("-c a.json once --job x --job y --give-up 90s").unwrap();
        assert_eq!(found.command, Command::Once);
        assert_eq!(found.config, PathBuf::from("a.json"));
        assert_eq!(found.jobs, ["x", "y"]);
        assert_eq!(found.give_up, Duration::from_secs(90));
        let found = call("events -n 7 --json --follow --config b.json").unwrap();
        assert_eq!(
            (found.count, found.form, found.follow),
            (Some(7), Form::Json, true)
        );
        assert_eq!(call("pause a b").unwrap().jobs, ["a", "b"]);
        assert_eq!(
            call("once --help").unwrap().command,
            Command::Help(Some("once"))
        );
        for (line, of) in [
            ("help", None),
            ("help help", None),
            ("help once", Some("once")),
        ] {
            assert_eq!(call(line).unwrap().command, Command::Help(of), "{line}");
        }
    }

    #[test]
    fn a_wrong_call_says_what_is_wrong() {
        for (line, part) in [
            ("", "no command"),
            ("onec", "did you mean `once`?"),
            ("run --csv", "'--csv' for `run`"),
            ("--json plan", "the command comes first"),
            ("history -n many", "takes a number"),
            ("once --give-up soon", "--give-up"),
            ("once extra", "extra"),
            ("help onec", "did you mean `once`?"),
            ("help once check", "check"),
            ("history --json --csv", "exclude each other"),
        ] {
            let error = call(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
