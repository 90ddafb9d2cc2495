//! What `status` says where something is wrong: what it is, what it keeps, and what to do.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::agent::{Agent, SOON};
use crate::support::files::write_content;
use crate::support::mounts::Mount;
use crate::support::server::{BUCKET, S3Options, S3Server};

const MIB: u64 = 1 << 20;

fn status(agent: &Agent) -> Value {
    let output = agent.run_as_it_is(&["status", "--json"]);
    output.json_lines().remove(0)
}

fn status_text(agent: &Agent) -> String {
    agent.run_as_it_is(&["status"]).stdout
}

/// The status as soon as it is as it should be.
#[track_caller]
fn status_that(agent: &Agent, is_right: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + SOON;
    loop {
        let found = status(agent);
        if is_right(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:#}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn damage(agent: &Agent) {
    std::fs::write(agent.state().join("processing.json"), b"\0\0\0\0").unwrap();
}

#[test]
fn a_pause_outlives_the_damage_of_its_file() {
    let server = S3Server::start(S3Options::default());
    let mut agent = Agent::new(&server);
    let mut other = agent.config["jobs"][0].clone();
    other["name"] = json!("other");
    other["prefix"] = json!("other/");
    agent.config["jobs"].as_array_mut().unwrap().push(other);
    agent.write_file("a", 10, 1);
    agent.run(&["pause", "other"]).expect_code(0);
    damage(&agent);
    for _ in 0..2 {
        let output = agent.once().expect_code(74);
        assert!(output.stderr.contains("`s3ferry resume"), "{output:#?}");
    }
    assert!(server.requests().is_empty());
    let checked = agent.run(&["check", "--offline"]).expect_code(74);
    for part in ["`processing.json` is damaged", "`s3ferry resume`"] {
        assert!(checked.stdout.contains(part), "{checked:#?}");
    }
    let told = agent.events_of("processing_paused");
    assert_eq!(told.len(), 1, "once, however often it is run: {told:#?}");
    assert_eq!(told[0]["severity"], "error");
    assert_eq!(told[0]["error"]["class"], "local");
    let hint = told[0]["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("`s3ferry resume`"), "{hint}");
    let found = status(&agent);
    assert_eq!(found["processing_damaged"], true, "{found:#}");
    for job in found["jobs"].as_array().unwrap() {
        assert_eq!(job["state"], "paused");
    }
    let text = status_text(&agent);
    assert!(text.contains("`processing.json` is damaged"), "{text}");

    // What nobody resumes stays paused.
    let resumed = agent.run(&["resume", "job"]).expect_code(0);
    assert!(resumed.stderr.contains("damaged"), "{resumed:#?}");
    agent.once().expect_code(0);
    assert_eq!(server.keys(BUCKET), ["a".to_owned()].into());
    let found = status(&agent);
    assert_eq!(found["processing_damaged"], false, "{found:#}");
    assert_eq!(found["jobs"][1]["state"], "paused", "{found:#}");
}

#[test]
fn a_service_pauses_when_it_finds_the_damage() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let running = agent.start();
    damage(&agent);
    running.signal(Signal::HUP);
    running.wait_for_event("configuration_reloaded", SOON);
    let told = running.wait_for_event("processing_paused", SOON);
    assert_eq!(told["severity"], "error", "{told}");
    status_that(&agent, |found| found["jobs"][0]["state"] == "paused");
    agent.write_file("a", 10, 1);
    agent.run(&["resume"]).expect_code(0);
    running.wait_for_event("upload_finished", SOON);
    let found = status_that(&agent, |found| found["processing_damaged"] == false);
    assert_eq!(found["running"], true);
}

#[test]
fn a_wrong_configuration_does_not_blind_the_commands_that_look() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    agent.write_file("sent", 10, 1);
    let running = agent.start();
    running.wait_for_event("pass_finished", SOON);
    let good = std::fs::read_to_string(agent.config_path()).unwrap();
    let spoilt = [
        (good.replace("\"interval\"", "\"intervall\""), "interval"),
        (good.replacen(',', "", 1), "expected"),
        (format!("#{good}"), "expected"),
        (good.trim_end_matches('}').to_owned(), "the end of the file"),
    ];
    for (number, (text, mistake)) in (1..).zip(&spoilt) {
        std::fs::write(agent.config_path(), text).unwrap();
        running.signal(Signal::HUP);
        running.wait_for_events("configuration_rejected", number, SOON);
        let rejected = status_that(&agent, |found| {
            let message = &found["configuration_rejected"]["message"];
            message.as_str().is_some_and(|text| text.contains(mistake))
        });
        assert_eq!(rejected["running"], true);
        assert_eq!(rejected["jobs"][0]["state"], "waiting", "{rejected:#}");
        for (command, part) in [
            ("status", "the old configuration stays in force: "),
            ("events", "configuration_rejected"),
            ("history", "/source/sent"),
        ] {
            let output = agent.run_as_it_is(&[command]).expect_code(78);
            assert!(output.stdout.contains(part), "{command}: {output:#?}");
            let first = output.stderr.lines().next().unwrap();
            assert!(first.contains(mistake), "{command}: {output:#?}");
            let where_from = format!("`{}`", agent.state().display());
            assert!(output.stderr.contains(&where_from), "{output:#?}");
        }
        let named = agent.run_as_it_is(&["events", "--job", "job", "--json"]);
        assert!(!named.expect_code(78).json_lines().is_empty());
    }
    // Nothing is made up for a file that is not there, or where nothing has run.
    agent.run_with_text("{", &["status"]).expect_code(78);
    let nowhere = good.replace("/state\"", "/elsewhere\"") + "x";
    let output = agent.run_with_text(&nowhere, &["status"]).expect_code(78);
    assert!(output.stdout.is_empty(), "{output:#?}");

    std::fs::write(agent.config_path(), &good).unwrap();
    running.signal(Signal::HUP);
    running.wait_for_event("configuration_reloaded", SOON);
    status_that(&agent, |found| found["configuration_rejected"].is_null());
    agent.run_as_it_is(&["status"]).expect_code(0);
    assert!(running.stop().success());
}

#[test]
fn a_copy_that_fails_is_not_the_state_directory() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let copy = agent.folder().join("flash");
    let mut agent = agent.with(json!({ "state_copy": { "dir": copy, "interval": "1s" } }));
    let running = agent.start();
    let deadline = Instant::now() + SOON;
    while !copy.join("ledger.jsonl").exists() {
        assert!(Instant::now() < deadline, "{}", running.stderr());
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::rename(&copy, agent.folder().join("gone")).unwrap();
    std::fs::write(&copy, b"no folder").unwrap();
    agent.write_file("a", 10, 1);
    running.signal(Signal::USR1);
    let told = running.wait_for_event("job_blocked", SOON);
    let message = told["message"].as_str().unwrap();
    assert!(
        message.contains("the copy of the state directory"),
        "{told}"
    );
    assert!(told["error"]["hint"].is_string(), "{told}");
    let found = status_that(&agent, |found| found["state_copy_failing"] == true);
    assert_eq!(found["state_dir_failing"], false, "{found:#}");
    let text = status_text(&agent);
    assert!(
        text.contains("(`state_copy`) could not be written"),
        "{text}"
    );
    assert!(!text.contains("nothing is deleted or moved"), "{text}");

    // Told once, also over a restart.
    assert!(running.stop().success());
    std::fs::remove_file(&copy).unwrap();
    std::fs::create_dir(&copy).unwrap();
    std::fs::create_dir(copy.join("events.jsonl")).unwrap();
    let running = agent.spawn();
    running.wait_for_events("service_started", 2, SOON);
    agent.write_file("b", 10, 2);
    running.signal(Signal::USR1);
    running.wait_for_events("upload_finished", 2, SOON);
    status_that(&agent, |found| found["state_copy_failing"] == true);
    assert_eq!(agent.events_of("job_blocked").len(), 1);
    assert!(agent.events_of("job_unblocked").is_empty());

    agent = agent.with(json!({ "state_copy": null }));
    agent.write_config();
    running.signal(Signal::HUP);
    running.wait_for_event("job_unblocked", SOON);
    status_that(&agent, |found| found["state_copy_failing"] == false);
    assert!(running.stop().success());
}

#[test]
fn files_that_can_never_go_are_counted_and_named() {
    let server = S3Server::start(S3Options::default());
    let first = Agent::new(&server);
    let agent = Agent::new(&server).with_job(json!({ "object": { "if_exists": "fail" } }));
    for number in 0..7 {
        first.write_file(format!("{number}"), 10, number);
        agent.write_file(format!("{number}"), 20, 10 + number);
    }
    first.once().expect_code(0);
    agent.once().expect_code(74);
    let check = |count: u64| {
        let found = status_that(&agent, |found| found["jobs"][0]["stuck"] == count);
        let files = found["jobs"][0]["stuck_files"].as_array().unwrap().clone();
        assert_eq!(files.len() as u64, count.min(5), "{found:#}");
        for file in &files {
            let path = file["source_path"].as_str().unwrap();
            assert!(std::path::Path::new(path).exists(), "{found:#}");
            assert!(file["message"].as_str().unwrap().contains(path), "{file}");
            let hint = file["hint"].as_str().unwrap();
            assert!(hint.contains("object.if_exists"), "{file}");
        }
        status_text(&agent)
    };
    let text = check(7);
    assert!(text.contains("7 files wait for somebody"), "{text}");
    assert!(text.contains("and 2 more"), "{text}");

    // A service that does not try them again still shows them, and those alone that are there.
    let running = agent.start();
    running.wait_for_events("upload_failed", 14, SOON);
    check(7);
    for (gone, left) in [(0..2, 5), (2..6, 1)] {
        for number in gone {
            std::fs::remove_file(agent.source_file(format!("{number}"))).unwrap();
        }
        running.signal(Signal::USR1);
        let text = check(left);
        assert!(!text.contains("more"), "{text}");
    }
    assert_eq!(agent.events_of("upload_failed").len(), 14);
    assert!(status_text(&agent).contains("1 file waits for somebody"));
    std::fs::rename(agent.source_file("6"), agent.source_file("free")).unwrap();
    running.signal(Signal::USR1);
    let text = check(0);
    assert!(!text.contains("somebody"), "{text}");
    assert!(running.stop().success());
}

#[test]
fn a_key_that_is_taken_and_a_file_that_stays_are_stuck_as_well() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({ "change_filename": "same" }));
    agent.write_file("a", 10, 1);
    agent.write_file("b", 10, 2);
    let output = agent.once().expect_code(74);
    assert!(output.stderr.contains("1 needs attention"), "{output:#?}");
    let found = status(&agent);
    assert_eq!(found["jobs"][0]["stuck"], 1, "{found:#}");
    let message = found["jobs"][0]["stuck_files"][0]["message"]
        .as_str()
        .unwrap();
    assert!(
        message.contains("make `change_filename` tell them apart"),
        "{message}"
    );

    let agent = Agent::new(&server).with_job(json!({ "after_upload": "delete" }));
    let Some(mount) = Mount::tmpfs(&agent.source(), MIB) else {
        return;
    };
    agent.write_file("a", 10, 1);
    let running = agent.start();
    running.wait_for_event("upload_finished", SOON);
    let deadline = Instant::now() + SOON;
    while agent.source_file("a").exists() {
        assert!(Instant::now() < deadline, "{}", running.stderr());
        std::thread::sleep(Duration::from_millis(5));
    }
    agent.write_file("kept", 10, 1);
    mount.set_read_only(true);
    for _ in 0..2 {
        running.signal(Signal::USR1);
        let found = status_that(&agent, |found| found["jobs"][0]["stuck"] == 1);
        let hint = found["jobs"][0]["stuck_files"][0]["hint"].as_str().unwrap();
        assert!(hint.contains("writable"), "{found:#}");
    }
    mount.set_read_only(false);
    running.signal(Signal::USR1);
    status_that(&agent, |found| found["jobs"][0]["stuck"] == 0);
    assert!(!agent.source_file("kept").exists());
}

