//! What follows from a confirmed upload: the records, and what becomes of the source file.

use std::io::{Error, ErrorKind};

use crate::clock;
use crate::config::model::AfterUpload;
use crate::naming::ObjectKey;
use crate::record::ledger::{Confirmed, Fingerprint, SourceFate, after_upload_word};
use crate::record::{EventError, EventKind, FinishedUpload, HistoryEntry, Severity};
use crate::source::afterwards::{self, Outcome};
use crate::text::{escape_bytes, human_duration, human_rate, human_size};
use crate::upload::Uploaded;

use super::announcement::new_name;
use super::attempt::Work;
use super::{Env, JobRunner, Pass, counted_key};

/// What a person can do about a file that could not be deleted or moved.
fn cure(error: &Error) -> Option<&'static str> {
    Some(match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on the disk of the `move_to` folder"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "mount the disks of the source folder and of the `move_to` folder writable"
        }
        _ => "let s3ferry's user write the source folder and the `move_to` folder",
    })
}

impl JobRunner {
    pub(super) fn uploaded(
        &mut self,
        pass: &mut Pass,
        work: &Work<'_>,
        uploaded: Uploaded,
        env: &mut Env<'_>,
    ) {
        self.recovered(env);
        let Some(attempts) = self.attempts.remove(&work.fingerprint) else {
            return;
        };
        self.deferred.remove(&work.fingerprint);
        self.shrink = self.shrink.saturating_sub(1);
        let key = &uploaded.key;
        let size = work.file.identity().size;
        let mut entry = HistoryEntry::new(&FinishedUpload {
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
            checksum: uploaded.checksum.as_deref(),
            version_id: uploaded.receipt.version_id.as_deref(),
            after_upload: after_upload_word(&self.job.after_upload),
        });
        if attempts.announced {
            pass.tally.uploaded += 1;
            pass.tally.bytes += size;
        } else {
            // How long a look took says nothing about the line.
            entry.bytes_per_second = 0;
            pass.tally.passed_over += 1;
        }
        env.status.job(&self.job.name, |status| {
            status.state = "working".to_owned();
            status.next_try = None;
            status.backlog = status.backlog.saturating_sub(1);
            status.backlog_bytes = status.backlog_bytes.saturating_sub(size);
        });
        let (path, shown_size) = (escape_bytes(&work.path), human_size(size));
        let new_name = new_name(&attempts.key, key);
        let (kind, message) = if !attempts.announced {
            let message = format!(
                "`{path}` is not sent: an object with the same bytes is there already, and counts as its upload{new_name}"
            );
            (EventKind::FileSkipped, message)
        } else if uploaded.already_there {
            let message = format!(
                "uploaded `{path}` ({shown_size}): S3 did not say so, but an object with its bytes is there{new_name}"
            );
            (EventKind::UploadFinished, message)
        } else {
            let message = format!(
                "uploaded `{path}` ({shown_size}) in {}, {}{new_name}",
                human_duration(clock::monotonic().saturating_duration_since(attempts.started)),
                human_rate(entry.bytes_per_second)
            );
            (EventKind::UploadFinished, message)
        };
        let event = self
            .event(kind, Severity::Info, &message)
            .source_path(&work.path)
            .key(key.as_str());
        env.records.event(&event);
        self.settle(pass, work, entry, env);
    }

    /// Another object has the file's key and stays: the file stays, too, and is not looked at again
    /// before it or `if_exists` changes.
    pub(super) fn passed_over(
        &mut self,
        pass: &mut Pass,
        fingerprint: Fingerprint,
        path: &[u8],
        key: &ObjectKey,
        what: &str,
        env: &mut Env<'_>,
    ) {
        self.recovered(env);
        self.attempts.remove(&fingerprint);
        self.deferred.remove(&fingerprint);
        pass.tally.passed_over += 1;
        let message = format!("`{}` is not sent and stays: {what}", escape_bytes(path));
        let event = self
            .event(EventKind::FileSkipped, Severity::Warning, &message)
            .source_path(path)
            .key(key.as_str());
        env.records.event(&event);
        env.records.passed_over(&fingerprint);
    }

    /// Confirmation on the disk, then the source file, then the history.
    fn settle(&mut self, pass: &mut Pass, work: &Work<'_>, entry: HistoryEntry, env: &mut Env<'_>) {
        let keeps = self.job.after_upload == AfterUpload::Keep;
        let confirmed = Confirmed {
            fingerprint: work.fingerprint,
            entry: entry.clone(),
        };
        let written = env.records.confirm(confirmed, !keeps);
        if keeps || written {
            self.settle_source(pass, work, entry, false, env);
        } else {
            leave_for_next_pass(pass, work);
        }
    }

    /// An upload that was confirmed before: by a run that was killed, or while the disk was full.
    pub(super) fn settle_former(&mut self, pass: &mut Pass, work: &Work<'_>, env: &mut Env<'_>) {
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
        } else {
            leave_for_next_pass(pass, work);
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
        let fate =
            match afterwards::apply(&self.job.after_upload, &work.file, &work.candidate.relative) {
                Ok(Outcome::Kept) => SourceFate::Kept,
                Ok(Outcome::Deleted | Outcome::Moved(_)) => SourceFate::Gone,
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
                    SourceFate::Gone
                }
                Err(error) => {
                    pass.tally.local += 1;
                    entry.after_upload = "failed".to_owned();
                    pass.set_aside.insert(work.fingerprint);
                    self.not_removed(work, &error, env);
                    SourceFate::NotRemoved
                }
            };
        let confirmed = Confirmed {
            fingerprint: work.fingerprint,
            entry,
        };
        let key = counted_key(&self.job, &confirmed.entry.key);
        if of_former_run {
            env.records.finish_recovered(confirmed, fate, key);
        } else {
            env.records.finish(confirmed, fate, key);
        }
    }

    /// A file that could not be deleted or moved in an earlier pass, which has been told then.
    pub(super) fn remove_again(&mut self, pass: &mut Pass, work: &Work<'_>, env: &mut Env<'_>) {
        let path = escape_bytes(&work.path);
        match afterwards::apply(&self.job.after_upload, &work.file, &work.candidate.relative) {
            Ok(_) => {
                log::info!("`{path}` is seen to at last");
                env.records.removed_at_last(work.fingerprint);
            }
            Err(error) => {
                let message = format!("`{path}` still cannot be deleted or moved: {error}");
                log::debug!("{message}");
                self.is_stuck(work.fingerprint, &work.path, &message, cure(&error), env);
                pass.tally.local += 1;
                pass.not_tried += 1;
                pass.set_aside.insert(work.fingerprint);
            }
        }
    }

    fn not_removed(&mut self, work: &Work<'_>, error: &Error, env: &mut Env<'_>) {
        let message = format!(
            "`{}` is uploaded but cannot be deleted or moved: {error}",
            escape_bytes(&work.path)
        );
        self.is_stuck(work.fingerprint, &work.path, &message, cure(error), env);
        let event = self
            .event(EventKind::FileSkipped, Severity::Warning, &message)
            .source_path(&work.path)
            .error(EventError {
                class: "local",
                hint: cure(error),
                ..EventError::default()
            });
        env.records.event(&event);
    }
}

/// The state directory cannot be written: the file stays, known as confirmed, and the next pass
/// comes to it again.
fn leave_for_next_pass(pass: &mut Pass, work: &Work<'_>) {
    pass.tally.local += 1;
    pass.not_tried += 1;
    pass.set_aside.insert(work.fingerprint);
}
