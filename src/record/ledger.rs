//! What is done and what is under way: the memory that survives a restart.
//!
//! An append-only file of JSON lines that is compacted now and then. A line that a power cut tore
//! is dropped; what it said is found out again from S3 or from the source folder:
//!
//! ```text
//! upload ──► (parts: asked of S3) ──► ended
//!                     └─► abort ──► ended
//! confirmed ──► done        the object is there; then the source file and the history follow
//! ```
//!
//! In memory a finished file is 20 bytes: its fingerprint and the day it was last seen.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{HistoryEntry, JsonLines, MAX_LINE};
use crate::config::model::{AfterUpload, Rotation};
use crate::os::durable;
use crate::source::file::Identity;
use crate::upload::hash::hex;

/// What tells one version of one file, sent to one destination, from any other: a hash over job,
/// bucket, path, size and mtime. Not over inode or device, which change on a remount.
pub type Fingerprint = [u8; 16];

/// A fingerprint that no scan has met for this long is forgotten at a compaction.
const FORGOTTEN_AFTER_DAYS: u32 = 90;
/// Compacted when the file is larger than this and mostly history.
const COMPACT_FROM: u64 = 256 * 1024;
const VERSION: u32 = 1;

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
    /// It is to be aborted, not to be resumed.
    pub abort: bool,
}

/// An object that S3 has confirmed, while its source file and its history entry are still to be
/// seen to.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirmed {
    pub fingerprint: Fingerprint,
    pub entry: HistoryEntry,
}

/// The ledger of a state directory.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: JsonLines,
    state: State,
    /// Bytes appended since the file was last compacted, with what it had at the opening.
    size: u64,
}

#[derive(Debug, Default)]
struct State {
    done: HashMap<Fingerprint, u32>,
    uploads: Vec<OpenUpload>,
    confirmed: Vec<Confirmed>,
    /// Parts that this process has sent, by token: ETags for stores that do not list them.
    sent: HashMap<String, Vec<(u32, String)>>,
}

/// What was wrong with a ledger file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Damage {
    /// Bytes cut off at the end.
    pub dropped_bytes: u64,
    /// Lines that say nothing.
    pub bad_lines: u64,
}

/// One line. Exactly one of the optional fields is there; `day` goes with `done`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Line {
    v: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<UploadLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    abort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed: Option<ConfirmedLine>,
}

#[derive(Debug, Serialize, Deserialize)]
struct UploadLine {
    token: String,
    job: String,
    bucket: String,
    key: String,
    upload_id: String,
    part_size: u64,
    source_path: String,
    size: u64,
    file: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct ConfirmedLine {
    file: String,
    entry: HistoryEntry,
}

impl Ledger {
    /// Opens `state_dir/ledger.jsonl`, or begins it.
    pub fn open(state_dir: &Path) -> io::Result<(Ledger, Damage)> {
        let path = state_dir.join("ledger.jsonl");
        let (file, repair) = JsonLines::open(&path, unlimited())?;
        let (state, bad_lines, size) = load(&path)?;
        let damage = Damage {
            dropped_bytes: repair.dropped,
            bad_lines,
        };
        let ledger = Ledger {
            path,
            file,
            state,
            size,
        };
        Ok((ledger, damage))
    }

    /// Reads the ledger without repairing it, for a process that does not hold the lock.
    pub fn read(state_dir: &Path) -> io::Result<LedgerView> {
        match load(&state_dir.join("ledger.jsonl")) {
            Ok((state, ..)) => Ok(LedgerView { state }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LedgerView {
                state: State::default(),
            }),
            Err(error) => Err(error),
        }
    }

    /// Whether this version of the file is uploaded; notes that it is still there.
    pub fn is_done(&mut self, fingerprint: &Fingerprint, today: u32) -> bool {
        match self.state.done.get_mut(fingerprint) {
            Some(day) => {
                *day = today;
                true
            }
            None => self.is_confirmed(fingerprint),
        }
    }

