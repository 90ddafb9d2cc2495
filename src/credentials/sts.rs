//! AWS's Security Token Service, and other stores' that speak its protocol: AssumeRole is signed,
//! AssumeRoleWithWebIdentity is not.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

use std::time::Duration;

use http::Method;
use time::OffsetDateTime;
use url::form_urlencoded::Serializer;

use super::answer::{expiration, is_key};
use super::http::{Answer, Http, with_retries};
use super::signature::{CONTENT_TYPE, Scope, sign};
use super::{Context, CredentialError, Env, Fetched, Keys, variable};
use crate::config::model::{AssumeRoleSource, RoleOptions, Secret, StsPlace};
use crate::config::names::is_aws_region;
use crate::config::url::http_origin;
use crate::os::hostname;
use crate::s3::answer::text_at;
use crate::s3::skew;

const NAME: &str = "STS";
const TIMEOUT: Duration = Duration::from_secs(30);
const TRIES: u32 = 2;

const REGION_HINT: &str = "set `region` or `sts_endpoint` in `credentials`, or AWS_REGION";
const ENDPOINT_HINT: &str =
    "correct AWS_ENDPOINT_URL_STS or AWS_ENDPOINT_URL: `https://host[:port]`";
const ROLE_HINT: &str = "allow sts:AssumeRole on the role to the keys that it is asked with, and let the role trust them; with `external_id` where it asks for one";
const IDENTITY_HINT: &str = "let the role trust the token's issuer, subject and audience";
const KEYS_HINT: &str =
    "correct the keys that STS is asked with: they are unknown, inactive or mistyped";
const ANSWER_HINT: &str = "correct the endpoint of STS: something else answers there";

/// Asks for `source.role_arn` with the keys of `source.source`.
pub(super) fn assume_role(
    context: &Context<'_>,
    source: &AssumeRoleSource,
) -> Result<Fetched, CredentialError> {
    let base = super::fetch(context, &source.source).map_err(CredentialError::final_one)?;
    let mut form = form("AssumeRole", &source.role_arn, &source.role);
    if let Some(id) = &source.external_id {
        form.append_pair("ExternalId", id);
    }
    let sts = Sts::new(context, NAME, &source.sts)?;
    let fetched = sts.ask(context, "AssumeRole", &form.finish(), Some(&base.keys))?;
    Ok(Fetched {
        from: format!("role `{}` by {}", source.role_arn, base.from),
        ..fetched
    })
}

/// What every request for a role says.
pub(super) fn form(
    action: &str,
    role_arn: &str,
    options: &RoleOptions,
) -> Serializer<'static, String> {
    let mut form = Serializer::new(String::new());
    form.append_pair("Action", action);
    form.append_pair("Version", "2011-06-15");
    form.append_pair("RoleArn", role_arn);
    let name = options.session_name.clone();
    form.append_pair(
        "RoleSessionName",
        &name.unwrap_or_else(|| session_name(&hostname())),
    );
    if let Some(duration) = options.duration {
        form.append_pair("DurationSeconds", &duration.as_secs().to_string());
    }
    form
}

/// Names this machine in CloudTrail, in the letters that a session's name may have.
fn session_name(hostname: &str) -> String {
    let kept = hostname
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(*c));
    "s3ferry-".chars().chain(kept).take(64).collect()
}

/// STS at one endpoint.
pub(super) struct Sts {
    http: Http,
    name: &'static str,
    origin: String,
    region: String,
}

impl Sts {
    pub fn new(
        context: &Context<'_>,
        name: &'static str,
        place: &StsPlace,
    ) -> Result<Sts, CredentialError> {
        let region = region(context.env, place, &context.network.region);
        let origin = endpoint(context.env, name, place, region.as_deref())?;
        let ca_file = place.ca_file.as_deref();
        Ok(Sts {
            http: Http::over_network(context, name, ca_file, None, TIMEOUT)?,
            name,
            origin,
            // Stores with an STS of their own mind no region.
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        })
    }

    /// Posts the form, signed where there are keys; where the clocks are too far apart once more,
    /// with the server's time.
    pub fn ask(
        &self,
        context: &Context<'_>,
        action: &str,
        form: &str,
        keys: Option<&Keys>,
    ) -> Result<Fetched, CredentialError> {
        let mut at = context.now;
        with_retries(context, self.name, TRIES, || {
            let mut answer = self.post(form, keys, at)?;
            if let Some(time) = server_time(&answer, at) {
                at = time;
                answer = self.post(form, keys, at)?;
            }
            if answer.status == 200 {
                self.credentials(action, &answer)
            } else {
                Err(self.refused(&answer, keys.is_some()))
            }
        })
    }

