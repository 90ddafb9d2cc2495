//! The one transport: a ureq agent whose sockets end their waits on a signal and whose TLS clock
//! does not believe in the past.

mod fault;
mod journey;
mod names;
mod no_proxy;
mod pace;
mod route;
mod socket;
mod socks;
mod tls;
mod trust;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use ureq::config::Config;
use ureq::unversioned::transport::Connector;

use crate::config::model::{ProxyChoice, TlsOptions};
use crate::os::signals::Signals;

pub use fault::Fault;
pub use journey::{Journey, Stage};
pub use pace::Pace;
pub use tls::{clock_floor, raise_clock_floor, time_floor};
pub use trust::{Flaw, TlsError, TlsFile, mistakes as tls_mistakes};

use journey::Logbook;
use names::Names;
use route::Proxies;
pub use route::WrongVariable;

/// For TCP, for the way through a proxy, and for TLS, each.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// ureq's own 128 KiB each are more than an appliance needs: a TLS record is 16 KiB.
const BUFFER_SIZE: usize = 32 * 1024;
const USER_AGENT: &str = concat!("s3ferry/", env!("CARGO_PKG_VERSION"));

/// A ureq agent and the limits of the request that is under way on it.
#[derive(Debug)]
pub struct Transport {
    agent: ureq::Agent,
    pace: Arc<Pace>,
    proxies: Arc<Proxies>,
    logbook: Arc<Logbook>,
}

impl Transport {
    /// An agent of its own for one job. `minimum_rate` is in bytes per second.
    ///
    /// With [`ProxyChoice::Bypass`], nothing in the environment leads it through a proxy: that is
    /// how the metadata of a machine or a container is asked for.
    ///
    /// # Errors
    /// A variable of the environment names no proxy, or a certificate or key file is not usable.
    pub fn new(
        proxy: &ProxyChoice,
        tls: &TlsOptions,
        minimum_rate: u64,
        signals: Arc<Signals>,
    ) -> Result<Transport, TransportError> {
        let pace = Arc::new(Pace::new(minimum_rate));
        let proxies = Arc::new(Proxies::new(proxy).map_err(TransportError::Proxy)?);
        let logbook = Arc::new(Logbook::default());
        let names = Names(Arc::clone(&signals));
        let config = Config::builder()
            // Ours, below, knows more; ureq's default would read the environment.
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            // Setting a total, per-call or resolve limit would start a thread per name look-up.
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .input_buffer_size(BUFFER_SIZE)
            .output_buffer_size(BUFFER_SIZE)
            .user_agent(USER_AGENT)
            .accept_encoding("")
            .build();
        let roots = trust::roots(tls)?;
        // A proxy learns nothing of the client certificate.
        let with_proxy = proxies
            .speak_tls()
            .then(|| tls::Handshake::new(Arc::clone(&roots), tls::Identity::default()));
        let with_server = tls::Handshake::new(roots, trust::identity(tls)?);
        let connector = ()
            .chain(socket::SocketConnector {
                signals,
                pace: Arc::clone(&pace),
                proxies: Arc::clone(&proxies),
                names: names.clone(),
                logbook: Arc::clone(&logbook),
            })
            .chain(tunnel::TunnelConnector {
                proxies: Arc::clone(&proxies),
                names,
                logbook: Arc::clone(&logbook),
                tls: with_proxy,
            })
            .chain(tls::TlsConnector {
                handshake: with_server,
                logbook: Arc::clone(&logbook),
            });
        Ok(Transport {
            agent: ureq::Agent::with_parts(config, connector, names::NotYet),
            pace,
            proxies,
            logbook,
        })
    }

    pub fn agent(&self) -> &ureq::Agent {
        &self.agent
    }

    /// The limits of the request under way; shared with the sockets.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// A new request begins: its limits, and its way.
    pub fn begin(&self) {
        self.pace.begin();
        self.logbook.reach(Stage::Exchange);
    }

    /// What the last connection met, and where the last request ended.
    pub fn journey(&self) -> Journey {
        self.logbook.with(|journey| journey.clone())
    }

    /// The proxy that leads to this host, without user and password.
    pub fn proxy_to(&self, tls: bool, host: &str, port: u16) -> Option<String> {
        Some(self.proxies.to(tls, host, port)?.to_string())
    }
}

/// Why a transport cannot be made. A matter of configuration.
#[derive(Debug)]
pub enum TransportError {
    Proxy(WrongVariable),
    Tls(TlsError),
}

impl std::fmt::Display for TransportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TransportError::Proxy(WrongVariable { name, cause }) => write!(
                f,
                "the environment variable `{name}` {cause}; or set `proxy`"
            ),
            TransportError::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TransportError {}

impl From<TlsError> for TransportError {
    fn from(error: TlsError) -> Self {
        TransportError::Tls(error)
    }
}

/// TERM or INT ended a wait. Not `ErrorKind::Interrupted`: everything that reads or writes to an
/// end takes that for an invitation to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped by a signal")
    }
}

impl std::error::Error for Stopped {}

fn stopped() -> std::io::Error {
    std::io::Error::other(Stopped)
}

fn is_stop(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Stopped>())
}
