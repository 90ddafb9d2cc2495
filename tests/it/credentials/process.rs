//! Programs that print keys.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::json;

use super::*;
use crate::support::agent::SOON;
use crate::support::process::ProcessInfo;
use crate::support::server::S3Options;

/// A shell script in the agent's folder.
fn script(agent: &Agent, body: &str) -> PathBuf {
    let path = agent.folder().join("give keys");
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

fn running(server: &S3Server, body: &str) -> Agent {
    let mut agent = agent(server, json!(null));
    let path = script(&agent, body);
    agent.config["jobs"][0]["credentials"] = json!({
        "provider": "process", "command": [path, "--password", "hush-hush"], "timeout": "1s",
    });
    agent.config["log"] = json!({ "level": "info" });
    agent
}

fn prints(expires: &str) -> String {
    let output = json!({
        "Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY,
        "SessionToken": TOKEN, "Expiration": expires,
    });
    format!("echo '{output}'")
}

#[test]
fn keys_that_a_program_prints_sign() {
    let server = S3Server::start(S3Options::default());
    let named = running(
        &server,
        &format!(
            "[ \"$1 $2\" = '--password hush-hush' ] && {}",
            prints(&in_seconds(600))
        ),
    );
    assert_eq!(uploads("named", &server, &named).as_deref(), Some(TOKEN));
    assert!(checked(&named).contains("from a process, access key …key, good until 20"));
    // By a profile, which has one string.
    let chained = agent(&server, json!(null));
    let program = script(
        &chained,
        "cat; printf '{\"Version\": 1, \"AccessKeyId\": \"%s\", \"SecretAccessKey\": \"%s\"}' \"$1\" \"$2\"",
    );
    std::fs::create_dir(chained.folder().join(".aws")).unwrap();
    let config = format!(
        "[default]\ncredential_process = \"{}\" {ACCESS_KEY} \"{SECRET_KEY}\" # x\n",
        program.display()
    );
    std::fs::write(chained.folder().join(".aws/config"), config).unwrap();
    assert_eq!(uploads("profile", &server, &chained), None);
    assert!(checked(&chained).contains("from profile `default`, which leads to a process"));
}

#[test]
fn programs_that_give_no_keys_are_told_with_what_to_do() {
    let server = S3Server::start(S3Options::default());
    let cases: &[(&str, &str, i32, &[&str])] = &[
        (
            "a failure",
            "echo hush-hush; echo hush-hush >&2; exit 3",
            75,
            &["process: the program failed (exit status: 3)"],
        ),
        (
            "a crash",
            "kill -SEGV $$",
            75,
            &["the program failed (signal: 11"],
        ),
        ("nothing", "true", 77, &["no JSON object"]),
        ("no JSON", "echo hush-hush", 77, &["no JSON object"]),
        (
            "another version",
            "echo '{\"Version\": 2, \"AccessKeyId\": \"hush-hush\"}'",
            77,
            &["`Version` is not 1"],
        ),
        (
            "no version",
            "echo '{\"AccessKeyId\": \"hush-hush\"}'",
            77,
            &["`Version` is not 1"],
        ),
        (
            "no secret",
            "echo '{\"Version\": 1, \"AccessKeyId\": \"hush-hush\"}'",
            77,
            &["`SecretAccessKey` in the answer is missing"],
        ),
        (
            "a key of two lines",
            "printf %s '{\"Version\": 1, \"AccessKeyId\": \"a\\nb\", \"SecretAccessKey\": \"hush-hush\"}'",
            77,
            &["is no key"],
        ),
        (
            "no time",
            "echo '{\"Version\": 1, \"AccessKeyId\": \"a\", \"SecretAccessKey\": \"hush-hush\", \"Expiration\": \"soon\"}'",
            77,
            &["is no time"],
        ),
        (
            "no end of it",
            "while :; do echo hush-hush; done",
            77,
            &["more than 64 KiB and was killed"],
        ),
        (
            "a wait for input",
            "read x && echo hush-hush; exit 4",
            75,
            &["exit status: 4"],
        ),
        (
            "too slow",
            "echo '{'; sleep 1000",
            75,
            &["took longer than 1s and was killed"],
        ),
        (
            "no end after its output",
            "exec >&-; sleep 1000",
            75,
            &["took longer than 1s and was killed"],
        ),
    ];
    for (name, body, code, words) in cases {
        is_refused(name, &server, &running(&server, body), *code, words);
    }
    let mut absent = running(&server, "true");
    absent.config["jobs"][0]["credentials"]["command"] =
        json!(["/nowhere/to be found", "hush-hush"]);
    is_refused(
        "no program",
        &server,
        &absent,
        77,
        &["cannot run `/nowhere/to be found`"],
    );
}

/// The process that wrote its number there, as soon as it has.
fn started_by(agent: &Agent) -> ProcessInfo {
    let begin = Instant::now();
    loop {
        let text = std::fs::read_to_string(agent.folder().join("number")).unwrap_or_default();
        if let Ok(number) = text.trim().parse() {
            return ProcessInfo::of(number);
        }
        assert!(begin.elapsed() < SOON, "the program was not started");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_soon_gone(process: &ProcessInfo) {
    let begin = Instant::now();
    while process.is_alive() {
        assert!(begin.elapsed() < SOON, "it is left behind");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_program_that_is_given_up_on_leaves_nobody_behind() {
    let server = S3Server::start(S3Options::default());
    // The sleeper is a child of the program, and holds its output open.
    let body = "sleep 1000 & echo $! > \"${0%/*}/number\"; wait";
    let agent = running(&server, body);
    is_refused("too slow", &server, &agent, 75, &["was killed"]);
    is_soon_gone(&started_by(&agent));
}

#[test]
fn term_ends_the_program_too() {
    let server = S3Server::start(S3Options::default());
    let mut agent = running(&server, "sleep 1000 & echo $! > \"${0%/*}/number\"; wait");
    agent.config["jobs"][0]["credentials"]["timeout"] = json!("10m");
    agent.write_file("a", 10, 1);
    let mut service = agent.start();
    let sleeper = started_by(&agent);
    service.signal(Signal::TERM);
    let begin = Instant::now();
    assert_eq!(service.wait(SOON).code(), Some(0));
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    is_soon_gone(&sleeper);
}

#[test]
fn what_a_program_complains_of_shows_at_debug_alone() {
    let server = S3Server::start(S3Options::default());
    for (level, shown) in [("info", false), ("debug", true)] {
        let mut agent = running(&server, "echo 'the vault is closed' >&2; exit 1");
        agent.config["log"]["level"] = json!(level);
        agent.write_file("a", 10, 1);
        let output = agent.run(&["once", "--give-up", "100ms"]).expect_code(75);
        assert_eq!(
            output.stderr.contains("the vault is closed"),
            shown,
            "{output:#?}"
        );
        assert!(!output.stderr.contains("hush-hush"), "{output:#?}");
    }
}
