//! How far a connection came, and what it met on the way: what tells a wrong name from a closed
//! port, and a proxy from the server behind it.

use std::net::SocketAddr;
use std::sync::Mutex;

/// The stages of a request, in their order. Whatever happens before the way through a proxy is open
/// is [`Stage::Proxy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The server's name is looked up.
    Resolve,
    /// The proxy is looked up, connected to, and asked for the way to the server.
    Proxy,
    /// TCP to the server.
    Connect,
    /// The handshake with the server.
    Tls,
    /// Request and answer.
    Exchange,
}

impl Stage {
    /// As it stands in findings.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Resolve => "dns",
            Stage::Proxy => "proxy",
            Stage::Connect => "tcp",
            Stage::Tls => "tls",
            Stage::Exchange => "http",
        }
    }
}

/// What is known of the connection that was opened last. A request on a kept connection leaves all
/// but `stage` as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journey {
    /// Where the request under way is, or where it ended.
    pub stage: Stage,
    /// Without user and password.
    pub proxy: Option<String>,
    /// What the server's name came to; empty where it is an address or the proxy looks it up.
    pub addresses: Vec<SocketAddr>,
    /// The other end of the TCP connection: the server, or the proxy.
    pub peer: Option<SocketAddr>,
    /// Version and cipher suite.
    pub tls: Option<String>,
}

impl Default for Journey {
    fn default() -> Self {
        Journey {
            stage: Stage::Exchange,
            proxy: None,
            addresses: Vec::new(),
            peer: None,
            tls: None,
        }
    }
}

impl Journey {
    /// What each stage came to, in their order: for whoever wants to see the way.
    pub fn findings(&self) -> Vec<(Stage, String)> {
        let mut findings = Vec::new();
        if !self.addresses.is_empty() {
            let addresses: Vec<String> = self
                .addresses
                .iter()
                .map(|address| address.ip().to_string())
                .collect();
            findings.push((Stage::Resolve, addresses.join(", ")));
        }
        match (&self.proxy, self.peer) {
            (Some(proxy), _) => findings.push((Stage::Proxy, format!("through {proxy}"))),
            (None, Some(peer)) => findings.push((Stage::Connect, format!("connected to {peer}"))),
            (None, None) => {}
        }
        if let Some(tls) = &self.tls {
            findings.push((Stage::Tls, tls.clone()));
        }
        findings
    }
}

/// Written by the connectors, read by whoever has to say what failed.
#[derive(Debug, Default)]
pub struct Logbook(Mutex<Journey>);

impl Logbook {
    /// A new connection begins at `stage`.
    pub fn set_out(&self, stage: Stage, proxy: Option<String>) {
        self.with(|journey| {
            *journey = Journey {
                stage,
                proxy,
                ..Journey::default()
            };
        });
    }

    pub fn reach(&self, stage: Stage) {
        self.with(|journey| journey.stage = stage);
    }

    pub fn with<T>(&self, work: impl FnOnce(&mut Journey) -> T) -> T {
        // One thread and no panic inside: what a poisoned lock holds is as good as ever.
        match self.0.lock() {
            Ok(mut journey) => work(&mut journey),
            Err(poisoned) => work(&mut poisoned.into_inner()),
        }
    }
}
