//! What an object is, read back with aws-cli: its protection, its checksums, and what `if_exists`
//! leaves of it. On SeaweedFS over TLS; most of it on LocalStack, too.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::aws_cli::AwsCli;
use crate::bucket::Bucket;
use crate::support::agent::Agent;
use crate::support::files::Content;
use crate::weed::Weed;

/// 12 MiB and a byte: above the threshold, in three parts.
const LARGE: u64 = (12 << 20) + 1;
const SMALL: u64 = 1000;

/// A server to run against.
pub struct Place {
    pub endpoint: String,
    /// Where it speaks TLS.
    pub ca_file: Option<PathBuf>,
}

impl Place {
    pub fn weed() -> Option<Place> {
        let weed = Weed::shared()?;
        Some(Place {
            endpoint: weed.https(),
            ca_file: Some(weed.ca_file()),
        })
    }

    pub fn bucket(&self, name: &str) -> Bucket {
        Bucket::new(&self.endpoint, name).trusting(self.ca_file.as_deref())
    }
}

pub fn agent(place: &Place, bucket: &Bucket, job: Value) -> Agent {
    let tls = place
        .ca_file
        .as_ref()
        .map(|path| json!({ "ca_file": path }));
    Agent::with_endpoint(&place.endpoint)
        .with_job(json!({
            "bucket": bucket.name,
            "tls_options": tls,
            "transfer": { "multipart_threshold": "8MiB", "part_size": "5MiB" },
        }))
        .with_job(job)
}

pub fn write_files(agent: &Agent) {
    agent.write_file("small.bin", SMALL, 1);
    agent.write_file("large.bin", LARGE, 2);
}

