//! One bounded exchange with a provider: an agent that is made for it and goes with it, no
//! redirects, a limit on time and on the answer's length.

use std::io;
use std::path::Path;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use time::OffsetDateTime;

use super::answer::LIMIT;
use super::{Context, CredentialError, Patience};
use crate::clock;
use crate::config::model::{ProxyChoice, TlsOptions};
use crate::s3::skew::{self, DateSeen};
use crate::text::human_duration;
use crate::transport::{Flaw, TlsError, TlsFile, Transport, TransportError};

/// The first pause between two tries; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

const VARIABLE_HINT: &str = "correct the variable, or set `proxy`";

/// Who is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    pub name: &'static str,
    /// What helps where it is not reached, by the failure's name: its address and its certificates
    /// stand under other keys than the store's. Where nothing stands here, the store's cure is right.
    pub cures: &'static [(&'static str, &'static str)],
}

impl Service {
    pub fn cure(&self, code: &str) -> Option<&'static str> {
        let found = self.cures.iter().find(|(name, _)| *name == code);
        found.map(|(_, cure)| *cure)
    }
}

/// An agent for one provider.
pub(super) struct Http {
    transport: Transport,
    service: Service,
    /// Of a request, from the look-up of its host to the last byte of the answer.
    timeout: Duration,
    patience: Patience,
}

/// What came back.
pub(super) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// What it says about the clock.
    pub seen: Option<DateSeen>,
}

impl Http {
    /// For services of the machine itself, which no proxy may see.
    pub fn direct(
        context: &Context<'_>,
        service: Service,
        timeout: Duration,
    ) -> Result<Http, CredentialError> {
        let proxy = &ProxyChoice::Bypass;
        Self::new(context, service, proxy, &TlsOptions::default(), timeout)
            .map_err(|error| misused(service, &error, false))
    }

    /// For services on the network, over the job's way to it: its proxy, and its roots unless
    /// `ca_file` names others. `certificate`, with its key, is shown to them.
    pub fn over_network(
        context: &Context<'_>,
        service: Service,
        ca_file: Option<&Path>,
        certificate: Option<(&Path, &Path)>,
        timeout: Duration,
    ) -> Result<Http, CredentialError> {
        let mut tls = context.network.tls.clone();
        if let Some(ca_file) = ca_file {
            tls.ca_file = Some(ca_file.to_owned());
        }
        tls.client_certificate = certificate.map(|(certificate, _)| certificate.to_owned());
        tls.client_key = certificate.map(|(_, key)| key.to_owned());
        Self::new(context, service, &context.network.proxy, &tls, timeout)
            .map_err(|error| misused(service, &error, ca_file.is_some()))
    }

    fn new(
        context: &Context<'_>,
        service: Service,
        proxy: &ProxyChoice,
        tls: &TlsOptions,
        timeout: Duration,
    ) -> Result<Http, TransportError> {
        let signals = std::sync::Arc::clone(&context.network.signals);
        Ok(Http {
            transport: Transport::new(proxy, tls, 0, signals)?,
            service,
            timeout,
            patience: context.patience,
        })
    }

