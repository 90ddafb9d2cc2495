//! What is done and what is under way: the memory that survives a restart.
//!
//! An append-only file of JSON lines that is compacted now and then. A line that a power cut tore
//! is dropped; what it said is found out again from S3 or from the source folder:
//!
//! ```text
//! creating ──► upload ──► (parts: asked of S3) ──► ended
//!     │                            └─► abort ──► ended
//!     └─► ended               S3 was asked whether there is an upload after all
//! confirmed ──► done        the object is there; then the source file and the history follow
//! ```
//!
//! In memory a finished file is 24 bytes: its fingerprint, and when it was last met. Where names are
//! changed, its key is another 24, so that no second file takes the key of one that is still there.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::copy::StateCopier;
use super::{HistoryEntry, JsonLines};
use crate::config::model::{AfterUpload, ChecksumAlgorithm, Rotation};
use crate::s3::SentPart;
use crate::source::file::Identity;
use crate::text::unescape;

mod adopt;
mod compact;
mod creation;
mod line;
mod state;
mod view;

pub use creation::Creation;
use line::{Line, UploadLine, done_line};
use state::{Done, Met, State, load};
pub use view::LedgerView;

/// What tells one version of one file, sent to one destination, from any other: a hash over job,
/// bucket, path, size and mtime. Not over inode or device, which change on a remount.
pub type Fingerprint = [u8; 16];

const FILE: &str = "ledger.jsonl";
/// How many confirmations are kept in memory when the disk stays full.
const UNWRITTEN_LIMIT: usize = 2000;

/// A file as the ledger knows it.
pub fn fingerprint(job: &str, destination: &str, path: &[u8], identity: Identity) -> Fingerprint {
    let mut hasher = Sha256::new();
    for field in [job.as_bytes(), destination.as_bytes(), path] {
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    hasher.update(identity.size.to_le_bytes());
    hasher.update(identity.modified.seconds.to_le_bytes());
    hasher.update(identity.modified.nanoseconds.to_le_bytes());
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(&hasher.finalize()[..16]);
    fingerprint
}

/// What stands in the ledger for a version of a file that was passed over: its object may not be
/// replaced. Not the file's own fingerprint, which would be that of a file that is uploaded, also when
/// `if_exists` is another by then.
pub fn passed_over(file: &Fingerprint) -> Fingerprint {
    file.map(|byte| !byte)
}

/// A multipart upload that S3 holds open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    /// Ours, on the object as `x-amz-meta-s3ferry-token`.
    pub token: String,
    pub job: String,
    pub bucket: String,
    pub key: String,
    pub upload_id: String,
    /// Bytes.
    pub part_size: u64,
    /// As in records: escaped.
    pub source_path: String,
    /// Bytes.
    pub size: u64,
    pub fingerprint: Fingerprint,
    /// What the upload was begun with, and every part of it has.
    pub checksum: Option<ChecksumAlgorithm>,
    /// Of the file system that holds the file.
    pub device: u64,
    /// It is to be aborted, not to be resumed.
    pub abort: bool,
}

impl OpenUpload {
    /// Whether something is at the source path; an error that says neither is taken for yes.
    pub fn file_is_there(&self) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let path = unescape(&self.source_path).unwrap_or_default();
        !matches!(
            rustix::fs::lstat(std::ffi::OsStr::from_bytes(&path)),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR)
        )
    }
}

/// A hash over bucket and key.
pub type KeyHash = [u8; 8];

/// The hash of a key, for jobs that change names; without that no two files have the same key.
pub fn key_hash(destination: &str, key: &str) -> KeyHash {
    let mut hasher = Sha256::new();
    hasher.update(destination);
    hasher.update([0]);
    hasher.update(key);
    let mut hash = KeyHash::default();
    hash.copy_from_slice(&hasher.finalize()[..8]);
    hash
}

/// An object that S3 has confirmed, while its source file and its history entry are still to be
/// seen to.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirmed {
    pub fingerprint: Fingerprint,
    pub entry: HistoryEntry,
}

/// What has become of a source file whose upload is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFate {
    /// Deleted, moved or replaced by another: nothing needs to be remembered.
    Gone,
    /// In its place, as the job wants it.
    Kept,
    /// In its place because it could not be deleted or moved: that is tried again.
    NotRemoved,
}

