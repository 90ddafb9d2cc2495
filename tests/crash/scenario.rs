//! Three jobs over one server, and what has to hold of them whatever happened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::strace::{self, Ending};
use crate::support::agent::read_records;
use crate::support::files;
use crate::support::server::{ACCESS_KEY, BUCKET, Request, S3Options, S3Server, SECRET_KEY};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// One source file: job and name are its object's key, too.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    pub job: &'static str,
    pub name: &'static str,
    pub size: u64,
}

/// The multipart file has three parts.
pub const ITEMS: [Item; 6] = [
    Item {
        job: "keep",
        name: "a.txt",
        size: 3 * KIB,
    },
    Item {
        job: "keep",
        name: "b.txt",
        size: 20 * KIB,
    },
    Item {
        job: "delete",
        name: "c.txt",
        size: KIB,
    },
    Item {
        job: "delete",
        name: "d.txt",
        size: 7 * KIB,
    },
    Item {
        job: "delete",
        name: "large.bin",
        size: 11 * MIB,
    },
    Item {
        job: "move",
        name: "e.txt",
        size: 5 * KIB,
    },
];

/// What a point cost.
#[derive(Debug, Default, Clone, Copy)]
pub struct Cost {
    pub files_sent_twice: usize,
    pub parts_sent_twice: usize,
    pub told_twice: usize,
}

pub struct Scenario {
    folder: TempDir,
    /// What is moved goes here.
    moved: PathBuf,
    server: S3Server,
}

impl Item {
    pub fn key(&self) -> String {
        format!("{}/{}", self.job, self.name)
    }

    fn seed(&self) -> u64 {
        self.key().bytes().map(u64::from).sum()
    }

    fn is_at(&self, path: &Path) -> bool {
        files::holds_content(path, self.size, self.seed())
    }
}

impl Scenario {
    pub fn new() -> Scenario {
        let folder = TempDir::new().unwrap();
        let moved = folder.path().join("moved");
        Scenario::moving_to(moved, folder)
    }

    /// The same with a folder of its own for what is moved, such as one on another file system.
    pub fn moving_to(moved: PathBuf, folder: TempDir) -> Scenario {
        let scenario = Scenario {
            folder,
            moved,
            server: S3Server::start(S3Options::default()),
        };
        for item in ITEMS {
            let path = scenario.source(&item);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            files::write_content(&path, item.size, item.seed());
            files::set_age(&path, Duration::from_secs(3600));
        }
        let text = serde_json::to_string_pretty(&scenario.configuration()).unwrap();
        std::fs::write(scenario.config(), text).unwrap();
        scenario
    }