    /// Confirmed by S3, but not yet seen to.
    pub fn is_confirmed(&self, fingerprint: &Fingerprint) -> bool {
        self.state
            .confirmed
            .iter()
            .any(|confirmed| confirmed.fingerprint == *fingerprint)
    }

    pub fn confirmed(&self) -> &[Confirmed] {
        &self.state.confirmed
    }

    /// How many files are remembered.
    pub fn remembered(&self) -> usize {
        self.state.done.len()
    }

    /// S3 has the object. On an error nothing may be deleted.
    pub fn confirm(&mut self, confirmed: Confirmed) -> io::Result<()> {
        let line = Line::confirmed(&confirmed);
        self.state.confirmed.push(confirmed);
        self.append(&line)
    }

    /// Writes a confirmation again, whose first writing failed.
    pub fn rewrite(&mut self, confirmed: &Confirmed) -> io::Result<()> {
        self.append(&Line::confirmed(confirmed))
    }

    /// History and source file have been seen to. `keep`: the file is still there, so it has to be
    /// known as done; otherwise nothing of it needs to be remembered.
    pub fn done(&mut self, fingerprint: Fingerprint, today: u32, keep: bool) -> io::Result<()> {
        self.state
            .confirmed
            .retain(|confirmed| confirmed.fingerprint != fingerprint);
        if keep {
            self.state.done.insert(fingerprint, today);
        }
        self.append(&done_line(&fingerprint, keep.then_some(today)))
    }

