//! The text of `change_filename`, parsed once and rendered for every file.

use std::collections::BTreeMap;
use std::fmt;

use time::OffsetDateTime;

use super::strftime::{self, FormatError};
use super::{FileFacts, KeyError};
use crate::text::{nearest, printable};

/// The placeholders that every template knows. A placeholder of one's own must not
/// have one of these names: it would never be looked at.
pub const BUILT_IN: [&str; 9] = [
    "createTime",
    "modifyTime",
    "uploadTime",
    "filename",
    "extension",
    "directory",
    "hostname",
    "job",
    "size",
];

/// The seed's words whose values only the configuration has.
const CONFIGURED: [&str; 2] = ["dmaId", "elementId"];

/// yyyyMMddHHmmss, the seed's format of a time.
const SEED_TIME: &str = "%Y%m%d%H%M%S";

/// A parsed `change_filename`, such as `<dmaId>_<createTime>_<filename>.<extension>`.
///
/// - `<createTime>` (the birth time where there is one, else the time of the last
///   change), `<modifyTime>` and `<uploadTime>` are written yyyyMMddHHmmss, or in a
///   strftime format: `<createTime:%Y/%m/%d>`.
/// - `<extension>` is what follows the last dot, `<filename>` what stands before it. A
///   dot that starts or ends the name starts no extension: `.bashrc` and `name.` have none.
/// - What an empty value would leave dangling goes with it: the `.` before an empty
///   `<extension>` (`<filename>.<extension>` makes `README` of `README`, not `README.`)
///   and the `/` after an empty `<directory>`.
/// - `<hostname>`, `<job>` and `<size>` (bytes) are what they say.
/// - Every other word is a placeholder of the configuration, its value taken as it is.
/// - `<<` is a plain `<`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Filename,
    /// `true`: with the `.` that stands before it in the template.
    Extension(bool),
    /// `true`: with the `/` that stands after it in the template.
    Directory(bool),
    Hostname,
    Job,
    Size,
    /// Which time, in which strftime format.
    Time(Time, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Time {
    Create,
    Modify,
    Upload,
}

impl Template {
    /// Reads a template; `placeholders` are those of the configuration, and their
    /// values are kept in the template.
    ///
    /// # Errors
    /// Every mistake in the text, with its column and a cure, in order.
    pub fn parse(
        text: &str,
        placeholders: &BTreeMap<String, String>,
    ) -> Result<Template, Vec<TemplateError>> {
        let mut template = Template { pieces: Vec::new() };
        let mut errors = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('<') {
            template.literal(&rest[..open]);
            let from_open = &rest[open..];
            let column = text[..text.len() - from_open.len()].chars().count() + 1;
            rest = if let Some(after) = from_open.strip_prefix("<<") {
                template.literal("<");
                after
            } else {
                // What follows may be meant to be inside.
                let Some((word, after)) = enclosed(from_open) else {
                    errors.push(unclosed(column));
                    break;
                };
                match piece(word, placeholders) {
                    Ok(piece) => template.placeholder(piece, rest[..open].ends_with('.'), after),
                    Err(error) => {
                        errors.push(error.moved_by(column));
                        after
                    }
                }
            };
        }
        template.literal(rest);
        if errors.is_empty() {
            Ok(template)
        } else {
            Err(errors)
        }
    }

    /// Whether the template says nothing, which means that names are kept.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The name that the template makes for a file: printable UTF-8, perhaps with
    /// slashes. Bytes of the file's name that are not, are written `\xhh`.
    ///
    /// # Errors
    /// [`KeyError::Empty`] if nothing is left.
    pub fn render(&self, file: &FileFacts) -> Result<String, KeyError> {
        let mut out = String::new();
        for piece in &self.pieces {
            piece.render(&mut out, file);
        }
        match out.is_empty() {
            true => Err(KeyError::Empty),
            false => Ok(out),
        }
    }

    fn literal(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Literal(literal)) => literal.push_str(text),
            _ => self.pieces.push(Piece::Literal(text.to_owned())),
        }
    }

    /// Adds a placeholder, with the character beside it that goes when it is empty;
    /// returns the text that is left to read.
    fn placeholder<'a>(&mut self, mut piece: Piece, dot_before: bool, after: &'a str) -> &'a str {
        let mut rest = after;
        match &mut piece {
            Piece::Literal(value) => {
                self.literal(value);
                return rest;
            }
            Piece::Extension(dot) if dot_before => {
                *dot = true;
                self.drop_last_char();
            }
            Piece::Directory(slash) => {
                if let Some(after_slash) = after.strip_prefix('/') {
                    *slash = true;
                    rest = after_slash;
                }
            }
            _ => {}
        }
        self.pieces.push(piece);
        rest
    }

    fn drop_last_char(&mut self) {
        if let Some(Piece::Literal(literal)) = self.pieces.last_mut() {
            literal.pop();
        }
    }
}

