//! The program as its users run it: the real binary, a configuration file, folders.
//!
//! Every agent has folders of its own and an environment without the developer's AWS
//! settings and proxies, so that tests run beside each other and anywhere.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::files;
use super::process::ProcessInfo;
use super::running::Running;
use super::server::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};

/// The name of the one job that an agent has unless a test says otherwise.
pub const JOB: &str = "job";

/// How long a command may take before it is killed and the test fails.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// How long something that must come may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

pub struct Agent {
    folder: TempDir,
    /// The whole configuration, written anew before every run.
    pub config: Value,
    environment: Vec<(String, String)>,
}

/// What a finished command left.
#[derive(Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub took: Duration,
    /// In bytes, as sampled while it ran; 0 if it was too quick to be seen.
    pub peak_rss: u64,
    /// The most threads ever seen at once; 0 if it was too quick to be seen.
    pub max_threads: u64,
    /// User and system time, as sampled while it ran.
    #[allow(
        dead_code,
        reason = "a figure to print, which only the interop suite does"
    )]
    pub cpu: Duration,
}

impl Output {
    /// The objects of a `--json` answer, one a line.
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Itself, if the exit code is the expected one; else a panic that shows all it said.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Output {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

impl Agent {
    /// One job over path-style http to the server's first bucket, without a settle time.
    pub fn new(server: &S3Server) -> Agent {
        Agent::with_endpoint(&server.endpoint())
    }

    /// The same for any endpoint: a proxy in front of the server, or a scripted one.
    pub fn with_endpoint(endpoint: &str) -> Agent {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("source")).unwrap();
        let config = json!({
            "state_dir": folder.path().join("state"),
            "jobs": [{
                "name": JOB,
                "bucket": BUCKET,
                "region": "eu-west-2",
                "endpoint": endpoint,
                "addressing": "path",
                "source_path": folder.path().join("source"),
                "interval": "1h",
                "settle": "0s",
                "credentials": { "access_key": ACCESS_KEY, "secret_key": SECRET_KEY },
                "proxy": "bypass",
            }],
        });
        Agent {
            folder,
            config,
            environment: Vec::new(),
        }
    }

    /// Merges into the top level of the configuration; `null` takes a key out.
    pub fn with(mut self, overrides: Value) -> Agent {
        merge(&mut self.config, overrides);
        self
    }

    /// Merges into the job.
    pub fn with_job(mut self, overrides: Value) -> Agent {
        merge(&mut self.config["jobs"][0], overrides);
        self
    }

    /// Replaces the whole configuration.
    pub fn with_config(mut self, config: Value) -> Agent {
        self.config = config;
        self
    }

    pub fn with_env(mut self, name: &str, value: &str) -> Agent {
        self.set_env(name, value);
        self
    }

    /// As `with_env`, for the next run.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The agent's own folder: room for whatever else a test needs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("s3ferry.json")
    }

    pub fn source_file(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.source().join(name.as_ref())
    }

    /// A source file with [`files::Content`] of that size and seed, modified an hour ago.
    /// The name may have folders, which are made.
    pub fn write_file(&self, name: impl AsRef<OsStr>, size: u64, seed: u64) -> PathBuf {
        let path = self.source_file(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        files::write_content(&path, size, seed);
        files::set_age(&path, Duration::from_secs(3600));
        path
    }

    /// Runs a command with `-c` and waits for its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.write_config();
        self.run_as_it_is(arguments)
    }

    /// Writes `text` as the configuration, as it stands, and runs a command over it.
    pub fn run_with_text(&self, text: &str, arguments: &[&str]) -> Output {
        std::fs::write(self.config_path(), text).unwrap();
        self.run_as_it_is(arguments)
    }

    /// Runs a command over whatever lies at [`Agent::config_path`], or over nothing.
    pub fn run_as_it_is(&self, arguments: &[&str]) -> Output {
        let begin = Instant::now();
        let mut child = self.child(arguments, "command");
        let info = ProcessInfo::of(child.id());
        let (mut peak_rss, mut max_threads) = (0, 0);
        let mut cpu = Duration::ZERO;
        let status = loop {
            // Before the wait: the figure outlives the program's last instruction, until then.
            cpu = info.cpu().unwrap_or(cpu);
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            peak_rss = info.peak_rss().unwrap_or(peak_rss);
            max_threads = info.threads().unwrap_or(0).max(max_threads);
            if begin.elapsed() > DEADLINE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{arguments:?} did not end: {}", self.said("command.stderr"));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(!status.core_dumped(), "{arguments:?} dumped core");
        Output {
            stdout: self.said("command.stdout"),
            stderr: self.said("command.stderr"),
            code: status.code(),
            took: begin.elapsed(),
            peak_rss,
            max_threads,
            cpu,
        }
    }

    /// `s3ferry once`
    pub fn once(&self) -> Output {
        self.run(&["once"])
    }

    /// Starts the service, and waits until it says that it has started.
    pub fn start(&self) -> Running {
        let running = self.spawn();
        running.wait_for_event("service_started", SOON);
        running
    }

    /// Starts the service and waits for nothing.
    pub fn spawn(&self) -> Running {
        self.write_config();
        let child = self.child(&["run"], "service");
        Running::new(child, self.state(), self.folder().join("service.stderr"))
    }

    pub fn write_config(&self) {
        let text = serde_json::to_string_pretty(&self.config).unwrap();
        std::fs::write(self.config_path(), text).unwrap();
    }

    /// The records of `events.jsonl`, older files first.
    pub fn events(&self) -> Vec<Value> {
        read_records(&self.state(), "events.jsonl")
    }

    pub fn events_of(&self, kind: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["kind"] == kind);
        events
    }

