//! With `if_exists`, events and history tell of what was sent, and of nothing else.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::agent::{Agent, SOON};
use crate::support::server::{BUCKET, Failure, Request, S3Options, S3Server};

const SIZE: u64 = 20_000;

fn agent(server: &S3Server, mode: &str) -> Agent {
    Agent::new(server).with_job(json!({ "object": { "if_exists": mode } }))
}

fn once(agent: &Agent, code: i32) {
    agent.run(&["once", "--give-up", "10s"]).expect_code(code);
}

/// Kind and key of each event about a file.
fn told(agent: &Agent) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let events = agent.events().into_iter();
    events
        .filter(|event| event["source_path"].is_string())
        .map(|event| (text(&event["kind"]), text(&event["key"])))
        .collect()
}

fn expected(events: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(kind, key): &(&str, &str)| ((*kind).to_owned(), (*key).to_owned());
    events.iter().map(owned).collect()
}

#[track_caller]
fn assert_message(agent: &Agent, kind: &str, parts: &[&str]) {
    let event = &agent.events_of(kind)[0];
    let message = event["message"].as_str().unwrap();
    for part in parts {
        assert!(message.contains(part), "`{part}`: {message}");
    }
}

fn put_object(server: &S3Server, key: &str) {
    std::fs::write(server.object_path(BUCKET, key), b"other").unwrap();
}

#[test]
fn what_is_recognised_is_not_told_as_begun_and_has_no_speed() {
    for mode in ["skip", "fail", "rename"] {
        let server = S3Server::start(S3Options::default());
        let agent = agent(&server, mode);
        agent.write_file("a.bin", SIZE, 1);
        once(&agent, 0);
        std::fs::remove_dir_all(agent.state()).unwrap();
        once(&agent, 0);
        assert_eq!(told(&agent), expected(&[("file_skipped", "a.bin")]));
        let entry = &agent.history()[0];
        assert_eq!(entry["bytes_per_second"], 0, "{mode}: {entry}");
        assert_eq!(entry["parts"], 0, "{mode}: {entry}");
        let table = agent.run(&["history"]).expect_code(0).stdout;
        let line = table.lines().find(|line| line.contains("a.bin")).unwrap();
        assert!(line.split_whitespace().any(|cell| cell == "-"), "{table}");
    }
}

#[test]
fn what_is_left_alone_is_not_told_as_begun() {
    for (mode, code, kind) in [("skip", 0, "file_skipped"), ("fail", 74, "upload_failed")] {
        let server = S3Server::start(S3Options::default());
        put_object(&server, "a.bin");
        let agent = agent(&server, mode);
        agent.write_file("a.bin", SIZE, 1);
        once(&agent, code);
        assert_eq!(told(&agent), expected(&[(kind, "a.bin")]));
    }
}

#[test]
fn a_new_name_is_in_every_message_and_key() {
    // Before a byte is sent, and after all have been: somebody else's object came meanwhile.
    for head in [200, 404] {
        let server = S3Server::start(S3Options::default());
        put_object(&server, "a.bin");
        let agent = agent(&server, "rename");
        agent.write_file("a.bin", SIZE, 1);
        let look = |request: &Request| request.method == "HEAD" && request.path.ends_with("/a.bin");
        if head == 404 {
            server.fail_next(1, look, Failure::answer(404, ""));
        }
        once(&agent, 0);
        let begun = if head == 200 { "a-1.bin" } else { "a.bin" };
        let events = [("upload_started", begun), ("upload_finished", "a-1.bin")];
        assert_eq!(told(&agent), expected(&events), "{head}");
        let names = ["`a-1.bin`", "`a.bin` is another object"];
        assert_message(&agent, "upload_finished", &names);
        if head == 200 {
            assert_message(&agent, "upload_started", &names);
        }
    }
}

#[test]
fn what_was_sent_and_not_confirmed_is_told_as_uploaded_once_it_is_recognised() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server, "skip");
    agent.write_file("a.bin", SIZE, 1);
    let lost = Failure::error(500, "InternalError").after_success();
    server.fail_next(1, Request::is_put_object, lost);
    once(&agent, 0);
    let events = ["upload_started", "upload_finished"].map(|kind| (kind, "a.bin"));
    let mut told = told(&agent);
    told.retain(|(kind, _)| !matches!(kind.as_str(), "connection_failed" | "upload_failed"));
    assert_eq!(told, expected(&events));
    assert_message(&agent, "upload_finished", &["S3 did not say so"]);
    assert_ne!(agent.history()[0]["bytes_per_second"], 0);
}

#[test]
fn the_status_names_the_key_that_the_file_goes_to() {
    let server = S3Server::start(S3Options::default());
    put_object(&server, "a.bin");
    let agent = agent(&server, "rename")
        .with_job(json!({ "transfer": { "bandwidth_limit": "10KiB/s", "minimum_rate": 0 } }));
    agent.write_file("a.bin", SIZE * 10, 1);
    let running = agent.start();
    running.wait_for_event("upload_started", SOON);
    let begin = Instant::now();
    let path = agent.state().join("status.json");
    while !std::fs::read_to_string(&path).is_ok_and(|text| text.contains("\"key\":\"a-1.bin\"")) {
        let text = std::fs::read_to_string(&path);
        assert!(begin.elapsed() < SOON, "{text:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(running.stop().success());
}
