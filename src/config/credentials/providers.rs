//! What each provider is told by the configuration.

use std::time::Duration;

use super::source;
use crate::config::fields::{Field, Reported};
use crate::config::model::{
    AssumeRoleSource, CredentialSource, IotSource, ProcessSource, ProfileSource, RoleOptions,
    Secret, StsPlace, SystemdSource, WebIdentitySource,
};
use crate::config::secrets::Kind;
use crate::config::section::Section;
use crate::config::wording::quoted;
use crate::config::{names, url};
use crate::credentials::{split_command, sts_of};

pub(super) fn profile(section: &Section<'_>) -> Result<CredentialSource, Reported> {
    let profile = section.optional("profile", |field| Ok(field.resolved(Kind::Id)?.value));
    let config_file = section.optional("config_file", Field::absolute_path);
    let credentials_file = section.optional("credentials_file", Field::absolute_path);
    Ok(CredentialSource::Profile(ProfileSource {
        profile: profile?,
        config_file: config_file?,
        credentials_file: credentials_file?,
    }))
}

pub(super) fn process(section: &Section<'_>) -> Result<CredentialSource, Reported> {
    let command = needed(
        section,
        "command",
        "give the program and its arguments",
        command,
    );
    let timeout = section.read("timeout", ProcessSource::TIMEOUT, |field| {
        field.duration(
            Duration::from_secs(1)..=Duration::from_secs(600),
            "1s to 10m",
        )
    });
    Ok(CredentialSource::Process(ProcessSource {
        command: command?,
        timeout: timeout?,
    }))
}

/// A list as it stands, or one string, split as AWS tools split it. Never shown: arguments may be
/// secrets.
fn command(field: &Field<'_>) -> Result<Vec<Secret>, Reported> {
    let words: Vec<String> = match field.as_text() {
        Some(text) => split_command(text).map_err(|cause| field.problem(cause))?,
        None => {
            let words: Vec<_> = field.items()?.iter().map(argument).collect();
            words.into_iter().collect::<Result<_, _>>()?
        }
    };
    if words.first().is_none_or(String::is_empty) {
        return Err(field.problem("is empty; give the program and its arguments"));
    }
    Ok(words.into_iter().map(Secret::new).collect())
}

fn argument(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.text()?;
    if text.contains('\0') {
        return Err(field.problem("holds a NUL character; remove it"));
    }
    Ok(text.to_owned())
}

pub(super) fn web_identity(section: &Section<'_>) -> Result<CredentialSource, Reported> {
    let role_arn = section.optional("role_arn", |field| role_arn(section, field));
    let token_file = section.optional("token_file", Field::absolute_path);
    let role = role_options(section);
    let sts = sts_place(section);
    Ok(CredentialSource::WebIdentity(WebIdentitySource {
        role_arn: role_arn?,
        token_file: token_file?,
        role: role?,
        sts: sts?,
    }))
}

pub(super) fn assume_role(section: &Section<'_>) -> Result<CredentialSource, Reported> {
    let role_arn = needed(section, "role_arn", "name the role", |field| {
        role_arn(section, field)
    });
    let external_id = section.optional("external_id", word);
    let role = role_options(section);
    let sts = sts_place(section);
    let source = section.read("source", CredentialSource::Chain, source);
    Ok(CredentialSource::AssumeRole(Box::new(AssumeRoleSource {
        role_arn: role_arn?,
        external_id: external_id?,
        role: role?,
        sts: sts?,
        source: source?,
    })))
}

/// A role of AWS, unless STS is another store's.
fn role_arn(section: &Section<'_>, field: &Field<'_>) -> Result<String, Reported> {
    let text = field.resolved(Kind::Id)?;
    let own = section.get("sts_endpoint").is_some();
    if names::is_role_arn(&text.value, sts_of(field.reading.env, own)) {
        return Ok(text.value);
    }
    Err(field.problem(format!(
        "{} is not the ARN of a role; {}",
        text.shown(),
        names::ROLE_FORM
    )))
}

fn role_options(section: &Section<'_>) -> Result<RoleOptions, Reported> {
    let session_name = section.optional("session_name", session_name);
    let duration = section.optional("duration", |field| {
        field.duration(
            Duration::from_secs(15 * 60)..=Duration::from_secs(12 * 3600),
            "15m to 12h",
        )
    });
    Ok(RoleOptions {
        session_name: session_name?,
        duration: duration?,
    })
}

fn session_name(field: &Field<'_>) -> Result<String, Reported> {
    let name = word(field)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if (2..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(name);
    }
    Err(field.problem(format!(
        "{} is no session's name; use 2 to 64 letters, digits and `_+=,.@-`",
        quoted(&name)
    )))
}

