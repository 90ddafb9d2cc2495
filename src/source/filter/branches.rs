//! Takes look-arounds out of the edges of a pattern's branches, where that is exact.
//!
//! Exact means: the place where the look-around looks is the same for every way in which the branch can match. That
//! is so next to `^` (place 0), and next to `\z` (behind the last character). `$` has two places when the name ends
//! with a line break, so a branch that needs to know which one is compiled once for each.

use regex_lite::{Regex, RegexBuilder};

use super::FilterError;
use super::node::{End, Look, Node};
use super::render::render;

/// The most regex-lite expressions that one filter may become, and sequences that its alternations may multiply to.
const MAX_PARTS: usize = 32;
/// Bytes of one compiled expression: bounds memory, and the work that a name costs.
const MAX_COMPILED: usize = 512 * 1024;
/// Deeper than what the parser lets through can become in regex-lite's own counting.
const NEST_LIMIT: u32 = 250;

/// An expression that must be found in the name, and conditions that must hold for the name.
#[derive(Clone)]
pub(super) struct Branch {
    regex: Regex,
    conditions: Vec<Condition>,
}

/// A look-around that was taken out: that any of `branches` matches must be `expected`.
#[derive(Clone)]
struct Condition {
    expected: bool,
    branches: Vec<Branch>,
}

/// Whether any of the branches matches `name`.
pub(super) fn any_matches(branches: &[Branch], name: &str) -> bool {
    branches.iter().any(|branch| {
        branch.regex.is_match(name)
            && branch
                .conditions
                .iter()
                .all(|it| it.expected == any_matches(&it.branches, name))
    })
}

/// Compiles a pattern into branches.
///
/// # Errors
/// A look-around away from the edges, a `$` in the middle, too large a result.
pub(super) fn compile(node: Node) -> Result<Vec<Branch>, FilterError> {
    Compiler {
        parts: 0,
        column: 1,
    }
    .branches(node)
}

/// Refuses a look-around that no rule could take out of `sequence`.
fn refuse_looks(sequence: &[Node], held_at_end: bool) -> Result<(), FilterError> {
    for (at, node) in sequence.iter().enumerate() {
        if let Some(look) = node.first_look() {
            let at_end = held_at_end && sequence[at..].iter().all(Node::is_zero_width);
            return Err(misplaced(look, at_end, matches!(node, Node::Repeat(_))));
        }
    }
    Ok(())
}

fn misplaced(look: &Look, at_end: bool, repeated: bool) -> FilterError {
    let help = match (look.ahead, repeated) {
        (true, true) => "it cannot be repeated: for `^(?:(?!A).)*$` write `^(?!.*A).*$`",
        (true, false) if at_end => {
            r"nothing can follow there: leave it out, and write `\z` for an end without a line break"
        }
        (true, false) => {
            "put it right after the `^` of a branch (without `(?m)`): `^(?!A)B`, or `^(?!.*A)B` for anywhere"
        }
        (false, true) => {
            "it cannot be repeated: put it right before the `$` of a branch: `B(?<!A)$`"
        }
        (false, false) => "put it right before the `$` of a branch (without `(?m)`): `B(?<!A)$`",
    };
    FilterError::new(
        look.column,
        format!("{} has no linear form in this place", name_of(look)),
        help,
    )
}

fn name_of(look: &Look) -> &'static str {
    match (look.ahead, look.negative) {
        (true, false) => "look-ahead `(?=…)`",
        (true, true) => "negative look-ahead `(?!…)`",
        (false, false) => "look-behind `(?<=…)`",
        (false, true) => "negative look-behind `(?<!…)`",
    }
}

struct Compiler {
    parts: usize,
    /// Of the look-around that is being taken out.
    column: usize,
}

impl Compiler {
    fn branches(&mut self, node: Node) -> Result<Vec<Branch>, FilterError> {
        let mut branches = Vec::new();
        let mut pending = split(node)?;
        pending.reverse();
        while let Some(sequence) = pending.pop() {
            match without_floating_look(sequence) {
                Ok(node) => pending.extend(split(node)?),
                Err(sequence) => branches.append(&mut self.sequence(sequence)?),
            }
        }
        Ok(branches)
    }

