//! A TCP connection whose every wait ends on TERM, on its deadline, or on the socket: the
//! non-blocking counterpart of ureq's own `TcpConnector`, which sleeps in the kernel.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

use super::fault::Fault;
use super::journey::{Logbook, Stage};
use super::names::{Names, Place};
use super::pace::Pace;
use super::route::Proxies;
use super::{is_stop, stopped};
use crate::clock;
use crate::config::model::ProxyProtocol;
use crate::os::signals::{Signals, Woken};

/// Unacknowledged for this long, a connection is dead: the kernel then reports it.
const UNACKNOWLEDGED_MILLIS: u32 = 60_000;
/// What a TLS record of an alert or of a handshake begins with (RFC 8446, section 5.1).
const TLS_RECORDS: [[u8; 2]; 2] = [[21, 3], [22, 3]];

/// Opens TCP to the server, or to the proxy that leads to it.
#[derive(Debug)]
pub struct SocketConnector {
    pub signals: Arc<Signals>,
    pub pace: Arc<Pace>,
    pub proxies: Arc<Proxies>,
    pub names: Names,
    pub logbook: Arc<Logbook>,
}

impl SocketConnector {
    /// The first that accepts a connection, server or proxy.
    fn reach(&self, place: &Place, details: &ConnectionDetails) -> Result<TcpStream, Error> {
        match self.proxies.to(place.tls, &place.host, place.port) {
            Some(proxy) => {
                self.logbook.set_out(Stage::Proxy, Some(proxy.to_string()));
                self.names
                    .look_up(&proxy.host, proxy.port)
                    .and_then(|addresses| self.connect_any(&addresses, details))
                    .map_err(|error| match error.into_io() {
                        stop if is_stop(&stop) => stop.into(),
                        other => Fault::proxy_unreachable(proxy, &other).into_io().into(),
                    })
            }
            None => {
                self.logbook.set_out(Stage::Resolve, None);
                let addresses = self.names.look_up(&place.host, place.port)?;
                self.logbook.with(|journey| {
                    journey.stage = Stage::Connect;
                    if place.address().is_none() {
                        journey.addresses.clone_from(&addresses);
                    }
                });
                self.connect_any(&addresses, details)
            }
        }
    }

    fn proxy_speaks_tls(&self, place: &Place) -> bool {
        self.proxies
            .to(place.tls, &place.host, place.port)
            .is_some_and(|proxy| proxy.protocol == ProxyProtocol::Https)
    }

