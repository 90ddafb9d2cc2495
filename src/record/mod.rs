//! What stays: JSON Lines in `state_dir`, for people, scripts and the next start.
//!
//! A record is one JSON object on one line, with its version first and its times in
//! UTC. Files rotate: `history.jsonl`, then `.1` (newer) to `.N` (older).
//!
//! After a power cut a file may end in half a line, in other bytes, or in zeros that
//! were never written. The writer repairs the tail when it opens the file; readers skip
//! whatever is no record, and count it.

mod adopt;
pub mod copy;
pub mod event;
mod follow;
pub mod history;
mod json_lines;
pub mod keeper;
pub mod ledger;
mod read;

pub use event::{Event, EventError, EventKind, EventLine, Severity};
pub use follow::Follower;
pub use history::{FinishedUpload, HistoryEntry};
pub use json_lines::{JsonLines, Repair};
pub use read::{MAX_LINE, read_last};

use std::path::{Path, PathBuf};

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// The version of the record formats, their field `v`.
pub const VERSION: u32 = 1;

/// RFC 3339 in UTC with milliseconds: `2026-11-22T14:05:09.123Z`.
pub fn timestamp(time: OffsetDateTime) -> String {
    // Only the hours around the years -9999 and 9999 have no UTC form.
    let utc = time.checked_to_offset(UtcOffset::UTC).unwrap_or(time);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        utc.year(),
        u8::from(utc.month()),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second(),
        utc.millisecond(),
    )
}

/// Reads what [`timestamp`] writes, also with other or no digits after the second.
pub fn parse_timestamp(text: &str) -> Option<OffsetDateTime> {
    let (seconds, fraction) = text.strip_suffix('Z')?.split_at_checked(19)?;
    let nanoseconds = match fraction {
        "" => 0,
        _ => nanoseconds(fraction.strip_prefix('.')?)?,
    };
    let separators = [4, 7, 10, 13, 16].map(|at| seconds.as_bytes()[at]);
    if separators != *b"--T::" {
        return None;
    }
    let field = |from, to| number(seconds.get(from..to)?);
    let small = |from, to| field(from, to).and_then(|value| u8::try_from(value).ok());
    let month = Month::try_from(small(5, 7)?).ok()?;
    let year = i32::try_from(field(0, 4)?).ok()?;
    let date = Date::from_calendar_date(year, month, small(8, 10)?).ok()?;
    let time = Time::from_hms_nano(small(11, 13)?, small(14, 16)?, small(17, 19)?, nanoseconds);
    Some(date.with_time(time.ok()?).assume_utc())
}

/// `5` is 500,000,000; at most nine digits.
fn nanoseconds(digits: &str) -> Option<u32> {
    let missing = 9_u32.checked_sub(u32::try_from(digits.len()).ok()?)?;
    // Nine digits at most in all, so the product stays below 10^9.
    number(digits).map(|value| value * 10_u32.pow(missing))
}

/// Digits only: `parse` alone would take a sign.
fn number(digits: &str) -> Option<u32> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

/// The file itself (0), or an older one (from 1, the newest of them).
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests;
