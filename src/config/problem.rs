//! Problems and the places they stand at.

use std::fmt;
use std::path::{Path, PathBuf};

use super::model::Place;
use super::wording::printable;

/// Everything that is wrong with a configuration, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One mistake. Its text never holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub path: PathBuf,
    /// From 1; 0 where the file as a whole is meant, as when it cannot be read.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// `jobs[0].interval`; empty where no field is meant.
    pub field: String,
    /// The wrong value in backticks, the cause and the cure.
    pub message: String,
}

impl Place {
    /// A problem of the value that stands here, in the file at `path`.
    pub fn problem(&self, path: &Path, message: String) -> Problem {
        Problem {
            path: path.to_path_buf(),
            line: self.line,
            column: self.column,
            field: self.field.clone(),
            message,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A line for each problem.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Where each line of a text begins.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn of(text: &'a str) -> Self {
        // A byte order mark is no column.
        let first = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let following = text.match_indices('\n').map(|(at, _)| at + 1);
        Lines {
            text,
            starts: std::iter::once(first).chain(following).collect(),
        }
    }

    /// The line and the column, both from 1, of the byte at `offset`.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts[line - 1];
        let before = self.text.get(start..offset).unwrap_or("");
        (line, before.chars().count() + 1)
    }
}

/// `parent.key`, with a key that would be misread in quotes.
pub(super) fn member_field(parent: &str, key: &str) -> String {
    let plain = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$'));
    if !plain || key.is_empty() {
        format!("{parent}[\"{}\"]", printable(key))
    } else if parent.is_empty() {
        printable(key)
    } else {
        format!("{parent}.{}", printable(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_leave_a_byte_order_mark_out() {
        let text = "\u{feff}{\n  \"é\": 1\r\n}";
        let lines = Lines::of(text);
        let cases = [("{", (1, 1)), ("\"é", (2, 3)), ("1", (2, 8)), ("}", (3, 1))];
        for (what, expected) in cases {
            let offset = text.find(what).expect("it stands in the text");
            assert_eq!(lines.position(offset), expected, "{what}");
        }
        assert_eq!(lines.position(text.len()), (3, 2));
        assert_eq!(Lines::of("").position(0), (1, 1));
    }

    #[test]
    fn a_problem_is_one_line_with_its_place() {
        let problem = |line, field: &str| Problem {
            path: PathBuf::from("/etc/s3ferry.json"),
            line,
            column: 7,
            field: field.to_string(),
            message: "is missing".to_string(),
        };
        let cases = [
            (
                3,
                "jobs[0].host",
                "/etc/s3ferry.json:3:7: jobs[0].host: is missing",
            ),
            (3, "", "/etc/s3ferry.json:3:7: is missing"),
            (0, "", "/etc/s3ferry.json: is missing"),
        ];
        for (line, field, expected) in cases {
            assert_eq!(problem(line, field).to_string(), expected);
        }
    }

    #[test]
    fn a_field_shows_odd_keys_in_quotes() {
        let cases = [
            ("", "log", "log"),
            ("log", "level", "log.level"),
            ("object.tags", "a b", "object.tags[\"a b\"]"),
            ("object.tags", "a\n", "object.tags[\"a\\n\"]"),
            ("object.tags", "", "object.tags[\"\"]"),
        ];
        for (parent, key, expected) in cases {
            assert_eq!(member_field(parent, key), expected);
        }
    }
}
