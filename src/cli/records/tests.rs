use std::time::Duration;

use super::*;
use crate::record::{Event, EventError, EventKind, FinishedUpload, Severity};
use crate::text::display_width;

fn time(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_795_356_309 + seconds).unwrap()
}

fn utc(_: OffsetDateTime) -> UtcOffset {
    UtcOffset::UTC
}

fn uploads() -> Vec<Vec<u8>> {
    let upload = |path: &[u8], key: &str, size, start, seconds: i64| {
        let upload = FinishedUpload {
            job: "backups",
            source_path: path,
            size,
            bucket: "mybucket",
            key,
            started_at: time(start),
            finished_at: time(start + seconds),
            elapsed: Duration::from_secs(seconds.unsigned_abs()),
            parts: 0,
            attempts: 1,
            resumed_bytes: 0,
            etag: Some("\"e,tag\""),
            checksum: None,
            version_id: None,
            after_upload: "keep",
        };
        HistoryEntry::new(&upload).to_line()
    };
    vec![
        upload(
            b"/data/backups/week-1.dmbackup",
            "site-7/17_week-1.dmbackup",
            1_500_000_000,
            0,
            80,
        ),
        b"{}".to_vec(),
        upload(
            "/data/backups/今日の記録\n.dmbackup".as_bytes(),
            "site-7/今日の記録.dmbackup",
            512,
            100,
            1,
        ),
        // Ends on the next day.
        upload(b"=cmd\xff", "@key, \"x\"", 0, 35_690, 10),
    ]
}

fn events() -> Vec<Vec<u8>> {
    let denied = EventError {
        class: "permission",
        code: Some("AccessDenied"),
        http_status: Some(403),
        request_id: None,
        hint: Some("grant s3:PutObject on the bucket"),
    };
    [
        Event::new(
            time(0),
            EventKind::ServiceStarted,
            Severity::Info,
            "s3ferry started",
        ),
        Event::new(
            time(1),
            EventKind::UploadFailed,
            Severity::Error,
            "-1, \"refused\"\u{1b}[2J",
        )
        .job("backups")
        .source_path("/data/backups/今日の記録-2026-11-22.dmbackup".as_bytes())
        .key("site-7/今日")
        .error(denied),
        Event::new(
            time(2),
            EventKind::FileSkipped,
            Severity::Warning,
            "`/data/a` has no key",
        )
        .job("ログ")
        .source_path(b"/data/a"),
    ]
    .iter()
    .map(Event::to_line)
    .chain([b"{\"time\":1}".to_vec()])
    .collect()
}

type Writer = fn(&[Vec<u8>], Look, &mut dyn Write) -> io::Result<usize>;

fn check_table(table: Writer, lines: &[Vec<u8>], width: Option<usize>, expected: &str) {
    let mut out = Vec::new();
    let look = Look {
        width,
        zone_offset: &utc,
        colour: false,
    };
    let skipped = table(lines, look, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, expected, "width {width:?}");
    assert_eq!(skipped, usize::from(!lines.is_empty()));
    for line in text.lines() {
        assert!(display_width(line) <= width.unwrap_or(usize::MAX), "{line}");
    }
}

