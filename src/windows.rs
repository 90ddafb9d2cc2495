//! When sending is allowed: time windows of the day.

use std::time::Duration;

use time::OffsetDateTime;

use crate::config::model::Window;

/// `None`: sending is allowed at `now` (which is in the configured zone). Otherwise how long it is
/// until the next window opens.
pub fn closed_for(windows: &[Window], now: OffsetDateTime) -> Option<Duration> {
    if windows.is_empty() || windows.iter().any(|window| contains(*window, now)) {
        return None;
    }
    let second =
        u64::from(now.hour()) * 3600 + u64::from(now.minute()) * 60 + u64::from(now.second());
    windows
        .iter()
        .map(|window| {
            let opens = u64::from(window.from) * 60;
            let wait = (opens + 86_400 - second) % 86_400;
            Duration::from_secs(if wait == 0 { 86_400 } else { wait })
        })
        .min()
}

fn contains(window: Window, now: OffsetDateTime) -> bool {
    let minute = u16::from(now.hour()) * 60 + u16::from(now.minute());
    if window.from < window.to {
        (window.from..window.to).contains(&minute)
    } else {
        // Over midnight, or the whole day.
        minute >= window.from || minute < window.to
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_window_is_open_within_and_tells_when_it_opens_next() {
        let night = Window {
            from: 22 * 60,
            to: 6 * 60,
        };
        let noon = Window {
            from: 12 * 60,
            to: 13 * 60,
        };
        let whole = Window { from: 60, to: 60 };
        let day = |hour: u8, minute: u8| {
            datetime!(2026-11-22 0:00 UTC)
                .replace_hour(hour)
                .unwrap()
                .replace_minute(minute)
                .unwrap()
        };
        let cases: [(&[Window], _, Option<u64>); 8] = [
            (&[], day(3, 0), None),
            (&[night], day(23, 0), None),
            (&[night], day(5, 59), None),
            (&[night], day(6, 0), Some(16 * 3600)),
            (&[noon], day(11, 59), Some(60)),
            (&[noon], day(13, 0), Some(23 * 3600)),
            (&[night, noon], day(11, 0), Some(3600)),
            (&[whole], day(0, 30), None),
        ];
        for (windows, now, expected) in cases {
            assert_eq!(
                closed_for(windows, now),
                expected.map(Duration::from_secs),
                "{now}"
            );
        }
    }
}
