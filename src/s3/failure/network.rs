//! What the way to the server can do wrong, and the cure: the part of the table that no server
//! answers with.

use std::io;

use rustls::AlertDescription as Alert;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Class, LATER, WORD_LIMIT, answer, bounded};
use crate::transport::{Fault, Stopped};

const NETWORK: &str = "check the network and the host; s3ferry tries again by itself";

/// Names of ours for what the transport reports.
pub const NETWORK_HINTS: &[(&str, Class, &str)] = &[
    (
        "HostNotFound",
        Class::Connection,
        "check `host` or `endpoint` for a typing error, and the DNS server",
    ),
    (
        "ConnectionRefused",
        Class::Connection,
        "check the host, `port` and the server: nothing listens there, or a firewall says so",
    ),
    ("ConnectionReset", Class::Connection, NETWORK),
    ("ConnectionClosed", Class::Connection, NETWORK),
    ("ConnectionFailed", Class::Connection, NETWORK),
    ("TimedOut", Class::Connection, NETWORK),
    ("Unreachable", Class::Connection, NETWORK),
    ("MalformedAnswer", Class::Connection, NETWORK),
    ("AnswerTooLong", Class::Temporary, NETWORK),
    (
        "ProxyUnreachable",
        Class::Connection,
        "check the address of `proxy`, or of `https_proxy` and `http_proxy` in the environment; or set `proxy` to `bypass`",
    ),
    (
        "ProxyAuthentication",
        Class::Connection,
        "give user and password in the proxy's URL: `http://user:password@host:port`, percent-encoded",
    ),
    (
        "ProxyRefused",
        Class::Connection,
        "let the proxy allow CONNECT to this host and port; or name the host in `no_proxy`, or set `proxy` to `bypass`",
    ),
    (
        "ProxyFailed",
        Class::Connection,
        "check that `proxy` is a proxy of that kind, and that the proxy itself reaches this host; s3ferry tries again by itself",
    ),
    (
        "CertificateExpired",
        Class::Connection,
        "have the server's certificate renewed; or set the clock, if it is ahead",
    ),
    (
        "CertificateNotYetValid",
        Class::Connection,
        "set the clock, for example with NTP: it is behind, or the certificate is made out for later",
    ),
    (
        "CertificateName",
        Class::Connection,
        "correct `host` or `endpoint` to a name that stands in the server's certificate, or set `addressing` to `path` if the bucket in front of it is too much",
    ),
    (
        "CertificateUnknownIssuer",
        Class::Connection,
        "set `tls_options.ca_file` to the CA that signed the server's certificate",
    ),
    (
        "CertificateIsCa",
        Class::Connection,
        "give the server a certificate that is no CA (basicConstraints CA:FALSE), signed by that CA",
    ),
    (
        "CertificateRefused",
        Class::Connection,
        "have the server's certificate replaced by one that is made out for TLS servers",
    ),
    (
        "ClientCertificateRequired",
        Class::Connection,
        "set `tls_options.client_certificate` and `client_key` to a pair that the server accepts",
    ),
    (
        "ClientCertificateRefused",
        Class::Connection,
        "replace the client certificate: it may have expired, or its CA is not one that the server trusts",
    ),
    (
        "TlsVersion",
        Class::Connection,
        "let the server speak TLS 1.2 or 1.3 with a cipher of today",
    ),
    (
        "TlsClosed",
        Class::Connection,
        "check `port`, and whether a firewall or proxy on the way lets TLS to this host through",
    ),
    (
        "TlsFailed",
        Class::Connection,
        "check the server's TLS, and what stands between; s3ferry tries again by itself",
    ),
    (
        "NoTls",
        Class::Connection,
        "the server speaks no TLS on this port: correct `port`, or set `tls` to false, or `http://` in `endpoint`",
    ),
    (
        "TlsExpected",
        Class::Connection,
        "the server speaks TLS on this port: remove `tls: false`, or write `https://` in `endpoint`, or correct `port`",
    ),
    ("Stopped", Class::Stopped, LATER),
];

/// Class and cure of one of the names above.
pub fn known(code: &str) -> (Class, Option<&'static str>) {
    NETWORK_HINTS
        .iter()
        .find(|(name, ..)| *name == code)
        .map_or((Class::Connection, None), |(_, class, hint)| {
            (*class, Some(*hint))
        })
}

/// The name of an error, and a sentence for it where its own is of no use to people.
pub fn judge(error: &io::Error) -> (&'static str, Option<String>) {
    if let Some(inner) = error.get_ref() {
        if let Some(fault) = inner.downcast_ref::<Fault>() {
            return (name_of(fault), None);
        }
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return judge_tls(tls);
        }
        if let Some(ureq) = inner.downcast_ref::<ureq::Error>() {
            return judge_ureq(ureq);
        }
        if let Some(nested) = inner.downcast_ref::<io::Error>() {
            return judge(nested);
        }
        if inner.is::<Stopped>() {
            return ("Stopped", None);
        }
    }
    // A failed look-up has no kind of its own in std.
    if error.to_string().contains("failed to lookup address") {
        return ("HostNotFound", None);
    }
    let code = match error.kind() {
        io::ErrorKind::ConnectionRefused => "ConnectionRefused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "ConnectionReset",
        io::ErrorKind::UnexpectedEof => "ConnectionClosed",
        io::ErrorKind::TimedOut => "TimedOut",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "Unreachable",
        _ => "ConnectionFailed",
    };
    (code, None)
}

