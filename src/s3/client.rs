//! Sends one operation: credentials, signature, exchange, answer, clock.

use std::cell::RefCell;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use s3::bucket::Bucket;
use s3::error::S3Error;
use s3::region::Region;
use s3::request::Request;
use time::{Duration, OffsetDateTime};

use super::advice::{self, Advice};
use super::failure::{self, Class, Failure};
use super::headers;
use super::operation::{Answer, Operation, Payload};
use super::region;
use super::request::{ANSWER_LIMIT, SignedRequest};
use super::signing_key::SigningKeys;
use super::skew::{self, DateSeen};
use crate::clock;
use crate::config::model::{Addressing, CustomerKey, Destination, Job};
use crate::credentials::{CredentialError, ErrorKind, Identity, Provider};
use crate::os::signals::Signals;
use crate::transport::{Journey, Stage, Transport, TransportError, raise_clock_floor};

/// One destination, one connection, one set of credentials.
pub struct Client {
    transport: Transport,
    advice: Advice,
    configured: Destination,
    /// The same, in the region that AWS has named since.
    destination: Destination,
    provider: Provider,
    signing_keys: SigningKeys,
    /// Every request is refused where the bucket belongs to another account than this.
    expected_bucket_owner: Option<String>,
    customer_key: Option<CustomerKey>,
    uses_conditions: bool,
    /// The server's clock minus ours, as far as it matters.
    clock_offset: Duration,
    clock_corrected: bool,
    /// The server's clock at a moment of ours that no step of the clock can move.
    server_time: Option<(OffsetDateTime, Instant)>,
}

/// What one request has been repeated for.
#[derive(Debug, Default)]
struct Mended {
    connection: bool,
    clock: bool,
    region: bool,
    keys: bool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of its own for `job`.
    ///
    /// # Errors
    /// The job's proxy or certificates are not usable.
    pub fn new(job: &Job, signals: &Arc<Signals>) -> Result<Client, TransportError> {
        let transport = Transport::new(
            &job.proxy,
            &job.tls,
            job.transfer.minimum_rate,
            Arc::clone(signals),
        )?;
        Ok(Client {
            transport,
            advice: Advice::of(job),
            expected_bucket_owner: job.object.expected_bucket_owner.clone(),
            customer_key: job.object.customer_key.clone(),
            uses_conditions: true,
            destination: job.destination.clone(),
            provider: Provider::new(job, signals),
            configured: job.destination.clone(),
            signing_keys: SigningKeys::default(),
            clock_offset: Duration::ZERO,
            clock_corrected: false,
            server_time: None,
        })
    }

    pub fn bucket(&self) -> &str {
        &self.destination.bucket
    }

