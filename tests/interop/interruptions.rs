//! Either side dies in the middle, and every byte is there in the end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::agent::{Agent, SOON};
use crate::support::proxy::{FaultProxy, Plan};
use crate::weed::Weed;

const MIB: u64 = 1 << 20;

/// Requests, signatures and answers around the bytes of a file, and TLS around these.
const OVERHEAD: u64 = 128 * 1024;

#[test]
fn a_kill_in_a_multipart_upload_costs_less_than_one_part_again() {
    let Some(weed) = Weed::shared() else { return };
    kill_and_go_on(weed, "resume", &weed.http(), json!(null));
}

#[test]
fn a_kill_in_a_multipart_upload_over_tls_costs_less_than_one_part_again() {
    let Some(weed) = Weed::shared() else { return };
    let tls = json!({ "ca_file": weed.ca_file() });
    kill_and_go_on(weed, "resume-tls", &weed.https(), tls);
}

fn kill_and_go_on(weed: &Weed, bucket: &str, endpoint: &str, tls: Value) {
    let bucket = weed.bucket(bucket);
    let (scheme, address) = endpoint.split_once("//").unwrap();
    // Only to count what goes over the line.
    let line = FaultProxy::start(address.parse().unwrap());
    let endpoint = line.endpoint().replace("http:", scheme);
    let (size, part) = (32 * MIB + 1, 5 * MIB);
    let slowly = json!({
        "multipart_threshold": "8MiB", "part_size": "5MiB", "bandwidth_limit": "8MiB/s",
    });
    let agent = Agent::with_endpoint(&endpoint)
        .with_job(json!({ "bucket": bucket.name, "transfer": slowly, "tls_options": tls }));
    let file = agent.write_file("large.bin", size, 1);

    let running = agent.start();
    wait_until(|| line.bytes_to_server() > 3 * part + part / 2);
    running.kill();
    assert_eq!((bucket.keys().len(), agent.history().len()), (0, 0));

    let agent = agent.with_job(json!({ "transfer": { "bandwidth_limit": null } }));
    agent.once().expect_code(0);
    assert!(bucket.has_same("large.bin", &file));
    let sent = line.bytes_to_server();
    assert!(sent < size + part + OVERHEAD, "{sent} bytes for {size}");
    let history = agent.history();
    assert_eq!(history.len(), 1, "{history:?}");
    assert_eq!(history[0]["resumed_bytes"], 3 * part, "{history:?}");
    assert_eq!(agent.events_of("upload_resumed").len(), 1);
    assert_eq!(bucket.open_uploads(), 0);
    println!(
        "resume after kill -9, {scheme} {:.2} MiB of {:.2} MiB sent again, a part is {} MiB",
        sent.saturating_sub(size) as f64 / MIB as f64,
        size as f64 / MIB as f64,
        part / MIB,
    );
}

#[test]
fn cleanup_aborts_what_nobody_goes_on_with_and_keeps_what_is_young_or_known() {
    let Some(weed) = Weed::shared() else { return };
    let bucket = weed.bucket("cleanup");
    let slowly = json!({
        "multipart_threshold": "5MiB", "part_size": "5MiB", "bandwidth_limit": "8MiB/s",
    });
    let agent = Agent::with_endpoint(&weed.http())
        .with_job(json!({ "bucket": bucket.name, "prefix": "site-7/", "transfer": slowly }));
    agent.write_file("large.bin", 32 * MIB, 1);
    let running = agent.start();
    wait_until(|| bucket.open_uploads() == 1);
    assert_eq!(agent.run(&["cleanup"]).code, Some(69), "the service runs");
    running.kill();

    let kept = agent.run(&["cleanup", "--older-than", "0s"]).expect_code(0);
    assert!(kept.stdout.contains("to be gone on with"), "{kept:#?}");
    std::fs::remove_file(agent.state().join("ledger.jsonl")).unwrap();
    let kept = agent.run(&["cleanup"]).expect_code(0);
    assert!(kept.stdout.contains("too young"), "{kept:#?}");
    assert_eq!(bucket.open_uploads(), 1);

    let output = agent.run(&["cleanup", "--older-than", "0s"]).expect_code(0);
    assert!(
        output.stdout.contains("aborted  site-7/large.bin"),
        "{output:#?}"
    );
    assert_eq!(bucket.open_uploads(), 0);
}

#[test]
fn a_server_that_dies_and_comes_back_gets_every_file() {
    let Some(mut weed) = Weed::own() else { return };
    let bucket = weed.bucket("outage");
    let slowly = json!({
        "multipart_threshold": "8MiB", "part_size": "5MiB", "bandwidth_limit": "4MiB/s",
    });
    let agent = Agent::with_endpoint(&weed.http())
        .with_job(json!({ "bucket": bucket.name, "order": "name", "transfer": slowly }));
    let small = (0..40).map(|n| (format!("{n:02}.bin"), 256 * 1024));
    let files: Vec<_> = small
        .chain([("15-large.bin".to_owned(), 12 * MIB)])
        .enumerate()
        .map(|(seed, (name, size))| {
            let path = agent.write_file(&name, size, seed as u64);
            (name, path)
        })
        .collect();

    let running = agent.start();
    running.wait_for_events("upload_finished", 10, SOON);
    weed.kill();
    running.wait_for_event("connection_failed", SOON);
    // The outage itself, long enough for several tries.
    std::thread::sleep(Duration::from_secs(3));
    assert!(agent.history().len() < files.len());
    weed.start();
    running.wait_for_event("pass_finished", Duration::from_secs(120));
    assert!(running.stop().success());

    for (name, path) in &files {
        assert!(bucket.has_same(name, path), "{name}");
    }
    assert_eq!(agent.history().len(), files.len());
    for kind in ["connection_failed", "connection_restored"] {
        assert_eq!(agent.events_of(kind).len(), 1, "{:#?}", agent.events());
    }
    assert_eq!(bucket.open_uploads(), 0);
}

#[track_caller]
fn wait_until(reached: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !reached() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_upload_whose_beginning_was_not_answered_does_not_stay_open() {
    let Some(weed) = Weed::shared() else { return };
    let bucket = weed.bucket("unanswered");
    let line = FaultProxy::start(weed.http().trim_start_matches("http://").parse().unwrap());
    let parts = json!({ "multipart_threshold": "8MiB", "part_size": "5MiB" });
    let agent = Agent::with_endpoint(&line.endpoint())
        .with_job(json!({ "bucket": bucket.name, "transfer": parts }));
    let file = agent.write_file("large.bin", 12 * MIB, 1);
    line.set_plan(Plan::SwallowAnswer);
    agent.run(&["once", "--give-up", "1ms"]).expect_code(75);
    line.set_plan(Plan::Pass);
    assert_eq!(bucket.open_uploads(), 1);
    agent.once().expect_code(0);
    assert!(bucket.has_same("large.bin", &file));
    assert_eq!(bucket.open_uploads(), 0);
}
