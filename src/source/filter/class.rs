//! Escapes and character classes, by .NET's rules for them.

use super::FilterError;
use super::node::{End, Node, Set};
use super::parse::Parser;
use super::render::push_literal;

impl Parser {
    /// One character that means itself.
    pub(super) fn literal(&self, c: char) -> Set {
        let mut items = String::new();
        push_literal(&mut items, c);
        Set {
            items,
            bare: true,
            negated: false,
            ignore_case: self.ignores_case() && c.is_ascii_alphabetic(),
        }
    }

    /// What begins with a backslash outside of a class.
    pub(super) fn escape(&mut self) -> Result<Node, FilterError> {
        if let Some(items) = self.shorthand() {
            return Ok(Node::Set(Set {
                items: items.to_owned(),
                bare: true,
                negated: false,
                ignore_case: false,
            }));
        }
        let column = self.column();
        self.next();
        self.refuse_back_reference(column)?;
        let node = match self.peek() {
            Some('b') => Node::Assert(r"\b"),
            Some('B') => Node::Assert(r"\B"),
            // Only one search is made in a name, so the end of the last match is where the name begins.
            Some('A' | 'G') => Node::Start,
            Some('Z') => Node::End(End::Line(column)),
            Some('z') => Node::End(End::Text),
            _ => {
                let c = self.escaped_char(column)?;
                return Ok(Node::Set(self.literal(c)));
            }
        };
        self.next();
        Ok(node)
    }

    /// `[…]`.
    pub(super) fn class(&mut self) -> Result<Node, FilterError> {
        let open = self.column();
        self.next();
        let negated = self.eat('^');
        let mut items = String::new();
        let mut first = true;
        while first || !self.eat(']') {
            if self.peek().is_none() {
                return Err(FilterError::new(
                    open,
                    "class `[` without an end",
                    r"close it with `]`, or write `\[` for the character",
                ));
            }
            self.class_item(&mut items, first)?;
            first = false;
        }
        Ok(Node::Set(Set {
            items,
            bare: false,
            negated,
            ignore_case: self.ignores_case(),
        }))
    }

    /// One character, range or shorthand of a class; the caller has seen that the pattern goes on.
    fn class_item(&mut self, items: &mut String, first: bool) -> Result<(), FilterError> {
        let column = self.column();
        // In .NET an escaped hyphen never begins a range.
        let begins_range = (self.peek(), self.peek_at(1)) != (Some('\\'), Some('-'));
        match (self.peek(), self.peek_at(1)) {
            (Some('['), Some(':')) => {
                return Err(FilterError::new(
                    column,
                    "POSIX class `[:…:]`",
                    r"write the characters, as in `[A-Za-z]`, or `\[:`",
                ));
            }
            (Some('-'), Some('[')) if !first => return Err(subtraction(column)),
            _ => {}
        }
        if let Some(shorthand) = self.shorthand() {
            items.push_str(shorthand);
            return Ok(());
        }
        let low = self.class_char()?;
        push_literal(items, low);
        if !begins_range || self.peek() != Some('-') || matches!(self.peek_at(1), None | Some(']'))
        {
            return Ok(());
        }
        self.next();
        let high = self.range_end()?;
        if low > high {
            return Err(FilterError::new(
                column,
                format!("range `{}` is reversed", self.text_from(column)),
                r"write the smaller character first, or `\-` for a hyphen",
            ));
        }
        items.push('-');
        push_literal(items, high);
        Ok(())
    }

    fn range_end(&mut self) -> Result<char, FilterError> {
        let column = self.column();
        match (self.peek(), self.peek_at(1)) {
            (Some('['), _) => Err(subtraction(column - 1)),
            (Some('\\'), Some('d' | 'D' | 'w' | 'W' | 's' | 'S')) => Err(FilterError::new(
                column,
                "class escape at the end of a range",
                r"write `\-` for a hyphen",
            )),
            _ => self.class_char(),
        }
    }

    fn class_char(&mut self) -> Result<char, FilterError> {
        let column = self.column();
        match self.next() {
            Some('\\') if self.eat('b') => Ok('\u{8}'),
            Some('\\') => self.escaped_char(column),
            Some(c) => Ok(c),
            None => Err(dangling(column)),
        }
    }

