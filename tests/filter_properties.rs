//! Holds the filter against fancy-regex, which has look-arounds, on random patterns and names.
//!
//! A filter may refuse a pattern; one that it takes must give .NET's answer for every name. fancy-regex gives it once
//! `$` and `\Z` are put in .NET's terms: at the end, or before a line break that ends the name.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use s3ferry::source::filter::Filter;

const CASES: u32 = 2000;

/// Plain pieces. `¤` stands where `(?x)` may have a blank.
fn expression() -> impl Strategy<Value = String> {
    let atom = select(vec![
        "a",
        "b",
        "_",
        r"\.",
        ".",
        r"\_",
        "[ab]",
        "[^a]",
        "[^_.]",
        r"\w",
        r"\W",
        r"\d",
        r"[\d_]",
        r"\b",
        r"\B",
        r"\n",
        ".*",
        "a*",
        "b+",
        "_?",
        "a{2}",
        "[ab]{1,2}",
        "(?#c)",
        "^",
        "$",
        r"\Z",
        r"\z",
        "",
    ])
    .prop_map(str::to_owned);
    atom.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            4 => vec(inner.clone(), 1..4).prop_map(|parts| parts.join("¤")),
            1 => vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
            1 => (inner.clone(), select(vec!["*", "+", "?", "*?", "{0,2}", "{2}"]))
                .prop_map(|(body, count)| format!("(?:{body}){count}")),
            1 => inner.clone().prop_map(|body| format!("(?i:{body})")),
            1 => inner.prop_map(|body| format!("(?<n>¤(?s){body})")),
        ]
    })
}

fn look(openings: &'static [&'static str]) -> impl Strategy<Value = String> {
    let body = prop_oneof![
        3 => expression(),
        1 => select(vec!["a", "[ab]", ".", r"\d", r".*a", r".*\.b$", "a|b", "a$|b", "a_", "ab|_", "a+", "^a", r"a\z", r"\n"]).prop_map(str::to_owned),
        1 => (select(vec!["^(?!a)", "(?=_)", ""]), expression(), select(vec!["(?<!b)$", "(?<=a)", ""]))
            .prop_map(|(start, body, end)| format!("{start}{body}{end}")),
    ];
    (select(openings), body).prop_map(|(opening, body)| format!("({opening}{body})"))
}

/// One branch, with look-arounds mostly at the edges where they can be taken out.
fn branch() -> impl Strategy<Value = String> {
    let ahead = || vec(look(&["?!", "?="]), 0..3).prop_map(|looks| looks.join("¤"));
    let behind = || vec(look(&["?<!", "?<="]), 0..3).prop_map(|looks| looks.join("¤"));
    let start = select(vec!["^", "^", "^", r"\A", r"\G", ""]);
    let end = select(vec!["$", "$", "$", r"\z", r"\Z", "$$", r"$\z", ""]);
    let edges = prop_oneof![
        2 => ahead().prop_map(|look| (look, String::new())),
        2 => behind().prop_map(|look| (String::new(), look)),
        2 => (ahead(), behind()),
        1 => (behind(), ahead()),
        1 => Just((String::new(), String::new())),
    ];
    (start, edges, expression(), end, 0..8).prop_map(|(start, (first, last), body, end, shape)| {
        match shape {
            0 => format!("{start}({first}{body}{last}){end}"),
            1 => format!("{start}(?:{first}{body}|{last}b){end}"),
            2 => format!("{start}{first}{body}{end}{last}"),
            3 => format!("{first}{start}(?:{body}{last})?{end}"),
            _ => format!("{start}{first}¤{body}{last}{end}"),
        }
    })
}

