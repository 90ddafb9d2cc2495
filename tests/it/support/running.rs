//! The service while it runs.

use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::agent::read_records;
use super::process::ProcessInfo;

/// A child that runs `s3ferry run`; dropping it kills it.
pub struct Running {
    child: Child,
    state: PathBuf,
    stderr: PathBuf,
}

impl Running {
    pub fn new(child: Child, state: PathBuf, stderr: PathBuf) -> Self {
        Running {
            child,
            state,
            stderr,
        }
    }

    pub fn info(&self) -> ProcessInfo {
        ProcessInfo::of(self.child.id())
    }

    #[allow(dead_code, reason = "only some suites ask for it")]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The first event of that kind, past or to come.
    #[track_caller]
    pub fn wait_for_event(&self, kind: &str, limit: Duration) -> Value {
        self.wait_for_events(kind, 1, limit).remove(0)
    }

    /// The events of that kind, as soon as there are `count` of them.
    #[track_caller]
    pub fn wait_for_events(&self, kind: &str, count: usize, limit: Duration) -> Vec<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let mut events = read_records(&self.state, "events.jsonl");
            events.retain(|event| event["kind"] == kind);
            if events.len() >= count {
                return events;
            }
            assert!(
                self.info().is_alive(),
                "the service ended before `{kind}` came: {}",
                self.stderr()
            );
            assert!(
                Instant::now() < deadline,
                "{} of {count} `{kind}` after {limit:?}: {}",
                events.len(),
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How often it has gone to sleep, as soon as it sleeps for longer than a moment.
    #[track_caller]
    pub fn at_rest(&self) -> u64 {
        let (deadline, mut last) = (Instant::now() + Duration::from_secs(30), None);
        loop {
            std::thread::sleep(Duration::from_millis(300));
            let now = self.info().sleeps();
            if now == last && self.info().is_asleep() {
                return now.unwrap();
            }
            assert!(Instant::now() < deadline, "it never comes to rest");
            last = now;
        }
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// `SIGTERM`, and how it ended.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(Duration::from_secs(10))
    }

    /// Waits for its end without asking for it.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "still running: {}",
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// `SIGKILL`: what a power cut leaves behind, as far as the program is concerned.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has already ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
