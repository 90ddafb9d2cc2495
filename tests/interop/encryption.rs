//! Under whose key an object lies: SSE-C and SSE-KMS, read back with aws-cli. SSE-C on SeaweedFS over
//! TLS; SSE-KMS there and on LocalStack.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::aws_cli::AwsCli;
use crate::localstack::LocalStack;
use crate::properties::{Place, agent, expected, history_of, write_files};
use crate::support::agent::{Agent, SOON};
use crate::support::files::Content;
use crate::support::proxy::FaultProxy;

const MIB: u64 = 1 << 20;
const PART: u64 = 5 * MIB;
const CUSTOMER_KEY: &str = "an example of exactly 32 letters";
/// Requests, signatures, TLS and answers around the bytes of a file.
const OVERHEAD: u64 = 128 * 1024;

/// The object has these bytes, for whoever has the customer key.
#[track_caller]
fn assert_sealed(aws: &AwsCli<'_>, name: &str, to: &Path, content: &[u8]) {
    let algorithm = ["--sse-customer-algorithm", "AES256"];
    let with_key = [&algorithm[..], &["--sse-customer-key", CUSTOMER_KEY]].concat();
    aws.get(name, to, &with_key);
    assert!(std::fs::read(to).unwrap() == content, "{name}");
    let without = aws.try_to("get-object", &["--key", name, to.to_str().unwrap()]);
    assert!(without.is_err(), "{name}: {without:?}");
}

/// As [`agent`], under the customer key.
fn sealing_agent(place: &Place, bucket: &str, job: Value) -> Agent {
    let bucket = place.bucket(bucket);
    let key = json!({ "object": { "customer_key": CUSTOMER_KEY } });
    agent(place, &bucket, key).with_job(job)
}

#[test]
fn an_object_under_a_customer_key_is_readable_with_that_key_alone() {
    let Some(place) = Place::weed() else { return };
    let Some(aws) = AwsCli::on(&place, "customer-key") else {
        return;
    };
    aws.create_bucket(&[]);
    let always = json!({ "transfer": { "verify": "always" } });
    let agent = sealing_agent(&place, "customer-key", always);
    write_files(&agent);
    agent.once().expect_code(0);
    let to = agent.folder().join("downloaded");
    for (name, content) in expected() {
        assert_sealed(&aws, name, &to, &content);
    }
}

#[test]
fn a_killed_upload_in_parts_under_a_customer_key_goes_on_with_its_parts() {
    let Some(place) = Place::weed() else { return };
    for (bucket, checksum) in [("sealed-plain", "none"), ("sealed-crc", "crc64nvme")] {
        let Some(aws) = AwsCli::on(&place, bucket) else {
            return;
        };
        aws.create_bucket(&[]);
        kill_and_go_on(&place, &aws, bucket, checksum);
    }
}

fn kill_and_go_on(place: &Place, aws: &AwsCli<'_>, bucket: &str, checksum: &str) {
    // Only to count what goes over the line.
    let line = FaultProxy::start(
        place
            .endpoint
            .trim_start_matches("https://")
            .parse()
            .unwrap(),
    );
    let agent = sealing_agent(
        place,
        bucket,
        json!({
            "endpoint": line.endpoint().replace("http:", "https:"),
            "transfer": { "checksum": checksum, "verify": "always", "bandwidth_limit": "8MiB/s" },
        }),
    );
    let size = 32 * MIB + 1;
    agent.write_file("large.bin", size, 1);
    let running = agent.start();
    let deadline = Instant::now() + SOON;
    while line.bytes_to_server() < 3 * PART + PART / 2 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    running.kill();
    assert!(agent.history().is_empty());

    let agent = agent.with_job(json!({ "transfer": { "bandwidth_limit": null } }));
    agent.once().expect_code(0);
    let sent = line.bytes_to_server();
    assert!(sent < size + PART + OVERHEAD, "{sent} bytes for {size}");
    let entry = history_of(&agent, "large.bin");
    assert_eq!(entry["resumed_bytes"], 3 * PART, "{entry}");
    let to = agent.folder().join("downloaded");
    assert_sealed(aws, "large.bin", &to, &Content::new(size, 1).bytes());
    assert_eq!(place.bucket(bucket).open_uploads(), 0);
}

