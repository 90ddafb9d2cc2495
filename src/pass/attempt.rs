//! One try of one file: open it, name it, upload it.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use time::OffsetDateTime;

use crate::clock;
use crate::naming::{KeyError, ObjectKey, key_of_file};
use crate::record::ledger::{Fingerprint, KeyHash, Ledger, fingerprint};
use crate::record::{EventKind, Severity};
use crate::source::file::{OpenError, SourceFile};
use crate::source::scan::Candidate;
use crate::status::CurrentFile;
use crate::text::escape_bytes;
use crate::upload::{self, Context, Task, UploadError, Uploaded, content_type};

use super::announcement::Announcement;
use super::room::Judged;
use super::{
    Env, JobRunner, KEYS_COMPARED, Pass, Step, counted_key, progress_of, windows_closed_for,
};

const NO_KEY: &str = "rename the file, or change `prefix` or `change_filename`";
const SAME_KEY: &str = "let `change_filename` tell the files apart";

/// A file on its way.
pub(super) struct Work<'a> {
    pub candidate: &'a Candidate,
    pub file: SourceFile,
    pub fingerprint: Fingerprint,
    /// Full path, as the file system has it.
    pub path: Vec<u8>,
}

/// The tries of one version of a file.
#[derive(Debug, Clone)]
pub(super) struct Attempts {
    pub key: ObjectKey,
    pub started_at: OffsetDateTime,
    pub started: Instant,
    pub count: u32,
    /// Tries since S3 last accepted anything of it.
    pub fruitless: u32,
    /// That something of it is sent has been told.
    pub announced: bool,
    pub failure_told: bool,
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
        if env.records.ledger().is_not_removed(&work.fingerprint) {
            self.remove_again(pass, &work, env);
            return Some(Step::Continue);
        }
        if env.records.ledger().is_kept(&work.fingerprint) {
            // Known since the walk: from a copy of the state directory that was found late.
            return Some(Step::Continue);
        }
        let Some(key) = self.key_of(pass, &work, env) else {
            return Some(Step::Continue);
        };
        self.count_try(&work, &key);
        let result = self.upload(&work, &key, env);
        self.report_clock(env);
        match result {
            Ok(uploaded) => {
                self.uploaded(pass, &work, uploaded, env);
                env.records.flush_if_due(clock::monotonic());
                self.make_room_meanwhile(Judged::Later, env);
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
    fn key_of(&mut self, pass: &mut Pass, work: &Work<'_>, env: &mut Env<'_>) -> Option<ObjectKey> {
        if let Some(attempts) = self.attempts.get(&work.fingerprint) {
            return Some(attempts.key.clone());
        }
        let key = match self.render_key(work) {
            Ok(key) => key,
            Err(error) => {
                let message = format!("`{}` is not sent: {error}", escape_bytes(&work.path));
                self.skip(pass, work, None, &message, NO_KEY, env);
                return None;
            }
        };
        let Some(hash) = counted_key(&self.job, key.as_str()) else {
            return Some(key);
        };
        let other = match pass.keys.get(&hash) {
            Some(other) if **other != *work.candidate.relative => Some(self.path_shown(other)),
            Some(_) => None,
            None => self.uploaded_file_of(&hash, &key, work, env),
        };
        if let Some(other) = other {
            let message = format!(
                "`{}` is not sent: its key `{}` is that of `{other}` already; make `change_filename` tell them apart",
                escape_bytes(&work.path),
                key.as_str(),
            );
            self.skip(pass, work, Some(&key), &message, SAME_KEY, env);
            return None;
        }
        if pass.keys.len() < KEYS_COMPARED {
            pass.keys.insert(hash, work.candidate.relative.clone());
        }
        Some(key)
    }

    /// The file that `key` was uploaded from in another pass, if that is still there.
    fn uploaded_file_of(
        &self,
        hash: &KeyHash,
        key: &ObjectKey,
        work: &Work<'_>,
        env: &mut Env<'_>,
    ) -> Option<String> {
        let ledger = env.records.ledger();
        if !ledger.is_taken(hash, &work.fingerprint, self.walks) {
            return None;
        }
        let known = env.records.source_of_key(key.as_str());
        Some(known.unwrap_or_else(|| "another file".to_owned()))
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

    fn count_try(&mut self, work: &Work<'_>, key: &ObjectKey) {
        let attempts = self
            .attempts
            .entry(work.fingerprint)
            .or_insert_with(|| Attempts {
                key: key.clone(),
                started_at: clock::wall(),
                started: clock::monotonic(),
                count: 0,
                fruitless: 0,
                announced: false,
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
            !signals.wants_attention() && windows_closed_for(job, now).is_none()
        };
        let content_type = match &job.object.content_type {
            Some(configured) => configured,
            None => content_type::of(&work.candidate.relative),
        };
        let advance = |sent| progress.advance(sent);
        let attempts = self.attempts.get_mut(&work.fingerprint);
        let announced = attempts.as_ref().is_some_and(|attempts| attempts.announced);
        let (ledger, events) = env.records.lend();
        let announcement = Announcement {
            job: &job.name,
            path: &work.path,
            size: work.file.identity().size,
            key,
            resumes: has_parts(ledger, &job.name, &source_path, work.fingerprint),
            events: RefCell::new(events),
            told: Cell::new(announced),
        };
        let announce = |key: &ObjectKey| {
            progress.goes_to(key);
            announcement.tell(key);
        };
        let mut context = Context {
            client: &mut self.client,
            ledger,
            signals,
            limiter: &self.limiter,
            object: &job.object,
            transfer: &job.transfer,
            announce: &announce,
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
        let result = upload::upload(&mut context, task);
        if let Some(attempts) = attempts {
            attempts.announced = announcement.told.get();
        }
        let written = announcement.events.into_inner().written();
        env.records.take_back(written);
        result
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

    fn skip(
        &mut self,
        pass: &mut Pass,
        work: &Work<'_>,
        key: Option<&ObjectKey>,
        message: &str,
        hint: &'static str,
        env: &mut Env<'_>,
    ) {
        pass.tally.local += 1;
        self.refuse(work.fingerprint, Some(hint));
        // The message has the cure in it.
        self.is_stuck(work.fingerprint, &work.path, message, None, env);
        let mut event = self
            .event(EventKind::FileSkipped, Severity::Warning, message)
            .source_path(&work.path);
        if let Some(key) = key {
            event = event.key(key.as_str());
        }
        env.records.event(&event);
    }

    /// Repeats what did not work of ending uploads; once more a pass is often enough.
    pub(super) fn abort_leftovers(&mut self, env: &mut Env<'_>) {
        let ledger = env.records.ledger();
        if let Err(failure) = upload::end_leftovers(&mut self.client, ledger, &self.job.name) {
            log::info!("[{}] an upload is aborted later: {failure}", self.job.name);
        }
    }
}

/// Whether an upload in parts of this very file is open.
fn has_parts(ledger: &Ledger, job: &str, source_path: &str, fingerprint: Fingerprint) -> bool {
    let open = ledger.uploads_of(job, source_path);
    open.iter()
        .any(|open| !open.abort && open.fingerprint == fingerprint)
}
