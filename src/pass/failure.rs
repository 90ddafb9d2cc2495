//! What follows from a failed try: when the next one is, and who is told.

use crate::clock;
use crate::naming::ObjectKey;
use crate::record::ledger::Fingerprint;
use crate::record::{EventError, EventKind, Severity};
use crate::s3::{Class, Failure};
use crate::source::scan::Candidate;
use crate::status::LastError;
use crate::text::escape_bytes;
use crate::upload::UploadError;

use super::room::Judged;
use super::{Env, JobRunner, Pass, Step};

/// So often in a row may a file fail before others get their turn.
const FRUITLESS_TRIES: u32 = 3;
/// After so many tries that got no part through, parts become smaller.
const SHRINK_AFTER: u32 = 2;
/// 16 MiB halved twice is below S3's smallest part already.
const MOST_SHRINKS: u32 = 2;

impl JobRunner {
    pub(super) fn failed(
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
            UploadError::PassedOver(what) => {
                self.passed_over(pass, fingerprint, &path, key, &what, env);
            }
            UploadError::Source(error) => {
                self.source_failed(pass, fingerprint, &path, &error, env);
            }
            UploadError::S3(failure) => match failure.class {
                Class::ThisFile => {
                    if failure.http_status.is_some() {
                        self.recovered(env);
                    }
                    self.attempts.remove(&fingerprint);
                    pass.tally.local += 1;
                    self.refuse(fingerprint, failure.hint);
                    let message = not_uploaded(&path, &failure);
                    self.is_stuck(fingerprint, &path, &message, failure.cure(), env);
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
            failure.cure(),
            false,
        );
        if to_the_back {
            self.deferred.insert(fingerprint);
            pass.queue.push_back(candidate);
        } else {
            pass.queue.push_front(candidate);
        }
        env.records.flush();
        // The disk fills up in an outage as well.
        self.make_room_meanwhile(Judged::Now, env);
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
        let broke_in_a_part =
            failure.class == Class::Connection && failure.operation == "UploadPart";
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
        let news = self.trouble.block();
        if news {
            let message = match failure.http_status {
                Some(_) => format!("S3 refuses the job: {failure}"),
                None if failure.has_code("NoCredentials") => {
                    format!("there are no credentials for the job: {}", failure.message)
                }
                None => format!("the job is blocked: {failure}"),
            };
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
            failure.cure(),
            news,
        );
        None
    }

    /// S3 has taken a file, or refuses nothing but this one: what was wrong is over.
    pub(super) fn recovered(&mut self, env: &mut Env<'_>) {
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
            let event = self.event(
                EventKind::JobUnblocked,
                Severity::Info,
                "S3 accepts the job again",
            );
            env.records.event(&event);
        }
        self.forget_error(|_| true, env);
    }

    /// What is mended is no longer shown.
    pub(super) fn forget_error(&self, mended: impl Fn(&LastError) -> bool, env: &mut Env<'_>) {
        env.status.job(&self.job.name, |status| {
            status.last_error.take_if(|error| mended(error));
        });
    }

    pub(super) fn source_failed(
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
        let hint = Some("let s3ferry's user read the file, and check the disk");
        self.is_stuck(fingerprint, path, &message, hint, env);
        if !self.tell_local(fingerprint) {
            pass.not_tried += 1;
            return;
        }
        let event = self
            .event(EventKind::UploadFailed, Severity::Error, &message)
            .source_path(path)
            .error(EventError {
                class: "local",
                hint,
                ..EventError::default()
            });
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
        let message = not_uploaded(path, failure);
        let event = self
            .event(EventKind::UploadFailed, severity, &message)
            .source_path(path)
            .key(key.as_str())
            .error(error_of(failure));
        env.records.event(&event);
    }
}

fn not_uploaded(path: &[u8], failure: &Failure) -> String {
    format!("`{}` was not uploaded: {failure}", escape_bytes(path))
}

fn error_of(failure: &Failure) -> EventError<'_> {
    EventError {
        class: failure.class.name(),
        code: failure.code.as_deref(),
        http_status: failure.http_status,
        request_id: failure.request_id.as_deref(),
        hint: failure.cure(),
    }
}
