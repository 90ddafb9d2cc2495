//! A parsed pattern. Flags are resolved into the nodes that they touch, so a node means the same wherever it is moved.

/// A piece of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// One character out of a set.
    Set(Set),
    /// A zero-width test that regex-lite has too, in its own words: `\b`, `\B`, `(?m:^)`, `(?m:$)`.
    Assert(&'static str),
    /// The beginning of the name: `^`, `\A`, `\G`.
    Start,
    /// An end of the name.
    End(End),
    /// A look-around.
    Look(Box<Look>),
    /// One after the other; empty matches the empty text.
    Concat(Vec<Node>),
    /// One or another.
    Alt(Vec<Node>),
    /// One, a number of times.
    Repeat(Box<Repeat>),
}

/// Which end of the name; what .NET means by "the end" depends on a line break there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    /// `\z`: behind the last character.
    Text,
    /// `$`, `\Z` at this column: behind the last character, or before a line break that is the last one.
    Line(usize),
    /// Before a line break that is the last character: the half of `Line` that `Text` does not cover.
    FinalNewline,
}

/// One character out of some, written as regex-lite writes the inside of a class.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) items: String,
    /// Whether `items` is one literal or one class escape and may stand without brackets.
    pub(super) bare: bool,
    pub(super) negated: bool,
    pub(super) ignore_case: bool,
}

impl Set {
    /// Every character that this set does not hold.
    pub(super) fn complement(&self) -> Set {
        Set {
            negated: !self.negated,
            ..self.clone()
        }
    }
}

/// `(?=…)`, `(?!…)`, `(?<=…)`, `(?<!…)`.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) ahead: bool,
    pub(super) negative: bool,
    pub(super) body: Node,
    pub(super) column: usize,
}

/// A quantified node; greedy or lazy makes no difference to whether there is a match.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    pub(super) body: Node,
    /// Where its quantifier stands.
    pub(super) column: usize,
    pub(super) min: u32,
    pub(super) max: Option<u32>,
}

impl Node {
    /// The first look-around in this node, at any depth outside of other look-arounds.
    pub(super) fn first_look(&self) -> Option<&Look> {
        match self {
            Node::Look(look) => Some(look),
            Node::Concat(nodes) | Node::Alt(nodes) => nodes.iter().find_map(Node::first_look),
            Node::Repeat(repeat) => repeat.body.first_look(),
            Node::Set(_) | Node::Assert(_) | Node::Start | Node::End(_) => None,
        }
    }

    /// The look-around that this node is.
    pub(super) fn into_look(self) -> Option<Look> {
        match self {
            Node::Look(look) => Some(*look),
            _ => None,
        }
    }

    /// Whether this node looks at a place without moving on from it.
    pub(super) fn is_zero_width(&self) -> bool {
        matches!(
            self,
            Node::Assert(_) | Node::Start | Node::End(_) | Node::Look(_)
        )
    }

    /// The set, if this node is exactly one character.
    pub(super) fn as_set(&self) -> Option<&Set> {
        match self {
            Node::Set(set) => Some(set),
            Node::Concat(nodes) => match nodes.as_slice() {
                [only] => only.as_set(),
                _ => None,
            },
            _ => None,
        }
    }
}
