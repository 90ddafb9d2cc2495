//! The way to a bucket: its host, the proxy, whom TLS trusts.

use std::fmt;
use std::path::PathBuf;

use super::Secret;

/// Where a bucket is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub bucket: String,
    pub region: String,
    pub tls: bool,
    /// The service's host, without the bucket: `s3.eu-west-2.amazonaws.com`.
    pub host: String,
    pub port: u16,
    /// `/storage/v1`, or empty: what stands between the host and the bucket.
    pub base_path: String,
    pub addressing: Addressing,
    pub region_rule: RegionRule,
}

/// What becomes of a destination when AWS says that the bucket is in another region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionRule {
    /// Nothing: this is not AWS, or the host itself names the region.
    Fixed,
    /// It is signed for the other region; the host serves all of them.
    Signed,
    /// The host is made from the region, so both change.
    Derived(HostForm),
}

/// Which of a region's hosts is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostForm {
    /// IPv4 and IPv6.
    pub dual_stack: bool,
    pub fips: bool,
}

/// Never `auto`: that has been decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    Path,
    VirtualHost,
}

impl Destination {
    /// The host that requests name and that is connected to, with the bucket where that is a part
    /// of it.
    pub fn request_host(&self) -> String {
        match self.addressing {
            Addressing::Path => self.host.clone(),
            Addressing::VirtualHost => format!("{}.{}", self.bucket, self.host),
        }
    }

    /// `https://s3.example.com:9000/base`, without the bucket.
    pub fn endpoint(&self) -> String {
        self.url_at(&self.host)
    }

    /// The bucket's own URL, in either style.
    pub fn bucket_url(&self) -> String {
        match self.addressing {
            Addressing::Path => format!("{}/{}", self.endpoint(), self.bucket),
            Addressing::VirtualHost => self.url_at(&self.request_host()),
        }
    }

    /// The standard ports are left out, as the `Host` header leaves them out.
    fn url_at(&self, host: &str) -> String {
        let (scheme, standard) = if self.tls {
            ("https", 443)
        } else {
            ("http", 80)
        };
        let port = if self.port == standard {
            String::new()
        } else {
            format!(":{}", self.port)
        };
        format!("{scheme}://{host}{port}{}", self.base_path)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyChoice {
    /// `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy`, in either case.
    Environment,
    Bypass,
    /// This one, for every destination.
    Server(ProxyServer),
}

/// A proxy and how it is spoken to. `Display` shows no user and no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyServer {
    pub protocol: ProxyProtocol,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    pub port: u16,
    /// Decoded.
    pub login: Option<ProxyLogin>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyLogin {
    pub user: String,
    pub password: Secret,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// HTTP's CONNECT.
    Http,
    /// The same, with TLS to the proxy.
    Https,
    /// SOCKS5; the destination's name is looked up here.
    Socks5,
    /// SOCKS5; the proxy looks the destination's name up.
    Socks5h,
}

impl ProxyProtocol {
    /// The scheme of its URL.
    pub fn scheme(self) -> &'static str {
        match self {
            ProxyProtocol::Http => "http",
            ProxyProtocol::Https => "https",
            ProxyProtocol::Socks5 => "socks5",
            ProxyProtocol::Socks5h => "socks5h",
        }
    }

    pub fn usual_port(self) -> u16 {
        match self {
            ProxyProtocol::Http => 80,
            ProxyProtocol::Https => 443,
            ProxyProtocol::Socks5 | ProxyProtocol::Socks5h => 1080,
        }
    }
}

impl fmt::Display for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.protocol.scheme();
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Trusted beside the built-in roots, or instead of them.
    pub ca_file: Option<PathBuf>,
    /// `None`: only where there is no `ca_file`. False only with a `ca_file`.
    pub built_in_roots: Option<bool>,
    /// Both or neither.
    pub client_certificate: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
}
