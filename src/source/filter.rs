//! Which file names a job takes: a .NET regular expression, searched in the name, in linear time.
//!
//! Filters are moved here from .NET, where a look-around is the usual way to say "but not these":
//! `^(?!_current)(.*\.dmbackup)$`. regex-lite is linear and small because it has no look-arounds. At the edge of
//! a branch one can be taken out of it without a change of meaning, because the place where it looks is known:
//!
//! ```text
//! ^(?!A)B    ^B matches, and ^A does not
//! B(?<!A)$   B$ matches, and A$ does not
//! (?<=A)B    AB         B(?=A)   BA
//! (?<!x)B    (^|[^x])B  B(?!x)   B([^x]|\z), for one character or class x
//! ```
//!
//! So a pattern becomes an OR of branches, each one regex-lite expression with conditions, and a condition is such
//! an OR again. `parse` reads .NET's syntax into nodes, `branches` takes the look-arounds out, `render` writes
//! what is left for regex-lite. What cannot be carried over exactly is a [`FilterError`], never a near miss.
//!
//! Known differences from .NET, all of them beyond ASCII or an extra:
//! - `\d`, `\w`, `\s`, `\b` know ASCII only, so `\W` matches `ä`, and `(?i)` folds the letters A to Z only.
//! - One character is one Unicode scalar; in .NET a character above U+FFFF counts as two.
//! - `\_` is `_` and `(?P<n>…)` is a group, both of which .NET refuses.

mod branches;
mod class;
mod group;
mod node;
mod parse;
mod render;
#[cfg(test)]
mod tests;

use std::fmt;

use branches::Branch;

/// The longest pattern in bytes; far beyond any filter written by hand, and a bound for the work done on it.
const MAX_PATTERN: usize = 4096;

/// A file-name filter, compiled once and asked for every name.
#[derive(Clone)]
pub struct Filter {
    pattern: String,
    branches: Vec<Branch>,
}

impl Filter {
    /// Compiles a .NET regular expression; the empty pattern matches every name.
    ///
    /// # Errors
    /// A pattern that .NET would refuse, is longer than 4 KiB, or has a construct that has no exact linear form.
    pub fn new(pattern: &str) -> Result<Filter, FilterError> {
        if pattern.len() > MAX_PATTERN {
            let column = pattern
                .char_indices()
                .take_while(|(at, _)| *at < MAX_PATTERN)
                .count()
                + 1;
            return Err(FilterError::new(
                column,
                "the pattern is longer than 4096 bytes",
                "split the job into several with shorter filters",
            ));
        }
        Ok(Filter {
            pattern: pattern.to_owned(),
            branches: branches::compile(parse::parse(pattern)?)?,
        })
    }

    /// Whether the pattern is found in `name`, as .NET's `Regex.IsMatch` finds it.
    pub fn matches(&self, name: &str) -> bool {
        branches::any_matches(&self.branches, name)
    }

    /// The pattern as it was given.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({:?})", self.pattern)
    }
}

/// Why a pattern cannot be a filter, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// What stands there that cannot be used, in lower case.
    pub message: String,
    /// Where it begins: 1 for the pattern's first character; counted in characters.
    pub column: usize,
    /// What to write instead.
    pub help: String,
}

impl FilterError {
    fn new(column: usize, message: impl Into<String>, help: impl Into<String>) -> FilterError {
        FilterError {
            message: message.into(),
            column,
            help: help.into(),
        }
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}; {}", self.column, self.message, self.help)
    }
}

impl std::error::Error for FilterError {}
