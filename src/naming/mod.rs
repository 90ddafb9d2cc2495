//! Change Filename: from a source file to the key of its object.
//!
//! A file's name is bytes, chosen by somebody else; an object key is UTF-8 that S3
//! and everything between here and there must read the same way. So a key is built
//! in one place: a [`Template`] (or the file's own path) says what it should be, and
//! [`ObjectKey`] refuses what would not arrive as written.

mod file;
mod key;
mod strftime;
mod template;

pub use file::key_of_file;
pub use key::{KeyError, MAX_KEY_BYTES, ObjectKey, key_for};
pub use template::{BUILT_IN, Template, TemplateError};

use time::OffsetDateTime;

/// What a key can be made of. The times are in the time zone of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct FileFacts<'a> {
    /// The file's name, without any folder.
    pub name: &'a [u8],
    /// The file's folder below `source_path`: `a/b`, without slashes at its ends;
    /// empty at the top.
    pub directory: &'a [u8],
    /// Bytes.
    pub size: u64,
    /// Birth time, where the file system has one; otherwise `<createTime>` is `modified`.
    pub created: Option<OffsetDateTime>,
    /// Time of the last change of the content (mtime).
    pub modified: OffsetDateTime,
    /// When this upload began.
    pub upload_time: OffsetDateTime,
    /// The machine's name.
    pub hostname: &'a str,
    /// The job's name.
    pub job: &'a str,
}

#[cfg(test)]
mod tests;
