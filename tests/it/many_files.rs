//! Files that are sent and stay: a pass over them costs a walk, and nothing else.
//!
//! `S3FERRY_MANY_FILES` (2000) is how many; the figures are printed.

use std::time::Duration;

use serde_json::json;

use crate::support::agent::Agent;
use crate::support::server::{S3Options, S3Server};

#[test]
fn a_pass_over_files_that_are_done_sends_and_writes_nothing() {
    let count = std::env::var("S3FERRY_MANY_FILES").ok();
    let count: usize = count.and_then(|text| text.parse().ok()).unwrap_or(2000);
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server)
        .with(json!({ "log": { "level": "warn" } }))
        .with_job(json!({ "recursive": true }));
    for number in 0..count {
        let name = format!("{:03}/{number:06}.dat", number % 100);
        agent.write_file(name, 100, number as u64);
    }
    let running = agent.start();
    running.wait_for_event("pass_finished", Duration::from_secs(3600));
    assert!(running.stop().success());
    assert_eq!(server.requests().len(), count);

    let state = |name: &str| std::fs::read(agent.state().join(name)).unwrap();
    let records = || ["ledger.jsonl", "history.jsonl", "events.jsonl"].map(state);
    let before = records();
    let output = agent.once().expect_code(0);
    assert_eq!(server.requests().len(), count, "nothing is to be asked");
    assert!(before == records(), "nothing is to be written");
    println!(
        "a pass over {count} files that are done: {:?}, CPU {:?}, peak of {:.1} MB",
        output.took,
        output.cpu,
        output.peak_rss as f64 / 1e6
    );
    // What starts with the program, and less than 100 bytes a file.
    let most = 16_000_000 + 100 * count as u64;
    assert!(output.peak_rss < most, "{} bytes", output.peak_rss);
}