/// A pattern for the filter, and the same in fancy-regex's terms.
fn pattern() -> impl Strategy<Value = (String, String)> {
    let flags = select(vec![
        "", "", "", "(?i)", "(?s)", "(?m)", "(?x)", "(?is)", "(?im-s)", "(?mx)",
    ]);
    (flags, vec(branch(), 1..3), 0..4).prop_map(|(flags, branches, shape)| {
        let blank = if flags.contains('x') { " " } else { "" };
        let whole = branches.join("|").replace('¤', blank);
        let pattern = match shape {
            0 => format!("{flags}({whole})"),
            1 => format!("{flags}(?:{whole})"),
            _ => format!("{flags}{whole}"),
        };
        let dollar = if flags.contains('m') {
            "$"
        } else {
            r"(?=\n?\z)"
        };
        let other = pattern
            .replace('$', dollar)
            .replace(r"\Z", r"(?=\n?(?-m:\z))")
            .replace(r"\G", r"\A")
            .replace(r"\_", "_")
            .replace("(?#c)", "")
            .replace("(?<n>", "(?:");
        (pattern, other)
    })
}

fn names() -> impl Strategy<Value = Vec<String>> {
    let character = select(vec!['a', 'a', 'b', 'A', '_', '.', '1', '\n']);
    vec(vec(character, 0..7).prop_map(String::from_iter), 24)
}

#[derive(Debug, Default)]
struct Seen {
    compared: Cell<u32>,
    refused: Cell<u32>,
    with_look: Cell<u32>,
    matches: Cell<u32>,
    names: Cell<u32>,
}

fn count(counter: &Cell<u32>) {
    counter.set(counter.get() + 1);
}

fn agree(seen: &Seen, pattern: &str, other: &str, names: &[String]) -> Result<(), TestCaseError> {
    // fancy-regex has limits of its own; such a pattern says nothing.
    let Ok(expected) = fancy_regex::Regex::new(other) else {
        return Ok(());
    };
    let Ok(filter) = Filter::new(pattern) else {
        count(&seen.refused);
        return Ok(());
    };
    count(&seen.compared);
    if ["(?=", "(?!", "(?<=", "(?<!"]
        .iter()
        .any(|look| pattern.contains(look))
    {
        count(&seen.with_look);
    }
    for name in names {
        let Ok(expected) = expected.is_match(name) else {
            continue;
        };
        count(&seen.names);
        if expected {
            count(&seen.matches);
        }
        prop_assert_eq!(
            filter.matches(name),
            expected,
            "`{}` (`{}`) in {:?}",
            pattern,
            other,
            name
        );
    }
    Ok(())
}

#[test]
fn a_filter_answers_as_dot_net_does() {
    let seen = Seen::default();
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&(pattern(), names()), |((pattern, other), names)| {
        agree(&seen, &pattern, &other, &names)
    });
    let figures = format!("{seen:?}");
    println!("{figures}");
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let (names, matches) = (seen.names.get(), seen.matches.get());
    assert!(
        seen.compared.get() > CASES / 4,
        "too few patterns were compared: {figures}"
    );
    assert!(
        seen.with_look.get() > CASES / 8,
        "too few look-arounds were compared: {figures}"
    );
    assert!(
        (names / 20..names / 20 * 19).contains(&matches),
        "one answer only: {figures}"
    );
}

#[test]
fn any_text_is_a_filter_or_an_error_in_it() {
    let pieces = select(vec![
        "(", ")", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?i)", "(?x)", "(?m)", "(?-s:", "|", "?",
        "*", "+", "{2}", "{1,3}", "{", "}", "[", "[^", "]", "-", "^", "$", "\\", "\\z", "\\b",
        "\\d", "\\.", "\\x4", "#", "&&", "~~", "<", ">", ":", "'", " ", "\n", "a", "z", "0", "7",
        "ä", "😀",
    ]);
    let taken = Cell::new(0);
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&vec(pieces, 0..9), |pieces| {
        let pattern = pieces.concat();
        match Filter::new(&pattern) {
            Ok(filter) => {
                count(&taken);
                filter.matches("a-z{0}\n");
            }
            Err(error) => {
                prop_assert!(
                    (1..=pattern.chars().count() + 1).contains(&error.column),
                    "{:?}: {}",
                    pattern,
                    error
                );
                // What is left for regex-lite is always valid in its eyes.
                prop_assert!(
                    !error.message.contains("cannot be compiled"),
                    "{:?}: {}",
                    pattern,
                    error
                );
            }
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    assert!(
        taken.get() > CASES / 20,
        "only {} patterns were taken",
        taken.get()
    );
}
