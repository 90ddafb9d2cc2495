//! Whether the state directory can be written, told once at each change.

use std::io;

use time::OffsetDateTime;

use super::{Records, log_event};
use crate::clock;
use crate::os::durable::cure_of_folder;
use crate::record::{Event, EventError, EventKind, Severity};

/// What fails where it is the copy of the state directory.
pub(super) const COPY: &str = "state_copy";

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
                    let then = match what {
                        COPY => "a power cut loses more than it should",
                        _ => "nothing is deleted or moved until it can",
                    };
                    let message = format!(
                        "the state directory could not be written ({what}): {error}; uploads go on, {then}"
                    );
                    let event = state_dir_fails(clock::wall(), &message, &error);
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

    /// What could not be told when it happened is told with its own time.
    fn tell_that_it_works(&mut self) {
        if let Some((time, message)) = self.untold.take() {
            let event = state_dir_fails(time, &message, &io::ErrorKind::Other.into());
            let _ = self.events.append(&event.to_line());
        }
        self.event(&Event::new(
            clock::wall(),
            EventKind::JobUnblocked,
            Severity::Info,
            "the state directory can be written again",
        ));
    }

    /// Whether the last write to one of the files failed.
    pub fn is_failing(&self) -> bool {
        !self.failing.is_empty()
    }
}

/// The event of a state directory that cannot be written; it is about no job.
fn state_dir_fails<'a>(time: OffsetDateTime, message: &'a str, error: &io::Error) -> Event<'a> {
    Event::new(time, EventKind::JobBlocked, Severity::Error, message).error(EventError {
        class: "local",
        hint: Some(cure_of_folder(error)),
        ..EventError::default()
    })
}
