//! How long the request under way may take: the decisions behind every socket wait.
//!
//! A limit on the whole request would cut a slow but healthy upload, and a limit on idle time is
//! defeated by a peer that takes or gives one byte a second. So sending is held to a minimum rate,
//! counted over the time spent waiting for the socket, and an answer to a deadline that allows for
//! what the kernel still has in its send buffer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long sending may wait before its rate is judged.
const JUDGED_AFTER: Duration = Duration::from_secs(30);
/// For an answer's first byte once everything has arrived at the server.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// From an answer's first byte to the end of its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// What the kernel takes from us before the link has proven any rate.
const UNPROVEN: u64 = 128 * 1024;
/// The largest send buffer that Linux grows by itself (`net.ipv4.tcp_wmem`).
const SEND_BUFFER: u64 = 4 * 1024 * 1024;

/// The state of the request under way. Shared between the client, which knows where a request
/// begins, and the sockets, which know what it sent.
#[derive(Debug)]
pub struct Pace {
    minimum_rate: u64,
    connections: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes sent for this request, and the time from the first to the last of them.
    sent: u64,
    sending: Option<(Instant, Instant)>,
    /// Bytes sent and time waited since the rate was last judged.
    judged_bytes: u64,
    judged_waiting: Duration,
    /// When the first byte of the answer, then its headers, then its body must be there.
    answer_deadline: Option<Instant>,
    answered: bool,
}

impl Pace {
    /// `minimum_rate` in bytes per second; 0 judges nothing.
    pub fn new(minimum_rate: u64) -> Pace {
        Pace {
            minimum_rate,
            connections: AtomicUsize::new(0),
            state: Mutex::default(),
        }
    }

    /// How many connections have been opened; a request that changes nothing here reused one.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// A new request begins.
    pub fn begin(&self) {
        self.with(|state| *state = State::default());
    }

    /// The headers are there; the body must be within `limit`.
    pub fn body_within(&self, now: Instant, limit: Duration) {
        self.with(|state| {
            state.answered = true;
            state.answer_deadline = Some(now + limit);
        });
    }

    /// `bytes` went out after `waited` for the socket. False when that is too slow.
    pub fn sent(&self, now: Instant, bytes: u64, waited: Duration) -> bool {
        let minimum_rate = self.minimum_rate;
        self.with(|state| {
            // Whatever was received before belongs to a handshake or to a `100 Continue`.
            state.answered = false;
            state.answer_deadline = None;
            state.sent += bytes;
            let first = state.sending.map_or(now, |(first, _)| first);
            state.sending = Some((first, now));
            state.judged_bytes += bytes;
            state.judged_waiting += waited;
            if state.judged_waiting < JUDGED_AFTER {
                return true;
            }
            let rate = rate(state.judged_bytes, state.judged_waiting);
            state.judged_bytes = 0;
            state.judged_waiting = Duration::ZERO;
            rate >= minimum_rate
        })
    }

    /// Until when a wait for the socket to take more may last: until the rate would be judged.
    pub fn send_deadline(&self, now: Instant) -> Instant {
        self.with(|state| now + JUDGED_AFTER.saturating_sub(state.judged_waiting))
    }

    /// Until when the next bytes of the answer must be there.
    pub fn answer_deadline(&self, now: Instant) -> Instant {
        let minimum_rate = self.minimum_rate;
        self.with(|state| {
            *state.answer_deadline.get_or_insert_with(|| {
                let elapsed = state
                    .sending
                    .map_or(Duration::ZERO, |(first, last)| last.duration_since(first));
                now + ANSWER_WITHIN + drain_time(state.sent, elapsed, minimum_rate)
            })
        })
    }

    /// Bytes of an answer came in.
    pub fn received(&self, now: Instant) {
        self.with(|state| {
            if !state.answered {
                state.answered = true;
                state.answer_deadline = Some(now + HEADERS_WITHIN);
            }
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // One thread and no panic inside: the lock is never poisoned, and if it were, the limits
        // in it would still be good.
        match self.state.lock() {
            Ok(mut state) => work(&mut state),
            Err(poisoned) => work(&mut poisoned.into_inner()),
        }
    }
}

/// How long the kernel may need for what it still holds after taking `sent` bytes in `elapsed`.
///
/// TCP lets the send buffer grow with what has been acknowledged, so at least a quarter of the
/// observed rate is real. Before that much is known, the minimum rate is all there is.
fn drain_time(sent: u64, elapsed: Duration, minimum_rate: u64) -> Duration {
    let floor = minimum_rate.max(1024);
    let rate = match sent.checked_sub(UNPROVEN) {
        Some(proven) if proven > 0 => (rate(proven, elapsed) / 4).max(floor),
        _ => floor,
    };
    Duration::from_secs(sent.min(SEND_BUFFER) / rate)
}

fn rate(bytes: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    bytes.saturating_mul(1000) / millis
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make their own instants")]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_drain_follows_what_the_link_has_proven() {
        let cases = [
            // bytes, seconds, minimum rate, allowed seconds
            (0, 0, 1024, 0),
            (10 * 1024, 0, 1024, 10),
            (UNPROVEN, 0, 1024, 128),
            (64 << 20, 6, 1024, 1),
            (1 << 20, 90, 1024, 411),
            (64 << 20, 6000, 1024, 1503),
            (10 * 1024, 0, 0, 10),
        ];
        for (sent, seconds, minimum, allowed) in cases {
            assert_eq!(
                drain_time(sent, Duration::from_secs(seconds), minimum).as_secs(),
                allowed,
                "{sent} bytes in {seconds} s"
            );
        }
    }

    #[test]
    fn a_slow_but_moving_link_is_kept_and_a_trickle_is_not() {
        let start = Instant::now();
        let healthy = Pace::new(1024);
        let trickle = Pace::new(1024);
        for second in 1..=120 {
            let now = start + Duration::from_secs(second);
            assert!(healthy.sent(now, 2048, Duration::from_secs(1)));
            if !trickle.sent(now, 1, Duration::from_secs(1)) {
                assert_eq!(second, JUDGED_AFTER.as_secs());
                return;
            }
        }
        panic!("the trickle was never given up on");
    }

    #[test]
    fn time_spent_elsewhere_is_not_held_against_the_link() {
        let start = Instant::now();
        let pace = Pace::new(1024);
        for minute in 1..100 {
            let now = start + Duration::from_secs(60 * minute);
            assert!(pace.sent(now, 1, Duration::ZERO));
        }
    }

    #[test]
    fn an_answer_has_one_deadline_and_a_new_one_for_each_stage() {
        let start = Instant::now();
        let pace = Pace::new(1024);
        pace.begin();
        let first = pace.answer_deadline(start);
        assert_eq!(first, start + ANSWER_WITHIN);
        let later = start + Duration::from_secs(9);
        assert_eq!(pace.answer_deadline(later), first);
        pace.received(later);
        assert_eq!(pace.answer_deadline(later), later + HEADERS_WITHIN);
        pace.received(later + Duration::from_secs(5));
        assert_eq!(pace.answer_deadline(later), later + HEADERS_WITHIN);
        pace.body_within(later, Duration::from_secs(7));
        assert_eq!(pace.answer_deadline(later), later + Duration::from_secs(7));
    }
}
