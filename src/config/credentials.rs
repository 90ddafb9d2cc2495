//! Keys that the configuration names, in `credentials` or, as in the seed, straight
//! among a job's fields.

use super::fields::{Field, Reported};
use super::model::{CredentialSource, Secret};
use super::secrets::Kind;
use super::section::Section;

pub(super) const CREDENTIALS_KEYS: &[&str] = &["access_key", "secret_key", "session_token"];

pub(super) fn read(job: &Section<'_>) -> Result<CredentialSource, Reported> {
    let straight = CREDENTIALS_KEYS.iter().find_map(|key| job.get(key));
    match (job.get("credentials"), straight) {
        (Some(_), Some(straight)) => {
            Err(straight.problem("stands beside `credentials`; keep one of the two"))
        }
        (Some(field), None) => {
            if !field.is_object() {
                return Err(field.unexpected(
                    "an object with `access_key` and `secret_key`; left out, the keys of the environment",
                ));
            }
            keys(&field.section(&[CREDENTIALS_KEYS])?)
        }
        (None, Some(_)) => keys(job),
        (None, None) => Ok(CredentialSource::Chain),
    }
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
