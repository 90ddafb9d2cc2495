//! Keys in JSON, as metadata services, containers, processes and AWS IoT hand them out.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{CredentialError, Fetched, Keys};
use crate::config::model::Secret;

/// Longer answers are not read.
pub(super) const LIMIT: usize = 64 * 1024;

const SERVICE_HINT: &str =
    "something else answers there: correct the endpoint, or mend what hands out the keys";
pub(super) const PROCESS_HINT: &str = "let the program print JSON: `Version` 1, `AccessKeyId`, `SecretAccessKey`, and `SessionToken` and `Expiration` where there are";

/// What the members are called, and what helps where they are not there.
pub(super) struct Names {
    pub access_key: &'static str,
    pub secret_key: &'static str,
    pub token: &'static str,
    pub expiration: &'static str,
    pub hint: &'static str,
}

/// Instance metadata and containers.
pub(super) const METADATA: Names = Names {
    access_key: "AccessKeyId",
    secret_key: "SecretAccessKey",
    token: "Token",
    expiration: "Expiration",
    hint: SERVICE_HINT,
};

pub(super) const PROCESS: Names = Names {
    token: "SessionToken",
    hint: PROCESS_HINT,
    ..METADATA
};

pub(super) const IOT: Names = Names {
    access_key: "accessKeyId",
    secret_key: "secretAccessKey",
    token: "sessionToken",
    expiration: "expiration",
    hint: SERVICE_HINT,
};

/// The object that an answer is. Nothing of a wrong one is shown, since it may hold keys.
pub(super) fn object(
    provider: &'static str,
    body: &[u8],
    names: &Names,
) -> Result<Map<String, Value>, CredentialError> {
    serde_json::from_slice(body).map_err(|_| {
        CredentialError::misconfigured(provider, "the answer is no JSON object", names.hint)
    })
}

/// The keys in `object`; token and expiration may be missing or null.
pub(super) fn keys(
    provider: &'static str,
    object: &Map<String, Value>,
    names: &Names,
    from: impl Into<String>,
) -> Result<Fetched, CredentialError> {
    let wrong = |name: &str, what: &str| {
        CredentialError::misconfigured(
            provider,
            format!("`{name}` in the answer {what}"),
            names.hint,
        )
    };
    let text = |name: &'static str| match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong(name, "is no string")),
    };
    let key = |name| match text(name)? {
        Some(key) if !is_key(&key) => Err(wrong(name, "is no key")),
        found => Ok(found),
    };
    let needed = |name| key(name)?.ok_or_else(|| wrong(name, "is missing"));
    let expires = match text(names.expiration)? {
        Some(text) => Some(expiration(&text).ok_or_else(|| wrong(names.expiration, "is no time"))?),
        None => None,
    };
    Ok(Fetched {
        keys: Keys {
            access_key: needed(names.access_key)?,
            secret_key: Secret::new(needed(names.secret_key)?),
            session_token: key(names.token)?.map(Secret::new),
        },
        expires,
        from: from.into(),
    })
}

/// Visible ASCII: keys and tokens stand in headers.
pub(super) fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// RFC 3339 with any offset.
pub(super) fn expiration(text: &str) -> Option<OffsetDateTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    time.checked_to_offset(time::UtcOffset::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Access key, token and expiration, or the reason.
    fn check(names: &Names, body: &str, expected: &str) {
        let got = object("test", body.as_bytes(), names)
            .and_then(|object| keys("test", &object, names, "test"))
            .map(|found| {
                let token = found.keys.session_token;
                format!(
                    "{} {} {}",
                    found.keys.access_key,
                    token.as_ref().map_or("-", |token| token.expose()),
                    found
                        .expires
                        .map_or("-".to_owned(), |at| at.unix_timestamp().to_string())
                )
            })
            .unwrap_or_else(|error| error.to_string());
        assert_eq!(got, expected, "{body}");
    }

    #[test]
    fn answers_are_read_or_refused_with_the_member_at_fault() {
        let cases = [
            (
                r#"{"AccessKeyId":"A","SecretAccessKey":"S","Token":"T","Expiration":"2026-01-02T03:04:05Z","Code":"Success"}"#,
                "A T 1767323045",
            ),
            (
                r#"{"AccessKeyId":"A","SecretAccessKey":"S","Expiration":"2026-01-02T04:04:05.25+01:00"}"#,
                "A - 1767323045",
            ),
            (
                r#"{"AccessKeyId":"A","SecretAccessKey":"S","Token":null,"Expiration":""}"#,
                "A - -",
            ),
            (
                r#"{"AccessKeyId":"A"}"#,
                "test: `SecretAccessKey` in the answer is missing",
            ),
            (
                r#"{"AccessKeyId":"","SecretAccessKey":"S"}"#,
                "test: `AccessKeyId` in the answer is missing",
            ),
            (
                r#"{"AccessKeyId":7,"SecretAccessKey":"S"}"#,
                "test: `AccessKeyId` in the answer is no string",
            ),
            (
                r#"{"AccessKeyId":"A\r\nX: y","SecretAccessKey":"S"}"#,
                "test: `AccessKeyId` in the answer is no key",
            ),
            (
                r#"{"AccessKeyId":"A","SecretAccessKey":"S","Token":"t t"}"#,
                "test: `Token` in the answer is no key",
            ),
            (
                r#"{"AccessKeyId":"A","SecretAccessKey":"S","Expiration":"tomorrow"}"#,
                "test: `Expiration` in the answer is no time",
            ),
            (
                r#"{"AccessKeyId":"A","SecretAccessKey":"S","Expiration":"9999-12-31T23:59:59-23:59"}"#,
                "test: `Expiration` in the answer is no time",
            ),
            (r#"["A"]"#, "test: the answer is no JSON object"),
            ("<html>", "test: the answer is no JSON object"),
            ("", "test: the answer is no JSON object"),
            ("\u{0}", "test: the answer is no JSON object"),
        ];
        for (body, expected) in cases {
            check(&METADATA, body, expected);
        }
        let nested = "[".repeat(60_000);
        check(&METADATA, &nested, "test: the answer is no JSON object");
        check(
            &IOT,
            r#"{"accessKeyId":"A","secretAccessKey":"S","sessionToken":"T","expiration":"2026-01-02T03:04:05Z"}"#,
            "A T 1767323045",
        );
    }
}