fn sts_place(section: &Section<'_>) -> Result<StsPlace, Reported> {
    let region = section.optional("region", |field| {
        let region = word(field)?;
        if names::is_aws_region(&region) {
            return Ok(region);
        }
        Err(field.problem(format!(
            "{} is not a region of AWS; write it like `eu-west-2`",
            quoted(&region)
        )))
    });
    let endpoint = section.optional("sts_endpoint", origin);
    let ca_file = section.optional("ca_file", Field::absolute_path);
    Ok(StsPlace {
        region: region?,
        endpoint: endpoint?,
        ca_file: ca_file?,
    })
}

pub(super) fn instance_metadata(section: &Section<'_>) -> Result<CredentialSource, Reported> {
    Ok(CredentialSource::InstanceMetadata {
        endpoint: section.optional("endpoint", origin)?,
    })
}

pub(super) fn iot(section: &Section<'_>) -> Result<CredentialSource, Reported> {
    let endpoint = needed(
        section,
        "endpoint",
        "ask `aws iot describe-endpoint --endpoint-type iot:CredentialProvider` for it",
        iot_endpoint,
    );
    let role_alias = needed(
        section,
        "role_alias",
        "name the role alias of AWS IoT",
        word,
    );
    let thing_name = section.optional("thing_name", word);
    let file = |key, cure| needed(section, key, cure, Field::absolute_path);
    let certificate = file("certificate", "name the file of the device's certificate");
    let private_key = file(
        "private_key",
        "name the file of the certificate's private key",
    );
    let ca_file = section.optional("ca_file", Field::absolute_path);
    Ok(CredentialSource::Iot(Box::new(IotSource {
        endpoint: endpoint?,
        role_alias: role_alias?,
        thing_name: thing_name?,
        certificate: certificate?,
        private_key: private_key?,
        ca_file: ca_file?,
    })))
}

/// A host, as AWS hands it out, or a URL.
fn iot_endpoint(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.resolved(Kind::Id)?;
    let url = if text.value.contains("://") {
        text.value.clone()
    } else {
        format!("https://{}", text.value)
    };
    let origin = url::http_origin(&url)
        .map_err(|cause| field.problem(format!("{} {cause}", text.shown())))?;
    if !origin.starts_with("https://") {
        return Err(field.problem("a certificate is shown over TLS alone; use `https://`"));
    }
    if origin.contains("-ats.iot.") {
        return Err(field.problem(format!(
            "{} is the endpoint for messages; ask `aws iot describe-endpoint --endpoint-type iot:CredentialProvider` for the other one",
            text.shown()
        )));
    }
    Ok(origin)
}

pub(super) fn systemd(section: &Section<'_>) -> Result<CredentialSource, Reported> {
    let access_key = section.read("access_key", "access_key".to_owned(), credential_name);
    let secret_key = section.read("secret_key", "secret_key".to_owned(), credential_name);
    let session_token = section.optional("session_token", credential_name);
    Ok(CredentialSource::Systemd(SystemdSource {
        access_key: access_key?,
        secret_key: secret_key?,
        session_token: session_token?,
    }))
}

/// Not shown: a key is easily put where its credential's name belongs.
fn credential_name(field: &Field<'_>) -> Result<String, Reported> {
    let name = field.text()?;
    let wrong = name.is_empty()
        || name.len() > 255
        || matches!(name, "." | "..")
        || name.contains(['/', '\0', ':']);
    if wrong {
        return Err(field.problem(
            "this is not the name of a credential of systemd; give the one that stands in `LoadCredential=`",
        ));
    }
    Ok(name.to_owned())
}

fn needed<'a, T>(
    section: &Section<'a>,
    key: &str,
    cure: &str,
    read: impl FnOnce(&Field<'a>) -> Result<T, Reported>,
) -> Result<T, Reported> {
    match section.get(key) {
        Some(field) => read(&field),
        None => Err(section.missing(key, cure)),
    }
}

/// Visible ASCII without spaces, from here or elsewhere: names, ids and ARNs.
fn word(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.resolved(Kind::Id)?;
    if !text.value.is_empty() && text.value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.value);
    }
    Err(field.problem(format!(
        "{} is empty, or holds a space or a character that does not belong there; copy it anew",
        text.shown()
    )))
}

fn origin(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.resolved(Kind::Id)?;
    url::http_origin(&text.value)
        .map_err(|cause| field.problem(format!("{} {cause}", text.shown())))
}
