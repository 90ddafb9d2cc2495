//! When keys are asked for anew: early enough that none expires under a part.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// So long before the end keys are refreshed where that works.
const EARLY: Duration = Duration::from_secs(15 * 60);
/// From here on it is tried again and again.
const LATE: Duration = Duration::from_secs(10 * 60);
/// Between two tries before and after that.
const EARLY_RETRY: Duration = Duration::from_secs(60);
const LATE_RETRY: Duration = Duration::from_secs(15);
/// Keys that were handed out as expired are used for so long: S3 decides, since either clock may be
/// wrong.
const TRUSTED: Duration = Duration::from_secs(60);

/// When keys came and when they end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    /// `None`: never.
    expires: Option<OffsetDateTime>,
    fetched: Instant,
    /// From the fetch to the end, by the clock of then.
    whole: Duration,
    /// The last refresh that did not work.
    tried: Option<Instant>,
}

/// What to do before the next signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    /// Others are asked for, and these do as long as that does not work.
    Refresh,
    Over,
}

impl Lifetime {
    /// `now` is the corrected time, `fetched` the same moment on the monotonic clock.
    pub fn new(expires: Option<OffsetDateTime>, now: OffsetDateTime, fetched: Instant) -> Lifetime {
        let whole = expires.map_or(Duration::ZERO, |expires| left(expires, now));
        Lifetime {
            expires,
            fetched,
            whole,
            tried: None,
        }
    }

    pub fn expires(&self) -> Option<OffsetDateTime> {
        self.expires
    }

    pub fn standing(&self, now: OffsetDateTime, monotonic: Instant) -> Standing {
        let Some(expires) = self.expires else {
            return Standing::Good;
        };
        let left = left(expires, now);
        let since = |moment: Instant| monotonic.saturating_duration_since(moment);
        if left.is_zero() {
            let trusted = if self.whole.is_zero() {
                TRUSTED
            } else {
                LATE_RETRY
            };
            return if since(self.fetched) < trusted {
                Standing::Good
            } else {
                Standing::Over
            };
        }
        let retry = if left > self.at_most(LATE, 6) {
            EARLY_RETRY
        } else {
            LATE_RETRY
        };
        let paused = self.tried.is_some_and(|tried| since(tried) < retry);
        // A clock that has been set since the fetch must not end in a fetch before each request.
        if left > self.at_most(EARLY, 4) || paused || since(self.fetched) < LATE_RETRY {
            Standing::Good
        } else {
            Standing::Refresh
        }
    }

    /// A refresh did not work. True when that is news.
    pub fn not_refreshed(&mut self, monotonic: Instant) -> bool {
        self.tried.replace(monotonic).is_none()
    }

    pub fn age(&self, monotonic: Instant) -> Duration {
        monotonic.saturating_duration_since(self.fetched)
    }

    /// `margin`, or a share of a lifetime for which that would be too much.
    fn at_most(&self, margin: Duration, share: u32) -> Duration {
        if self.whole.is_zero() {
            margin
        } else {
            margin.min(self.whole / share)
        }
    }
}

fn left(expires: OffsetDateTime, now: OffsetDateTime) -> Duration {
    Duration::try_from(expires - now).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const START: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    /// The standing `minutes` after the fetch, of keys that are good for `lifetime` minutes, by a
    /// clock that is `skew` minutes off at the fetch alone.
    fn check(lifetime: i64, skew: i64, tried: Option<f64>, minutes: f64, expected: Standing) {
        let fetched = crate::clock::monotonic();
        let at = |minutes: f64| fetched + Duration::from_secs_f64(minutes * 60.0);
        let expires = START + time::Duration::minutes(lifetime);
        let seen = START + time::Duration::minutes(skew);
        let mut keys = Lifetime::new(Some(expires), seen, fetched);
        if let Some(tried) = tried {
            assert!(keys.not_refreshed(at(tried)));
            assert!(!keys.not_refreshed(at(tried)));
        }
        let now = START + time::Duration::seconds_f64(minutes * 60.0);
        assert_eq!(
            keys.standing(now, at(minutes)),
            expected,
            "{lifetime} min, skew {skew}, tried {tried:?}, after {minutes}"
        );
    }

    #[test]
    fn keys_are_refreshed_before_their_end_and_used_to_it() {
        use Standing::{Good, Over, Refresh};
        let cases = [
            // An hour: from 45 minutes on, again after a minute, from 50 on after 15 seconds.
            (60, 0, None, 44.9, Good),
            (60, 0, None, 45.1, Refresh),
            (60, 0, Some(45.1), 45.9, Good),
            (60, 0, Some(45.1), 46.2, Refresh),
            (60, 0, Some(50.5), 50.7, Good),
            (60, 0, Some(50.5), 50.8, Refresh),
            (60, 0, Some(59.8), 59.9, Good),
            (60, 0, Some(59.9), 60.1, Over),
            // Fifteen minutes: a quarter before the end.
            (15, 0, None, 11.0, Good),
            (15, 0, None, 11.5, Refresh),
            (15, 0, None, 15.1, Over),
            (1, 0, None, 0.9, Refresh),
            (1, 0, Some(0.95), 1.01, Over),
            // Handed out as expired, or so it seems: S3 decides for a minute.
            (-5, 0, None, 0.5, Good),
            (-5, 0, None, 1.1, Over),
            // The clock was two hours ahead at the fetch, and has been corrected since.
            (60, 120, None, 1.0, Good),
            (60, 120, None, 44.0, Good),
            (60, 120, None, 46.0, Refresh),
            // It was a day behind.
            (60, -1440, None, 44.0, Good),
            (60, -1440, None, 46.0, Refresh),
        ];
        for (lifetime, skew, tried, minutes, expected) in cases {
            check(lifetime, skew, tried, minutes, expected);
        }
        let lasting = Lifetime::new(None, START, crate::clock::monotonic());
        let end_of_time = datetime!(9999-12-31 0:00 UTC);
        assert_eq!(
            lasting.standing(end_of_time, crate::clock::monotonic()),
            Good
        );
    }
}
