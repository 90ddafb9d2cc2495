//! Signals, and the only place where the program waits.
//!
//! A signal sets a flag and writes one byte into a pipe. Every wait of the program, for time to
//! pass or for a socket, polls that pipe as well, so that no wait outlives a request to stop.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::clock;
use crate::os::notify;

/// The signals' flags and the pipe that wakes every wait.
#[derive(Debug)]
pub struct Signals {
    wake: OwnedFd,
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    run_now: Arc<AtomicBool>,
    states_changed: Arc<AtomicBool>,
    uninterruptible: Arc<AtomicBool>,
}

/// Why a wait for a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    Ready,
    TimedOut,
    /// TERM or INT.
    Stop,
}

impl Signals {
    /// Catches TERM and INT (stop), HUP (reload), USR1 (run now) and USR2 (a processing state has
    /// changed). Once a process.
    pub fn install() -> io::Result<Arc<Signals>> {
        let (wake, write) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let signals = Signals {
            wake: wake.into(),
            stop: Arc::default(),
            reload: Arc::default(),
            run_now: Arc::default(),
            states_changed: Arc::default(),
            uninterruptible: Arc::default(),
        };
        for stop in [SIGTERM, SIGINT] {
            // A look-up of a name cannot be interrupted; ending the process there is safe, since a
            // kill is safe anywhere.
            signal_hook::flag::register_conditional_shutdown(
                stop,
                0,
                Arc::clone(&signals.uninterruptible),
            )?;
        }
        for (signal, flag) in [
            (SIGTERM, &signals.stop),
            (SIGINT, &signals.stop),
            (SIGHUP, &signals.reload),
            (SIGUSR1, &signals.run_now),
            (SIGUSR2, &signals.states_changed),
        ] {
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Arc::new(signals))
    }

    /// Whether TERM or INT came. Whoever works for long asks this again and again, which shows the
    /// watchdog that work goes on.
    pub fn stop_requested(&self) -> bool {
        notify::alive();
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether HUP came since the last call.
    pub fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    /// Whether USR1 came since the last call.
    pub fn take_run_now(&self) -> bool {
        self.run_now.swap(false, Ordering::Relaxed)
    }

    /// Whether `pause` or `resume` announced a change since the last call.
    pub fn take_states_changed(&self) -> bool {
        self.states_changed.swap(false, Ordering::Relaxed)
    }

    /// Whether a signal waits for the agent that is worth interrupting an upload between two parts.
    pub fn wants_attention(&self) -> bool {
        [&self.stop, &self.reload, &self.states_changed]
            .iter()
            .any(|flag| flag.load(Ordering::Relaxed))
    }

    fn any_pending(&self) -> bool {
        [
            &self.stop,
            &self.reload,
            &self.run_now,
            &self.states_changed,
        ]
        .iter()
        .any(|flag| flag.load(Ordering::Relaxed))
    }

    /// Runs what no poll can interrupt; TERM and INT end the process at once meanwhile. `None`: one
    /// of them came before, and the work was not begun.
    pub fn uninterruptible<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        self.uninterruptible.store(true, Ordering::SeqCst);
        let result = (!self.stop_requested()).then(work);
        self.uninterruptible.store(false, Ordering::SeqCst);
        result
    }

    /// Sleeps until `until` (`None`: for ever) or until any signal is pending.
    pub fn sleep_until(&self, until: Option<Instant>) -> io::Result<()> {
        while !self.any_pending() {
            if !poll_until(&mut [PollFd::new(&self.wake, PollFlags::IN)], until)? {
                return Ok(());
            }
            self.drain();
        }
        Ok(())
    }

    /// A short pause in the middle of work, for the bandwidth limit: only a request to stop ends it
    /// early. Returns false then.
    pub fn pause(&self, duration: Duration) -> io::Result<bool> {
        let until = Some(clock::monotonic() + duration);
        while !self.stop_requested() {
            if !poll_until(&mut [PollFd::new(&self.wake, PollFlags::IN)], until)? {
                return Ok(true);
            }
            self.drain();
        }
        Ok(false)
    }

    /// Waits until `socket` is ready for `interest`, until `deadline`, or until TERM or INT. Other
    /// signals are kept for the loop and do not end the wait.
    pub fn wait_for_socket(
        &self,
        socket: BorrowedFd<'_>,
        interest: PollFlags,
        deadline: Option<Instant>,
    ) -> io::Result<Woken> {
        while !self.stop_requested() {
            let mut fds = [
                PollFd::new(&socket, interest),
                PollFd::new(&self.wake, PollFlags::IN),
            ];
            if !poll_until(&mut fds, deadline)? {
                return Ok(Woken::TimedOut);
            }
            let (socket_ready, woken) =
                (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
            if woken {
                self.drain();
            }
            if socket_ready && !self.stop_requested() {
                return Ok(Woken::Ready);
            }
        }
        Ok(Woken::Stop)
    }

    fn drain(&self) {
        let mut bytes = [0_u8; 64];
        // Non-blocking: ends with `WouldBlock` when the pipe is empty.
        while matches!(rustix::io::read(&self.wake, &mut bytes), Ok(n) if n > 0) {}
    }
}

/// Polls once, until `until` (`None`: for ever) or until the watchdog wants a sign of life. False
/// when `until` is over, without a poll.
fn poll_until(fds: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<bool> {
    notify::alive();
    let now = clock::monotonic();
    let over = until.is_some_and(|until| until <= now);
    if over {
        return Ok(false);
    }
    let first = [until, notify::next_beat()].into_iter().flatten().min();
    let timeout = first.map(|at| timespec(at.saturating_duration_since(now)));
    match poll(fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().min(i32::MAX as u64) as i64,
        // At least a millisecond, so that rounding cannot make the loop spin.
        tv_nsec: i64::from(duration.subsec_nanos()).max(if duration.as_secs() == 0 {
            1_000_000
        } else {
            0
        }),
    }
}
