//! One try of one file, and what follows from its outcome.

use crate::clock;
use crate::config::model::AfterUpload;
use crate::naming::{KeyError, ObjectKey, key_of_file};
use crate::record::ledger::{Confirmed, Fingerprint, after_upload_word, fingerprint};
use crate::record::{EventError, EventKind, FinishedUpload, HistoryEntry, Severity};
use crate::s3::{Class, Failure};
use crate::source::afterwards::{self, Outcome};
use crate::source::file::{OpenError, SourceFile};
use crate::source::scan::Candidate;
use crate::status::CurrentFile;
use crate::text::{escape_bytes, human_duration, human_rate, human_size};
use crate::upload::{self, Context, Task, UploadError, Uploaded, content_type};

use super::{Attempts, Env, JobRunner, KEYS_COMPARED, Pass, Step, progress_of};

/// So often in a row may a file fail before others get their turn.
const FRUITLESS_TRIES: u32 = 3;
/// After so many tries that got no part through, parts become smaller.
const SHRINK_AFTER: u32 = 2;
/// 16 MiB halved twice is below S3's smallest part already.
const MOST_SHRINKS: u32 = 2;

/// A file on its way.
struct Work<'a> {
    candidate: &'a Candidate,
    file: SourceFile,
    fingerprint: Fingerprint,
    /// Full path, as the file system has it.
    path: Vec<u8>,
}

impl JobRunner {
    /// `None` never: a file that cannot be sent is no reason to end the pass.
    pub(super) fn try_candidate(
        &mut self,
        pass: &mut Pass,
        candidate: Candidate,
        env: &mut Env<'_>,
    ) -> Option<Step> {
        let Some(work) = self.open(pass, &candidate, env) else {
            return Some(Step::Continue);
        };
        if env.records.ledger().is_confirmed(&work.fingerprint) {
            self.settle_former(pass, &work, env);
            return Some(Step::Continue);
        }
        let Some(key) = self.key_of(pass, &work, env) else {
            return Some(Step::Continue);
        };
        self.announce(&work, &key, env);
        let result = self.upload(&work, &key, env);
        self.report_clock(env);
        match result {
            Ok(uploaded) => {
                self.uploaded(pass, &work, &key, uploaded, env);
                env.records.flush_if_due(clock::monotonic());
                Some(Step::Continue)
            }
            Err(error) => self.failed(pass, work.fingerprint, candidate, &key, error, env),
        }
    }

