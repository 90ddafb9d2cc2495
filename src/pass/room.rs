//! Room on the source's disk: what is uploaded and kept goes, oldest first, and windows do not count
//! while the disk is nearly full.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::batch::BATCH;
use super::tally::files;
use super::{Env, JobRunner};
use crate::clock;
use crate::config::model::{FreeSpace, Job, Order};
use crate::os::open_files::open_for_writing;
use crate::record::ledger::{Fingerprint, fingerprint};
use crate::record::{EventError, EventKind, Severity};
use crate::source::file::SourceFile;
use crate::source::scan::{Candidate, Found, Verdict, scan};
use crate::source::space::missing;
use crate::status::MAKE_ROOM;
use crate::text::human_size;
use crate::windows::closed_for;

/// Between two files of a pass, the folder is walked for room no more often.
const AGAIN_WITHIN_A_PASS: Duration = Duration::from_secs(60);

/// How long the job's windows are closed at `now` (in the configured zone); `None` while one is open,
/// or while they do not count.
pub fn windows_closed_for(job: &Job, now: OffsetDateTime) -> Option<Duration> {
    let closed = closed_for(&job.windows, now)?;
    let is_nearly_full = |below: FreeSpace| missing(&job.source_path, below).is_ok_and(|m| m > 0);
    (!job.windows_override.is_some_and(is_nearly_full)).then_some(closed)
}

/// Whether it is time to say that there is too little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// What the pass uploads may go later.
    Later,
    /// No more will go for now.
    Now,
}

/// What has gone.
#[derive(Debug, Default)]
struct Removed {
    files: u64,
    bytes: u64,
}

impl JobRunner {
    /// When the disk is looked at again outside of the windows.
    pub(super) fn next_look(&self, opens: Instant) -> Instant {
        match (self.job.windows_override, self.job.prune) {
            (None, None) => opens,
            _ => opens.min(clock::monotonic() + self.job.interval),
        }
    }

    /// As [`JobRunner::make_room`], within a pass.
    pub(super) fn make_room_meanwhile(&mut self, judged: Judged, env: &mut Env<'_>) {
        let now = clock::monotonic();
        let recent = |at| now.saturating_duration_since(at) < AGAIN_WITHIN_A_PASS;
        if !self.made_room_at.is_some_and(recent) {
            self.make_room(judged, env);
        }
    }

    /// Removes files that are uploaded until enough is free, or none is left.
    pub(super) fn make_room(&mut self, judged: Judged, env: &mut Env<'_>) {
        let Some(keep_free) = self.job.prune else {
            return;
        };
        let needed = match missing(&self.job.source_path, keep_free) {
            Ok(0) => {
                self.trouble.lack_room(false);
                return self.show_room(0, env);
            }
            Ok(needed) => needed,
            Err(error) => return log::debug!("[{}] no room is made: {error}", self.job.name),
        };
        self.made_room_at = Some(clock::monotonic());
        // What is not written down for good is not uploaded for good.
        env.records.flush();
        if env.records.is_failing() {
            return log::warn!(
                "[{}] nothing is removed while the state directory fails",
                self.job.name
            );
        }
        let mut removed = Removed::default();
        let result = self.remove_oldest(keep_free, needed, &mut removed, env);
        self.tell_of_room(keep_free, &removed, result, judged, env);
    }

    /// Never more than `needed` bytes and a file: what was removed may be freed later.
    fn remove_oldest(
        &self,
        keep_free: FreeSpace,
        needed: u64,
        removed: &mut Removed,
        env: &mut Env<'_>,
    ) -> io::Result<()> {
        loop {
            let (candidates, more) = self.uploaded_files(env)?;
            if removed.files == 0 && !candidates.is_empty() {
                env.records.try_to_write()?;
            }
            let before = removed.files;
            for candidate in &candidates {
                let enough =
                    removed.bytes >= needed || missing(&self.job.source_path, keep_free)? == 0;
                if enough || env.signals.stop_requested() {
                    return Ok(());
                }
                if let Some(gone) = self.remove(candidate)? {
                    env.records.removed_at_last(gone);
                    removed.files += 1;
                    removed.bytes += candidate.identity.size;
                }
            }
            if !more || removed.files == before {
                return Ok(());
            }
        }
    }

