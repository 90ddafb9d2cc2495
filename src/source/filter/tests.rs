use super::{Filter, FilterError, MAX_PATTERN};

fn check(pattern: &str, name: &str, expected: bool) {
    let filter =
        Filter::new(pattern).unwrap_or_else(|error| panic!("`{pattern}` is refused: {error}"));
    assert_eq!(filter.matches(name), expected, "`{pattern}` in {name:?}");
}

fn check_refused(pattern: &str, column: usize, message: &str) {
    let Err(error) = Filter::new(pattern) else {
        panic!("`{pattern}` is taken, expected column {column}: {message}");
    };
    assert_eq!(error.column, column, "`{pattern}`: {error}");
    assert!(error.message.contains(message), "`{pattern}`: {error}");
    assert!(!error.help.is_empty(), "`{pattern}`: {error}");
}

fn check_all(table: &[(&str, &str, bool)]) {
    for (pattern, name, expected) in table {
        check(pattern, name, *expected);
    }
}

#[test]
fn the_documented_filters_do_what_they_do_in_dot_net() {
    check_all(&[
        (r"^(?!current\_)(.*\dmbackup)$", "a1mbackup", true),
        (r"^(?!current\_)(.*\dmbackup)$", "a.dmbackup", false),
        (r"^(?!current\_)(.*\dmbackup)$", "current_1mbackup", false),
        (
            r"^(?!current\_)(.*\dmbackup)$",
            "old_current_1mbackup",
            true,
        ),
        (r"^(?!_current)(.*\.dmbackup)$", "2024.dmbackup", true),
        (r"^(?!_current)(.*\.dmbackup)$", "_current.dmbackup", false),
        (r"^(?!_current)(.*\.dmbackup)$", "2024.dmbackup.tmp", false),
        (r"^(?!_current)(.*\.dmbackup)$", "2024.dmbackup\n", true),
    ]);
}

#[test]
fn a_pattern_is_searched_in_the_name() {
    check_all(&[
        ("", "", true),
        ("", "any.zip", true),
        ("zip", "a.zip.part", true),
        ("^zip", "a.zip", false),
        (r"a|\.zip$", "b.zip", true),
    ]);
}

#[test]
fn the_end_may_stand_before_a_final_line_break() {
    check_all(&[
        ("a$", "a\n", true),
        ("a$", "a\n\n", false),
        ("a$", "a\nb", false),
        (r"a\Z", "a\n", true),
        (r"a\z", "a\n", false),
        (r"a$\z", "a\n", false),
        (r"a\n$", "a\n", true),
        (r"(a$|b)", "a\n", true),
        (r"(?:a$)?$", "a\n", true),
        (r"(?m)a$", "a\nb\n", true),
        (r"(?m)^b", "a\nb", true),
        (r"(?m)a\Z", "a\nb", false),
        (r"a\b$", "a\n", true),
        (".$", "\n", false),
        ("(?s).$", "\n", true),
    ]);
}

#[test]
fn look_aheads_at_the_start_are_conditions_on_the_name() {
    check_all(&[
        (r"^(?!a)(?!b)(?=.*\d)\w+$", "c1", true),
        (r"^(?!a)(?!b)(?=.*\d)\w+$", "b1", false),
        (r"^(?!a)(?!b)(?=.*\d)\w+$", "cc", false),
        (r"\A(?=.*\.zip$)a", "a.zip\n", true),
        (r"(?!a)^.", "a", false),
        (r"^(?!.*\.tmp$)", "a.tmp", false),
        (r"^(?!.*\.tmp$)", "a.tmp\n", false),
        (r"^(?!.*\.tmp$)", "a.tmpx", true),
        (r"^(?!a|b$)", "bc", true),
        (r"^((?!a)b|(?!c)d)$", "d", true),
        (r"^(?!a)b|^(?=c)", "c", true),
        (r"^(?:(?!a).b)?$", "ab", false),
        (r"^(?:(?!a).b)?$", "cb", true),
        (r"^(?:(?!a).b)?$", "", true),
        (r"^(?!(?!a)b)", "b", false),
        (r"^(?!(?=a)a)", "a", false),
        (r"^(?!.*(?<!x)\z)", "ax", true),
        (r"^(?!.*(?<!x)\z)", "ay", false),
        (r"(?i)^(?!tmp).*\.zip$", "TMP1.ZIP", false),
        (r"(?i)^(?!tmp).*\.zip$", "ATMP1.ZIP", true),
        ("(?x) ^ (?!a) # not a\n . [ ] b", "c b", true),
        ("(?x) ^ (?!a) # not a\n . [ ] b", "a b", false),
        (r"^(?<!a)b", "b", true),
        (r"^(?<!)b", "b", false),
    ]);
}

