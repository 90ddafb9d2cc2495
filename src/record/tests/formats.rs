use std::time::Duration;

use super::*;

#[test]
fn times_are_utc_with_milliseconds() {
    fn check(nanoseconds: i128, expected: &str) {
        let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap();
        assert_eq!(timestamp(time), expected);
        let there = time.to_offset(UtcOffset::from_hms(5, 30, 0).unwrap());
        assert_eq!(timestamp(there), expected);
        let millisecond = time.replace_nanosecond(time.nanosecond() / 1_000_000 * 1_000_000);
        assert_eq!(parse_timestamp(expected), millisecond.ok(), "{expected}");
    }
    check(1_795_356_309_123_999_999, "2026-11-22T14:05:09.123Z");
    check(0, "1970-01-01T00:00:00.000Z");
    check(-1_000_000, "1969-12-31T23:59:59.999Z");
    check(951_827_696_007_000_000, "2000-02-29T12:34:56.007Z");
}

#[test]
fn only_times_are_read_as_times() {
    fn check(text: &str, expected: Option<i128>) {
        let nanoseconds = parse_timestamp(text).map(OffsetDateTime::unix_timestamp_nanos);
        assert_eq!(nanoseconds, expected, "{text}");
    }
    check("1970-01-01T00:00:01Z", Some(1_000_000_000));
    check("1970-01-01T00:00:00.5Z", Some(500_000_000));
    check("1970-01-01T00:00:00.000000001Z", Some(1));
    check("1970-01-01T00:00:00.0000000001Z", None);
    check("1970-01-01T00:00:00.Z", None);
    check("1970-01-01T00:00:00.+1Z", None);
    check("1970-01-01T00:00:00.000", None);
    check("1970-01-01T00:00:00+00:00", None);
    check("1970-01-01 00:00:00Z", None);
    check("1970-13-01T00:00:00Z", None);
    check("1970-02-29T00:00:00Z", None);
    check("1970-01-01T24:00:00Z", None);
    check("+970-01-01T00:00:00Z", None);
    check("1970-01-01T00:00:0éZ", None);
    check("Z", None);
    check("", None);
}

fn time(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_795_356_309 + seconds).unwrap()
}

#[test]
fn events_are_written_in_the_agreed_form() {
    fn check(event: &Event, expected: &str) {
        assert_eq!(String::from_utf8(event.to_line()).unwrap(), expected);
        assert!(
            EventLine::parse(expected.as_bytes()).is_some(),
            "{expected}"
        );
    }
    check(
        &Event::new(
            time(0),
            EventKind::ServiceStarted,
            Severity::Info,
            "s3ferry 1.0 started",
        ),
        r#"{"v":1,"time":"2026-11-22T14:05:09.000Z","kind":"service_started","severity":"info","message":"s3ferry 1.0 started"}"#,
    );
    check(
        &Event::new(
            time(1),
            EventKind::UploadFailed,
            Severity::Error,
            format!("no {}", 1),
        )
        .job("backups")
        .source_path(b"/data/a\xff\\b")
        .key("p/a")
        .error(EventError {
            class: "network",
            ..EventError::default()
        }),
        r#"{"v":1,"time":"2026-11-22T14:05:10.000Z","job":"backups","kind":"upload_failed","severity":"error","source_path":"/data/a\\xff\\\\b","key":"p/a","message":"no 1","error":{"class":"network"}}"#,
    );
    check(
        &Event::new(
            time(2),
            EventKind::JobBlocked,
            Severity::Warning,
            "\"\u{1b}\n\"",
        )
        .error(EventError {
            class: "permission",
            code: Some("AccessDenied"),
            http_status: Some(403),
            request_id: Some("4442587FB7D0A2F9"),
            hint: Some("grant s3:PutObject"),
        }),
        r#"{"v":1,"time":"2026-11-22T14:05:11.000Z","kind":"job_blocked","severity":"warning","message":"\"\u001b\n\"","error":{"class":"permission","code":"AccessDenied","http_status":403,"request_id":"4442587FB7D0A2F9","hint":"grant s3:PutObject"}}"#,
    );
}

#[test]
fn events_of_a_newer_version_can_be_read() {
    fn check(line: &str, readable: bool) {
        assert_eq!(
            EventLine::parse(line.as_bytes()).is_some(),
            readable,
            "{line}"
        );
    }
    check(
        r#"{"v":2,"time":"t","kind":"teleported","severity":"fatal","message":"m","more":[{}]}"#,
        true,
    );
    check(
        r#"{"v":1,"time":"t","kind":"k","severity":"s","message":"m","error":{}}"#,
        true,
    );
    check(
        r#"{"v":1,"time":"t","kind":"k","severity":"s","message":"m","error":null}"#,
        true,
    );
    check(r#"{"v":1,"time":"t","kind":"k","severity":"s"}"#, false);
    check(
        r#"{"v":1,"time":7,"kind":"k","severity":"s","message":"m"}"#,
        false,
    );
    check(
        r#"{"v":1,"time":"t","kind":"k","severity":"s","message":"\ud800"}"#,
        false,
    );
    check("{}", false);
}

#[test]
fn history_entries_have_the_agreed_fields_and_a_speed() {
    fn check(size: u64, elapsed: Duration, seconds: &str, speed: u64) {
        let entry = HistoryEntry::new(&FinishedUpload {
            job: "backups",
            source_path: b"/data/\xfe",
            size,
            bucket: "mybucket",
            key: "p/a",
            started_at: time(0),
            finished_at: time(80),
            elapsed,
            parts: 0,
            attempts: 1,
            resumed_bytes: 0,
            etag: Some("\"abc\""),
            checksum: None,
            version_id: None,
            after_upload: "keep",
        });
        let line = String::from_utf8(entry.to_line()).unwrap();
        let expected = [
            r#"{"v":1,"job":"backups","source_path":"/data/\\xfe","size":"#,
            &size.to_string(),
            r#","bucket":"mybucket","key":"p/a","started_at":"2026-11-22T14:05:09.000Z","#,
            r#""finished_at":"2026-11-22T14:06:29.000Z","seconds":"#,
            seconds,
            r#","bytes_per_second":"#,
            &speed.to_string(),
            r#","parts":0,"attempts":1,"resumed_bytes":0,"etag":"\"abc\"","checksum":null,"#,
            r#""version_id":null,"after_upload":"keep"}"#,
        ];
        assert_eq!(line, expected.concat());
        assert_eq!(HistoryEntry::parse(line.as_bytes()), Some(entry));
    }
    check(1_000_000, Duration::from_secs(80), "80.0", 12_500);
    check(1000, Duration::from_micros(1_234_900), "1.234", 810);
    check(1000, Duration::ZERO, "0.001", 1_000_000);
    check(0, Duration::from_secs(1), "1.0", 0);
    check(u64::MAX, Duration::ZERO, "0.001", u64::MAX);
}
