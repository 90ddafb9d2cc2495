//! Every value that is wrong in its own way, and every one that is right.

use std::time::Duration;

use super::*;
use crate::naming::Template;
use crate::source::filter::Filter;

#[test]
fn a_wrong_setting_is_told_with_its_cure() {
    let cases: &[(&str, &[&str])] = &[
        (
            "\"log\": §1",
            &["§: log: expected an object, found the number `1`"],
        ),
        (
            "\"log\": {\"level\": §\"inof\"}",
            &["§: log.level: `inof` is not known here; did you mean `info`?"],
        ),
        (
            "\"log\": {\"level\": §\"verbose\"}",
            &[
                "§: log.level: `verbose` is not known here; use `error`, `warn`, `info`, `debug`, `trace` or `off`",
            ],
        ),
        (
            "\"log\": {\"file\": §\"a.log\"}",
            &["§: log.file: `a.log` is not an absolute path; begin it with `/`"],
        ),
        (
            "\"log\": {\"max_size\": §4095}",
            &["§: log.max_size: `4095` is out of range; give 4KiB or more"],
        ),
        (
            "\"history\": {\"files\": §0}",
            &["§: history.files: `0` is out of range; give 1 to 100"],
        ),
        (
            "\"events\": {\"files\": §101}",
            &["§: events.files: `101` is out of range; give 1 to 100"],
        ),
        (
            "\"events\": {\"shown\": §0}",
            &["§: events.shown: `0` is out of range; give 1 or more"],
        ),
        (
            "\"events\": {\"shown\": §1.5}",
            &["§: events.shown: `1.5` is out of range; give 1 or more"],
        ),
        (
            "\"events\": {\"shown\": §\"1\"}",
            &["§: events.shown: expected a whole number, 1 or more, found the string `1`"],
        ),
        (
            "\"history\": {\"max_size\": §\"1M\"}",
            &[
                "§: history.max_size: `1M` has an unknown unit; use `B`, `KB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB` or `TiB`, for example `64MiB`",
            ],
        ),
        (
            "\"history\": {\"max_size\": §true}",
            &["§: history.max_size: expected a size like `\"64MiB\"`, found `true`"],
        ),
        (
            "\"history\": {\"shown\": 1}",
            &["2:13: history.shown: unknown key `shown`; known here: `max_size` or `files`"],
        ),
        (
            "\"time_zone\": §1",
            &["§: time_zone: expected `utc` or `local`, found the number `1`"],
        ),
        (
            "\"placeholders\": §[]",
            &["§: placeholders: expected an object, found an array"],
        ),
        (
            "\"placeholders\": {\"a\": §17}",
            &[
                "§: placeholders.a: expected a string, `{\"env\": \"NAME\"}` or `{\"file\": \"/path\"}`, found the number `17`; put it in double quotes",
            ],
        ),
        (
            "\"placeholders\": {\"a b\": \"\"}",
            &[
                "2:25: placeholders[\"a b\"]: the name stands in `<…>`; use letters, digits, `_` and `-`",
            ],
        ),
        (
            "\"placeholders\": {\"size\": §\"1\"}",
            &[
                "§: placeholders.size: `<size>` is built in and means the file at hand; choose another name",
            ],
        ),
        // One mistake, although the template needs the placeholder.
        (
            "\"placeholders\": {\"a\": {\"env\": §\"UNSET\"}}, \"change_filename\": \"<a>\"",
            &[
                "§: placeholders.a.env: the environment variable `UNSET` is not set or empty; set it for the service",
            ],
        ),
    ];
    for (fields, expected) in cases {
        check(&with(fields), expected);
    }
}