/// What servers answer with HTTP's 400 that is about TLS: Go's, nginx's and Apache's words for plain
/// HTTP on a port of TLS, and nginx's for a client certificate that is missing or wrong.
const DISGUISES: &[(&str, &str)] = &[
    (
        "Client sent an HTTP request to an HTTPS server",
        "TlsExpected",
    ),
    (
        "The plain HTTP request was sent to HTTPS port",
        "TlsExpected",
    ),
    (
        "speaking plain HTTP to an SSL-enabled server port",
        "TlsExpected",
    ),
    (
        "No required SSL certificate was sent",
        "ClientCertificateRequired",
    ),
    ("The SSL certificate error", "ClientCertificateRefused"),
];

/// The name of what a 400 without S3's XML really says.
pub fn in_disguise(status: u16, body: &[u8]) -> Option<&'static str> {
    if status != 400 {
        return None;
    }
    let start = String::from_utf8_lossy(&body[..body.len().min(1024)]);
    let found = DISGUISES.iter().find(|(words, _)| start.contains(words));
    found.map(|(_, code)| *code)
}

/// The `Content-Type` of a refusal that is HTML: stores answer in XML or with nothing. Only where the
/// status would otherwise be blamed on permissions, bucket or settings: a proxy in front of a store
/// has pages of its own for what passes.
pub fn web_page(status: u16, headers: &http::HeaderMap, body: &[u8]) -> Option<String> {
    if !matches!(status, 401 | 403 | 404 | 405 | 501) || answer::error(body).is_some() {
        return None;
    }
    let kind = headers.get("content-type");
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let start = String::from_utf8_lossy(&body[..body.len().min(64)]).to_ascii_lowercase();
    let start = start.trim_start_matches('\u{feff}').trim_start();
    let is_html = start.starts_with("<!doctype html")
        || start.starts_with("<html")
        || (kind.starts_with("text/html") && start.starts_with('<'));
    let shown = if kind.is_empty() { "HTML" } else { kind };
    is_html.then(|| bounded(shown, WORD_LIMIT))
}

fn name_of(fault: &Fault) -> &'static str {
    match fault {
        Fault::ProxyUnreachable(_) => "ProxyUnreachable",
        Fault::ProxyAuthentication(_) => "ProxyAuthentication",
        Fault::ProxyRefused(_) => "ProxyRefused",
        Fault::ProxyFailed(_) => "ProxyFailed",
        Fault::ClientCertificateRequired => "ClientCertificateRequired",
        Fault::ClientCertificateRefused(_) => "ClientCertificateRefused",
        Fault::ClosedInHandshake => "TlsClosed",
        Fault::TlsSpoken => "TlsExpected",
    }
}

fn judge_ureq(error: &ureq::Error) -> (&'static str, Option<String>) {
    match error {
        ureq::Error::HostNotFound => ("HostNotFound", None),
        ureq::Error::Timeout(ureq::Timeout::Connect) => {
            let text = "no connection came about in time";
            ("TimedOut", Some(text.to_owned()))
        }
        ureq::Error::Timeout(_) => ("TimedOut", None),
        ureq::Error::Rustls(error) => judge_tls(error),
        ureq::Error::Protocol(_) => ("MalformedAnswer", None),
        ureq::Error::BodyExceedsLimit(_) => ("AnswerTooLong", None),
        _ => ("ConnectionFailed", None),
    }
}

fn judge_tls(error: &rustls::Error) -> (&'static str, Option<String>) {
    match error {
        rustls::Error::InvalidCertificate(certificate) => judge_certificate(certificate),
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            let text = "the server's answer to the TLS handshake is no TLS";
            ("NoTls", Some(text.to_owned()))
        }
        rustls::Error::AlertReceived(
            Alert::ProtocolVersion | Alert::InsufficientSecurity | Alert::HandshakeFailure,
        )
        | rustls::Error::PeerIncompatible(_) => ("TlsVersion", None),
        _ => ("TlsFailed", None),
    }
}

fn judge_certificate(error: &CertificateError) -> (&'static str, Option<String>) {
    match error {
        CertificateError::ExpiredContext { time, not_after } => {
            let (then, now) = (date(*not_after), date(*time));
            let text = format!("the server's certificate expired at {then}; here it is {now}");
            ("CertificateExpired", Some(text))
        }
        CertificateError::Expired => ("CertificateExpired", None),
        CertificateError::NotValidYetContext { time, not_before } => {
            let (then, now) = (date(*not_before), date(*time));
            let text =
                format!("the server's certificate is valid from {then} on; here it is {now}");
            ("CertificateNotYetValid", Some(text))
        }
        CertificateError::NotValidYet => ("CertificateNotYetValid", None),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let names = match names.as_slice() {
                [] => "no name at all".to_owned(),
                names => names.join(", "),
            };
            let text = format!(
                "the server's certificate is made out for {names}, not for {}",
                expected.to_str()
            );
            ("CertificateName", Some(text))
        }
        CertificateError::NotValidForName => ("CertificateName", None),
        CertificateError::UnknownIssuer => {
            let text = "the server's certificate comes from a CA that is not trusted here";
            ("CertificateUnknownIssuer", Some(text.to_owned()))
        }
        CertificateError::BadSignature => {
            let text = "the server's certificate is not signed by the trusted CA of that name, but by another one";
            ("CertificateUnknownIssuer", Some(text.to_owned()))
        }
        // webpki's own error has no type here.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            let text = "the server shows a CA's own certificate, which is made to sign others";
            ("CertificateIsCa", Some(text.to_owned()))
        }
        _ => ("CertificateRefused", None),
    }
}

/// To the second.
fn date(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|date| date.format(&Rfc3339).ok())
        .unwrap_or_else(|| "a time out of all reason".to_owned())
}

/// `example.com` of webpki's `DnsName("example.com")`.
fn bare(name: &str) -> &str {
    name.split_once("(\"")
        .and_then(|(_, rest)| rest.strip_suffix("\")"))
        .or_else(|| name.split_once('(')?.1.strip_suffix(')'))
        .unwrap_or(name)
}
