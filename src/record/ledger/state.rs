//! What the lines of a ledger add up to.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::line::{Line, VERSION};
use super::{Confirmed, Creation, Fingerprint, KeyHash, OpenUpload, SourceFate};
use crate::config::model::ChecksumAlgorithm;
use crate::record::MAX_LINE;
use crate::record::read::salvage;
use crate::s3::SentPart;

/// When a finished file was last met in its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Met {
    /// Since 1970.
    pub day: u32,
    /// The number of the job's walk in this process; 0 for none.
    pub walk: u32,
}

/// What is remembered of a finished file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    pub met: Met,
    /// Why it is still there; never `Gone`.
    pub fate: SourceFate,
}

#[derive(Debug, Default)]
pub struct State {
    pub done: HashMap<Fingerprint, Done>,
    /// Whose object a key is, by the key's hash.
    pub keys: HashMap<KeyHash, Fingerprint>,
    pub creations: Vec<Creation>,
    pub uploads: Vec<OpenUpload>,
    pub confirmed: Vec<Confirmed>,
    /// Parts that this process has sent, by token: ETags for stores that do not list them.
    pub sent: HashMap<String, Vec<SentPart>>,
}

/// Reads a ledger file: what it says, how many lines say nothing, and its size in bytes.
pub fn load(path: &Path) -> io::Result<(State, u64, u64)> {
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
        let (record, intact) = salvage(text);
        let understood = record.is_some_and(|record| state.apply(record).is_some());
        bad_lines += u64::from(!(understood && intact));
    }
}

impl State {
    /// Whether the file is done; notes when it was met.
    pub fn meet(&mut self, fingerprint: &Fingerprint, now: Met) -> bool {
        match self.done.get_mut(fingerprint) {
            Some(done) => {
                done.met = now;
                true
            }
            None => self.is_confirmed(fingerprint),
        }
    }

    /// Whether the file is at the store, and in its place as the job wants it.
    pub fn is_kept(&self, fingerprint: &Fingerprint) -> bool {
        let done = self.done.get(fingerprint);
        done.is_some_and(|done| done.fate == SourceFate::Kept) && !self.is_confirmed(fingerprint)
    }

    pub fn is_confirmed(&self, fingerprint: &Fingerprint) -> bool {
        let mut confirmed = self.confirmed.iter();
        confirmed.any(|known| known.fingerprint == *fingerprint)
    }

    /// Whether `key` is the object of another file that was met in `walk`.
    pub fn is_taken(&self, key: &KeyHash, by_other_than: &Fingerprint, walk: u32) -> bool {
        self.keys.get(key).is_some_and(|holder| {
            let done = self.done.get(holder);
            holder != by_other_than && done.is_some_and(|done| done.met.walk == walk)
        })
    }

    /// `None`: the line is none of ours, or damaged.
    fn apply(&mut self, text: &[u8]) -> Option<()> {
        let line = Line::unsealed(text)?;
        if line.v != VERSION {
            return None;
        }
        let fate = line.fate();
        if let Some(done) = line.done {
            let fingerprint = unhex(&done)?;
            self.confirmed
                .retain(|known| known.fingerprint != fingerprint);
            self.uploads
                .retain(|open| open.abort || open.fingerprint != fingerprint);
            match line.day {
                Some(day) => {
                    let done = Done {
                        met: Met { day, walk: 0 },
                        fate,
                    };
                    self.done.insert(fingerprint, done);
                }
                None => {
                    self.done.remove(&fingerprint);
                }
            }
            if let Some(key) = line.key {
                self.keys.insert(unhex(&key)?, fingerprint);
            }
        } else if let Some(creating) = line.creating {
            self.end_creation(&creating.token);
            self.creations.push(creating.into());
        } else if let Some(upload) = line.upload {
            self.end_creation(&upload.token);
            self.uploads.push(OpenUpload {
                fingerprint: unhex(&upload.file)?,
                token: upload.token,
                job: upload.job,
                bucket: upload.bucket,
                key: upload.key,
                upload_id: upload.upload_id,
                part_size: upload.part_size.max(1),
                source_path: upload.source_path,
                size: upload.size,
                checksum: match upload.checksum {
                    Some(name) => Some(ChecksumAlgorithm::from_name(&name)?),
                    None => None,
                },
                device: upload.device,
                abort: false,
            });
        } else if let Some(token) = line.abort {
            let mut uploads = self.uploads.iter_mut();
            uploads.find(|open| open.token == token)?.abort = true;
        } else if let Some(token) = line.ended {
            self.end_creation(&token);
            self.uploads.retain(|open| open.token != token);
        } else if let Some(confirmed) = line.confirmed {
            let confirmed = Confirmed {
                fingerprint: unhex(&confirmed.file)?,
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

    pub fn end_creation(&mut self, token: &str) {
        self.creations.retain(|creation| creation.token != token);
    }

    fn end_same_object(&mut self, confirmed: &Confirmed) {
        self.uploads.retain(|open| {
            open.abort
                || open.fingerprint != confirmed.fingerprint
                || open.key != confirmed.entry.key
        });
    }
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}
