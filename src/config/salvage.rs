//! What a wrong configuration still tells: where the state is, for the commands that only look.

use std::path::{Path, PathBuf};

use super::FILE_LIMIT;
use super::files::{self, Links};
use super::json::Reader;
use super::model::TimeZone;
use super::settings::{DEFAULT_SHOWN, DEFAULT_STATE_DIR};

/// More files of records there are never.
const MOST_FILES: u32 = 100;

/// Where to look, and how to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    pub state_dir: PathBuf,
    pub time_zone: TimeZone,
    pub files: u32,
    pub events_shown: usize,
}

/// Reads what it can of the file at `path`; `None` where there is nothing to be read.
pub fn salvage(path: &Path) -> Option<Salvaged> {
    let opened = files::open(path, Links::Follow).ok()?;
    let bytes = opened.read(path, FILE_LIMIT).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let state_dir = find_text(&text, "state_dir").map(PathBuf::from);
    let is_local = find_text(&text, "time_zone").is_some_and(|zone| zone == "local");
    Some(Salvaged {
        state_dir: state_dir
            .filter(|dir| dir.is_absolute())
            .unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
        time_zone: if is_local {
            TimeZone::Local
        } else {
            TimeZone::Utc
        },
        files: MOST_FILES,
        events_shown: DEFAULT_SHOWN as usize,
    })
}

/// The string that stands at `key` in the outermost object of a text that may be broken: whatever
/// is wrong around it. Where brackets are, the first one that is nested least.
fn find_text(text: &str, key: &str) -> Option<String> {
    let mut reader = Reader { text, at: 0 };
    let (mut depth, mut found) = (0_usize, None::<(usize, String)>);
    while let Some(byte) = reader.peek() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                // What has no end ends with its line.
                let Ok(name) = reader.string() else { continue };
                if name != key || found.as_ref().is_some_and(|(known, _)| *known <= depth) {
                    continue;
                }
                let value = text_behind_colon(&mut reader);
                found = value.map(|value| (depth, value)).or(found);
                continue;
            }
            // An unfinished comment hides all the rest.
            b'/' => reader.skip_blank().ok()?,
            _ => {}
        }
        if byte != b'/' || reader.peek() == Some(b'/') {
            skip_character(&mut reader);
        }
    }
    found.map(|(_, value)| value)
}

fn skip_character(reader: &mut Reader<'_>) {
    let next = reader.text[reader.at..].chars().next();
    reader.at += next.map_or(0, char::len_utf8);
}

fn text_behind_colon(reader: &mut Reader<'_>) -> Option<String> {
    reader.skip_blank().ok()?;
    if !reader.take(b':') {
        return None;
    }
    reader.skip_blank().ok()?;
    match reader.peek() {
        Some(b'"') => reader.string().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::find_text;

    #[test]
    fn the_state_directory_is_found_in_a_text_that_is_no_json() {
        for (text, expected) in [
            (
                r#"{"state_dir": "/a", "jobs": [{"intervall": 1}]}"#,
                Some("/a"),
            ),
            ("{\n\"state_dir\"\n:/* x */\"/a\" \"jobs\": [", Some("/a")),
            ("{\"log\": \"open,\n\"state_dir\": \"/a\"}", Some("/a")),
            ("{\"log\": #,\n'x' / \"state_dir\": \"/a\"}", Some("/a")),
            (
                "{ // \"state_dir\": \"/b\"\n\"state_dir\": \"/a\"",
                Some("/a"),
            ),
            (
                "{\"x\": {\"state_dir\": \"/b\"}, \"state_dir\": \"/a\"}",
                Some("/a"),
            ),
            (
                "{\"x\": \"state_dir\", \"state_dir\": \"/\\u00e4\"}",
                Some("/ä"),
            ),
            ("{\"state_dir\": 17}", None),
            ("{\"state_dir\": \"/a", None),
            ("{ /* \"state_dir\": \"/a\"}", None),
            ("", None),
        ] {
            assert_eq!(find_text(text, "state_dir").as_deref(), expected, "{text}");
        }
    }
}
