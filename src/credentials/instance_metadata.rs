//! EC2's instance metadata service, version 2 alone: version 1 can be asked by whoever makes this
//! machine send a plain GET.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>

use std::path::Path;
use std::time::Duration;

use http::Method;

use super::answer::{METADATA, keys, object};
use super::http::{Answer, Http, Service, with_retries};
use super::{Context, CredentialError, Env, Fetched, variable};
use crate::config::url::http_origin;

pub(super) const NAME: &str = "instance metadata";
const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";

/// The service is a hop away: what takes longer is not there.
const TIMEOUT: Duration = Duration::from_secs(1);
const TRIES: u32 = 4;
/// The longest that the service hands out, in seconds.
const TOKEN_TTL: &str = "21600";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

const V2_HINT: &str =
    "allow the metadata service's version 2 on the instance, with a hop limit of 2 for containers";
const ROLE_HINT: &str = "attach an instance profile with a role to the instance";
const ENDPOINT_HINT: &str = "correct AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://host[:port]`";

const SERVICE: Service = Service {
    name: NAME,
    cures: &[
        (
            "HostNotFound",
            "check `credentials.endpoint`, or AWS_EC2_METADATA_SERVICE_ENDPOINT for a typing error, and the DNS server",
        ),
        (
            "ConnectionRefused",
            "check `credentials.endpoint`, or AWS_EC2_METADATA_SERVICE_ENDPOINT: nothing listens there",
        ),
    ],
};

/// `configured` goes before the environment.
pub(super) fn fetch(
    context: &Context<'_>,
    configured: Option<&str>,
) -> Result<Fetched, CredentialError> {
    let origin = match configured {
        Some(origin) => origin.to_owned(),
        None => endpoint(context.env)?,
    };
    let http = Http::direct(context, SERVICE, TIMEOUT)?;
    with_retries(context, NAME, TRIES, || ask(&http, &origin))
}

