//! Reading values out of the tree, each with its place at hand.
//!
//! A reader that finds a mistake writes it down and hands back [`Reported`], so
//! that all other values are still looked at: the caller gathers `Result`s and
//! uses `?` only at the end.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::json::{self, Member, Node, Value};
use super::model::Place;
use super::problem::{Lines, Problem};
use super::section::Section;
use super::units;
use super::wording::{any_of, quoted, unknown_word};

/// The mistake has been written down; there is nothing more to say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reported;

/// What every reader shares: the text, the environment, and the list of mistakes.
pub(super) struct Reading<'a> {
    file: &'a Path,
    text: &'a str,
    lines: Lines<'a>,
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Readers hold this value together, and each may write a mistake down.
    findings: RefCell<Vec<Finding>>,
    /// Secrets that stand in the file itself.
    written_secrets: RefCell<Vec<Place>>,
}

struct Finding {
    offset: usize,
    field: String,
    message: String,
}

impl<'a> Reading<'a> {
    pub fn new(file: &'a Path, text: &'a str, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Reading {
            file,
            text,
            lines: Lines::of(text),
            env,
            findings: RefCell::default(),
            written_secrets: RefCell::default(),
        }
    }

    pub fn report(&self, offset: usize, field: &str, message: String) -> Reported {
        self.findings.borrow_mut().push(Finding {
            offset,
            field: field.to_string(),
            message,
        });
        Reported
    }

    pub fn place(&self, offset: usize, field: &str) -> Place {
        let (line, column) = self.lines.position(offset);
        Place {
            line,
            column,
            field: field.to_string(),
        }
    }

    /// The mistakes in the file's order, and the places of written secrets.
    pub fn finish(self) -> (Vec<Problem>, Vec<Place>) {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| finding.offset);
        let problems = findings
            .into_iter()
            .map(|finding| {
                let (line, column) = self.lines.position(finding.offset);
                Problem {
                    path: self.file.to_path_buf(),
                    line,
                    column,
                    field: finding.field,
                    message: finding.message,
                }
            })
            .collect();
        (problems, self.written_secrets.into_inner())
    }
}

/// A value that is there and not null.
pub(super) struct Field<'a> {
    pub reading: &'a Reading<'a>,
    pub path: String,
    node: &'a Node,
}

impl<'a> Field<'a> {
    /// `path` is what messages call it.
    pub fn new(reading: &'a Reading<'a>, path: String, node: &'a Node) -> Self {
        Field {
            reading,
            path,
            node,
        }
    }

    pub fn offset(&self) -> usize {
        self.node.offset
    }

