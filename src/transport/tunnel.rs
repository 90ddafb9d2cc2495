//! The way through a proxy, opened on the socket that every other connection uses too: a proxy that
//! hangs ends with the same deadlines and signals as a server that does.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, NextTimeout, Transport, TransportAdapter,
};

use super::fault::Fault;
use super::journey::{Logbook, Stage};
use super::names::{Names, Place};
use super::route::Proxies;
use super::socks::{self, Target};
use super::tls::Handshake;
use super::{USER_AGENT, is_stop};
use crate::config::model::{ProxyLogin, ProxyProtocol, ProxyServer};

/// The longest head of an answer to CONNECT, in bytes.
const HEAD_LIMIT: usize = 16 * 1024;

/// Takes the connection to a proxy, and makes it one to the destination.
#[derive(Debug)]
pub struct TunnelConnector {
    pub proxies: Arc<Proxies>,
    pub names: Names,
    pub logbook: Arc<Logbook>,
    /// For proxies that speak TLS themselves; `None` where none does.
    pub tls: Option<Handshake>,
}

impl<In: Transport> Connector<In> for TunnelConnector {
    type Out = Either<In, Tunnel>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let place = Place::of(details.uri)?;
        let Some(transport) = chained else {
            return Ok(None);
        };
        let Some(proxy) = self.proxies.to(place.tls, &place.host, place.port) else {
            return Ok(Some(Either::A(transport)));
        };
        let target = self.target(proxy, &place)?;
        self.logbook.reach(Stage::Proxy);
        let mut transport = transport.boxed();
        if let (ProxyProtocol::Https, Some(tls)) = (proxy.protocol, &self.tls) {
            transport = tls
                .begin(&proxy.host, transport, details)
                .map_err(|error| in_the_tunnel(proxy, error.into_io()))?
                .boxed();
        }
        let mut stream = TransportAdapter::new(transport, Arc::clone(&details.current_time));
        stream.set_timeout(details.timeout);
        let opened = match proxy.protocol {
            ProxyProtocol::Http | ProxyProtocol::Https => connect(&mut stream, proxy, &place),
            ProxyProtocol::Socks5 | ProxyProtocol::Socks5h => {
                socks::open(&mut stream, proxy, &target)
            }
        };
        opened.map_err(|error| in_the_tunnel(proxy, error))?;
        log::debug!(target: "s3ferry::transport", "{proxy} leads to {target}");
        self.logbook.reach(Stage::Exchange);
        Ok(Some(Either::B(Tunnel(stream.into_inner()))))
    }
}

impl TunnelConnector {
    fn target(&self, proxy: &ProxyServer, place: &Place) -> Result<Target, ureq::Error> {
        if proxy.protocol != ProxyProtocol::Socks5 {
            return Ok(match place.address() {
                Some(ip) => Target::Address(SocketAddr::new(ip, place.port)),
                None => Target::Name(place.host.clone(), place.port),
            });
        }
        self.logbook.reach(Stage::Resolve);
        let addresses = self.names.look_up(&place.host, place.port)?;
        // A proxy has IPv4 more often than IPv6.
        let chosen = addresses
            .iter()
            .find(|address| address.is_ipv4())
            .or(addresses.first())
            .copied();
        self.logbook.with(|journey| journey.addresses = addresses);
        Ok(Target::Address(chosen.ok_or(ureq::Error::HostNotFound)?))
    }
}

/// What is neither the proxy's own word nor a signal is the proxy's failure all the same.
fn in_the_tunnel(proxy: &ProxyServer, error: io::Error) -> ureq::Error {
    let known = error.get_ref().is_some_and(|inner| inner.is::<Fault>());
    if known || is_stop(&error) {
        return error.into();
    }
    let text = match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("the proxy {proxy} closed the connection"),
        _ => format!("the proxy {proxy} does not answer as one: {error}"),
    };
    Fault::ProxyFailed(text).into_io().into()
}

/// HTTP's CONNECT, RFC 9110 section 9.3.6.
fn connect<S: Read + Write>(stream: &mut S, proxy: &ProxyServer, place: &Place) -> io::Result<()> {
    let target = format!("{}:{}", place.host, place.port);
    let login = proxy.login.as_ref().map(authorization).unwrap_or_default();
    let request = format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {USER_AGENT}\r\n{login}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let head = read_head(stream)?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let (version, answer) = status_line.split_once(' ').unwrap_or_default();
    let status: Option<u16> = answer.get(..3).and_then(|digits| digits.parse().ok());
    let (true, Some(status)) = (version.starts_with("HTTP/1."), status) else {
        let text = format!("the proxy {proxy} does not speak HTTP");
        return Err(Fault::ProxyFailed(text).into_io());
    };
    if (200..300).contains(&status) {
        return Ok(());
    }
    let schemes: Vec<&str> = lines.filter_map(offered_login).collect();
    Err(refusal(proxy, &target, status, answer.trim_end(), &schemes).into_io())
}

/// Basic, RFC 7617.
fn authorization(login: &ProxyLogin) -> String {
    let pair = format!("{}:{}", login.user, login.password.expose());
    format!(
        "Proxy-Authorization: Basic {}\r\n",
        BASE64_STANDARD.encode(pair)
    )
}

/// Up to the empty line and not a byte further: what follows is the server's.
fn read_head<S: Read>(stream: &mut S) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
        // No HTTP begins otherwise, and no other protocol has to send as much as a head.
        let begun = &head[..head.len().min(5)];
        if !b"HTTP/".starts_with(begun) || head.len() > HEAD_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer"));
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// `Basic` of `Proxy-Authenticate: Basic realm="x"`.
fn offered_login(line: &str) -> Option<&str> {
    let (name, value) = line.split_once(':')?;
    ["proxy-authenticate", "www-authenticate"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
        .then(|| value.split_ascii_whitespace().next())?
}

fn refusal(
    proxy: &ProxyServer,
    target: &str,
    status: u16,
    answer: &str,
    schemes: &[&str],
) -> Fault {
    let said = format!("the proxy {proxy} answers {answer}");
    // tinyproxy says 401 to a wrong login.
    if matches!(status, 401 | 407) {
        let basic = schemes
            .iter()
            .any(|scheme| scheme.eq_ignore_ascii_case("basic"));
        let cause = match (schemes, &proxy.login) {
            (offered @ [_, ..], _) if !basic => {
                format!("it takes {} and not Basic", offered.join(" and "))
            }
            (_, Some(_)) => "it does not accept the user and the password".to_owned(),
            (_, None) => "it wants a user and a password".to_owned(),
        };
        return Fault::ProxyAuthentication(format!("{said}: {cause}"));
    }
    if status < 500 {
        return Fault::ProxyRefused(format!("{said} to CONNECT {target}"));
    }
    Fault::ProxyFailed(format!("{said}: it cannot reach {target}"))
}

/// A connection through a proxy. Plain, whatever the proxy itself speaks: the TLS of the
/// destination is still to come.
#[derive(Debug)]
pub struct Tunnel(Box<dyn Transport>);

impl Transport for Tunnel {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        false
    }
}
