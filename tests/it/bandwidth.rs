//! The bandwidth limit, on the bytes that reach the server: it holds, evenly, and for each job its own.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::agent::Agent;
use crate::support::proxy::FaultProxy;
use crate::support::server::{S3Options, S3Server};

const MIB: u64 = 1 << 20;
/// Of the limit: above it never by more than the promise; below it, a busy machine may be late.
const MOST: f64 = 1.05;
const LEAST: f64 = 0.80;

/// How many bytes had reached the server, and when.
type Samples = Vec<(Instant, u64)>;

/// Looks at the line as long as the agent works.
fn watch(agent: &Agent, line: &FaultProxy) -> Samples {
    let running = agent.start();
    let mut samples = Samples::new();
    while agent.events_of("pass_finished").is_empty() {
        samples.push((Instant::now(), line.bytes_to_server()));
        std::thread::sleep(Duration::from_millis(20));
        assert!(running.info().is_alive());
    }
    samples.push((Instant::now(), line.bytes_to_server()));
    samples
}

/// Bytes per second from the first byte to the last, and in the fastest second in between.
fn rates(samples: &Samples) -> (f64, f64) {
    let last = samples.last().unwrap().1;
    let begin = samples
        .iter()
        .rposition(|(_, bytes)| *bytes == 0)
        .unwrap_or(0);
    let end = samples
        .iter()
        .position(|(_, bytes)| *bytes == last)
        .unwrap();
    let rate = |from: usize, to: usize| {
        let time = samples[to].0.duration_since(samples[from].0);
        (samples[to].1 - samples[from].1) as f64 / time.as_secs_f64()
    };
    let second = Duration::from_secs(1);
    let fastest = (begin..end).filter_map(|from| {
        let to = (from..end).find(|to| samples[*to].0.duration_since(samples[from].0) >= second)?;
        Some(rate(from, to))
    });
    (rate(begin, end), fastest.fold(0.0, f64::max))
}

#[test]
fn the_limit_holds_evenly_for_large_and_small_files_and_parts() {
    let limit = 3 * MIB;
    let cases: [(&str, &[u64], u64); 3] = [
        ("one request", &[12 * MIB], 64 * MIB),
        ("parts", &[16 * MIB], 5 * MIB),
        ("small files", &[50_000; 200], 64 * MIB),
    ];
    for (what, sizes, threshold) in cases {
        let server = S3Server::start(S3Options::default());
        let line = FaultProxy::start(server.address());
        let agent = Agent::with_endpoint(&line.endpoint()).with_job(json!({ "transfer": {
            "bandwidth_limit": "3MiB/s", "multipart_threshold": threshold, "part_size": "5MiB",
        }}));
        for (number, size) in (0..).zip(sizes) {
            agent.write_file(format!("{number}"), *size, number);
        }
        let (average, fastest) = rates(&watch(&agent, &line));
        let share = |rate: f64| rate / limit as f64;
        println!(
            "bandwidth limit, {what}: {:.3} of it on average, {:.3} in the fastest second",
            share(average),
            share(fastest)
        );
        assert!((LEAST..MOST).contains(&share(average)), "{what}: {average}");
        // What the bucket holds, a tenth of a second's worth, may come on top.
        assert!(share(fastest) < MOST + 0.15, "{what}: {fastest}");
    }
}

#[test]
fn each_job_has_its_own_limit() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    agent.write_file("first/file", 8 * MIB, 1);
    agent.write_file("second/file", 8 * MIB, 2);
    let mut config = agent.config.clone();
    let base = config["jobs"][0].clone();
    let job = |name: &str, limit: &str| {
        let mut job = base.clone();
        job["name"] = json!(name);
        job["prefix"] = json!(format!("{name}/"));
        job["source_path"] = json!(agent.source_file(name));
        job["transfer"] = json!({ "bandwidth_limit": limit });
        job
    };
    config["jobs"] = json!([job("first", "2MiB/s"), job("second", "4MiB/s")]);
    let agent = agent.with_config(config);
    agent.once().expect_code(0);
    for (entry, limit) in agent.history().iter().zip([2 * MIB, 4 * MIB]) {
        let share = entry["bytes_per_second"].as_f64().unwrap() / limit as f64;
        assert!(
            (LEAST..MOST).contains(&share),
            "{share} of {limit}: {entry}"
        );
    }
}