#[test]
fn an_object_under_a_customer_key_is_recognised_after_a_lost_state() {
    let Some(place) = Place::weed() else { return };
    for (mode, checksum) in [
        ("skip", "none"),
        ("fail", "crc64nvme"),
        ("rename", "sha256"),
    ] {
        let bucket = format!("sealed-{mode}");
        place.bucket(&bucket).create();
        let job = json!({
            "object": { "if_exists": mode },
            "transfer": { "checksum": checksum, "verify": "always" },
        });
        let agent = sealing_agent(&place, &bucket, job);
        write_files(&agent);
        agent.once().expect_code(0);
        std::fs::remove_dir_all(agent.state()).unwrap();
        agent.once().expect_code(0);
        assert_eq!(place.bucket(&bucket).keys().len(), 2, "{mode}");
        assert_eq!(agent.events_of("upload_started").len(), 0, "{mode}");
        for (name, _) in expected() {
            let entry = history_of(&agent, name);
            assert_eq!(entry["resumed_bytes"], entry["size"], "{mode}: {entry}");
        }
        // Another key: nothing can be known of the object, and it stays.
        let other = json!({ "object": { "customer_key": CUSTOMER_KEY.to_uppercase() } });
        std::fs::remove_dir_all(agent.state()).unwrap();
        let code = if mode == "fail" { 74 } else { 0 };
        agent.with_job(other).once().expect_code(code);
        if let Some(aws) = AwsCli::on(&place, &bucket) {
            let folder = tempfile::tempdir().unwrap();
            for (name, content) in expected() {
                assert_sealed(&aws, name, &folder.path().join("downloaded"), &content);
            }
        }
    }
}

#[test]
fn aws_cli_reads_the_kms_key() {
    let Some(place) = Place::weed() else { return };
    the_kms_key_is_read_back(&place, "a-key-of-its-own", None);
}

#[test]
fn aws_cli_reads_the_kms_key_and_the_bucket_key() {
    let Some(place) = LocalStack::place() else {
        return;
    };
    let key = "arn:aws:kms:eu-west-2:000000000000:key/12345678-1234-1234-1234-123456789012";
    for bucket_key in [true, false] {
        the_kms_key_is_read_back(&place, key, Some(bucket_key));
    }
}

/// `bucket_key`: to be asked for, and told by the store, which SeaweedFS does not.
fn the_kms_key_is_read_back(place: &Place, kms_key: &str, bucket_key: Option<bool>) {
    let name = format!("kms-{}", bucket_key.unwrap_or_default());
    let Some(aws) = AwsCli::on(place, &name) else {
        return;
    };
    aws.create_bucket(&[]);
    let object = json!({
        "server_side_encryption": "aws:kms", "kms_key_id": kms_key, "bucket_key": bucket_key,
    });
    let agent = agent(place, &place.bucket(&name), json!({ "object": object }));
    write_files(&agent);
    agent.once().expect_code(0);
    let to = agent.folder().join("downloaded");
    for (key, content) in expected() {
        let head = aws.ask("head-object", &["--key", key]);
        assert_eq!(head["ServerSideEncryption"], "aws:kms", "{key}: {head}");
        assert_eq!(head["SSEKMSKeyId"], kms_key, "{key}: {head}");
        let shown = head["BucketKeyEnabled"].as_bool().unwrap_or_default();
        assert_eq!(shown, bucket_key.unwrap_or_default(), "{key}: {head}");
        aws.get(key, &to, &[]);
        assert!(std::fs::read(&to).unwrap() == content, "{key}");
    }
}
