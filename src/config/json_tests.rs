use super::super::problem::Lines;
use super::*;

fn plain(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(text) => serde_json::from_str(text).expect("a JSON number"),
        Value::String(text) => text.as_str().into(),
        Value::Array(nodes) => nodes.iter().map(plain).collect(),
        Value::Object(members) => members
            .iter()
            .map(|member| (member.key.clone(), plain(&member.node)))
            .collect(),
    }
}

/// The value as compact JSON, or the place and the message.
fn check(text: &str, expected: &str) {
    let got = match read(text) {
        Ok(node) => plain(&node).to_string(),
        Err(error) => {
            let (line, column) = Lines::of(text).position(error.offset);
            format!("{line}:{column}: {}", error.message)
        }
    };
    assert_eq!(got, expected, "{text:?}");
}

#[test]
fn json_with_comments_and_trailing_commas_is_read() {
    let cases = [
        ("null", "null"),
        (" [true, false, null,] ", "[true,false,null]"),
        (
            "{\"a\": {\"b\": [1, -2.5e3,],},}",
            r#"{"a":{"b":[1,-2500.0]}}"#,
        ),
        ("// x\n{ /* y \" */ \"a\" /**/ : // z\n 1 }//", r#"{"a":1}"#),
        ("\u{feff}{}", "{}"),
        (
            "\"// no comment /* either */\"",
            "\"// no comment /* either */\"",
        ),
        (
            r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#,
            r#""\"\\/\b\f\n\r\té😀é""#,
        ),
    ];
    for (text, expected) in cases {
        check(text, expected);
    }
}

#[test]
fn a_mistake_is_told_with_its_place_and_what_was_expected() {
    let value =
        "a value (a string in double quotes, a number, `true`, `false`, `null`, `[` or `{`)";
    let cases = [
        (
            "",
            format!("1:1: expected {value}, found the end of the file"),
        ),
        (
            "{\n  \"a\": secret}",
            format!("2:8: expected {value}, found `s`"),
        ),
        ("{\"a\": True}", format!("1:7: expected {value}, found `T`")),
        (
            "{\"a\": 'x'}",
            format!("1:7: expected {value}, found `'`; strings stand in double quotes"),
        ),
        ("{\"a\":}", format!("1:6: expected {value}, found `}}`")),
        ("[,]", format!("1:2: expected {value}, found `,`")),
        ("+1", format!("1:1: expected {value}, found `+`")),
        (
            "{\"a\" 1}",
            "1:6: expected `:` after the key, found `1`".into(),
        ),
        (
            "{a: 1}",
            "1:2: expected a key in double quotes or `}`, found `a`".into(),
        ),
        (
            "{\"a\": 1 \"b\": 2}",
            "1:9: expected `,` or `}`, found `\"`".into(),
        ),
        (
            "{\"a\": 1,\n# x\n}",
            "2:1: expected a key in double quotes or `}`, found `#`; comments begin with `//`"
                .into(),
        ),
        ("[1 2]", "1:4: expected `,` or `]`, found `2`".into()),
        (
            "[1",
            "1:3: expected `,` or `]`, found the end of the file".into(),
        ),
        (
            "{} {}",
            "1:4: expected the end of the file after the closing bracket, found `{`".into(),
        ),
        (
            "/* x",
            "1:1: this comment never ends; close it with `*/`".into(),
        ),
        (
            "/*/",
            "1:1: this comment never ends; close it with `*/`".into(),
        ),
        (
            "[\"é\", \"x\ny\"]",
            "1:7: this string does not end on its line; close it with `\"`".into(),
        ),
        (
            "\"x",
            "1:1: this string does not end on its line; close it with `\"`".into(),
        ),
        (
            "\"a\tb\"",
            "1:3: a control character in a string; write it as an escape, like `\\t`".into(),
        ),
        (
            r#""a\.b""#,
            "1:3: unknown escape; a backslash itself is written twice, like `\\\\.` in a filter"
                .into(),
        ),
        (
            r#""\u12x4""#,
            "1:2: `\\u` needs four hexadecimal digits".into(),
        ),
        (
            r#""\u+123""#,
            "1:2: `\\u` needs four hexadecimal digits".into(),
        ),
        (
            r#""\ud800""#,
            "1:2: half of a surrogate pair; write the character itself, or both halves".into(),
        ),
        (
            r#""\ud800\u0041""#,
            "1:2: half of a surrogate pair; write the character itself, or both halves".into(),
        ),
        (
            r#""\udc00""#,
            "1:2: half of a surrogate pair; write the character itself, or both halves".into(),
        ),
        (
            "01",
            "1:1: a number has no leading zero; leave the zero out".into(),
        ),
        (
            "[64MiB]",
            "1:2: a value with a unit stands in double quotes, like `\"64MiB\"` or `\"15m\"`"
                .into(),
        ),
        (
            "1.",
            "1:3: expected a digit, found the end of the file".into(),
        ),
        ("-x", "1:2: expected a digit, found `x`".into()),
    ];
    for (text, expected) in cases {
        check(text, &expected);
    }
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(65)).is_ok());
    check(&nested(66), "1:66: nested deeper than 64 levels");
    check(&"[".repeat(1 << 20), "1:66: nested deeper than 64 levels");
}

#[test]
fn characters_of_a_string_are_found_behind_its_escapes() {
    let text = r#"  "a\\é\u00e9\ud83d\ude00z""#;
    let cases = [
        (1, "a"),
        (2, r"\\"),
        (3, "é"),
        (4, r"\u00e9"),
        (5, r"\ud83d"),
        (6, "z"),
        (7, "\""),
        (99, "\""),
    ];
    for (column, expected) in cases {
        let offset = character_offset(text, 2, column);
        assert!(text[offset..].starts_with(expected), "{column}");
    }
}
