//! When to try again: capped exponential back-off with full jitter.

use std::time::Duration;

/// The first wait is at most this long.
const FIRST: Duration = Duration::from_secs(1);
/// No wait is longer.
const CAP: Duration = Duration::from_secs(5 * 60);

/// Counts the failures since the last success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure and says how long to wait: anything between nothing and the cap that
    /// doubles each time, so that a thousand appliances do not come back at the same moment. No
    /// wait is longer than what has failed has failed for: after a minute's outage work goes on
    /// within a minute. `random` is uniform; `at_least` what the server asked for.
    pub fn fail(
        &mut self,
        random: u64,
        failing_for: Duration,
        at_least: Option<Duration>,
    ) -> Duration {
        let ceiling = FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(failing_for.max(FIRST))
            .min(CAP);
        self.failures = self.failures.saturating_add(1);
        let millis = ceiling.as_millis() as u64;
        let jittered = Duration::from_millis(random % (millis + 1));
        jittered.max(at_least.unwrap_or_default().min(CAP))
    }

    pub fn succeed(&mut self) {
        self.failures = 0;
    }

    /// After throttling one success is no reason to run at full speed again.
    pub fn ease(&mut self) {
        self.failures /= 2;
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// Uniform random bits.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(_) => u64::from_le_bytes(bytes),
        // Early at boot the pool may be empty; jitter can do with the clock's nanoseconds.
        Err(_) => u64::from(crate::clock::wall().nanosecond()).wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(1_000_000);

    #[test]
    fn no_wait_is_longer_than_the_outage_was() {
        let mut backoff = Backoff::default();
        for random in 0..200 {
            let wait = backoff.fail(random * 997, Duration::from_secs(60), None);
            assert!(wait <= Duration::from_secs(60), "{wait:?}");
        }
        assert!(backoff.fail(u64::MAX, Duration::ZERO, None) <= FIRST);
    }

    #[test]
    fn waits_double_up_to_the_cap_and_are_jittered_over_the_whole_range() {
        let mut backoff = Backoff::default();
        let longest: Vec<u64> = (0..12)
            .map(|_| {
                let ceiling = {
                    let mut probe = backoff;
                    (0..10_000)
                        .map(|random| probe_millis(&mut probe, backoff, random * 31))
                        .max()
                        .unwrap()
                };
                backoff.fail(0, LONG, None);
                ceiling
            })
            .collect();
        assert!(longest[0] <= 1000 && longest[0] > 900, "{longest:?}");
        assert!(longest[3] <= 8000 && longest[3] > 7000, "{longest:?}");
        assert!(
            longest[11] <= 300_000 && longest[11] > 250_000,
            "{longest:?}"
        );
        backoff.succeed();
        assert!(backoff.fail(u64::MAX, LONG, None) <= Duration::from_secs(1));
    }

    fn probe_millis(probe: &mut Backoff, from: Backoff, random: u64) -> u64 {
        *probe = from;
        probe.fail(random, LONG, None).as_millis() as u64
    }

    #[test]
    fn the_servers_wish_is_a_minimum_within_the_cap() {
        let mut backoff = Backoff::default();
        let wish = Duration::from_secs(20);
        assert_eq!(backoff.fail(0, LONG, Some(wish)), wish);
        assert_eq!(
            backoff.fail(0, LONG, Some(Duration::from_secs(86_400))),
            CAP
        );
    }
}
