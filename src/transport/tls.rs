//! TLS by rustls, with what ureq's own connector has no setting for: a clock that does not run
//! behind the program's build date, and ChaCha20 first where the CPU has no AES.

use std::fs;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::AlertDescription as Alert;
use rustls::client::{ClientConfig, ResolvesClientCert};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConnection, ProtocolVersion, RootCertStore, SignatureScheme, StreamOwned};
use time::OffsetDateTime;
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use super::fault::Fault;
use super::journey::{Logbook, Stage};
use super::names::unbracketed;
use crate::clock;

/// When this program was built, in seconds since 1970: no certificate that matters was issued to
/// be valid only before that.
const BUILT_AT: &str = env!("S3FERRY_BUILT_AT");
/// The latest time that a server has told us over TLS, in seconds since 1970; 0 before the first. No
/// atomic number, since ARMv5 has none of 64 bits.
static SERVER_TIME: Mutex<i64> = Mutex::new(0);

fn server_time() -> MutexGuard<'static, i64> {
    // A number is never half written.
    SERVER_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Raises the TLS clock's floor to a time that a server told over TLS, in this run or before.
pub fn raise_clock_floor(told: OffsetDateTime) {
    let mut known = server_time();
    *known = told.unix_timestamp().max(*known);
}

/// The floor that servers have set, to be kept over restarts.
pub fn clock_floor() -> Option<OffsetDateTime> {
    match *server_time() {
        0 => None,
        seconds => OffsetDateTime::from_unix_timestamp(seconds).ok(),
    }
}

/// Now it cannot be earlier: the build, or what a server told last over TLS.
pub fn time_floor() -> OffsetDateTime {
    let built: i64 = BUILT_AT.parse().unwrap_or(0);
    let seconds = built.max(*server_time());
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// How TLS is begun, with the destination or with a proxy.
#[derive(Clone)]
pub struct Handshake {
    config: Arc<ClientConfig>,
    identity: Arc<Identity>,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handshake")
    }
}

impl Handshake {
    pub fn new(roots: Arc<RootCertStore>, identity: Identity) -> Handshake {
        let identity = Arc::new(identity);
        let resolver: Arc<dyn ResolvesClientCert> = Arc::clone(&identity) as _;
        let config =
            ClientConfig::builder_with_details(Arc::new(crypto_provider()), Arc::new(FlooredClock))
                .with_safe_default_protocol_versions()
                // The ring provider supports both versions that rustls knows.
                .expect("TLS 1.2 and 1.3 are supported")
                .with_root_certificates(roots)
                .with_client_cert_resolver(resolver);
        Handshake {
            config: Arc::new(config),
            identity,
        }
    }

    /// TLS with `host` over `transport`.
    pub fn begin(
        &self,
        host: &str,
        transport: Box<dyn Transport>,
        details: &ConnectionDetails,
    ) -> Result<TlsTransport, Error> {
        let name = ServerName::try_from(unbracketed(host).to_owned())
            .map_err(|_| Error::BadUri(host.to_owned()))?;
        self.identity.asked.store(false, Ordering::Relaxed);
        let connection = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut socket = TransportAdapter::new(transport, Arc::clone(&details.current_time));
        socket.set_timeout(details.timeout);
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
                let error = last_word(&mut stream, error);
                return Err(self.identity.explain(closed_early(error)).into());
            }
        }
        Ok(TlsTransport {
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
            stream,
            identity: Arc::clone(&self.identity),
        })
    }
}

/// An end in the handshake has causes of its own.
fn closed_early(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => Fault::ClosedInHandshake.into_io(),
        _ => error,
    }
}

/// The client certificate, where there is one, and whether a server has asked for it.
#[derive(Debug, Default)]
pub struct Identity {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Identity {
    pub fn new(key: CertifiedKey) -> Identity {
        Identity {
            key: Some(Arc::new(key)),
            asked: AtomicBool::new(false),
        }
    }