#[test]
fn look_behinds_at_the_end_are_conditions_on_the_name() {
    check_all(&[
        (r".*(?<!\.tmp)$", "a.zip", true),
        (r".*(?<!\.tmp)$", "a.tmp", false),
        (r".*(?<!\.tmp|\.bak)$", "a.bak", false),
        (r".*(?<!\.tm?p?)$", "a.tm", false),
        // Both places of `$` are tried: `.tmp` ends before the line break, not behind it.
        (r"\w(?<!\.tmp)$", "a.tmp\n", false),
        (r"^.*(?<!\.tmp)$", "a.tmp\n", false),
        (r".*(?<!\.tmp)$", "a.tmp\n", true),
        (r"(?s).*(?<!\.tmp)$", "a.tmp\n", true),
        (r"\w(?<!\.tmp)\z", "a.tmp\n", false),
        (r"a\n(?<!\n\z)$", "a\n\n", true),
        (r"a\n(?<!\n\z)$", "a\n", false),
        (r"a\n(?<=\n\z)$", "a\n", true),
        (r"(?<=\.zip)$", "a.zip", true),
        (r"(?<=\.zip)$(?<!b\.zip)", "b.zip", false),
        (r"(?<!^a)$", "a", false),
        (r"(?<!^a)$", "ba", true),
        (r"^(?!a).*(?<!z)$", "bz", false),
        (r"^(?!a).*(?<!z)$", "by", true),
        (r"^(?!a).*(?<!z)$", "ay", false),
        (r"^(?:b(?<!ab)|c)$", "b", true),
    ]);
}

#[test]
fn a_floating_look_around_is_matched_where_that_is_the_same() {
    check_all(&[
        (r"(?<=a)b", "ab", true),
        (r"(?<=a)b", "cb", false),
        (r"(?<=^a*)b", "aab", true),
        (r"(?<!a)b", "ab", false),
        (r"(?<!a)b", "b", true),
        (r"(?<!a)b", "abcb", true),
        (r"(?<![^a])b", "cb", false),
        (r"backup(?!\d)", "backup1", false),
        (r"backup(?!\d)", "backup", true),
        (r"backup(?!\d)", "backup1backup_", true),
        (r"backup(?=\.zip$)", "backup.zip", true),
        (r"backup(?=\.zip$)", "backup.zip1", false),
        (r"a(?!.)", "a\n", true),
        (r"(?s)a(?!.)", "a\n", false),
    ]);
}

#[test]
fn dot_net_syntax_that_regex_lite_reads_otherwise_is_translated() {
    check_all(&[
        (r"a{,2}", "a{,2}", true),
        (r"^a{1,2,3}$", "a{1,2,3}", true),
        (r"^{guid}$", "{guid}", true),
        (r"a{2}", "aa", true),
        (r"^a{2}?$", "aaa", false),
        (r"[]a]", "]", true),
        (r"[^]a]", "]", false),
        (r"^[a&&b]$", "&", true),
        (r"^[+--]$", ",", true),
        (r"^[+-\-]$", ",", true),
        (r"^[\d-a]$", "-", true),
        (r"^[\--a]$", ",", false),
        (r"^[a-]$", "-", true),
        (r"^[[]$", "[", true),
        (r"^[\b]$", "\u{8}", true),
        (r"(?x)^[a b]$", " ", true),
        (r"(?x)^a +$", "aa", true),
        (r"(?x)^a\ \#$", "a #", true),
        (r"a(?#c)+b", "aab", true),
        (r"(?<name>a)(?'n'b)(?P<x>c)", "abc", true),
        (r"^(?i:a)b$", "Ab", true),
        (r"^(?i:a)b$", "AB", false),
        (r"^(?i)[^a]$", "A", false),
        (r"^a(?i)b|c$", "C", true),
        (r"^(a(?i)b)c$", "aBC", false),
        (r"^(?I-i:a)$", "A", false),
        (r"^\x41\u0042\cI\e$", "AB\t\u{1B}", true),
        (r"^\<\>\/\-\ $", "<>/- ", true),
        (r"\Ga", "ba", false),
        (r"]}", "]}", true),
        (r"^~&-#$", "~&-#", true),
        (r"^ä.$", "äö", true),
    ]);
}

