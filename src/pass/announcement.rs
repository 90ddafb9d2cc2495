//! The event that a file is being sent, or gone on with: only when something of it really is, which
//! with `if_exists` a look at what is there decides.

use std::cell::{Cell, RefCell};

use crate::clock;
use crate::naming::ObjectKey;
use crate::record::keeper::LentEvents;
use crate::record::{Event, EventKind, Severity};
use crate::text::{escape_bytes, human_size};

pub(super) struct Announcement<'a> {
    pub job: &'a str,
    /// As the file system has it.
    pub path: &'a [u8],
    pub size: u64,
    /// The file's own; another where that is taken.
    pub key: &'a ObjectKey,
    /// Parts are there already.
    pub resumes: bool,
    pub events: RefCell<LentEvents<'a>>,
    /// Once for all tries of a pass.
    pub told: Cell<bool>,
}

impl Announcement<'_> {
    /// The file goes to `key` now.
    pub fn tell(&self, key: &ObjectKey) {
        if self.told.replace(true) {
            return;
        }
        let (kind, verb) = if self.resumes {
            (EventKind::UploadResumed, "goes on with")
        } else {
            (EventKind::UploadStarted, "uploads")
        };
        let (path, size) = (escape_bytes(self.path), human_size(self.size));
        let message = format!("{verb} `{path}` ({size}){}", new_name(self.key, key));
        let event = Event::new(clock::wall(), kind, Severity::Info, message)
            .job(self.job)
            .source_path(self.path)
            .key(key.as_str());
        self.events.borrow_mut().event(&event);
    }
}

/// What a message says of `key` where that of the file is taken.
pub(super) fn new_name(planned: &ObjectKey, key: &ObjectKey) -> String {
    if key == planned {
        return String::new();
    }
    let (planned, key) = (planned.as_str(), key.as_str());
    format!(", as `{key}`, since `{planned}` is another object")
}