    pub fn members(&self) -> Result<&'a [Member], Reported> {
        match &self.node.value {
            Value::Object(members) => Ok(members),
            _ => Err(self.unexpected("an object")),
        }
    }

    pub fn problem(&self, message: impl Into<String>) -> Reported {
        self.reading
            .report(self.node.offset, &self.path, message.into())
    }

    /// A problem at one character (from 1) of this string.
    pub fn problem_at(&self, column: usize, message: String) -> Reported {
        let offset = json::character_offset(self.reading.text, self.node.offset, column);
        self.reading.report(offset, &self.path, message)
    }

    pub fn place(&self) -> Place {
        self.reading.place(self.node.offset, &self.path)
    }

    /// Notes that this value is a secret that stands in the file itself.
    pub fn is_written_secret(&self) {
        self.reading.written_secrets.borrow_mut().push(self.place());
    }

    /// The value where it is a string; for choices between forms.
    pub fn as_text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn is_object(&self) -> bool {
        matches!(self.node.value, Value::Object(_))
    }

    pub fn text(&self) -> Result<&'a str, Reported> {
        self.as_text().ok_or_else(|| self.unexpected("a string"))
    }

    pub fn unexpected(&self, wanted: &str) -> Reported {
        // What stands where a secret belongs may be one.
        let hidden = ["key", "token", "credentials", "secret", "proxy"];
        let hidden = hidden.iter().any(|word| self.path.contains(word));
        let found = match &self.node.value {
            Value::Null => "null".to_string(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Number(text) if !hidden => format!("the number {}", quoted(text)),
            Value::String(text) if !hidden => format!("the string {}", quoted(text)),
            Value::Number(_) => "a number".to_string(),
            Value::String(_) => "a string".to_string(),
            Value::Array(_) => "an array".to_string(),
            Value::Object(_) => "an object".to_string(),
        };
        let cure = match self.node.value {
            Value::Number(_) if wanted.starts_with("a string") => "; put it in double quotes",
            _ => "",
        };
        self.problem(format!("expected {wanted}, found {found}{cure}"))
    }

    pub fn boolean(&self) -> Result<bool, Reported> {
        match self.node.value {
            Value::Bool(value) => Ok(value),
            _ => Err(self.unexpected("`true` or `false`")),
        }
    }

    /// A whole number; `bounds` is the range in words.
    pub fn count(&self, range: RangeInclusive<u64>, bounds: &str) -> Result<u64, Reported> {
        match &self.node.value {
            Value::Number(text) => self.within(text, text.parse().ok(), range, bounds),
            _ => Err(self.unexpected(&format!("a whole number, {bounds}"))),
        }
    }

    pub fn size(&self, range: RangeInclusive<u64>, bounds: &str) -> Result<u64, Reported> {
        self.measured(units::parse_size, "a size like `\"64MiB\"`", range, bounds)
    }

    pub fn rate(&self, range: RangeInclusive<u64>, bounds: &str) -> Result<u64, Reported> {
        self.measured(
            units::parse_rate,
            "a rate like `\"500KiB/s\"`",
            range,
            bounds,
        )
    }

    /// A string with a unit, or a number of the plain unit.
    fn measured(
        &self,
        parse: fn(&str) -> Result<u64, String>,
        wanted: &str,
        range: RangeInclusive<u64>,
        bounds: &str,
    ) -> Result<u64, Reported> {
        match &self.node.value {
            Value::Number(text) => self.within(text, text.parse().ok(), range, bounds),
            Value::String(text) => {
                let value = parse(text).map_err(|message| self.problem(message))?;
                self.within(text, Some(value), range, bounds)
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    pub fn duration(
        &self,
        range: RangeInclusive<Duration>,
        bounds: &str,
    ) -> Result<Duration, Reported> {
        let Some(text) = self.as_text() else {
            return Err(self.unexpected("a duration like `\"1h\"`"));
        };
        let value = units::parse_duration(text).map_err(|message| self.problem(message))?;
        if range.contains(&value) {
            return Ok(value);
        }
        Err(self.out_of_range(text, bounds))
    }

    fn within(
        &self,
        shown: &str,
        value: Option<u64>,
        range: RangeInclusive<u64>,
        bounds: &str,
    ) -> Result<u64, Reported> {
        value
            .filter(|value| range.contains(value))
            .ok_or_else(|| self.out_of_range(shown, bounds))
    }

    fn out_of_range(&self, shown: &str, bounds: &str) -> Reported {
        self.problem(format!("{} is out of range; give {bounds}", quoted(shown)))
    }

    /// The index of the string in `known`.
    pub fn choice(&self, known: &[&str]) -> Result<usize, Reported> {
        let Some(text) = self.as_text() else {
            return Err(self.unexpected(&any_of(known)));
        };
        known
            .iter()
            .position(|name| *name == text)
            .ok_or_else(|| self.problem(unknown_word(text, known)))
    }

    /// A path from the root: a service has no folder of its own to start from.
    pub fn absolute_path(&self) -> Result<PathBuf, Reported> {
        let text = self.text()?;
        let cause = if text.is_empty() {
            "an empty path; give one that begins with `/`".to_string()
        } else if text.contains('\0') {
            format!("{} holds a NUL character; remove it", quoted(text))
        } else if !text.starts_with('/') {
            format!(
                "{} is not an absolute path; begin it with `/`",
                quoted(text)
            )
        } else {
            return Ok(PathBuf::from(text));
        };
        Err(self.problem(cause))
    }

    pub fn items(&self) -> Result<Vec<Field<'a>>, Reported> {
        let Value::Array(nodes) = &self.node.value else {
            return Err(self.unexpected("an array"));
        };
        let item = |(index, node)| Field {
            reading: self.reading,
            path: format!("{}[{index}]", self.path),
            node,
        };
        Ok(nodes.iter().enumerate().map(item).collect())
    }

    /// The members of an object whose keys are the user's own; nulls are left out.
    pub fn entries(&self) -> Result<Vec<(&'a str, Field<'a>)>, Reported> {
        Ok(Section::of(self)?.entries())
    }

    /// An object of which every key is in one of the tables.
    pub fn section(&self, tables: &[&[&'static str]]) -> Result<Section<'a>, Reported> {
        let section = Section::of(self)?;
        section.report_unknown(&tables.concat());
        Ok(section)
    }
}
