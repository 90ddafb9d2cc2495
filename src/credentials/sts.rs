//! AWS's Security Token Service, and other stores' that speak its protocol: AssumeRole is signed,
//! AssumeRoleWithWebIdentity is not.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

use std::time::Duration;

use http::Method;
use time::OffsetDateTime;
use url::form_urlencoded::Serializer;

use super::answer::{expiration, is_key};
use super::http::{Answer, Http, Service, with_retries};
use super::signature::{CONTENT_TYPE, Scope, sign};
use super::{Context, CredentialError, Fetched, Keys};
use crate::config::model::{AssumeRoleSource, RoleOptions, Secret, StsPlace};
use crate::os::hostname;
use crate::s3::answer::text_at;
use crate::s3::skew;

mod place;

pub(crate) use place::store;
use place::{endpoint, host_header, region};

const NAME: &str = "STS";
const TIMEOUT: Duration = Duration::from_secs(30);
const TRIES: u32 = 2;

const REGION_HINT: &str = "set `region` or `sts_endpoint` in `credentials`, or AWS_REGION";
const ROLE_HINT: &str = "allow sts:AssumeRole on the role to the keys that it is asked with, and let the role trust them; with `external_id` where it asks for one";
const IDENTITY_HINT: &str = "let the role trust the token's issuer, subject and audience";
const KEYS_HINT: &str =
    "correct the keys that STS is asked with: they are unknown, inactive or mistyped";
const ANSWER_HINT: &str = "correct the endpoint of STS: something else answers there";

/// Web identities are asked for under a name of their own.
const CURES: &[(&str, &str)] = &[
    (
        "HostNotFound",
        "check `credentials.sts_endpoint`, or AWS_ENDPOINT_URL_STS, and `credentials.region` for a typing error, and the DNS server",
    ),
    (
        "ConnectionRefused",
        "check `credentials.sts_endpoint`, or AWS_ENDPOINT_URL_STS: nothing listens there, or a firewall says so",
    ),
    (
        "CertificateName",
        "correct `credentials.sts_endpoint`, or AWS_ENDPOINT_URL_STS, to a name that stands in the certificate of STS",
    ),
    (
        "CertificateUnknownIssuer",
        "set `credentials.ca_file` to the CA that signed the certificate of STS; for AWS's own with a CA of yours in `tls_options.ca_file`, set `tls_options.built_in_roots`",
    ),
    (
        "ClientCertificateRequired",
        "let STS do without a client certificate: s3ferry shows it none",
    ),
    (
        "TlsClosed",
        "check `credentials.sts_endpoint`, or AWS_ENDPOINT_URL_STS, and whether a firewall or proxy on the way lets TLS to it through",
    ),
    (
        "NoTls",
        "STS speaks no TLS on this port: correct the port in `credentials.sts_endpoint`, or AWS_ENDPOINT_URL_STS, or write `http://` there",
    ),
    (
        "TlsExpected",
        "STS speaks TLS on this port: write `https://` in `credentials.sts_endpoint`, or AWS_ENDPOINT_URL_STS, or correct the port",
    ),
];

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
    let sts = Sts::new(context, NAME, &source.sts, &source.role_arn)?;
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
        role_arn: &str,
    ) -> Result<Sts, CredentialError> {
        let region = region(context.env, place, &context.network.region);
        let origin = endpoint(context.env, name, place, region.as_deref(), role_arn)?;
        let ca_file = place.ca_file.as_deref();
        let service = Service { name, cures: CURES };
        Ok(Sts {
            http: Http::over_network(context, service, ca_file, None, TIMEOUT)?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_after_the_machine_in_letters_that_sts_takes() {
        assert_eq!(session_name("recorder-7.local"), "s3ferry-recorder-7.local");
        assert_eq!(session_name("b\u{f6}x y"), "s3ferry-bxy");
        assert_eq!(session_name(&"x".repeat(100)).len(), 64);
    }
}