    pub fn is_aws(&self) -> bool {
        self.destination.is_aws()
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Where requests go: the configured destination, in the bucket's own region.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// What the last connection met on its way, and where the last request ended.
    pub fn journey(&self) -> Journey {
        self.transport.journey()
    }

    /// The proxy that leads to the destination, without user and password.
    pub fn proxy(&self) -> Option<String> {
        let place = &self.destination;
        let host = place.request_host();
        self.transport.proxy_to(place.tls, &host, place.port)
    }

    /// The server's clock minus ours, once after each correction.
    pub fn take_clock_correction(&mut self) -> Option<Duration> {
        std::mem::take(&mut self.clock_corrected).then_some(self.clock_offset)
    }

    /// The server's time, if it has told one in this process.
    pub fn server_now(&self) -> Option<OffsetDateTime> {
        let (told, at) = self.server_time?;
        told.checked_add(clock::monotonic().duration_since(at).try_into().ok()?)
    }

    pub(super) fn add_customer_key(&self, headers: &mut HeaderMap) {
        if let Some(key) = &self.customer_key {
            headers::add_customer_key(headers, key);
        }
    }

    pub(super) fn add_condition(
        &self,
        headers: &mut HeaderMap,
        only_if_new: bool,
    ) -> Result<(), Failure> {
        if only_if_new && self.uses_conditions {
            headers::add(headers, "if-none-match", "*")?;
        }
        Ok(())
    }

    /// Whether the store knows `If-None-Match`; true until it has said that it does not.
    pub fn uses_conditions(&self) -> bool {
        self.uses_conditions
    }

    pub fn use_conditions(&mut self, on: bool) {
        self.uses_conditions = on;
    }

    /// The time that signatures carry.
    pub fn signing_time(&self) -> OffsetDateTime {
        clock::wall()
            .checked_add(self.clock_offset)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Sends `operation`, again at once where that is no attempt of its own: on a pooled connection
    /// that turned out to be closed, with the right time after a clock error, in the bucket's own
    /// region, and with other keys where the store refuses these and the provider has others. Each
    /// of them once: a box with a wrong clock may well have the wrong region, too.
    pub(super) fn send(&mut self, operation: &Operation<'_>) -> Result<Answer, Failure> {
        let mut mended = Mended::default();
        loop {
            match self.exchange(operation) {
                Ok(answer) => return Ok(answer),
                Err(failure) if self.mends(operation, &failure, &mut mended)? => {}
                Err(failure) => return Err(self.advice.on(failure, &self.destination)),
            }
        }
    }

    /// Whether the cause is gone now, and was not thought to be before.
    fn mends(
        &mut self,
        operation: &Operation<'_>,
        failure: &Failure,
        mended: &mut Mended,
    ) -> Result<bool, Failure> {
        let first = |done: &mut bool| !std::mem::replace(done, true);
        if failure.is_stale_connection() {
            return Ok(operation.is_idempotent() && first(&mut mended.connection));
        }
        if failure.class == Class::Clock && self.clock_corrected {
            return Ok(first(&mut mended.clock));
        }
        if region::learn(&self.configured, &self.destination, failure) {
            return Ok(first(&mut mended.region));
        }
        let refused = failure.class == Class::Credentials && failure.http_status.is_some();
        if !refused || !first(&mut mended.keys) {
            return Ok(false);
        }
        self.provider
            .renew(self.signing_time())
            .map_err(without_keys)
    }

    /// Whose keys sign the next request; asks the provider where there are none yet.
    pub fn identity(&mut self) -> Result<Option<Identity>, Failure> {
        self.provider
            .keys(self.signing_time())
            .map_err(without_keys)?;
        Ok(self.provider.identity())
    }

    /// Goes where the bucket is by now known to be.
    fn follow_region(&mut self) {
        if let Some(there) = region::news(&self.configured, &self.destination) {
            log::info!(
                "bucket `{}` is in `{}`, not in `{}`: name that region in the configuration, and a request is saved at each start",
                there.bucket,
                there.region,
                self.destination.region
            );
            self.destination = there;
        }
    }

    fn exchange(&mut self, operation: &Operation<'_>) -> Result<Answer, Failure> {
        self.follow_region();
        let bucket = self.bucket_for(operation)?;
        let (payload_hash, content_length) = operation.payload.describe();
        let connections = self.transport.pace().connections();
        let signed_at = self.signing_time();
        let (sent_at, started) = (clock::wall(), clock::monotonic());
        let body: Option<Box<dyn Read + '_>> = match &operation.payload {
            Payload::None => None,
            Payload::Bytes(content) => Some(Box::new(content.as_slice())),
            Payload::Stream(stream) => Some(stream.open()),
        };
        let mut extra = operation.extra.clone();
        if let Some(owner) = &self.expected_bucket_owner
            && let Ok(owner) = owner.parse()
        {
            extra.insert("x-amz-expected-bucket-owner", owner);
        }
        let request = SignedRequest {
            transport: &self.transport,
            signing_keys: &self.signing_keys,
            bucket: &bucket,
            key: operation.key,
            command: operation.command.clone(),
            signed_at,
            extra,
            payload_hash,
            content_length,
            body: RefCell::new(body),
        };
        let result = request.response();
        drop(request);
        let reused = self.transport.pace().connections() == connections;
        let mut response = match result {
            Ok(response) => response,
            Err(error) => return Err(self.unsent(operation.name, error, reused)),
        };
        let elapsed = clock::monotonic().duration_since(started);
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let seen = skew::observe(
            headers.get("date").and_then(|date| date.to_str().ok()),
            headers.contains_key("age"),
            sent_at,
            elapsed,
        );
        if let Some(seen) = seen {
            let told = sent_at.saturating_add(seen.skew);
            self.server_time = Some((told, started));
            if self.destination.tls {
                raise_clock_floor(told);
            }
        }
        self.transport
            .pace()
            .body_within(clock::monotonic(), operation.limits.answer_body);
        let content = response
            .body_mut()
            .with_config()
            .limit(ANSWER_LIMIT)
            .read_to_vec()
            .map_err(|error| Failure {
                stage: Some(Stage::Exchange),
                ..failure::from_transport(operation.name, &error.into_io())
            })?;
        log::debug!(
            target: "s3ferry::s3",
            "{} {} -> HTTP {status} in {} ms",
            operation.name,
            crate::text::escape_bytes(operation.key.as_bytes()),
            elapsed.as_millis()
        );
        if (200..300).contains(&status) {
            return Ok(Answer {
                headers,
                body: content,
            });
        }
        let mut failure = failure::from_answer(operation.name, status, &headers, &content);
        if let Some(seen) = seen {
            self.learn_clock(&mut failure, seen);
        }
        Err(failure)
    }

    fn unsent(&self, operation: &'static str, error: S3Error, reused: bool) -> Failure {
        let S3Error::Io(error) = error else {
            return Failure::new(Class::ThisFile, operation, error.to_string());
        };
        Failure {
            on_reused_connection: reused,
            ..self.unreached(operation, &error)
        }
    }

    /// A failure of the transport, with the place and the stage that it came to.
    pub(super) fn unreached(&self, operation: &'static str, error: &io::Error) -> Failure {
        let failure = failure::from_transport(operation, error);
        let place = advice::address(&self.destination);
        let failure = Failure {
            message: format!("{place}: {}", failure.message),
            stage: Some(self.transport.journey().stage),
            ..failure
        };
        self.advice.on(failure, &self.destination)
    }

    /// Makes a clock error of a refusal that the clocks explain, and takes over the offset.
    fn learn_clock(&mut self, failure: &mut Failure, seen: DateSeen) {
        // A HEAD has no body and so no code.
        let code = failure.code.as_deref().unwrap_or("AccessDenied");
        let refused = failure
            .http_status
            .is_some_and(|status| status == 400 || status == 403);
        if refused && skew::explains(code, seen.skew, self.clock_offset) {
            self.clock_offset = seen.skew;
            self.clock_corrected = true;
            failure.class = Class::Clock;
        }
    }

    fn bucket_for(&mut self, operation: &Operation<'_>) -> Result<Bucket, Failure> {
        let now = self.signing_time();
        let keys = self.provider.keys(now).map_err(without_keys)?;
        let region = Region::Custom {
            region: self.destination.region.clone(),
            endpoint: self.destination.endpoint(),
        };
        let credentials = s3::creds::Credentials::new(
            Some(&keys.access_key),
            Some(keys.secret_key.expose()),
            None,
            keys.session_token.as_ref().map(|token| token.expose()),
            None,
        )
        .map_err(|error| Failure::new(Class::Credentials, operation.name, error.to_string()))?;
        let mut bucket = Bucket::new(&self.destination.bucket, region, credentials)
            .map_err(|error| Failure::new(Class::Blocked, operation.name, error.to_string()))?;
        if self.destination.addressing == Addressing::Path {
            bucket.set_path_style();
        }
        for (name, value) in &operation.query {
            bucket.add_query(name, value);
        }
        Ok(*bucket)
    }
}

/// A provider that cannot be reached is a matter of the network; one that has nothing, of the keys.
/// The store has not been asked for anything.
fn without_keys(error: CredentialError) -> Failure {
    let operation = "credentials";
    let (hint, message) = (Some(error.hint()), error.to_string());
    let failure = match &error.kind {
        ErrorKind::Transport(error) => failure::from_transport(operation, error),
        ErrorKind::Temporary => Failure {
            code: Some("NoCredentialsNow".to_owned()),
            ..Failure::new(Class::Temporary, operation, "")
        },
        ErrorKind::Absent | ErrorKind::Misconfigured => Failure {
            code: Some("NoCredentials".to_owned()),
            ..Failure::new(Class::Credentials, operation, "")
        },
    };
    Failure {
        message,
        hint,
        ..failure
    }
}
