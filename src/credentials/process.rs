//! A program that prints keys: `credential_process`. It is run without a shell, and for so long only.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::process::{Pid, Signal, kill_process_group};

use super::answer::{LIMIT, PROCESS, PROCESS_HINT, keys, object};
use super::{Context, CredentialError, Fetched};
use crate::clock;
use crate::config::model::ProcessSource;
use crate::os::signals::{Signals, Woken};

const NAME: &str = "process";
/// Between two looks at a program that has closed its output and has not ended.
const PAUSE: Duration = Duration::from_millis(10);

const FAILED_HINT: &str = "run the program by hand as s3ferry's user; with `log.level` `debug` the log has what it writes to standard error";
const TIMEOUT_HINT: &str = "find out what the program waits for, or raise `timeout`";
const RUN_HINT: &str = "give the program's absolute path, and let s3ferry's user run it";

pub(super) fn fetch(
    context: &Context<'_>,
    source: &ProcessSource,
) -> Result<Fetched, CredentialError> {
    let limit = context.patience.at_most(source.timeout);
    let output = run(&context.network.signals, source, limit)?;
    let object = object(NAME, &output, &PROCESS)?;
    if object.get("Version").and_then(|version| version.as_u64()) != Some(1) {
        return Err(CredentialError::misconfigured(
            NAME,
            "the output's `Version` is not 1",
            PROCESS_HINT,
        ));
    }
    keys(NAME, &object, &PROCESS, "a process")
}

/// Its whole output. Its arguments are never shown, nor what it writes to standard error, which goes
/// to ours at the level `debug` and nowhere else.
fn run(
    signals: &Signals,
    source: &ProcessSource,
    limit: Duration,
) -> Result<Vec<u8>, CredentialError> {
    let Some((program, arguments)) = source.command.split_first() else {
        return Err(CredentialError::misconfigured(
            NAME,
            "no program is named",
            RUN_HINT,
        ));
    };
    let stderr = if log::log_enabled!(log::Level::Debug) {
        Stdio::inherit()
    } else {
        Stdio::null()
    };
    let child = Command::new(program.expose())
        .args(arguments.iter().map(|argument| argument.expose()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        // Whatever it starts ends with it.
        .process_group(0)
        .spawn()
        .map_err(|error| {
            let reason = format!("cannot run `{}`: {error}", program.expose());
            CredentialError::misconfigured(NAME, reason, RUN_HINT)
        })?;
    let mut running = Running {
        child,
        ended: false,
    };
    let deadline = clock::monotonic() + limit;
    let output = running
        .output(signals, deadline)
        .map_err(|error| error.told(limit))?;
    let status = running
        .end(signals, deadline)
        .map_err(|error| error.told(limit))?;
    if status.success() {
        Ok(output)
    } else {
        // A network that is down, as often as not.
        let reason = format!("the program failed ({status})");
        Err(CredentialError::temporary(NAME, reason).cured_by(FAILED_HINT))
    }
}

/// A program that is killed, with all that it has started, and reaped, unless it has ended.
struct Running {
    child: Child,
    ended: bool,
}

enum Trouble {
    Io(io::Error),
    TooLong,
    TooMuch,
    Stopped,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error)
    }
}

impl Trouble {
    fn told(self, limit: Duration) -> CredentialError {
        match self {
            Trouble::Io(error) => CredentialError::temporary(NAME, error),
            Trouble::TooLong => {
                let limit = crate::text::human_duration(limit);
                let reason = format!("the program took longer than {limit} and was killed");
                CredentialError::temporary(NAME, reason).cured_by(TIMEOUT_HINT)
            }
            Trouble::TooMuch => CredentialError::misconfigured(
                NAME,
                "the program printed more than 64 KiB and was killed",
                PROCESS_HINT,
            ),
            Trouble::Stopped => CredentialError::stopped(NAME),
        }
    }
}

impl Running {
    fn output(&mut self, signals: &Signals, deadline: Instant) -> Result<Vec<u8>, Trouble> {
        let mut output = Vec::new();
        let mut buffer = [0; 4096];
        let Some(mut pipe) = self.child.stdout.take() else {
            return Ok(output);
        };
        loop {
            match signals.wait_for_socket(pipe.as_fd(), PollFlags::IN, Some(deadline))? {
                Woken::Ready => {}
                Woken::TimedOut => return Err(Trouble::TooLong),
                Woken::Stop => return Err(Trouble::Stopped),
            }
            match pipe.read(&mut buffer) {
                Ok(0) => return Ok(output),
                Ok(length) => output.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if output.len() > LIMIT {
                return Err(Trouble::TooMuch);
            }
        }
    }

    fn end(&mut self, signals: &Signals, deadline: Instant) -> Result<ExitStatus, Trouble> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                return Ok(status);
            }
            if clock::monotonic() >= deadline {
                return Err(Trouble::TooLong);
            }
            if !signals.pause(PAUSE)? {
                return Err(Trouble::Stopped);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// One string into a program and its arguments, as a POSIX shell splits it, without its expansions.
///
/// # Errors
/// A quote or a backslash at the end of nothing; never shows the string.
pub fn split_command(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                quoted(c, &mut characters, word)?;
            }
            '\\' => {
                let next = characters
                    .next()
                    .ok_or("ends with a backslash; remove it")?;
                word.get_or_insert_default().push(next);
            }
            '\0' => return Err("holds a NUL character; remove it"),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Up to the closing quote. Within double quotes a backslash stands before `"` and `\` alone.
fn quoted(
    quote: char,
    characters: &mut std::str::Chars<'_>,
    word: &mut String,
) -> Result<(), &'static str> {
    loop {
        match characters.next() {
            None => return Err("has a quote without an end; close it"),
            Some(c) if c == quote => return Ok(()),
            Some('\\') if quote == '"' => match characters.next() {
                Some(c @ ('"' | '\\')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => return Err("has a quote without an end; close it"),
            },
            Some(c) => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_would() {
        let cases: &[(&str, &[&str])] = &[
            ("/bin/x", &["/bin/x"]),
            ("  /bin/x  a\tb ", &["/bin/x", "a", "b"]),
            (r#"/bin/x "a b" 'c d'"#, &["/bin/x", "a b", "c d"]),
            (
                r#""/opt/my tool/x" --p="q r""#,
                &["/opt/my tool/x", "--p=q r"],
            ),
            (r"/bin/x a\ b \\", &["/bin/x", "a b", r"\"]),
            (
                r#"/bin/x "\"a\\ \n" '\"'"#,
                &["/bin/x", r#""a\ \n"#, r#"\""#],
            ),
            (r#"/bin/x "" ''"#, &["/bin/x", "", ""]),
            ("/bin/x $HOME `ls` *", &["/bin/x", "$HOME", "`ls`", "*"]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(split_command(text).unwrap(), *expected, "{text}");
        }
        for text in [
            "/bin/x 'a",
            "/bin/x \"a",
            "/bin/x \"a\\",
            "/bin/x a\\",
            "a\0",
        ] {
            assert!(split_command(text).is_err(), "{text:?}");
        }
    }
}
