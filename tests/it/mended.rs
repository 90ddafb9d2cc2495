//! What is told is true: a trouble goes with its cause, and nothing is claimed that nobody knows.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::agent::{Agent, SOON, binary, is_emulated};
use crate::support::files::{set_age, write_content};
use crate::support::mounts::Mount;
use crate::support::proxy::{FaultProxy, Plan};
use crate::support::server::{Failure, Request, S3Options, S3Server};

const MIB: u64 = 1 << 20;

fn status(agent: &Agent) -> Value {
    let output = agent.run_as_it_is(&["status", "--json"]);
    output.json_lines().remove(0)
}

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

fn server() -> S3Server {
    S3Server::start(S3Options::default())
}

fn is_put(request: &Request) -> bool {
    request.method == "PUT"
}

fn hide_source(agent: &Agent) {
    fs::rename(agent.source(), agent.folder().join("away")).unwrap();
}

fn bring_source_back(agent: &Agent) {
    fs::rename(agent.folder().join("away"), agent.source()).unwrap();
}

#[test]
fn a_folder_that_is_missing_is_one_error_a_run_and_no_pass_that_did_something() {
    let server = server();
    let agent = Agent::new(&server);
    hide_source(&agent);
    for _ in 0..2 {
        let output = agent.once().expect_code(74);
        let errors: Vec<&str> = output
            .stderr
            .lines()
            .filter(|line| line.contains("[ERROR]"))
            .collect();
        assert_eq!(errors.len(), 1, "{output:#?}");
        assert!(errors[0].contains("cannot read the folder"), "{output:#?}");
        assert!(errors[0].contains("mount or create"), "{output:#?}");
        assert!(!output.stderr.contains("0 files"), "{output:#?}");
    }
    assert!(agent.events_of("pass_finished").is_empty());
    assert_eq!(agent.events_of("job_blocked").len(), 1);
    bring_source_back(&agent);
    agent.once().expect_code(0);
    assert!(status(&agent)["jobs"][0]["last_error"].is_null());
}

#[test]
fn a_folder_that_is_back_is_no_error_any_more_within_a_run_and_over_a_restart() {
    let server = server();
    let agent = Agent::new(&server);
    hide_source(&agent);
    let running = agent.start();
    running.wait_for_event("job_blocked", SOON);
    bring_source_back(&agent);
    running.signal(Signal::USR1);
    running.wait_for_event("job_unblocked", SOON);
    status_that(&agent, |found| found["jobs"][0]["last_error"].is_null());
    hide_source(&agent);
    running.signal(Signal::USR1);
    running.wait_for_events("job_blocked", 2, SOON);
    assert!(running.stop().success());
    bring_source_back(&agent);
    let running = agent.spawn();
    running.wait_for_events("job_unblocked", 2, SOON);
    status_that(&agent, |found| found["jobs"][0]["last_error"].is_null());
    assert!(running.stop().success());
}

#[test]
fn an_error_that_was_tried_again_with_success_is_over() {
    let server = server();
    let agent = Agent::new(&server);
    agent.write_file("a", 10, 1);
    server.fail_next(1, is_put, Failure::error(500, "InternalError"));
    agent.once().expect_code(0);
    assert!(status(&agent)["jobs"][0]["last_error"].is_null());
}

#[test]
fn a_reload_tries_a_blocked_job_at_once() {
    let server = server();
    let agent = Agent::new(&server);
    agent.write_file("a", 10, 1);
    server.fail_next(usize::MAX, is_put, Failure::error(403, "AccessDenied"));
    let running = agent.start();
    running.wait_for_event("job_blocked", SOON);
    server.heal();
    running.signal(Signal::HUP);
    running.wait_for_event("job_unblocked", SOON);
    let found = status_that(&agent, |found| found["jobs"][0]["state"] == "waiting");
    assert!(found["jobs"][0]["last_error"].is_null(), "{found:#}");
    assert!(running.stop().success());
}