    fn post(
        &self,
        form: &str,
        keys: Option<&Keys>,
        at: OffsetDateTime,
    ) -> Result<Answer, CredentialError> {
        let scope = Scope {
            service: "sts",
            region: &self.region,
            host: host_header(&self.origin),
        };
        let signed = keys.map(|keys| sign(keys, &scope, form, at));
        let mut headers = vec![("content-type", CONTENT_TYPE)];
        if let Some(signed) = &signed {
            headers.push(("x-amz-date", &signed.date));
            headers.push(("authorization", &signed.authorization));
        }
        let token = keys.and_then(|keys| keys.session_token.as_ref());
        headers.extend(token.map(|token| ("x-amz-security-token", token.expose())));
        let url = format!("{}/", self.origin);
        self.http.send(Method::POST, &url, &headers, Some(form))
    }

    fn credentials(&self, action: &str, answer: &Answer) -> Result<Fetched, CredentialError> {
        let (root, result) = (format!("{action}Response"), format!("{action}Result"));
        let wrong = |what: String| CredentialError::misconfigured(self.name, what, ANSWER_HINT);
        let needed = |name: &str| {
            let path = [root.as_str(), &result, "Credentials", name];
            text_at(&answer.body, &path)
                .map_err(|_| wrong("the answer is not what STS gives".to_owned()))?
                .filter(|text| is_key(text))
                .ok_or_else(|| wrong(format!("`{name}` in the answer is missing or no key")))
        };
        let expires = needed("Expiration")?;
        let expires = expiration(&expires)
            .ok_or_else(|| wrong("`Expiration` in the answer is no time".to_owned()))?;
        Ok(Fetched {
            keys: Keys {
                access_key: needed("AccessKeyId")?,
                secret_key: Secret::new(needed("SecretAccessKey")?),
                session_token: Some(Secret::new(needed("SessionToken")?)),
            },
            expires: Some(expires),
            from: String::new(),
        })
    }

    /// <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>
    fn refused(&self, answer: &Answer, signed: bool) -> CredentialError {
        let code = error_text(answer, "Code");
        let said = [code.as_str(), &error_text(answer, "Message")].join(": ");
        let said = said.trim_matches([':', ' ']);
        let hint = match code.as_str() {
            "AccessDenied" if signed => ROLE_HINT,
            "InvalidClientTokenId" | "SignatureDoesNotMatch" | "ExpiredToken" if signed => {
                KEYS_HINT
            }
            "RegionDisabledException" => REGION_HINT,
            _ if signed => ROLE_HINT,
            _ => IDENTITY_HINT,
        };
        match code.as_str() {
            // The token's writer or the identity provider is late.
            "ExpiredTokenException"
            | "IDPCommunicationError"
            | "Throttling"
            | "ThrottlingException" => {
                CredentialError::temporary(self.name, crate::s3::failure::one_line(said))
            }
            _ => self.http.refused_with(answer, said, hint),
        }
    }
}

/// The server's time, where a wrong one explains the refusal of what was signed at `at`.
fn server_time(answer: &Answer, at: OffsetDateTime) -> Option<OffsetDateTime> {
    if !matches!(answer.status, 400 | 403) {
        return None;
    }
    let now = crate::clock::wall();
    let (seen, code) = (answer.seen?, error_text(answer, "Code"));
    let explained = code == "RequestExpired" || skew::explains(&code, seen.skew, at - now);
    explained.then(|| now.checked_add(seen.skew))?
}

/// `<ErrorResponse><Error><Code>`; MinIO and others leave the outer element out.
fn error_text(answer: &Answer, name: &str) -> String {
    let at = |path: &[&str]| text_at(&answer.body, path).ok().flatten();
    at(&["ErrorResponse", "Error", name])
        .or_else(|| at(&["Error", name]))
        .unwrap_or_default()
}

/// The region that AWS's tools would take; `None` where the job's bucket is in no region of AWS.
fn region(env: &Env<'_>, place: &StsPlace, of_the_bucket: &str) -> Option<String> {
    let explicit = place.region.clone();
    explicit
        .or_else(|| variable(env, "AWS_REGION"))
        .or_else(|| variable(env, "AWS_DEFAULT_REGION"))
        .or_else(|| Some(of_the_bucket.to_owned()))
        .filter(|region| is_aws_region(region))
}

