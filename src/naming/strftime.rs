//! The strftime subset that placeholders understand, in English.
//!
//! Written out here because the time crate's own formats would bring their parser
//! into the binary for a handful of letters.

use time::OffsetDateTime;

/// The letters that may follow `%`.
const LETTERS: &str = "YymdeHMSIpjbBaAuGVFTRsz%";

/// What is wrong with a format.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FormatError {
    Empty,
    /// The `%` at this character (0-based) is the last one.
    Unfinished(usize),
    /// The `%` at this character (0-based) is followed by this one.
    UnknownLetter(usize, char),
}

/// Checks that [`write`] knows each letter of the format.
pub(super) fn check(format: &str) -> Result<(), FormatError> {
    if format.is_empty() {
        return Err(FormatError::Empty);
    }
    let mut chars = format.chars().enumerate();
    while let Some((at, c)) = chars.next() {
        if c != '%' {
            continue;
        }
        match chars.next() {
            None => return Err(FormatError::Unfinished(at)),
            Some((_, letter)) if !LETTERS.contains(letter) => {
                return Err(FormatError::UnknownLetter(at, letter));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Writes the time in a format that has passed [`check`].
pub(super) fn write(out: &mut String, format: &str, time: OffsetDateTime) {
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => chars
                .next()
                .into_iter()
                .for_each(|letter| field(out, letter, time)),
            c => out.push(c),
        }
    }
}

fn field(out: &mut String, letter: char, time: OffsetDateTime) {
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    match letter {
        'Y' => number(out, time.year(), 4, '0'),
        'y' => number(out, time.year().rem_euclid(100), 2, '0'),
        'm' => number(out, i32::from(u8::from(time.month())), 2, '0'),
        'd' => number(out, i32::from(time.day()), 2, '0'),
        'e' => number(out, i32::from(time.day()), 2, ' '),
        'H' => number(out, i32::from(time.hour()), 2, '0'),
        'I' => number(out, hour12.into(), 2, '0'),
        'M' => number(out, i32::from(time.minute()), 2, '0'),
        'S' => number(out, i32::from(time.second()), 2, '0'),
        'p' => out.push_str(if time.hour() < 12 { "AM" } else { "PM" }),
        'j' => number(out, i32::from(time.ordinal()), 3, '0'),
        'b' => out.push_str(&time.month().to_string()[..3]),
        'B' => out.push_str(&time.month().to_string()),
        'a' => out.push_str(&time.weekday().to_string()[..3]),
        'A' => out.push_str(&time.weekday().to_string()),
        'u' => number(out, i32::from(time.weekday().number_from_monday()), 1, '0'),
        'G' => number(out, time.to_iso_week_date().0, 4, '0'),
        'V' => number(out, i32::from(time.iso_week()), 2, '0'),
        'F' => write(out, "%Y-%m-%d", time),
        'T' => write(out, "%H:%M:%S", time),
        'R' => write(out, "%H:%M", time),
        's' => out.push_str(&time.unix_timestamp().to_string()),
        'z' => zone(out, time),
        // `check` has let nothing else pass but `%`.
        _ => out.push('%'),
    }
}

/// `+0200`, as strftime writes it.
fn zone(out: &mut String, time: OffsetDateTime) {
    let (hours, minutes, seconds) = time.offset().as_hms();
    let negative = hours < 0 || minutes < 0 || seconds < 0;
    out.push(if negative { '-' } else { '+' });
    number(out, i32::from(hours).abs(), 2, '0');
    number(out, i32::from(minutes).abs(), 2, '0');
}

fn number(out: &mut String, value: i32, width: usize, pad: char) {
    let digits = value.unsigned_abs().to_string();
    if value < 0 {
        out.push('-');
    }
    out.extend(std::iter::repeat_n(pad, width.saturating_sub(digits.len())));
    out.push_str(&digits);
}
