//! A JSON reader that keeps the place of every key and value.
//!
//! Problems are reported together and each with its line and column, which
//! neither `serde_json::Value` (no places) nor a derived `Deserialize` (stops at
//! the first mistake) can give. Reading the text directly takes fewer lines than
//! bending them would, and since comments are white space here, no pass that
//! strips them beforehand is needed.
//!
//! The language is JSON, strictly, plus `//` and `/* */` comments, trailing
//! commas and a byte order mark. Messages never quote more than one character of
//! the text, because the text may be a secret.

/// Deeper nesting is refused, so that recursion stays within a small stack.
const DEPTH_LIMIT: usize = 64;

/// A value and the byte at which it begins.
pub(super) struct Node {
    pub offset: usize,
    pub value: Value,
}

/// Without `Debug`: it may hold a secret.
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As it is written, for exact integers and for messages.
    Number(String),
    String(String),
    Array(Vec<Node>),
    /// In the file's order, duplicates included.
    Object(Vec<Member>),
}

pub(super) struct Member {
    pub key: String,
    pub key_offset: usize,
    pub node: Node,
}

pub(super) struct SyntaxError {
    pub offset: usize,
    pub message: String,
}

/// Reads the one value that `text` consists of.
pub(super) fn read(text: &str) -> Result<Node, SyntaxError> {
    let at = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut reader = Reader { text, at };
    reader.skip_blank()?;
    let node = reader.value(0)?;
    reader.skip_blank()?;
    if reader.at < text.len() {
        return Err(reader.expected("the end of the file after the closing bracket"));
    }
    Ok(node)
}

/// The byte where the `column`th character (from 1) of a string's value stands in
/// the text, given the byte of its opening quote; past its end: the closing quote.
pub(super) fn character_offset(text: &str, quote: usize, column: usize) -> usize {
    let mut at = quote + 1;
    for _ in 1..column {
        let rest = &text[at..];
        at += match rest.as_bytes() {
            [] | [b'"', ..] => break,
            [b'\\', b'u', ..] if is_high_surrogate(rest.get(2..6)) => 12,
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    at.min(text.len())
}

fn is_high_surrogate(digits: Option<&str>) -> bool {
    digits
        .and_then(|digits| u16::from_str_radix(digits, 16).ok())
        .is_some_and(|unit| (0xd800..0xdc00).contains(&unit))
}

/// What is left of a text.
pub(super) struct Reader<'a> {
    pub text: &'a str,
    pub at: usize,
}

impl Reader<'_> {
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn error(&self, offset: usize, message: impl Into<String>) -> SyntaxError {
        SyntaxError {
            offset,
            message: message.into(),
        }
    }

    /// What should stand here, and the one character that does.
    fn expected(&self, what: &str) -> SyntaxError {
        let found = match self.text[self.at..].chars().next() {
            None => "the end of the file".to_string(),
            Some('\'') => "`'`; strings stand in double quotes".to_string(),
            Some('#') => "`#`; comments begin with `//`".to_string(),
            Some(other) => super::wording::quoted(other.encode_utf8(&mut [0; 4])),
        };
        self.error(self.at, format!("expected {what}, found {found}"))
    }

    /// White space and comments.
    pub fn skip_blank(&mut self) -> Result<(), SyntaxError> {
        loop {
            let rest = &self.text[self.at..];
            if rest.starts_with([' ', '\t', '\r', '\n']) {
                self.at += 1;
            } else if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let length = comment.find("*/").ok_or_else(|| {
                    self.error(self.at, "this comment never ends; close it with `*/`")
                })?;
                self.at += length + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        let offset = self.at;
        if depth > DEPTH_LIMIT {
            return Err(self.error(offset, format!("nested deeper than {DEPTH_LIMIT} levels")));
        }
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node { offset, value })
    }

    fn object(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            self.skip_blank()?;
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            members.push(self.member(depth)?);
            self.separator(b'}', "`,` or `}`")?;
        }
    }

    fn member(&mut self, depth: usize) -> Result<Member, SyntaxError> {
        let key_offset = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in double quotes or `}`"));
        }
        let key = self.string()?;
        self.skip_blank()?;
        if !self.take(b':') {
            return Err(self.expected("`:` after the key"));
        }
        self.skip_blank()?;
        let node = self.value(depth + 1)?;
        Ok(Member {
            key,
            key_offset,
            node,
        })
    }

    fn array(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip_blank()?;
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            self.separator(b']', "`,` or `]`")?;
        }
    }

    /// A comma, or nothing in front of the closing bracket.
    fn separator(&mut self, close: u8, names: &str) -> Result<(), SyntaxError> {
        self.skip_blank()?;
        if self.take(b',') || self.peek() == Some(close) {
            return Ok(());
        }
        Err(self.expected(names))
    }

    fn word(&mut self) -> Result<Value, SyntaxError> {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let value = match &rest[..end] {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => {
                return Err(self.expected(
                    "a value (a string in double quotes, a number, `true`, `false`, `null`, `[` or `{`)",
                ));
            }
        };
        self.at += end;
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        match self.peek() {
            Some(b'0'..=b'9') => {
                Err(self.error(start, "a number has no leading zero; leave the zero out"))
            }
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'.' | b'%') => Err(self.error(
                start,
                "a value with a unit stands in double quotes, like `\"64MiB\"` or `\"15m\"`",
            )),
            _ => Ok(Value::Number(self.text[start..self.at].to_string())),
        }
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.expected("a digit"));
        }
        Ok(())
    }

    pub fn string(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let mut value = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest
                .find(|c: char| c == '"' || c == '\\' || c < ' ')
                .unwrap_or(rest.len());
            value.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(value);
                }
                Some(b'\\') => value.push(self.escape()?),
                None | Some(b'\n' | b'\r') => {
                    return Err(self.error(
                        start,
                        "this string does not end on its line; close it with `\"`",
                    ));
                }
                Some(_) => {
                    return Err(self.error(
                        self.at,
                        "a control character in a string; write it as an escape, like `\\t`",
                    ));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let escaped = match self.peek() {
            Some(b'u') => return self.unicode_escape(start),
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            _ => {
                return Err(self.error(
                    start,
                    "unknown escape; a backslash itself is written twice, like `\\\\.` in a filter",
                ));
            }
        };
        self.at += 1;
        Ok(escaped)
    }

    fn unicode_escape(&mut self, start: usize) -> Result<char, SyntaxError> {
        let half = |reader: &Self| {
            reader.error(
                start,
                "half of a surrogate pair; write the character itself, or both halves",
            )
        };
        let first = self.code_unit(start)?;
        let code = match first {
            0xd800..=0xdbff => {
                if !self.text[self.at..].starts_with("\\u") {
                    return Err(half(self));
                }
                self.at += 1;
                let second = self.code_unit(start)?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(half(self));
                }
                0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            other => other,
        };
        char::from_u32(code).ok_or_else(|| half(self))
    }

    /// The four hexadecimal digits after `u`.
    fn code_unit(&mut self, start: usize) -> Result<u32, SyntaxError> {
        self.at += 1;
        let digits = self.text.get(self.at..self.at + 4).unwrap_or("");
        let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        match u32::from_str_radix(digits, 16) {
            Ok(unit) if hexadecimal => {
                self.at += 4;
                Ok(unit)
            }
            _ => Err(self.error(start, "`\\u` needs four hexadecimal digits")),
        }
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