#[test]
fn a_service_on_the_former_state_directory_is_seen() {
    if is_emulated() {
        return;
    }
    let server = server();
    let agent = Agent::new(&server);
    let running = agent.start();
    let elsewhere = agent.folder().join("elsewhere");
    let agent = agent.with(json!({ "state_dir": elsewhere }));
    agent.write_config();
    running.signal(Signal::HUP);
    running.wait_for_event("configuration_rejected", SOON);
    let pid = running.pid();
    let found = status(&agent);
    assert_eq!(found["running"], false, "{found:#}");
    assert_eq!(found["elsewhere"], pid, "{found:#}");
    let text = agent.run_as_it_is(&["status"]).expect_code(0).stdout;
    for words in [
        format!(
            "not running on the state directory `{}`",
            elsewhere.display()
        ),
        format!("process {pid} runs with this configuration file"),
    ] {
        assert!(text.contains(&words), "{text}");
    }
    assert!(running.stop().success());
    assert!(status(&agent)["elsewhere"].is_null());
}

#[test]
fn a_pass_that_makes_room_by_itself_is_no_lack_of_room() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "prune": { "keep_free": "25%" } }));
    let Some(_mount) = Mount::tmpfs(&agent.source(), 10 * MIB) else {
        return;
    };
    for number in 0..9 {
        let path = agent.source_file(format!("{number}"));
        write_content(&path, MIB, number);
        set_age(&path, Duration::from_secs(10_000 - 100 * number));
    }
    agent.once().expect_code(0);
    let events = agent.events_of("files_pruned");
    assert!(!events.is_empty());
    for event in &events {
        assert_eq!(event["severity"], "info", "{events:#?}");
    }
    assert_eq!(status(&agent)["jobs"][0]["room_lacking"], 0);
}

#[test]
fn what_is_no_entry_is_left_out_of_every_form() {
    let server = server();
    let agent = Agent::new(&server);
    agent.write_file("a", 10, 1);
    agent.once().expect_code(0);
    for (command, name) in [("history", "history.jsonl"), ("events", "events.jsonl")] {
        let path = agent.state().join(name);
        let text = fs::read_to_string(&path).unwrap();
        let newer = text
            .lines()
            .last()
            .unwrap()
            .replacen("\"v\":1", "\"v\":2", 1);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        writeln!(
            file,
            "{{\"v\":1,\"job\":\"x\"}}\n{{\"v\":2,\"job\":7}}\n{newer}"
        )
        .unwrap();
        let records = text.lines().count() + 1;
        for (form, around) in [(&["--json"][..], 0), (&["--csv"], 1)] {
            let output = agent.run(&[&[command], form].concat()).expect_code(0);
            assert_eq!(
                output.stdout.lines().count(),
                records + around,
                "{output:#?}"
            );
            assert!(output.stderr.contains("2 damaged lines"), "{output:#?}");
        }
        let output = agent.run(&[command]).expect_code(0);
        assert!(output.stderr.contains("2 damaged lines"), "{output:#?}");
    }
}

#[test]
fn a_pass_under_way_has_no_next_one_in_the_past() {
    let server = server();
    let agent = Agent::new(&server);
    agent.write_file("a", 10, 1);
    server.fail_next(usize::MAX, is_put, Failure::error(500, "InternalError"));
    let running = agent.start();
    let found = status_that(&agent, |found| found["jobs"][0]["state"] == "retrying");
    let job = &found["jobs"][0];
    assert!(job["next_pass"].is_null(), "{found:#}");
    assert!(job["last_pass"].is_string(), "{found:#}");
    assert!(job.get("told").is_none(), "{found:#}");
    assert!(found.get("server_time").is_none(), "{found:#}");
    server.heal();
    running.signal(Signal::USR1);
    status_that(&agent, |found| found["jobs"][0]["next_pass"].is_string());
    assert!(running.stop().success());
}

#[test]
fn once_that_is_stopped_says_what_is_left() {
    let server = server();
    for signal in [Signal::TERM, Signal::INT] {
        let proxy = FaultProxy::start(server.address());
        proxy.set_plan(Plan::StallAfter(MIB));
        let agent = Agent::with_endpoint(&proxy.endpoint());
        agent.write_file("large", 8 * MIB, 1);
        agent.write_file("other", 2 * MIB, 2);
        agent.write_config();
        let mut command = Command::new(binary());
        command.arg("once").arg("-c").arg(agent.config_path());
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        agent.wait_for_events("upload_started", 1, SOON);
        kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let last = said.lines().last().unwrap();
        assert!(
            last.contains("stopped by a signal, 2 files (10 MiB) left"),
            "{said}"
        );
    }
}
