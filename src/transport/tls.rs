//! TLS by rustls, with what ureq's own connector has no setting for: a clock that does not run
//! behind the program's build date, and ChaCha20 first where the CPU has no AES.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustls::client::ClientConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConnection, RootCertStore, StreamOwned};
use time::OffsetDateTime;
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use crate::clock;
use crate::config::model::TlsOptions;

/// When this program was built, in seconds since 1970: no certificate that matters was issued to
/// be valid only before that.
const BUILT_AT: &str = env!("S3FERRY_BUILT_AT");
/// The latest time that a server has told us over TLS, in seconds since 1970.
static SERVER_TIME: AtomicI64 = AtomicI64::new(0);

/// Raises the TLS clock's floor to a time that a server told over TLS, in this run or before.
pub fn raise_clock_floor(server_time: OffsetDateTime) {
    SERVER_TIME.fetch_max(server_time.unix_timestamp(), Ordering::Relaxed);
}

/// The floor that servers have set, to be kept over restarts.
pub fn clock_floor() -> Option<OffsetDateTime> {
    match SERVER_TIME.load(Ordering::Relaxed) {
        0 => None,
        seconds => OffsetDateTime::from_unix_timestamp(seconds).ok(),
    }
}

/// Why a TLS configuration cannot be made. A matter of configuration.
#[derive(Debug)]
pub enum TlsError {
    Read(PathBuf, std::io::Error),
    /// What was expected in the file, and what is wrong with it.
    Unusable(PathBuf, &'static str, String),
}

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TlsError::Read(path, error) => write!(f, "cannot read `{}`: {error}", path.display()),
            TlsError::Unusable(path, expected, found) => {
                write!(f, "`{}` is not {expected}: {found}", path.display())
            }
        }
    }
}

impl std::error::Error for TlsError {}

pub struct TlsConnector {
    config: Arc<ClientConfig>,
}

impl std::fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl TlsConnector {
    pub fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        Ok(TlsConnector {
            config: Arc::new(client_config(options)?),
        })
    }
}

fn client_config(options: &TlsOptions) -> Result<ClientConfig, TlsError> {
    let builder =
        ClientConfig::builder_with_details(Arc::new(crypto_provider()), Arc::new(FlooredClock))
            .with_safe_default_protocol_versions()
            // The ring provider supports both versions that rustls knows.
            .expect("TLS 1.2 and 1.3 are supported")
            .with_root_certificates(roots(options.ca_file.as_deref())?);
    let (Some(certificate), Some(key)) = (&options.client_certificate, &options.client_key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate)?;
    let private_key = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|error| unusable(key, "a private key in PEM", error))?;
    builder
        .with_client_auth_cert(chain, private_key)
        .map_err(|error| unusable(key, "the private key of the client certificate", error))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let Some(path) = ca_file else {
        return Ok(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        });
    };
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store
            .add(certificate)
            .map_err(|error| unusable(path, "a CA certificate", error))?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(
            path,
            "a certificate in PEM",
            "no `BEGIN CERTIFICATE` in it",
        )),
        Err(error) => Err(unusable(path, "a certificate in PEM", error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Read(path.to_owned(), error))
}

fn unusable(path: &Path, expected: &'static str, error: impl ToString) -> TlsError {
    TlsError::Unusable(path.to_owned(), expected, error.to_string())
}

/// ring's, with ChaCha20 first where AES would be computed in software.
fn crypto_provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !cpu_has_aes() {
        provider
            .cipher_suites
            .sort_by_key(|suite| !format!("{:?}", suite.suite()).contains("CHACHA20"));
    }
    provider
}

fn cpu_has_aes() -> bool {
    match fs::read_to_string("/proc/cpuinfo") {
        // `flags` on x86, `Features` on ARM.
        Ok(text) => text
            .lines()
            .filter(|line| line.starts_with("flags") || line.starts_with("Features"))
            .any(|line| line.split_ascii_whitespace().any(|flag| flag == "aes")),
        Err(_) => false,
    }
}

/// The wall clock, but never before the build or what a server told last: an appliance without a battery starts in 1970, and
/// every certificate would be not yet valid.
#[derive(Debug)]
struct FlooredClock;

impl TimeProvider for FlooredClock {
    fn current_time(&self) -> Option<UnixTime> {
        let now = clock::wall().unix_timestamp();
        let built: i64 = BUILT_AT.parse().unwrap_or(0);
        let told = SERVER_TIME.load(Ordering::Relaxed);
        let seconds = u64::try_from(now.max(built).max(told)).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
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
        let name = server_name(details.uri)?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut socket =
            TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        socket.set_timeout(details.timeout);
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        log::debug!(
            target: "s3ferry::transport",
            "{:?} with {:?}",
            stream.conn.protocol_version(),
            stream.conn.negotiated_cipher_suite().map(|suite| suite.suite()),
        );
        Ok(Some(Either::B(TlsTransport {
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
            stream,
        })))
    }
}

fn server_name(uri: &ureq::http::Uri) -> Result<ServerName<'static>, Error> {
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(|_| Error::BadUri(host.to_owned()))
}

pub struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
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
        self.stream.write_all(&self.buffers.output()[..amount])?;
        self.stream.flush()?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
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
