//! What goes wrong on the way to a server and has no error of its own in std, ureq or rustls.

use std::fmt;
use std::io;

use crate::config::model::ProxyServer;

/// Travels inside an [`io::Error`]. Its text is one sentence without secrets.
#[derive(Debug)]
pub enum Fault {
    /// Nothing answers where the proxy should be.
    ProxyUnreachable(String),
    /// The proxy wants a user and a password, or others.
    ProxyAuthentication(String),
    /// The proxy does not let this destination through.
    ProxyRefused(String),
    /// The proxy cannot reach the destination, or is no such proxy.
    ProxyFailed(String),
    /// The server demands a client certificate, and none is configured.
    ClientCertificateRequired,
    /// The server does not accept the configured client certificate; its alert.
    ClientCertificateRefused(String),
    /// The other side left in the middle of the handshake.
    ClosedInHandshake,
    /// An answer to plain HTTP that is TLS.
    TlsSpoken,
}

impl Fault {
    pub(super) fn proxy_unreachable(proxy: &ProxyServer, error: &io::Error) -> Fault {
        Fault::ProxyUnreachable(format!("the proxy {proxy} cannot be reached: {error}"))
    }

    pub(super) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::ProxyUnreachable(text)
            | Fault::ProxyAuthentication(text)
            | Fault::ProxyRefused(text)
            | Fault::ProxyFailed(text) => f.write_str(text),
            Fault::ClientCertificateRequired => {
                f.write_str("the server demands a client certificate")
            }
            Fault::ClientCertificateRefused(alert) => {
                write!(f, "the server refuses the client certificate: {alert}")
            }
            Fault::ClosedInHandshake => {
                f.write_str("the connection was closed in the middle of the TLS handshake")
            }
            Fault::TlsSpoken => f.write_str("the server answers plain HTTP with TLS"),
        }
    }
}

impl std::error::Error for Fault {}
