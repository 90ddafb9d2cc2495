//! When keys are asked for anew: early enough that none expires under a part.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// So long before the end keys are refreshed where that works.
const EARLY: Duration = Duration::from_secs(15 * 60);
/// After the first try that did not work. Each further pause is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// An early try may last for this share of the pause after it: somebody who does not answer costs
/// no more of the time than that.
const SHARE_OF_PAUSE: u32 = 12;
/// And for this share of what is left of the keys, so that they are good for something after it.
const SHARE_OF_LEFT: u32 = 4;
/// Keys are not asked for anew within so long, however soon they seem to end.
const FRESH: Duration = Duration::from_secs(15);
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
    /// The early tries that did not work, and when the last one of them ended.
    failed: u32,
    tried: Option<Instant>,
}

/// What to do before the next signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    /// Others are asked for, for so long at most, and these do as long as that does not work.
    Refresh(Duration),
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
            failed: 0,
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
            let trusted = if self.whole.is_zero() { TRUSTED } else { FRESH };
            return if since(self.fetched) < trusted {
                Standing::Good
            } else {
                Standing::Over
            };
        }
        let pause = pause_after(self.failed);
        let paused = self.tried.is_some_and(|tried| since(tried) < pause);
        // A clock that has been set since the fetch must not end in a fetch before each request.
        if left > self.at_most(EARLY, 4) || paused || since(self.fetched) < FRESH {
            return Standing::Good;
        }
        let next_pause = pause_after(self.failed + 1);
        Standing::Refresh((next_pause / SHARE_OF_PAUSE).min(left / SHARE_OF_LEFT))
    }

    /// An early refresh did not work. True when that is news.
    pub fn not_refreshed(&mut self, monotonic: Instant) -> bool {
        self.failed += 1;
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

/// The pause after so many tries in vain.
fn pause_after(failed: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failed.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
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
    /// clock that is `skew` minutes off at the fetch alone; after a try in vain at each of `tried`.
    fn check(lifetime: i64, skew: i64, tried: &[f64], minutes: f64, expected: Standing) {
        let fetched = crate::clock::monotonic();
        let at = |minutes: f64| fetched + Duration::from_secs_f64(minutes * 60.0);
        let expires = START + time::Duration::minutes(lifetime);
        let seen = START + time::Duration::minutes(skew);
        let mut keys = Lifetime::new(Some(expires), seen, fetched);
        for (index, tried) in tried.iter().enumerate() {
            assert_eq!(keys.not_refreshed(at(*tried)), index == 0);
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
        let within = |seconds: f64| Refresh(Duration::from_secs_f64(seconds));
        let cases: &[(i64, i64, &[f64], f64, Standing)] = &[
            // An hour: from 45 minutes on, again after a minute, then after two at a time.
            (60, 0, &[], 44.9, Good),
            (60, 0, &[], 45.5, within(5.0)),
            (60, 0, &[45.5], 46.4, Good),
            (60, 0, &[45.5], 46.6, within(10.0)),
            (60, 0, &[45.5, 47.0], 48.9, Good),
            (60, 0, &[45.5, 47.0], 49.5, within(10.0)),
            (60, 0, &[45.5, 47.0, 49.5], 51.4, Good),
            (60, 0, &[45.5, 47.0, 49.5], 51.6, within(10.0)),
            // Never for long where little is left.
            (60, 0, &[], 59.75, within(3.75)),
            (60, 0, &[59.8], 59.9, Good),
            (60, 0, &[59.9], 60.1, Over),
            // Fifteen minutes: a quarter before the end.
            (15, 0, &[], 11.0, Good),
            (15, 0, &[], 11.5, within(5.0)),
            (15, 0, &[], 15.1, Over),
            (1, 0, &[], 0.75, within(3.75)),
            (1, 0, &[0.95], 1.01, Over),
            // Handed out as expired, or so it seems: S3 decides for a minute.
            (-5, 0, &[], 0.5, Good),
            (-5, 0, &[], 1.1, Over),
            // The clock was two hours ahead at the fetch, and has been corrected since.
            (60, 120, &[], 1.0, Good),
            (60, 120, &[], 44.0, Good),
            (60, 120, &[], 46.0, within(5.0)),
            // It was a day behind.
            (60, -1440, &[], 44.0, Good),
            (60, -1440, &[], 46.0, within(5.0)),
        ];
        for (lifetime, skew, tried, minutes, expected) in cases {
            check(*lifetime, *skew, tried, *minutes, *expected);
        }
        let lasting = Lifetime::new(None, START, crate::clock::monotonic());
        let end_of_time = datetime!(9999-12-31 0:00 UTC);
        assert_eq!(
            lasting.standing(end_of_time, crate::clock::monotonic()),
            Good
        );
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }
}