    /// One sequence as branches: none if it can never match, two if it needs both places of `$`.
    fn sequence(&mut self, mut sequence: Vec<Node>) -> Result<Vec<Branch>, FilterError> {
        let mut at_start = Vec::new();
        for look in take_looks_at_start(&mut sequence) {
            at_start.push(self.condition(&look, |body| start_of(&look, body))?);
        }
        let (ends, looks_behind) = take_end(&mut sequence);
        refuse_looks(&sequence, ends != [None])?;
        let mut branches = Vec::new();
        for end in ends {
            let mut conditions = at_start.clone();
            for look in &looks_behind {
                conditions.push(self.condition(look, |body| {
                    let mut nodes = vec![body];
                    nodes.extend(end.map(Node::End));
                    nodes
                })?);
            }
            branches.push(Branch {
                regex: self.regex(&sequence, end)?,
                conditions,
            });
        }
        Ok(branches)
    }

    /// What `look` demands of the name, its body put in its place by `placed`.
    fn condition(
        &mut self,
        look: &Look,
        placed: impl Fn(Node) -> Vec<Node>,
    ) -> Result<Condition, FilterError> {
        self.column = look.column;
        let branches = self.branches(Node::Concat(placed(look.body.clone())))?;
        Ok(Condition {
            expected: !look.negative,
            branches,
        })
    }

    fn regex(&mut self, nodes: &[Node], end: Option<End>) -> Result<Regex, FilterError> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(too_many_parts(self.column));
        }
        RegexBuilder::new(&render(nodes, end)?)
            .size_limit(MAX_COMPILED)
            .nest_limit(NEST_LIMIT)
            .build()
            .map_err(|cause| {
                // A small pattern grows large only through its counts.
                let column = largest_count(nodes).map_or(1, |(_, column)| column);
                FilterError::new(
                    column,
                    format!("the pattern cannot be compiled: {cause}"),
                    "use a smaller count in `{n,m}`, or `*`",
                )
            })
    }
}

fn too_many_parts(column: usize) -> FilterError {
    FilterError::new(
        column,
        format!("look-arounds and alternatives multiply to more than {MAX_PARTS} parts"),
        "put the look-around in front of the group, as in `^(?!A)(?:B|C)$`",
    )
}

/// The largest count in `nodes`, and its column.
fn largest_count(nodes: &[Node]) -> Option<(u32, usize)> {
    let counts = nodes.iter().filter_map(|node| match node {
        Node::Concat(nodes) | Node::Alt(nodes) => largest_count(nodes),
        Node::Repeat(repeat) => {
            let own = (repeat.max.unwrap_or(repeat.min), repeat.column);
            largest_count(std::slice::from_ref(&repeat.body)).max(Some(own))
        }
        Node::Set(_) | Node::Assert(_) | Node::Start | Node::End(_) | Node::Look(_) => None,
    });
    counts.max()
}

/// A look-around's body at place 0. All that a look-behind sees from there is the empty text.
fn start_of(look: &Look, body: Node) -> Vec<Node> {
    if look.ahead {
        vec![Node::Start, body]
    } else {
        vec![Node::Start, body, Node::Start]
    }
}

/// The flat sequences that `node` is the OR of; a group is opened only if there is a look-around in it.
fn split(node: Node) -> Result<Vec<Vec<Node>>, FilterError> {
    append(vec![Vec::new()], node)
}

fn append(sequences: Vec<Vec<Node>>, node: Node) -> Result<Vec<Vec<Node>>, FilterError> {
    let has_look = node.first_look().is_some();
    match node {
        Node::Concat(nodes) => nodes.into_iter().try_fold(sequences, append),
        Node::Alt(nodes) if has_look => append_each(&sequences, nodes),
        Node::Repeat(repeat) if has_look && (repeat.min, repeat.max) == (0, Some(1)) => {
            append_each(&sequences, vec![repeat.body, Node::Concat(Vec::new())])
        }
        node => Ok(sequences
            .into_iter()
            .map(|mut sequence| {
                sequence.push(node.clone());
                sequence
            })
            .collect()),
    }
}

