//! `~/.aws/config` and `~/.aws/credentials`, which AWS's tools share.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>

mod parse;
mod resolve;

use std::io;
use std::path::{Path, PathBuf};

use super::{Context, CredentialError, Env, Fetched, variable};
use crate::config::files::{self, Links};
use crate::config::model::{CredentialSource, ProfileSource};
use crate::config::secrets::owner_only;
use parse::{Kind, Profiles};

const NAME: &str = "shared files";
/// Larger files are nobody's profiles.
const FILE_LIMIT: u64 = 256 * 1024;

const ABSENT_HINT: &str = "make one of the files, or name it in `config_file` or `credentials_file`; HOME is that of the service";
const FILE_HINT: &str = "correct the file as AWS's tools would have it";
const MODE_HINT: &str = "a file with keys in it is its owner's alone";
const PROFILE_HINT: &str = "name a profile that is there, in `profile` or AWS_PROFILE";

pub(super) fn fetch(
    context: &Context<'_>,
    source: &ProfileSource,
) -> Result<Fetched, CredentialError> {
    let (profile, resolved) = resolve(context.env, source)?;
    let fetched = super::fetch(context, &resolved).map_err(CredentialError::final_one)?;
    let from = match resolved {
        CredentialSource::Static { .. } => format!("profile `{profile}`"),
        _ => format!("profile `{profile}`, which leads to {}", fetched.from),
    };
    Ok(Fetched { from, ..fetched })
}

/// The profile's name, and the source that it amounts to. Absent where nobody asks for a profile by
/// name and `default` has nothing.
pub(super) fn resolve(
    env: &Env<'_>,
    source: &ProfileSource,
) -> Result<(String, CredentialSource), CredentialError> {
    let named = source
        .profile
        .clone()
        .or_else(|| variable(env, "AWS_PROFILE"))
        .or_else(|| variable(env, "AWS_DEFAULT_PROFILE"));
    let wanted = named.as_deref().unwrap_or("default");
    let explicit = *source != ProfileSource::default();
    let profiles = match read(env, source) {
        Err(error) if error.is_absent() && named.is_some() => return Err(error.final_one()),
        other => other?,
    };
    if named.is_none() && !explicit && !profiles.has_credentials("default") {
        let reason = "there is no profile `default` with credentials";
        return Err(CredentialError::absent(NAME, reason));
    }
    let resolved = resolve::resolve(env, &profiles, wanted)?;
    Ok((wanted.to_owned(), resolved))
}

/// Both files; absent where there is neither.
fn read(env: &Env<'_>, source: &ProfileSource) -> Result<Profiles, CredentialError> {
    let mut profiles = Profiles::default();
    let mut missing = Vec::new();
    for (kind, configured, variable_name, name) in [
        (
            Kind::Config,
            &source.config_file,
            "AWS_CONFIG_FILE",
            "config",
        ),
        (
            Kind::Credentials,
            &source.credentials_file,
            "AWS_SHARED_CREDENTIALS_FILE",
            "credentials",
        ),
    ] {
        let path = match configured {
            Some(path) => path.clone(),
            None => match place(env, variable_name, name) {
                Ok(path) => path,
                Err(reason) => {
                    missing.push(reason.to_owned());
                    continue;
                }
            },
        };
        if configured.is_none() && is_missing(&path) {
            missing.push(format!("`{}` is not there", path.display()));
            continue;
        }
        read_one(&mut profiles, kind, &path)?;
    }
    if missing.len() == 2 {
        missing.dedup();
        let error = CredentialError::absent(NAME, missing.join(", "));
        return Err(error.cured_by(ABSENT_HINT));
    }
    Ok(profiles)
}

fn is_missing(path: &Path) -> bool {
    matches!(std::fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn place(env: &Env<'_>, variable_name: &str, name: &str) -> Result<PathBuf, &'static str> {
    let home = || {
        variable(env, "HOME")
            .map(PathBuf::from)
            .ok_or("HOME is not set")
    };
    match variable(env, variable_name) {
        Some(path) => match path.strip_prefix("~/") {
            Some(below) => Ok(home()?.join(below)),
            None => Ok(PathBuf::from(path)),
        },
        None => Ok(home()?.join(".aws").join(name)),
    }
}

/// A link is followed, as AWS's tools do; the mode is that of the very file, and matters where
/// there is a secret in it.
fn read_one(profiles: &mut Profiles, kind: Kind, path: &Path) -> Result<(), CredentialError> {
    let wrong = |reason: String| CredentialError::misconfigured(NAME, reason, FILE_HINT);
    let opened = files::open(path, Links::Follow).map_err(wrong)?;
    let mode = opened.mode;
    let bytes = opened.read(path, FILE_LIMIT).map_err(wrong)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| wrong(format!("`{}` is not UTF-8 text", path.display())))?;
    let secrets = profiles.add(kind, path, text).map_err(|error| {
        wrong(format!(
            "{}:{}: {}",
            path.display(),
            error.line,
            error.cause
        ))
    })?;
    if secrets {
        owner_only(path, mode, None)
            .map_err(|reason| CredentialError::misconfigured(NAME, reason, MODE_HINT))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
