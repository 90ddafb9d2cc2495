//! What becomes of a source file once its upload is confirmed and recorded.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::file::{Identity, SourceFile, full_path};
use crate::config::model::AfterUpload;
use crate::os::notify;

/// How much is copied between two signs of life.
const PIECE: u64 = 64 << 20;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Kept,
    Deleted,
    Moved(PathBuf),
    /// The path does not lead to the file any more that was uploaded: nothing was touched.
    LeftChanged,
}

/// Deletes or moves the file, if its path still leads to the very file that was uploaded.
pub fn apply(action: &AfterUpload, file: &SourceFile, relative: &[u8]) -> io::Result<Outcome> {
    if *action == AfterUpload::Keep {
        return Ok(Outcome::Kept);
    }
    if !file.is_still_in_place()? {
        return Ok(Outcome::LeftChanged);
    }
    match action {
        AfterUpload::Keep => Ok(Outcome::Kept),
        AfterUpload::Delete => {
            file.unlink()?;
            Ok(Outcome::Deleted)
        }
        AfterUpload::MoveTo(folder) => move_to(folder, file, relative).map(Outcome::Moved),
    }
}

fn move_to(folder: &Path, file: &SourceFile, relative: &[u8]) -> io::Result<PathBuf> {
    let wanted = full_path(folder, relative);
    if let Some(parent) = wanted.parent() {
        fs::create_dir_all(parent)?;
    }
    let target = match place_for(&wanted, file)? {
        Place::Free(target) => target,
        Place::HoldsCopy(target) => {
            crate::os::durable::sync_folder_of(&target)?;
            file.unlink()?;
            return Ok(target);
        }
    };
    match file.rename(&target) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_durably(file, &target)?;
            file.unlink()?;
        }
        Err(error) => return Err(error),
    }
    Ok(target)
}

/// Where a file can go.
enum Place {
    Free(PathBuf),
    /// A former run was ended between the copy onto another file system and the removal.
    HoldsCopy(PathBuf),
}

/// `wanted`, or with `.1`, `.2`, … behind it: a file that was moved before is not overwritten.
fn place_for(wanted: &Path, file: &SourceFile) -> io::Result<Place> {
    const TRIES: u32 = 10_000;
    let mut target = wanted.to_owned();
    for number in 1..=TRIES {
        match fs::symlink_metadata(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Place::Free(target));
            }
            Err(error) => return Err(error),
            Ok(metadata) if is_copy(file, &target, &metadata)? => {
                return Ok(Place::HoldsCopy(target));
            }
            Ok(_) => {
                let mut name = wanted.as_os_str().to_owned();
                name.push(format!(".{number}"));
                target = name.into();
            }
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!(
            "`{}` and {TRIES} numbered names are taken",
            wanted.display()
        ),
    ))
}

/// Whether `target` is what [`copy_durably`] makes of the file: on another file system, with its
/// time and its bytes.
fn is_copy(file: &SourceFile, target: &Path, found: &Metadata) -> io::Result<bool> {
    /// vfat keeps times in steps of two seconds.
    const COARSEST_TIME: u64 = 2;
    let own = file.identity();
    let alike = found.is_file()
        && found.dev() != own.device
        && found.len() == own.size
        && found.mtime().abs_diff(own.modified.seconds) <= COARSEST_TIME;
    if !alike {
        return Ok(false);
    }
    let nofollow = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let copy = File::from(rustix::fs::open(target, nofollow, Mode::empty())?);
    Ok(same_bytes(file.file(), &copy)? && !file.has_changed()?)
}

fn same_bytes(one: &File, other: &File) -> io::Result<bool> {
    let (mut left, mut right) = ([0; 8192], [0; 8192]);
    let mut offset = 0;
    loop {
        let read = one.read_at(&mut left, offset)?;
        if read == 0 {
            return Ok(true);
        }
        match other.read_exact_at(&mut right[..read], offset) {
            Ok(()) if left[..read] == right[..read] => offset += read as u64,
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => return Ok(false),
        }
    }
}

/// Onto another file system: the copy is on the disk before the original goes.
fn copy_durably(file: &SourceFile, target: &Path) -> io::Result<()> {
    let partial = target.with_file_name(partial_name(file.identity()));
    let result = write_copy(file, &partial).and_then(|()| fs::rename(&partial, target));
    if result.is_err() {
        // What is left of a copy that failed is of no use; the original is untouched.
        let _ = fs::remove_file(&partial);
        return result;
    }
    crate::os::durable::sync_folder_of(target)
}

/// The same for a file at every try, so that what a kill left of a copy is overwritten, and not
/// that of any other file.
fn partial_name(of: Identity) -> String {
    format!(
        ".s3ferry-{:x}-{:x}-{:x}.partial",
        of.device, of.inode, of.modified.seconds
    )
}

/// As `io::copy`, with signs of life for the watchdog: a large file takes minutes to a slow disk.
fn copy_in_pieces(mut from: &File, to: &mut File) -> io::Result<u64> {
    let mut copied = 0;
    loop {
        notify::alive();
        match io::copy(&mut (&mut from).take(PIECE), to)? {
            0 => return Ok(copied),
            piece => copied += piece,
        }
    }
}

fn write_copy(file: &SourceFile, partial: &Path) -> io::Result<()> {
    let mut from = file.file();
    from.rewind()?;
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut to = File::from(rustix::fs::open(
        partial,
        flags,
        Mode::from_raw_mode(0o600),
    )?);
    let copied = copy_in_pieces(from, &mut to)?;
    if copied != file.identity().size || file.has_changed()? {
        return Err(io::Error::other("the file changed while it was moved"));
    }
    let metadata = file.file().metadata()?;
    // A file system without owners keeps none.
    let _ = to.set_permissions(metadata.permissions());
    if let Ok(modified) = metadata.modified() {
        to.set_modified(modified)?;
    }
    to.sync_all()
}