#[test]
fn a_wrong_field_of_a_job_is_told_with_its_cure() {
    let cases: &[(&str, &[&str])] = &[
        (
            "\"name\": §\"..\"",
            &["§: name: `..` is not a job's name; use 1 to 64 letters, digits, `.`, `_` and `-`"],
        ),
        (
            "\"name\": §\"\"",
            &["§: name: `` is not a job's name; use 1 to 64 letters, digits, `.`, `_` and `-`"],
        ),
        (
            "\"processing_state\": §true",
            &["§: processing_state: expected `enabled` or `disabled`, found `true`"],
        ),
        (
            "\"processing_state\": §\"enable\"",
            &["§: processing_state: `enable` is not known here; did you mean `enabled`?"],
        ),
        (
            "\"prefix\": §\"/a\"",
            &["§: prefix: `/a` begins with `/`; leave it out, keys have none"],
        ),
        (
            "\"prefix\": §\"a/../b\"",
            &["§: prefix: `a/../b` has a segment `.` or `..`; leave it out, keys are no paths"],
        ),
        (
            "\"prefix\": §\"a\\nb\"",
            &["§: prefix: `a\\nb` holds a line break or another control character; remove it"],
        ),
        (
            "\"recursive\": §\"yes\"",
            &["§: recursive: expected `true` or `false`, found the string `yes`"],
        ),
        (
            "\"filter\": §1",
            &["§: filter: expected a string, found the number `1`; put it in double quotes"],
        ),
        (
            "\"interval\": §3600",
            &["§: interval: expected a duration like `\"1h\"`, found the number `3600`"],
        ),
        (
            "\"interval\": §\"3600\"",
            &["§: interval: `3600` is not a duration; write for example `1h`"],
        ),
        (
            "\"interval\": §\"999ms\"",
            &["§: interval: `999ms` is out of range; give 1s to 365d"],
        ),
        (
            "\"interval\": §\"366d\"",
            &["§: interval: `366d` is out of range; give 1s to 365d"],
        ),
        (
            "\"settle\": §\"366d\"",
            &["§: settle: `366d` is out of range; give 0s to 365d"],
        ),
        (
            "\"order\": §\"random\"",
            &["§: order: `random` is not known here; use `oldest`, `newest`, `name` or `smallest`"],
        ),
        (
            "\"windows\": §\"22:00-06:00\"",
            &["§: windows: expected an array, found the string `22:00-06:00`"],
        ),
        (
            "\"windows\": [\"22-6\", \"24:00-06:00\", 1]",
            &[
                "2:13: windows[0]: `22-6` is no window; write it like `22:00-06:00`",
                "2:21: windows[1]: `24:00-06:00` is no window; write it like `22:00-06:00`",
                "2:36: windows[2]: expected a string, found the number `1`; put it in double quotes",
            ],
        ),
        (
            "\"windows\": [\"22:60-06:00\", \"22:00-24:01\", \"+2:00-06:00\"]",
            &[
                "2:13: windows[0]: `22:60-06:00` is no window; write it like `22:00-06:00`",
                "2:28: windows[1]: `22:00-24:01` is no window; write it like `22:00-06:00`",
                "2:43: windows[2]: `+2:00-06:00` is no window; write it like `22:00-06:00`",
            ],
        ),
        (
            "\"after_upload\": §\"remove\"",
            &[
                "§: after_upload: `remove` is not known here; use `keep`, `delete` or `{\"move_to\": \"/path\"}`",
            ],
        ),
        (
            "\"after_upload\": §\"move\"",
            &["§: after_upload: `move` needs a folder; write `{\"move_to\": \"/path\"}`"],
        ),
        (
            "\"after_upload\": §\"/data/sent\"",
            &[
                "§: after_upload: `/data/sent` is a path; write `{\"move_to\": \"/path\"}` to move sent files there",
            ],
        ),
        (
            "\"after_upload\": §\"keeep\"",
            &["§: after_upload: `keeep` is not known here; did you mean `keep`?"],
        ),
        (
            "\"after_upload\": §1",
            &[
                "§: after_upload: expected `keep`, `delete` or `{\"move_to\": \"/path\"}`, found the number `1`",
            ],
        ),
        (
            "\"after_upload\": {}",
            &["2:17: after_upload.move_to: is missing; name the folder that takes the files"],
        ),
        (
            "\"after_upload\": {\"moveTo\": \"/x\"}",
            &[
                "2:17: after_upload.move_to: is missing; name the folder that takes the files",
                "2:18: after_upload.moveTo: unknown key `moveTo`; did you mean `move_to`?",
            ],
        ),
        (
            "\"after_upload\": {\"move_to\": §\"sent\"}",
            &["§: after_upload.move_to: `sent` is not an absolute path; begin it with `/`"],
        ),
        (
            "\"after_upload\": {\"move_to\": §\"/x/../data/\"}",
            &["§: after_upload.move_to: `/x/../data/` is the source folder; name another one"],
        ),
        (
            "\"recursive\": true, \"after_upload\": {\"move_to\": §\"/data/sent\"}",
            &[
                "§: after_upload.move_to: `/data/sent` lies in the source folder, which is recursive; name one outside of it",
            ],
        ),
        (
            "\"tls_options\": {\"ca_file\": §\"ca.pem\"}",
            &["§: tls_options.ca_file: `ca.pem` is not an absolute path; begin it with `/`"],
        ),
        (
            "\"tls_options\": {\"client_key\": \"/k\"}",
            &[
                "2:16: tls_options.client_certificate: is missing; give the certificate and its key, or neither",
            ],
        ),
        (
            "\"tls_options\": {\"client_certificate\": \"/c\"}",
            &[
                "2:16: tls_options.client_key: is missing; give the certificate and its key, or neither",
            ],
        ),
        (
            "\"tls_options\": {\"built_in_roots\": §false}",
            &[
                "§: tls_options.built_in_roots: `false` leaves no CA to trust; give `ca_file`, or leave it out",
            ],
        ),
        (
            "\"tls\": false, \"tls_options\": §{\"ca_file\": \"/ca\"}",
            &["§: tls_options: has no effect on plain HTTP; use TLS, or leave it out"],
        ),
    ];
    for (fields, expected) in cases {
        check(&with(fields), expected);
    }
    check(
        &format!("{{\"host\": \"{HOST}\", \"source_path\": \"data\\u0000\"}}"),
        &["1:64: source_path: `data\\0` holds a NUL character; remove it"],
    );
}