#[test]
fn the_history_is_a_table_with_file_size_start_end_and_speed() {
    check_table(
        history_table,
        &uploads(),
        Some(80),
        "\
Started              Finished      Source file                  Size       Speed
2026-11-22 14:05:09  14:06:29      /data/backu…k-1.dmbackup  1.4 GiB  17.9 MiB/s
2026-11-22 14:06:49  14:06:50      /data/backu…x0a.dmbackup    512 B     512 B/s
2026-11-22 23:59:59  00:00:09 +1d  =cmd\\xff                      0 B       0 B/s
3 uploads, 1.4 GiB
",
    );
    check_table(
        history_table,
        &uploads(),
        Some(60),
        "\
Started              Source file                        Size
2026-11-22 14:05:09  /data/backups/week-1.dmbackup   1.4 GiB
2026-11-22 14:06:49  /data/backups/…録\\x0a.dmbackup    512 B
2026-11-22 23:59:59  =cmd\\xff                            0 B
3 uploads, 1.4 GiB
",
    );
    check_table(
        history_table,
        &uploads(),
        Some(120),
        "\
Started              Finished             Source file                 Size       Speed  Job      Key
2026-11-22 14:05:09  2026-11-22 14:06:29  /data/backu…-1.dmbackup  1.4 GiB  17.9 MiB/s  backups  site-7/17_w…-1.dmbackup
2026-11-22 14:06:49  2026-11-22 14:06:50  /data/backu…0a.dmbackup    512 B     512 B/s  backups  site-7/今日…録.dmbackup
2026-11-22 23:59:59  2026-11-23 00:00:09  =cmd\\xff                     0 B       0 B/s  backups  @key, \"x\"
3 uploads, 1.4 GiB
",
    );
    check_table(
        history_table,
        &uploads(),
        None,
        "\
Started              Finished             Source file                               Size       Speed  Job      Key
2026-11-22 14:05:09  2026-11-22 14:06:29  /data/backups/week-1.dmbackup          1.4 GiB  17.9 MiB/s  backups  site-7/17_week-1.dmbackup
2026-11-22 14:06:49  2026-11-22 14:06:50  /data/backups/今日の記録\\x0a.dmbackup    512 B     512 B/s  backups  site-7/今日の記録.dmbackup
2026-11-22 23:59:59  2026-11-23 00:00:09  =cmd\\xff                                   0 B       0 B/s  backups  @key, \"x\"
3 uploads, 1.4 GiB
",
    );
}

#[test]
fn events_are_a_table_with_hints_where_there_is_room() {
    check_table(
        events_table,
        &events(),
        Some(80),
        "\
Time                 Severity  Job      What
2026-11-22 14:05:09  info      -        s3ferry started
2026-11-22 14:05:10  error     backups  -1, \"refused\"\\x1b[2…2026-11-22.dmbackup)
2026-11-22 14:05:11  warning   ログ     `/data/a` has no key
",
    );
    check_table(
        events_table,
        &events(),
        Some(120),
        "\
Time                 Severity  Job      Event            What
2026-11-22 14:05:09  info      -        service_started  s3ferry started
2026-11-22 14:05:10  error     backups  upload_failed    -1, \"refused\"\\x1b[2J (/data/bac…rant s3:PutObject on the bucket
2026-11-22 14:05:11  warning   ログ     file_skipped     `/data/a` has no key
",
    );
    check_table(
        events_table,
        &events(),
        None,
        "\
Time                 Severity  Job      Event            What
2026-11-22 14:05:09  info      -        service_started  s3ferry started
2026-11-22 14:05:10  error     backups  upload_failed    -1, \"refused\"\\x1b[2J (/data/backups/今日の記録-2026-11-22.dmbackup) — grant s3:PutObject on the bucket
2026-11-22 14:05:11  warning   ログ     file_skipped     `/data/a` has no key
",
    );
}

#[test]
fn an_empty_table_says_so() {
    check_table(history_table, &[], Some(80), "no uploads yet\n");
    check_table(events_table, &[], None, "no events yet\n");
}

#[test]
fn one_upload_is_counted_in_the_singular() {
    let mut out = Vec::new();
    let look = Look {
        width: None,
        zone_offset: &utc,
        colour: true,
    };
    history_table(&uploads()[..1], look, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("\x1b[1mStarted "), "{text}");
    assert!(text.ends_with("\n1 upload, 1.4 GiB\n"), "{text}");
}

#[test]
fn times_are_shown_in_the_time_zone_of_their_moment() {
    fn check(timestamp: &str, expected: &str) {
        let zone = |time: OffsetDateTime| {
            let summer = u8::from(time.month()) == 6;
            UtcOffset::from_hms(if summer { 2 } else { 1 }, 0, 0).unwrap()
        };
        let look = Look {
            width: None,
            zone_offset: &zone,
            colour: false,
        };
        assert_eq!(look.time(timestamp), expected);
    }
    check("2026-11-22T23:05:09.999Z", "2026-11-23 00:05:09");
    check("2026-06-01T00:00:00.000Z", "2026-06-01 02:00:00");
    check("9999-12-31T23:59:59.000Z", "9999-12-31 23:59:59");
    check("yesterday", "yesterday");
}

