//! The configuration: from a file's text to values that need no further checks.
//!
//! A wrong configuration is found by somebody in front of a small box far away, so
//! everything that is wrong is said at once, each with its place and its cure, and
//! no key is ever ignored. The way is: text → a tree that knows its places
//! (`json`) → checked values ([`model`]). Reading takes no decision about the
//! machine that it runs on, but for the secrets and ids that stand elsewhere;
//! [`validate_folders`] and [`validate_certificates`] look at the disk.

pub(crate) mod aws;
mod certificates;
mod credentials;
mod customer_key;
mod destination;
mod fields;
pub(crate) mod files;
mod folders;
mod host;
mod job;
mod json;
pub mod model;
pub(crate) mod names;
mod object;
mod object_lock;
mod problem;
mod proxy;
mod salvage;
pub(crate) mod secrets;
mod section;
mod settings;
mod space;
mod transfer;
pub mod units;
pub(crate) mod url;
pub(crate) mod wording;

pub use certificates::{CertificateProblem, refuse_certificates, validate_certificates};
pub use folders::{FolderProblem, validate_folders};
pub use model::*;
pub use problem::{ConfigError, Problem};
pub use proxy::parse as parse_proxy;
pub use salvage::{Salvaged, salvage};
pub(crate) use secrets::owner_only;

use std::path::Path;

use fields::{Field, Reading};
use files::Links;
use problem::Lines;
use wording::{quoted_path, shell_word};

use crate::clock;
use crate::transport::time_floor;

/// A larger file is no configuration.
const FILE_LIMIT: u64 = 1 << 20;

const NO_FILE: &str =
    "there is no such file; create it, or name another with `-c` or `$S3FERRY_CONFIG`";

/// Reads and checks the file at `path`, which is at most 1 MiB of UTF-8. `env` looks
/// a variable of the environment up.
///
/// # Errors
/// Everything that is wrong, in the file's order.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    // The path stands before the message.
    let unreadable = |message: String| whole_file(path, message.replace(&quoted_path(path), "it"));
    let opened = files::open(path, Links::Follow).map_err(|message| match path.try_exists() {
        Ok(false) => whole_file(path, NO_FILE.to_string()),
        _ => unreadable(message),
    })?;
    let mode = opened.mode;
    let bytes = opened.read(path, FILE_LIMIT).map_err(unreadable)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| not_utf8(path, &bytes, error))?;
    let (mut config, secrets) = read(text, path, env)?;
    if mode & 0o077 != 0 {
        let warning = |place| exposed(path, mode, place);
        config.warnings.extend(secrets.iter().map(warning));
    }
    let shared = jobs_with_common_keys(&config);
    config.warnings.extend(shared);
    let over = object_lock::past_dates(&config, clock::wall().max(time_floor()));
    config.warnings.extend(over);
    Ok(config)
}

/// Checks a file's text; `path` is for messages only. No warnings: they need the
/// file itself.
///
/// # Errors
/// Everything that is wrong, in the file's order; a mistake in the JSON alone.
pub fn parse(
    text: &str,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    read(text, path, env).map(|(config, _)| config)
}

/// The configuration and the places of secrets that stand in the file itself.
fn read(
    text: &str,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(Config, Vec<Place>), ConfigError> {
    let tree =
        json::read(text).map_err(|error| at_offset(path, text, error.offset, error.message))?;
    let reading = Reading::new(path, text, env);
    let config = settings::read(path, &Field::new(&reading, String::new(), &tree));
    let (problems, secrets) = reading.finish();
    match config {
        Ok(config) if problems.is_empty() => Ok((config, secrets)),
        _ => Err(ConfigError { problems }),
    }
}

fn exposed(path: &Path, mode: u32, place: &Place) -> String {
    let command = format!("chmod 600 {}", shell_word(path));
    let path = path.display();
    format!(
        "{path}:{}:{}: {}: a secret in a file that others than its owner can open (mode {mode:04o}); \
         run `{command}`, or keep the secret in a file of its own",
        place.line, place.column, place.field
    )
}

fn not_utf8(path: &Path, bytes: &[u8], error: std::str::Utf8Error) -> ConfigError {
    let end = error.valid_up_to();
    // The bytes up to there are valid, so nothing is replaced.
    let valid = String::from_utf8_lossy(&bytes[..end]);
    at_offset(
        path,
        &valid,
        end,
        "not UTF-8; save the file as UTF-8".to_string(),
    )
}

fn at_offset(path: &Path, text: &str, offset: usize, message: String) -> ConfigError {
    let (line, column) = Lines::of(text).position(offset);
    let mut error = whole_file(path, message);
    for problem in &mut error.problems {
        (problem.line, problem.column) = (line, column);
    }
    error
}

fn whole_file(path: &Path, message: String) -> ConfigError {
    ConfigError {
        problems: vec![Problem {
            path: path.to_path_buf(),
            line: 0,
            column: 0,
            field: String::new(),
            message,
        }],
    }
}

#[cfg(test)]
mod tests;

/// Jobs that may replace each other's objects, where a key does not tell whose file it is.
fn jobs_with_common_keys(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, job) in config.jobs.iter().enumerate() {
        let place = &job.destination;
        let earlier = config.jobs[..index].iter().find(|other| {
            (
                &other.destination.host,
                other.destination.port,
                &other.prefix,
            ) == (&place.host, place.port, &job.prefix)
                && (&other.destination.bucket, &other.destination.base_path)
                    == (&place.bucket, &place.base_path)
        });
        let (Some(other), IfExists::Overwrite) = (earlier, job.object.if_exists) else {
            continue;
        };
        let at = &config.places.jobs[index].source_path;
        let warning = Problem {
            path: config.path.clone(),
            line: at.line,
            column: at.column,
            field: at.field.replace("source_path", "prefix"),
            message: format!(
                "job `{}` sends to the same bucket and prefix as job `{}`: files of one name replace each other's objects; give each a `prefix`, or set `object.if_exists`",
                job.name, other.name
            ),
        };
        warnings.push(warning.to_string());
    }
    warnings
}
