//! What becomes of a source file once its upload is confirmed and recorded.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::file::{SourceFile, full_path};
use crate::config::model::AfterUpload;

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
    let target = unused(&wanted)?;
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

/// `wanted`, or with `.1`, `.2`, … behind it: a file that was moved before is not overwritten.
fn unused(wanted: &Path) -> io::Result<PathBuf> {
    const TRIES: u32 = 10_000;
    let mut target = wanted.to_owned();
    for number in 1..=TRIES {
        match fs::symlink_metadata(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(target),
            Err(error) => return Err(error),
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

/// Onto another file system: the copy is on the disk before the original goes.
fn copy_durably(file: &SourceFile, target: &Path) -> io::Result<()> {
    let mut partial = target.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let result = write_copy(file, &partial).and_then(|()| fs::rename(&partial, target));
    if result.is_err() {
        // What is left of a copy that failed is of no use; the original is untouched.
        let _ = fs::remove_file(&partial);
        return result;
    }
    crate::os::durable::sync_folder_of(target)
}

fn write_copy(file: &SourceFile, partial: &Path) -> io::Result<()> {
    use std::io::Seek;
    let mut from = file.file();
    from.rewind()?;
    let mut to = File::create(partial)?;
    let copied = io::copy(&mut from, &mut to)?;
    if copied != file.identity().size || file.has_changed()? {
        return Err(io::Error::other("the file changed while it was moved"));
    }
    if let Ok(modified) = file
        .file()
        .metadata()
        .and_then(|metadata| metadata.modified())
    {
        to.set_modified(modified)?;
    }
    to.sync_all()
}
