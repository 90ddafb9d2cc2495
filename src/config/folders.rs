//! What only the disk can tell of a configuration. Apart from reading it, since a
//! file may be right on the machine that it is written on and be meant for another.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};

use super::model::{AfterUpload, Config, Job, JobPlaces, Place};
use super::problem::Problem;
use super::wording::quoted_path;
use crate::os::durable::cure_of_read_only;

/// A folder that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderProblem {
    pub problem: Problem,
    /// A mount, or somebody's `chmod`, may cure it at any time: no reason for a service to end.
    pub may_pass: bool,
}

/// Why a folder cannot be used: cause and cure.
struct Refusal {
    message: String,
    may_pass: bool,
}

impl Refusal {
    /// What was asked for is no folder, and no mount makes it one.
    fn of(error: &io::Error, message: String) -> Refusal {
        Refusal {
            message,
            may_pass: error.kind() != io::ErrorKind::NotADirectory,
        }
    }
}

/// Looks whether the folders of all enabled jobs and the state directory can be
/// used. Folders that s3ferry writes into may be missing where they can be made.
/// The problems are in the file's order.
pub fn validate_folders(config: &Config) -> Vec<FolderProblem> {
    let mut problems = Vec::new();
    let mut note = |place: &Place, field: &str, result: Result<(), Refusal>| {
        problems.extend(result.err().map(|refusal| FolderProblem {
            problem: Problem {
                path: config.path.clone(),
                line: place.line,
                column: place.column,
                field: field.to_string(),
                message: refusal.message,
            },
            may_pass: refusal.may_pass,
        }));
    };
    let place = &config.places.state_dir;
    // Without it there is no lock and no memory, so nothing can begin that could wait for it.
    let needed = creatable(&config.state_dir).map_err(|refusal| Refusal {
        may_pass: false,
        ..refusal
    });
    note(place, &place.field, needed);
    if let Some(copy) = &config.state_copy {
        let place = &config.places.state_copy;
        note(place, &place.field, creatable(&copy.dir));
    }
    let enabled = |(job, _): &(&Job, &JobPlaces)| job.enabled;
    for (job, places) in config.jobs.iter().zip(&config.places.jobs).filter(enabled) {
        let place = &places.source_path;
        note(place, &place.field, source(job));
        if let AfterUpload::MoveTo(folder) = &job.after_upload {
            let place = &places.after_upload;
            let field = format!("{}.move_to", place.field);
            note(place, &field, destination(folder, job));
        }
    }
    problems.sort_by_key(|FolderProblem { problem, .. }| (problem.line, problem.column));
    problems
}

fn source(job: &Job) -> Result<(), Refusal> {
    let path = &job.source_path;
    readable(path).map_err(|error| {
        let cure = match error.kind() {
            io::ErrorKind::NotFound => "create it, or mount what holds it",
            io::ErrorKind::NotADirectory => "name the folder that holds the files",
            io::ErrorKind::PermissionDenied => "let the service's user read and enter it",
            _ => "check the disk",
        };
        let shown = quoted_path(path);
        Refusal::of(
            &error,
            format!("cannot read folder {shown}: {error}; {cure}"),
        )
    })?;
    match job.after_upload {
        AfterUpload::Keep if job.prune.is_none() => Ok(()),
        AfterUpload::Keep | AfterUpload::Delete | AfterUpload::MoveTo(_) => writable(path),
    }
}

fn destination(folder: &Path, job: &Job) -> Result<(), Refusal> {
    creatable(folder)?;
    // Links may lead back to where the files come from.
    match (fs::canonicalize(folder), fs::canonicalize(&job.source_path)) {
        (Ok(folder), Ok(source)) => match would_be_sent_again(&folder, &source, job.recursive) {
            Some(message) => Err(Refusal {
                message,
                may_pass: false,
            }),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn creatable(path: &Path) -> Result<(), Refusal> {
    // Only a missing folder is looked for further up: what is there must be usable.
    let existing = path.ancestors().find(
        |path| !matches!(fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound),
    );
    writable(existing.unwrap_or(path))
}

/// Lists one entry and looks one up, which need different permissions.
fn readable(path: &Path) -> io::Result<()> {
    if let Some(entry) = fs::read_dir(path)?.next() {
        entry?;
    }
    fs::metadata(path.join(".")).map(|_| ())
}

fn writable(path: &Path) -> Result<(), Refusal> {
    let refused = |error: io::Error| {
        let cure = match error.kind() {
            io::ErrorKind::NotFound => "create it, or mount what holds it",
            io::ErrorKind::NotADirectory => "name a folder",
            io::ErrorKind::ReadOnlyFilesystem => cure_of_read_only(),
            _ => "let the service's user write into it",
        };
        let shown = quoted_path(path);
        let message = format!("cannot write into folder {shown}: {error}; {cure}");
        Refusal::of(&error, message)
    };
    let metadata = fs::metadata(path).map_err(refused)?;
    if !metadata.is_dir() {
        return Err(refused(rustix::io::Errno::NOTDIR.into()));
    }
    access(path, Access::WRITE_OK | Access::EXEC_OK).map_err(|errno| refused(errno.into()))
}

/// Why files in `folder` would be candidates of the same job.
pub(super) fn would_be_sent_again(folder: &Path, source: &Path, recursive: bool) -> Option<String> {
    let (plain, source) = (normalised(folder), normalised(source));
    let shown = quoted_path(folder);
    if plain == source {
        Some(format!("{shown} is the source folder; name another one"))
    } else if recursive && plain.starts_with(&source) {
        Some(format!(
            "{shown} lies in the source folder, which is recursive; name one outside of it"
        ))
    } else {
        None
    }
}

/// `path` without `.`, `..` and doubled slashes, as far as that can be told without
/// looking at the disk.
pub(super) fn normalised(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}