#[test]
fn a_goal_of_prune_that_cannot_be_reached_is_told_once_and_stays_in_sight() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({
        "prune": { "keep_free": "90%" }, "filter": "^x",
    }));
    let Some(_mount) = Mount::tmpfs(&agent.source(), 10 * MIB) else {
        return;
    };
    write_content(&agent.source_file("large"), 5 * MIB, 1);
    for _ in 0..3 {
        agent.once().expect_code(0);
        assert_eq!(agent.events_of("files_pruned").len(), 1);
    }
    let hint = &agent.events_of("files_pruned")[0]["error"]["hint"];
    assert!(hint.as_str().unwrap().contains("prune.keep_free"), "{hint}");
    assert_eq!(status(&agent)["jobs"][0]["room_lacking"], 4 * MIB);
    let text = status_text(&agent);
    assert!(text.contains("4 MiB more should be free"), "{text}");

    std::fs::remove_file(agent.source_file("large")).unwrap();
    agent.once().expect_code(0);
    assert_eq!(status(&agent)["jobs"][0]["room_lacking"], 0);
    assert!(!status_text(&agent).contains("should be free"));
    // Another time is news.
    write_content(&agent.source_file("large"), 5 * MIB, 1);
    agent.once().expect_code(0);
    assert_eq!(agent.events_of("files_pruned").len(), 2);
    // Who asks for it no more is not told of it.
    let agent = agent.with_job(json!({ "prune": null }));
    agent.once().expect_code(0);
    assert_eq!(status(&agent)["jobs"][0]["room_lacking"], 0);
}
