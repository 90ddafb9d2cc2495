//! The endpoint that a container is told of: Amazon ECS, EKS Pod Identity, Greengrass.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use http::{Method, Uri};

use super::answer::{METADATA, keys, object};
use super::http::{Http, Service, with_retries};
use super::{Context, CredentialError, Env, Fetched, variable};
use crate::config::files::{self, Links};

const NAME: &str = "container";
const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// Where a relative URI begins.
const ECS: &str = "http://169.254.170.2";
/// What plain http may be spoken with, besides the machine itself: ECS and EKS.
const TRUSTED: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

const TIMEOUT: Duration = Duration::from_secs(2);
const TRIES: u32 = 3;
const TOKEN_LIMIT: u64 = 64 * 1024;

const ABSENT_HINT: &str =
    "run s3ferry where the container's platform sets one of them, or name another provider";
const URI_HINT: &str = "correct AWS_CONTAINER_CREDENTIALS_FULL_URI: https, or http on loopback, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]";
const TOKEN_HINT: &str = "correct the token or its file, as the container's platform gives it";
const ROLE_HINT: &str = "give the container's task or service account a role";

const SERVICE: Service = Service {
    name: NAME,
    cures: &[
        (
            "HostNotFound",
            "check AWS_CONTAINER_CREDENTIALS_FULL_URI for a typing error, and the DNS server",
        ),
        (
            "ConnectionRefused",
            "check AWS_CONTAINER_CREDENTIALS_FULL_URI: nothing listens there",
        ),
        (
            "CertificateName",
            "correct AWS_CONTAINER_CREDENTIALS_FULL_URI to a name that stands in the endpoint's certificate",
        ),
        (
            "CertificateUnknownIssuer",
            "give the container's endpoint a certificate of a public CA: no other is trusted there",
        ),
        (
            "NoTls",
            "correct AWS_CONTAINER_CREDENTIALS_FULL_URI: what answers there speaks no TLS",
        ),
    ],
};

pub(super) fn fetch(context: &Context<'_>) -> Result<Fetched, CredentialError> {
    let url = url(context.env)?;
    let http = Http::direct(context, SERVICE, TIMEOUT)?;
    with_retries(context, NAME, TRIES, || ask(context.env, &http, &url))
}

fn ask(env: &Env<'_>, http: &Http, url: &str) -> Result<Fetched, CredentialError> {
    let token = token(env)?;
    let mut headers = vec![("accept", "application/json")];
    headers.extend(token.as_deref().map(|token| ("authorization", token)));
    let answer = http.send(Method::GET, url, &headers, None)?;
    if answer.status != 200 {
        return Err(http.refused(&answer, ROLE_HINT));
    }
    keys(
        NAME,
        &object(NAME, &answer.body, &METADATA)?,
        &METADATA,
        "the container's endpoint",
    )
}

/// Where the environment leads; only to hosts that no router forwards to, or over TLS.
pub(super) fn url(env: &Env<'_>) -> Result<String, CredentialError> {
    if let Some(path) = variable(env, RELATIVE) {
        let url = format!("{ECS}{path}");
        let well_formed = path.starts_with('/') && url.parse::<Uri>().is_ok();
        return if well_formed {
            Ok(url)
        } else {
            Err(wrong(RELATIVE, "is no path that begins with `/`"))
        };
    }
    let Some(url) = variable(env, FULL) else {
        let reason = format!("neither {RELATIVE} nor {FULL} is set");
        return Err(CredentialError::absent(NAME, reason).cured_by(ABSENT_HINT));
    };
    let parsed: Uri = url.parse().map_err(|_| wrong(FULL, "is no URL"))?;
    let host = parsed.host().unwrap_or_default();
    match parsed.scheme_str() {
        _ if parsed
            .authority()
            .is_some_and(|all| all.as_str().contains('@')) =>
        {
            Err(wrong(FULL, "holds a user or a password"))
        }
        Some("https") => Ok(url),
        Some("http") if is_trusted(host) => Ok(url),
        Some("http") => Err(wrong(
            FULL,
            "leads by plain http to a host that is not trusted",
        )),
        _ => Err(wrong(FULL, "is no http or https URL")),
    }
}

