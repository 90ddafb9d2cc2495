//! The bandwidth limit: a token bucket that is asked before each read of a body.
//!
//! Two things hold at once. On average the limit is reached, for what was lost to a hash, an answer or
//! a busy machine is made up for; and this is done so slowly that no second has much more than the
//! limit.

use std::time::{Duration, Instant};

/// How late bytes may be and still be followed by the next ones as if they were in time.
const BURST: Duration = Duration::from_millis(50);
/// How much lost time is made up for. Whoever is later than this had nothing to send.
const MADE_UP: Duration = Duration::from_secs(2);
/// By how many hundredths of the limit lost time is made up for.
const FASTER: u64 = 3;

#[derive(Debug, Clone)]
pub struct Limiter {
    /// Bytes per second.
    rate: u64,
    /// When all bytes so far were due, so that the average is the limit.
    due: Instant,
    /// When they were allowed, so that no second has much more.
    allowed: Instant,
}

impl Limiter {
    /// `rate` in bytes per second, not 0.
    pub fn new(rate: u64, now: Instant) -> Limiter {
        Limiter {
            rate: rate.max(1),
            due: now,
            allowed: now,
        }
    }

    /// The most bytes to take at once: a tenth of a second's worth keeps the line smooth.
    pub fn largest_take(&self) -> usize {
        usize::try_from(self.rate / 10).unwrap_or(usize::MAX).max(1)
    }

    /// Takes `bytes` and says how long to wait before they go out.
    pub fn take(&mut self, bytes: u64, now: Instant) -> Duration {
        let ago = |time| now.checked_sub(time).unwrap_or(now);
        if self.due < ago(MADE_UP) {
            self.due = ago(BURST);
        }
        self.due += self.cost(bytes, 100);
        self.allowed = self.allowed.max(ago(BURST)) + self.cost(bytes, 100 + FASTER);
        self.due.max(self.allowed).saturating_duration_since(now)
    }

    /// How long `bytes` take at so many hundredths of the limit.
    fn cost(&self, bytes: u64, hundredths: u64) -> Duration {
        let (bytes, rate) = (u128::from(bytes), u128::from(self.rate));
        let nanos = bytes * 100 * 1_000_000_000 / (rate * u128::from(hundredths));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make their own instants")]
mod tests {
    use super::*;

    const RATE: u64 = 1_000_000;
    const TAKE: u64 = RATE / 10;

    /// When each take went out, in seconds, where the one of each number is late by what `late` says.
    fn sent(takes: u32, late: impl Fn(u32) -> Duration) -> Vec<f64> {
        let start = Instant::now();
        let (mut now, mut limiter) = (start, Limiter::new(RATE, start));
        let sent = (0..takes).map(|number| {
            now += limiter.take(TAKE, now) + late(number);
            now.duration_since(start).as_secs_f64()
        });
        sent.collect()
    }

    /// Of the limit: on average, and in the fullest second.
    fn shares(sent: &[f64]) -> (f64, f64) {
        let takes_in = |from: f64| {
            sent.iter()
                .filter(move |at| (from..from + 1.0).contains(*at))
        };
        let fullest = sent.iter().map(|from| takes_in(*from).count()).max();
        let seconds = sent[sent.len() - 1] - sent[0];
        let tenth = TAKE as f64 / RATE as f64;
        (
            (sent.len() - 1) as f64 * tenth / seconds,
            fullest.unwrap() as f64 * tenth,
        )
    }

    #[test]
    fn the_average_is_the_limit_however_late_the_machine_and_no_second_has_much_more() {
        let millis = Duration::from_millis;
        let cases: [(&str, &dyn Fn(u32) -> Duration); 6] = [
            ("in time", &|_| Duration::ZERO),
            ("each a little late", &|n| millis(u64::from(n % 5) * 10)),
            ("some very late", &|n| {
                millis(if n % 50 == 49 { 200 } else { 0 })
            }),
            ("a part's hash", &|n| {
                millis(if n % 160 == 80 { 450 } else { 0 })
            }),
            ("a slow answer", &|n| {
                millis(if n == 100 { 1900 } else { 0 })
            }),
            ("a busy machine", &|n| {
                millis(u64::from(n % 30 == 3) * 90 + u64::from(n % 3) * 5)
            }),
        ];
        for (what, late) in cases {
            let (average, fullest) = shares(&sent(1000, late));
            assert!((0.97..=1.03).contains(&average), "{what}: {average}");
            assert!(fullest <= 1.05 + 0.1, "{what}: {fullest}");
        }
    }

    #[test]
    fn nothing_is_earned_while_there_is_nothing_to_send() {
        let mut now = Instant::now();
        let mut limiter = Limiter::new(RATE, now);
        for pause in [3, 3600] {
            now += Duration::from_secs(pause);
            assert_eq!(limiter.take(TAKE / 2, now), Duration::ZERO);
            let mut waited = Duration::ZERO;
            for _ in 0..100 {
                let wait = limiter.take(TAKE, now);
                (now, waited) = (now + wait, waited + wait);
            }
            assert!(waited > Duration::from_millis(9_900), "{waited:?}");
        }
    }
}
