//! The program under `strace`, which counts its system calls, and kills or fails them.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After this a run counts as hung.
const DEADLINE: Duration = Duration::from_secs(90);

/// How a run ended.
#[derive(Debug)]
pub struct Ending {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub hung: bool,
    pub stderr: String,
}

/// What to do to which calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    pub call: String,
    /// `signal=KILL`, `error=EIO`
    pub action: String,
    /// `3`: the third call; `3+`: from the third on
    pub when: String,
    /// Only calls on one of these paths; empty: all.
    pub paths: Vec<PathBuf>,
}

impl std::fmt::Display for Injection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.call, self.action, self.when)
    }
}

/// One suite at a time: each fills the machine by itself.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is no strace that may trace.
pub fn is_missing() -> bool {
    let works = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=none", "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    crate::support::lacks("a strace that may trace", works)
}

/// The calls of a run, by kind; of each its result, as strace writes it.
pub type Calls = BTreeMap<String, Vec<String>>;

/// Runs `once` and notes the calls of each kind; with `paths`, those on them alone.
pub fn calls(folder: &Path, config: &Path, calls: &[&str], paths: &[PathBuf]) -> (Ending, Calls) {
    let trace = folder.join("trace");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(&trace);
    narrow(&mut command, calls, paths);
    let ending = finish(command, folder, config);
    let mut noted = Calls::new();
    for line in std::fs::read_to_string(&trace).unwrap_or_default().lines() {
        // `4242  openat(AT_FDCWD, …`; a resumed call has been counted already.
        let call = line.split_ascii_whitespace().nth(1).unwrap_or_default();
        if let Some((name, _)) = call.split_once('(') {
            let result = line.rsplit(" = ").next().unwrap_or_default();
            noted
                .entry(name.to_owned())
                .or_default()
                .push(result.to_owned());
        }
    }
    (ending, noted)
}

/// Runs `once` under the injection.
pub fn inject(folder: &Path, config: &Path, injection: &Injection) -> Ending {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "signal=none", "-o", "/dev/null"]);
    narrow(&mut command, &[&injection.call], &injection.paths);
    let Injection {
        call, action, when, ..
    } = injection;
    command.args(["-e", &format!("inject={call}:{action}:when={when}")]);
    finish(command, folder, config)
}

/// Runs `once` without strace.
pub fn plain(folder: &Path, config: &Path) -> Ending {
    finish(Command::new("env"), folder, config)
}

// Without `--seccomp-bpf`: with it, strace 6.1 loses the signal that it should inject.
fn narrow(command: &mut Command, calls: &[&str], paths: &[PathBuf]) {
    let calls: Vec<String> = calls.iter().map(|call| format!("?{call}")).collect();
    command.args(["-e", &format!("trace={}", calls.join(","))]);
    for path in paths {
        command.arg("-P").arg(path);
    }
}

fn finish(mut command: Command, folder: &Path, config: &Path) -> Ending {
    let said = folder.join("stderr");
    command
        .arg(crate::support::agent::binary())
        .args(["once", "--give-up", "2s", "-c"])
        .arg(config)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&said).unwrap());
    let mut child = command.spawn().unwrap();
    let begin = Instant::now();
    let mut hung = false;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begin.elapsed() > DEADLINE && !hung {
            hung = true;
            stop_tracee(child.id());
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(3));
    };
    let stderr = std::fs::read(&said).unwrap_or_default();
    Ending {
        code: status.code(),
        signal: status.signal(),
        hung,
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// The traced program would live on when strace is killed.
fn stop_tracee(strace: u32) {
    let children = format!("/proc/{strace}/task/{strace}/children");
    for child in std::fs::read_to_string(children)
        .unwrap_or_default()
        .split_whitespace()
    {
        let _ = Command::new("kill").args(["-KILL", child]).status();
    }
}

/// Does `work` to each of `items`, two at a time, and returns what came out, in order.
pub fn two_at_a_time<I: Sync, O: Send>(items: &[I], work: impl Fn(&I) -> O + Sync) -> Vec<O> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = work(item);
                    done.lock().unwrap().push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
