//! Opening the few files that a configuration consists of, without hanging on a
//! FIFO, reading without end, or being led elsewhere by a link.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::wording::quoted_path;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Refuse,
}

/// A regular file, and the permission bits of the very file that is open.
pub(crate) struct Opened {
    file: File,
    pub mode: u32,
}

/// Errors are sentences with the path in them.
pub(crate) fn open(path: &Path, links: Links) -> Result<Opened, String> {
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if links == Links::Refuse {
        flags |= OFlags::NOFOLLOW;
    }
    let descriptor = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::LOOP if links == Links::Refuse => format!(
            "{} is a symbolic link; name the file itself",
            quoted_path(path)
        ),
        other => cannot_read(path, &other.into()),
    })?;
    let stat = rustix::fs::fstat(&descriptor).map_err(|errno| cannot_read(path, &errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(format!("{} is not a regular file", quoted_path(path)));
    }
    Ok(Opened {
        file: File::from(descriptor),
        mode: Mode::from_raw_mode(stat.st_mode).bits() & 0o7777,
    })
}

impl Opened {
    /// The whole content; more than `limit` bytes are an error.
    pub fn read(self, path: &Path, limit: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        self.file
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| cannot_read(path, &error))?;
        if bytes.len() as u64 > limit {
            return Err(format!(
                "{} is larger than {} KiB",
                quoted_path(path),
                limit / 1024
            ));
        }
        Ok(bytes)
    }
}

pub(super) fn cannot_read(path: &Path, error: &std::io::Error) -> String {
    format!("cannot read {}: {error}", quoted_path(path))
}
