//! The only place that asks the system for the time.
//!
//! Decisions take times as arguments; this is where those arguments come from. Intervals are
//! measured on the monotonic clock, so that a step of the wall clock neither skips nor repeats one.

use std::time::Instant;

use time::OffsetDateTime;

use crate::config::model::TimeZone;

/// The wall clock, in UTC. May step, and may be years off on an appliance without a battery.
#[allow(clippy::disallowed_methods, reason = "the one place")]
pub fn wall() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// The monotonic clock.
#[allow(clippy::disallowed_methods, reason = "the one place")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// The monotonic clock as the kernel counts it, in microseconds: what systemd compares.
pub fn monotonic_micros() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

/// The same moment in the configured zone; UTC where the local offset cannot be told.
pub fn in_zone(moment: OffsetDateTime, zone: TimeZone) -> OffsetDateTime {
    match zone {
        TimeZone::Utc => moment,
        TimeZone::Local => match time::UtcOffset::local_offset_at(moment) {
            Ok(offset) => moment.to_offset(offset),
            Err(_) => moment,
        },
    }
}
