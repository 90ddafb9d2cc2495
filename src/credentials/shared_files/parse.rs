//! The text of the shared files, by the rules that AWS's tools agree upon.

use std::collections::BTreeMap;
use std::path::Path;

/// Which of the two files: their sections are named differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `[profile x]` and `[default]`, `[services x]`.
    Config,
    /// `[x]`
    Credentials,
}

/// A line that no tool would take. Never holds the line, which may be a secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// From 1.
    pub line: usize,
    pub cause: &'static str,
}

/// Names in lower case.
pub(super) type Properties = BTreeMap<String, String>;

/// The profiles of both files, the credentials file's properties before the other's.
#[derive(Default)]
pub(super) struct Profiles {
    profiles: BTreeMap<String, Properties>,
    /// `[services x]`
    services: BTreeMap<String, Properties>,
    /// `FILE:LINE` of each property, by profile and name.
    places: BTreeMap<(String, String), String>,
    /// `default` was given as `[profile default]`, which goes before `[default]`.
    prefixed_default: bool,
}

/// Where the properties of a section go.
enum Section {
    Profile(String),
    Services(String),
    Ignored,
}

const SECRETS: [&str; 2] = ["aws_secret_access_key", "aws_session_token"];

impl Profiles {
    pub fn get(&self, name: &str) -> Option<&Properties> {
        self.profiles.get(name)
    }

    #[cfg(test)]
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    /// `FILE:LINE` of a property.
    pub fn place(&self, profile: &str, property: &str) -> Option<&str> {
        let place = (profile.to_owned(), property.to_owned());
        self.places.get(&place).map(String::as_str)
    }

    pub fn service(&self, name: &str) -> Option<&Properties> {
        self.services.get(name)
    }

    /// Whether the profile is there with something that leads to keys.
    pub fn has_credentials(&self, name: &str) -> bool {
        const LEADING: [&str; 8] = [
            "aws_access_key_id",
            "aws_secret_access_key",
            "role_arn",
            "credential_process",
            "web_identity_token_file",
            "sso_session",
            "sso_start_url",
            "login_session",
        ];
        self.get(name)
            .is_some_and(|found| LEADING.iter().any(|key| found.contains_key(*key)))
    }

    /// Adds a file; the config file first. True when a secret is in it.
    pub fn add(&mut self, kind: Kind, path: &Path, text: &str) -> Result<bool, SyntaxError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut section: Option<Section> = None;
        let mut property: Option<String> = None;
        let mut secrets = false;
        for (index, line) in text.lines().enumerate() {
            let wrong = |cause| SyntaxError {
                line: index + 1,
                cause,
            };
            if line.trim().is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                section = Some(self.begin(kind, section_name(rest).map_err(wrong)?));
                property = None;
                continue;
            }
            let Some(section) = &section else {
                return Err(wrong("stands before the first `[section]`"));
            };
            if line.starts_with([' ', '\t']) {
                let name = property.as_deref().ok_or_else(|| {
                    wrong("is indented, and there is no property that it goes on")
                })?;
                self.go_on(section, name, line.trim()).map_err(wrong)?;
                continue;
            }
            let (name, value) = split(line).map_err(wrong)?;
            secrets |= SECRETS.contains(&name.as_str()) && !value.is_empty();
            if is_name(&name)
                && let Some(properties) = self.properties(section)
            {
                properties.insert(name.clone(), value);
                if let Section::Profile(profile) = section {
                    let place = format!("{}:{}", path.display(), index + 1);
                    self.places.insert((profile.clone(), name.clone()), place);
                }
            }
            property = Some(name);
        }
        Ok(secrets)
    }

    fn begin(&mut self, kind: Kind, name: &str) -> Section {
        let (prefix, rest) = match name.split_once([' ', '\t']) {
            Some((prefix, rest)) => (Some(prefix), unquoted(rest.trim())),
            None => (None, name),
        };
        if !is_name(rest) {
            return Section::Ignored;
        }
        match (kind, prefix) {
            (Kind::Credentials, None) => {}
            (Kind::Config, None) if rest == "default" && !self.prefixed_default => {}
            (Kind::Config, Some("profile")) => {
                if rest == "default" && !std::mem::replace(&mut self.prefixed_default, true) {
                    self.profiles.remove("default");
                }
            }
            (Kind::Config, Some("services")) => {
                self.services.entry(rest.to_owned()).or_default();
                return Section::Services(rest.to_owned());
            }
            _ => return Section::Ignored,
        }
        self.profiles.entry(rest.to_owned()).or_default();
        Section::Profile(rest.to_owned())
    }

    fn properties(&mut self, section: &Section) -> Option<&mut Properties> {
        match section {
            Section::Profile(name) => self.profiles.get_mut(name),
            Section::Services(name) => self.services.get_mut(name),
            Section::Ignored => None,
        }
    }

    /// A further line of a value. Below a value that is empty stand properties of its own.
    fn go_on(&mut self, section: &Section, name: &str, line: &str) -> Result<(), &'static str> {
        let Some(value) = self
            .properties(section)
            .and_then(|found| found.get_mut(name))
        else {
            return Ok(());
        };
        if value.is_empty() || value.starts_with('\n') {
            sub_property(line)?;
        }
        value.push('\n');
        value.push_str(line);
        Ok(())
    }
}

/// `name = value` of a line below a property.
pub(super) fn sub_property(line: &str) -> Result<(&str, &str), &'static str> {
    match line.split_once('=') {
        Some((name, _)) if name.trim().is_empty() => Err("has no name before its `=`"),
        Some((name, value)) => Ok((name.trim(), value.trim())),
        None => Err("has no `=`"),
    }
}

/// What stands between the brackets; a comment may follow.
fn section_name(rest: &str) -> Result<&str, &'static str> {
    let Some((name, after)) = rest.split_once(']') else {
        return Err("has no `]` at its end");
    };
    match after.trim_start().chars().next() {
        None | Some('#' | ';') => Ok(name.trim()),
        Some(_) => Err("has more than a comment after its `]`"),
    }
}

/// Name and value; a comment after white space is none of the value's.
fn split(line: &str) -> Result<(String, String), &'static str> {
    let (name, value) = line.split_once('=').ok_or("has no `=`")?;
    let name = name.trim();
    if name.is_empty() {
        return Err("has no name before its `=`");
    }
    let comment = value
        .char_indices()
        .zip(value.chars().skip(1))
        .find(|((_, before), c)| matches!(before, ' ' | '\t') && matches!(c, '#' | ';'))
        .map(|((at, _), _)| at);
    let value = &value[..comment.unwrap_or(value.len())];
    Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// The letters that names of profiles and properties have.
fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_/.%@:+".contains(c);
    !name.is_empty() && name.chars().all(allowed)
}

/// `aws configure` writes names with odd characters in quotes.
fn unquoted(name: &str) -> &str {
    let inner = |quote| name.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(name)
}