#[test]
fn what_has_no_linear_form_is_named_with_its_column() {
    for (pattern, column, message) in [
        (r"a\p{L}", 2, r"Unicode category `\p{L}`"),
        (r"[a\PL]", 3, "Unicode category"),
        ("ä(?>a)", 2, "atomic group"),
        (r"(a)\1", 4, r"back-reference `\1`"),
        (r"(?<n>a)\k<n>", 8, "back-reference"),
        (r"(?<n>a)\<n>", 8, "back-reference"),
        ("(a)?(?(1)b|c)", 5, "conditional"),
        ("[a-z-[aeiou]]", 5, "class subtraction"),
        ("[a-[a]]", 3, "class subtraction"),
        ("a++", 3, "possessive quantifier `+`"),
        ("a*{2}", 3, "nested quantifier `{2}`"),
        ("(?<a-b>c)", 1, "balancing group"),
        ("(?<-b>c)", 1, "balancing group"),
        (r"\012", 1, "octal"),
        ("[[:alpha:]]", 2, "POSIX class"),
        ("a(?!b)c", 2, "negative look-ahead `(?!…)`"),
        ("(?!a).*", 1, "negative look-ahead"),
        ("(?=a)b", 1, "look-ahead `(?=…)`"),
        ("(?m)^(?!a)b", 6, "negative look-ahead"),
        ("^(?:(?!ab).)*$", 5, "negative look-ahead"),
        ("^(?:(?!a)b){0,2}$", 5, "negative look-ahead"),
        (r"a$(?!\n)", 3, "negative look-ahead"),
        (".*(?<!ab)", 3, "negative look-behind `(?<!…)`"),
        ("a(?<=a)b", 2, "look-behind `(?<=…)`"),
        ("(?<!ab)c", 1, "negative look-behind"),
        ("x|^a(?:b(?!c)|d)e", 9, "negative look-ahead"),
        ("^(?!a(?!bc)d)", 6, "negative look-ahead"),
        (r"a$b", 2, "`$` has more"),
        (r"(?:a$|b){2}$", 5, "`$` has more"),
        (r"(?:a|\Z)+", 6, "`$` has more"),
        (r"(?:a$|b)\b", 5, "`$` has more"),
    ] {
        check_refused(pattern, column, message);
    }
}

#[test]
fn what_dot_net_refuses_is_named_with_its_column() {
    for (pattern, column, message) in [
        ("*.zip", 1, "quantifier `*` with nothing"),
        ("a|+", 3, "quantifier `+`"),
        ("a({2})", 3, "quantifier `{2}`"),
        ("(?i)*", 5, "quantifier `*`"),
        ("a(b", 2, "group `(` without an end"),
        ("a)", 2, "without a `(`"),
        ("a(?", 2, "without an end"),
        ("a(?#b", 2, "comment"),
        ("a[b", 2, "class `[` without an end"),
        ("[]", 1, "class `[` without an end"),
        ("[z-a]", 2, "range `z-a` is reversed"),
        (r"[a-\d]", 4, "end of a range"),
        (r"a\", 2, "at the end"),
        (r"[\", 2, "at the end"),
        (r"\Q", 1, r"unknown escape `\Q`"),
        (r"\x4", 1, "hexadecimal"),
        (r"\uD800", 1, "half a character"),
        (r"\c1", 1, r"`\c`"),
        ("a{3,2}", 2, "reversed"),
        ("(?z)", 1, "unknown group `(?z`"),
        ("(?<>a)", 1, "valid name"),
    ] {
        check_refused(pattern, column, message);
    }
}

#[test]
fn a_pattern_that_costs_too_much_is_refused() {
    check_refused(
        &"ä".repeat(MAX_PATTERN),
        MAX_PATTERN / 2 + 1,
        "longer than 4096 bytes",
    );
    check_refused("a{1001}", 2, "above 1000");
    check_refused("a{99999999999}", 2, "above 1000");
    check_refused("a{2}(b{900}c){1000}", 14, "size limit");
    check_refused(&"(".repeat(100), 41, "nested more than 40");
    check_refused(
        &format!("^{}", "(?:(?!a)|b)".repeat(6)),
        60,
        "more than 32 parts",
    );
    check_refused(
        &format!("^{}$", "(?!a|b)".repeat(40)),
        226,
        "more than 32 parts",
    );
    check(
        &format!("{}a{}", "(".repeat(40), "*)".repeat(40)),
        "a",
        true,
    );
    check(&format!("^{}$", "a?".repeat(255)), &"a".repeat(256), false);
}

#[test]
fn an_error_says_where_what_and_how_else() {
    let error: FilterError = Filter::new("*.zip").unwrap_err();
    assert_eq!(
        error.to_string(),
        r"column 1: quantifier `*` with nothing to repeat; a shell pattern such as `*.zip` is written `^.*\.zip$` as a regular expression"
    );
}

#[test]
fn debug_shows_the_pattern_only() {
    let filter = Filter::new(r"a\.b").unwrap();
    assert_eq!(filter.pattern(), r"a\.b");
    assert_eq!(format!("{filter:?}"), r#"Filter("a\\.b")"#);
}
