//! `status.json`: what the agent is doing, for `s3ferry status` and for whoever polls a file.
//!
//! Replaced atomically, at most once a second, and not at all while nothing changes.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::os::{durable, notify};
use crate::record::timestamp;
use crate::text::{human_duration, human_rate, human_size};
use crate::transport::clock_floor;

/// What a damaged `processing.json` comes to, and its cure.
pub const ALL_PAUSED: &str =
    "`processing.json` is damaged, so nobody knows which jobs were paused: all of them are paused";
pub const RESUME: &str = "`s3ferry resume` goes on with all jobs, `s3ferry resume JOB` with some";

/// What a state directory that cannot be written comes to.
pub const STATE_DIR_FAILING: &str =
    "could not be written; nothing is deleted or moved until it can";
/// The same of its copy.
pub const STATE_COPY_FAILING: &str = "the copy of the state directory (`state_copy`) could not be \
     written; a power cut loses more than it should, and `s3ferry events` tells why";

/// What is left to do where `prune` finds too few files.
pub const MAKE_ROOM: &str = "make room on the disk, or lower `prune.keep_free`";

const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub v: u32,
    pub version: String,
    pub pid: i32,
    pub started_at: String,
    pub updated_at: String,
    /// The latest time that a server told over TLS: the floor of the TLS clock at the next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time: Option<String>,
    /// The state directory could not be written the last time; this file may be old then.
    pub state_dir_failing: bool,
    /// The same of its copy. As all that follows and is seldom, it is written only where it is so, to
    /// spare the flash.
    #[serde(default, skip_serializing_if = "is_default")]
    pub state_copy_failing: bool,
    /// `processing.json` is damaged, so every job is paused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub processing_damaged: bool,
    /// This run has logged that as an error.
    #[serde(skip)]
    pub damage_logged: bool,
    /// The configuration on the disk, as long as the one before it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_rejected: Option<Rejected>,
    pub jobs: Vec<JobStatus>,
}

/// A configuration that was refused, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    pub time: String,
    pub message: String,
}

/// One job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    pub name: String,
    /// `waiting`, `working`, `retrying`, `blocked`, `paused` or `outside_window`.
    pub state: String,
    /// When the pass under way, or else the last one, began.
    pub last_pass: Option<String>,
    /// `None` while one is under way.
    pub next_pass: Option<String>,
    /// The next try, while retrying.
    pub next_try: Option<String>,
    pub current: Option<CurrentFile>,
    /// Files that wait to be sent, as the last walk counted them less those sent since.
    pub backlog: u64,
    pub backlog_bytes: u64,
    pub last_error: Option<LastError>,
    /// Files that no pass can send, or see to, as they are: as the last pass found them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stuck: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stuck_files: Vec<StuckFile>,
    /// Bytes that `prune` could not make free.
    #[serde(default, skip_serializing_if = "is_default")]
    pub room_lacking: u64,
    /// What has been told of as broken and not yet as mended, so that the next start knows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub told: Told,
}

/// Which bad news is out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// `connection_failed`.
    pub connection: bool,
    /// `job_blocked`, by S3.
    pub refused: bool,
    /// `job_blocked`, by the source folder.
    pub folder: bool,
    /// `files_pruned`, which were too few.
    #[serde(default, skip_serializing_if = "is_default")]
    pub room: bool,
}

/// The file under way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CurrentFile {
    pub source_path: String,
    pub key: String,
    pub size: u64,
    pub sent: u64,
    pub bytes_per_second: u64,
}

/// A file that waits for somebody.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StuckFile {
    pub source_path: String,
    pub message: String,
    pub hint: Option<String>,
}

/// The failure that was seen last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LastError {
    pub time: String,
    pub class: String,
    pub message: String,
    pub hint: Option<String>,
    /// This run has logged it as an error.
    #[serde(skip)]
    pub logged: bool,
}