#[test]
fn the_history_as_csv_has_every_field_and_runs_no_formula() {
    let mut out = Vec::new();
    assert_eq!(history_csv(&uploads(), &mut out).unwrap(), 1);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "\
v,job,source_path,size,bucket,key,started_at,finished_at,seconds,bytes_per_second,parts,attempts,resumed_bytes,etag,checksum,version_id,after_upload
1,backups,/data/backups/week-1.dmbackup,1500000000,mybucket,site-7/17_week-1.dmbackup,2026-11-22T14:05:09.000Z,2026-11-22T14:06:29.000Z,80.0,18750000,0,1,0,\"\"\"e,tag\"\"\",,,keep
1,backups,/data/backups/今日の記録\\x0a.dmbackup,512,mybucket,site-7/今日の記録.dmbackup,2026-11-22T14:06:49.000Z,2026-11-22T14:06:50.000Z,1.0,512,0,1,0,\"\"\"e,tag\"\"\",,,keep
1,backups,'=cmd\\xff,0,mybucket,\"'@key, \"\"x\"\"\",2026-11-22T23:59:59.000Z,2026-11-23T00:00:09.000Z,10.0,0,0,1,0,\"\"\"e,tag\"\"\",,,keep
"
    );
}

#[test]
fn events_as_csv_have_every_field() {
    let mut out = Vec::new();
    assert_eq!(events_csv(&events(), &mut out).unwrap(), 1);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "\
v,time,job,kind,severity,source_path,key,message,error_class,error_code,error_http_status,error_request_id,error_hint
1,2026-11-22T14:05:09.000Z,,service_started,info,,,s3ferry started,,,,,
1,2026-11-22T14:05:10.000Z,backups,upload_failed,error,/data/backups/今日の記録-2026-11-22.dmbackup,site-7/今日,\"'-1, \"\"refused\"\"\\x1b[2J\",permission,AccessDenied,403,,grant s3:PutObject on the bucket
1,2026-11-22T14:05:11.000Z,ログ,file_skipped,warning,/data/a,,`/data/a` has no key,,,,,
"
    );
}

#[test]
fn texts_that_could_be_formulas_are_marked_in_csv() {
    fn check(text: &str, expected: &str) {
        let mut out = Vec::new();
        let mut csv = Csv::new(&mut out, "h").unwrap();
        csv.text(text);
        csv.end_row().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("h\n{expected}\n"));
    }
    check("", "");
    check("a=1", "a=1");
    check("=1", "'=1");
    check("+1", "'+1");
    check("-1", "'-1");
    check("@a", "'@a");
    check("a,b", "\"a,b\"");
    check("a\"b", "\"a\"\"b\"");
    check("\r\n\t", "\\x0d\\x0a\\x09");
}

#[test]
fn stored_records_are_printed_as_they_are_and_nothing_else_is() {
    for (write, lines) in [
        (
            history_json as fn(&[Vec<u8>], &mut dyn Write) -> _,
            uploads(),
        ),
        (events_json, events()),
    ] {
        let mut out = Vec::new();
        assert_eq!(write(&lines, &mut out).unwrap(), 1);
        let kept = lines.iter().filter(|line| line.starts_with(b"{\"v\":1,"));
        let whole: Vec<u8> = kept.flat_map(|line| [line, &b"\n"[..]].concat()).collect();
        assert_eq!(out, whole);
    }
}

#[test]
fn lines_are_chosen_by_their_job() {
    fn check(line: &str, jobs: &[&str], expected: bool) {
        let jobs: Vec<String> = jobs.iter().map(|&job| job.to_owned()).collect();
        assert_eq!(
            belongs_to_job(line.as_bytes(), &jobs),
            expected,
            "{line} {jobs:?}"
        );
    }
    check(r#"{"v":1,"job":"a","x":[]}"#, &[], true);
    check(r#"{"v":1,"job":"a","x":[]}"#, &["a"], true);
    check(r#"{"v":1,"job":"a","x":[]}"#, &["b", "a"], true);
    check(r#"{"v":1,"job":"a","x":[]}"#, &["b"], false);
    check(r#"{"job":"a\u0062\"\\"}"#, &["ab\"\\"], true);
    check(r#"{"job":null}"#, &["a"], false);
    check(r#"{"job":null}"#, &[], true);
    check("{}", &["a"], false);
}
