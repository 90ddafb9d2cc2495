//! What a supervisor is told: the datagrams of sd_notify(3), and the signs of life that its
//! watchdog waits for.
//!
//! As with the log, there is one a process, and everything may speak to it. Without
//! [`start`], and without a supervisor that asks, nothing is sent and nobody wakes up.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;

static SUPERVISOR: OnceLock<Supervisor> = OnceLock::new();

/// A supervisor that does not read is waited for no longer: a stop takes a second at most.
const PATIENCE: Duration = Duration::from_millis(300);
/// systemd drops a datagram of more than 4096 bytes whole.
const LONGEST_STATUS: usize = 2000;

/// Speaks from now on to the supervisor of `$NOTIFY_SOCKET`, where there is one.
pub fn start() {
    let variable = |name: &str| std::env::var(name).ok();
    match Supervisor::from_environment(&variable) {
        Ok(Some(supervisor)) => drop(SUPERVISOR.set(supervisor)),
        Ok(None) => {}
        Err(error) => log::warn!("cannot speak to the supervisor of NOTIFY_SOCKET: {error}"),
    }
}

/// The service works, or works again after [`reloading`].
pub fn ready() {
    tell("READY=1");
}

/// The configuration is being read again. The time is what systemd tells one reload from the next by.
pub fn reloading() {
    if SUPERVISOR.get().is_some() {
        let now = clock::monotonic_micros();
        tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }
}

/// The end has begun.
pub fn stopping() {
    tell("STOPPING=1");
}

/// One line on what is being done. It is made only where somebody hears it.
pub fn status(line: impl FnOnce() -> String) {
    if SUPERVISOR.get().is_some() {
        tell(&format!("STATUS={}", one_line(&line())));
    }
}

/// Work goes on. Sent on as often as the watchdog asks for it, however often this is called.
pub fn alive() {
    if let Some(supervisor) = SUPERVISOR.get() {
        supervisor.beat(clock::monotonic());
    }
}

/// When the watchdog wants the next sign of life: no wait may last longer.
pub fn next_beat() -> Option<Instant> {
    let watchdog = SUPERVISOR.get()?.watchdog.as_ref()?;
    Some(*watchdog.next.lock().unwrap_or_else(PoisonError::into_inner))
}

fn tell(message: &str) {
    if let Some(supervisor) = SUPERVISOR.get() {
        supervisor.send(message);
    }
}

/// Where the datagrams go.
#[derive(Debug)]
struct Supervisor {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Watchdog>,
}

#[derive(Debug)]
struct Watchdog {
    every: Duration,
    next: Mutex<Instant>,
}

impl Supervisor {
    /// `Ok(None)`: nobody asks.
    fn from_environment(
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> io::Result<Option<Supervisor>> {
        let Some(name) = variable("NOTIFY_SOCKET") else {
            return Ok(None);
        };
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None if name.starts_with('/') => SocketAddr::from_pathname(&name)?,
            None => return Err(io::Error::other(format!("`{name}` is no local socket"))),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let watchdog = beat_interval(variable).map(|every| Watchdog {
            every,
            next: Mutex::new(clock::monotonic() + every),
        });
        Ok(Some(Supervisor {
            socket,
            address,
            watchdog,
        }))
    }

    fn beat(&self, now: Instant) {
        let Some(watchdog) = &self.watchdog else {
            return;
        };
        let mut next = watchdog.next.lock().unwrap_or_else(PoisonError::into_inner);
        if *next <= now {
            *next = now + watchdog.every;
            drop(next);
            self.send("WATCHDOG=1");
        }
    }

    /// A supervisor that is gone, or does not listen, is no reason to stop working.
    fn send(&self, message: &str) {
        let sent = self.socket.send_to_addr(message.as_bytes(), &self.address);
        if let Err(error) = sent {
            log::debug!("the supervisor was not told `{message}`: {error}");
        }
    }
}

/// How often to give a sign of life: twice within the limit that the watchdog sets this very
/// process, as sd_watchdog_enabled(3) advises.
fn beat_interval(variable: &dyn Fn(&str) -> Option<String>) -> Option<Duration> {
    let limit: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    let own = rustix::process::getpid().as_raw_nonzero().to_string();
    let for_us = variable("WATCHDOG_PID").is_none_or(|pid| pid == own);
    (for_us && limit > 0).then(|| Duration::from_micros((limit / 2).max(1000)))
}

/// Without line breaks, which would begin another assignment, and not too long.
fn one_line(text: &str) -> String {
    let mut line = text.replace(['\n', '\r'], " ");
    line.truncate(line.floor_char_boundary(LONGEST_STATUS));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| {
            let found = pairs.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        }
    }

    fn supervisor(socket: &str) -> io::Result<Option<Supervisor>> {
        let pairs = [("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "2000000")];
        Supervisor::from_environment(&of(&pairs))
    }

    fn received(socket: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 4096];
        socket.set_nonblocking(true).unwrap();
        let length = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    #[test]
    fn sockets_have_a_path_or_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("s3ferry-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listeners = [
            (path.to_str().unwrap().to_owned(), UnixDatagram::bind(&path)),
            (format!("@{name}"), UnixDatagram::bind_addr(&address)),
        ];
        for (socket, listener) in listeners {
            let listener = listener.unwrap();
            supervisor(&socket).unwrap().unwrap().send("READY=1");
            assert_eq!(received(&listener).as_deref(), Some("READY=1"), "{socket}");
        }
        assert!(supervisor("vsock:2:1234").is_err());
        assert!(Supervisor::from_environment(&of(&[])).unwrap().is_none());
    }

    #[test]
    fn a_supervisor_that_does_not_read_is_not_waited_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let supervisor = supervisor(path.to_str().unwrap()).unwrap().unwrap();
        let begin = clock::monotonic();
        let full = |sent: &usize| {
            supervisor.send(&sent.to_string());
            clock::monotonic().duration_since(begin) >= PATIENCE
        };
        assert!((0..100_000).any(|sent| full(&sent)), "the queue has an end");
        drop(listener);
        supervisor.send("nobody is there");
    }

    #[test]
    fn signs_of_life_come_twice_within_the_limit_and_no_more_often() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let supervisor = supervisor(path.to_str().unwrap()).unwrap().unwrap();
        let start = *supervisor.watchdog.as_ref().unwrap().next.lock().unwrap();
        for millis in (0..3000).step_by(100) {
            supervisor.beat(start + Duration::from_millis(millis));
        }
        let mut beats = 0;
        while let Some(message) = received(&listener) {
            assert_eq!(message, "WATCHDOG=1");
            beats += 1;
        }
        assert_eq!(beats, 3);
    }

    #[test]
    fn a_watchdog_of_another_process_or_without_a_limit_is_none_of_ours() {
        let own = std::process::id().to_string();
        let second = Some(Duration::from_millis(500));
        let cases = [
            (vec![], None),
            (vec![("WATCHDOG_USEC", "1000000")], second),
            (
                vec![("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", &own)],
                second,
            ),
            (
                vec![("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "1")],
                None,
            ),
            (vec![("WATCHDOG_USEC", "0")], None),
            (vec![("WATCHDOG_USEC", "soon")], None),
        ];
        for (pairs, expected) in cases {
            assert_eq!(beat_interval(&of(&pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_status_is_one_line_that_systemd_takes() {
        assert_eq!(one_line("a\nREADY=1\r\n"), "a READY=1  ");
        let long = one_line(&"ä".repeat(5000));
        assert!(long.len() <= LONGEST_STATUS && long.ends_with('ä'));
    }
}
