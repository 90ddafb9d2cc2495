//! The schema, which editors go by, says what the program says: it takes whatever the program takes
//! (see `parsed`), and refuses what it can.

use std::sync::OnceLock;

use serde_json::Value;

use super::deliverables::{SCHEMA, plain};
use super::*;

mod validator;

/// Whether the schema takes a text that the program can read.
pub(super) fn takes(text: &str) -> bool {
    static PARSED: OnceLock<Value> = OnceLock::new();
    let schema = PARSED.get_or_init(|| serde_json::from_str(SCHEMA).expect("the schema is JSON"));
    let Ok(tree) = json::read(text) else {
        return false;
    };
    validator::keys_seen(schema, schema, &plain(&tree)).is_some()
}

/// Both refuse it; the program says where.
fn both_refuse(text: &str, field: &str) {
    let told = problems(text);
    let named = |line: &String| line.contains(&format!(": {field}"));
    assert!(told.iter().any(named), "{field}: {told:?}: {text}");
    assert!(!takes(text), "the schema takes {text}");
}

#[test]
fn what_is_no_value_of_its_key_is_refused_by_both() {
    let cases: &[(&str, &str)] = &[
        ("name", r#""a b" "" "jöb""#),
        ("processing_state", r#""on" true"#),
        ("port", r#"0 65536 "443""#),
        ("tls", r#""yes""#),
        ("addressing", r#""dns""#),
        ("prefix", r#""/a" 7"#),
        ("source_path", r#""data" 7"#),
        ("recursive", "1"),
        ("interval", r#""0s" "999ms" "366d" "1 hour" 3600"#),
        ("settle", r#""366d" "1w" 10"#),
        ("order", r#""oldset""#),
        ("windows", r#"["22-6"] ["24:00-06:00"] "22:00-06:00""#),
        ("windows_override", r#"{"source_free_below": "5%"} {}"#),
        (
            "prune",
            r#"{} {"keep_free": "5"} {"keep_free": 0} {"keep_free": "0%"} {"keep_free": "100%"}"#,
        ),
        ("after_upload", r#""move" {} {"move_to": "sent"}"#),
        ("device_address", r#""Bypass""#),
        ("proxy", r#""proxy:3128" "ftp://proxy" """#),
        ("endpoint_options", r#"{"dual_stack": 1} {"ipv6": true}"#),
        ("access_key", r#""a b" """#),
        ("secret_key", r#""hush hush" """#),
        ("session_token", r#""é""#),
        (
            "tls_options",
            r#"{"client_key": "/k"} {"client_certificate": "/c"} {"built_in_roots": false} {"ca_file": "ca"}"#,
        ),
        ("time_zone", r#""UTC+1""#),
        ("state_copy", r#"{} {"dir": "/c", "interval": "0s"}"#),
        (
            "log",
            r#"{"level": "all"} {"max_size": "4KB"} {"max_size": 4095} {"max_size": "3KiB"} {"files": 0} {"files": 101}"#,
        ),
        ("history", r#"{"max_size": "4095 B"} {"shown": 1}"#),
        ("events", r#"{"shown": 0}"#),
        ("jobs", "[]"),
        ("placeholders", r#"{"a b": "1"} {"filename": "1"}"#),
    ];
    for (key, values) in cases {
        let values = serde_json::Deserializer::from_str(values).into_iter::<Value>();
        for value in values {
            let text = with(&format!("\"{key}\": {}", value.expect(key)));
            // What stands twice is refused for that; the first one is the job's own.
            let text = match *key {
                "source_path" => text.replacen("\"source_path\": \"/data\",", "", 1),
                _ => text,
            };
            both_refuse(&text, key);
        }
    }
}

#[test]
fn what_is_no_value_of_a_key_in_an_object_is_refused_by_both() {
    let cases: &[(&str, &str)] = &[
        (
            "transfer",
            r#"{"multipart_threshold": "6GiB"} {"multipart_threshold": 5368709121} {"part_size": "4MiB"}
            {"part_size": 5242879} {"part_size": "5MB"} {"part_size": "1TB"} {"payload": "none"} {"checksum": "md5"}
            {"verify": true} {"bandwidth_limit": "0"} {"bandwidth_limit": "1KB/s"} {"bandwidth_limit": 1000}
            {"minimum_rate": "1KiB"} {"parts": 3}"#,
        ),
        (
            "object",
            r#"{"storage_class": "COLD"} {"server_side_encryption": "aes"} {"kms_key_id": "k"} {"bucket_key": true}
            {"server_side_encryption": "AES256", "kms_key_id": "k"} {"server_side_encryption": "aws:kms:dsse", "bucket_key": false}
            {"tags": {"": "a"}} {"tags": {"aws:a": "b"}} {"metadata": {"x-amz-meta-a": "b"}} {"metadata": {"s3ferry-a": "b"}}
            {"metadata": {"a": "b  c"}} {"content_type": "zip"} {"cache_control": ""} {"acl": "open"}
            {"expected_bucket_owner": "12345"} {"if_exists": "replace"}"#,
        ),
        (
            "object.object_lock",
            r#"{"mode": "governance"} {"retain_for": "1d"} {"mode": "COMPLIANCE", "retain_for": "1d"}
            {"mode": "governance", "retain_for": "59s"} {"mode": "governance", "retain_until": "tomorrow"}
            {"mode": "governance", "retain_until": "2031-13-01"} {"mode": "governance", "retain_until": "2031-12-31T12:00"}
            {"mode": "governance", "retain_for": "1d", "retain_until": "2031-12-31"} {"legal_hold": "on"}"#,
        ),
        (
            "credentials",
            r#"{} {"access_key": "AK"} {"provider": "sso"} {"provider": "environment", "access_key": "AK"}
            {"provider": "profile", "token_file": "/t"} {"provider": "profile", "config_file": "config"}
            {"provider": "process"} {"provider": "process", "command": []} {"provider": "process", "command": "/x", "timeout": "11m"}
            {"provider": "assume_role"} {"provider": "assume_role", "role_arn": "s3ferry"}
            {"provider": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/r", "duration": "14m"}
            {"provider": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/r", "session_name": "a/b"}
            {"provider": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/r", "region": "here"}
            {"provider": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/r", "source": {"provider": "iot"}}
            {"provider": "web_identity", "external_id": "x"} {"provider": "container", "endpoint": "http://a"}
            {"provider": "iot"} {"provider": "iot", "endpoint": "https://a", "role_alias": "a", "certificate": "/c"}
            {"provider": "systemd", "ca_file": "/c"}"#,
        ),
    ];
    for (place, values) in cases {
        let values = serde_json::Deserializer::from_str(values).into_iter::<Value>();
        for value in values {
            let value = value.expect(place);
            let text = match place.split_once('.') {
                Some((outer, inner)) => format!("\"{outer}\": {{\"{inner}\": {value}}}"),
                None => format!("\"{place}\": {value}"),
            };
            both_refuse(&with(&text), place);
        }
    }
}

#[test]
fn keys_that_exclude_each_other_are_refused_by_both() {
    let keys = r#""credentials": {"access_key": "AK", "secret_key": "hush"}"#;
    let sse = r#""object": {"server_side_encryption": "AES256", "customer_key": "12345678901234567890123456789012"}"#;
    let cases = [
        (with(r#""access_key": "AK""#), "secret_key"),
        (with(r#""secret_key": "hush""#), "access_key"),
        (with(r#""session_token": "t""#), "access_key"),
        (with(r#""endpoint": "https://minio""#), "endpoint"),
        (
            with(&format!(r#"{keys}, "access_key": "AK""#)),
            "access_key",
        ),
        (with(sse), "object.customer_key"),
        (
            with(r#""prune": {"keep_free": "5%"}, "after_upload": "delete""#),
            "prune",
        ),
        (
            with(r#""windows": [], "windows_override": {"source_free_below": "5%"}"#),
            "windows_override",
        ),
        (with(r#""jobs": [{"host": "a"}]"#), "host"),
        ("{\"source_path\": \"/data\"}".to_owned(), ""),
        (format!("{{\"host\": \"{HOST}\"}}"), "source_path"),
        (with("\"intervall\": \"1h\""), "intervall"),
        (
            format!(
                "{{\"jobs\": [{{\"host\": \"{HOST}\", \"source_path\": \"/data\", \"intervall\": 1}}]}}"
            ),
            "jobs[0].intervall",
        ),
    ];
    for (text, field) in cases {
        both_refuse(&text, field);
    }
}

#[test]
fn what_is_at_the_edge_of_a_range_is_taken_by_both() {
    let cases: &[(&str, &str)] = &[
        (
            "interval",
            r#""1000ms" "1s" "01 h" "31536000s" "525600m" "8760h" "365d" " 1d ""#,
        ),
        ("settle", r#""0s" "0d" "365d" "31536000000ms" "00s""#),
        (
            "log",
            r#"{"max_size": "4096"} {"max_size": 4096} {"max_size": "4096 B"} {"max_size": "5KB"} {"max_size": "4 KiB"} {"max_size": "1MB"}"#,
        ),
        (
            "prune",
            r#"{"keep_free": "1%"} {"keep_free": " 99 % "} {"keep_free": "1B"} {"keep_free": 1} {"keep_free": "10TiB"}"#,
        ),
        (
            "transfer",
            r#"{"multipart_threshold": 0} {"multipart_threshold": "0"} {"multipart_threshold": "0TiB"} {"multipart_threshold": "5GiB"}
            {"multipart_threshold": "5368709120"} {"multipart_threshold": "5368MB"} {"part_size": "5242880"} {"part_size": "5MiB"}
            {"part_size": "6MB"} {"part_size": "5GiB"} {"part_size": "5120KiB"} {"part_size": "5368709120B"} {"part_size": 5368709120}
            {"bandwidth_limit": "1KiB/s", "minimum_rate": 0} {"bandwidth_limit": "2 KB /s"} {"bandwidth_limit": "1025B/s"} {"minimum_rate": "0"}"#,
        ),
        (
            "object",
            r#"{"object_lock": {"mode": "governance", "retain_for": "1m"}} {"object_lock": {"mode": "governance", "retain_for": "60s"}}
            {"object_lock": {"mode": "governance", "retain_for": "60000ms"}} {"object_lock": {"mode": "governance", "retain_for": "36500d"}}
            {"object_lock": {"mode": "governance", "retain_until": "2031-12-31"}}
            {"object_lock": {"mode": "governance", "retain_until": "2031-12-31T23:59:59.5+01:00"}}
            {"object_lock": {"legal_hold": true}} {"content_type": "text/plain; charset=utf-8"} {"content_type": "text/plain ;a=b"}
            {"metadata": {"a": "b c"}} {"server_side_encryption": "aws:kms", "bucket_key": false, "kms_key_id": "alias/a"}"#,
        ),
        (
            "credentials",
            r#"{"provider": null, "access_key": "AK", "secret_key": {"env": "SECRET"}} {"provider": "environment", "access_key": null}
            {"provider": "process", "command": "/x", "timeout": "1s"} {"provider": "process", "command": "/x", "timeout": "10m"}
            {"provider": "process", "command": "/x", "timeout": "600s"} {"provider": "process", "command": "/x", "timeout": "600000ms"}
            {"provider": "web_identity", "duration": "15m"} {"provider": "web_identity", "duration": "12h"}
            {"provider": "web_identity", "duration": "43200s"} {"provider": "web_identity", "duration": "900000ms"}
            {"provider": "web_identity", "sts_endpoint": "HTTP://sts", "role_arn": "arn:minio:iam:::role/a"}
            {"provider": "systemd"} {"provider": "systemd", "access_key": "a key"}"#,
        ),
        (
            "proxy",
            r#""environment" "bypass" "socks5h://proxy:1080" "HTTPS://u:p@proxy" {"env": "PROXY"}"#,
        ),
        (
            "tls_options",
            r#"{"ca_file": "/ca", "built_in_roots": false} {"client_certificate": null, "client_key": null}"#,
        ),
        ("windows", r#"["00:00-24:00"] []"#),
        ("name", r#""a.b_c-1""#),
    ];
    for (key, values) in cases {
        let values = serde_json::Deserializer::from_str(values).into_iter::<Value>();
        for value in values {
            job_of(&with(&format!("\"{key}\": {}", value.expect(key))));
        }
    }
}
