//! Keys from every provider, each against the real program and a store that verifies signatures.
//! The services are scripted with the answers that AWS documents, and with others.

mod container;
mod files;
mod hanging;
mod iot;
mod metadata;
mod order;
mod partitions;
mod process;
mod renewal;
mod sts;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::agent::{Agent, Output};
use crate::support::files::holds_content;
use crate::support::scripted::{Line, ScriptedServer};
use crate::support::server::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};

/// Never to be seen outside of a signature; the token may stand in its header.
const TOKEN: &str = "FwoGZXIvYXdzEXAMPLETOKEN==";

/// An agent that takes its keys from there; `null`: from the chain.
fn agent(server: &S3Server, credentials: Value) -> Agent {
    let mut agent = Agent::new(server);
    agent.config["jobs"][0]["credentials"] = credentials;
    agent.config["log"] = json!({ "level": "debug" });
    agent
}

/// `2026-11-22T05:06:07Z`, in so many seconds.
fn in_seconds(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at = now.as_secs() as i64 + seconds;
    let at = OffsetDateTime::from_unix_timestamp(at).unwrap();
    at.format(&Rfc3339).unwrap()
}

/// What instance metadata and containers answer with.
fn keys(token: &str, expires: &str) -> String {
    json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
        "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": token, "Expiration": expires,
    })
    .to_string()
}

fn good_keys() -> String {
    keys(TOKEN, &in_seconds(3600))
}

/// Uploads a file, and says with which token its request was signed.
#[track_caller]
fn uploads(name: &str, server: &S3Server, agent: &Agent) -> Option<String> {
    agent.write_file("a", 1000, 7);
    let output = agent.run(&["once", "--give-up", "2s"]);
    assert_eq!(output.code, Some(0), "{name}: {output:#?}");
    assert!(
        holds_content(&server.object_path(BUCKET, "a"), 1000, 7),
        "{name}"
    );
    assert!(output.max_threads <= 1, "{name}: {output:#?}");
    tells_no_secret(name, agent, &output);
    let requests = server.requests();
    let put = requests.iter().rev().find(|r| r.is_put_object()).unwrap();
    put.header("x-amz-security-token").map(str::to_owned)
}

/// Uploads nothing, ends with `code`, and tells why in all of these words; the store is not asked.
#[track_caller]
fn is_refused(name: &str, server: &S3Server, agent: &Agent, code: i32, words: &[&str]) {
    let before = server.requests().len();
    agent.write_file("a", 1000, 7);
    let output = agent.run(&["once", "--give-up", "500ms"]);
    assert_eq!(output.code, Some(code), "{name}: {output:#?}");
    assert_eq!(server.requests().len(), before, "{name}");
    for word in words {
        assert!(output.stderr.contains(word), "{name}: {word}: {output:#?}");
    }
    assert!(output.took < Duration::from_secs(60), "{name}: {output:#?}");
    tells_no_secret(name, agent, &output);
    let blocked = agent.events_of("job_blocked");
    assert_eq!(
        blocked.len(),
        usize::from(code == 77),
        "{name}: {blocked:?}"
    );
    for event in &blocked {
        // The store has not been asked, so it is no refusal of its own.
        let message = event["message"].as_str().unwrap();
        let provider = message.strip_prefix("there are no credentials for the job: ");
        assert!(provider.is_some(), "{name}: {message}");
        assert_eq!(event["error"]["code"], "NoCredentials", "{name}");
    }
    std::fs::remove_dir_all(agent.state()).unwrap();
}

#[track_caller]
fn tells_no_secret(name: &str, agent: &Agent, output: &Output) {
    let state = std::fs::read_dir(agent.state()).into_iter().flatten();
    let records =
        state.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default());
    let said: String = records
        .chain([output.stdout.clone(), output.stderr.clone()])
        .collect();
    for secret in [SECRET_KEY, TOKEN, "hush-hush"] {
        assert!(!said.contains(secret), "{name}: {secret}: {said}");
    }
}

/// What `check` says of the keys.
fn checked(agent: &Agent) -> String {
    let output = agent.run(&["check"]).expect_code(0);
    let line = output
        .stdout
        .lines()
        .find(|line| line.contains(": credentials: "));
    line.unwrap_or_else(|| panic!("{output:#?}")).to_owned()
}

/// An answer that never ends: its connection stays open and silent.
fn unfinished() -> Line {
    Line::raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
}

fn text(status: u16, body: &str) -> Line {
    Line::new(status, &[("Content-Type", "text/plain")], body)
}

fn too_long() -> Line {
    text(200, &"x".repeat(70_000))
}

/// How many requests came for that path.
fn asked(server: &ScriptedServer, path: &str) -> usize {
    server
        .requests()
        .iter()
        .filter(|seen| seen.target.contains(path))
        .count()
}