    fn configuration(&self) -> Value {
        let job = |name: &str, after_upload: Value| {
            json!({
                "name": name,
                "bucket": BUCKET,
                "region": "eu-west-2",
                "endpoint": self.server.endpoint(),
                "addressing": "path",
                "prefix": format!("{name}/"),
                "source_path": self.folder().join("source").join(name),
                "settle": "0s",
                "order": "name",
                "after_upload": after_upload,
                "credentials": { "access_key": ACCESS_KEY, "secret_key": SECRET_KEY },
                "proxy": "bypass",
                "transfer": { "multipart_threshold": "6MiB", "part_size": "5MiB" },
            })
        };
        json!({
            "state_dir": self.state(),
            "jobs": [
                job("keep", json!("keep")),
                job("delete", json!("delete")),
                job("move", json!({ "move_to": self.moved })),
            ],
        })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> PathBuf {
        self.folder().join("s3ferry.json")
    }

    pub fn state(&self) -> PathBuf {
        self.folder().join("state")
    }

    fn source(&self, item: &Item) -> PathBuf {
        self.folder().join("source").join(item.job).join(item.name)
    }

    fn moved(&self, item: &Item) -> PathBuf {
        self.moved.join(item.name)
    }

    pub fn history(&self) -> Vec<Value> {
        read_records(&self.state(), "history.jsonl")
    }

    pub fn events_of(&self, kind: &str) -> Vec<Value> {
        let mut events = read_records(&self.state(), "events.jsonl");
        events.retain(|event| event["kind"] == kind);
        events
    }

    /// At this very moment no file may be anywhere but where it was, or in the bucket.
    pub fn check_nothing_lost(&self) -> Result<(), String> {
        if !self.server.wait_until_idle(Duration::from_secs(30)) {
            return Err("the server is still at work".to_owned());
        }
        for item in ITEMS {
            let key = item.key();
            if item.is_at(&self.source(&item)) {
                continue;
            }
            if self.source(&item).exists() {
                return Err(format!("the source file of {key} is not what it was"));
            }
            if item.job == "keep" {
                return Err(format!("{key} is to be kept and is gone"));
            }
            if !self.has_object(&item) {
                return Err(format!("{key} is gone and has no identical object"));
            }
            if item.job == "move" && !item.is_at(&self.moved(&item)) {
                return Err(format!("{key} is not whole where it was moved to"));
            }
        }
        Ok(())
    }

    /// Runs on without interference, and checks all that has to be true at the end.
    pub fn check_recovery(&self) -> Result<Cost, String> {
        let mut cost = self.check_convergence()?;
        self.count_repetitions(&mut cost)?;
        Ok(cost)
    }

    /// The same after faults, which may cost any number of tries.
    pub fn check_convergence(&self) -> Result<Cost, String> {
        self.run_to_the_end("the recovery")?;
        self.check_nothing_lost()?;
        let requests = self.requests();
        self.run_to_the_end("the run after the recovery")?;
        if self.requests() > requests {
            let all = self.server.requests();
            return Err(format!("a run with nothing to do sends something: {all:?}"));
        }
        self.check_end_state()?;
        self.check_open_uploads()?;
        Ok(Cost {
            told_twice: self.check_history()?,
            ..Cost::default()
        })
    }

    /// How many there were so far, but for the looks for an upload that may have been begun when the
    /// program was killed, for a minute after it.
    pub fn requests(&self) -> usize {
        let requests = self.server.requests();
        let is_look = |request: &&Request| request.query.split('&').any(|part| part == "uploads");
        let looks = requests
            .iter()
            .filter(|r| r.method == "GET")
            .filter(is_look);
        requests.len() - looks.count()
    }

    fn run_to_the_end(&self, what: &str) -> Result<(), String> {
        let ending = strace::plain(self.folder(), &self.config());
        match ending.code {
            Some(0) => Ok(()),
            _ => Err(format!("{what}: {}", self.explain(&ending))),
        }
    }

    pub fn explain(&self, ending: &Ending) -> String {
        let requests = self.server.requests();
        let requests: Vec<String> = requests
            .iter()
            .map(|r| format!("{} {}?{} {:?}", r.method, r.path, r.query, r.status))
            .collect();
        let ledger = std::fs::read(self.state().join("ledger.jsonl")).unwrap_or_default();
        format!(
            "{ending:#?}\nstderr:\n{}\nrequests:\n{}\nledger:\n{}",
            ending.stderr,
            requests.join("\n"),
            String::from_utf8_lossy(&ledger)
        )
    }

    pub fn check_end_state(&self) -> Result<(), String> {
        for item in ITEMS {
            let key = item.key();
            if !self.has_object(&item) {
                return Err(format!("{key} has no identical object"));
            }
            if self.source(&item).exists() != (item.job == "keep") {
                return Err(format!("{key} is not where its job wants it"));
            }
        }
        let moved = std::fs::read_dir(&self.moved).unwrap().count();
        match moved {
            1 => Ok(()),
            _ => Err(format!("{moved} files are moved instead of one")),
        }
    }

    fn has_object(&self, item: &Item) -> bool {
        item.is_at(&self.server.object_path(BUCKET, &item.key()))
    }

    /// Every file is in the history; how many are there twice.
    fn check_history(&self) -> Result<usize, String> {
        let bytes = std::fs::read(self.state().join("history.jsonl")).unwrap_or_default();
        let history = self.history();
        if bytes.iter().filter(|byte| **byte == b'\n').count() != history.len() {
            return Err("the history has lines that cannot be read".to_owned());
        }
        let mut twice = 0;
        for item in ITEMS {
            let entries = history.iter().filter(|entry| entry["key"] == item.key());
            match entries.count() {
                0 => return Err(format!("{} is missing in the history", item.key())),
                1 => {}
                _ => twice += 1,
            }
        }
        Ok(twice)
    }

    /// No upload is left open, and no part lies about on the server.
    fn check_open_uploads(&self) -> Result<(), String> {
        match self.server.open_uploads() {
            (0, 0) => Ok(()),
            (uploads, parts) => Err(format!(
                "{uploads} uploads and {parts} parts are left on the server"
            )),
        }
    }

    fn count_repetitions(&self, cost: &mut Cost) -> Result<(), String> {
        let requests = self.server.requests();
        let mut files = BTreeMap::new();
        let mut parts = BTreeMap::new();
        for request in &requests {
            if let Some(number) = request.part_number() {
                *parts.entry(number).or_insert(0) += 1;
            } else if request.is_put_object() {
                *files.entry(&request.path).or_insert(0) += 1;
            }
        }
        let more_than = |limit: usize, counts: Vec<usize>| {
            counts.iter().filter(|count| **count > limit).count()
        };
        cost.files_sent_twice = more_than(1, files.values().copied().collect());
        cost.parts_sent_twice = more_than(1, parts.values().copied().collect());
        let thrice = more_than(2, files.into_values().chain(parts.into_values()).collect());
        match thrice {
            0 => Ok(()),
            _ => Err(format!("something was sent a third time: {requests:?}")),
        }
    }
}
