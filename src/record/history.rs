//! The Upload History Table: an entry for each object that S3 has confirmed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{VERSION, timestamp};
use crate::text::escape_bytes;

/// A line of `history.jsonl`, its fields in their order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Version of the format.
    pub v: u32,
    /// The job's name.
    pub job: String,
    /// As [`escape_bytes`] makes it.
    pub source_path: String,
    /// Bytes.
    pub size: u64,
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC.
    pub finished_at: String,
    /// How long it took, to the millisecond; at least 0.001.
    pub seconds: f64,
    /// `size / seconds`, rounded down; 0 where nothing had to be sent.
    pub bytes_per_second: u64,
    /// Parts of the upload; 0 if it was a single PUT.
    pub parts: u32,
    /// How often it was begun or resumed.
    pub attempts: u32,
    /// Bytes that earlier attempts had already brought there.
    pub resumed_bytes: u64,
    /// As S3 gave it.
    pub etag: Option<String>,
    /// Algorithm and value.
    pub checksum: Option<String>,
    /// In a bucket with versions.
    pub version_id: Option<String>,
    /// What became of the source file.
    pub after_upload: String,
}

/// What the history is told of an upload; the fields are those of [`HistoryEntry`].
#[derive(Debug, Clone)]
pub struct FinishedUpload<'a> {
    /// The job's name.
    pub job: &'a str,
    /// As the file system has it.
    pub source_path: &'a [u8],
    /// Bytes.
    pub size: u64,
    /// The bucket's name.
    pub bucket: &'a str,
    /// The object's key.
    pub key: &'a str,
    /// When the first attempt began.
    pub started_at: OffsetDateTime,
    /// When S3 confirmed the object.
    pub finished_at: OffsetDateTime,
    /// From start to end on the monotonic clock, since the other one may be corrected
    /// meanwhile.
    pub elapsed: Duration,
    /// Parts of the upload; 0 if it was a single PUT.
    pub parts: u32,
    /// How often it was begun or resumed.
    pub attempts: u32,
    /// Bytes that earlier attempts had already brought there.
    pub resumed_bytes: u64,
    /// As S3 gave it.
    pub etag: Option<&'a str>,
    /// Algorithm and value.
    pub checksum: Option<&'a str>,
    /// In a bucket with versions.
    pub version_id: Option<&'a str>,
    /// What became of the source file.
    pub after_upload: &'a str,
}

impl HistoryEntry {
    /// The entry of an upload, with its duration and speed. What took less than a
    /// millisecond counts as one, so that the speed is always `size / seconds`.
    pub fn new(upload: &FinishedUpload) -> HistoryEntry {
        let millis = upload.elapsed.as_millis().max(1);
        let bytes_per_second = u128::from(upload.size) * 1000 / millis;
        HistoryEntry {
            v: VERSION,
            job: upload.job.to_owned(),
            source_path: escape_bytes(upload.source_path),
            size: upload.size,
            bucket: upload.bucket.to_owned(),
            key: upload.key.to_owned(),
            started_at: timestamp(upload.started_at),
            finished_at: timestamp(upload.finished_at),
            // Exact up to 2^53 ms, which is 285,000 years.
            seconds: millis as f64 / 1000.0,
            bytes_per_second: u64::try_from(bytes_per_second).unwrap_or(u64::MAX),
            parts: upload.parts,
            attempts: upload.attempts,
            resumed_bytes: upload.resumed_bytes,
            etag: upload.etag.map(str::to_owned),
            checksum: upload.checksum.map(str::to_owned),
            version_id: upload.version_id.map(str::to_owned),
            after_upload: upload.after_upload.to_owned(),
        }
    }

    /// The entry as one line of `history.jsonl`, without the newline.
    pub fn to_line(&self) -> Vec<u8> {
        // Strings and finite numbers under constant names: serde_json has no way to fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a line of `history.jsonl`; `None` if it is none.
    pub fn parse(line: &[u8]) -> Option<HistoryEntry> {
        serde_json::from_slice(line).ok()
    }
}
