//! Everything at once, for as long as asked: files come, change and go, the server goes away and
//! comes back, the network breaks, the agent is killed and its clock steps. Every twenty seconds there is peace, and
//! every file that is still wanted has to be in the bucket, byte for byte. The figures are printed.
//!
//! `S3FERRY_SOAK_SECONDS` (20) is how long, `S3FERRY_SOAK_SEED` what to repeat.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: it panics where it fails, and lets time pass"
)]
#![allow(
    dead_code,
    reason = "the support is shared, and not all of it is used here"
)]

#[path = "../it/support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use support::agent::Agent;
use support::files::{holds_content, write_content};
use support::proxy::{FaultProxy, Plan};
use support::running::Running;
use support::server::{BUCKET, Failure, S3Options, S3Server};

/// One version of a file.
type Version = (u64, u64);

struct Soak {
    random: u64,
    agent: Agent,
    server: S3Server,
    proxy: FaultProxy,
    running: Option<Running>,
    server_is_up: bool,
    /// Per key, all versions that were ever there, the last one last.
    versions: BTreeMap<String, Vec<Version>>,
    /// Keys whose file was taken away by its owner: their objects may be missing or old.
    gone: BTreeSet<String>,
    /// Versions since the last look.
    written: u64,
    figures: Figures,
}

#[derive(Debug, Default)]
struct Figures {
    files: u64,
    changes: u64,
    removals: u64,
    kills: u64,
    outages: u64,
    faults: u64,
    clock_steps: u64,
    requests: u64,
    sent_twice: u64,
}

/// So long does it go on before there is peace, and everything is looked at.
const ROUND: Duration = Duration::from_secs(20);
/// With more files than this, the oldest go after a round, from folder and bucket.
const FILES: usize = 1000;

/// A little more than s3ferry keeps looking for what a kill may have left on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(90);
const JOBS: [&str; 2] = ["keep", "delete"];

impl Soak {
    fn new(seed: u64) -> Soak {
        let server = S3Server::start(S3Options::default());
        let proxy = FaultProxy::start(server.address());
        let agent = Agent::with_endpoint(&proxy.endpoint());
        let base = agent.config["jobs"][0].clone();
        let jobs: Vec<_> = JOBS
            .iter()
            .map(|name| {
                let folder = agent.folder().join(name);
                std::fs::create_dir(&folder).unwrap();
                let mut job = base.clone();
                job["name"] = json!(name);
                job["source_path"] = json!(folder);
                job["prefix"] = json!(format!("{name}/"));
                job["after_upload"] = json!(name);
                job["interval"] = json!("1s");
                job["transfer"] = json!({ "multipart_threshold": "5MiB", "part_size": "5MiB" });
                job
            })
            .collect();
        let config = json!({ "state_dir": agent.state(), "jobs": jobs });
        let agent = agent.with_config(config);
        Soak {
            random: seed,
            agent,
            server,
            proxy,
            running: None,
            server_is_up: true,
            versions: BTreeMap::new(),
            gone: BTreeSet::new(),
            written: 0,
            figures: Figures::default(),
        }
    }