    /// `\d`, `\w`, `\s` or the opposite of one, if that comes next.
    fn shorthand(&mut self) -> Option<&'static str> {
        if self.peek() != Some('\\') {
            return None;
        }
        let text = match self.peek_at(1)? {
            'd' => r"\d",
            'D' => r"\D",
            'w' => r"\w",
            'W' => r"\W",
            's' => r"\s",
            'S' => r"\S",
            _ => return None,
        };
        self.next();
        self.next();
        Some(text)
    }

    /// The character that is written behind the backslash at `column`.
    fn escaped_char(&mut self, column: usize) -> Result<char, FilterError> {
        let Some(c) = self.next() else {
            return Err(dangling(column));
        };
        match c {
            'a' => Ok('\u{7}'),
            'e' => Ok('\u{1B}'),
            'f' => Ok('\u{C}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{B}'),
            'x' => self.hexadecimal(column, 2),
            'u' => self.hexadecimal(column, 4),
            'c' => self.control(column),
            'p' | 'P' => Err(self.unicode_category(column)),
            '0'..='9' => Err(FilterError::new(
                column,
                format!(r"octal character code `\{c}`"),
                r"write it in hexadecimal, as in `\x2D`",
            )),
            '_' => Ok('_'),
            c if c.is_alphanumeric() => Err(FilterError::new(
                column,
                format!(r"unknown escape `\{c}`"),
                format!("write `{c}` for the character itself"),
            )),
            c => Ok(c),
        }
    }

    fn hexadecimal(&mut self, column: usize, digits: usize) -> Result<char, FilterError> {
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.next().and_then(|c| c.to_digit(16));
            code = code * 16
                + digit.ok_or_else(|| {
                    FilterError::new(
                        column,
                        format!("character code with fewer than {digits} hexadecimal digits"),
                        r"write `\x2D` or `\u002D`",
                    )
                })?;
        }
        char::from_u32(code).ok_or_else(|| {
            FilterError::new(
                column,
                format!("`{}` is half a character", self.text_from(column)),
                "write the character itself",
            )
        })
    }

    /// `\cA` to `\cZ` and the rest of ASCII's control characters.
    fn control(&mut self, column: usize) -> Result<char, FilterError> {
        match self.next().map(|c| c.to_ascii_uppercase()) {
            Some(c @ '@'..='_') => Ok(char::from(c as u8 ^ 0x40)),
            _ => Err(FilterError::new(
                column,
                r"`\c` without a control character",
                r"write its code, as in `\x1B`",
            )),
        }
    }

    fn unicode_category(&mut self, column: usize) -> FilterError {
        if self.peek() == Some('{') {
            while self.next().is_some_and(|c| c != '}') {}
        }
        FilterError::new(
            column,
            format!("Unicode category `{}`", self.text_from(column)),
            "write the characters as a class, as in `[A-Za-zÀ-ÿ]`",
        )
    }

    /// `\1`, `\k<n>`, and .NET's old `\<n>` and `\'n'`, behind the backslash at `column`.
    fn refuse_back_reference(&mut self, column: usize) -> Result<(), FilterError> {
        let is_reference = match self.peek() {
            Some('1'..='9' | 'k') => true,
            Some('<') => self.name_ends_with('>'),
            Some('\'') => self.name_ends_with('\''),
            _ => false,
        };
        if !is_reference {
            return Ok(());
        }
        self.next();
        Err(FilterError::new(
            column,
            format!("back-reference `{}`", self.text_from(column)),
            "a repeated text cannot be found in linear time: write out the texts, as in `(?:aa|bb)`",
        ))
    }

    /// Whether a group's name stands behind the next character, and `close` behind the name.
    fn name_ends_with(&self, close: char) -> bool {
        let is_word = |ahead: &usize| {
            self.peek_at(*ahead)
                .is_some_and(|c| c.is_alphanumeric() || c == '_')
        };
        let length = (1..).take_while(is_word).count();
        length > 0 && self.peek_at(length + 1) == Some(close)
    }
}

fn dangling(column: usize) -> FilterError {
    FilterError::new(
        column,
        r"`\` at the end of the pattern",
        r"write `\\` for the character",
    )
}

fn subtraction(column: usize) -> FilterError {
    FilterError::new(
        column,
        "class subtraction `-[…]`",
        "write the characters that remain, as in `[b-df-hj-np-tv-z]` for consonants",
    )
}