#[test]
fn a_wrong_pattern_or_template_is_told_at_its_own_character() {
    let none = std::collections::BTreeMap::new();
    let filter = Filter::new(r"a\.(?>b)").expect_err("it has an atomic group");
    let template = &Template::parse("A<nope>", &none).expect_err("nothing has that name")[0];
    // Four characters into the pattern, five into the text, for the doubled backslash.
    check(
        r#"{"host": "mybucket.s3.eu-west-2.amazonaws.com", "source_path": "/data", "filter": "a\\.§(?>b)"}"#,
        &[&format!(
            r"§: filter: `a\.(?>b)`: {}; {}",
            filter.message, filter.help
        )],
    );
    check(
        r#"{"host": "mybucket.s3.eu-west-2.amazonaws.com", "source_path": "/data", "change_filename": "\u0041§<nope>"}"#,
        &[&format!(
            "§: change_filename: `A<nope>`: {}; {}",
            template.message, template.help
        )],
    );
}

#[test]
fn right_values_arrive_as_they_are_meant() {
    let job = job_of(&with(
        r#""name": "a.b_c-1", "processing_state": "disabled", "prefix": "site-7/",
        "recursive": true, "follow_symlinks": true, "filter": "x", "change_filename": "<filename>",
        "interval": "365d", "settle": "0s", "order": "smallest",
        "windows": ["22:00-06:00", "00:00-24:00", "12:30-12:30"],
        "after_upload": {"move_to": "/sent"},
        "tls_options": {"ca_file": "/ca", "built_in_roots": true, "client_certificate": "/c", "client_key": "/k"},
        "object": {"storage_class": "GLACIER_IR", "server_side_encryption": "aws:kms:dsse", "kms_key_id": "alias/k",
            "tags": {"site é": "7"}, "metadata": {"Origin": "a b"}, "content_type": "text/plain; charset=utf-8",
            "cache_control": "max-age=60, private", "acl": "bucket-owner-full-control",
            "object_lock": {"mode": "governance", "retain_for": "30d", "legal_hold": true},
            "expected_bucket_owner": "123456789012", "if_exists": "rename"},
        "transfer": {"multipart_threshold": 0, "part_size": "5MiB", "payload": "unsigned", "checksum": "sha256",
            "verify": "never", "bandwidth_limit": 2048, "minimum_rate": 0}"#,
    ));
    assert_eq!(job.name, "a.b_c-1");
    assert!(!job.enabled && job.recursive && job.follow_symlinks);
    assert!(job.filter.is_some() && job.change_filename.is_some());
    assert_eq!(
        (job.interval, job.settle),
        (Duration::from_secs(365 * 86_400), Duration::ZERO)
    );
    assert_eq!(
        (job.prefix.as_str(), job.order),
        ("site-7/", Order::Smallest)
    );
    let windows: Vec<_> = job
        .windows
        .iter()
        .map(|window| (window.from, window.to))
        .collect();
    assert_eq!(windows, [(1320, 360), (0, 1440), (750, 750)]);
    assert_eq!(job.after_upload, AfterUpload::MoveTo("/sent".into()));
    assert_eq!(job.tls.client_key.as_deref(), Some(Path::new("/k")));
    assert_eq!(job.tls.built_in_roots, Some(true));
    assert_eq!(
        format!("{:?}", job.object),
        "ObjectOptions { storage_class: Some(\"GLACIER_IR\"), server_side_encryption: Some(\"aws:kms:dsse\"), \
         kms_key_id: Some(\"alias/k\"), bucket_key: None, customer_key: None, tags: {\"site é\": \"7\"}, metadata: {\"origin\": \"a b\"}, \
         content_type: Some(\"text/plain; charset=utf-8\"), cache_control: Some(\"max-age=60, private\"), \
         acl: Some(\"bucket-owner-full-control\"), object_lock: ObjectLock { retention: Some(Retention { \
         mode: Governance, until: For(2592000s) }), legal_hold: true }, \
         expected_bucket_owner: Some(\"123456789012\"), if_exists: Rename }"
    );
    let transfer = TransferOptions {
        multipart_threshold: 0,
        part_size: Some(5 << 20),
        signed_payload: false,
        checksum: Some(ChecksumAlgorithm::Sha256),
        verify: Verify::Never,
        bandwidth_limit: Some(2048),
        minimum_rate: 0,
    };
    assert_eq!(job.transfer, transfer);
}

#[test]
fn settings_arrive_as_they_are_meant() {
    let config = parsed(&with(
        r#""state_dir": "/s", "time_zone": "local", "log": {"level": "off", "file": "/l", "max_size": 4096, "files": 1},
        "history": {"max_size": "2MiB", "files": 100}, "events": {"max_size": "4KiB", "files": 2, "shown": 7},
        "placeholders": {"dmaId": {"env": "BUCKET"}, "elementId": "204"}, "change_filename": "<dmaId>_<elementId>""#,
    ))
    .expect("it is right");
    assert_eq!(config.state_dir, Path::new("/s"));
    assert_eq!(config.time_zone, TimeZone::Local);
    assert_eq!(
        (config.log.level, config.log.file),
        (log::LevelFilter::Off, Some("/l".into()))
    );
    assert_eq!(
        config.log.rotation,
        Rotation {
            max_size: 4096,
            files: 1
        }
    );
    assert_eq!(
        config.history,
        Rotation {
            max_size: 2 << 20,
            files: 100
        }
    );
    assert_eq!(
        (config.events, config.events_shown),
        (
            Rotation {
                max_size: 4096,
                files: 2
            },
            7
        )
    );
}
