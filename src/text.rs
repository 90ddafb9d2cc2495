//! Text for people and for records, made from bytes and figures.
//!
//! File names are bytes and may hold anything but `/` and NUL. Whatever leaves
//! the program (a record, a log line, a table) goes through here, so that a name
//! can neither break a line nor talk to the terminal.

use std::time::Duration;

/// The name as UTF-8 without control characters, reversible by [`unescape`].
///
/// Each byte that is not valid UTF-8, and each byte of a control character, is
/// written `\xhh` (lower-case hex); a literal backslash is written `\\`.
pub fn escape_bytes(bytes: &[u8]) -> String {
    escape(bytes, "\\\\")
}

/// Like [`escape_bytes`], but backslashes stay as they are: for object keys, and
/// for text that is escaped already. Not reversible.
pub fn printable(bytes: &[u8]) -> String {
    escape(bytes, "\\")
}

/// The bytes that [`escape_bytes`] was given; `None` if the text is none of its work.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                out.push(b'\\');
                tail
            }
            (b'\\', [b'x', high, low, tail @ ..]) => {
                out.push(hex_value(*high)? << 4 | hex_value(*low)?);
                tail
            }
            (b'\\', _) => return None,
            _ => {
                out.push(first);
                tail
            }
        };
    }
    Some(out)
}

/// Like [`printable`], and without the characters that change the direction of what follows: for
/// text that stands on a line with other text, such as a row of a table.
pub fn aligned(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text.as_bytes()).chars() {
        match c {
            '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                push_hex(&mut out, c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            c => out.push(c),
        }
    }
    out
}

fn escape(bytes: &[u8], backslash: &str) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str(backslash),
                // C1 controls too: U+009B starts a terminal sequence as ESC [ does.
                c if c.is_control() => {
                    push_hex(&mut out, c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                c => out.push(c),
            }
        }
        push_hex(&mut out, chunk.invalid());
    }
    out
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push_str("\\x");
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn hex_value(digit: u8) -> Option<u8> {
    // A hex digit is below 16, so the cast loses nothing.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Bytes for people, in powers of 1,024: `512 B`, `1.5 MiB`, `640 MiB`.
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    for (power, unit) in UNITS.iter().enumerate() {
        let tenths = rounded(u128::from(bytes) * 10, power);
        if power > 0 && tenths < 1000 && !tenths.is_multiple_of(10) {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        let whole = rounded(u128::from(bytes), power);
        if whole < 1024 {
            return format!("{whole} {unit}");
        }
    }
    // 2^64 bytes are 16 EiB, so the last unit always returns.
    String::new()
}

/// `amount / 1024^power`, to the nearest.
fn rounded(amount: u128, power: usize) -> u128 {
    let unit = 1u128 << (10 * power);
    (amount + unit / 2) / unit
}

/// A rate for people: `3.2 MiB/s`.
pub fn human_rate(bytes_per_second: u64) -> String {
    human_size(bytes_per_second) + "/s"
}

/// A time span for people, rounded down: `850ms`, `1.2s`, `1m 20s`, `2h 5m`, `3d`.
pub fn human_duration(span: Duration) -> String {
    let (seconds, tenths) = (span.as_secs(), span.subsec_millis() / 100);
    let (big, big_unit, small, small_unit) = match seconds {
        0 => return format!("{}ms", span.subsec_millis()),
        1..10 if tenths > 0 => return format!("{seconds}.{tenths}s"),
        1..60 => return format!("{seconds}s"),
        60..3_600 => (seconds / 60, 'm', seconds % 60, 's'),
        3_600..86_400 => (seconds / 3_600, 'h', seconds / 60 % 60, 'm'),
        _ => (seconds / 86_400, 'd', seconds / 3_600 % 24, 'h'),
    };
    match small {
        0 => format!("{big}{big_unit}"),
        _ => format!("{big}{big_unit} {small}{small_unit}"),
    }
}

/// Columns that the text takes on a terminal.
pub fn display_width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.chars().map(char_width).sum()
}

/// Exactly `width` columns of the text: shortened in the middle or padded with spaces.
pub fn fit(text: &str, width: usize) -> String {
    let mut out = shorten(text, width);
    let missing = width.saturating_sub(display_width(&out));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// At most `width` columns of the text, with `…` in place of its middle: of a path
/// the root and the file's ending stay readable, the ending a little more.
pub fn shorten(text: &str, width: usize) -> String {
    if display_width(text) <= width {
        return text.to_owned();
    }
    let Some(kept) = width.checked_sub(1) else {
        return String::new();
    };
    let head = fitting(text.chars(), kept / 2);
    let tail = fitting(text.chars().rev(), kept - kept / 2);
    [&text[..head], "…", &text[text.len() - tail..]].concat()
}

/// How many bytes of the characters fit into `width` columns.
fn fitting(chars: impl Iterator<Item = char>, width: usize) -> usize {
    let mut columns = 0;
    chars
        .take_while(|&c| {
            columns += char_width(c);
            columns <= width
        })
        .map(char::len_utf8)
        .sum()
}

fn char_width(c: char) -> usize {
    /// Combining marks, joiners and variation selectors.
    const ZERO: [(u32, u32); 8] = [
        (0x0300, 0x036f),
        (0x1ab0, 0x1aff),
        (0x1dc0, 0x1dff),
        (0x200b, 0x200f),
        (0x20d0, 0x20ff),
        (0x3099, 0x309a),
        (0xfe00, 0xfe0f),
        (0xe0100, 0xe01ef),
    ];
    /// The large blocks of Unicode's East Asian Width W and F, and emoji: names in
    /// tables line up with these, and the full property table would cost kilobytes.
    const WIDE: [(u32, u32); 11] = [
        (0x1100, 0x115f),
        (0x2e80, 0x303e),
        (0x3041, 0xa4cf),
        (0xa960, 0xa97f),
        (0xac00, 0xd7a3),
        (0xf900, 0xfaff),
        (0xfe30, 0xfe6f),
        (0xff01, 0xff60),
        (0xffe0, 0xffe6),
        (0x1f300, 0x1faff),
        (0x20000, 0x3fffd),
    ];
    let within = |ranges: &[(u32, u32)]| {
        ranges
            .iter()
            .any(|&(first, last)| (first..=last).contains(&u32::from(c)))
    };
    match c {
        c if c.is_ascii() => 1,
        _ if within(&ZERO) => 0,
        _ if within(&WIDE) => 2,
        _ => 1,
    }
}

/// The known word that was probably meant: the same in another case, or a few
/// letters away.
pub fn nearest<'a>(word: &str, known: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let allowed = 1 + word.chars().count() / 4;
    known
        .map(|candidate| (edit_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

#[cfg(test)]
mod tests;