fn wrong(variable: &str, what: &str) -> CredentialError {
    CredentialError::misconfigured(NAME, format!("{variable} {what}"), URI_HINT)
}

fn is_trusted(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback() || TRUSTED.contains(&address))
}

/// Read anew each time: the platform replaces it. Not held to a mode, which is the platform's.
fn token(env: &Env<'_>) -> Result<Option<String>, CredentialError> {
    let wrong = |reason: String| CredentialError::misconfigured(NAME, reason, TOKEN_HINT);
    let (token, source) = match variable(env, TOKEN_FILE) {
        Some(file) => {
            let path = Path::new(&file);
            let bytes = files::open(path, Links::Follow)
                .and_then(|opened| opened.read(path, TOKEN_LIMIT))
                .map_err(wrong)?;
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            (text, TOKEN_FILE)
        }
        None => match variable(env, TOKEN) {
            Some(token) => (token, TOKEN),
            None => return Ok(None),
        },
    };
    let fits = !token.is_empty() && token.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if fits {
        Ok(Some(token))
    } else {
        Err(wrong(format!(
            "what {source} gives is no token: it is empty, or holds a line end or another control character"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str, expected: &str) {
        let env = |asked: &str| (asked == name).then(|| value.to_owned());
        let got = url(&env).unwrap_or_else(|error| format!("{:?}: {error}", error.kind));
        assert!(got.contains(expected), "{name}={value}: {got}");
    }

    #[test]
    fn keys_are_asked_for_on_trusted_hosts_alone() {
        let cases = [
            (
                "http://127.0.0.1:4000/creds?a=b",
                "http://127.0.0.1:4000/creds?a=b",
            ),
            ("http://127.9.9.9/", "http://127.9.9.9/"),
            ("http://localhost/", "http://localhost/"),
            ("http://[::1]:80/x", "http://[::1]:80/x"),
            ("http://169.254.170.2/v2", "http://169.254.170.2/v2"),
            (
                "http://169.254.170.23/v1/credentials",
                "http://169.254.170.23/v1/credentials",
            ),
            (
                "http://[fd00:ec2::23]/v1/credentials",
                "http://[fd00:ec2::23]/v1/credentials",
            ),
            (
                "https://anywhere.example.com/x",
                "https://anywhere.example.com/x",
            ),
            ("http://169.254.169.254/x", "not trusted"),
            ("http://example.com/x", "not trusted"),
            ("http://127.0.0.1.example.com/x", "not trusted"),
            ("http://localhost.example.com/x", "not trusted"),
            ("http://2130706433/", "not trusted"),
            ("http://[::ffff:8.8.8.8]/", "not trusted"),
            ("http://127.0.0.1@example.com/", "user or a password"),
            ("http://[fd00:ec2::24]/", "not trusted"),
            ("ftp://127.0.0.1/", "no http or https"),
            ("/relative", "no http or https"),
            ("http://127.0.0.1/\r\nx", "no URL"),
        ];
        for (value, expected) in cases {
            check(FULL, value, expected);
        }
        check(
            RELATIVE,
            "/v2/credentials/uuid",
            "http://169.254.170.2/v2/credentials/uuid",
        );
        check(RELATIVE, "@example.com/", "no path");
        check(RELATIVE, ".example.com/", "no path");
        check(
            "OTHER",
            "",
            "Absent: container: neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor",
        );
    }

    #[test]
    fn a_token_cannot_smuggle_a_header_in() {
        for (value, fine) in [
            ("Bearer abc", true),
            ("a\r\nX: y", false),
            ("a\u{e9}", false),
        ] {
            let env = |asked: &str| (asked == TOKEN).then(|| value.to_owned());
            assert_eq!(token(&env).is_ok(), fine, "{value:?}");
        }
    }
}
