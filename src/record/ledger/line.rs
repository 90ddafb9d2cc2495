//! The stored form: one JSON object a line, the last field of which is a checksum of what stands
//! before it. One flipped bit could otherwise make another file's hash, size or part size, which
//! still reads well.

use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Confirmed, Fingerprint, KeyHash, OpenUpload, SourceFate};
use crate::record::HistoryEntry;
use crate::upload::hash::hex;

/// The version of the lines.
pub const VERSION: u32 = 1;

/// One line. Exactly one of the optional fields is there; `day`, `key` and `not_removed` go with
/// `done`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Line {
    pub v: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_removed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creating: Option<CreationLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<ConfirmedLine>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct CreationLine {
    pub token: String,
    pub job: String,
    pub bucket: String,
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct UploadLine {
    pub token: String,
    pub job: String,
    pub bucket: String,
    pub key: String,
    pub upload_id: String,
    pub part_size: u64,
    pub source_path: String,
    pub size: u64,
    pub file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    #[serde(default)]
    pub device: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ConfirmedLine {
    pub file: String,
    pub entry: HistoryEntry,
}

impl Line {
    /// Of a `done` with a day.
    pub fn fate(&self) -> SourceFate {
        if self.not_removed {
            SourceFate::NotRemoved
        } else {
            SourceFate::Kept
        }
    }

    pub fn new() -> Line {
        Line {
            v: VERSION,
            ..Line::default()
        }
    }

    pub fn confirmed(confirmed: &Confirmed) -> Line {
        Line {
            confirmed: Some(ConfirmedLine {
                file: hex(&confirmed.fingerprint),
                entry: confirmed.entry.clone(),
            }),
            ..Line::new()
        }
    }

    /// With its checksum, without a newline.
    pub fn sealed(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self)?;
        // The closing brace.
        text.pop();
        let seal = seal_of(&text);
        text.extend_from_slice(seal.as_bytes());
        Ok(text)
    }

    /// `None`: not what [`Line::sealed`] wrote.
    pub fn unsealed(text: &[u8]) -> Option<Line> {
        let (fields, seal) = text.split_at_checked(text.len().checked_sub(SEAL_LENGTH)?)?;
        if seal != seal_of(fields).as_bytes() {
            return None;
        }
        serde_json::from_slice(text).ok()
    }
}

/// `,"sum":"01234567"}`
const SEAL_LENGTH: usize = 18;

fn seal_of(fields: &[u8]) -> String {
    let sum = hex(&Sha256::digest(fields)[..4]);
    format!(",\"sum\":\"{sum}\"}}")
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
            checksum: open.checksum.map(|algorithm| algorithm.name().to_owned()),
            device: open.device,
        }
    }
}

/// A file is seen to. The day, and the key where it counts, are of files that are still in their
/// place.
pub fn done_line(
    fingerprint: &Fingerprint,
    day: u32,
    fate: SourceFate,
    key: Option<KeyHash>,
) -> Line {
    let in_place = fate != SourceFate::Gone;
    Line {
        done: Some(hex(fingerprint)),
        day: in_place.then_some(day),
        key: key.filter(|_| in_place).map(|key| hex(&key)),
        not_removed: fate == SourceFate::NotRemoved,
        ..Line::new()
    }
}
