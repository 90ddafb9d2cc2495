//! A state directory that cannot be written: the exit code, the cure, and the events.

use rustix::process::Signal;
use serde_json::json;

use crate::support::agent::{Agent, SOON};
use crate::support::lacks;
use crate::support::mounts::Mount;
use crate::support::server::{BUCKET, Request, S3Options, S3Server};

const ROOM: u64 = 512 * 1024;
const FILES: u64 = 40;

#[test]
fn a_read_only_state_directory_is_a_local_failure_with_its_cure() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let Some(mount) = Mount::tmpfs(&agent.state(), ROOM) else {
        return;
    };
    mount.set_read_only(true);
    agent.write_file("a", 10, 1);
    for command in ["once", "run", "cleanup", "pause"] {
        let output = agent.run(&[command]);
        assert_eq!(output.code, Some(74), "{command}: {output:#?}");
        assert!(output.stderr.contains("writable"), "{command}: {output:#?}");
    }
    assert!(server.requests().is_empty());
    // It writes nothing.
    let planned = agent.run(&["plan", "--json"]).expect_code(0).json_lines();
    assert_eq!(planned[0]["action"], "upload", "{planned:?}");
    let output = agent.run(&["check"]).expect_code(74);
    assert!(output.stdout.contains("writable"), "{output:#?}");
}

#[test]
fn a_full_disk_is_told_as_such() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let Some(mount) = Mount::tmpfs(&agent.state(), ROOM) else {
        return;
    };
    mount.fill();
    let output = agent.run(&["pause"]).expect_code(74);
    assert!(output.stderr.contains("make room"), "{output:#?}");
    let output = agent.run(&["check", "--offline"]).expect_code(74);
    assert!(output.stdout.contains("make room"), "{output:#?}");
}

#[test]
fn a_start_on_a_full_disk_sends_and_deletes_nothing() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({ "after_upload": "delete" }));
    let Some(mount) = Mount::tmpfs(&agent.state(), ROOM) else {
        return;
    };
    agent.write_file("first", 10, 1);
    agent.once().expect_code(0);
    // More than the pages of the records have left.
    let filling = mount.fill();
    for number in 0..FILES {
        agent.write_file(format!("{number}"), 10, number);
    }
    let output = agent.once().expect_code(74);
    assert!(output.stderr.contains("state directory"), "{output:#?}");
    assert_eq!(server.keys(BUCKET).len(), FILES as usize + 1);
    let left = || std::fs::read_dir(agent.source()).unwrap().count();
    assert!(left() > 0, "nothing may go while it cannot be written down");
    let running = agent.spawn();
    let running_status = || agent.run(&["status", "--json"]).json_lines().remove(0);
    let deadline = std::time::Instant::now() + SOON;
    while running_status()["running"] != true {
        assert!(std::time::Instant::now() < deadline);
    }
    assert!(running.stop().success());

    std::fs::remove_file(filling).unwrap();
    agent.once().expect_code(0);
    assert_eq!(left(), 0);
}

#[test]
fn a_folder_in_the_place_of_a_file_is_named() {
    let server = S3Server::start(S3Options::default());
    for name in ["ledger.jsonl", "lock"] {
        let agent = Agent::new(&server);
        let path = agent.state().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let output = agent.once().expect_code(74);
        let shown = path.display().to_string();
        for part in [&*shown, "remove that folder"] {
            assert!(output.stderr.contains(part), "{part}: {output:#?}");
        }
        let output = agent.run(&["check", "--offline"]).expect_code(74);
        for part in [&*shown, "remove that folder"] {
            assert!(output.stdout.contains(part), "{part}: {output:#?}");
        }
    }
}

#[test]
fn a_full_disk_for_moved_files_is_told_as_such() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let sent = agent.folder().join("sent");
    let agent = agent.with_job(json!({ "after_upload": { "move_to": sent } }));
    let Some(mount) = Mount::tmpfs(&sent, ROOM) else {
        return;
    };
    mount.fill();
    agent.write_file("a", 10_000, 1);
    agent.once().expect_code(74);
    let told = &agent.events_of("file_skipped")[0];
    let hint = told["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("make room"), "{told}");
}

#[test]
fn a_state_directory_that_fills_up_is_an_event_and_so_is_its_end() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({ "after_upload": "delete" }));
    let Some(mount) = Mount::tmpfs(&agent.state(), ROOM) else {
        return;
    };
    let running = agent.start();
    let filling = mount.fill();
    // More than fits into what is left of the pages that the records have.
    for number in 0..FILES {
        agent.write_file(format!("{number}"), 10, number);
    }
    running.signal(Signal::USR1);
    let sent = |request: &Request| request.status == Some(200);
    assert!(server.wait_for_requests(FILES as usize, SOON, sent));
    let left = || std::fs::read_dir(agent.source()).unwrap().count();
    assert!(left() > 0, "nothing may go while it cannot be written down");

    std::fs::remove_file(filling).unwrap();
    running.signal(Signal::USR1);
    let restored = running.wait_for_event("job_unblocked", SOON);
    assert_eq!(
        (&restored["severity"], &restored["job"]),
        (&json!("info"), &json!(null))
    );
    let failed = &agent.events_of("job_blocked")[0];
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .contains("state directory"),
        "{failed}"
    );
    assert_eq!(failed["error"]["class"], "local");
    // Told when there was room, dated when it happened.
    assert!(failed["time"].as_str() < restored["time"].as_str());
    let deadline = std::time::Instant::now() + SOON;
    while left() > 0 {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(running.stop().success());
    assert_eq!(server.keys(BUCKET).len(), FILES as usize);
    assert_eq!(agent.history().len(), FILES as usize);
}

/// An administrator's command must not leave a service of another user without its own files.
#[test]
fn what_root_writes_belongs_to_the_owner_of_the_folder() {
    use std::os::unix::fs::{MetadataExt, chown};
    if lacks(
        "the right to give files away",
        rustix::process::geteuid().is_root(),
    ) {
        return;
    }
    const NOBODY: u32 = 65534;
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    std::fs::create_dir_all(agent.state()).unwrap();
    chown(agent.state(), Some(NOBODY), Some(NOBODY)).unwrap();
    agent.write_file("a", 10, 1);
    agent.run(&["once"]).expect_code(0);
    agent.run(&["pause"]).expect_code(0);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(agent.state()).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        assert_eq!(
            (metadata.uid(), metadata.gid()),
            (NOBODY, NOBODY),
            "{entry:?}"
        );
        names.push(entry.file_name().into_string().unwrap());
    }
    for name in [
        "events.jsonl",
        "history.jsonl",
        "lock",
        "processing.json",
        "status.json",
    ] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
}
