//! Whether the state directory and its copy can be written, told once at each change.

use std::io;

use time::OffsetDateTime;

use super::{Records, log_event};
use crate::clock;
use crate::os::durable::{cure_of_folder, naming, try_to_write};
use crate::record::{Event, EventError, EventKind, Severity};

/// Bytes.
const A_FEW_LINES: u64 = 16 * 1024;

impl Records {
    /// Says once that the state directory fails, and once that all of it works again: events may be
    /// written while no fsync succeeds.
    pub(super) fn note(&mut self, result: io::Result<()>, what: &'static str) {
        let was_failing = self.is_failing();
        match result {
            Ok(()) => self.failing.retain(|failing| *failing != what),
            Err(error) => {
                if !self.failing.contains(&what) {
                    self.failing.push(what);
                }
                if !was_failing {
                    let message = format!(
                        "the state directory could not be written ({what}): {error}; uploads go on, nothing is deleted or moved until it can"
                    );
                    let event = cannot_be_written(clock::wall(), &message, &error);
                    log_event(&event);
                    if self.events.append(&event.to_line()).is_err() {
                        self.untold = Some((event.time, message));
                    }
                }
            }
        }
        if was_failing && !self.is_failing() {
            self.tell_that_it_works();
        }
    }

    /// The same of the copy of the state directory, which is a trouble of its own: what it costs is
    /// less.
    pub(super) fn note_copy(&mut self, result: io::Result<()>) {
        let was_failing = std::mem::replace(&mut self.copy_failing, result.is_err());
        match result {
            Err(error) if !was_failing => {
                let message = format!(
                    "the copy of the state directory (`state_copy`) could not be written: {error}; uploads go on, a power cut loses more than it should"
                );
                self.event(&cannot_be_written(clock::wall(), &message, &error));
            }
            Ok(()) if was_failing => {
                let message = if self.ledger.copy_dir().is_some() {
                    "the copy of the state directory can be written again"
                } else {
                    "a copy of the state directory is no longer asked for"
                };
                self.event(&works_again(message));
            }
            _ => {}
        }
    }

    /// What could not be told when it happened is told with its own time.
    fn tell_that_it_works(&mut self) {
        if let Some((time, message)) = self.untold.take() {
            let event = cannot_be_written(time, &message, &io::ErrorKind::Other.into());
            let _ = self.events.append(&event.to_line());
        }
        self.event(&works_again("the state directory can be written again"));
    }

    /// Whether a line more of each file would find room: nothing may have been written yet in this run.
    ///
    /// # Errors
    /// What keeps it from being written, with the state directory.
    pub fn try_to_write(&self) -> io::Result<()> {
        let folder = self.ledger.folder();
        try_to_write(folder, A_FEW_LINES).map_err(naming(folder))
    }

    /// Whether the last write to one of the files failed.
    pub fn is_failing(&self) -> bool {
        !self.failing.is_empty()
    }

    /// Whether the last write to the copy of the state directory failed.
    pub fn is_copy_failing(&self) -> bool {
        self.copy_failing
    }

    /// A former run has told of it.
    pub fn remember_failing_copy(&mut self, failing: bool) {
        self.copy_failing = failing && self.ledger.copy_dir().is_some();
    }

    /// A copy was found after the run had begun without it.
    pub(super) fn tell_of_adoption(&mut self) {
        let dir = self.ledger.copy_dir().map(|dir| dir.display().to_string());
        let message = format!(
            "the copy of the state directory in `{}` was not there when it was needed, and is taken over now; what was done before that may have been done twice",
            dir.unwrap_or_default()
        );
        let event = Event::new(
            clock::wall(),
            EventKind::RecordRepaired,
            Severity::Warning,
            &*message,
        );
        self.event(&event.error(EventError {
            class: "local",
            hint: Some("let the disk of `state_copy.dir` be mounted before s3ferry starts"),
            ..EventError::default()
        }));
    }
}

/// The event of a folder of ours; it is about no job.
fn cannot_be_written<'a>(time: OffsetDateTime, message: &'a str, error: &io::Error) -> Event<'a> {
    Event::new(time, EventKind::JobBlocked, Severity::Error, message).error(EventError {
        class: "local",
        hint: Some(cure_of_folder(error)),
        ..EventError::default()
    })
}

fn works_again(message: &str) -> Event<'_> {
    Event::new(
        clock::wall(),
        EventKind::JobUnblocked,
        Severity::Info,
        message,
    )
}