    /// The oldest files that the ledger knows as done, and that nobody writes to; and whether there
    /// are more.
    fn uploaded_files(&self, env: &mut Env<'_>) -> io::Result<(Vec<Candidate>, bool)> {
        let by_age = Job {
            order: Order::Oldest,
            ..self.job.clone()
        };
        let destination = self.destination();
        let records = &mut *env.records;
        let mut judge = |found: Found<'_>| {
            let path = self.path_bytes(found.relative);
            let file = fingerprint(&self.job.name, &destination, &path, found.identity);
            if records.ledger().is_kept(&file) && !records.is_pending(&file) {
                Verdict::Take
            } else {
                Verdict::Refused
            }
        };
        let stop = || env.signals.stop_requested();
        let found = scan(
            &by_age,
            BATCH,
            &self.excluded,
            &mut judge,
            &mut |_, _| {},
            &stop,
        )?;
        let id = |candidate: &Candidate| (candidate.identity.device, candidate.identity.inode);
        let wanted: HashSet<_> = found.candidates.iter().map(id).collect();
        let open = open_for_writing(&wanted);
        let mut candidates = found.candidates;
        candidates.retain(|candidate| !open.contains(&id(candidate)));
        Ok((candidates, found.more))
    }

    /// Removes the file, if the path still leads to the very file that was uploaded.
    fn remove(&self, candidate: &Candidate) -> io::Result<Option<Fingerprint>> {
        let root = &self.job.source_path;
        let Ok(file) = SourceFile::open(root, &candidate.relative, self.job.follow_symlinks) else {
            return Ok(None);
        };
        if file.identity() != candidate.identity || !file.is_still_in_place()? {
            return Ok(None);
        }
        file.unlink()?;
        Ok(Some(self.fingerprint_of(candidate)))
    }

    fn show_room(&self, lacking: u64, env: &mut Env<'_>) {
        env.status
            .job(&self.job.name, |status| status.room_lacking = lacking);
    }

    fn tell_of_room(
        &mut self,
        keep_free: FreeSpace,
        removed: &Removed,
        mut result: io::Result<()>,
        judged: Judged,
        env: &mut Env<'_>,
    ) {
        let mut lacks = missing(&self.job.source_path, keep_free).unwrap_or(0);
        let is_news = if judged == Judged::Later && lacks > 0 {
            (lacks, result) = (0, Ok(()));
            removed.files > 0
        } else {
            self.show_room(lacks, env);
            !self.trouble.lack_room(lacks > 0) || removed.files > 0
        };
        if !is_news {
            return;
        }
        let mut message = format!(
            "removed {} that are uploaded ({}) from `{}` to keep its disk free",
            files(removed.files),
            human_size(removed.bytes),
            self.job.source_path.display()
        );
        if lacks > 0 {
            message.push_str(&format!("; {} more should be free", human_size(lacks)));
        }
        let severity = if lacks > 0 || result.is_err() {
            Severity::Warning
        } else {
            Severity::Info
        };
        let mut event = self.event(EventKind::FilesPruned, severity, &message);
        if lacks > 0 {
            event = event.error(EventError {
                class: "local",
                hint: Some(MAKE_ROOM),
                ..EventError::default()
            });
        }
        let problem;
        if let Err(error) = &result {
            problem = format!("{message}: {error}");
            event = self
                .event(EventKind::FilesPruned, severity, &problem)
                .error(EventError {
                    class: "local",
                    hint: Some("let s3ferry's user write the source folder"),
                    ..EventError::default()
                });
        }
        env.records.event(&event);
    }
}
