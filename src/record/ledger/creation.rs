//! Multipart uploads that S3 may have begun without our knowing: the answer was lost, or the process
//! ended before it came.

use std::io;

use super::Ledger;
use super::line::{CreationLine, Line};
use crate::record::timestamp;

use time::OffsetDateTime;

/// A CreateMultipartUpload that was about to be sent, and whose answer is not in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// The token of the upload that it would become.
    pub token: String,
    pub job: String,
    pub bucket: String,
    pub key: String,
    /// When it was about to be sent, by the server's clock, where that was known.
    pub at: Option<String>,
}

impl Ledger {
    /// Writes down, on the disk, that an upload of `key` is about to be created. The upload's own
    /// line, or the word that there is none, ends it.
    pub fn about_to_create(
        &mut self,
        token: &str,
        (job, bucket, key): (&str, &str, &str),
        at: Option<OffsetDateTime>,
    ) -> io::Result<()> {
        let creation = Creation {
            token: token.to_owned(),
            job: job.to_owned(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            at: at.map(timestamp),
        };
        let line = Line::creating(&creation);
        self.state.creations.push(creation);
        self.append(&line)?;
        self.sync()
    }

    /// For a creation without a time, that it was not later than `now`.
    pub fn date_creation(&mut self, token: &str, now: OffsetDateTime) {
        let mut creations = self.state.creations.iter_mut();
        if let Some(creation) = creations.find(|creation| creation.token == token) {
            creation.at = Some(timestamp(now));
            let line = Line::creating(creation);
            self.append_or_log(&line);
        }
    }

    /// The creations of `job` that nothing more is known of.
    pub fn unanswered(&self, job: &str) -> Vec<Creation> {
        let creations = self.state.creations.iter();
        creations
            .filter(|creation| creation.job == job)
            .cloned()
            .collect()
    }
}

impl Line {
    pub(super) fn creating(creation: &Creation) -> Line {
        Line {
            creating: Some(CreationLine {
                token: creation.token.clone(),
                job: creation.job.clone(),
                bucket: creation.bucket.clone(),
                key: creation.key.clone(),
                at: creation.at.clone(),
            }),
            ..Line::new()
        }
    }
}

impl From<CreationLine> for Creation {
    fn from(line: CreationLine) -> Creation {
        Creation {
            token: line.token,
            job: line.job,
            bucket: line.bucket,
            key: line.key,
            at: line.at,
        }
    }
}