    /// The events of that kind, as soon as there are `count` of them.
    #[track_caller]
    pub fn wait_for_events(&self, kind: &str, count: usize, limit: Duration) -> Vec<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let events = self.events_of(kind);
            if events.len() >= count {
                return events;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {count} `{kind}`",
                events.len()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The records of `history.jsonl`, older files first.
    pub fn history(&self) -> Vec<Value> {
        read_records(&self.state(), "history.jsonl")
    }

    /// Output goes to files: nobody has to read pipes while the program runs.
    fn child(&self, arguments: &[&str], name: &str) -> Child {
        let file = |suffix: &str| {
            let path = self.folder().join(format!("{name}.{suffix}"));
            File::create(path).unwrap()
        };
        let mut command = self.command(arguments);
        command.stdout(file("stdout")).stderr(file("stderr"));
        command.spawn().unwrap()
    }

    /// A command whose results go to `stdout`: its exit code, and what it says besides.
    pub fn run_into(&self, stdout: File, arguments: &[&str]) -> (Option<i32>, String) {
        self.write_config();
        let mut command = self.command(arguments);
        let output = command.stdout(stdout).stderr(Stdio::piped()).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        let (first, rest) = arguments.split_first().unwrap();
        command
            .arg(first)
            .arg("-c")
            .arg(self.config_path())
            .args(rest);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder())
            // Otherwise a missing key sends the program to an address off this machine.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.environment.iter().map(|(n, v)| (n, v)))
            .stdin(Stdio::null());
        command
    }

    fn said(&self, name: &str) -> String {
        let bytes = std::fs::read(self.folder().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The program under test: the binary that `S3FERRY_BIN` names, such as the one that ships, or
/// else the one that Cargo built beside the test.
pub fn binary() -> PathBuf {
    let chosen = std::env::var_os("S3FERRY_BIN").filter(|path| !path.is_empty());
    chosen.map_or_else(|| env!("CARGO_BIN_EXE_s3ferry").into(), PathBuf::from)
}

/// The program under test, before its arguments. `S3FERRY_RUNNER` is what runs a binary that is
/// none of this machine's, with arguments of its own: `qemu-arm-static -cpu cortex-a7`.
fn program() -> Command {
    let runner = runner();
    let mut words = runner.split_whitespace();
    let Some(emulator) = words.next() else {
        return Command::new(binary());
    };
    let mut command = Command::new(emulator);
    command.args(words).arg(binary());
    command
}

fn runner() -> String {
    std::env::var("S3FERRY_RUNNER").unwrap_or_default()
}

/// Whether an emulator stands between the kernel and the program.
pub fn is_emulated() -> bool {
    !runner().trim().is_empty()
}

/// The whole lines of a rotating JSON Lines file, older files first; a line that is being
/// written at this moment is left out.
pub fn read_records(state: &Path, name: &str) -> Vec<Value> {
    let mut paths: Vec<PathBuf> = (1..100)
        .map(|n| state.join(format!("{name}.{n}")))
        .take_while(|path| path.exists())
        .collect();
    paths.reverse();
    paths.push(state.join(name));
    let texts = paths
        .iter()
        .map(|path| std::fs::read(path).unwrap_or_default());
    let bytes: Vec<u8> = texts.flatten().collect();
    bytes
        .split_inclusive(|&b| b == b'\n')
        .filter_map(|line| serde_json::from_slice(line.strip_suffix(b"\n")?).ok())
        .collect()
}

/// As JSON merge patches do it: objects merge, `null` removes, all else replaces.
fn merge(into: &mut Value, from: Value) {
    let Value::Object(from) = from else {
        *into = from;
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in from {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(&key);
        } else {
            merge(&mut into[key], value);
        }
    }
}
