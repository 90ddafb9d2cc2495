//! One source file, opened once: what is hashed, sent and judged is this descriptor.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

/// What must stand still while a file is uploaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    pub modified: Timestamp,
    pub changed: Timestamp,
}

/// Seconds since 1970 and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl Timestamp {
    /// `None` outside of the years that can be written.
    pub fn to_utc(self) -> Option<time::OffsetDateTime> {
        let moment = time::OffsetDateTime::from_unix_timestamp(self.seconds).ok()?;
        moment.checked_add(time::Duration::nanoseconds(i64::from(self.nanoseconds)))
    }
}

#[allow(
    clippy::unnecessary_cast,
    clippy::cast_sign_loss,
    reason = "the fields' types differ between architectures"
)]
impl From<&Stat> for Identity {
    fn from(stat: &Stat) -> Self {
        Identity {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as u64,
            modified: Timestamp {
                seconds: stat.st_mtime as i64,
                nanoseconds: stat.st_mtime_nsec as u32,
            },
            changed: Timestamp {
                seconds: stat.st_ctime as i64,
                nanoseconds: stat.st_ctime_nsec as u32,
            },
        }
    }
}

/// An open source file.
#[derive(Debug)]
pub struct SourceFile {
    file: File,
    folder: OwnedFd,
    name: Vec<u8>,
    identity: Identity,
}

/// Why a file cannot be opened for its upload.
#[derive(Debug)]
pub enum OpenError {
    /// It is gone, or became something else than a regular file: nothing to do, nothing lost.
    Vanished,
    Io(io::Error),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OpenError::Vanished => f.write_str("it is gone, or no regular file any more"),
            OpenError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<rustix::io::Errno> for OpenError {
    fn from(error: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        match error {
            // ELOOP and ENOTDIR: a link or a file was put where a file or a folder stood.
            Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO => OpenError::Vanished,
            other => OpenError::Io(other.into()),
        }
    }
}

impl SourceFile {
    /// Opens `relative` below `root`, component by component, following no link unless asked.
    pub fn open(root: &Path, relative: &[u8], follow: bool) -> Result<SourceFile, OpenError> {
        let (folder, name) = open_folder_of(root, relative, follow)?;
        let nofollow = if follow {
            OFlags::empty()
        } else {
            OFlags::NOFOLLOW
        };
        // NONBLOCK: a FIFO that was put there would otherwise hold the only thread.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | nofollow;
        let descriptor =
            rustix::fs::openat(&folder, OsStr::from_bytes(name), flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&descriptor)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(OpenError::Vanished);
        }
        Ok(SourceFile {
            file: File::from(descriptor),
            identity: Identity::from(&stat),
            folder,
            name: name.to_owned(),
        })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// As it was when it was opened.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether size, mtime or ctime are not what they were at the opening.
    pub fn has_changed(&self) -> io::Result<bool> {
        let now = Identity::from(&rustix::fs::fstat(&self.file)?);
        Ok(now != self.identity)
    }

    /// Whether the path still leads to this very file, unchanged.
    pub fn is_still_in_place(&self) -> io::Result<bool> {
        let name = OsStr::from_bytes(&self.name);
        match rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Identity::from(&stat) == self.identity),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Birth time where the file system keeps one.
    pub fn created(&self) -> Option<Timestamp> {
        use rustix::fs::{StatxFlags, statx};
        let statx = statx(&self.file, c"", AtFlags::EMPTY_PATH, StatxFlags::BTIME).ok()?;
        (statx.stx_mask & StatxFlags::BTIME.bits() != 0).then_some(Timestamp {
            seconds: statx.stx_btime.tv_sec,
            nanoseconds: statx.stx_btime.tv_nsec,
        })
    }

    /// Removes the name.
    pub fn unlink(&self) -> io::Result<()> {
        let name = OsStr::from_bytes(&self.name);
        rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?;
        Ok(())
    }

    /// Gives the file the path `to`, on the same file system.
    pub fn rename(&self, to: &Path) -> io::Result<()> {
        let name = OsStr::from_bytes(&self.name);
        rustix::fs::renameat(&self.folder, name, rustix::fs::CWD, to)?;
        Ok(())
    }

    /// Makes a removal or a renaming durable.
    pub fn sync_folder(&self) -> io::Result<()> {
        rustix::fs::fsync(self.folder.as_fd())?;
        Ok(())
    }
}

/// Opens `path` as a folder to read its entries.
pub fn open_root(path: &Path) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// Opens the folder `name` below `folder`.
pub fn open_subfolder(
    folder: &OwnedFd,
    name: &[u8],
    follow: bool,
) -> Result<OwnedFd, rustix::io::Errno> {
    let nofollow = if follow {
        OFlags::empty()
    } else {
        OFlags::NOFOLLOW
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | nofollow;
    rustix::fs::openat(folder, OsStr::from_bytes(name), flags, Mode::empty())
}

fn open_folder_of<'a>(
    root: &Path,
    relative: &'a [u8],
    follow: bool,
) -> Result<(OwnedFd, &'a [u8]), rustix::io::Errno> {
    let mut folder = open_root(root)?;
    let mut rest = relative;
    while let Some(slash) = rest.iter().position(|byte| *byte == b'/') {
        folder = open_subfolder(&folder, &rest[..slash], follow)?;
        rest = &rest[slash + 1..];
    }
    Ok((folder, rest))
}

/// The path to show and to record.
pub fn full_path(root: &Path, relative: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(relative))
}
