//! Object keys: what S3 accepts and every URL library on the way leaves alone.

use std::fmt;

use super::{FileFacts, Template};
use crate::text::printable;

/// S3's limit for a key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

/// The key of an object: 1 to 1,024 bytes of UTF-8, no `/` at either end, no empty,
/// `.` or `..` segment, no control character.
// Why so strict: rust-s3 builds its URLs with url::Url, which removes dot segments.
// `a/../../x` in a path-style bucket would be signed for another bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The key `prefix` + `name`, as they stand: a prefix that means a folder ends in `/`.
    ///
    /// # Errors
    /// See [`KeyError`]; none of them goes away by trying again.
    pub fn new(prefix: &str, name: &str) -> Result<ObjectKey, KeyError> {
        if name.is_empty() {
            return Err(KeyError::Empty);
        }
        let key = [prefix, name].concat();
        if key.len() > MAX_KEY_BYTES {
            return Err(KeyError::TooLong { bytes: key.len() });
        }
        if key.contains(char::is_control) {
            return Err(KeyError::ControlCharacter { key });
        }
        if key.starts_with('/') {
            return Err(KeyError::LeadingSlash { key });
        }
        if key.split('/').any(str::is_empty) {
            return Err(KeyError::EmptySegment { key });
        }
        if key.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(KeyError::DotSegment { key });
        }
        Ok(ObjectKey(key))
    }

    /// The key with `-number` at the end of its name, before the extension: `a/b-1.zip`.
    ///
    /// # Errors
    /// [`KeyError::TooLong`]
    pub fn numbered(&self, number: u32) -> Result<ObjectKey, KeyError> {
        let start = self.0.rfind('/').map_or(0, |slash| slash + 1);
        let (folder, name) = self.0.split_at(start);
        // A dot that a name begins with is not that of an extension.
        let dot = name.rfind('.').filter(|at| *at > 0);
        let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
        ObjectKey::new(folder, &format!("{stem}-{number}{extension}"))
    }

    /// The key, not percent-encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a file can have no object key. Only another name, prefix or template helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// Nothing is left of the name, as `<extension>` alone leaves nothing of `README`.
    Empty,
    /// More than [`MAX_KEY_BYTES`], escapes included.
    TooLong {
        /// The key's length.
        bytes: usize,
    },
    /// A segment is `.` or `..`: URLs drop those, and the object would land elsewhere.
    DotSegment {
        /// The refused key.
        key: String,
    },
    /// `//`, or a `/` at the end.
    EmptySegment {
        /// The refused key.
        key: String,
    },
    /// The key starts with `/`.
    LeadingSlash {
        /// The refused key.
        key: String,
    },
    /// From the configuration: those in a file's name are escaped.
    ControlCharacter {
        /// The refused key.
        key: String,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, trouble) = match self {
            KeyError::Empty => {
                return f.write_str(
                    "the object key has no name: let change_filename yield one for every file",
                );
            }
            KeyError::TooLong { bytes } => {
                return write!(
                    f,
                    "the object key has {bytes} bytes, and S3 takes {MAX_KEY_BYTES}: shorten \
                     the prefix, change_filename or the file's path",
                );
            }
            KeyError::DotSegment { key } => (
                key,
                "has a `.` or `..` between slashes, which URLs drop: rename the file, or \
                 change prefix or change_filename",
            ),
            KeyError::EmptySegment { key } => (
                key,
                "has nothing between two slashes or after the last: change prefix or \
                 change_filename",
            ),
            KeyError::LeadingSlash { key } => (
                key,
                "starts with a slash: take it from prefix or change_filename",
            ),
            KeyError::ControlCharacter { key } => (
                key,
                "has a control character: take it from prefix or change_filename",
            ),
        };
        write!(
            f,
            "the object key `{}` {trouble}",
            printable(key.as_bytes())
        )
    }
}

impl std::error::Error for KeyError {}

/// The object key of a file.
///
/// With a template, the key is `prefix` + what the template yields; the file's folder
/// is part of it only by `<directory>`. Without one (or with an empty one), the path
/// below `source_path` is kept.
///
/// # Errors
/// See [`KeyError`].
pub fn key_for(
    template: Option<&Template>,
    prefix: &str,
    file: &FileFacts,
) -> Result<ObjectKey, KeyError> {
    let name = match template {
        Some(template) if !template.is_empty() => template.render(file)?,
        _ if file.directory.is_empty() => printable(file.name),
        _ => [&printable(file.directory), "/", &printable(file.name)].concat(),
    };
    ObjectKey::new(prefix, &name)
}
