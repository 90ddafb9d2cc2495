//! Groups: what `(` begins, names, look-arounds, and the inline flags that share their syntax.

use super::FilterError;
use super::node::{Look, Node};
use super::parse::Parser;

/// Groups within groups; bounds recursion here and in regex-lite.
const MAX_DEPTH: usize = 40;

/// What the beginning of a group says of it.
enum Opening {
    Group,
    Flags,
    Look { ahead: bool, negative: bool },
}

impl Parser {
    pub(super) fn group(&mut self) -> Result<Option<Node>, FilterError> {
        let column = self.column();
        let outer = self.flags;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(FilterError::new(
                column,
                format!("groups nested more than {MAX_DEPTH} deep"),
                "use fewer groups",
            ));
        }
        let opening = self.opening(column)?;
        let node = match opening {
            Opening::Flags => None,
            Opening::Group | Opening::Look { .. } => Some(self.group_body(column)?),
        };
        self.depth -= 1;
        if node.is_some() {
            self.flags = outer;
        }
        Ok(node.map(|body| match opening {
            Opening::Look { ahead, negative } => Node::Look(Box::new(Look {
                ahead,
                negative,
                body,
                column,
            })),
            Opening::Group | Opening::Flags => body,
        }))
    }

    fn group_body(&mut self, column: usize) -> Result<Node, FilterError> {
        let body = self.alternation()?;
        if self.eat(')') {
            return Ok(body);
        }
        Err(FilterError::new(
            column,
            "group `(` without an end",
            r"close it with `)`, or write `\(` for the character",
        ))
    }

    /// Reads from the `(` at `column` to where the group's own pattern begins.
    fn opening(&mut self, column: usize) -> Result<Opening, FilterError> {
        self.at += 1;
        if !self.eat('?') {
            return Ok(Opening::Group);
        }
        let refused = |message, help| Err(FilterError::new(column, message, help));
        match (self.peek(), self.peek_at(1)) {
            (Some(':'), _) => Ok(self.opened(1, Opening::Group)),
            (Some(sign @ ('=' | '!')), _) => Ok(self.opened(
                1,
                Opening::Look {
                    ahead: true,
                    negative: sign == '!',
                },
            )),
            (Some('<'), Some(sign @ ('=' | '!'))) => Ok(self.opened(
                2,
                Opening::Look {
                    ahead: false,
                    negative: sign == '!',
                },
            )),
            (Some('<'), _) => self.name(column, 1, '>'),
            (Some('\''), _) => self.name(column, 1, '\''),
            (Some('P'), Some('<')) => self.name(column, 2, '>'),
            (Some('>'), _) => refused(
                "atomic group `(?>…)`",
                "write `(?:…)`: the search is in linear time without it",
            ),
            (Some('('), _) => refused(
                "conditional group `(?(…)…)`",
                "write out the cases, as in `(?:A|B)`",
            ),
            _ => self.inline_flags(column),
        }
    }

    fn opened(&mut self, skip: usize, opening: Opening) -> Opening {
        self.at += skip;
        opening
    }

    /// The name of a group, which nothing can refer to.
    fn name(&mut self, column: usize, skip: usize, close: char) -> Result<Opening, FilterError> {
        self.at += skip;
        let begin = self.at;
        while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            self.at += 1;
        }
        if self.peek() == Some('-') {
            return Err(FilterError::new(
                column,
                "balancing group `(?<a-b>…)`",
                "nested pairs cannot be counted: write out the depths that occur",
            ));
        }
        if self.at == begin || !self.eat(close) {
            return Err(FilterError::new(
                column,
                "group without a valid name",
                "write `(?<name>…)`, or `(?:…)` without a name",
            ));
        }
        Ok(Opening::Group)
    }

    /// `(?im-s)`, which holds to the end of the group that it stands in, or `(?im-s:` for a group of its own.
    fn inline_flags(&mut self, column: usize) -> Result<Opening, FilterError> {
        let mut on = true;
        loop {
            let Some(c) = self.next() else {
                return Err(FilterError::new(
                    column,
                    "group `(?` without an end",
                    "close it with `)`",
                ));
            };
            match c.to_ascii_lowercase() {
                '-' => on = false,
                '+' => on = true,
                'i' => self.flags.ignore_case = on,
                'm' => self.flags.multi_line = on,
                's' => self.flags.single_line = on,
                'x' => self.flags.extended = on,
                'n' => {}
                ':' => return Ok(Opening::Group),
                ')' => return Ok(Opening::Flags),
                _ => {
                    let text = self.text_from(column);
                    return Err(FilterError::new(
                        column,
                        format!("unknown group `{text}`"),
                        "the flags are i, m, n, s and x; a plain group is `(?:…)`",
                    ));
                }
            }
        }
    }
}
