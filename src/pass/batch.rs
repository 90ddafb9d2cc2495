//! Filling the queue: a walk over the folder, less what is done, refused, unsettled or open.

use std::collections::HashSet;

use super::stuck::refused_before;
use super::{Env, JobRunner, Pass};
use crate::clock;
use crate::config::model::IfExists;
use crate::os::open_files::open_for_writing;
use crate::record::ledger::{fingerprint, passed_over};
use crate::record::{EventError, EventKind, Severity, keeper::today};
use crate::source::file::Identity;
use crate::source::scan::{Candidate, Found, Scan, Verdict, scan};

/// Candidates kept at a time: about 200 bytes each.
pub(super) const BATCH: usize = 4096;

/// The class of what has nothing to do with the store.
const LOCAL: &str = "local";
const FOLDER: &str = "mount or create the folder, and let s3ferry's user read it";

impl JobRunner {
    /// Walks the folder and refills the queue. False when the folder cannot be read.
    pub(super) fn fill_queue(&mut self, pass: &mut Pass, env: &mut Env<'_>) -> bool {
        let found = match self.walk(pass, env) {
            Ok(found) => found,
            Err(error) => {
                self.folder_unreadable(pass, &error, env);
                return false;
            }
        };
        self.folder_readable(env);
        self.show_stuck(env);
        for (relative, error) in &found.problems {
            self.place_unreadable(pass, relative, error, env);
        }
        pass.more = found.more;
        pass.unsettled = found.unsettled;
        env.status.job(&self.job.name, |status| {
            status.backlog = found.backlog;
            status.backlog_bytes = found.backlog_bytes;
        });
        let candidates = self.without_open_files(pass, found.candidates);
        let (later, first): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|candidate| self.deferred.contains(&self.fingerprint_of(candidate)));
        pass.queue.extend(first);
        pass.queue.extend(later);
        true
    }

    fn walk(&mut self, pass: &Pass, env: &mut Env<'_>) -> std::io::Result<Scan> {
        let (wall, now, today) = (clock::wall(), clock::monotonic(), today());
        self.walks += 1;
        let walk = self.walks;
        let destination = self.destination();
        let (settling, refused, job) = (&mut self.settling, &self.refused, &self.job);
        let stuck = &mut self.stuck;
        let records = &mut *env.records;
        let keeps = job.after_upload == crate::config::model::AfterUpload::Keep;
        let skips = job.object.if_exists == IfExists::Skip;
        let mut path = job.source_path.clone().into_os_string();
        path.push("/");
        let path = std::os::unix::ffi::OsStringExt::into_vec(path);
        let mut full = Vec::new();
        let mut judge = |found: Found<'_>| {
            full.clear();
            full.extend_from_slice(&path);
            full.extend_from_slice(found.relative);
            let fingerprint = fingerprint(&job.name, &destination, &full, found.identity);
            if let Some(hint) = refused.get(&fingerprint) {
                stuck.meet(fingerprint, || refused_before(&full, *hint));
                return Verdict::Refused;
            }
            if pass.set_aside.contains(&fingerprint) {
                return Verdict::Refused;
            }
            if records.ledger().is_done(&fingerprint, today, walk) {
                let to_be_removed = records.ledger().is_confirmed(&fingerprint)
                    || records.ledger().is_not_removed(&fingerprint);
                let unsettled_affair = !keeps && to_be_removed && !records.is_pending(&fingerprint);
                return if unsettled_affair {
                    Verdict::Take
                } else {
                    Verdict::AlreadyUploaded
                };
            }
            if skips
                && records
                    .ledger()
                    .is_done(&passed_over(&fingerprint), today, walk)
            {
                return Verdict::Refused;
            }
            if settling.is_settled(found.identity, job.settle, wall, now) {
                Verdict::Take
            } else {
                Verdict::Unsettled
            }
        };
        let signals = env.signals;
        let stop = || signals.stop_requested();
        scan(
            job,
            BATCH,
            &self.excluded,
            &mut judge,
            &mut |_, _| {},
            &stop,
        )
    }

    /// A file that somebody writes to is not settled, whatever its mtime says.
    fn without_open_files(&self, pass: &mut Pass, candidates: Vec<Candidate>) -> Vec<Candidate> {
        if self.job.settle.is_zero() {
            return candidates;
        }
        let id = |candidate: &Candidate| (candidate.identity.device, candidate.identity.inode);
        let wanted: HashSet<_> = candidates.iter().map(id).collect();
        let open = open_for_writing(&wanted);
        if open.is_empty() {
            return candidates;
        }
        let (busy, free): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|candidate| open.contains(&id(candidate)));
        pass.unsettled += busy.len() as u64;
        for candidate in &busy {
            log::debug!(
                "`{}` is open for writing",
                self.path_shown(&candidate.relative)
            );
            pass.set_aside.insert(self.fingerprint_of(candidate));
        }
        free
    }

    pub(super) fn fingerprint_of(
        &self,
        candidate: &Candidate,
    ) -> crate::record::ledger::Fingerprint {
        fingerprint(
            &self.job.name,
            &self.destination(),
            &self.path_bytes(&candidate.relative),
            candidate.identity,
        )
    }

    fn folder_readable(&mut self, env: &mut Env<'_>) {
        if self.trouble.folder_is_back() {
            let event = self.event(
                EventKind::JobUnblocked,
                Severity::Info,
                "the source folder can be read again",
            );
            env.records.event(&event);
        }
        // Of the errors in the status only that of the folder is local.
        self.forget_error(|error| error.class == LOCAL, env);
    }

    fn folder_unreadable(&mut self, pass: &mut Pass, error: &std::io::Error, env: &mut Env<'_>) {
        pass.tally.local += 1;
        pass.not_tried += 1;
        let news = self.trouble.block_by_folder();
        let message = format!(
            "cannot read the folder `{}`: {error}",
            self.job.source_path.display()
        );
        if news {
            let event = self
                .event(EventKind::JobBlocked, Severity::Error, &message)
                .error(EventError {
                    class: LOCAL,
                    hint: Some(FOLDER),
                    ..EventError::default()
                });
            env.records.event(&event);
        }
        self.trouble
            .tell(env, &self.job.name, LOCAL, &message, Some(FOLDER), news);
    }

    fn place_unreadable(
        &mut self,
        pass: &mut Pass,
        relative: &[u8],
        error: &str,
        env: &mut Env<'_>,
    ) {
        pass.tally.local += 1;
        pass.not_tried += 1;
        let path = self.path_bytes(relative);
        let place = fingerprint(&self.job.name, "", &path, Identity::default());
        let message = format!("cannot read `{}`: {error}", self.path_shown(relative));
        let hint = Some("let s3ferry's user read it");
        self.is_stuck(place, &path, &message, hint, env);
        if !self.tell_local(place) {
            return;
        }
        let event = self
            .event(EventKind::FileSkipped, Severity::Warning, &message)
            .source_path(&path)
            .error(EventError {
                class: LOCAL,
                hint,
                ..EventError::default()
            });
        env.records.event(&event);
    }
}
