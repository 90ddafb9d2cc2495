//! A command and the service replace the same file at the same moment: a delay of the one's rename
//! makes it certain.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::strace;
use crate::support::agent::{Agent, SOON, binary};

/// The service copies at the latest after one second; only a very busy machine needs the second.
const DELAYS: [Duration; 2] = [Duration::from_secs(4), Duration::from_secs(30)];

#[test]
fn a_pause_whose_copy_the_service_has_taken_along_is_kept_all_the_same() {
    let _turn = strace::turn();
    if strace::is_missing() {
        return;
    }
    let met = DELAYS.into_iter().any(pause_late);
    assert!(met, "the service never copied while the command waited");
}

/// Pauses, with this delay before the rename in the copy of the state directory. Whether the service
/// was there first; that all is as it should be is certain then.
fn pause_late(delay: Duration) -> bool {
    let agent = Agent::with_endpoint("http://127.0.0.1:9").with_job(json!({ "interval": "1s" }));
    let copy = agent.folder().join("copy");
    let agent = agent.with(json!({ "state_copy": { "dir": copy, "interval": "1s" } }));
    std::fs::create_dir_all(agent.source()).unwrap();
    let running = agent.start();
    let begin = Instant::now();
    while !copy.join("events.jsonl").exists() {
        assert!(begin.elapsed() < SOON, "{}", running.stderr());
        std::thread::sleep(Duration::from_millis(10));
    }

    let trace = agent.folder().join("trace");
    let new = copy.join("processing.json.new");
    let paused = pause_under_strace(&agent, &new, &trace, delay);
    let trace = std::fs::read_to_string(trace).unwrap();
    assert_eq!(paused.status.code(), Some(0), "{paused:?}\n{trace}");
    running.wait_for_event("processing_paused", SOON);
    let read = |folder: &Path| std::fs::read(folder.join("processing.json")).unwrap();
    let states: Value = serde_json::from_slice(&read(&copy)).unwrap();
    assert_eq!(states["enabled"]["job"], false, "{states}");
    assert_eq!(read(&copy), read(&agent.state()));
    assert!(!new.exists());
    assert!(running.stop().success());
    trace.contains("ENOENT")
}

/// `s3ferry pause`, of whose calls strace sees the renames of `path` and holds up the first.
fn pause_under_strace(agent: &Agent, path: &Path, trace: &Path, delay: Duration) -> Output {
    let renames = "?rename,?renameat,?renameat2";
    let delay = format!("delay_enter={}", delay.as_micros());
    Command::new("strace")
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(trace)
        .arg("-P")
        .arg(path)
        .args(["-e", &format!("trace={renames}")])
        .args(["-e", &format!("inject={renames}:{delay}:when=1")])
        .arg(binary())
        .args(["pause", "-c"])
        .arg(agent.config_path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}
