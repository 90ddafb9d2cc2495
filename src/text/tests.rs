use super::*;

#[test]
fn names_are_escaped_for_records_and_for_keys() {
    fn check(name: &[u8], record: &str, key: &str) {
        assert_eq!(escape_bytes(name), record, "record of {name:?}");
        assert_eq!(printable(name), key, "key of {name:?}");
        assert_eq!(
            unescape(record).as_deref(),
            Some(name),
            "back from {record}"
        );
    }
    check(b"", "", "");
    check(b"a.txt", "a.txt", "a.txt");
    check("Grüße 漢字 🎉".as_bytes(), "Grüße 漢字 🎉", "Grüße 漢字 🎉");
    check(b"a\\b", "a\\\\b", "a\\b");
    check(b"\\x41", "\\\\x41", "\\x41");
    check(b"a\xffb\xc3", "a\\xffb\\xc3", "a\\xffb\\xc3");
    check(
        b"a\n\t\x1b[31m\x7f",
        "a\\x0a\\x09\\x1b[31m\\x7f",
        "a\\x0a\\x09\\x1b[31m\\x7f",
    );
    check("\u{9b}31m".as_bytes(), "\\xc2\\x9b31m", "\\xc2\\x9b31m");
    check(b"\xed\xa0\x80", "\\xed\\xa0\\x80", "\\xed\\xa0\\x80");
}

#[test]
fn text_that_was_never_escaped_is_refused() {
    for text in ["\\", "a\\b", "\\x", "\\x4", "\\xg0", "\\x+1"] {
        assert_eq!(unescape(text), None, "{text}");
    }
}

#[test]
fn escaping_is_reversible_and_printable_for_any_bytes() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let name: Vec<u8> = (0..random() % 12)
            .map(|_| match random() % 4 {
                0 => b'\\',
                1 => b'x',
                2 => b'0' + (random() % 10) as u8,
                _ => random() as u8,
            })
            .collect();
        let text = escape_bytes(&name);
        assert_eq!(unescape(&text), Some(name));
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

#[test]
fn sizes_have_one_decimal_where_it_tells_something() {
    fn check(bytes: u64, expected: &str) {
        assert_eq!(human_size(bytes), expected, "{bytes}");
        assert_eq!(human_rate(bytes), format!("{expected}/s"));
    }
    check(0, "0 B");
    check(512, "512 B");
    check(1023, "1023 B");
    check(1024, "1 KiB");
    check(10 * 1024, "10 KiB");
    check(1536 * 1024, "1.5 MiB");
    check(99 * 1024 + 972, "99.9 KiB");
    check(99 * 1024 + 1000, "100 KiB");
    check(1024 * 1024 - 1, "1 MiB");
    check(123_456_789, "118 MiB");
    check(5 << 30, "5 GiB");
    check(u64::MAX, "16 EiB");
}

#[test]
fn durations_have_at_most_two_units() {
    fn check(millis: u64, expected: &str) {
        assert_eq!(
            human_duration(Duration::from_millis(millis)),
            expected,
            "{millis}"
        );
    }
    check(0, "0ms");
    check(850, "850ms");
    check(1_000, "1s");
    check(1_299, "1.2s");
    check(9_999, "9.9s");
    check(12_900, "12s");
    check(60_000, "1m");
    check(80_000, "1m 20s");
    check(7_500_000, "2h 5m");
    check(86_400_000 * 3, "3d");
    check(86_400_000 * 3 + 4 * 3_600_000, "3d 4h");
}

#[test]
fn text_is_fitted_by_display_width_and_keeps_both_ends() {
    fn check(text: &str, width: usize, expected: &str) {
        let fitted = fit(text, width);
        assert_eq!(fitted, expected, "{text} in {width}");
        assert_eq!(display_width(&fitted), width, "{text} in {width}");
    }
    check("abc", 5, "abc  ");
    check("abc", 3, "abc");
    check("abcdef", 0, "");
    check("abcdef", 1, "…");
    check("abcdef", 2, "…f");
    check("abcdef", 5, "ab…ef");
    check("/data/backups/a.dmbackup", 12, "/data…backup");
    check("漢字", 4, "漢字");
    check("漢字漢字", 7, "漢…字  ");
    check("漢字漢字", 6, "漢…字 ");
    check("e\u{301}te\u{301}", 4, "e\u{301}te\u{301} ");
    check("🎉🎉", 5, "🎉🎉 ");
}

#[test]
fn the_nearest_word_is_found_or_nothing() {
    fn check(word: &str, expected: Option<&str>) {
        let mut known = ["dmaId", "createTime", "filename", "size"].into_iter();
        assert_eq!(nearest(word, &mut known), expected, "{word}");
    }
    check("filename", Some("filename"));
    check("dmaID", Some("dmaId"));
    check("fileName", Some("filename"));
    check("creatTime", Some("createTime"));
    check("createdTime", Some("createTime"));
    check("sise", Some("size"));
    check("hostname", None);
    check("", None);
}
