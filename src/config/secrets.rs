//! Values that may stand elsewhere: `{"env": "NAME"}` and `{"file": "/path"}`.
//!
//! Whatever comes from there, or is a secret, is never shown: a mistaken path could
//! put the content of a key file into a message.

use std::path::{Component, Path, PathBuf};

use super::fields::{Field, Reported};
use super::files::{self, Links};
use super::wording::{quoted, quoted_path, shell_word};

/// The keys of a value that stands elsewhere.
pub(super) const ELSEWHERE_KEYS: &[&str] = &["env", "file"];

/// Longer files are no secret and no id.
const FILE_LIMIT: u64 = 64 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// May be shown, and its file may be readable by everyone.
    Id,
    /// Is not shown, as one half of a key pair, but its file may be open.
    AccessKey,
    /// Is not shown, and its file must be the owner's alone.
    Secret,
}

/// A value and what may be said about it.
pub(super) struct Text {
    pub value: String,
    shown: String,
}

impl Text {
    /// The value in backticks where it stands in the file itself and is no secret;
    /// otherwise where it comes from.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl Field<'_> {
    /// The string that stands here, or in the variable or file that is named here.
    pub fn resolved(&self, kind: Kind) -> Result<Text, Reported> {
        if !self.is_object() {
            return self.written(kind);
        }
        let section = self.section(&[ELSEWHERE_KEYS])?;
        let (text, field) = match (section.get("env"), section.get("file")) {
            (Some(name), None) => (from_environment(&name)?, name),
            (None, Some(path)) => (from_file(&path, kind)?, path),
            (Some(_), Some(_)) => {
                return Err(self.problem("`env` and `file` exclude each other; keep one"));
            }
            (None, None) => {
                return Err(self.problem(
                    "names no source; write `{\"env\": \"NAME\"}` or `{\"file\": \"/path\"}`",
                ));
            }
        };
        checked(&field, text)
    }

    /// The bytes that stand here, or in the variable or file that is named here: a file may hold any.
    pub fn resolved_bytes(&self, kind: Kind) -> Result<Vec<u8>, Reported> {
        if self.is_object() {
            let section = self.section(&[ELSEWHERE_KEYS])?;
            if let (Some(path), None) = (section.get("file"), section.get("env")) {
                let (_, bytes) = bytes_of_file(&path, kind)?;
                return Ok(bytes);
            }
        }
        Ok(self.resolved(kind)?.value.into_bytes())
    }

    fn written(&self, kind: Kind) -> Result<Text, Reported> {
        let Some(value) = self.as_text() else {
            return Err(
                self.unexpected("a string, `{\"env\": \"NAME\"}` or `{\"file\": \"/path\"}`")
            );
        };
        let shown = match kind {
            Kind::Id => quoted(value),
            Kind::AccessKey | Kind::Secret => "the value".to_string(),
        };
        let value = value.to_string();
        checked(self, Text { value, shown })
    }
}

/// No value that stands elsewhere may be empty or hold a line break: it goes into
/// headers and URLs.
fn checked(field: &Field<'_>, text: Text) -> Result<Text, Reported> {
    if text.value.chars().any(char::is_control) {
        return Err(field.problem(format!(
            "{} holds a line break or another control character; remove it",
            text.shown
        )));
    }
    Ok(text)
}

fn from_environment(field: &Field<'_>) -> Result<Text, Reported> {
    let name = field.text()?;
    let well_formed = !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !well_formed {
        // Not shown: a secret is easily put where its variable's name belongs.
        return Err(field.problem(
            "this is not the name of an environment variable; use letters, digits and `_`",
        ));
    }
    let value = (field.reading.env)(name).filter(|value| !value.is_empty());
    match value {
        Some(value) => Ok(Text {
            value,
            shown: format!("the value of the environment variable `{name}`"),
        }),
        None => Err(field.problem(format!(
            "the environment variable `{name}` is not set or empty; set it for the service"
        ))),
    }
}

fn from_file(field: &Field<'_>, kind: Kind) -> Result<Text, Reported> {
    let (path, bytes) = bytes_of_file(field, kind)?;
    let value = text_of(&path, bytes).map_err(|message| field.problem(message))?;
    Ok(Text {
        value,
        shown: format!("the content of {}", quoted_path(&path)),
    })
}

fn bytes_of_file(field: &Field<'_>, kind: Kind) -> Result<(PathBuf, Vec<u8>), Reported> {
    let text = field.text()?;
    if !text.starts_with('/') || text.contains('\0') {
        // Not shown: a secret is easily put where its file's path belongs.
        return Err(field.problem("this is not an absolute path; begin it with `/`"));
    }
    let path = PathBuf::from(text);
    let bytes = read_file(field, &path, kind).map_err(|message| field.problem(message))?;
    Ok((path, bytes))
}

fn read_file(field: &Field<'_>, path: &Path, kind: Kind) -> Result<Vec<u8>, String> {
    if kind == Kind::Secret {
        let folder = (field.reading.env)("CREDENTIALS_DIRECTORY");
        return read_private(path, folder.as_deref());
    }
    files::open(path, Links::Follow)?.read(path, FILE_LIMIT)
}

/// The text of a file that is its owner's alone, or below systemd's folder for credentials, without
/// its line end. Errors are sentences with the path in them.
pub(crate) fn read_secret(path: &Path, credentials_folder: Option<&str>) -> Result<String, String> {
    text_of(path, read_private(path, credentials_folder)?)
}

fn read_private(path: &Path, credentials_folder: Option<&str>) -> Result<Vec<u8>, String> {
    let opened = files::open(path, Links::Refuse)?;
    owner_only(path, opened.mode, credentials_folder)?;
    opened.read(path, FILE_LIMIT)
}

fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, String> {
    let mut value =
        String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text", quoted_path(path)))?;
    // One line end, as every editor leaves it; more is part of the value.
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    if value.is_empty() {
        return Err(format!("{} is empty", quoted_path(path)));
    }
    Ok(value)
}

/// Refuses a secret's file that others may read, with the command that mends it.
///
/// systemd hands credentials to a service with 0440, in a folder of the service's own.
pub(crate) fn owner_only(
    path: &Path,
    mode: u32,
    credentials_folder: Option<&str>,
) -> Result<(), String> {
    let below = credentials_folder.is_some_and(|folder| is_below(path, Path::new(folder)));
    let refused = if below { 0o037 } else { 0o077 };
    if mode & refused == 0 {
        return Ok(());
    }
    Err(format!(
        "{} is open to others than its owner (mode {mode:04o}); run `chmod 600 {}`",
        quoted_path(path),
        shell_word(path)
    ))
}

fn is_below(path: &Path, folder: &Path) -> bool {
    let climbs = path
        .components()
        .any(|component| component == Component::ParentDir);
    folder.is_absolute() && folder.parent().is_some() && !climbs && path.starts_with(folder)
}