    /// The addresses in turn, with an equal share of the time that is left for each.
    fn connect_any(
        &self,
        addresses: &[SocketAddr],
        details: &ConnectionDetails,
    ) -> Result<TcpStream, Error> {
        let mut last = Error::ConnectionFailed;
        // The look-up has its own time.
        let started = clock::monotonic();
        for (index, address) in addresses.iter().enumerate() {
            let now = clock::monotonic();
            let left = details
                .timeout
                .after
                .saturating_sub(now.saturating_duration_since(started));
            let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
            match self.connect_one(*address, now + share.min(Duration::from_secs(3600))) {
                Ok(stream) => return Ok(stream),
                Err(Error::Io(error)) if is_stop(&error) => return Err(Error::Io(error)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn connect_one(&self, address: SocketAddr, deadline: Instant) -> Result<TcpStream, Error> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let socket: OwnedFd = rustix::net::socket_with(
            family,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .map_err(io::Error::from)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => {}
            Err(Errno::INPROGRESS) => {
                match self.signals.wait_for_socket(
                    socket.as_fd(),
                    PollFlags::OUT,
                    Some(deadline),
                )? {
                    Woken::Ready => sockopt::socket_error(&socket)
                        .map_err(io::Error::from)?
                        .map_err(io::Error::from)?,
                    Woken::TimedOut => return Err(Error::Timeout(Timeout::Connect)),
                    Woken::Stop => return Err(stopped().into()),
                }
            }
            Err(error) => return Err(io::Error::from(error).into()),
        }
        sockopt::set_tcp_nodelay(&socket, true).map_err(io::Error::from)?;
        // Missing on kernels before 2.6.37; the deadlines hold without it.
        let _ = sockopt::set_tcp_user_timeout(&socket, UNACKNOWLEDGED_MILLIS);
        Ok(TcpStream::from(socket))
    }
}

impl<In: Transport> Connector<In> for SocketConnector {
    type Out = SocketTransport;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let place = Place::of(details.uri)?;
        let stream = self.reach(&place, details)?;
        self.pace.connected();
        let peer = stream.peer_addr().ok();
        self.logbook.with(|journey| {
            journey.peer = peer;
            journey.stage = Stage::Exchange;
        });
        let shown = peer.map_or_else(
            || "a peer without an address".to_owned(),
            |at| at.to_string(),
        );
        log::debug!(target: "s3ferry::transport", "connected to {shown}");
        Ok(Some(SocketTransport {
            stream,
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
            signals: Arc::clone(&self.signals),
            pace: Arc::clone(&self.pace),
            expects_http: !place.tls && !self.proxy_speaks_tls(&place),
        }))
    }
}

#[derive(Debug)]
pub struct SocketTransport {
    stream: TcpStream,
    buffers: LazyBuffers,
    signals: Arc<Signals>,
    pace: Arc<Pace>,
    /// The next byte is the first of a plain answer.
    expects_http: bool,
}

impl SocketTransport {
    /// Sends all of the first `amount` bytes, judging the rate over the time spent waiting.
    fn send_all(&mut self, amount: usize, limit: Option<Instant>) -> Result<(), SendError> {
        let mut done = 0;
        while done < amount {
            let rest = &self.buffers.output()[done..amount];
            match rustix::net::send(&self.stream, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    done += sent;
                    self.pace
                        .sent(clock::monotonic(), sent as u64, Duration::ZERO);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait_to_send(limit)?,
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(())
    }

    fn wait_to_send(&self, limit: Option<Instant>) -> Result<(), SendError> {
        let before = clock::monotonic();
        let judged = self.pace.send_deadline(before);
        let deadline = limit.map_or(judged, |limit| limit.min(judged));
        let woken =
            self.signals
                .wait_for_socket(self.stream.as_fd(), PollFlags::OUT, Some(deadline))?;
        let now = clock::monotonic();
        if woken == Woken::Stop {
            return Err(stopped().into());
        }
        if limit.is_some_and(|limit| now >= limit) && woken == Woken::TimedOut {
            return Err(SendError::Limit);
        }
        if self.pace.sent(now, 0, now.duration_since(before)) {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the connection is slower than `minimum_rate`",
            )
            .into())
        }
    }

    fn input_is_tls(&self) -> bool {
        let input = self.buffers.input();
        TLS_RECORDS.iter().any(|record| input.starts_with(record))
    }

    fn wait_to_receive(&self, limit: Option<Instant>) -> Result<(), SendError> {
        let deadline = self.pace.answer_deadline(clock::monotonic());
        let until = limit.map_or(deadline, |limit| limit.min(deadline));
        match self
            .signals
            .wait_for_socket(self.stream.as_fd(), PollFlags::IN, Some(until))?
        {
            Woken::Ready => Ok(()),
            Woken::Stop => Err(stopped().into()),
            Woken::TimedOut if until < deadline => Err(SendError::Limit),
            Woken::TimedOut => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the server did not answer in time",
            )
            .into()),
        }
    }
}

/// What ends an exchange: the socket, or the limit that ureq set for it.
enum SendError {
    Io(io::Error),
    Limit,
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        SendError::Io(error)
    }
}

impl SendError {
    fn for_ureq(self, timeout: &NextTimeout) -> Error {
        match self {
            SendError::Io(error) => Error::Io(error),
            SendError::Limit => Error::Timeout(timeout.reason),
        }
    }
}

impl Transport for SocketTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.send_all(amount, limit_of(&timeout))
            .map_err(|error| error.for_ureq(&timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        loop {
            let buffer = self.buffers.input_append_buf();
            match rustix::net::recv(&self.stream, buffer, RecvFlags::empty()) {
                Ok((amount, _)) => {
                    self.buffers.input_appended(amount);
                    self.pace.received(clock::monotonic());
                    if std::mem::take(&mut self.expects_http) && self.input_is_tls() {
                        return Err(Fault::TlsSpoken.into_io().into());
                    }
                    return Ok(amount > 0);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self
                    .wait_to_receive(limit_of(&timeout))
                    .map_err(|error| error.for_ureq(&timeout))?,
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    /// Idle, a connection has nothing to say: bytes or an end of file mean that it is finished.
    fn is_open(&mut self) -> bool {
        let mut byte = [0];
        matches!(
            rustix::net::recv(&self.stream, &mut byte, RecvFlags::PEEK),
            Err(Errno::AGAIN)
        )
    }
}

fn limit_of(timeout: &NextTimeout) -> Option<Instant> {
    if timeout.after.is_not_happening() {
        None
    } else {
        Some(clock::monotonic() + *timeout.after)
    }
}
