//! A source whose disk fills up: what is uploaded goes, and nothing else; windows do not count.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::agent::{Agent, SOON};
use crate::support::files::{set_age, write_content};
use crate::support::mounts::Mount;
use crate::support::server::{BUCKET, Failure, S3Options, S3Server};

const MIB: u64 = 1 << 20;

fn free(at: &Path) -> u64 {
    let disk = rustix::fs::statvfs(at).unwrap();
    disk.f_bavail * disk.f_frsize
}

/// A disk of 10 MiB with files of 1 MiB; the higher the number, the younger.
fn write(agent: &Agent, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let path = agent.source_file(format!("{number:02}"));
        write_content(&path, MIB, number);
        set_age(&path, Duration::from_secs(10_000 - 100 * number));
    }
}

fn names(agent: &Agent) -> Vec<String> {
    let entries = std::fs::read_dir(agent.source()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn keeping_free(agent: Agent, keep_free: &str) -> Agent {
    agent.with_job(json!({ "prune": { "keep_free": keep_free } }))
}

#[test]
fn the_oldest_uploaded_files_go_until_the_share_is_free() {
    let server = S3Server::start(S3Options::default());
    let agent = keeping_free(Agent::new(&server), "25%");
    let Some(_mount) = Mount::tmpfs(&agent.source(), 10 * MIB) else {
        return;
    };
    write(&agent, 0..5);
    agent.once().expect_code(0);
    assert_eq!(names(&agent).len(), 5, "half of the disk is free");
    assert!(agent.events_of("files_pruned").is_empty());

    // 9 MiB of 10: 25 % are free again when the two oldest have gone.
    write(&agent, 5..9);
    let planned = agent.run(&["plan", "--json"]).expect_code(0).json_lines();
    let removed: Vec<&str> = planned
        .iter()
        .filter(|line| line["action"] == "remove")
        .map(|line| line["source_path"].as_str().unwrap())
        .collect();
    assert_eq!(removed.len(), 2, "{planned:#?}");
    assert!(removed[0].ends_with("/00") && removed[1].ends_with("/01"));
    assert_eq!(names(&agent).len(), 9, "a plan changes nothing");

    agent.once().expect_code(0);
    assert_eq!(names(&agent), ["02", "03", "04", "05", "06", "07", "08"]);
    assert!(free(&agent.source()) * 4 >= 10 * MIB);
    assert_eq!(server.keys(BUCKET).len(), 9);
    let events = agent.events_of("files_pruned");
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0]["severity"], "info");
    let message = events[0]["message"].as_str().unwrap();
    assert!(message.contains("2 files"), "{message}");

    let requests = server.requests().len();
    agent.once().expect_code(0);
    assert_eq!(server.requests().len(), requests);
    assert_eq!(names(&agent).len(), 7);
}

#[test]
fn nothing_goes_that_is_not_uploaded_as_it_is() {
    let server = S3Server::start(S3Options::default());
    let agent = keeping_free(Agent::new(&server), "9MiB").with_job(json!({ "filter": "^[0-9]" }));
    let Some(_mount) = Mount::tmpfs(&agent.source(), 10 * MIB) else {
        return;
    };
    write(&agent, 0..4);
    let agent = agent.with_job(json!({ "prune": null }));
    agent.once().expect_code(0);
    let agent = keeping_free(agent, "9MiB");
    // Refused by the store, not of the filter, changed after its upload, and open for writing.
    write(&agent, 4..5);
    std::fs::write(agent.source_file("other"), vec![1; MIB as usize]).unwrap();
    write_content(&agent.source_file("01"), MIB, 77);
    let writer = std::fs::OpenOptions::new()
        .append(true)
        .open(agent.source_file("02"))
        .unwrap();
    server.fail_next(
        usize::MAX,
        |r| r.method == "PUT",
        Failure::error(413, "EntityTooLarge"),
    );
    agent.once().expect_code(74);
    assert_eq!(names(&agent), ["01", "02", "04", "other"]);
    let events = agent.events_of("files_pruned");
    assert_eq!(events.last().unwrap()["severity"], "warning", "{events:#?}");
    assert!(
        events.last().unwrap()["message"]
            .as_str()
            .unwrap()
            .contains("more should be free")
    );

    drop(writer);
    server.heal();
    agent.once().expect_code(0);
    assert_eq!(names(&agent), ["other"], "all that is uploaded by now");
}

