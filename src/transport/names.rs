//! Names to addresses, when a connection is made and at no other time: a request on a kept
//! connection asks nobody.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::http::uri::Scheme;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::stopped;
use crate::os::signals::Signals;

/// The other end as a URL has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub tls: bool,
    /// An IPv6 address in brackets.
    pub host: String,
    pub port: u16,
}

impl Place {
    pub fn of(uri: &Uri) -> Result<Place, ureq::Error> {
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err(ureq::Error::BadUri("no host".to_owned()));
        }
        Ok(Place {
            tls,
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        })
    }

    /// Where the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        unbracketed(&self.host).parse().ok()
    }
}

pub fn unbracketed(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The system's look-up. It cannot be woken by the signal pipe, so TERM ends the process there and
/// then; and it has no limit of ours, which would need a thread.
#[derive(Debug, Clone)]
pub struct Names(pub Arc<Signals>);

impl Names {
    /// At least one address.
    ///
    /// # Errors
    /// There is none, the look-up failed, or a signal came first.
    pub fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ureq::Error> {
        let found = self
            .0
            .uninterruptible(|| (unbracketed(host), port).to_socket_addrs())
            .unwrap_or_else(|| Err(stopped()))?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(addresses)
    }
}

/// For ureq, which would look a name up before every request.
#[derive(Debug)]
pub struct NotYet;

impl Resolver for NotYet {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}
