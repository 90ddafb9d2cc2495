//! What arrives is what was sent: bytes, keys, and what the configuration says of an object.

use serde_json::{Value, json};

use crate::bucket::Bucket;
use crate::support::agent::Agent;
use crate::support::files::Content;
use crate::weed::Weed;

fn agent(endpoint: &str, bucket: &Bucket) -> Agent {
    Agent::with_endpoint(endpoint).with_job(json!({ "bucket": bucket.name }))
}

/// 12 MiB and a byte: above the threshold, in three parts.
const LARGE: u64 = (12 << 20) + 1;

fn in_parts() -> Value {
    json!({ "multipart_threshold": "8MiB", "part_size": "5MiB" })
}

/// A file for each way to upload, up and back.
fn carry_small_and_large(agent: &Agent, bucket: &Bucket) {
    let small = agent.write_file("small.bin", 100_000, 1);
    let large = agent.write_file("large.bin", LARGE, 2);
    let empty = agent.write_file("empty", 0, 3);
    agent.once().expect_code(0);
    for (key, file) in [("small.bin", small), ("large.bin", large), ("empty", empty)] {
        assert!(bucket.has_same(key, &file), "{key}");
    }
    let mut parts: Vec<_> = agent.history().iter().map(|e| e["parts"].clone()).collect();
    parts.sort_by_key(|parts| parts.as_u64());
    assert_eq!(parts.last(), Some(&json!(3)), "{:?}", agent.history());
    assert_eq!((parts.len(), bucket.open_uploads()), (3, 0));
}

#[test]
fn small_and_large_files_arrive_over_http() {
    let Some(weed) = Weed::shared() else { return };
    let bucket = weed.bucket("http");
    let agent = agent(&weed.http(), &bucket).with_job(json!({ "transfer": in_parts() }));
    carry_small_and_large(&agent, &bucket);
}

#[test]
fn small_and_large_files_arrive_over_tls_with_a_ca_of_ones_own() {
    let Some(weed) = Weed::shared() else { return };
    let bucket = weed.bucket("tls");
    let agent = agent(&weed.https(), &bucket).with_job(json!({
        "transfer": in_parts(),
        "tls_options": { "ca_file": weed.ca_file() },
    }));
    carry_small_and_large(&agent, &bucket);
}

#[test]
fn every_object_is_looked_at_again_when_verify_says_always() {
    let Some(weed) = Weed::shared() else { return };
    let bucket = weed.bucket("verify");
    let mut transfer = in_parts();
    transfer["verify"] = json!("always");
    let agent = agent(&weed.http(), &bucket).with_job(json!({ "transfer": transfer }));
    carry_small_and_large(&agent, &bucket);
}

#[test]
fn a_name_of_any_characters_is_its_own_key() {
    let Some(weed) = Weed::shared() else { return };
    let bucket = weed.bucket("keys");
    let printable = || (' '..='~').filter(|&c| c != '/');
    let mut names: Vec<String> = printable().map(|c| format!("x{c}y")).collect();
    names.push(printable().collect());
    let others = [
        " lead and trail ",
        "%41%2F+%20",
        "folder of its own/a b/c+d&e=f?g#h",
        "写真.jpg",
        "한글",
        "ünïcödé",
        "🚢📦.bin",
        "...",
    ];
    names.extend(others.map(str::to_owned));

    let agent = agent(&weed.http(), &bucket).with_job(json!({ "recursive": true }));
    for (seed, name) in names.iter().enumerate() {
        agent.write_file(name, 100, seed as u64);
    }
    agent.once().expect_code(0);
    for (seed, name) in names.iter().enumerate() {
        let content = Content::new(100, seed as u64).bytes();
        assert_eq!(bucket.get(name), content, "`{name}`");
    }
    assert_eq!(bucket.keys().len(), names.len());
}

#[test]
fn class_tags_metadata_type_and_encryption_arrive() {
    let Some(weed) = Weed::shared() else { return };
    let bucket = weed.bucket("headers");
    let agent = agent(&weed.http(), &bucket).with_job(json!({
        "transfer": in_parts(),
        "object": {
            "storage_class": "STANDARD_IA",
            "server_side_encryption": "AES256",
            "tags": { "site": "7 north", "kind": "backup+full" },
            "metadata": { "recorder": "unit-12" },
            "content_type": "application/x-backup",
        },
    }));
    let small = agent.write_file("small.bin", 1000, 1);
    let large = agent.write_file("large.bin", LARGE, 2);
    agent.once().expect_code(0);
    for (key, file) in [("small.bin", small), ("large.bin", large)] {
        let head = bucket.head(key);
        let expected = [
            ("content-type", "application/x-backup"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-tagging-count", "2"),
            ("x-amz-meta-recorder", "unit-12"),
        ];
        for (name, value) in expected {
            assert_eq!(head.get(name), Some(value), "{key}: {head:?}");
        }
        assert!(bucket.has_same(key, &file), "{key}");
    }
}

#[test]
fn the_type_is_told_from_the_extension() {
    let Some(weed) = Weed::shared() else { return };
    let bucket = weed.bucket("types");
    let agent = agent(&weed.http(), &bucket);
    agent.write_file("a.json", 10, 1);
    agent.once().expect_code(0);
    let head = bucket.head("a.json");
    assert_eq!(head.get("content-type"), Some("application/json"));
}

#[test]
fn check_writes_a_test_object_and_removes_it() {
    let Some(weed) = Weed::shared() else { return };
    let bucket = weed.bucket("check");
    let checked = agent(&weed.http(), &bucket).run(&["check"]).expect_code(0);
    assert!(checked.stdout.contains("removed again"), "{checked:#?}");
    assert_eq!(bucket.keys().len(), 0);
}
