//! Living on flash: the state in memory with a durable copy.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::agent::{Agent, SOON};
use crate::support::files::holds_content;
use crate::support::mounts::Mount;
use crate::support::server::{BUCKET, Request, S3Options, S3Server};

const MIB: u64 = 1 << 20;

/// An agent with its state in memory; `None` where nothing may be mounted.
fn in_memory(server: &S3Server, interval: &str) -> Option<(Agent, Mount)> {
    let agent = Agent::new(server);
    let copy = json!({ "dir": copy_of(&agent), "interval": interval });
    let agent = agent.with(json!({ "state_copy": copy }));
    let memory = Mount::tmpfs(&agent.state(), 8 * MIB)?;
    Some((agent, memory))
}

fn copy_of(agent: &Agent) -> PathBuf {
    agent.folder().join("flash/s3ferry")
}

/// What a restart of the machine does to a state directory in memory.
fn restart(agent: &Agent, memory: Mount) -> Mount {
    drop(memory);
    let again = Mount::tmpfs(&agent.state(), 8 * MIB).unwrap();
    assert_eq!(std::fs::read_dir(agent.state()).unwrap().count(), 0);
    again
}

/// Every file of the copy with what a write would change.
fn marks(agent: &Agent) -> BTreeMap<String, (u64, i64, i64, u64)> {
    let entries = std::fs::read_dir(copy_of(agent)).unwrap();
    let mark = |entry: std::fs::DirEntry| {
        let file = entry.metadata().unwrap();
        let name = entry.file_name().into_string().unwrap();
        (
            name,
            (file.ino(), file.ctime(), file.ctime_nsec(), file.len()),
        )
    };
    entries.map(|entry| mark(entry.unwrap())).collect()
}

