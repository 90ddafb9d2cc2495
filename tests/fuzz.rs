//! Whatever is read from outside is read without a panic, and what is whole is not lost.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, and in what it stands on, a panic is the failure"
)]

use std::collections::BTreeMap;
use std::io::Write;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use s3ferry::config::units::{parse_duration, parse_rate, parse_size};
use s3ferry::naming::{FileFacts, KeyError, MAX_KEY_BYTES, ObjectKey, Template};
use s3ferry::record::ledger::{Ledger, OpenUpload};
use s3ferry::record::{HistoryEntry, parse_timestamp, timestamp};
use s3ferry::source::filter::Filter;
use s3ferry::text::{escape_bytes, unescape};
use tempfile::TempDir;
use time::OffsetDateTime;

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        cases: count,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn parse(text: &str) {
    let path = std::path::Path::new("/etc/s3ferry.json");
    if let Err(error) = s3ferry::config::parse(text, path, &|_| None) {
        let said = error.to_string();
        assert!(!said.trim().is_empty());
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
}

const GOOD: &str = r#"{
  // a comment
  "state_dir": "/tmp/s3ferry-fuzz",
  "time_zone": "utc",
  "jobs": [{
    "name": "job", "host": "bucket.s3.eu-west-2.amazonaws.com", "source_path": "/tmp",
    "filter": "^(?!tmp).*\\.tar$", "interval": "1h", "settle": "10s", "change_filename": "<createTime:%Y>_<filename>.<extension>",
    "transfer": { "part_size": "16MiB", "bandwidth_limit": "1MiB/s", },
    "credentials": { "access_key": "A", "secret_key": "B" }, "after_upload": "delete",
    "windows": ["22:00-06:00"], "object": { "tags": { "a": "b" }, "metadata": { "x": "y" } }
  }]
}"#;

/// A piece of a configuration where one does not expect it.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        select(vec![
            "{",
            "}",
            "[",
            "]",
            "\"",
            ",",
            ":",
            "null",
            "true",
            "-1",
            "1e999",
            "0.5",
            "//",
            "/*",
            "*/",
            "\\u0000",
            "\\ud800",
            "\"jobs\"",
            "\"job\"",
            "\u{feff}",
            "18446744073709551616",
            "<",
            "<<",
            "(?",
            "\u{1b}[2J",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn any_text_is_a_configuration_or_an_error(text in any::<String>()) {
        parse(&text);
    }

    #[test]
    fn a_mutated_configuration_is_one_or_an_error(
        cuts in vec((any::<prop::sample::Index>(), 0_usize..12, piece()), 1..4)
    ) {
        let mut text = GOOD.to_owned();
        for (at, length, new) in cuts {
            let mut from = at.index(text.len() + 1);
            while !text.is_char_boundary(from) { from -= 1; }
            let mut to = (from + length).min(text.len());
            while !text.is_char_boundary(to) { to += 1; }
            text.replace_range(from..to, &new);
        }
        parse(&text);
    }

    #[test]
    fn deep_and_wide_json_is_refused_without_a_panic(depth in 0_usize..20_000, open in select(vec!["[", "{\"a\":", "[{\"jobs\":"])) {
        parse(&open.repeat(depth));
    }

    #[test]
    fn units_never_panic_nor_overflow(text in prop_oneof![any::<String>(), "[0-9]{0,25}(\\.[0-9]{0,5})? ?[a-zA-Zµ]{0,4}(/s)?"]) {
        let _ = (parse_size(&text), parse_duration(&text), parse_rate(&text));
    }

    #[test]
    fn a_filter_never_panics(pattern in prop_oneof![any::<String>(), "[a-c().|?!<>=\\\\\\[\\]^$*+{},0-9:i-]{0,24}"], name in any::<String>()) {
        if let Ok(filter) = Filter::new(&pattern) {
            filter.matches(&name);
        }
    }

    #[test]
    fn escaping_is_undone_exactly(bytes in vec(any::<u8>(), 0..200)) {
        let shown = escape_bytes(&bytes);
        prop_assert!(!shown.chars().any(char::is_control));
        prop_assert_eq!(unescape(&shown), Some(bytes));
    }

    #[test]
    fn unescaping_anything_does_not_panic(text in any::<String>()) {
        let _ = unescape(&text);
        let _ = parse_timestamp(&text);
        let _ = HistoryEntry::parse(text.as_bytes());
    }
}