fn append_each(sequences: &[Vec<Node>], choices: Vec<Node>) -> Result<Vec<Vec<Node>>, FilterError> {
    let column = choices
        .iter()
        .find_map(Node::first_look)
        .map_or(1, |look| look.column);
    let mut all = Vec::new();
    for choice in choices {
        all.append(&mut append(sequences.to_vec(), choice)?);
        if all.len() > MAX_PARTS {
            return Err(too_many_parts(column));
        }
    }
    Ok(all)
}

/// Rewrites a look-around that is the very first or last thing in a sequence, so that what it sees is free: it may as
/// well be matched. `Err` hands the sequence back when there is none.
fn without_floating_look(mut sequence: Vec<Node>) -> Result<Node, Vec<Node>> {
    if let Some(Node::Look(look)) = sequence.first()
        && let Some(node) = as_consumed(look, false, Node::Start)
    {
        sequence[0] = node;
        return Ok(Node::Concat(sequence));
    }
    let ends_at_end = sequence
        .iter()
        .rev()
        .take_while(|node| node.is_zero_width())
        .any(|node| matches!(node, Node::End(_)));
    if let Some(Node::Look(look)) = sequence.last()
        && !ends_at_end
        && let Some(node) = as_consumed(look, true, Node::End(End::Text))
    {
        sequence.pop();
        sequence.push(node);
        return Ok(Node::Concat(sequence));
    }
    Err(sequence)
}

/// `look` as a node that matches what it looks at; a negative one sees the name's `edge` or another character.
fn as_consumed(look: &Look, ahead: bool, edge: Node) -> Option<Node> {
    if look.ahead != ahead {
        None
    } else if look.negative {
        Some(Node::Alt(vec![
            edge,
            Node::Set(look.body.as_set()?.complement()),
        ]))
    } else {
        Some(look.body.clone())
    }
}

/// Removes the look-arounds that stand at place 0, and returns them.
fn take_looks_at_start(sequence: &mut Vec<Node>) -> Vec<Look> {
    let edge = sequence
        .iter()
        .take_while(|node| node.is_zero_width())
        .count();
    if !sequence[..edge]
        .iter()
        .any(|node| matches!(node, Node::Start))
    {
        return Vec::new();
    }
    let looks = sequence.extract_if(..edge, |node| matches!(node, Node::Look(_)));
    looks.filter_map(Node::into_look).collect()
}

/// Removes the end of the name that the sequence is held against, and the look-behinds that stand there. Returns the
/// places which that end can be (one `None` when there is no end), and the look-behinds.
fn take_end(sequence: &mut Vec<Node>) -> (Vec<Option<End>>, Vec<Look>) {
    let edge = sequence.len()
        - sequence
            .iter()
            .rev()
            .take_while(|node| node.is_zero_width())
            .count();
    if !sequence[edge..]
        .iter()
        .any(|node| matches!(node, Node::End(_)))
    {
        return (vec![None], Vec::new());
    }
    let mut ends = Vec::new();
    let mut looks = Vec::new();
    for node in sequence.split_off(edge) {
        match node {
            Node::End(end) => ends.push(end),
            Node::Look(look) if !look.ahead => looks.push(*look),
            node => sequence.push(node),
        }
    }
    (places(&ends, !looks.is_empty()), looks)
}

/// The places that all of `ends` allow; `apart` tells the two of `$` from each other.
fn places(ends: &[End], apart: bool) -> Vec<Option<End>> {
    let text = ends.contains(&End::Text);
    let newline = ends.contains(&End::FinalNewline);
    match (text, newline) {
        (true, true) => Vec::new(),
        (true, false) => vec![Some(End::Text)],
        (false, true) => vec![Some(End::FinalNewline)],
        (false, false) if apart => vec![Some(End::Text), Some(End::FinalNewline)],
        (false, false) => vec![ends.first().copied()],
    }
}
