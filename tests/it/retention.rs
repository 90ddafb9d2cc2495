//! `object_lock.retain_until` that is over: said with its place by `check`, and by its job alone when
//! it is to send; and no wrong clock makes a good date a bad one.

use serde_json::{Value, json};

use crate::support::agent::{Agent, Output};
use crate::support::faketime;
use crate::support::scripted::{Line, ScriptedServer};

const IN_2027: &str = "Fri, 01 Jan 2027 00:00:00 GMT";
const IN_2040: &str = "Sun, 01 Jan 2040 00:00:00 GMT";
const BEHIND: &str = "@1970-01-01 00:00:10";
const AHEAD: &str = "@2100-06-01 12:00:00";

/// A store with this clock, that answers every PUT like this.
fn store(date: &str, status: u16, body: &str) -> ScriptedServer {
    let headers = [("Date", date), ("ETag", "\"e\"")];
    ScriptedServer::start([
        Line::new(403, &headers, "")
            .on("GET", "location")
            .for_ever(),
        Line::new(status, &headers, body).on("PUT", "/").for_ever(),
        Line::new(404, &headers, "").for_ever(),
    ])
}

fn locked_until(server: &ScriptedServer, date: &str) -> Agent {
    let lock = json!({ "mode": "governance", "retain_until": date });
    let agent = Agent::with_endpoint(&server.endpoint())
        .with_job(json!({ "object": { "object_lock": lock } }));
    agent.write_file("a", 100, 1);
    agent
}

fn under(agent: Agent, library: &str, clock: &str) -> Agent {
    agent
        .with_env("LD_PRELOAD", library)
        .with_env("FAKETIME", clock)
        .with_env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .with_env("DONT_FAKE_MONOTONIC", "1")
        .with_env("NO_FAKE_STAT", "1")
}

fn puts(server: &ScriptedServer) -> usize {
    let seen = server.requests();
    seen.iter().filter(|seen| seen.method == "PUT").count()
}

fn blocked(agent: &Agent) -> Value {
    let output = agent.run(&["once", "--give-up", "2s"]).expect_code(77);
    let events = agent.events_of("job_blocked");
    assert_eq!(events.len(), 1, "{output:#?}");
    let hint = events[0]["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("`object.object_lock.retain_until`"), "{hint}");
    assert!(hint.contains("`retain_for`"), "{hint}");
    assert_eq!(events[0]["error"]["code"], "RetainUntilPassed");
    events[0].clone()
}

/// The finding about the lock, with its place.
#[track_caller]
fn found(agent: &Agent, output: &Output) -> Value {
    let findings = output.json_lines();
    let mut failed = findings.iter().filter(|finding| finding["ok"] == false);
    let finding = failed.next().unwrap_or_else(|| panic!("{output:#?}"));
    assert!(failed.next().is_none(), "{output:#?}");
    assert_eq!(
        (&finding["step"], &finding["job"]),
        (&json!("object_lock"), &json!("job"))
    );
    let text = std::fs::read_to_string(agent.config_path()).unwrap();
    let line = text.lines().position(|line| line.contains("retain_until"));
    let place = format!("{}:{}:", agent.config_path().display(), line.unwrap() + 1);
    let message = finding["message"].as_str().unwrap();
    assert!(message.starts_with(&place), "{message}");
    assert!(
        message.contains(": jobs[0].object.object_lock.retain_until: "),
        "{message}"
    );
    finding.clone()
}

#[test]
fn a_date_before_the_programs_own_is_over_for_sure() {
    let server = store(IN_2027, 200, "");
    let agent = locked_until(&server, "2020-01-01");
    let output = agent.run(&["check", "--offline", "--json"]).expect_code(78);
    let finding = found(&agent, &output);
    let message = finding["message"].as_str().unwrap();
    assert!(message.contains("2020-01-01T00:00:00"), "{message}");
    assert!(finding["cure"].as_str().unwrap().contains("`retain_for`"));
    let event = blocked(&agent);
    let message = event["message"].as_str().unwrap();
    assert!(message.starts_with("the job is blocked: "), "{message}");
    assert!(server.requests().is_empty());

    let Some(library) = faketime() else { return };
    let agent = under(agent, library, BEHIND);
    let output = agent.run(&["check", "--offline", "--json"]).expect_code(78);
    found(&agent, &output);
}

#[test]
fn a_date_that_is_over_keeps_no_other_job_from_its_files() {
    let server = store(IN_2027, 200, "");
    let agent = locked_until(&server, "2020-01-01");
    let mut config = agent.config.clone();
    let mut open = config["jobs"][0].clone();
    open["name"] = json!("open");
    open["object"] = json!({});
    open["prefix"] = json!("open/");
    config["jobs"].as_array_mut().unwrap().push(open);
    let agent = agent.with_config(config);
    let output = agent.run(&["once", "--give-up", "2s"]).expect_code(77);
    // Said at the start as well, with its place.
    let warned = |line: &str| {
        line.contains("WARN") && line.contains("].object.object_lock.retain_until: `2020-01-01T")
    };
    assert!(output.stderr.lines().any(warned), "{output:#?}");
    assert_eq!(puts(&server), 1);
    assert_eq!(agent.history()[0]["job"], "open");
}

#[test]
fn the_stores_clock_decides_and_explains_its_refusal() {
    let refusal = "<Error><Code>InvalidArgument</Code><Message>The retain until date must be in the future!</Message></Error>";
    let server = store(IN_2040, 400, refusal);
    let agent = locked_until(&server, "2035-12-31");
    let message = blocked(&agent)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("2035-12-31T00:00:00"), "{message}");
    assert!(message.contains("2040-01-01T"), "{message}");
    assert_eq!(puts(&server), 1);

    let server = store(IN_2040, 200, "");
    let agent = locked_until(&server, "2035-12-31");
    agent.run(&["check", "--offline"]).expect_code(0);
    let output = agent.run(&["check", "--json"]);
    let lock: Vec<Value> = output
        .json_lines()
        .into_iter()
        .filter(|finding| finding["step"] == "object_lock")
        .collect();
    assert_eq!(lock.len(), 1, "{output:#?}");
    assert_eq!(lock[0]["ok"], false, "{output:#?}");
    let message = lock[0]["message"].as_str().unwrap();
    assert!(
        message.contains("].object.object_lock.retain_until: "),
        "{message}"
    );
}

#[test]
fn no_wrong_clock_of_this_machine_refuses_a_good_date() {
    let Some(library) = faketime() else { return };
    for clock in [BEHIND, AHEAD] {
        let server = store(IN_2027, 200, "");
        let agent = under(locked_until(&server, "2035-12-31"), library, clock);
        agent.run(&["check", "--offline"]).expect_code(0);
        agent.run(&["once", "--give-up", "2s"]).expect_code(0);
        assert_eq!(puts(&server), 1, "{clock}");
    }
    // Where both say so, no byte is sent.
    let server = store(IN_2040, 200, "");
    let agent = under(locked_until(&server, "2035-12-31"), library, AHEAD);
    blocked(&agent);
    assert_eq!(puts(&server), 0);
    // The clock alone makes a warning.
    let output = agent.run(&["check", "--offline", "--json"]).expect_code(0);
    let warned = |finding: &Value| {
        finding["verdict"] == "warning"
            && finding["message"]
                .as_str()
                .unwrap()
                .contains("is over by this machine's clock")
    };
    assert!(output.json_lines().iter().any(warned), "{output:#?}");
}
