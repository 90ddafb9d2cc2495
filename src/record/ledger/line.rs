//! The stored form: one JSON object a line.

use serde::{Deserialize, Serialize};

use super::{Confirmed, Fingerprint, KeyHash, OpenUpload};
use crate::record::HistoryEntry;
use crate::upload::hash::hex;

/// The version of the lines.
pub const VERSION: u32 = 1;

/// One line. Exactly one of the optional fields is there; `day` and `key` go with `done`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Line {
    pub v: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
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
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ConfirmedLine {
    pub file: String,
    pub entry: HistoryEntry,
}

impl Line {
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

/// A file is seen to. `day`: it is still in its place.
pub fn done_line(fingerprint: &Fingerprint, day: Option<u32>, key: Option<KeyHash>) -> Line {
    Line {
        done: Some(hex(fingerprint)),
        day,
        key: key.map(|key| hex(&key)),
        ..Line::new()
    }
}
