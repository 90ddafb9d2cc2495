//! Whether a file has stood still for long enough: half-written files are not sent.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::file::{Identity, Timestamp};

/// How many files are remembered as seen; more than that wait for their mtime alone.
const REMEMBERED: usize = 4096;

/// Remembers since when files have looked the same. Only those matter whose mtime does not settle
/// the question: written just now, or dated in the future by another clock.
#[derive(Debug, Default)]
pub struct Settling {
    seen: HashMap<(u64, u64), Sighting>,
}

#[derive(Debug)]
struct Sighting {
    identity: Identity,
    since: Instant,
}

impl Settling {
    /// Whether a file with `identity` is settled at `wall` and `now`; remembers it if not.
    pub fn is_settled(
        &mut self,
        identity: Identity,
        settle: Duration,
        wall: OffsetDateTime,
        now: Instant,
    ) -> bool {
        if settle.is_zero() || age(identity.modified, wall).is_some_and(|age| age >= settle) {
            return true;
        }
        let key = (identity.device, identity.inode);
        if let Some(seen) = self.seen.get(&key)
            && seen.identity == identity
        {
            let stood_still = now.saturating_duration_since(seen.since) >= settle;
            if stood_still {
                self.seen.remove(&key);
            }
            return stood_still;
        }
        if self.seen.len() < REMEMBERED || self.seen.contains_key(&key) {
            let since = now;
            self.seen.insert(key, Sighting { identity, since });
        }
        false
    }

    /// Forgets files that have not been seen to move for longer than any settle time.
    pub fn forget_before(&mut self, moment: Instant) {
        self.seen.retain(|_, seen| seen.since >= moment);
    }
}

/// `None`: dated in the future.
fn age(modified: Timestamp, wall: OffsetDateTime) -> Option<Duration> {
    let modified = modified.to_utc()?;
    Duration::try_from(wall - modified).ok()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make their own instants")]
mod tests {
    use super::*;

    fn file(modified: i64, size: u64) -> Identity {
        Identity {
            device: 1,
            inode: 7,
            size,
            modified: Timestamp {
                seconds: modified,
                nanoseconds: 0,
            },
            changed: Timestamp::default(),
        }
    }

    #[test]
    fn an_old_file_is_settled_and_a_young_one_once_it_has_stood_still() {
        let settle = Duration::from_secs(10);
        let wall = OffsetDateTime::from_unix_timestamp(1_000_000).unwrap();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut settling = Settling::default();
        assert!(settling.is_settled(file(999_990, 1), settle, wall, start));
        // Dated in the future, as after a step of the clock.
        assert!(!settling.is_settled(file(2_000_000, 1), settle, wall, start));
        assert!(!settling.is_settled(file(2_000_000, 1), settle, wall, at(9)));
        assert!(!settling.is_settled(file(2_000_000, 2), settle, wall, at(10)));
        assert!(!settling.is_settled(file(2_000_000, 2), settle, wall, at(19)));
        assert!(settling.is_settled(file(2_000_000, 2), settle, wall, at(20)));
    }

    #[test]
    fn nothing_waits_without_a_settle_time() {
        let wall = OffsetDateTime::UNIX_EPOCH;
        assert!(Settling::default().is_settled(file(5, 1), Duration::ZERO, wall, Instant::now()));
    }
}