    /// Makes a fault of an alert that is about the client certificate. In TLS 1.3 it comes after
    /// the handshake, instead of the first answer.
    fn explain(&self, error: io::Error) -> io::Error {
        let alert = match error.get_ref().map(|inner| inner.downcast_ref()) {
            Some(Some(rustls::Error::AlertReceived(alert))) => *alert,
            _ => return error,
        };
        let about_it = match alert {
            Alert::CertificateRequired => true,
            // What servers of TLS 1.2 say when none was sent.
            Alert::HandshakeFailure => self.key.is_none(),
            // The signature of a CA that only has the name of the trusted one.
            Alert::DecryptError => self.key.is_some(),
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied => true,
            _ => false,
        };
        if !about_it || !self.asked.load(Ordering::Relaxed) {
            return error;
        }
        match self.key {
            None => Fault::ClientCertificateRequired.into_io(),
            Some(_) => Fault::ClientCertificateRefused(format!("{alert:?}")).into_io(),
        }
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}

/// ring's, with ChaCha20 first where AES would be computed in software.
fn crypto_provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !has_aes(&cpu) {
        chacha_first(&mut provider);
    }
    provider
}

fn chacha_first(provider: &mut CryptoProvider) {
    provider
        .cipher_suites
        .sort_by_key(|suite| !format!("{:?}", suite.suite()).contains("CHACHA20"));
}

/// In the text of `/proc/cpuinfo`: `flags` on x86, `Features` on ARM.
fn has_aes(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags") || line.starts_with("Features"))
        .any(|line| line.split_ascii_whitespace().any(|flag| flag == "aes"))
}

/// The wall clock, but never before the build or what a server told last: an appliance without a battery starts in 1970, and
/// every certificate would be not yet valid.
#[derive(Debug)]
struct FlooredClock;

impl TimeProvider for FlooredClock {
    fn current_time(&self) -> Option<UnixTime> {
        let now = clock::wall().max(time_floor()).unix_timestamp();
        let seconds = u64::try_from(now).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

#[derive(Debug)]
pub struct TlsConnector {
    pub handshake: Handshake,
    pub logbook: Arc<Logbook>,
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        self.logbook.reach(Stage::Tls);
        let host = details.uri.host().unwrap_or_default();
        let secured = self.handshake.begin(host, transport.boxed(), details)?;
        let how = secured.version_and_suite();
        log::debug!(target: "s3ferry::transport", "{how}");
        self.logbook.with(|journey| {
            journey.stage = Stage::Exchange;
            journey.tls = Some(how);
        });
        Ok(Some(Either::B(secured)))
    }
}

pub struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    identity: Arc<Identity>,
}

impl TlsTransport {
    /// `TLS 1.3, TLS13_AES_256_GCM_SHA384`
    fn version_and_suite(&self) -> String {
        let connection = &self.stream.conn;
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        };
        match connection.negotiated_cipher_suite() {
            Some(suite) => format!("{version}, {:?}", suite.suite()),
            None => version.to_owned(),
        }
    }
}

/// A peer that refuses says so before it closes, and the writing that fails then hides it: what is
/// still to be read counts more than `error`.
fn last_word(
    stream: &mut StreamOwned<ClientConnection, TransportAdapter>,
    error: io::Error,
) -> io::Error {
    let gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    );
    while gone && matches!(stream.conn.read_tls(&mut stream.sock), Ok(1..)) {
        if let Err(said) = stream.conn.process_new_packets() {
            return io::Error::new(io::ErrorKind::InvalidData, said);
        }
    }
    error
}

impl std::fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        let sent = self
            .stream
            .write_all(&self.buffers.output()[..amount])
            .and_then(|()| self.stream.flush());
        sent.map_err(|error| {
            let error = last_word(&mut self.stream, error);
            self.identity.explain(error).into()
        })
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = self
            .stream
            .read(self.buffers.input_append_buf())
            .map_err(|error| self.identity.explain(error))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chacha_goes_first_where_the_cpu_has_no_aes() {
        let cases = [
            ("flags\t\t: fpu vme aes sse2\n", true),
            ("flags\t\t: fpu vme sse2\n", false),
            ("Features\t: half thumb neon vfpv4\n", false),
            ("Features\t: fp asimd aes pmull sha1\n", true),
            ("model name\t: aes box\n", false),
            ("", false),
        ];
        for (cpuinfo, expected) in cases {
            assert_eq!(has_aes(cpuinfo), expected, "{cpuinfo}");
        }
        let mut provider = ring::default_provider();
        let count = provider.cipher_suites.len();
        chacha_first(&mut provider);
        let names: Vec<String> = provider
            .cipher_suites
            .iter()
            .map(|suite| format!("{:?}", suite.suite()))
            .collect();
        let first_other = names.iter().position(|name| !name.contains("CHACHA20"));
        let last = names.iter().rposition(|name| name.contains("CHACHA20"));
        assert!(first_other > last, "{names:?}");
        assert_eq!(names.len(), count);
    }
}