#[track_caller]
fn wait_until(reached: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !reached() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_restart_of_the_machine_sends_nothing_again() {
    let server = S3Server::start(S3Options::default());
    let Some((agent, memory)) = in_memory(&server, "1h") else {
        return;
    };
    for number in 0..20 {
        agent.write_file(format!("{number}"), 1000, number);
    }
    agent.run(&["pause", "job"]).expect_code(0);
    agent.run(&["resume", "job"]).expect_code(0);
    agent.once().expect_code(0);
    let (history, requests) = (agent.history(), server.requests().len());
    assert_eq!((history.len(), requests), (20, 20));

    let memory = restart(&agent, memory);
    // Before anything is started, the copy answers.
    let planned = agent.run(&["plan", "--json"]).expect_code(0).json_lines();
    assert!(
        planned.iter().all(|line| line["action"] == "skip"),
        "{planned:#?}"
    );
    let shown = agent
        .run(&["history", "--json"])
        .expect_code(0)
        .json_lines();
    assert_eq!(shown, history);
    // Another job's pause must not go when one is paused before the first start.
    agent.run(&["pause"]).expect_code(0);
    agent.run(&["resume"]).expect_code(0);

    agent.once().expect_code(0);
    assert_eq!(server.requests().len(), requests);
    assert_eq!(agent.history(), history);
    drop(memory);
}

#[test]
fn nothing_is_written_to_flash_while_nothing_changes() {
    let server = S3Server::start(S3Options::default());
    let Some((agent, _memory)) = in_memory(&server, "1s") else {
        return;
    };
    let agent = agent.with_job(json!({ "interval": "1s" }));
    for number in 0..10 {
        agent.write_file(format!("{number}"), 1000, number);
    }
    let running = agent.start();
    running.wait_for_event("pass_finished", SOON);
    let ledger = |folder: PathBuf| std::fs::read(folder.join("ledger.jsonl")).unwrap_or_default();
    // At the interval, by itself.
    wait_until(|| ledger(copy_of(&agent)) == ledger(agent.state()));
    wait_until(|| copy_of(&agent).join("copy_id").exists());
    let before = marks(&agent);
    // Three passes and three intervals.
    std::thread::sleep(Duration::from_millis(3500));
    assert_eq!(marks(&agent), before);

    // What is new is appended: the files stay the same ones.
    agent.write_file("new", 1000, 99);
    wait_until(|| marks(&agent)["ledger.jsonl"].3 > before["ledger.jsonl"].3);
    wait_until(|| ledger(copy_of(&agent)) == ledger(agent.state()));
    for name in ["ledger.jsonl", "history.jsonl", "events.jsonl"] {
        assert_eq!(marks(&agent)[name].0, before[name].0, "{name}");
    }
    assert!(running.stop().success());
    assert_eq!(ledger(copy_of(&agent)), ledger(agent.state()));
}

#[test]
fn a_power_cut_costs_what_came_after_the_copy_and_a_part_of_a_large_file() {
    let server = S3Server::start(S3Options::default());
    let Some((agent, memory)) = in_memory(&server, "1h") else {
        return;
    };
    let parts =
        json!({ "multipart_threshold": "8MiB", "part_size": "5MiB", "bandwidth_limit": "8MiB/s" });
    let agent = agent.with_job(json!({ "order": "name", "transfer": parts }));
    agent.write_file("a-first", 1000, 1);
    agent.once().expect_code(0);
    // Not in the copy but by the large file that comes after it.
    agent.write_file("b-second", 1000, 2);
    agent.write_file("c-large", 25 * MIB, 3);
    let running = agent.start();
    let third = |request: &Request| request.part_number() == Some(3);
    assert!(server.wait_for_requests(1, SOON, third));
    running.kill();
    let _memory = restart(&agent, memory);

    let before = server.requests().len();
    let agent = agent.with_job(json!({ "transfer": { "bandwidth_limit": null } }));
    agent.once().expect_code(0);
    for (name, size, seed) in [
        ("a-first", 1000, 1),
        ("b-second", 1000, 2),
        ("c-large", 25 * MIB, 3),
    ] {
        assert!(
            holds_content(&server.object_path(BUCKET, name), size, seed),
            "{name}"
        );
    }
    let sent: Vec<u32> = server.requests()[before..]
        .iter()
        .filter_map(Request::part_number)
        .collect();
    assert_eq!(sent, [3, 4, 5], "the parts that S3 had are found again");
    assert_eq!(server.open_uploads(), (0, 0));
    assert_eq!(agent.events_of("upload_resumed").len(), 1);
    let puts = |name: &str| {
        let path = format!("/{BUCKET}/{name}");
        let requests = server.requests();
        requests
            .iter()
            .filter(|r| r.is_put_object() && r.path == path)
            .count()
    };
    assert_eq!((puts("a-first"), puts("b-second")), (1, 1));
}

#[test]
fn a_copy_that_cannot_be_written_is_told_and_stops_nothing() {
    let server = S3Server::start(S3Options::default());
    let Some((agent, _memory)) = in_memory(&server, "1s") else {
        return;
    };
    std::fs::create_dir_all(copy_of(&agent)).unwrap();
    let Some(flash) = Mount::tmpfs(&copy_of(&agent), MIB) else {
        return;
    };
    let running = agent.start();
    flash.set_read_only(true);
    agent.write_file("a", 1000, 1);
    running.signal(rustix::process::Signal::USR1);
    running.wait_for_event("upload_finished", SOON);
    let failed = running.wait_for_event("job_blocked", SOON);
    assert!(
        failed["message"].as_str().unwrap().contains("state_copy"),
        "{failed}"
    );
    flash.set_read_only(false);
    running.wait_for_event("job_unblocked", SOON);
    assert!(running.stop().success());
    assert!(copy_of(&agent).join("history.jsonl").exists());

    // No reason not to start, either; `once` says by its code what it could not do.
    flash.set_read_only(true);
    agent.write_file("b", 1000, 2);
    let output = agent.once().expect_code(74);
    assert!(output.stderr.contains("state_copy"), "{output:#?}");
    assert!(server.keys(BUCKET).contains("b"));
    let status = agent.run(&["status", "--json"]).json_lines().remove(0);
    assert_eq!(status["state_copy_failing"], true, "{status}");
}

/// What the copy knows must outlive a start that comes before the mount of its disk.
#[test]
fn a_disk_that_is_mounted_late_loses_nothing() {
    let server = S3Server::start(S3Options::default());
    let Some((agent, memory)) = in_memory(&server, "1s") else {
        return;
    };
    let mut agent = agent;
    let mut other = agent.config["jobs"][0].clone();
    other["name"] = json!("other");
    other["prefix"] = json!("other/");
    agent.config["jobs"].as_array_mut().unwrap().push(other);
    let (disk, at) = (agent.folder().join("disk"), agent.folder().join("flash"));
    std::fs::create_dir_all(&at).unwrap();
    std::fs::create_dir_all(&disk).unwrap();
    let Some(flash) = Mount::bind(&disk, &at) else {
        return;
    };
    for number in 0..20 {
        agent.write_file(format!("{number}"), 1000, number);
    }
    agent.run(&["pause", "other"]).expect_code(0);
    agent.once().expect_code(0);
    let (history, events) = (agent.history(), agent.events());
    assert_eq!(history.len(), 20);
    drop(flash);

    // Nothing is there at first, and the service begins a copy in the folder below the mount.
    let memory = restart(&agent, memory);
    let elsewhere = agent.folder().join("elsewhere");
    std::fs::rename(agent.source(), &elsewhere).unwrap();
    std::fs::create_dir(agent.source()).unwrap();
    agent.write_file("while-away", 1000, 99);
    let running = agent.start();
    running.wait_for_events("pass_finished", 2, SOON);
    wait_until(|| copy_of(&agent).join("ledger.jsonl").exists());
    let sent = server.requests().len();
    let Some(flash) = Mount::bind(&disk, &at) else {
        return;
    };
    std::fs::rename(
        agent.source_file("while-away"),
        elsewhere.join("while-away"),
    )
    .unwrap();
    std::fs::remove_dir(agent.source()).unwrap();
    std::fs::rename(&elsewhere, agent.source()).unwrap();
    running.signal(rustix::process::Signal::USR1);
    let told = running.wait_for_event("record_repaired", SOON);
    let hint = told["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("mounted before s3ferry starts"), "{told}");
    running.wait_for_event("processing_paused", SOON);
    assert!(running.stop().success());
    assert_eq!(server.requests().len(), sent, "nothing is sent again");
    assert_eq!(agent.events_of("record_repaired").len(), 1);

    // Over another restart, with the disk there at once: all of it is in the copy.
    let memory = restart(&agent, memory);
    agent.once().expect_code(0);
    assert_eq!(server.requests().len(), sent);
    let (kept, kept_events) = (agent.history(), agent.events());
    assert_eq!(kept[..20], history[..]);
    assert_eq!(kept.len(), 22);
    assert_eq!(kept_events[..events.len()], events[..]);
    assert_eq!(agent.events_of("record_repaired").len(), 1);
    drop((flash, memory));
}

#[test]
fn a_pause_holds_where_the_copy_cannot_be_written() {
    let server = S3Server::start(S3Options::default());
    let Some((agent, _memory)) = in_memory(&server, "1h") else {
        return;
    };
    let Some(flash) = Mount::tmpfs(&copy_of(&agent), MIB) else {
        return;
    };
    let running = agent.start();
    flash.set_read_only(true);
    let output = agent.run(&["pause"]).expect_code(74);
    assert!(output.stdout.contains("job: paused"), "{output:#?}");
    let copy = copy_of(&agent).display().to_string();
    for part in ["not after a power cut", &copy, "writable"] {
        assert!(output.stderr.contains(part), "{part}: {output:#?}");
    }
    running.wait_for_event("processing_paused", SOON);
    agent.write_file("a", 10, 1);
    flash.set_read_only(false);
    agent.run(&["resume"]).expect_code(0);
    running.wait_for_event("upload_finished", SOON);
    assert!(running.stop().success());
}

#[test]
fn a_copy_in_a_senseless_place_is_refused() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let (state, source) = (agent.state(), agent.source());
    for dir in [state.clone(), state.join("copy"), source.join("copy")] {
        let agent = Agent::new(&server)
            .with(json!({ "state_dir": state, "state_copy": { "dir": dir } }))
            .with_job(json!({ "source_path": source }));
        let output = agent.run(&["check", "--offline"]).expect_code(78);
        assert!(output.stderr.contains("state_copy"), "{output:#?}");
    }
}