fn endpoint(
    env: &Env<'_>,
    name: &'static str,
    place: &StsPlace,
    region: Option<&str>,
) -> Result<String, CredentialError> {
    if let Some(configured) = &place.endpoint {
        return Ok(configured.clone());
    }
    let ignored = variable(env, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    for variable_name in ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"] {
        if let Some(url) = variable(env, variable_name).filter(|_| !ignored) {
            return http_origin(&url).map_err(|cause| {
                CredentialError::misconfigured(
                    name,
                    format!("{variable_name} {cause}"),
                    ENDPOINT_HINT,
                )
            });
        }
    }
    let Some(region) = region else {
        return Err(CredentialError::misconfigured(
            name,
            "no region of AWS is known",
            REGION_HINT,
        ));
    };
    let suffix = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    Ok(format!("https://sts.{region}.{suffix}"))
}

/// As the transport writes it: without the scheme's own port.
fn host_header(origin: &str) -> &str {
    let (scheme, authority) = origin.split_once("://").unwrap_or_default();
    let port = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_the_one_that_awss_tools_would_take() {
        let configured = || StsPlace {
            endpoint: Some("https://minio:9000".to_owned()),
            ..StsPlace::default()
        };
        let in_region = || StsPlace {
            region: Some("ap-south-1".to_owned()),
            ..StsPlace::default()
        };
        let sts = "AWS_ENDPOINT_URL_STS";
        type Case<'a> = (StsPlace, &'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: &[Case<'_>] = &[
            (
                StsPlace::default(),
                "eu-west-2",
                &[],
                "https://sts.eu-west-2.amazonaws.com",
            ),
            (
                StsPlace::default(),
                "cn-north-1",
                &[],
                "https://sts.cn-north-1.amazonaws.com.cn",
            ),
            (
                StsPlace::default(),
                "eu-west-2",
                &[("AWS_REGION", "us-east-2")],
                "https://sts.us-east-2.amazonaws.com",
            ),
            (
                StsPlace::default(),
                "garage",
                &[("AWS_DEFAULT_REGION", "us-east-2")],
                "https://sts.us-east-2.amazonaws.com",
            ),
            (
                in_region(),
                "eu-west-2",
                &[("AWS_REGION", "us-east-2")],
                "https://sts.ap-south-1.amazonaws.com",
            ),
            (
                StsPlace::default(),
                "garage",
                &[],
                "Misconfigured STS: no region of AWS is known",
            ),
            (
                StsPlace::default(),
                "eu-west-2",
                &[("AWS_REGION", "evil.example.com/")],
                "Misconfigured STS: no region of AWS is known",
            ),
            (
                configured(),
                "garage",
                &[(sts, "http://127.0.0.1:1")],
                "https://minio:9000",
            ),
            (
                StsPlace::default(),
                "eu-west-2",
                &[
                    ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
                    (sts, "http://127.0.0.1:2/"),
                ],
                "http://127.0.0.1:2",
            ),
            (
                StsPlace::default(),
                "eu-west-2",
                &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")],
                "http://127.0.0.1:1",
            ),
            (
                StsPlace::default(),
                "eu-west-2",
                &[
                    (sts, "http://127.0.0.1:2"),
                    ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
                ],
                "https://sts.eu-west-2.amazonaws.com",
            ),
            (
                StsPlace::default(),
                "eu-west-2",
                &[(sts, "127.0.0.1")],
                "Misconfigured STS: AWS_ENDPOINT_URL_STS is not a URL; begin it with `https://` or `http://`",
            ),
        ];
        for (place, of_the_bucket, pairs, expected) in cases {
            let env = |name: &str| {
                let found = pairs.iter().find(|(known, _)| *known == name)?;
                Some(found.1.to_owned())
            };
            let region = region(&env, place, of_the_bucket);
            let got = endpoint(&env, NAME, place, region.as_deref())
                .unwrap_or_else(|error| format!("{:?} {error}", error.kind));
            assert_eq!(got, *expected, "{place:?} {of_the_bucket} {pairs:?}");
        }
    }

    #[test]
    fn a_session_is_named_after_the_machine_in_letters_that_sts_takes() {
        assert_eq!(session_name("recorder-7.local"), "s3ferry-recorder-7.local");
        assert_eq!(session_name("b\u{f6}x y"), "s3ferry-bxy");
        assert_eq!(session_name(&"x".repeat(100)).len(), 64);
    }

    #[test]
    fn the_host_header_is_as_the_transport_writes_it() {
        for (origin, expected) in [
            ("https://sts.amazonaws.com", "sts.amazonaws.com"),
            ("https://sts.amazonaws.com:443", "sts.amazonaws.com"),
            ("http://127.0.0.1:9000", "127.0.0.1:9000"),
            ("http://[::1]:80", "[::1]"),
        ] {
            assert_eq!(host_header(origin), expected);
        }
    }
}
