//! Whom to ask for the keys: `credentials`, or, as in the seed, keys straight among a job's fields.

use super::fields::{Field, Reported};
use super::model::{CredentialSource, Secret};
use super::secrets::Kind;
use super::section::Section;
use super::wording::any_of;

mod providers;

/// Every key that some provider has.
pub(super) const CREDENTIALS_KEYS: &[&str] = &[
    "provider",
    "access_key",
    "secret_key",
    "session_token",
    "profile",
    "config_file",
    "credentials_file",
    "command",
    "timeout",
    "role_arn",
    "external_id",
    "session_name",
    "duration",
    "source",
    "token_file",
    "region",
    "sts_endpoint",
    "endpoint",
    "role_alias",
    "thing_name",
    "certificate",
    "private_key",
    "ca_file",
];

const KEY_PAIR: &[&str] = &["access_key", "secret_key", "session_token"];

/// The providers, and the keys of each.
const PROVIDERS: &[(&str, &[&str])] = &[
    ("static", KEY_PAIR),
    ("environment", &[]),
    ("profile", &["profile", "config_file", "credentials_file"]),
    ("process", &["command", "timeout"]),
    (
        "web_identity",
        &[
            "role_arn",
            "token_file",
            "session_name",
            "duration",
            "region",
            "sts_endpoint",
            "ca_file",
        ],
    ),
    (
        "assume_role",
        &[
            "role_arn",
            "external_id",
            "session_name",
            "duration",
            "source",
            "region",
            "sts_endpoint",
            "ca_file",
        ],
    ),
    ("container", &[]),
    ("instance_metadata", &["endpoint"]),
    (
        "iot",
        &[
            "endpoint",
            "role_alias",
            "thing_name",
            "certificate",
            "private_key",
            "ca_file",
        ],
    ),
    ("systemd", KEY_PAIR),
];

pub(super) fn read(job: &Section<'_>) -> Result<CredentialSource, Reported> {
    let straight = KEY_PAIR.iter().find_map(|key| job.get(key));
    match (job.get("credentials"), straight) {
        (Some(_), Some(straight)) => {
            Err(straight.problem("stands beside `credentials`; keep one of the two"))
        }
        (Some(field), None) => source(&field),
        (None, Some(_)) => keys(job),
        (None, None) => Ok(CredentialSource::Chain),
    }
}

fn source(field: &Field<'_>) -> Result<CredentialSource, Reported> {
    if !field.is_object() {
        return Err(field.unexpected(
            "an object with `provider`, or with `access_key` and `secret_key`; left out, what AWS tools would find",
        ));
    }
    let section = field.section(&[CREDENTIALS_KEYS])?;
    let names: Vec<&str> = PROVIDERS.iter().map(|(name, _)| *name).collect();
    let chosen = section.read("provider", 0, |field| field.choice(&names))?;
    let (name, keys_of_it) = PROVIDERS[chosen];
    report_keys_of_others(&section, name, keys_of_it)?;
    match name {
        "static" => keys(&section),
        "profile" => providers::profile(&section),
        "process" => providers::process(&section),
        "web_identity" => providers::web_identity(&section),
        "assume_role" => providers::assume_role(&section),
        "container" => Ok(CredentialSource::Container),
        "instance_metadata" => providers::instance_metadata(&section),
        "iot" => providers::iot(&section),
        "systemd" => providers::systemd(&section),
        _ => Ok(CredentialSource::Environment),
    }
}

/// A key that this provider does not know would promise what does not happen.
fn report_keys_of_others(
    section: &Section<'_>,
    provider: &str,
    known: &[&str],
) -> Result<(), Reported> {
    let mut result = Ok(());
    for (key, field) in section.entries() {
        let others: Vec<&str> = PROVIDERS
            .iter()
            .filter(|(_, keys)| keys.contains(&key))
            .map(|(name, _)| *name)
            .collect();
        if !others.is_empty() && !known.contains(&key) {
            result = Err(field.problem(format!(
                "has no effect with the provider `{provider}`; it belongs to {}",
                any_of(&others)
            )));
        }
    }
    result
}

fn keys(section: &Section<'_>) -> Result<CredentialSource, Reported> {
    let access_key = section.optional("access_key", |field| key(field, Kind::AccessKey));
    let secret_key = section.optional("secret_key", secret);
    let session_token = section.optional("session_token", secret);
    let access_key = access_key.and_then(|value| {
        value.ok_or_else(|| section.missing("access_key", "give both keys, or neither"))
    });
    let secret_key = secret_key.and_then(|value| {
        value.ok_or_else(|| section.missing("secret_key", "give both keys, or neither"))
    });
    Ok(CredentialSource::Static {
        access_key: access_key?,
        secret_key: secret_key?,
        session_token: session_token?,
    })
}

fn secret(field: &Field<'_>) -> Result<Secret, Reported> {
    key(field, Kind::Secret).map(Secret::new)
}

/// Keys and tokens are visible ASCII: they stand in headers.
fn key(field: &Field<'_>, kind: Kind) -> Result<String, Reported> {
    let text = field.resolved(kind)?;
    if kind == Kind::Secret && field.as_text().is_some() {
        field.is_written_secret();
    }
    if text.value.is_empty() {
        return Err(field.problem("is empty; give the key, or leave it out"));
    }
    if !text.value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(field.problem(format!(
            "{} holds a space or a character that no key has; copy it anew",
            text.shown()
        )));
    }
    Ok(text.value)
}
