//! The one transport: a ureq agent whose sockets end their waits on a signal and whose TLS clock
//! does not believe in the past.

mod pace;
mod socket;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, NextTimeout};

use crate::config::model::{ProxyChoice, TlsOptions};
use crate::os::signals::Signals;

pub use pace::Pace;
pub use tls::{TlsError, clock_floor, raise_clock_floor};

/// TCP, proxy and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// ureq's own 128 KiB each are more than an appliance needs: a TLS record is 16 KiB.
const BUFFER_SIZE: usize = 32 * 1024;

/// A ureq agent and the limits of the request that is under way on it.
#[derive(Debug)]
pub struct Transport {
    agent: ureq::Agent,
    pace: Arc<Pace>,
}

impl Transport {
    /// An agent of its own for one job. `minimum_rate` is in bytes per second.
    ///
    /// # Errors
    /// The proxy's URL, or a certificate or key file, is not usable.
    pub fn new(
        proxy: &ProxyChoice,
        tls: &TlsOptions,
        minimum_rate: u64,
        signals: Arc<Signals>,
    ) -> Result<Transport, TransportError> {
        let pace = Arc::new(Pace::new(minimum_rate));
        let config = Config::builder()
            .proxy(proxy_of(proxy)?)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            // Setting a total, per-call or resolve limit would start a thread per name look-up.
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .input_buffer_size(BUFFER_SIZE)
            .output_buffer_size(BUFFER_SIZE)
            .user_agent(concat!("s3ferry/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("")
            .build();
        let connector = ()
            .chain(ConnectProxyConnector::default())
            .chain(socket::SocketConnector::new(
                Arc::clone(&signals),
                Arc::clone(&pace),
            ))
            .chain(tls::TlsConnector::new(tls)?);
        let resolver = BlockingResolver {
            signals,
            inner: DefaultResolver::default(),
        };
        Ok(Transport {
            agent: ureq::Agent::with_parts(config, connector, resolver),
            pace,
        })
    }

    pub fn agent(&self) -> &ureq::Agent {
        &self.agent
    }

    /// The limits of the request under way; shared with the sockets.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }
}

/// Why a transport cannot be made. A matter of configuration.
#[derive(Debug)]
pub enum TransportError {
    Proxy,
    Tls(TlsError),
}

impl std::fmt::Display for TransportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TransportError::Proxy => f.write_str(
                "the proxy's address is not usable; expected `http://[user:password@]host:port`",
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

fn proxy_of(choice: &ProxyChoice) -> Result<Option<ureq::Proxy>, TransportError> {
    match choice {
        ProxyChoice::Bypass => Ok(None),
        ProxyChoice::Environment => Ok(ureq::Proxy::try_from_env()),
        ProxyChoice::Url(url) => ureq::Proxy::new(url.expose())
            .map(Some)
            .map_err(|_| TransportError::Proxy),
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

/// ureq's resolver without its limit, which it keeps with a thread. A look-up cannot be woken by
/// the signal pipe, so TERM ends the process there and then.
#[derive(Debug)]
struct BlockingResolver {
    signals: Arc<Signals>,
    inner: DefaultResolver,
}

impl Resolver for BlockingResolver {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let unlimited = NextTimeout {
            after: ureq::unversioned::transport::time::Duration::NotHappening,
            ..timeout
        };
        self.signals
            .uninterruptible(|| self.inner.resolve(uri, config, unlimited))
            .unwrap_or_else(|| Err(stopped().into()))
    }
}
