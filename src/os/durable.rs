//! Files that are whole after a power cut: either the old content or the new one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, Gid, Mode, OFlags, Uid, access};

/// Writes `content` beside `path` and renames it into place, with an fsync of the file and of the
/// folder. After an error the old file is untouched.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with(path, |file| file.write_all(content))
}

/// As [`replace`], with what `fill` writes, which may be asked for twice.
pub fn replace_with(
    path: &Path,
    mut fill: impl FnMut(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut write = || {
        let mut file = create_beside(path)?;
        fill(&mut file)?;
        commit(file, path)
    };
    match write() {
        // A command and the service replaced it at the same moment, and the other's rename took this
        // new file with it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => write(),
        other => other,
    }
}

/// As [`replace`], without waiting for the disk: for what is only of use while the system runs.
pub fn replace_volatile(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = create_beside(path)?;
    file.write_all(content)?;
    commit_volatile(file, path)
}

/// As [`commit`], without waiting for the disk.
pub fn commit_volatile(file: File, path: &Path) -> io::Result<()> {
    drop(file);
    std::fs::rename(beside(path), path)
}

/// A new file that [`commit`] will put in the place of `path`.
pub fn create_beside(path: &Path) -> io::Result<File> {
    let descriptor = rustix::fs::open(
        beside(path),
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::from_raw_mode(0o640),
    )?;
    let file = File::from(descriptor);
    give_to_owner_of_folder(&file, path);
    Ok(file)
}

/// What root makes in a service's folder belongs to the service, which otherwise could neither read
/// nor replace it. Where that cannot be done, the file is as good as it can be.
pub fn give_to_owner_of_folder(file: &File, path: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let Some(Ok(folder)) = path.parent().map(std::fs::metadata) else {
        return;
    };
    let (user, group) = (Uid::from_raw(folder.uid()), Gid::from_raw(folder.gid()));
    if let Err(error) = rustix::fs::fchown(file, Some(user), Some(group)) {
        log::debug!("`{}` stays root's: {error}", path.display());
    }
}

/// Puts the file from [`create_beside`] in the place of `path`.
pub fn commit(file: File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    drop(file);
    std::fs::rename(beside(path), path)?;
    sync_folder_of(path)
}

/// Makes names in the folder of `path` durable: creations, renames, removals.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Whether a file of `length` bytes can be written in `folder`, or, while that is missing, where it
/// would be made: tried with one that is removed again. Permissions do not tell it of every file
/// system, and a full disk takes an empty file.
pub fn try_to_write(folder: &Path, length: u64) -> io::Result<()> {
    let name = format!(".s3ferry-{}", rustix::process::getpid().as_raw_nonzero());
    let trial = existing(folder).join(name);
    let mut file = File::create_new(&trial)?;
    let written =
        io::copy(&mut io::repeat(b' ').take(length), &mut file).and_then(|_| file.sync_all());
    std::fs::remove_file(&trial)?;
    written
}

/// Whether the permissions and the mount let `folder` be written, or, while that is missing, where it
/// would be made.
pub fn try_access(folder: &Path) -> io::Result<()> {
    let existing = existing(folder);
    if !std::fs::metadata(existing)?.is_dir() {
        return Err(rustix::io::Errno::NOTDIR.into());
    }
    Ok(access(existing, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// The folder itself, or the nearest above it that is there.
fn existing(folder: &Path) -> &Path {
    let missing = |path: &&Path| match std::fs::metadata(path) {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(_) => false,
    };
    let found = folder.ancestors().find(|path| !missing(path));
    found.unwrap_or(folder)
}

/// What a person can do where a folder cannot be written for `error`.
pub fn cure_of_folder(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on its disk",
        io::ErrorKind::ReadOnlyFilesystem => cure_of_read_only(),
        io::ErrorKind::PermissionDenied => {
            "let the service's user write it, or run this as that user"
        }
        io::ErrorKind::NotADirectory => "name a folder",
        io::ErrorKind::IsADirectory => {
            "remove that folder: a file of s3ferry's own has its place there"
        }
        _ => "look to its disk: there must be room, and the service's user must be able to write",
    }
}

/// systemd mounts everything read-only for a unit with `ProtectSystem=strict`, and marks what it has
/// started.
pub fn cure_of_read_only() -> &'static str {
    if std::env::var_os("INVOCATION_ID").is_some() {
        "let the unit write it, with `ReadWritePaths=` and this folder in `systemctl edit`; or mount \
         its file system writable, if that is what is read-only"
    } else {
        "mount its file system writable"
    }
}

/// The error with the file or folder that it is about.
pub fn naming(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

fn beside(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}