/// The ledger of a state directory.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: JsonLines,
    state: State,
    /// Bytes appended since the file was last compacted, with what it had at the opening.
    size: u64,
    /// Of the whole state directory; the ledger knows best when it is worth its while.
    copier: Option<StateCopier>,
    /// Something was taken over from a copy that was found late.
    adopted: bool,
}

/// What was wrong with a ledger file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Damage {
    /// Bytes cut off at the end.
    pub dropped_bytes: u64,
    /// Lines that say nothing.
    pub bad_lines: u64,
}

impl Ledger {
    /// Opens `state_dir/ledger.jsonl`, or begins it.
    pub fn open(state_dir: &Path) -> io::Result<(Ledger, Damage)> {
        let path = state_dir.join(FILE);
        let (file, repair) = JsonLines::open(&path, unlimited())?;
        let (state, bad_lines, size) = load(&path)?;
        let damage = Damage {
            dropped_bytes: repair.dropped,
            bad_lines,
        };
        let mut ledger = Ledger {
            path,
            file,
            state,
            size,
            copier: None,
            adopted: false,
        };
        if bad_lines > 0
            && let Err(error) = ledger.compact()
        {
            // What is damaged will be found, and told, at the next start again.
            log::warn!("cannot compact the ledger: {error}");
        }
        Ok((ledger, damage))
    }

    /// Whether this version of the file is uploaded; notes that it is still there.
    pub fn is_done(&mut self, fingerprint: &Fingerprint, today: u32, walk: u32) -> bool {
        self.state.meet(fingerprint, Met { day: today, walk })
    }

    /// Whether `key` is the object of another file that was met in the same walk: that file's only
    /// copy may be there.
    pub fn is_taken(&self, key: &KeyHash, by_other_than: &Fingerprint, walk: u32) -> bool {
        self.state.is_taken(key, by_other_than, walk)
    }

    /// Confirmed by S3, but not yet seen to.
    pub fn is_confirmed(&self, fingerprint: &Fingerprint) -> bool {
        self.state.is_confirmed(fingerprint)
    }

    /// Whether the file is at the store, and nothing more is to be done about it or its records.
    pub fn is_kept(&self, fingerprint: &Fingerprint) -> bool {
        self.state.is_kept(fingerprint)
    }

    pub fn confirmed(&self) -> &[Confirmed] {
        &self.state.confirmed
    }

    /// Whether the file is uploaded and should have been deleted or moved, which did not work.
    pub fn is_not_removed(&self, fingerprint: &Fingerprint) -> bool {
        let done = self.state.done.get(fingerprint);
        done.is_some_and(|done| done.fate == SourceFate::NotRemoved)
    }

    /// How many files are remembered.
    pub fn remembered(&self) -> usize {
        self.state.done.len()
    }

    /// S3 has the object. On an error nothing may be deleted.
    pub fn confirm(&mut self, confirmed: Confirmed) -> io::Result<()> {
        let line = Line::confirmed(&confirmed);
        self.state.confirmed.push(confirmed);
        if self.state.confirmed.len() > UNWRITTEN_LIMIT {
            // Known no longer, the file is sent again to the same key.
            self.state.confirmed.remove(0);
        }
        self.append(&line)
    }

    /// Writes a confirmation again, whose first writing failed.
    pub fn rewrite(&mut self, confirmed: &Confirmed) -> io::Result<()> {
        self.append(&Line::confirmed(confirmed))
    }

    /// History and source file have been seen to. `key` is given where the job changes names.
    pub fn done(
        &mut self,
        fingerprint: Fingerprint,
        today: u32,
        fate: SourceFate,
        key: Option<KeyHash>,
    ) -> io::Result<()> {
        self.state
            .confirmed
            .retain(|confirmed| confirmed.fingerprint != fingerprint);
        if fate == SourceFate::Gone {
            self.state.done.remove(&fingerprint);
        } else {
            let done = Done {
                met: Met {
                    day: today,
                    walk: 0,
                },
                fate,
            };
            self.state.done.insert(fingerprint, done);
            if let Some(key) = key {
                self.state.keys.insert(key, fingerprint);
            }
        }
        self.append(&done_line(&fingerprint, today, fate, key))
    }