    /// Writes down a multipart upload, on the disk before its first part.
    pub fn begin_upload(&mut self, open: OpenUpload) -> io::Result<()> {
        let line = Line {
            upload: Some(UploadLine::from(&open)),
            ..Line::new()
        };
        self.state.uploads.push(open);
        self.append(&line)?;
        self.sync()
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

    pub fn part_sent(&mut self, token: &str, number: u32, etag: &str) {
        let parts = self.state.sent.entry(token.to_owned()).or_default();
        parts.retain(|(known, _)| *known != number);
        parts.push((number, etag.to_owned()));
    }

    /// Number and ETag of the parts that this process has sent.
    pub fn parts_sent(&self, token: &str) -> Vec<(u32, String)> {
        self.state.sent.get(token).cloned().unwrap_or_default()
    }

    /// Waits for the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    /// Rewrites the file without what is over, when that is most of it. To be called only when
    /// every job's folder has been walked, since that is what tells which files are still there.
    pub fn compact_if_worthwhile(&mut self, today: u32) -> io::Result<()> {
        let needed = 64 * self.state.done.len() as u64;
        if self.size < COMPACT_FROM || self.size < 2 * needed {
            return Ok(());
        }
        self.state
            .done
            .retain(|_, day| today.saturating_sub(*day) <= FORGOTTEN_AFTER_DAYS);
        self.compact()
    }

    fn compact(&mut self) -> io::Result<()> {
        let file = durable::create_beside(&self.path)?;
        let mut writer = io::BufWriter::with_capacity(16 * 1024, file);
        let mut size = 0;
        let mut write = |line: &Line| -> io::Result<()> {
            let mut text = serde_json::to_vec(line)?;
            text.push(b'\n');
            size += text.len() as u64;
            writer.write_all(&text)
        };
        for (fingerprint, day) in &self.state.done {
            write(&done_line(fingerprint, Some(*day)))?;
        }
        for open in &self.state.uploads {
            write(&Line {
                upload: Some(UploadLine::from(open)),
                ..Line::new()
            })?;
            if open.abort {
                write(&Line {
                    abort: Some(open.token.clone()),
                    ..Line::new()
                })?;
            }
        }
        for confirmed in &self.state.confirmed {
            write(&Line::confirmed(confirmed))?;
        }
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        durable::commit(file, &self.path)?;
        (self.file, _) = JsonLines::open(&self.path, unlimited())?;
        self.size = size;
        Ok(())
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let text = serde_json::to_vec(line)?;
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

/// What a ledger said when it was read; for `plan` and `status`, which change nothing.
#[derive(Debug)]
pub struct LedgerView {
    state: State,
}

impl LedgerView {
    pub fn is_done(&self, fingerprint: &Fingerprint) -> bool {
        self.state.done.contains_key(fingerprint)
            || self
                .state
                .confirmed
                .iter()
                .any(|confirmed| confirmed.fingerprint == *fingerprint)
    }
}

impl Line {
    fn new() -> Line {
        Line {
            v: VERSION,
            ..Line::default()
        }
    }

    fn confirmed(confirmed: &Confirmed) -> Line {
        Line {
            confirmed: Some(ConfirmedLine {
                file: hex(&confirmed.fingerprint),
                entry: confirmed.entry.clone(),
            }),
            ..Line::new()
        }
    }
}

impl From<&OpenUpload> for UploadLine {
    fn from(open: &OpenUpload) -> Self {
        UploadLine {
            token: open.token.clone(),
            job: open.job.clone(),
            bucket: open.bucket.clone(),
            key: open.key.clone(),
            upload_id: open.upload_id.clone(),
            part_size: open.part_size,
            source_path: open.source_path.clone(),
            size: open.size,
            file: hex(&open.fingerprint),
        }
    }
}

fn done_line(fingerprint: &Fingerprint, day: Option<u32>) -> Line {
    Line {
        done: Some(hex(fingerprint)),
        day,
        ..Line::new()
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

fn load(path: &Path) -> io::Result<(State, u64, u64)> {
    let mut reader = BufReader::with_capacity(16 * 1024, File::open(path)?);
    let mut state = State::default();
    let (mut bad_lines, mut size) = (0, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader
            .by_ref()
            .take(MAX_LINE as u64 + 1)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok((state, bad_lines, size));
        }
        size += read as u64;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let understood = !text.is_empty() && state.apply(text).is_some();
        bad_lines += u64::from(!understood);
    }
}

impl State {
    /// `None`: the line is none of ours. A line of a later version is left alone as well.
    fn apply(&mut self, text: &[u8]) -> Option<()> {
        let line: Line = serde_json::from_slice(text).ok()?;
        if line.v != VERSION {
            return None;
        }
        if let Some(done) = line.done {
            let fingerprint = parse_fingerprint(&done)?;
            self.confirmed
                .retain(|known| known.fingerprint != fingerprint);
            self.uploads
                .retain(|open| open.abort || open.fingerprint != fingerprint);
            if let Some(day) = line.day {
                self.done.insert(fingerprint, day);
            }
        } else if let Some(upload) = line.upload {
            self.uploads.push(OpenUpload {
                fingerprint: parse_fingerprint(&upload.file)?,
                token: upload.token,
                job: upload.job,
                bucket: upload.bucket,
                key: upload.key,
                upload_id: upload.upload_id,
                part_size: upload.part_size.max(1),
                source_path: upload.source_path,
                size: upload.size,
                abort: false,
            });
        } else if let Some(token) = line.abort {
            let mut uploads = self.uploads.iter_mut();
            uploads.find(|open| open.token == token)?.abort = true;
        } else if let Some(token) = line.ended {
            self.uploads.retain(|open| open.token != token);
        } else if let Some(confirmed) = line.confirmed {
            let confirmed = Confirmed {
                fingerprint: parse_fingerprint(&confirmed.file)?,
                entry: confirmed.entry,
            };
            self.end_same_object(&confirmed);
            self.confirmed
                .retain(|known| known.fingerprint != confirmed.fingerprint);
            self.confirmed.push(confirmed);
        } else {
            return None;
        }
        Some(())
    }

    fn end_same_object(&mut self, confirmed: &Confirmed) {
        self.uploads.retain(|open| {
            open.abort
                || open.fingerprint != confirmed.fingerprint
                || open.key != confirmed.entry.key
        });
    }
}

fn parse_fingerprint(text: &str) -> Option<Fingerprint> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut fingerprint = Fingerprint::default();
    for (index, byte) in fingerprint.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(fingerprint)
}
