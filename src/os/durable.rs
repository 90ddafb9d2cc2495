//! Files that are whole after a power cut: either the old content or the new one.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid};

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

/// Whether something can be made in `folder`, or, while that is missing, where it would be made:
/// tried with a folder that is removed again. Permissions alone do not tell it of every file system.
pub fn try_to_make(folder: &Path) -> io::Result<()> {
    try_in(folder, |_| Ok(()))
}

/// Does `attempt` in a folder of a moment, in `folder` or where that would be made.
fn try_in(folder: &Path, attempt: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let missing = |path: &&Path| match std::fs::metadata(path) {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(_) => false,
    };
    let existing = folder.ancestors().find(|path| !missing(path));
    let name = format!(".s3ferry-{}", rustix::process::getpid().as_raw_nonzero());
    let trial = existing.unwrap_or(folder).join(name);
    std::fs::create_dir(&trial)?;
    let tried = attempt(&trial);
    std::fs::remove_dir(&trial).and(tried)
}

/// As [`try_to_make`], and whether what is made there can hold anything: a full disk may take names
/// all the same.
pub fn try_to_write(folder: &Path) -> io::Result<()> {
    try_in(folder, |trial| {
        let file = trial.join("byte");
        let written = std::fs::write(&file, b"\n");
        std::fs::remove_file(&file).and(written)
    })
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

fn beside(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}
