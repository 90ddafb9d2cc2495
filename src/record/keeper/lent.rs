//! Events that are written while an upload has the ledger.

use std::io;

use super::{Records, log_event};
use crate::record::ledger::Ledger;
use crate::record::{Event, JsonLines};

/// A way to write events, and what became of the last.
#[derive(Debug)]
pub struct LentEvents<'a> {
    events: &'a mut JsonLines,
    written: Option<io::Result<()>>,
}

impl Records {
    /// The ledger for an upload, and events that can be written meanwhile.
    pub fn lend(&mut self) -> (&mut Ledger, LentEvents<'_>) {
        let events = LentEvents {
            events: &mut self.events,
            written: None,
        };
        (&mut self.ledger, events)
    }

    /// What became of the events; `None`: there were none.
    pub fn take_back(&mut self, written: Option<io::Result<()>>) {
        if let Some(written) = written {
            self.note(written, "events.jsonl");
        }
    }
}

impl LentEvents<'_> {
    /// As [`Records::event`].
    pub fn event(&mut self, event: &Event<'_>) {
        log_event(event);
        self.written = Some(self.events.append(&event.to_line()));
    }

    /// For [`Records::take_back`].
    pub fn written(self) -> Option<io::Result<()>> {
        self.written
    }
}
