//! What is printed, and what follows where it cannot be.

use std::fs::OpenOptions;

use serde_json::json;

use crate::support::agent::Agent;
use crate::support::lacks;
use crate::support::server::{Failure, S3Options, S3Server};

#[test]
fn results_that_cannot_be_written_are_a_local_failure() {
    let full = || OpenOptions::new().write(true).open("/dev/full");
    if lacks("/dev/full", full().is_ok()) {
        return;
    }
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({ "prefix": "site-7/" }));
    agent.write_file("a", 10, 1);
    agent.once().expect_code(0);
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["help", "once"],
        &["check"],
        &["check", "--offline", "--json"],
        &["plan"],
        &["plan", "--json"],
        &["status"],
        &["status", "--json"],
        &["history"],
        &["history", "--json"],
        &["events", "--csv"],
        &["pause"],
        &["resume"],
        &["cleanup"],
    ] {
        let (code, said) = agent.run_into(full().unwrap(), arguments);
        assert_eq!(code, Some(74), "{arguments:?}: {said}");
        assert!(said.contains("No space left"), "{arguments:?}: {said}");
    }
    // A failing step has its own code, but nobody could read of it.
    server.fail_next(usize::MAX, |_| true, Failure::access_denied());
    let (code, _) = agent.run_into(full().unwrap(), &["check"]);
    assert_eq!(code, Some(74));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    for arguments in [&["check"][..], &["status"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let stdout = std::fs::File::from(std::os::fd::OwnedFd::from(writer));
        let (code, said) = agent.run_into(stdout, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }
}

#[test]
fn help_takes_a_command() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    for command in ["run", "once", "check", "events", "cleanup"] {
        let asked = agent.run(&["help", command]).expect_code(0);
        let option = agent.run(&[command, "--help"]).expect_code(0);
        assert_eq!(asked.stdout, option.stdout);
        assert!(
            asked
                .stdout
                .starts_with(&format!("Usage: s3ferry {command}"))
        );
    }
    let wrong = agent.run(&["help", "chekc"]).expect_code(64);
    assert!(wrong.stderr.contains("did you mean `check`?"), "{wrong:#?}");
}

#[test]
fn a_connection_is_logged_with_its_address_and_a_refused_one_by_s3s_word() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with(json!({ "log": { "level": "debug" } }));
    agent.write_file("a", 10, 1);
    let output = agent.once().expect_code(0);
    let line = format!("connected to {}", server.address());
    assert!(output.stderr.contains(&line), "{output:#?}");
    let nowhere = Agent::with_endpoint("http://store.invalid");
    let output = nowhere.run(&["check"]).expect_code(75);
    assert!(output.stdout.contains("GetBucketLocation: "), "{output:#?}");
}
