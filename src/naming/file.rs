//! The key of an open source file: the facts that a template may ask for, gathered.

use time::OffsetDateTime;

use super::{FileFacts, KeyError, ObjectKey, key_for};
use crate::config::model::Job;
use crate::source::file::SourceFile;

/// The key that `file`, which stands at `relative` below the job's folder, gets at `upload_time`.
/// `in_zone` takes a moment to the configured time zone.
pub fn key_of_file(
    job: &Job,
    relative: &[u8],
    file: &SourceFile,
    hostname: &str,
    upload_time: OffsetDateTime,
    in_zone: &dyn Fn(OffsetDateTime) -> OffsetDateTime,
) -> Result<ObjectKey, KeyError> {
    let (directory, name) = match relative.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&relative[..slash], &relative[slash + 1..]),
        None => (&relative[..0], relative),
    };
    let identity = file.identity();
    let modified = identity
        .modified
        .to_utc()
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    key_for(
        job.change_filename.as_ref(),
        &job.prefix,
        &FileFacts {
            name,
            directory,
            size: identity.size,
            created: file
                .created()
                .and_then(|created| created.to_utc())
                .map(in_zone),
            modified: in_zone(modified),
            upload_time: in_zone(upload_time),
            hostname,
            job: &job.name,
        },
    )
}