    /// Sends one request. Header values are secrets and never shown.
    pub fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&'static str, &str)],
        body: Option<&str>,
    ) -> Result<Answer, CredentialError> {
        let mut request = http::Request::new(body.unwrap_or_default());
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.parse().map_err(|_| self.malformed("the address"))?;
        for (name, value) in headers {
            let mut value = HeaderValue::from_str(value).map_err(|_| self.malformed("a header"))?;
            value.set_sensitive(true);
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
        let timeout = self.patience.at_most(self.timeout);
        let (sent_at, started) = (clock::wall(), clock::monotonic());
        self.transport.pace().begin();
        let agent = self.transport.agent();
        let exchanged = if body.is_some() || method == Method::PUT {
            agent.run(self.limited(request, timeout))
        } else {
            agent.run(self.limited(request.map(|_| ()), timeout))
        };
        let failed = |error| self.failed(url, error, timeout);
        let mut response = exchanged.map_err(failed)?;
        let seen = date_seen(&response, sent_at, started);
        let body = response
            .body_mut()
            .with_config()
            .limit(LIMIT as u64)
            .read_to_vec()
            .map_err(failed)?;
        let status = response.status().as_u16();
        log::debug!(
            target: "s3ferry::credentials",
            "{} {method} {} -> HTTP {status}",
            self.service.name,
            host_of(url),
        );
        Ok(Answer { status, body, seen })
    }

    fn limited<S: ureq::AsSendBody>(
        &self,
        request: http::Request<S>,
        timeout: Duration,
    ) -> http::Request<S> {
        self.transport
            .agent()
            .configure_request(request)
            .timeout_global(Some(timeout))
            .build()
    }

    fn malformed(&self, what: &str) -> CredentialError {
        let reason = format!("{what} of the request holds a character that does not belong there");
        CredentialError::misconfigured(
            self.service.name,
            reason,
            "correct what the request is made of",
        )
    }

    fn failed(&self, url: &str, error: ureq::Error, timeout: Duration) -> CredentialError {
        let error = match error {
            ureq::Error::Timeout(_) => {
                let limit = human_duration(timeout);
                let text = format!("did not answer within {limit}");
                io::Error::new(io::ErrorKind::TimedOut, text)
            }
            other => other.into_io(),
        };
        CredentialError::transport(self.service, host_of(url), error)
    }

    /// What an answer means that brings no keys.
    pub fn refused(&self, answer: &Answer, hint: &'static str) -> CredentialError {
        self.refused_with(answer, "", hint)
    }

    /// The same, with what the answer says.
    pub fn refused_with(&self, answer: &Answer, said: &str, hint: &'static str) -> CredentialError {
        let separator = if said.is_empty() { "" } else { ": " };
        let said = crate::s3::failure::one_line(said);
        let reason = format!("HTTP {}{separator}{said}", answer.status);
        match answer.status {
            408 | 429 | 500..=599 => CredentialError::temporary(self.service.name, reason),
            _ => CredentialError::misconfigured(self.service.name, reason, hint),
        }
    }
}

/// `own_roots`: the CAs are those of `credentials.ca_file`, not the job's.
fn misused(service: Service, error: &TransportError, own_roots: bool) -> CredentialError {
    let cure = match error {
        TransportError::Proxy(_) => VARIABLE_HINT,
        TransportError::Tls(tls) if tls.file == TlsFile::Authorities && !own_roots => tls.cure(),
        TransportError::Tls(tls) => cure_of_file(tls),
    };
    CredentialError::misconfigured(service.name, error, cure)
}

/// What mends a file of `credentials`.
fn cure_of_file(error: &TlsError) -> &'static str {
    match (error.file, error.flaw) {
        (TlsFile::Authorities, Flaw::Content) => {
            "let `credentials.ca_file` name a file with the CA's certificate in PEM"
        }
        (TlsFile::Authorities, _) => {
            "put the CA's certificate there, readable for s3ferry's user, or correct `credentials.ca_file`"
        }
        (TlsFile::Certificate, Flaw::Content) => {
            "let `credentials.certificate` name a file with the device's certificate in PEM"
        }
        (TlsFile::Certificate, _) => {
            "put the device's certificate there, readable for s3ferry's user, or correct `credentials.certificate`"
        }
        (TlsFile::Key, Flaw::Content) => {
            "let `credentials.private_key` name the private key of `credentials.certificate`, in PEM"
        }
        (TlsFile::Key, Flaw::Exposed) => {
            "make the file of `credentials.private_key` the own one of s3ferry's user"
        }
        (TlsFile::Key, Flaw::Unreadable) => {
            "put the private key there, a file of s3ferry's user and no link, or correct `credentials.private_key`"
        }
    }
}

fn date_seen(
    response: &http::Response<ureq::Body>,
    sent_at: OffsetDateTime,
    started: std::time::Instant,
) -> Option<DateSeen> {
    let headers = response.headers();
    let date = headers.get("date").and_then(|date| date.to_str().ok());
    let elapsed = clock::monotonic().duration_since(started);
    skew::observe(date, headers.contains_key("age"), sent_at, elapsed)
}

/// Scheme, host and port, without what follows: a path may name a role.
fn host_of(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..]
        .find(['/', '?'])
        .map_or(url.len(), |at| start + at);
    &url[start..end]
}

/// Tries up to `times`, as long as the reason may pass by itself and nothing else would do; a signal
/// ends it.
pub(super) fn with_retries<T>(
    context: &Context<'_>,
    provider: &'static str,
    times: u32,
    mut work: impl FnMut() -> Result<T, CredentialError>,
) -> Result<T, CredentialError> {
    let mut pause = PAUSE;
    for _ in 1..context.patience.tries(times) {
        match work() {
            Err(error) if error.deserves_another_try() => {
                log::debug!(target: "s3ferry::credentials", "{error}; tried again");
            }
            other => return other,
        }
        let slept: io::Result<bool> = context.network.signals.pause(pause);
        if !slept.unwrap_or(false) {
            return Err(CredentialError::stopped(provider));
        }
        pause *= 2;
    }
    work()
}
