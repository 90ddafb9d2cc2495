//! Sizes, durations and rates as people write them.

use std::time::Duration;

use super::wording::{any_of, quoted};

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// In milliseconds.
const DURATION_UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// `64MiB`, `10MB` or `4096`, in bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let whole = text.trim();
    if !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return scaled(whole, whole, 1);
    }
    measured(whole, SIZE_UNITS, "a size; write for example `64MiB`")
}

/// `500ms`, `90s`, `15m`, `1h` or `2d`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    measured(
        text.trim(),
        DURATION_UNITS,
        "a duration; write for example `1h`",
    )
    .map(Duration::from_millis)
}

/// `500KiB/s`, in bytes per second; a bare `0` is understood too.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let whole = text.trim();
    match whole.strip_suffix("/s") {
        Some(size) => measured(
            size.trim_end(),
            SIZE_UNITS,
            "a rate; write for example `500KiB/s`",
        ),
        None if whole == "0" => Ok(0),
        None => Err(format!(
            "{} is not a rate; write for example `500KiB/s`",
            quoted(whole)
        )),
    }
}

/// A whole number and a unit.
fn measured(text: &str, units: &[(&str, u64)], what: &str) -> Result<u64, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start());
    if number.is_empty() || unit.is_empty() {
        return Err(format!("{} is not {what}", quoted(text)));
    }
    match units.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => scaled(text, number, *factor),
        None => Err(unknown_unit(text, number, unit, units, what)),
    }
}

fn unknown_unit(text: &str, number: &str, unit: &str, units: &[(&str, u64)], what: &str) -> String {
    let shown = quoted(text);
    if unit.starts_with(['.', ',']) {
        return format!("{shown} is not a whole number; use a smaller unit");
    }
    // `64M` may be meant either way, `10mb` only in one.
    let same = units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit));
    if let Some((name, _)) = same {
        return format!("{shown} has an unknown unit; did you mean `{number}{name}`?");
    }
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    let example = what.rsplit(' ').next().unwrap_or_default();
    let names = any_of(&names);
    format!("{shown} has an unknown unit; use {names}, for example {example}")
}

fn scaled(text: &str, number: &str, factor: u64) -> Result<u64, String> {
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("{} is too large", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parsed: Result<u64, String>, expected: Result<u64, &str>) {
        assert_eq!(parsed.as_ref().map_err(String::as_str).copied(), expected);
    }

    #[test]
    fn sizes_are_bytes_with_or_without_a_unit() {
        let cases = [
            ("64MiB", Ok(64 << 20)),
            ("10MB", Ok(10_000_000)),
            (" 4 KiB ", Ok(4096)),
            ("4096", Ok(4096)),
            ("0", Ok(0)),
            ("1TB", Ok(1_000_000_000_000)),
            ("16777215TiB", Ok(16_777_215 << 40)),
            ("16777216TiB", Err("`16777216TiB` is too large")),
            (
                "99999999999999999999",
                Err("`99999999999999999999` is too large"),
            ),
            ("", Err("`` is not a size; write for example `64MiB`")),
            ("MiB", Err("`MiB` is not a size; write for example `64MiB`")),
            (
                "-1KiB",
                Err("`-1KiB` is not a size; write for example `64MiB`"),
            ),
            (
                "10mib",
                Err("`10mib` has an unknown unit; did you mean `10MiB`?"),
            ),
            (
                "64M",
                Err(
                    "`64M` has an unknown unit; use `B`, `KB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB` or `TiB`, for example `64MiB`",
                ),
            ),
            (
                "1.5GiB",
                Err("`1.5GiB` is not a whole number; use a smaller unit"),
            ),
        ];
        for (text, expected) in cases {
            check(parse_size(text), expected);
        }
    }

    #[test]
    fn durations_need_a_unit() {
        let cases = [
            ("500ms", Ok(500)),
            ("90s", Ok(90_000)),
            ("15m", Ok(900_000)),
            ("1h", Ok(3_600_000)),
            ("2d", Ok(172_800_000)),
            ("0s", Ok(0)),
            ("90", Err("`90` is not a duration; write for example `1h`")),
            (
                "1h30m",
                Err(
                    "`1h30m` has an unknown unit; use `ms`, `s`, `m`, `h` or `d`, for example `1h`",
                ),
            ),
            ("1H", Err("`1H` has an unknown unit; did you mean `1h`?")),
            ("999999999999999d", Err("`999999999999999d` is too large")),
        ];
        for (text, expected) in cases {
            check(parse_duration(text).map(|d| d.as_millis() as u64), expected);
        }
    }

    #[test]
    fn rates_are_sizes_per_second() {
        let cases = [
            ("500KiB/s", Ok(512_000)),
            ("1 MB /s", Ok(1_000_000)),
            ("0", Ok(0)),
            ("0B/s", Ok(0)),
            (
                "500KiB",
                Err("`500KiB` is not a rate; write for example `500KiB/s`"),
            ),
            (
                "500/s",
                Err("`500` is not a rate; write for example `500KiB/s`"),
            ),
            ("/s", Err("`` is not a rate; write for example `500KiB/s`")),
        ];
        for (text, expected) in cases {
            check(parse_rate(text), expected);
        }
    }
}