impl CurrentFile {
    /// The file, how much of it is sent, how fast, and how long that will still take.
    pub fn progress(&self) -> String {
        let percent = (u128::from(self.sent) * 100)
            .checked_div(u128::from(self.size))
            .unwrap_or(100);
        let left = self
            .size
            .saturating_sub(self.sent)
            .checked_div(self.bytes_per_second)
            .map(|seconds| format!(", {} left", human_duration(Duration::from_secs(seconds))))
            .unwrap_or_default();
        format!(
            "{} ({percent} % of {}, {}{left})",
            self.source_path,
            human_size(self.size),
            human_rate(self.bytes_per_second)
        )
    }
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the old configuration stays in force: {}", self.message)
    }
}

impl Status {
    /// What every job does, on one line: for the supervisor.
    fn line(&self) -> String {
        let rejected = self.configuration_rejected.iter();
        let rejected = rejected.map(|rejected| rejected.to_string());
        let jobs = self.jobs.iter().map(JobStatus::line);
        rejected.chain(jobs).collect::<Vec<String>>().join("; ")
    }
}

/// Keeps the status and writes it.
#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    status: Status,
    written: Option<Status>,
    written_at: Option<Instant>,
}

impl StatusFile {
    pub fn new(state_dir: &Path, jobs: &[String]) -> StatusFile {
        let status = Status {
            v: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            started_at: timestamp(clock::wall()),
            jobs: jobs.iter().map(|name| JobStatus::waiting(name)).collect(),
            ..Status::default()
        };
        StatusFile {
            path: path(state_dir),
            inner: RefCell::new(Inner {
                status,
                written: None,
                written_at: None,
            }),
        }
    }

    /// Changes one job's status.
    pub fn job(&self, name: &str, change: impl FnOnce(&mut JobStatus)) {
        let mut inner = self.inner.borrow_mut();
        if let Some(job) = inner.status.jobs.iter_mut().find(|job| job.name == name) {
            change(job);
        }
    }

    /// Changes what is not about one job.
    pub fn service(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.inner.borrow_mut().status);
    }

    /// What would be written now.
    pub fn current(&self) -> Status {
        self.inner.borrow().status.clone()
    }

    /// Writes what has changed, unless that was done within the last second.
    pub fn write_if_due(&self, now: Instant) {
        let recent = self
            .inner
            .borrow()
            .written_at
            .is_some_and(|at| now.saturating_duration_since(at) < AT_MOST_EVERY);
        if !recent {
            self.write(now);
        }
    }

    /// Writes what has changed.
    pub fn write(&self, now: Instant) {
        let mut inner = self.inner.borrow_mut();
        if inner.written.as_ref() == Some(&inner.status) {
            return;
        }
        inner.written_at = Some(now);
        notify::status(|| inner.status.line());
        let mut content = inner.status.clone();
        content.updated_at = timestamp(clock::wall());
        content.server_time = clock_floor().map(timestamp);
        let mut text = serde_json::to_vec(&content).unwrap_or_default();
        text.push(b'\n');
        // No fsync: after a power cut nobody runs, and an old status is as good as none.
        match durable::replace_volatile(&self.path, &text) {
            Ok(()) => inner.written = Some(inner.status.clone()),
            Err(error) => log::debug!("cannot write `{}`: {error}", self.path.display()),
        }
    }
}

impl JobStatus {
    fn waiting(name: &str) -> JobStatus {
        JobStatus {
            name: name.to_owned(),
            state: "waiting".to_owned(),
            ..JobStatus::default()
        }
    }

    /// The state in words.
    pub fn state_shown(&self) -> String {
        self.state.replace('_', " ")
    }

    fn line(&self) -> String {
        let mut line = format!("{}: {}", self.name, self.state_shown());
        match (&self.current, &self.last_error) {
            (Some(file), _) => line += &format!(", {}", file.progress()),
            (None, Some(error)) if matches!(&*self.state, "retrying" | "blocked") => {
                line += &format!(", {}", error.message);
            }
            _ => {}
        }
        if let Some(next) = self.next_try.as_ref().or(self.next_pass.as_ref())
            && self.current.is_none()
        {
            line += &format!(", next {next}");
        }
        line
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Where the status of a state directory is.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("status.json")
}

/// What the agent wrote last; `None` when there is nothing that can be read as a status.
pub fn read(state_dir: &Path) -> Option<Status> {
    serde_json::from_slice(&std::fs::read(path(state_dir)).ok()?).ok()
}
