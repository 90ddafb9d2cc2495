//! What passes come to, in figures and in a sentence.

use std::time::Duration;

use crate::text::{human_duration, human_size};

/// What a pass came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub uploaded: u64,
    pub bytes: u64,
    /// Files that were not sent because an object has their key: theirs, or another that stays.
    pub passed_over: u64,
    /// Files or folders that a local cause keeps from being sent.
    pub local: u64,
    /// S3 refuses the job.
    pub refused: bool,
    /// Files that are left for a temporary reason.
    pub left: u64,
}

/// What a pass that was stopped has not come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    pub files: u64,
    pub bytes: u64,
    /// There are more, or nobody has looked.
    pub at_least: bool,
}

impl Left {
    /// Counts another job's in.
    pub fn add(&mut self, other: Left) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.at_least |= other.at_least;
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at_least = if self.at_least { "at least " } else { "" };
        let (files, bytes) = (files(self.files), human_size(self.bytes));
        write!(f, "{at_least}{files} ({bytes}) left for the next run")
    }
}

impl Tally {
    /// Counts another pass in.
    pub fn add(&mut self, other: &Tally) {
        self.uploaded += other.uploaded;
        self.bytes += other.bytes;
        self.passed_over += other.passed_over;
        self.local += other.local;
        self.refused |= other.refused;
        self.left += other.left;
    }

    /// The sentence of `pass_finished`.
    pub(super) fn summary(&self, elapsed: Duration) -> String {
        let mut message = format!(
            "{} uploaded ({}) in {}",
            files(self.uploaded),
            human_size(self.bytes),
            human_duration(elapsed)
        );
        if self.passed_over > 0 {
            message.push_str(&format!(", {} passed over", self.passed_over));
        }
        if self.local > 0 {
            let verb = if self.local == 1 { "needs" } else { "need" };
            message.push_str(&format!(", {} {verb} attention", self.local));
        }
        if self.left > 0 {
            message.push_str(&format!(", {} left for later", self.left));
        }
        message
    }
}

/// `1 file`, `2 files`
pub(super) fn files(count: u64) -> String {
    match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}
