//! Nodes without look-arounds, in regex-lite's words.

use super::FilterError;
use super::node::{End, Node, Repeat, Set};

/// What is known of the place behind a node; it decides what `$` can become, since regex-lite has no `(?=\n?\z)`.
#[derive(Clone, Copy, PartialEq)]
enum Behind {
    /// An end of the name that `$` accepts: `$` says nothing new.
    End,
    /// Nothing: `$` may eat the final line break.
    Nothing,
    /// More of the pattern.
    More,
}

/// The regex-lite expression for `nodes`, held against `end` if there is one.
///
/// # Errors
/// A `$` that has more of the pattern behind it.
pub(super) fn render(nodes: &[Node], end: Option<End>) -> Result<String, FilterError> {
    let mut out = String::new();
    let behind = if end.is_some() {
        Behind::End
    } else {
        Behind::Nothing
    };
    concat(&mut out, nodes, behind)?;
    match end {
        Some(End::Text) => out.push_str(r"\z"),
        Some(End::Line(_)) => out.push_str(r"\n?\z"),
        Some(End::FinalNewline) => out.push_str(r"\n\z"),
        None => {}
    }
    Ok(out)
}

/// Writes `c` so that it means itself, inside and outside of a class.
pub(super) fn push_literal(out: &mut String, c: char) {
    if r"\.+*?()|[]{}^$#&-~".contains(c) {
        out.push('\\');
    }
    out.push(c);
}

fn concat(out: &mut String, nodes: &[Node], behind: Behind) -> Result<(), FilterError> {
    for (at, one) in nodes.iter().enumerate() {
        let rest = &nodes[at + 1..];
        let same_place = match behind {
            Behind::End => rest.iter().all(Node::is_zero_width),
            // Only `$` itself bears that a `$` before it has eaten the line break.
            Behind::Nothing => rest
                .iter()
                .all(|node| matches!(node, Node::End(End::Line(_)))),
            Behind::More => false,
        };
        node(out, one, if same_place { behind } else { Behind::More })?;
    }
    Ok(())
}

fn node(out: &mut String, node: &Node, behind: Behind) -> Result<(), FilterError> {
    match node {
        Node::Set(set) => push_set(out, set),
        Node::Assert(text) => out.push_str(text),
        Node::Start => out.push_str(r"\A"),
        Node::End(end) => push_end(out, *end, behind)?,
        Node::Concat(nodes) => concat(out, nodes, behind)?,
        Node::Alt(nodes) => push_alternation(out, nodes, behind)?,
        Node::Repeat(repeat) => push_repeat(out, repeat, behind)?,
        // `branches` leaves none; one that slipped through must not be dropped in silence.
        Node::Look(look) => {
            return Err(FilterError::new(
                look.column,
                "look-around in the middle",
                "move it to an edge",
            ));
        }
    }
    Ok(())
}

fn push_set(out: &mut String, set: &Set) {
    if set.ignore_case {
        out.push_str("(?i:");
    }
    if set.bare && !set.negated {
        out.push_str(&set.items);
    } else {
        out.push_str(if set.negated { "[^" } else { "[" });
        out.push_str(&set.items);
        out.push(']');
    }
    if set.ignore_case {
        out.push(')');
    }
}

fn push_end(out: &mut String, end: End, behind: Behind) -> Result<(), FilterError> {
    match (end, behind) {
        (End::Text, _) => out.push_str(r"\z"),
        (End::FinalNewline, _) => out.push_str(r"\n\z"),
        (End::Line(_), Behind::End) => {}
        (End::Line(_), Behind::Nothing) => out.push_str(r"(?:\n?\z)"),
        (End::Line(column), Behind::More) => {
            return Err(FilterError::new(
                column,
                "`$` has more of the pattern behind it",
                r"put `$` last, as in `^(?:a|b)$`; write `^a(?:_.*)?$` for an end or more, `\z` for the very end",
            ));
        }
    }
    Ok(())
}

fn push_alternation(out: &mut String, nodes: &[Node], behind: Behind) -> Result<(), FilterError> {
    out.push_str("(?:");
    for (at, one) in nodes.iter().enumerate() {
        if at > 0 {
            out.push('|');
        }
        node(out, one, behind)?;
    }
    out.push(')');
    Ok(())
}

fn push_repeat(out: &mut String, repeat: &Repeat, behind: Behind) -> Result<(), FilterError> {
    // A second round would stand behind the first one's `$`.
    let behind = if repeat.max.is_some_and(|max| max <= 1) {
        behind
    } else {
        Behind::More
    };
    out.push_str("(?:");
    node(out, &repeat.body, behind)?;
    out.push_str("){");
    out.push_str(&repeat.min.to_string());
    if repeat.max != Some(repeat.min) {
        out.push(',');
        if let Some(max) = repeat.max {
            out.push_str(&max.to_string());
        }
    }
    out.push('}');
    Ok(())
}
