//! The file itself, the folders that it names, and the log.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use super::report::{About, Report};
use crate::cli::exit;
use crate::config::{self, Config, Place, Problem};
use crate::os::durable::{cure_of_folder, try_to_write};
use crate::processing_state::ProcessingStates;
use crate::record::copy::own_files;
use crate::status::{ALL_PAUSED, RESUME};

/// A few lines of every file.
const TRIAL: u64 = 16 * 1024;

pub fn check(config: &Config, report: &mut Report) {
    let mut about = report.about(None);
    let shown = config.path.display();
    about.ok("configuration", format!("`{shown}` is right"));
    for warning in &config.warnings {
        about.warn("configuration", warning.as_str(), None);
    }
    folders(config, &mut about);
    let states = ProcessingStates::load(&config.state_dir).unwrap_or_default();
    if let Some(damage) = states.damage() {
        let message = format!("{ALL_PAUSED} ({damage})");
        about.fail("processing", message, Some(RESUME), exit::LOCAL);
    }
    if let Some(file) = &config.log.file {
        log_file(file, config.log.rotation.files, &mut about);
    }
}

fn folders(config: &Config, about: &mut About<'_>) {
    let places = &config.places;
    let copy = config.state_copy.as_ref();
    let mut own = vec![("state_dir", &places.state_dir, &config.state_dir)];
    own.extend(copy.map(|copy| ("state_copy", &places.state_copy, &copy.dir)));
    let problems = config::validate_folders(config);
    let mut fine = problems.is_empty();
    for problem in problems.iter().map(|found| &found.problem) {
        let known = own
            .iter()
            .find(|(_, place, _)| place.field == problem.field);
        let (step, code) = match known {
            Some((step, ..)) => (*step, exit::LOCAL),
            None => ("folders", exit::CONFIGURATION),
        };
        about.fail(step, problem.to_string(), None, code);
    }
    let is_known = |place: &Place| problems.iter().any(|p| p.problem.field == place.field);
    for (step, place, folder) in own.iter().filter(|(_, place, _)| !is_known(place)) {
        let length = TRIAL
            + fs::metadata(config.state_dir.join("ledger.jsonl")).map_or(0, |file| file.len());
        if let Err(error) = try_to_write(folder, length).and_then(|()| own_files(folder)) {
            fine = false;
            let message = unusable(config, place, folder, &error);
            about.fail(step, message, Some(cure(&error)), exit::LOCAL);
        }
    }
    if !fine {
        return;
    }
    let disabled: Vec<&str> = (config.jobs.iter().filter(|job| !job.enabled))
        .map(|job| job.name.as_str())
        .collect();
    let mut message = "all of them can be used as they are meant".to_owned();
    if !disabled.is_empty() {
        message += &format!(
            "; not looked at: those of the disabled {}",
            disabled.join(", ")
        );
    }
    about.ok("folders", message);
}

fn unusable(config: &Config, place: &Place, folder: &Path, error: &io::Error) -> String {
    let problem = Problem {
        path: config.path.clone(),
        line: place.line,
        column: place.column,
        field: place.field.clone(),
        message: format!("nothing can be written in `{}`: {error}", folder.display()),
    };
    problem.to_string()
}

/// Some file systems that are not on a disk say so of every new name.
fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "name a folder on a disk, or on a tmpfs",
        _ => cure_of_folder(error),
    }
}

/// The service runs without the file, so what is wrong with it is a warning.
fn log_file(file: &Path, files: u32, about: &mut About<'_>) {
    let shown = file.display();
    let folder = file.parent().unwrap_or(file);
    let result = match fs::metadata(file) {
        Ok(found) if found.is_dir() => Err(rustix::io::Errno::ISDIR.into()),
        // A pipe would wait for its reader.
        Ok(found) if !found.is_file() => access(file, Access::WRITE_OK).map_err(io::Error::from),
        Ok(_) => OpenOptions::new().append(true).open(file).map(|_| ()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(error) if !folder.is_dir() => Err(error),
        Err(_) => try_to_write(folder, TRIAL),
    };
    match result {
        Err(error) => {
            let message = format!("`{shown}` cannot be written: {error}; nothing is logged there");
            let cure = match error.kind() {
                io::ErrorKind::NotFound if !folder.is_dir() => {
                    "create the folder that it is to be in"
                }
                io::ErrorKind::IsADirectory => "name a file",
                _ => cure(&error),
            };
            about.warn("log.file", message, Some(cure));
        }
        Ok(()) if files > 1 && file.is_file() && try_to_write(folder, TRIAL).is_err() => {
            let message = format!(
                "`{shown}` can be written, but not renamed: it grows beyond `log.max_size`"
            );
            let cure = "let the service's user write its folder";
            about.warn("log.file", message, Some(cure));
        }
        Ok(()) => about.ok("log.file", format!("`{shown}` can be written")),
    }
}
