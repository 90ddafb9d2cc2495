//! AWS IoT Core's credential provider: keys for a device that shows its X.509 certificate.
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/authorizing-direct-aws.html>

use std::time::Duration;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::answer::{IOT, keys, object};
use super::http::{Answer, Http, Service, with_retries};
use super::{Context, CredentialError, Fetched};
use crate::config::model::IotSource;

const NAME: &str = "AWS IoT";
/// With a handshake that a small CPU signs.
const TIMEOUT: Duration = Duration::from_secs(30);
const TRIES: u32 = 2;

const SERVICE: Service = Service {
    name: NAME,
    cures: &[
        (
            "HostNotFound",
            "check `credentials.endpoint` for a typing error, and the DNS server",
        ),
        (
            "ConnectionRefused",
            "check `credentials.endpoint`: nothing listens there, or a firewall says so",
        ),
        (
            "CertificateName",
            "correct `credentials.endpoint` to the host that `aws iot describe-endpoint --endpoint-type iot:CredentialProvider` prints",
        ),
        (
            "CertificateUnknownIssuer",
            "set `credentials.ca_file` to the CA that signed the endpoint's certificate; for AWS's own endpoint with a CA of yours in `tls_options.ca_file`, set `tls_options.built_in_roots`",
        ),
        (
            "ClientCertificateRefused",
            "give `credentials.certificate` and `credentials.private_key` a certificate that is active in AWS IoT: this one may have expired, or come from a CA that is not registered there",
        ),
        (
            "TlsClosed",
            "check `credentials.endpoint`, and whether a firewall or proxy on the way lets TLS to it through",
        ),
        (
            "NoTls",
            "correct host and port of `credentials.endpoint`: AWS IoT speaks TLS alone, and what answers there does not",
        ),
    ],
};

const FORBIDDEN: &str = "activate the certificate, allow it iot:AssumeRoleWithCertificate on the role alias, let the role trust credentials.iot.amazonaws.com, and attach the thing to the certificate";
const NOT_FOUND: &str = "correct `role_alias` and `endpoint`: the role alias is in the account and region of the endpoint";

pub(super) fn fetch(context: &Context<'_>, source: &IotSource) -> Result<Fetched, CredentialError> {
    let certificate = (source.certificate.as_path(), source.private_key.as_path());
    let ca_file = source.ca_file.as_deref();
    let http = Http::over_network(context, SERVICE, ca_file, Some(certificate), TIMEOUT)?;
    with_retries(context, NAME, TRIES, || ask(&http, source))
}

fn ask(http: &Http, source: &IotSource) -> Result<Fetched, CredentialError> {
    let alias = utf8_percent_encode(&source.role_alias, NON_ALPHANUMERIC);
    let url = format!("{}/role-aliases/{alias}/credentials", source.endpoint);
    let thing = source.thing_name.as_deref();
    let headers: Vec<_> = thing
        .map(|name| ("x-amzn-iot-thingname", name))
        .into_iter()
        .collect();
    let answer = http.send(Method::GET, &url, &headers, None)?;
    if answer.status != 200 {
        let hint = if answer.status == 404 {
            NOT_FOUND
        } else {
            FORBIDDEN
        };
        return Err(http.refused_with(&answer, &message(&answer), hint));
    }
    let from = format!("AWS IoT (role alias `{}`)", source.role_alias);
    match object(NAME, &answer.body, &IOT)?.get("credentials") {
        Some(Value::Object(credentials)) => keys(NAME, credentials, &IOT, from),
        _ => Err(CredentialError::misconfigured(
            NAME,
            "the answer has no `credentials`",
            "correct `endpoint`: something else answers there",
        )),
    }
}

/// `{"message":"Access Denied"}`
fn message(answer: &Answer) -> String {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let text = body.as_ref().and_then(|body| body.get("message")?.as_str());
    text.unwrap_or_default().to_owned()
}