/// The two files by key, with what their objects must hold.
pub fn expected() -> [(&'static str, Vec<u8>); 2] {
    [("small.bin", SMALL, 1), ("large.bin", LARGE, 2)]
        .map(|(key, size, seed)| (key, Content::new(size, seed).bytes()))
}

pub fn history_of(agent: &Agent, key: &str) -> Value {
    let mut history = agent.history().into_iter();
    history.find(|entry| entry["key"] == key).unwrap()
}

#[test]
fn aws_cli_reads_class_tags_metadata_encryption_and_cache_control() {
    let Some(place) = Place::weed() else { return };
    let bucket = place.bucket("properties");
    let Some(aws) = AwsCli::on(&place, &bucket.name) else {
        return;
    };
    aws.create_bucket(&[]);
    let agent = agent(
        &place,
        &bucket,
        json!({ "object": {
            "storage_class": "STANDARD_IA",
            "server_side_encryption": "AES256",
            "tags": { "site": "7 north", "kind": "backup+full" },
            "metadata": { "recorder": "unit-12", "recorder-site": "north" },
            "content_type": "application/x-backup",
            "cache_control": "max-age=60, private",
        } }),
    );
    write_files(&agent);
    agent.once().expect_code(0);
    for (key, _) in expected() {
        let head = aws.ask("head-object", &["--key", key]);
        assert_eq!(head["StorageClass"], "STANDARD_IA", "{head}");
        assert_eq!(head["ServerSideEncryption"], "AES256", "{head}");
        assert_eq!(head["ContentType"], "application/x-backup", "{head}");
        assert_eq!(head["CacheControl"], "max-age=60, private", "{head}");
        assert_eq!(head["Metadata"]["recorder"], "unit-12", "{head}");
        assert_eq!(head["Metadata"]["recorder-site"], "north", "{head}");
        let tags = aws.ask("get-object-tagging", &["--key", key]);
        let mut tags = tags["TagSet"].as_array().unwrap().clone();
        tags.sort_by_key(|tag| tag["Key"].to_string());
        let expected = json!([
            { "Key": "kind", "Value": "backup+full" },
            { "Key": "site", "Value": "7 north" },
        ]);
        assert_eq!(json!(tags), expected);
    }
}

#[test]
fn the_server_agrees_with_every_checksum_and_aws_cli_with_the_server() {
    let Some(place) = Place::weed() else { return };
    checksums_agree(&place);
}

pub fn checksums_agree(place: &Place) {
    let bucket = place.bucket("checksums");
    let Some(aws) = AwsCli::on(place, &bucket.name) else {
        return;
    };
    aws.create_bucket(&[]);
    // Unsigned, the checksum is the only proof; that needs TLS.
    let payload = place.ca_file.as_ref().map_or("signed", |_| "unsigned");
    for (algorithm, field, whole) in [
        ("crc32", "ChecksumCRC32", true),
        ("crc32c", "ChecksumCRC32C", true),
        ("crc64nvme", "ChecksumCRC64NVME", true),
        ("sha256", "ChecksumSHA256", false),
    ] {
        let agent = agent(
            place,
            &bucket,
            json!({
                "prefix": format!("{algorithm}/"),
                "transfer": { "checksum": algorithm, "payload": payload, "verify": "always" },
            }),
        );
        write_files(&agent);
        agent.once().expect_code(0);
        let to = agent.folder().join("downloaded");
        for (name, content) in expected() {
            let key = format!("{algorithm}/{name}");
            let got = aws.get(&key, &to, &[]);
            assert!(std::fs::read(&to).unwrap() == content, "{key}");
            let stored = got[field]
                .as_str()
                .unwrap_or_else(|| panic!("{key}: {got}"));
            let recorded = history_of(&agent, &key);
            if payload == "unsigned" || name == "large.bin" {
                let expected = format!("{algorithm}:{stored}");
                assert_eq!(recorded["checksum"], expected, "{got}");
            }
            let composite = !whole && name == "large.bin";
            assert_eq!(stored.contains("-3"), composite, "{got}");
        }
    }
}

#[test]
fn a_lost_state_sends_nothing_twice_whatever_shows_that_the_bytes_are_the_same() {
    let Some(place) = Place::weed() else { return };
    a_lost_state_sends_nothing_twice(&place);
}

pub fn a_lost_state_sends_nothing_twice(place: &Place) {
    for (mode, checksum) in [
        ("skip", "none"),
        ("fail", "crc64nvme"),
        ("rename", "sha256"),
    ] {
        let bucket = place.bucket(&format!("state-{mode}"));
        bucket.create();
        let job = json!({
            "object": { "if_exists": mode },
            "transfer": { "checksum": checksum },
        });
        let agent = agent(place, &bucket, job);
        write_files(&agent);
        agent.once().expect_code(0);
        std::fs::remove_dir_all(agent.state()).unwrap();
        let agent = agent.with_job(json!({ "after_upload": "delete" }));
        agent.once().expect_code(0);
        assert_eq!(bucket.keys().len(), 2, "{mode}");
        for (name, _) in expected() {
            assert!(!agent.source_file(name).exists(), "{mode} {name}");
            let entry = history_of(&agent, name);
            assert_eq!(entry["resumed_bytes"], entry["size"], "{mode}: {entry}");
        }
    }
}

#[test]
fn a_checksum_that_the_store_keeps_shows_the_same_bytes_of_somebody_elses_object() {
    let Some(place) = Place::weed() else { return };
    somebody_elses_object_counts_if_it_is_the_same(&place);
}

pub fn somebody_elses_object_counts_if_it_is_the_same(place: &Place) {
    let bucket = place.bucket("somebody-else");
    let Some(aws) = AwsCli::on(place, &bucket.name) else {
        return;
    };
    aws.create_bucket(&[]);
    let job = json!({ "object": { "if_exists": "skip" }, "after_upload": "delete" });
    let agent = agent(place, &bucket, job);
    let same = agent.write_file("same", SMALL, 1);
    let other = agent.write_file("other", SMALL, 2);
    for (key, algorithm) in [("same", "CRC32"), ("other", "SHA256")] {
        let arguments = ["--key", key, "--checksum-algorithm", algorithm, "--body"];
        let body = [same.to_str().unwrap()];
        aws.ask("put-object", &[&arguments[..], &body[..]].concat());
    }
    agent.once().expect_code(0);
    assert!(!same.exists() && other.exists());
    let checksum = history_of(&agent, "same")["checksum"].clone();
    assert!(
        checksum.as_str().unwrap().starts_with("crc32:"),
        "{checksum}"
    );
}

#[test]
fn an_object_that_is_there_is_left_alone_by_all_but_overwrite() {
    let Some(place) = Place::weed() else { return };
    what_is_there_is_left_alone(&place);
}

pub fn what_is_there_is_left_alone(place: &Place) {
    for (mode, code) in [("skip", 0), ("fail", 74), ("rename", 0), ("overwrite", 0)] {
        let bucket = place.bucket(&format!("exists-{mode}"));
        bucket.create();
        for (name, _) in expected() {
            assert!(bucket.try_put(name));
        }
        let job = json!({ "object": { "if_exists": mode }, "after_upload": "delete" });
        let agent = agent(place, &bucket, job);
        write_files(&agent);
        agent.once().expect_code(code);
        for (name, content) in expected() {
            let is_own = |key: &str| bucket.get(key) == content;
            let source = agent.source_file(name).exists();
            let sent = match mode {
                "rename" => is_own(&name.replace('.', "-1.")),
                _ => is_own(name),
            };
            let stays = matches!(mode, "skip" | "fail");
            assert_eq!((source, sent), (stays, !stays), "{mode} {name}");
            assert_eq!(bucket.get(name) == b"ready", mode != "overwrite", "{mode}");
        }
        assert_eq!(bucket.open_uploads(), 0, "{mode}");
    }
}

#[test]
fn a_locked_object_is_kept_until_its_day() {
    let Some(place) = Place::weed() else { return };
    a_locked_object_is_kept(&place);
}

pub fn a_locked_object_is_kept(place: &Place) {
    let bucket = place.bucket("locked");
    let Some(aws) = AwsCli::on(place, &bucket.name) else {
        return;
    };
    aws.create_bucket(&["--object-lock-enabled-for-bucket"]);
    let lock = json!({ "mode": "governance", "retain_until": "2090-12-31", "legal_hold": true });
    let agent = agent(place, &bucket, json!({ "object": { "object_lock": lock } }));
    write_files(&agent);
    agent.once().expect_code(0);
    for (name, content) in expected() {
        assert!(bucket.get(name) == content, "{name}");
        let retention = aws.ask("get-object-retention", &["--key", name]);
        let retention = &retention["Retention"];
        assert_eq!(retention["Mode"], "GOVERNANCE", "{name}: {retention}");
        let until = retention["RetainUntilDate"].as_str().unwrap();
        assert!(until.starts_with("2090-12-31T00:00:00"), "{name}: {until}");
        let hold = aws.ask("get-object-legal-hold", &["--key", name]);
        assert_eq!(hold["LegalHold"]["Status"], "ON", "{name}");
        let entry = history_of(&agent, name);
        let version = entry["version_id"].as_str().unwrap();
        let delete = aws.try_to("delete-object", &["--key", name, "--version-id", version]);
        assert!(delete.is_err(), "{name} is deleted: {delete:?}");
    }
}
