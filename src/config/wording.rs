//! How problems are worded, so that they all read alike.

use std::path::Path;

/// Longer values are cut in messages.
const SHOWN_CHARACTERS: usize = 80;

/// Longer names are not compared: they are no slip of the finger.
const COMPARED_CHARACTERS: usize = 64;

/// A value in backticks, on one line whatever it holds, cut when it is long.
pub(crate) fn quoted(value: &str) -> String {
    format!("`{}`", printable(value))
}

/// The same without the backticks.
pub(super) fn printable(value: &str) -> String {
    let end = value.char_indices().nth(SHOWN_CHARACTERS);
    match end {
        Some((end, _)) => escaped(&value[..end]) + "…",
        None => escaped(value),
    }
}

/// A path in backticks, never cut: it is there to be copied.
pub(super) fn quoted_path(path: &Path) -> String {
    format!("`{}`", escaped(&path.to_string_lossy()))
}

/// A path as one word of a shell's command, to be copied; as it stands where it may.
pub(super) fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%=".contains(&byte);
    if text.starts_with(|first| first != '-') && text.bytes().all(harmless) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn escaped(value: &str) -> String {
    let mut shown = String::new();
    for character in value.chars() {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

/// A feature that the file's language has and this version does not: such a key is
/// refused, since one that is ignored would promise what does not happen.
pub(super) fn unavailable(what: &str, instead: &str) -> String {
    format!(
        "{} is not available in this version of s3ferry; {instead}",
        quoted(what)
    )
}

/// What to say of a word that is none of `known`.
pub(super) fn unknown_word(word: &str, known: &[&str]) -> String {
    let word_shown = quoted(word);
    match nearest(word, known) {
        Some(near) => format!("{word_shown} is not known here; did you mean `{near}`?"),
        None => format!("{word_shown} is not known here; use {}", any_of(known)),
    }
}

/// `` `a`, `b` or `c` ``
pub(super) fn any_of(names: &[&str]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            text.push_str(if index + 1 == names.len() {
                " or "
            } else {
                ", "
            });
        }
        text.push('`');
        text.push_str(name);
        text.push('`');
    }
    text
}

/// The candidate that was probably meant; upper case, `_` and `-` make no difference.
pub(super) fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let name = folded(name);
    if name.len() > COMPARED_CHARACTERS {
        return None;
    }
    let tolerated = match name.len() {
        0..=1 => 0,
        2..=3 => 1,
        4..=8 => 2,
        _ => 3,
    };
    candidates
        .iter()
        .map(|candidate| (distance(&name, &folded(candidate)), *candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn folded(name: &str) -> Vec<char> {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// How many characters must be added, removed or replaced.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["interval", "source_path", "tls", "port", "host"];
        let cases = [
            ("intervall", Some("interval")),
            ("Interval", Some("interval")),
            ("sourcePath", Some("source_path")),
            ("source-pth", Some("source_path")),
            ("prot", Some("port")),
            ("tsl", None),
            ("tl", Some("tls")),
            ("", None),
            ("x", None),
            ("retention", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, &known), expected, "{name}");
        }
    }

    #[test]
    fn a_value_is_shown_on_one_line_and_cut_when_long() {
        let long = "x".repeat(81);
        let cut = format!("`{}…`", "x".repeat(80));
        let cases = [
            ("a", "`a`"),
            ("a\nb\u{202e}", "`a\\nb\\u{202e}`"),
            (r#"^\.'""#, r#"`^\.'"`"#),
            (long.as_str(), cut.as_str()),
        ];
        for (value, expected) in cases {
            assert_eq!(quoted(value), expected);
        }
    }
}
