//! The bandwidth limit, on the bytes that reach the server's socket: it holds, evenly, through parts and
//! over files, and for each job its own.

use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::relay::Relay;
use crate::support::server::{S3Options, S3Server};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Of the limit, over all bodies.
const LEAST: f64 = 0.95;
const MOST: f64 = 1.05;
/// Of the limit: as above, and one burst of a tenth of a second.
const MOST_IN_A_SECOND: f64 = MOST + 0.1;
/// A machine that is busy with something else can only make an upload slower. So it must never be
/// too fast, and once in so many times fast enough.
const TRIES: usize = 5;
/// Long enough that what a busy machine loses now and then has been made up for.
const SECONDS: u64 = 12;

/// Files, in bytes, and how they are sent.
struct Case {
    what: &'static str,
    limit: u64,
    files: Vec<u64>,
    threshold: u64,
}

fn cases() -> Vec<Case> {
    let case = |what, limit, files: u64, threshold| Case {
        what,
        limit,
        files: vec![limit * SECONDS / files; files as usize],
        threshold,
    };
    vec![
        case("a slow line", 64 * KIB, 1, 64 * MIB),
        case("one request", 3 * MIB, 1, 64 * MIB),
        case("parts", MIB, 1, 5 * MIB),
        case("parts of several files", 2 * MIB, 2, 5 * MIB),
        // Few a second, so that a busy machine, too, has them ready when they are due.
        case("small files", 512 * KIB, 60, 64 * MIB),
        case("files below a burst", 256 * KIB, 126, 64 * MIB),
    ]
}

fn transfer(limit: u64, threshold: u64) -> Value {
    json!({
        "bandwidth_limit": limit, "multipart_threshold": threshold, "part_size": "5MiB",
        "checksum": "none",
    })
}

/// Whether the limit was reached; that it was not exceeded is certain then.
#[track_caller]
fn reached(what: &str, line: &Relay, bodies: u64, limit: u64) -> bool {
    let limit = limit as f64;
    let average = bodies as f64 / line.time_of_bodies().as_secs_f64() / limit;
    let fullest = line.fullest_second() as f64 / limit;
    println!(
        "bandwidth limit, {what}: {average:.3} of it on average, {fullest:.3} in the fullest second"
    );
    assert!(average <= MOST, "{what}: {average} on average");
    assert!(fullest <= MOST_IN_A_SECOND, "{what}: {fullest} in a second");
    average >= LEAST
}

fn measure(case: &Case) -> bool {
    let server = S3Server::start(S3Options::default());
    let line = Relay::start(server.address());
    let agent = Agent::with_endpoint(&line.endpoint())
        .with_job(json!({ "transfer": transfer(case.limit, case.threshold) }));
    for (number, size) in (0..).zip(&case.files) {
        agent.write_file(format!("{number}"), *size, number);
    }
    agent.once().expect_code(0);
    reached(case.what, &line, case.files.iter().sum(), case.limit)
}

#[test]
fn the_limit_holds_within_5_percent_for_files_of_any_size_and_for_parts() {
    // They wait most of the time, so that they can do it together.
    std::thread::scope(|scope| {
        for case in cases() {
            scope.spawn(move || {
                let reached = (0..TRIES).any(|_| measure(&case));
                assert!(reached, "{}: never {LEAST} of it", case.what);
            });
        }
    });
}

/// Two jobs, each over a line of its own.
fn measure_two_jobs() -> bool {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let mut config = agent.config.clone();
    let jobs = [("first", MIB), ("second", 3 * MIB)];
    let lines = jobs.map(|_| Relay::start(server.address()));
    let size_at = |limit: u64| limit * SECONDS / 2;
    let job = |(name, limit): (&str, u64), line: &Relay| {
        agent.write_file(format!("{name}/file"), size_at(limit), limit);
        let mut job = agent.config["jobs"][0].clone();
        job["name"] = json!(name);
        job["endpoint"] = json!(line.endpoint());
        job["prefix"] = json!(format!("{name}/"));
        job["source_path"] = json!(agent.source_file(name));
        job["transfer"] = transfer(limit, 64 * MIB);
        job
    };
    let both = jobs.into_iter().zip(&lines);
    config["jobs"] = both.clone().map(|(what, line)| job(what, line)).collect();
    let agent = agent.with_config(config);
    agent.once().expect_code(0);
    both.map(|((name, limit), line)| reached(name, line, size_at(limit), limit))
        .fold(true, |all, one| all & one)
}

#[test]
fn each_job_has_its_own_limit() {
    let reached = (0..TRIES).any(|_| measure_two_jobs());
    assert!(reached, "never {LEAST} of both");
}