    /// Opens the file; `None` when it is gone, in use or not readable, which has been said then.
    fn open<'a>(
        &mut self,
        pass: &mut Pass,
        candidate: &'a Candidate,
        env: &mut Env<'_>,
    ) -> Option<Work<'a>> {
        let path = self.path_bytes(&candidate.relative);
        let root = &self.job.source_path;
        let file = match SourceFile::open(root, &candidate.relative, self.job.follow_symlinks) {
            Ok(file) => file,
            Err(OpenError::Vanished) => {
                log::info!("`{}` is gone", self.path_shown(&candidate.relative));
                return None;
            }
            Err(OpenError::Io(error)) => {
                let expected = self.fingerprint_of(candidate);
                self.source_failed(pass, expected, &path, &error, env);
                return None;
            }
        };
        let fingerprint = fingerprint(&self.job.name, &self.destination(), &path, file.identity());
        if file.identity() != candidate.identity {
            // Touched since the walk: the next walk judges it anew.
            pass.unsettled += 1;
            pass.set_aside.insert(fingerprint);
            return None;
        }
        Some(Work {
            candidate,
            file,
            fingerprint,
            path,
        })
    }

    /// The key of an earlier try, or of an upload that is open, or a new one; `None` when the file
    /// can have no key of its own, which has been said then.
    fn key_of(
        &mut self,
        pass: &mut Pass,
        work: &Work<'_>,
        env: &mut Env<'_>,
    ) -> Option<ObjectKey> {
        if let Some(attempts) = self.attempts.get(&work.fingerprint) {
            return Some(attempts.key.clone());
        }
        let key = match self.render_key(work) {
            Ok(key) => key,
            Err(error) => {
                let message = format!("`{}` is not sent: {error}", escape_bytes(&work.path));
                self.skip(pass, work, None, &message, env);
                return None;
            }
        };
        if let Some(other) = pass.keys.get(&key)
            && **other != *work.candidate.relative
        {
            let message = format!(
                "`{}` is not sent: its key `{}` is that of `{}` already; make `change_filename` tell them apart",
                escape_bytes(&work.path),
                key.as_str(),
                self.path_shown(other),
            );
            self.skip(pass, work, Some(&key), &message, env);
            return None;
        }
        if pass.keys.len() < KEYS_COMPARED {
            pass.keys
                .insert(key.clone(), work.candidate.relative.clone());
        }
        Some(key)
    }

    fn render_key(&self, work: &Work<'_>) -> Result<ObjectKey, KeyError> {
        key_of_file(
            &self.job,
            &work.candidate.relative,
            &work.file,
            &self.hostname,
            self.client.signing_time(),
            &|moment| clock::in_zone(moment, self.time_zone),
        )
    }

    /// The first try of a file is a start; a later one is news only when it goes on with parts.
    fn announce(&mut self, work: &Work<'_>, key: &ObjectKey, env: &mut Env<'_>) {
        let shown = escape_bytes(&work.path);
        let resumes = env
            .records
            .ledger()
            .uploads_of(&self.job.name, &shown)
            .iter()
            .any(|open| !open.abort && open.fingerprint == work.fingerprint);
        let first = !self.attempts.contains_key(&work.fingerprint);
        if first {
            let size = human_size(work.file.identity().size);
            let (kind, message) = if resumes {
                (
                    EventKind::UploadResumed,
                    format!("goes on with `{shown}` ({size})"),
                )
            } else {
                (
                    EventKind::UploadStarted,
                    format!("uploads `{shown}` ({size})"),
                )
            };
            let event = self
                .event(kind, Severity::Info, &message)
                .source_path(&work.path)
                .key(key.as_str());
            env.records.event(&event);
        }
        let attempts = self
            .attempts
            .entry(work.fingerprint)
            .or_insert_with(|| Attempts {
                key: key.clone(),
                started_at: clock::wall(),
                started: clock::monotonic(),
                count: 0,
                fruitless: 0,
                failure_told: false,
            });
        attempts.count += 1;
    }

    fn upload(
        &mut self,
        work: &Work<'_>,
        key: &ObjectKey,
        env: &mut Env<'_>,
    ) -> Result<Uploaded, UploadError> {
        let source_path = escape_bytes(&work.path);
        let progress = progress_of(
            env,
            &self.job.name,
            CurrentFile {
                source_path: source_path.clone(),
                key: key.as_str().to_owned(),
                size: work.file.identity().size,
                ..CurrentFile::default()
            },
        );
        let (job, time_zone, signals) = (&self.job, self.time_zone, env.signals);
        let may_continue = || {
            let now = clock::in_zone(clock::wall(), time_zone);
            !signals.wants_attention() && crate::windows::closed_for(&job.windows, now).is_none()
        };
        let content_type = match &job.object.content_type {
            Some(configured) => configured,
            None => content_type::of(&work.candidate.relative),
        };
        let advance = |sent| progress.advance(sent);
        let mut context = Context {
            client: &mut self.client,
            ledger: env.records.ledger(),
            signals,
            limiter: &self.limiter,
            object: &job.object,
            transfer: &job.transfer,
            progress: &advance,
            may_continue: &may_continue,
            shrink: self.shrink,
        };
        let task = Task {
            job: &job.name,
            file: &work.file,
            source_path: &source_path,
            key,
            content_type,
            fingerprint: work.fingerprint,
        };
        upload::upload(&mut context, task)
    }

    fn uploaded(
        &mut self,
        pass: &mut Pass,
        work: &Work<'_>,
        key: &ObjectKey,
        uploaded: Uploaded,
        env: &mut Env<'_>,
    ) {
        self.recovered(env);
        let Some(attempts) = self.attempts.remove(&work.fingerprint) else {
            return;
        };
        self.deferred.remove(&work.fingerprint);
        self.shrink = self.shrink.saturating_sub(1);
        let checksum = uploaded.sha256.map(|sha256| format!("sha256:{sha256}"));
        let size = work.file.identity().size;
        let entry = HistoryEntry::new(&FinishedUpload {
            job: &self.job.name,
            source_path: &work.path,
            size,
            bucket: self.client.bucket(),
            key: key.as_str(),
            started_at: attempts.started_at,
            finished_at: clock::wall(),
            elapsed: clock::monotonic().saturating_duration_since(attempts.started),
            parts: uploaded.parts,
            attempts: attempts.count,
            resumed_bytes: uploaded.resumed_bytes,
            etag: uploaded.receipt.etag.as_deref(),
            checksum: checksum.as_deref(),
            version_id: uploaded.receipt.version_id.as_deref(),
            after_upload: after_upload_word(&self.job.after_upload),
        });
        pass.tally.uploaded += 1;
        pass.tally.bytes += size;
        env.status.job(&self.job.name, |status| {
            status.state = "working".to_owned();
            status.next_try = None;
            status.backlog = status.backlog.saturating_sub(1);
            status.backlog_bytes = status.backlog_bytes.saturating_sub(size);
        });
        let message = format!(
            "uploaded `{}` ({}) in {}, {}",
            escape_bytes(&work.path),
            human_size(size),
            human_duration(clock::monotonic().saturating_duration_since(attempts.started)),
            human_rate(entry.bytes_per_second)
        );
        let event = self
            .event(EventKind::UploadFinished, Severity::Info, &message)
            .source_path(&work.path)
            .key(key.as_str());
        env.records.event(&event);
        self.settle(pass, work, entry, env);
    }

    /// Confirmation on the disk, then the source file, then the history.
    fn settle(
        &mut self,
        pass: &mut Pass,
        work: &Work<'_>,
        entry: HistoryEntry,
        env: &mut Env<'_>,
    ) {
        let keeps = self.job.after_upload == AfterUpload::Keep;
        let confirmed = Confirmed {
            fingerprint: work.fingerprint,
            entry: entry.clone(),
        };
        let written = env.records.confirm(confirmed, !keeps);
        if keeps || written {
            self.settle_source(pass, work, entry, false, env);
        }
        // Otherwise the file stays, known as confirmed, until the state directory can be written:
        // the next pass comes to `settle_former`.
    }

    /// An upload that was confirmed before: by a run that was killed, or while the disk was full.
    fn settle_former(&mut self, pass: &mut Pass, work: &Work<'_>, env: &mut Env<'_>) {
        let former = env
            .records
            .ledger()
            .confirmed()
            .iter()
            .find(|confirmed| confirmed.fingerprint == work.fingerprint)
            .cloned();
        let Some(former) = former else {
            return;
        };
        if env.records.reconfirm(&former) {
            self.settle_source(pass, work, former.entry, true, env);
        }
    }

    fn settle_source(
        &mut self,
        pass: &mut Pass,
        work: &Work<'_>,
        mut entry: HistoryEntry,
        of_former_run: bool,
        env: &mut Env<'_>,
    ) {
        let keep = match afterwards::apply(
            &self.job.after_upload,
            &work.file,
            &work.candidate.relative,
        ) {
            Ok(Outcome::Kept) => true,
            Ok(Outcome::Deleted | Outcome::Moved(_)) => false,
            Ok(Outcome::LeftChanged) => {
                let message = format!(
                    "`{}` changed after its upload and is left where it is",
                    escape_bytes(&work.path)
                );
                let event = self
                    .event(EventKind::FileChanged, Severity::Warning, &message)
                    .source_path(&work.path);
                env.records.event(&event);
                entry.after_upload = "left".to_owned();
                false
            }
            Err(error) => {
                pass.tally.local += 1;
                entry.after_upload = "failed".to_owned();
                self.not_removed(work, &error, env);
                true
            }
        };
        let confirmed = Confirmed {
            fingerprint: work.fingerprint,
            entry,
        };
        if of_former_run {
            env.records.finish_recovered(confirmed, keep);
        } else {
            env.records.finish(confirmed, keep);
        }
    }

    fn not_removed(&self, work: &Work<'_>, error: &std::io::Error, env: &mut Env<'_>) {
        let message = format!(
            "`{}` is uploaded but cannot be deleted or moved: {error}",
            escape_bytes(&work.path)
        );
        let event = self
            .event(EventKind::FileSkipped, Severity::Warning, &message)
            .source_path(&work.path)
            .error(EventError {
                class: "local",
                hint: Some("let s3ferry's user write the source folder and the `move_to` folder"),
                ..EventError::default()
            });
        env.records.event(&event);
    }

    fn failed(
        &mut self,
        pass: &mut Pass,
        fingerprint: Fingerprint,
        candidate: Candidate,
        key: &ObjectKey,
        error: UploadError,
        env: &mut Env<'_>,
    ) -> Option<Step> {
        let path = self.path_bytes(&candidate.relative);
        match error {
            UploadError::Stopped => {
                pass.queue.push_front(candidate);
                return Some(Step::Interrupted);
            }
            UploadError::Changed => {
                self.attempts.remove(&fingerprint);
                pass.unsettled += 1;
                let message = format!(
                    "`{}` changed during its upload; no object was made, it is sent again once it has settled",
                    escape_bytes(&path)
                );
                let event = self
                    .event(EventKind::FileChanged, Severity::Warning, &message)
                    .source_path(&path)
                    .key(key.as_str());
                env.records.event(&event);
            }
            UploadError::Source(error) => {
                self.source_failed(pass, fingerprint, &path, &error, env);
            }
            UploadError::State(error) => {
                let failure = Failure::new(Class::Temporary, "StateDirectory", error.to_string());
                return self.try_later(pass, fingerprint, candidate, key, &failure, env);
            }
            UploadError::S3(failure) => match failure.class {
                Class::ThisFile => {
                    self.attempts.remove(&fingerprint);
                    pass.tally.local += 1;
                    self.refuse(fingerprint);
                    self.tell_failed(&path, key, &failure, Severity::Error, env);
                }
                Class::Blocked | Class::Credentials => {
                    return self.blocked(pass, fingerprint, &path, key, &failure, env);
                }
                _ => return self.try_later(pass, fingerprint, candidate, key, &failure, env),
            },
        }
        Some(Step::Continue)
    }

    fn try_later(
        &mut self,
        pass: &mut Pass,
        fingerprint: Fingerprint,
        candidate: Candidate,
        key: &ObjectKey,
        failure: &Failure,
        env: &mut Env<'_>,
    ) -> Option<Step> {
        let path = self.path_bytes(&candidate.relative);
        let news = self.trouble.fail(failure, clock::monotonic());
        if news {
            let message = format!("the connection failed, it is tried again: {failure}");
            let event = self
                .event(EventKind::ConnectionFailed, Severity::Warning, &message)
                .source_path(&path)
                .key(key.as_str())
                .error(error_of(failure));
            env.records.event(&event);
        } else {
            log::info!("[{}] {failure}", self.job.name);
        }
        self.shrink_parts(fingerprint, &path, failure, env);
        let mut to_the_back = false;
        if let Some(attempts) = self.attempts.get_mut(&fingerprint) {
            attempts.fruitless += 1;
            // A server that cannot be reached says nothing about this file.
            to_the_back = attempts.fruitless >= FRUITLESS_TRIES && failure.http_status.is_some();
            let first = !std::mem::replace(&mut attempts.failure_told, true);
            if first && failure.class != Class::Connection {
                self.tell_failed(&path, key, failure, Severity::Warning, env);
            }
        }
        self.trouble.tell(
            env,
            &self.job.name,
            failure.class.name(),
            &failure.to_string(),
            failure.hint,
        );
        if to_the_back {
            self.deferred.insert(fingerprint);
            pass.queue.push_back(candidate);
        } else {
            pass.queue.push_front(candidate);
        }
        env.records.flush();
        Some(match self.trouble.retry_at() {
            Some(at) => Step::WaitUntil(at),
            None => Step::Continue,
        })
    }

    /// A link that lets no whole part through gets smaller ones: an upload that holds none yet is
    /// begun again with half the size.
    fn shrink_parts(
        &mut self,
        fingerprint: Fingerprint,
        path: &[u8],
        failure: &Failure,
        env: &mut Env<'_>,
    ) {
        let tries = self
            .attempts
            .get(&fingerprint)
            .map_or(0, |attempts| attempts.fruitless + 1);
        let broke_in_a_part = failure.class == Class::Connection && failure.operation == "UploadPart";
        if !broke_in_a_part || tries < SHRINK_AFTER || self.shrink >= MOST_SHRINKS {
            return;
        }
        let ledger = env.records.ledger();
        for open in ledger.uploads_of(&self.job.name, &escape_bytes(path)) {
            if open.fingerprint == fingerprint && ledger.parts_sent(&open.token).is_empty() {
                ledger.queue_abort(&open);
                self.shrink += 1;
                return;
            }
        }
    }

    /// Nothing of this job works until somebody changes something: the pass is over, and the next
    /// one begins with another file.
    fn blocked(
        &mut self,
        pass: &mut Pass,
        fingerprint: Fingerprint,
        path: &[u8],
        key: &ObjectKey,
        failure: &Failure,
        env: &mut Env<'_>,
    ) -> Option<Step> {
        pass.tally.refused = true;
        self.deferred.insert(fingerprint);
        pass.tally.left += 1 + pass.queue.len() as u64;
        pass.queue.clear();
        pass.more = false;
        pass.looked_twice = true;
        if self.trouble.block() {
            let message = format!("S3 refuses the job: {failure}");
            let event = self
                .event(EventKind::JobBlocked, Severity::Error, &message)
                .source_path(path)
                .key(key.as_str())
                .error(error_of(failure));
            env.records.event(&event);
        }
        self.trouble.tell(
            env,
            &self.job.name,
            failure.class.name(),
            &failure.to_string(),
            failure.hint,
        );
        None
    }

    /// S3 has taken a file: what was wrong is over.
    fn recovered(&mut self, env: &mut Env<'_>) {
        let recovery = self.trouble.succeed(clock::monotonic());
        if recovery.connection {
            let event = self.event(
                EventKind::ConnectionRestored,
                Severity::Info,
                "the connection works again",
            );
            env.records.event(&event);
        }
        if recovery.block {
            let event = self.event(EventKind::JobUnblocked, Severity::Info, "S3 accepts the job again");
            env.records.event(&event);
        }
        if recovery.connection || recovery.block {
            env.status.job(&self.job.name, |status| status.last_error = None);
        }
    }

    fn report_clock(&mut self, env: &mut Env<'_>) {
        if let Some(offset) = self.client.take_clock_correction() {
            let message = format!(
                "this machine's clock is {} s off; requests are signed with the server's time",
                offset.whole_seconds()
            );
            let event = self.event(EventKind::ClockCorrected, Severity::Warning, &message);
            env.records.event(&event);
        }
    }

    fn source_failed(
        &mut self,
        pass: &mut Pass,
        fingerprint: Fingerprint,
        path: &[u8],
        error: &std::io::Error,
        env: &mut Env<'_>,
    ) {
        pass.tally.local += 1;
        pass.set_aside.insert(fingerprint);
        self.attempts.remove(&fingerprint);
        let message = format!("cannot read `{}`: {error}", escape_bytes(path));
        let event = self
            .event(EventKind::UploadFailed, Severity::Error, &message)
            .source_path(path)
            .error(EventError {
                class: "local",
                hint: Some("let s3ferry's user read the file, and check the disk"),
                ..EventError::default()
            });
        env.records.event(&event);
    }

    fn skip(
        &mut self,
        pass: &mut Pass,
        work: &Work<'_>,
        key: Option<&ObjectKey>,
        message: &str,
        env: &mut Env<'_>,
    ) {
        pass.tally.local += 1;
        self.refuse(work.fingerprint);
        let mut event = self
            .event(EventKind::FileSkipped, Severity::Warning, message)
            .source_path(&work.path);
        if let Some(key) = key {
            event = event.key(key.as_str());
        }
        env.records.event(&event);
    }

    fn tell_failed(
        &self,
        path: &[u8],
        key: &ObjectKey,
        failure: &Failure,
        severity: Severity,
        env: &mut Env<'_>,
    ) {
        let message = format!("`{}` was not uploaded: {failure}", escape_bytes(path));
        let event = self
            .event(EventKind::UploadFailed, severity, &message)
            .source_path(path)
            .key(key.as_str())
            .error(error_of(failure));
        env.records.event(&event);
    }

    /// Repeats aborts that did not work; once more a pass is often enough.
    pub(super) fn abort_leftovers(&mut self, env: &mut Env<'_>) {
        if env.records.ledger().queued_aborts(&self.job.name).is_empty() {
            return;
        }
        let ledger = env.records.ledger();
        if let Err(failure) = upload::abort_queued(&mut self.client, ledger, &self.job.name) {
            log::info!("[{}] an upload is aborted later: {failure}", self.job.name);
        }
    }
}

fn error_of(failure: &Failure) -> EventError<'_> {
    EventError {
        class: failure.class.name(),
        code: failure.code.as_deref(),
        http_status: failure.http_status,
        request_id: failure.request_id.as_deref(),
        hint: failure.hint,
    }
}