#[test]
fn nothing_goes_while_the_state_directory_cannot_be_written() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let Some(_mount) = Mount::tmpfs(&agent.source(), 10 * MIB) else {
        return;
    };
    let Some(state) = Mount::tmpfs(&agent.state(), MIB) else {
        return;
    };
    write(&agent, 0..8);
    let running = keeping_free(agent, "1%");
    let service = running.start();
    service.wait_for_event("pass_finished", SOON);
    assert!(service.stop().success());
    let agent = keeping_free(running, "90%");
    let filling = state.fill();
    // Small ones, until no page of the records has room for a line more.
    for number in 0..60 {
        std::fs::write(agent.source_file(format!("small-{number}")), b"x").unwrap();
    }
    agent.once().expect_code(74);
    let left = names(&agent).len();
    assert!(left > 60, "{left}");
    std::fs::remove_file(filling).unwrap();
    agent.once().expect_code(0);
    assert!(
        free(&agent.source()) * 10 >= 9 * 10 * MIB,
        "{:?}",
        names(&agent)
    );
}

#[test]
fn a_full_disk_opens_the_windows() {
    let server = S3Server::start(S3Options::default());
    let now = time::OffsetDateTime::now_utc();
    // A window of one minute, twelve hours away.
    let hour = (now.hour() + 12) % 24;
    let window = format!("{hour:02}:00-{hour:02}:01");
    let agent = Agent::new(&server).with_job(json!({
        "interval": "1s",
        "windows": [window],
        "windows_override": { "source_free_below": "20%" },
    }));
    let Some(_mount) = Mount::tmpfs(&agent.source(), 10 * MIB) else {
        return;
    };
    write(&agent, 0..7);
    agent.once().expect_code(75);
    assert!(server.requests().is_empty());

    let running = agent.start();
    assert!(!server.wait_for_requests(1, Duration::from_secs(3), |_| true));
    // The service looks again at its interval, without a signal.
    write(&agent, 7..9);
    assert!(server.wait_for_requests(9, SOON, |request| request.status == Some(200)));
    running.signal(Signal::TERM);
    assert_eq!(server.keys(BUCKET).len(), 9);
}

#[test]
fn prune_and_the_override_are_checked_like_all_else() {
    let server = S3Server::start(S3Options::default());
    for (job, words) in [
        (json!({ "prune": { "keep_free": "100%" } }), "1%"),
        (json!({ "prune": {} }), "keep_free"),
        (
            json!({ "prune": { "keep_free": "10%" }, "after_upload": "delete" }),
            "after_upload",
        ),
        (
            json!({ "windows_override": { "source_free_below": "5%" } }),
            "windows",
        ),
    ] {
        let agent = Agent::new(&server).with_job(job.clone());
        let output = agent.run(&["check", "--offline"]).expect_code(78);
        assert!(output.stderr.contains(words), "{job}: {output:#?}");
    }
}

#[test]
fn a_file_that_was_passed_over_is_the_only_one_there_is_and_stays() {
    let server = S3Server::start(S3Options::default());
    let other = Agent::new(&server);
    other.write_file("taken", 100, 1);
    other.once().expect_code(0);

    let agent = keeping_free(Agent::new(&server), "99%")
        .with_job(json!({ "object": { "if_exists": "skip" } }));
    let Some(_mount) = Mount::tmpfs(&agent.source(), 10 * MIB) else {
        return;
    };
    write_content(&agent.source_file("taken"), MIB, 2);
    write_content(&agent.source_file("own"), MIB, 3);
    for _ in 0..2 {
        agent.once().expect_code(0);
        assert_eq!(names(&agent), ["taken"]);
    }
    let planned = agent.run(&["plan", "--json"]).expect_code(0).json_lines();
    assert!(
        planned.iter().all(|line| line["action"] != "remove"),
        "{planned:#?}"
    );
}