    /// Writes down a multipart upload, on the disk before its first part.
    pub fn begin_upload(&mut self, open: OpenUpload) -> io::Result<()> {
        let line = Line {
            upload: Some(UploadLine::from(&open)),
            ..Line::new()
        };
        self.state.end_creation(&open.token);
        self.state.uploads.push(open);
        self.append(&line)?;
        self.sync()?;
        if let Err(error) = self.copy() {
            log::warn!("an upload is not in the copy of the state directory: {error}");
        }
        Ok(())
    }

    /// From now on the state directory has this copy.
    pub fn set_copier(&mut self, copier: Option<StateCopier>) {
        self.copier = copier;
    }

    /// The folder of the copy, if there is to be one.
    pub fn copy_dir(&self) -> Option<&Path> {
        self.copier.as_ref().map(StateCopier::dir)
    }

    /// Whether the copy can be written, as far as that is told without writing.
    pub fn try_copy_access(&self) -> io::Result<()> {
        self.copier.as_ref().map_or(Ok(()), StateCopier::try_access)
    }

    /// When the copy is to be brought up to date next.
    pub fn copy_due(&self) -> Option<Instant> {
        self.copier.as_ref()?.due()
    }

    /// The open uploads of one source file, those to be aborted included.
    pub fn uploads_of(&self, job: &str, source_path: &str) -> Vec<OpenUpload> {
        self.select(|open| open.job == job && open.source_path == source_path)
    }

    /// The uploads of `job` that are to be aborted.
    pub fn queued_aborts(&self, job: &str) -> Vec<OpenUpload> {
        self.select(|open| open.job == job && open.abort)
    }

    /// All open uploads.
    pub fn open_uploads(&self) -> &[OpenUpload] {
        &self.state.uploads
    }

    fn select(&self, wanted: impl Fn(&OpenUpload) -> bool) -> Vec<OpenUpload> {
        let uploads = self.state.uploads.iter();
        uploads.filter(|open| wanted(open)).cloned().collect()
    }

    /// From now on the upload is only waiting for its abort.
    pub fn queue_abort(&mut self, open: &OpenUpload) {
        self.state.sent.remove(&open.token);
        for known in &mut self.state.uploads {
            if known.token == open.token && !known.abort {
                known.abort = true;
                let line = Line {
                    abort: Some(open.token.clone()),
                    ..Line::new()
                };
                self.append_or_log(&line);
                return;
            }
        }
    }

    /// The upload is no more: aborted, or unknown to S3.
    pub fn end_upload(&mut self, token: &str) {
        self.completed(token);
        self.state.end_creation(token);
        let line = Line {
            ended: Some(token.to_owned()),
            ..Line::new()
        };
        self.append_or_log(&line);
    }

    /// S3 has joined the parts. Not written: until the confirmation is on the disk, a restart has
    /// to find the upload and the object by its token.
    pub fn completed(&mut self, token: &str) {
        self.state.sent.remove(token);
        self.state.uploads.retain(|open| open.token != token);
    }

    pub fn part_sent(&mut self, token: &str, part: SentPart) {
        let parts = self.state.sent.entry(token.to_owned()).or_default();
        parts.retain(|known| known.number != part.number);
        parts.push(part);
    }

    /// What this process has sent counts no longer.
    pub fn forget_parts(&mut self, token: &str) {
        self.state.sent.remove(token);
    }

    /// The parts that this process has sent.
    pub fn parts_sent(&self, token: &str) -> Vec<SentPart> {
        self.state.sent.get(token).cloned().unwrap_or_default()
    }

    /// Waits for the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let text = line.sealed()?;
        self.size += text.len() as u64 + 1;
        self.file.append(&text)
    }

    /// For what a restart would find out again by itself.
    fn append_or_log(&mut self, line: &Line) {
        if let Err(error) = self.append(line) {
            log::warn!("cannot write `{}`: {error}", self.path.display());
        }
    }
}

/// The ledger is compacted, not rotated: no line of it may go just because it is old.
fn unlimited() -> Rotation {
    Rotation {
        max_size: u64::MAX,
        files: 1,
    }
}

/// What becomes of the source file, as the history says it.
pub fn after_upload_word(action: &AfterUpload) -> &'static str {
    match action {
        AfterUpload::Keep => "keep",
        AfterUpload::Delete => "delete",
        AfterUpload::MoveTo(_) => "move",
    }
}
