//! `check` calls good only what it has tried.

use serde_json::{Value, json};

use crate::support::agent::{Agent, Output};
use crate::support::mounts::Mount;
use crate::support::server::{ACCESS_KEY, S3Options, S3Server, SECRET_KEY};

#[track_caller]
fn finding(output: &Output, step: &str) -> Value {
    let mut found = output.json_lines();
    found.retain(|finding| finding["step"] == step);
    assert_eq!(found.len(), 1, "{step}: {output:#?}");
    found.remove(0)
}

fn offline(agent: &Agent) -> Output {
    agent.run(&["check", "--offline", "--json"])
}

#[track_caller]
fn holds(finding: &Value, key: &str, part: &str) {
    let text = finding[key].as_str().unwrap_or_default();
    assert!(text.contains(part), "{key} without {part:?}: {finding}");
}

#[test]
fn a_state_directory_that_cannot_be_made_is_found_before_it_is_needed() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with(json!({ "state_dir": "/proc/x/state" }));
    let output = offline(&agent).expect_code(74);
    let found = finding(&output, "state_dir");
    assert_eq!(
        (&found["verdict"], &found["ok"]),
        (&json!("failed"), &json!(false))
    );
    holds(&found, "message", "/proc/x/state");
    holds(&found, "message", "s3ferry.json:");
    holds(&found, "cure", "folder");
    let steps = output.json_lines();
    assert!(steps.iter().all(|finding| finding["step"] != "folders"));

    let copying = Agent::new(&server).with(json!({ "state_copy": { "dir": "/proc/x" } }));
    let found = finding(&offline(&copying).expect_code(74), "state_copy");
    holds(&found, "message", "/proc/x");
    // What was tried leaves nothing behind.
    let mut names = std::fs::read_dir(copying.folder()).unwrap();
    assert!(names.all(|name| {
        !name
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .contains(".s3ferry-")
    }));
    assert!(!copying.state().exists());
}

/// Names still fit there, and nothing else: a start would fail.
#[test]
fn a_full_state_directory_is_not_called_good() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    std::fs::create_dir_all(agent.state()).unwrap();
    let Some(_full) = Mount::tmpfs(&agent.state(), 64 << 10) else {
        return;
    };
    let _ = std::fs::write(agent.state().join("fill"), vec![1; 128 << 10]);
    let found = finding(&offline(&agent).expect_code(74), "state_dir");
    holds(&found, "message", "No space left on device");
    holds(&found, "cure", "make room on its disk");
    let left = std::fs::read_dir(agent.state()).unwrap().count();
    assert_eq!(left, 1);
}

#[test]
fn the_log_file_is_looked_at() {
    let server = S3Server::start(S3Options::default());
    let mut agent = Agent::new(&server);
    let folder = agent.folder().join("logs");
    std::fs::create_dir(&folder).unwrap();
    for (file, part, cure) in [
        (
            agent.folder().join("missing/log"),
            "No such file",
            "create the folder",
        ),
        (folder.clone(), "Is a directory", "name a file"),
        ("/proc/x".into(), "/proc/x", "name a folder on a disk"),
    ] {
        agent = agent.with(json!({ "log": { "file": file } }));
        let output = offline(&agent).expect_code(0);
        let found = finding(&output, "log.file");
        assert_eq!(found["verdict"], "warning", "{found}");
        holds(&found, "message", part);
        holds(&found, "cure", cure);
    }
    let file = folder.join("log");
    agent = agent.with(json!({ "log": { "file": file } }));
    for _ in 0..2 {
        let found = finding(&offline(&agent).expect_code(0), "log.file");
        assert_eq!(found["verdict"], "ok", "{found}");
        assert!(std::fs::read(&file).unwrap_or_default().is_empty());
        std::fs::write(&file, b"").unwrap();
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn keys_that_are_over_are_no_good_ones() {
    let server = S3Server::start(S3Options::default());
    let printed = json!({
        "Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY,
        "Expiration": "2020-01-01T00:00:00Z",
    });
    let agent = Agent::new(&server).with_job(json!({ "credentials": {
        "provider": "process", "access_key": null, "secret_key": null,
        "command": ["/bin/echo", printed.to_string()],
    } }));
    let output = agent.run(&["check", "--json"]).expect_code(0);
    let found = finding(&output, "credentials");
    assert_eq!(
        (&found["verdict"], &found["ok"]),
        (&json!("warning"), &json!(true))
    );
    holds(
        &found,
        "message",
        "good until 2020-01-01T00:00:00.000Z, which is over",
    );
    holds(&found, "cure", "new ones");
}

#[test]
fn what_is_not_tried_is_not_called_good() {
    let server = S3Server::start(S3Options::default());
    for (lock, actions) in [
        (
            json!({ "legal_hold": true }),
            "`s3:PutObjectLegalHold` below",
        ),
        (
            json!({ "mode": "governance", "retain_for": "1d" }),
            "`s3:PutObjectRetention` below",
        ),
    ] {
        let agent = Agent::new(&server).with_job(json!({ "object": { "object_lock": lock } }));
        let output = agent.run(&["check", "--json"]);
        let found = finding(&output, "object_lock");
        assert_eq!(
            (&found["verdict"], &found["ok"]),
            (&json!("untried"), &json!(true))
        );
        holds(&found, "message", "not tried");
        holds(&found, "cure", actions);
        let people = agent.run(&["check"]);
        assert!(
            people.stdout.contains("skip job: object_lock: not tried"),
            "{people:#?}"
        );
    }
    let agent = Agent::new(&server);
    let found = finding(&offline(&agent).expect_code(0), "credentials");
    assert_eq!(found["verdict"], "untried");
    // A disabled job's folders may be missing.
    let agent =
        agent.with_job(json!({ "processing_state": "disabled", "source_path": "/nowhere" }));
    let found = finding(&offline(&agent).expect_code(0), "folders");
    holds(
        &found,
        "message",
        "not looked at: those of the disabled job",
    );
}
