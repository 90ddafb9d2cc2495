//! Reads .NET's regular-expression syntax into nodes, and names what cannot be used.

use super::FilterError;
use super::node::{End, Node, Repeat, Set};

/// A name has at most 255 bytes, a path 4096; a larger count only costs memory.
const MAX_COUNT: u32 = 1000;

/// Parses a whole pattern.
///
/// # Errors
/// A pattern that .NET would refuse, or a construct that regex-lite cannot do in any place.
pub(super) fn parse(pattern: &str) -> Result<Node, FilterError> {
    let mut parser = Parser {
        chars: pattern.chars().collect(),
        at: 0,
        flags: Flags::default(),
        depth: 0,
    };
    let node = parser.alternation()?;
    if parser.peek().is_some() {
        return Err(FilterError::new(
            parser.column(),
            "`)` without a `(` before it",
            r"write `\)` for the character",
        ));
    }
    Ok(node)
}

/// Inline flags that change what is parsed; `n` changes only captures, which a filter has no use for.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    pub(super) multi_line: bool,
    pub(super) single_line: bool,
    pub(super) extended: bool,
}

pub(super) struct Parser {
    chars: Vec<char>,
    pub(super) at: usize,
    pub(super) flags: Flags,
    pub(super) depth: usize,
}

/// The characters, and where they are.
impl Parser {
    pub(super) fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    pub(super) fn eat(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        self.at += usize::from(found);
        found
    }

    /// The 1-based column of the character that comes next.
    pub(super) fn column(&self) -> usize {
        self.at + 1
    }

    /// The pattern from `column` to here.
    pub(super) fn text_from(&self, column: usize) -> String {
        self.chars[column - 1..self.at].iter().collect()
    }

    /// Whether letters match in either case here.
    pub(super) fn ignores_case(&self) -> bool {
        self.flags.ignore_case
    }

    /// Skips comments, and what `(?x)` makes blank. It is no part of the syntax between two pieces of it.
    fn skip_blank(&mut self) -> Result<(), FilterError> {
        loop {
            match self.peek() {
                Some('(') if self.peek_at(1) == Some('?') && self.peek_at(2) == Some('#') => {
                    self.skip_comment()?
                }
                Some('\t'..='\r' | ' ') if self.flags.extended => self.at += 1,
                Some('#') if self.flags.extended => while self.next().is_some_and(|c| c != '\n') {},
                _ => return Ok(()),
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), FilterError> {
        let column = self.column();
        loop {
            match self.next() {
                Some(')') => return Ok(()),
                Some(_) => {}
                None => {
                    return Err(FilterError::new(
                        column,
                        "comment `(?#` without an end",
                        "close it with `)`",
                    ));
                }
            }
        }
    }
}

/// Alternatives, sequences, quantifiers.
impl Parser {
    pub(super) fn alternation(&mut self) -> Result<Node, FilterError> {
        let first = self.sequence()?;
        if self.peek() != Some('|') {
            return Ok(first);
        }
        let mut branches = vec![first];
        while self.eat('|') {
            branches.push(self.sequence()?);
        }
        Ok(Node::Alt(branches))
    }

    fn sequence(&mut self) -> Result<Node, FilterError> {
        let mut nodes = Vec::new();
        loop {
            self.skip_blank()?;
            if matches!(self.peek(), None | Some('|' | ')')) {
                return Ok(Node::Concat(nodes));
            }
            if let Some(atom) = self.atom()? {
                nodes.push(self.quantified(atom)?);
            }
        }
    }

    /// One piece that a quantifier can follow, or nothing where flags were set.
    fn atom(&mut self) -> Result<Option<Node>, FilterError> {
        let column = self.column();
        if self.quantifier()?.is_some() {
            return Err(nothing_to_repeat(column, &self.text_from(column)));
        }
        match self.peek() {
            Some('(') => self.group(),
            Some('[') => self.class().map(Some),
            Some('\\') => self.escape().map(Some),
            Some(c) => Ok(Some(self.symbol(c))),
            None => Ok(None),
        }
    }

    /// The character `c`, which comes next, with the meaning that it has alone.
    fn symbol(&mut self, c: char) -> Node {
        self.at += 1;
        match c {
            '^' if self.flags.multi_line => Node::Assert("(?m:^)"),
            '^' => Node::Start,
            '$' if self.flags.multi_line => Node::Assert("(?m:$)"),
            '$' => Node::End(End::Line(self.at)),
            '.' if self.flags.single_line => Node::Set(Set {
                items: r"\s\S".to_owned(),
                bare: false,
                negated: false,
                ignore_case: false,
            }),
            '.' => Node::Set(Set {
                items: "\n".to_owned(),
                bare: true,
                negated: true,
                ignore_case: false,
            }),
            c => Node::Set(self.literal(c)),
        }
    }

    fn quantified(&mut self, body: Node) -> Result<Node, FilterError> {
        self.skip_blank()?;
        let column = self.column();
        let Some((min, max)) = self.quantifier()? else {
            return Ok(body);
        };
        self.skip_blank()?;
        self.eat('?');
        self.skip_blank()?;
        let second = self.column();
        if self.quantifier()?.is_some() {
            let text = self.text_from(second);
            let kind = if text == "+" { "possessive" } else { "nested" };
            return Err(FilterError::new(
                second,
                format!("{kind} quantifier `{text}`"),
                "leave it out, or repeat a group, as in `(?:a+)+`",
            ));
        }
        Ok(Node::Repeat(Box::new(Repeat {
            body,
            column,
            min,
            max,
        })))
    }

    /// The quantifier that comes next, as its least and greatest count, without a `?` behind it.
    fn quantifier(&mut self) -> Result<Option<(u32, Option<u32>)>, FilterError> {
        let counts = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.counts(),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(counts))
    }

    /// `{n}`, `{n,}` or `{n,m}`; with anything else in it, a `{` is a plain character in .NET.
    fn counts(&mut self) -> Result<Option<(u32, Option<u32>)>, FilterError> {
        let column = self.column();
        let inside: String = self.chars[self.at + 1..]
            .iter()
            .take_while(|c| matches!(c, '0'..='9' | ','))
            .collect();
        let (min, max) = inside.split_once(',').unwrap_or((&inside, &inside));
        if min.is_empty() || max.contains(',') || self.peek_at(inside.len() + 1) != Some('}') {
            return Ok(None);
        }
        self.at += inside.len() + 2;
        let (Some(min), Some(max)) = (
            count(min),
            if max.is_empty() {
                Some(None)
            } else {
                count(max).map(Some)
            },
        ) else {
            return Err(FilterError::new(
                column,
                format!("count `{{{inside}}}` above {MAX_COUNT}"),
                "a file name has at most 255 bytes: use a smaller count, or `*`",
            ));
        };
        if max.is_some_and(|max| min > max) {
            return Err(FilterError::new(
                column,
                format!("count `{{{inside}}}` is reversed"),
                "write the smaller number first",
            ));
        }
        Ok(Some((min, max)))
    }
}

fn count(digits: &str) -> Option<u32> {
    digits.parse().ok().filter(|count| *count <= MAX_COUNT)
}

fn nothing_to_repeat(column: usize, text: &str) -> FilterError {
    let help = if column == 1 && text == "*" {
        r"a shell pattern such as `*.zip` is written `^.*\.zip$` as a regular expression"
    } else {
        r"write `\` before it for the character itself"
    };
    FilterError::new(
        column,
        format!("quantifier `{text}` with nothing to repeat"),
        help,
    )
}