fn ask(http: &Http, origin: &str) -> Result<Fetched, CredentialError> {
    let url = format!("{origin}/latest/api/token");
    let ttl = [("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL)];
    let answer = http.send(Method::PUT, &url, &ttl, None)?;
    if answer.status != 200 {
        return Err(http.refused(&answer, V2_HINT));
    }
    let Some(token) = text(&answer).map(str::to_owned) else {
        return Err(CredentialError::misconfigured(
            NAME,
            "the answer is no token",
            V2_HINT,
        ));
    };
    let role = role(http, origin, &token)?;
    let answer = get(http, &format!("{origin}{ROLES}{role}"), &token)?;
    if answer.status != 200 {
        return Err(http.refused(&answer, ROLE_HINT));
    }
    let object = object(NAME, &answer.body, &METADATA)?;
    match object.get("Code").and_then(|code| code.as_str()) {
        None | Some("Success") => keys(
            NAME,
            &object,
            &METADATA,
            format!("instance metadata (role `{role}`)"),
        ),
        Some(code) => {
            let code = crate::s3::failure::one_line(code);
            Err(CredentialError::misconfigured(
                NAME,
                format!("the role `{role}` gives no keys: {code}"),
                ROLE_HINT,
            ))
        }
    }
}

/// The first role that the instance has, which is the only one.
fn role(http: &Http, origin: &str, token: &str) -> Result<String, CredentialError> {
    let answer = get(http, &format!("{origin}{ROLES}"), token)?;
    match answer.status {
        200 => {}
        404 => {
            let error = CredentialError::absent(NAME, "the instance has no role");
            return Err(error.cured_by(ROLE_HINT));
        }
        _ => return Err(http.refused(&answer, V2_HINT)),
    }
    let first = std::str::from_utf8(&answer.body)
        .ok()
        .and_then(|text| text.lines().next())
        .unwrap_or_default()
        .trim();
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    if first.is_empty() || first.len() > 128 || !first.bytes().all(of_a_name) {
        return Err(CredentialError::misconfigured(
            NAME,
            "the answer names no role",
            ROLE_HINT,
        ));
    }
    Ok(first.to_owned())
}

fn get(http: &Http, url: &str, token: &str) -> Result<Answer, CredentialError> {
    let headers = [("x-aws-ec2-metadata-token", token)];
    let answer = http.send(Method::GET, url, &headers, None)?;
    if answer.status == 401 {
        return Err(CredentialError::temporary(
            NAME,
            "HTTP 401: the token is not taken",
        ));
    }
    Ok(answer)
}

/// One line of visible ASCII.
fn text(answer: &Answer) -> Option<&str> {
    let text = std::str::from_utf8(&answer.body).ok()?.trim();
    super::answer::is_key(text).then_some(text)
}

/// `http://host[:port]`, as the environment chooses it.
pub(super) fn endpoint(env: &Env<'_>) -> Result<String, CredentialError> {
    if variable(env, DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        let error = CredentialError::absent(NAME, format!("{DISABLED} is `true`"));
        return Err(error
            .cured_by("take AWS_EC2_METADATA_DISABLED out of the environment, or set `endpoint`"));
    }
    if let Some(url) = variable(env, ENDPOINT) {
        return http_origin(&url).map_err(|cause| {
            CredentialError::misconfigured(NAME, format!("{ENDPOINT} {cause}"), ENDPOINT_HINT)
        });
    }
    let mode = variable(env, MODE).unwrap_or_default();
    if mode.eq_ignore_ascii_case("ipv6") {
        Ok(IPV6.to_owned())
    } else {
        Ok(IPV4.to_owned())
    }
}

/// Whether the firmware says that this is EC2, or somebody has named the service: where it does not
/// answer, that is an outage then, and not the plain fact that there is none.
pub(super) fn is_expected(env: &Env<'_>, sys: &Path) -> bool {
    let says = |path: &str, start: &str| {
        std::fs::read_to_string(sys.join(path))
            .is_ok_and(|text| text.to_ascii_lowercase().starts_with(start))
    };
    variable(env, ENDPOINT).is_some()
        || says("class/dmi/id/sys_vendor", "amazon ec2")
        || says("hypervisor/uuid", "ec2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_the_endpoint() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[], IPV4),
            (&[(MODE, "IPv6")], IPV6),
            (
                &[(ENDPOINT, "http://127.0.0.1:9/"), (MODE, "IPv6")],
                "http://127.0.0.1:9",
            ),
            (&[(DISABLED, "False")], IPV4),
            (
                &[(DISABLED, "TRUE"), (ENDPOINT, "http://127.0.0.1:9")],
                "Absent",
            ),
            (&[(ENDPOINT, "127.0.0.1")], "Misconfigured"),
            (&[(ENDPOINT, "http://127.0.0.1/latest")], "Misconfigured"),
        ];
        for (pairs, expected) in cases {
            let env = |name: &str| {
                let found = pairs.iter().find(|(known, _)| *known == name)?;
                Some(found.1.to_owned())
            };
            let got = endpoint(&env).unwrap_or_else(|error| format!("{:?}", error.kind));
            assert_eq!(got, *expected, "{pairs:?}");
        }
    }

    #[test]
    fn ec2_is_known_by_its_firmware() {
        let folder = tempfile::tempdir().unwrap();
        let sys = folder.path();
        assert!(!is_expected(&|_| None, sys));
        assert!(is_expected(
            &|name| (name == ENDPOINT).then(|| "x".to_owned()),
            sys
        ));
        std::fs::create_dir_all(sys.join("class/dmi/id")).unwrap();
        std::fs::write(sys.join("class/dmi/id/sys_vendor"), "QEMU\n").unwrap();
        assert!(!is_expected(&|_| None, sys));
        std::fs::write(sys.join("class/dmi/id/sys_vendor"), "Amazon EC2\n").unwrap();
        assert!(is_expected(&|_| None, sys));
    }
}