impl Piece {
    fn render(&self, out: &mut String, file: &FileFacts) {
        match self {
            Piece::Literal(text) => out.push_str(text),
            Piece::Filename => out.push_str(&printable(split_extension(file.name).0)),
            Piece::Extension(dot) => {
                let extension = split_extension(file.name).1;
                if *dot && !extension.is_empty() {
                    out.push('.');
                }
                out.push_str(&printable(extension));
            }
            Piece::Directory(slash) => {
                out.push_str(&printable(file.directory));
                if *slash && !file.directory.is_empty() {
                    out.push('/');
                }
            }
            Piece::Hostname => out.push_str(&printable(file.hostname.as_bytes())),
            Piece::Job => out.push_str(&printable(file.job.as_bytes())),
            Piece::Size => out.push_str(&file.size.to_string()),
            Piece::Time(which, format) => strftime::write(out, format, which.of(file)),
        }
    }
}

impl Time {
    fn of(self, file: &FileFacts) -> OffsetDateTime {
        match self {
            Time::Create => file.created.unwrap_or(file.modified),
            Time::Modify => file.modified,
            Time::Upload => file.upload_time,
        }
    }
}

/// The name before its extension, and the extension without its dot.
fn split_extension(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|&byte| byte == b'.') {
        Some(dot) if dot > 0 && dot + 1 < name.len() => (&name[..dot], &name[dot + 1..]),
        _ => (name, b""),
    }
}

/// What stands between the `<` that starts the text and its `>`, and what follows.
fn enclosed(text: &str) -> Option<(&str, &str)> {
    let (word, after) = text[1..].split_once('>')?;
    (!word.contains('<')).then_some((word, after))
}

fn piece(word: &str, placeholders: &BTreeMap<String, String>) -> Result<Piece, TemplateError> {
    let (name, format) = match word.split_once(':') {
        Some((name, format)) => (name, Some(format)),
        None => (word, None),
    };
    let time = |which| Ok(Piece::Time(which, time_format(name, format)?));
    let piece = match name {
        "createTime" => return time(Time::Create),
        "modifyTime" => return time(Time::Modify),
        "uploadTime" => return time(Time::Upload),
        "filename" => Piece::Filename,
        "extension" => Piece::Extension(false),
        "directory" => Piece::Directory(false),
        "hostname" => Piece::Hostname,
        "job" => Piece::Job,
        "size" => Piece::Size,
        own => match placeholders.get(own) {
            Some(value) => Piece::Literal(value.clone()),
            None => return Err(unknown(own, placeholders)),
        },
    };
    match format {
        None => Ok(piece),
        Some(_) => Err(TemplateError {
            message: format!("`<{}>` takes no format", printable(name.as_bytes())),
            column: name.chars().count() + 2,
            help: "only `<createTime>`, `<modifyTime>` and `<uploadTime>` do".into(),
        }),
    }
}

fn time_format(name: &str, format: Option<&str>) -> Result<String, TemplateError> {
    let Some(format) = format else {
        return Ok(SEED_TIME.to_owned());
    };
    let (at, message, help) = match strftime::check(format) {
        Ok(()) => return Ok(format.to_owned()),
        Err(FormatError::Empty) => (
            0,
            format!("`<{name}:>` has an empty format"),
            "leave the colon out, or write one such as `%Y/%m/%d`",
        ),
        Err(FormatError::Unfinished(at)) => (
            at,
            "`%` stands at the end of the format".to_owned(),
            "write `%%` for a plain `%`",
        ),
        Err(FormatError::UnknownLetter(at, letter)) => (
            at,
            format!("`%{}` is not known", letter.escape_debug()),
            "known are %Y %y %m %d %e %H %M %S %I %p %j %b %B %a %A %u %G %V %F %T %R %s %z, \
             and %% for a plain `%`",
        ),
    };
    Err(TemplateError {
        message,
        // After `<`, the name and `:`.
        column: name.chars().count() + 3 + at,
        help: help.to_owned(),
    })
}

fn unclosed(column: usize) -> TemplateError {
    TemplateError {
        message: "`<` opens a placeholder that is not closed".into(),
        column,
        help: "close it with `>`, or write `<<` for a plain `<`".into(),
    }
}

fn unknown(name: &str, placeholders: &BTreeMap<String, String>) -> TemplateError {
    let help = if CONFIGURED.contains(&name) {
        format!("set `placeholders.{name}`")
    } else {
        let mut known = (BUILT_IN.into_iter())
            .chain(CONFIGURED)
            .chain(placeholders.keys().map(String::as_str));
        match nearest(name, &mut known) {
            Some(meant) => format!("did you mean `<{meant}>`?"),
            None => "define it in `placeholders`, or write `<<` for a plain `<`".to_owned(),
        }
    };
    TemplateError {
        message: format!("there is no placeholder `<{}>`", printable(name.as_bytes())),
        column: 1,
        help,
    }
}

/// A mistake in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// Where, in characters from 1.
    pub column: usize,
    /// What to write instead.
    pub help: String,
}

impl TemplateError {
    /// The error of a placeholder (column 1 is its `<`), seen from the whole template.
    fn moved_by(mut self, column: usize) -> TemplateError {
        self.column += column - 1;
        self
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}; {}", self.column, self.message, self.help)
    }
}

impl std::error::Error for TemplateError {}
