//! The bandwidth limit: a token bucket that is asked before each read of a body.

use std::time::{Duration, Instant};

/// How much may go out at once: a tenth of a second's worth keeps the line smooth.
const BURST: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub struct Limiter {
    /// Bytes per second.
    rate: u64,
    /// When the bucket would be empty; in the past, it has filled up since.
    spent_until: Instant,
}

impl Limiter {
    /// `rate` in bytes per second, not 0.
    pub fn new(rate: u64, now: Instant) -> Limiter {
        Limiter {
            rate: rate.max(1),
            spent_until: now,
        }
    }

    /// The most bytes to take at once.
    pub fn largest_take(&self) -> usize {
        usize::try_from(self.rate / 10).unwrap_or(usize::MAX).max(1)
    }

    /// Takes `bytes` and says how long to wait before they go out.
    pub fn take(&mut self, bytes: u64, now: Instant) -> Duration {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let cost = Duration::from_nanos(
            u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(self.rate))
                .unwrap_or(u64::MAX),
        );
        self.spent_until = self.spent_until.max(earliest) + cost;
        self.spent_until.saturating_duration_since(now)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make their own instants")]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_time_and_a_pause_earns_one_burst_only() {
        let mut now = Instant::now();
        let start = now;
        let mut limiter = Limiter::new(1000, now);
        for _ in 0..100 {
            now += limiter.take(100, now);
        }
        let elapsed = now.duration_since(start).as_secs_f64();
        assert!((9.5..=10.5).contains(&elapsed), "{elapsed}");
        now += Duration::from_secs(3600);
        assert_eq!(limiter.take(100, now), Duration::ZERO);
        assert!(limiter.take(100, now) > Duration::from_millis(90));
    }
}
