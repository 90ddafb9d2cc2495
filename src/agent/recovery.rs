//! What a former run had confirmed and not seen to.

use super::Agent;
use crate::config::model::{AfterUpload, Job};
use crate::record::HistoryEntry;
use crate::record::ledger::{Confirmed, fingerprint};
use crate::source::file::Identity;
use crate::text::unescape;

impl Agent {
    /// Finishes what a former run had confirmed but not settled.
    pub(super) fn recover(&mut self) {
        let jobs = self.config.jobs.clone();
        let kept = |entry: &HistoryEntry| {
            let mut jobs = jobs.iter();
            match jobs.find(|job| job.name == entry.job) {
                Some(job) => (
                    job.after_upload == AfterUpload::Keep,
                    crate::pass::counted_key(job, &entry.key),
                ),
                None => (true, None),
            }
        };
        let still_there = |confirmed: &Confirmed| {
            let mut jobs = jobs.iter();
            jobs.find(|job| job.name == confirmed.entry.job)
                .is_some_and(|job| is_in_place(job, confirmed))
        };
        self.records.recover(&still_there, &kept);
    }
}

fn is_in_place(job: &Job, confirmed: &Confirmed) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Some(path) = unescape(&confirmed.entry.source_path) else {
        return false;
    };
    let Ok(stat) = rustix::fs::lstat(std::ffi::OsStr::from_bytes(&path)) else {
        return false;
    };
    let destination = crate::pass::destination_of(job);
    fingerprint(&job.name, &destination, &path, Identity::from(&stat)) == confirmed.fingerprint
}