fn template_text() -> impl Strategy<Value = String> {
    let word = select(vec![
        "<",
        ">",
        "<<",
        "<filename>",
        "<extension>",
        ".<extension>",
        "<directory>/",
        "<createTime>",
        "<createTime:%Y/%m/%d>",
        "<uploadTime:%",
        "<modifyTime:%q>",
        "<size>",
        "<job>",
        "<hostname>",
        "<dmaId>",
        "/",
        "..",
        ".",
        "\n",
        "é",
        ":",
        "%",
    ]);
    prop_oneof![
        any::<String>(),
        vec(word.prop_map(str::to_owned), 0..8).prop_map(|words| words.concat()),
    ]
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn a_template_gives_a_key_that_arrives_as_written_or_an_error(
        text in template_text(),
        placeholders in btree_map("[a-zA-Z]{1,8}", any::<String>(), 0..3),
        name in vec(any::<u8>().prop_filter("no slash", |b| *b != b'/' && *b != 0), 1..255),
        directory in vec(any::<u8>().prop_filter("no NUL", |b| *b != 0), 0..80),
        size in any::<u64>(),
        seconds in -62_000_000_000_i64..200_000_000_000,
    ) {
        let Ok(template) = Template::parse(&text, &placeholders) else { return Ok(()); };
        let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let facts = FileFacts {
            name: &name, directory: &directory, size, created: None, modified: moment,
            upload_time: moment, hostname: "host", job: "job",
        };
        if let Ok(key) = key_of(&template, &facts) {
            prop_assert!(key.as_str().len() <= MAX_KEY_BYTES && !key.as_str().is_empty());
        }
    }

    #[test]
    fn a_timestamp_is_read_as_it_was_written(seconds in 0_i64..250_000_000_000, millis in 0_i64..1000) {
        let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap() + time::Duration::milliseconds(millis);
        prop_assert_eq!(parse_timestamp(&timestamp(moment)), Some(moment));
    }
}

fn key_of(template: &Template, facts: &FileFacts<'_>) -> Result<ObjectKey, KeyError> {
    s3ferry::naming::key_for(Some(template), "", facts)
}

fn upload(number: usize) -> OpenUpload {
    OpenUpload {
        token: format!("token{number}"),
        job: "job".into(),
        bucket: "bucket".into(),
        key: format!("key \"{number}\"\n"),
        upload_id: "id".into(),
        part_size: 5 << 20,
        source_path: format!("/source/{number}"),
        size: 1 << 30,
        fingerprint: [number as u8; 16],
        checksum: None,
        device: number as u64,
        abort: false,
    }
}

fn tokens(ledger: &Ledger) -> Vec<String> {
    let mut tokens: Vec<_> = ledger
        .open_uploads()
        .iter()
        .map(|u| u.token.clone())
        .collect();
    tokens.sort();
    tokens
}

/// A ledger of `count` uploads: its folder, and its bytes.
fn ledger_of(count: usize) -> (TempDir, Vec<u8>) {
    let folder = TempDir::new().unwrap();
    let (mut ledger, _) = Ledger::open(folder.path()).unwrap();
    for number in 0..count {
        ledger.begin_upload(upload(number)).unwrap();
    }
    drop(ledger);
    let bytes = std::fs::read(folder.path().join("ledger.jsonl")).unwrap();
    (folder, bytes)
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_ledger_of_any_bytes_opens_and_takes_new_lines(bytes in vec(any::<u8>(), 0..600)) {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ledger.jsonl"), &bytes).unwrap();
        let (mut ledger, _) = Ledger::open(folder.path()).unwrap();
        ledger.begin_upload(upload(1)).unwrap();
        drop(ledger);
        let (ledger, _) = Ledger::open(folder.path()).unwrap();
        prop_assert_eq!(tokens(&ledger), ["token1"]);
    }

    #[test]
    fn damage_behind_whole_lines_does_not_cost_them(count in 0_usize..6, garbage in vec(any::<u8>(), 0..300)) {
        let (folder, _) = ledger_of(count);
        let path = folder.path().join("ledger.jsonl");
        let mut file = std::fs::File::options().append(true).open(&path).unwrap();
        file.write_all(&garbage).unwrap();
        let (mut ledger, _) = Ledger::open(folder.path()).unwrap();
        let expected: Vec<_> = (0..count).map(|n| format!("token{n}")).collect();
        prop_assert_eq!(tokens(&ledger), expected.clone());
        ledger.begin_upload(upload(7)).unwrap();
        drop(ledger);
        let (ledger, _) = Ledger::open(folder.path()).unwrap();
        prop_assert_eq!(ledger.open_uploads().len(), count + 1);
    }

    #[test]
    fn a_ledger_cut_anywhere_keeps_the_lines_before_the_cut(at in any::<prop::sample::Index>()) {
        let (folder, bytes) = ledger_of(4);
        let cut = at.index(bytes.len() + 1);
        std::fs::write(folder.path().join("ledger.jsonl"), &bytes[..cut]).unwrap();
        let whole = bytes[..cut].iter().filter(|&&b| b == b'\n').count();
        // Only its line break is missing: what it says is there.
        let all_but_break = bytes.get(cut) == Some(&b'\n');
        let before = bytes.iter().filter(|&&b| b == b'\n').count() - 4;
        let expected = (whole + usize::from(all_but_break)).saturating_sub(before);
        let (ledger, _) = Ledger::open(folder.path()).unwrap();
        prop_assert_eq!(ledger.open_uploads().len(), expected);
    }

    #[test]
    fn a_flipped_bit_costs_at_most_its_own_line(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let (folder, mut bytes) = ledger_of(4);
        let index = at.index(bytes.len());
        bytes[index] ^= 1 << bit;
        std::fs::write(folder.path().join("ledger.jsonl"), &bytes).unwrap();
        let (ledger, _) = Ledger::open(folder.path()).unwrap();
        // A flipped line break makes one of two lines.
        prop_assert!(ledger.open_uploads().len() >= 2, "{} left", ledger.open_uploads().len());
    }

    #[test]
    fn placeholders_of_any_kind_do_not_panic(text in template_text(), values in btree_map(any::<String>(), any::<String>(), 0..3)) {
        let values: BTreeMap<String, String> = values;
        let _ = Template::parse(&text, &values);
    }
}