    /// SplitMix64.
    fn next(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn act(&mut self) {
        match self.next(100) {
            0..45 => self.write(false),
            45..60 => self.write(true),
            60..65 => self.remove(),
            65..75 => self.kill(),
            75..80 => self.outage(),
            80..90 => self.break_network(),
            90..95 => self.fail_requests(),
            _ => self.proxy.set_plan(Plan::Pass),
        }
        if self.running.is_none() {
            self.step_clock();
            self.running = Some(self.agent.spawn());
        }
    }

    /// The wall clock of the next run, by libfaketime; the files keep their times.
    fn step_clock(&mut self) {
        let Some(library) = support::faketime() else {
            return;
        };
        let offset = ["+0", "+0", "+7200", "-7200", "-20y"][self.next(5) as usize];
        self.figures.clock_steps += u64::from(offset != "+0");
        for (name, value) in [
            ("LD_PRELOAD", library),
            ("FAKETIME", offset),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ] {
            self.agent.set_env(name, value);
        }
    }

    fn folder(&self, job: &str) -> PathBuf {
        self.agent.folder().join(job)
    }

    /// A new file, or a new version of one; written aside and renamed, as a careful writer does.
    fn write(&mut self, change: bool) {
        let job = JOBS[self.next(2) as usize];
        let known: Vec<String> = self.versions.keys().cloned().collect();
        let key = if change && !known.is_empty() {
            self.figures.changes += 1;
            known[self.next(known.len() as u64) as usize].clone()
        } else {
            self.figures.files += 1;
            format!("{job}/file-{:05}", self.figures.files)
        };
        let size = match self.next(24) {
            0 => 0,
            1 => (5 << 20) + 1 + self.next(4 << 20),
            _ => 1 + self.next(60_000),
        };
        let seed = self.next(u64::MAX);
        self.written += 1;
        let aside = self.agent.folder().join("aside");
        write_content(&aside, size, seed);
        self.versions
            .entry(key.clone())
            .or_default()
            .push((size, seed));
        self.gone.remove(&key);
        std::fs::rename(&aside, self.agent.folder().join(&key)).unwrap();
    }

    fn remove(&mut self) {
        let known: Vec<String> = self.versions.keys().cloned().collect();
        if known.is_empty() {
            return;
        }
        let key = known[self.next(known.len() as u64) as usize].clone();
        if std::fs::remove_file(self.agent.folder().join(&key)).is_ok() {
            self.figures.removals += 1;
            self.gone.insert(key);
        }
    }

    fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            self.figures.kills += 1;
            running.kill();
        }
    }

    fn outage(&mut self) {
        self.figures.outages += 1;
        if self.server_is_up {
            self.server.stop();
        } else {
            self.server.restart();
        }
        self.server_is_up = !self.server_is_up;
    }

    fn break_network(&mut self) {
        self.figures.faults += 1;
        let plan = match self.next(5) {
            0 => Plan::ResetAfter(self.next(8 << 20)),
            1 => Plan::SwallowAnswer,
            2 => Plan::TruncateAnswer(self.next(200)),
            3 => Plan::CloseOnNextRequest,
            _ => Plan::Refuse,
        };
        self.proxy.set_plan(plan);
    }

    fn fail_requests(&mut self) {
        self.figures.faults += 1;
        let failure = match self.next(4) {
            0 => Failure::slow_down(),
            1 => Failure::error(500, "InternalError"),
            2 => Failure::hang_up().after_success(),
            _ => Failure::error(503, "ServiceUnavailable").early(),
        };
        let times = 1 + self.next(3) as usize;
        self.server.fail_next(times, |_| true, failure);
    }

    /// Peace: everything works, and what is left is sent.
    fn settle(&mut self) {
        if !self.server_is_up {
            self.server.restart();
            self.server_is_up = true;
        }
        self.server.heal();
        self.proxy.set_plan(Plan::Pass);
        if let Some(running) = self.running.take() {
            running.stop();
        }
        self.agent.set_env("FAKETIME", "+0");
        self.agent.once().expect_code(0);
        self.agent.once().expect_code(0);
    }

    /// Nothing is lost and nothing is left over; then what was seen is forgotten.
    fn check(&mut self, seed: u64) {
        let lost = self.lost();
        assert!(lost.is_empty(), "seed {seed}: {lost:?}");
        let left: Vec<_> = std::fs::read_dir(self.folder("delete")).unwrap().collect();
        assert!(left.is_empty(), "seed {seed}: {left:?}");
        let open = self.open_uploads();
        assert_eq!(
            open,
            0,
            "seed {seed}: open uploads: {}",
            self.story_of_uploads()
        );

        let requests = self.server.take_requests();
        let objects = requests
            .iter()
            .filter(|request| request.is_put_object() && request.status == Some(200))
            .count();
        let written = std::mem::take(&mut self.written);
        self.figures.requests += requests.len() as u64;
        self.figures.sent_twice += (objects as u64).saturating_sub(written);
        for versions in self.versions.values_mut() {
            versions.drain(..versions.len() - 1);
        }
        let surplus = self.versions.len().saturating_sub(FILES);
        let mut over: Vec<String> = self.versions.keys().take(surplus).cloned().collect();
        over.extend(std::mem::take(&mut self.gone));
        for key in over {
            self.versions.remove(&key);
            let _ = std::fs::remove_file(self.agent.folder().join(&key));
            let _ = std::fs::remove_file(self.server.object_path(BUCKET, &key));
        }
    }

    /// Those that the agent does not end while what was on its way at a kill may still arrive. Not the
    /// parts: one that arrives after the end of its upload is kept by this server, unlike by S3.
    fn open_uploads(&mut self) -> usize {
        let deadline = Instant::now() + ON_ITS_WAY;
        loop {
            let (open, _) = self.server.open_uploads();
            if open == 0 || Instant::now() > deadline {
                return open;
            }
            std::thread::sleep(Duration::from_secs(1));
            self.agent.once().expect_code(0);
        }
    }

    /// What ledger and server know of the uploads that are open.
    fn story_of_uploads(&self) -> String {
        let ids: Vec<String> = std::fs::read_dir(self.server.object_path("", ""))
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
            .filter_map(|name| {
                Some(
                    name.strip_prefix(".upload-")?
                        .strip_suffix(".json")?
                        .to_owned(),
                )
            })
            .collect();
        let requests = self.server.requests();
        let requests = requests.iter().filter(|request| {
            request.is_create_multipart() || ids.iter().any(|id| request.query.contains(id))
        });
        let requests: Vec<String> = requests
            .map(|r| format!("{} {}?{} {:?}", r.method, r.path, r.query, r.status))
            .collect();
        let ledger = std::fs::read_to_string(self.agent.state().join("ledger.jsonl"));
        let ledger = ledger.unwrap_or_default();
        let lines = ledger
            .lines()
            .filter(|line| !line.contains("\"confirmed\"") && !line.contains("\"done\""));
        let lines: Vec<&str> = lines.collect();
        format!("{ids:?}\n{}\n{}", requests.join("\n"), lines.join("\n"))
    }

    /// Keys whose object is not what it should be.
    fn lost(&self) -> Vec<String> {
        let is_version = |path: &Path, (size, seed): &Version| holds_content(path, *size, *seed);
        let wrong = self.versions.iter().filter(|(key, versions)| {
            let object = self.server.object_path(BUCKET, key);
            if self.gone.contains(*key) {
                return object.exists() && !versions.iter().any(|known| is_version(&object, known));
            }
            !versions
                .last()
                .is_some_and(|last| is_version(&object, last))
        });
        wrong.map(|(key, _)| key.clone()).collect()
    }
}

#[test]
fn nothing_is_lost_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds = number("S3FERRY_SOAK_SECONDS").unwrap_or(20);
    let seed = number("S3FERRY_SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mut soak = Soak::new(seed);
    let mut left = Duration::from_secs(seconds);
    let mut settling = Duration::ZERO;
    while !left.is_zero() {
        let round = left.min(ROUND);
        left -= round;
        let until = Instant::now() + round;
        while Instant::now() < until {
            soak.act();
            std::thread::sleep(Duration::from_millis(20));
        }
        let begin = Instant::now();
        soak.settle();
        soak.check(seed);
        settling += begin.elapsed();
    }
    println!(
        "soak: {seconds} s, and {} s in which it settled, with seed {seed}: {:?}, lost 0",
        settling.as_secs(),
        soak.figures,
    );
    assert!(soak.figures.kills > 0 && soak.figures.faults > 0);
}
