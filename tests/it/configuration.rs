//! What users write: mistakes are named with their place and cure, and the original's short
//! parameter list is a whole configuration.

use serde_json::json;

use crate::support::agent::{Agent, Output};
use crate::support::connect_proxy::ConnectProxy;
use crate::support::files::holds_content;
use crate::support::server::{ACCESS_KEY, BUCKET, S3Options, S3Server, SECRET_KEY};

/// A good configuration, one setting a line, so that a case can spoil one of them.
fn good(agent: &Agent) -> String {
    let (state, source) = (agent.state(), agent.source());
    format!(
        r#"{{
  "state_dir": {state:?},
  "jobs": [{{
    "name": "job", // comments and trailing commas are allowed
    "bucket": "bucket",
    "region": "eu-west-2",
    "endpoint": "http://127.0.0.1:1",
    "source_path": {source:?},
    "filter": ".*",
    "interval": "1h",
    "recursive": false,
    "order": "oldest",
    "windows": ["22:00-06:00"],
    "change_filename": "<filename>.<extension>",
    "credentials": {{ "access_key": "AKIAEXAMPLE", "secret_key": "hush-hush" }},
    "transfer": {{ "part_size": "auto" }},
  }}],
}}
"#
    )
}

/// An agent whose server is never asked.
fn offline_agent() -> Agent {
    Agent::with_endpoint("http://127.0.0.1:1")
}

fn check(agent: &Agent, text: &str) -> Output {
    let output = agent.run_with_text(text, &["check", "--offline"]);
    assert!(!output.stderr.contains("hush-hush"), "{output:#?}");
    assert!(!output.stdout.contains("hush-hush"), "{output:#?}");
    output
}

/// The line, counted from 1, that has `needle`.
fn line_of(text: &str, needle: &str) -> usize {
    text.lines().position(|line| line.contains(needle)).unwrap() + 1
}

/// Is there a line `FILE:LINE:COLUMN: rest` that has all of `words`?
fn complains(output: &Output, file: &str, line: usize, words: &[&str]) -> bool {
    let prefix = format!("{file}:{line}:");
    output.stderr.lines().any(|said| {
        let Some((column, rest)) = said
            .split_once(&prefix)
            .and_then(|(_, after)| after.split_once(": "))
        else {
            return false;
        };
        column.parse::<usize>().is_ok_and(|c| c > 0) && words.iter().all(|w| rest.contains(w))
    })
}

#[test]
fn a_good_configuration_passes_the_check() {
    let agent = offline_agent();
    check(&agent, &good(&agent)).expect_code(0);
}

#[test]
fn every_mistake_is_named_with_its_place_and_cure() {
    // What is written, what is written in its stead, and words of the complaint: the path of
    // the setting, the wrong value, and what would be right.
    let cases: [(&str, &str, &[&str]); 16] = [
        (r#""1h""#, "3600", &["jobs[0].interval", "1h"]),
        (
            r#""1h""#,
            r#""1 fortnight""#,
            &["jobs[0].interval", "`1 fortnight`", "1h"],
        ),
        (r#""1h""#, r#""0s""#, &["jobs[0].interval"]),
        (
            r#""recursive": false"#,
            r#""recursive": "no""#,
            &["jobs[0].recursive", "true"],
        ),
        (
            r#""interval""#,
            r#""intervall""#,
            &["jobs[0]", "`intervall`", "`interval`"],
        ),
        (
            r#""state_dir""#,
            r#""state_dirr""#,
            &["`state_dirr`", "`state_dir`"],
        ),
        (
            r#"".*""#,
            r#""(unclosed""#,
            &["jobs[0].filter", "(unclosed"],
        ),
        (r#"".*""#, r#""a(?=b)c""#, &["jobs[0].filter", "look"]),
        (
            r#""oldest""#,
            r#""oldset""#,
            &["jobs[0].order", "`oldset`", "`oldest`"],
        ),
        (
            "22:00-06:00",
            "22:00-26:00",
            &["jobs[0].windows", "`22:00-26:00`"],
        ),
        (
            "<filename>.<ext",
            "<filenam>.<ext",
            &["jobs[0].change_filename", "filenam", "<filename>"],
        ),
        (
            r#", "secret_key": "hush-hush""#,
            "",
            &["jobs[0].credentials", "secret_key"],
        ),
        (
            r#""hush-hush""#,
            r#"{"file": "/nowhere"}"#,
            &["jobs[0].credentials.secret_key", "/nowhere"],
        ),
        (
            r#""hush-hush""#,
            r#"{"env": "NO_SUCH"}"#,
            &["jobs[0].credentials.secret_key", "NO_SUCH"],
        ),
        (
            r#""part_size": "auto""#,
            r#""part_size": "1MiB""#,
            &["jobs[0].transfer.part_size", "5"],
        ),
        (
            r#""http://127"#,
            r#""ftp://127"#,
            &["jobs[0].endpoint", "ftp"],
        ),
    ];
    for (right, wrong, words) in cases {
        let agent = offline_agent();
        let text = good(&agent);
        let spoilt = text.replacen(right, wrong, 1);
        assert_ne!(spoilt, text, "{right}");
        let line = line_of(&text, right);
        let output = check(&agent, &spoilt);
        let file = agent.config_path();
        assert_eq!(output.code, Some(78), "{wrong}: {output:#?}");
        let named = complains(&output, file.to_str().unwrap(), line, words);
        assert!(named, "{wrong}: line {line}, {words:?}: {output:#?}");
    }
}

#[test]
fn all_mistakes_are_reported_together() {
    let agent = offline_agent();
    let text = good(&agent);
    let spoilt = text
        .replace(r#""1h""#, r#""soon""#)
        .replace("oldest", "oldset");
    let output = check(&agent, &spoilt).expect_code(78);
    let file = agent.config_path();
    for (right, path) in [(r#""1h""#, "jobs[0].interval"), ("oldest", "jobs[0].order")] {
        let line = line_of(&text, right);
        assert!(
            complains(&output, file.to_str().unwrap(), line, &[path]),
            "{output:#?}"
        );
    }
}

#[test]
fn what_is_no_json_and_no_file_is_said_so() {
    let agent = offline_agent();
    let text = good(&agent).replacen(r#""recursive": false,"#, r#""recursive" false,"#, 1);
    let output = check(&agent, &text).expect_code(78);
    let file = agent.config_path();
    let line = line_of(&text, r#""recursive" false"#);
    assert!(
        complains(&output, file.to_str().unwrap(), line, &[]),
        "{output:#?}"
    );

    std::fs::remove_file(&file).unwrap();
    let output = agent.run_as_it_is(&["check"]).expect_code(78);
    assert!(
        output.stderr.contains(file.to_str().unwrap()),
        "{output:#?}"
    );
}

#[test]
fn a_program_that_asks_gets_the_mistakes_as_findings() {
    let agent = offline_agent();
    let spoilt = good(&agent)
        .replace(r#""1h""#, r#""soon""#)
        .replace("oldest", "oldset");
    let output = agent
        .run_with_text(&spoilt, &["check", "--json"])
        .expect_code(78);
    let findings = output.json_lines();
    assert_eq!(findings.len(), 2, "{output:#?}");
    for (finding, field) in findings.iter().zip(["jobs[0].interval", "jobs[0].order"]) {
        assert_eq!(
            (&finding["ok"], &finding["step"]),
            (&false.into(), &"configuration".into())
        );
        assert!(
            finding["message"].as_str().unwrap().contains(field),
            "{finding}"
        );
    }
    std::fs::remove_dir(agent.source()).unwrap();
    let output = agent.run(&["check", "--json", "--offline"]).expect_code(78);
    let findings = output.json_lines();
    let folders = findings.iter().find(|f| f["step"] == "folders").unwrap();
    assert!(folders["message"].as_str().unwrap().contains("source_path"));
}

#[test]
fn no_command_runs_over_a_bad_configuration() {
    for command in [
        "run", "once", "plan", "check", "status", "history", "events", "pause",
    ] {
        let agent = offline_agent();
        let output = agent.run_with_text("{ \"jobs\": 7 }", &[command]);
        assert_eq!(output.code, Some(78), "{command}: {output:#?}");
    }
}

/// A finding is what `check` is asked for; with the others it is a complaint.
fn said_by<'a>(command: &str, output: &'a Output) -> &'a str {
    match command {
        "check" => &output.stdout,
        _ => &output.stderr,
    }
}

/// `check` is asked by somebody who can cure it, so a missing folder is a mistake there. What works
/// by itself goes on with its other jobs and tells of this one: a mount may come at any time.
#[test]
fn a_source_folder_that_is_not_there_is_named_with_its_place() {
    let agent = offline_agent();
    std::fs::remove_dir(agent.source()).unwrap();
    for (command, code) in [("check", 78), ("once", 74), ("plan", 74)] {
        let output = agent.run(&[command]).expect_code(code);
        let said = said_by(command, &output);
        assert!(
            said.contains(agent.source().to_str().unwrap())
                && said.contains(".source_path: ")
                && said.contains("create it, or mount what holds it"),
            "{output:#?}"
        );
    }
    assert_eq!(agent.events_of("job_blocked").len(), 1);
}

/// No mount makes a folder of it.
#[test]
fn a_source_folder_that_is_a_file_is_refused_with_its_place() {
    let agent = offline_agent();
    std::fs::remove_dir(agent.source()).unwrap();
    std::fs::write(agent.source(), "no folder").unwrap();
    for command in ["check", "once", "plan", "run"] {
        let output = agent.run(&[command]).expect_code(78);
        let said = said_by(command, &output);
        assert!(
            said.contains(".source_path: ")
                && said.contains("name the folder that holds the files"),
            "{output:#?}"
        );
    }
}

#[test]
fn one_folder_that_is_not_there_keeps_no_other_job_from_its_files() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let mut config = agent.config.clone();
    let mut second = config["jobs"][0].clone();
    second["name"] = json!("unmounted");
    second["source_path"] = json!(agent.folder().join("unmounted"));
    second["after_upload"] = json!({"move_to": agent.folder().join("unmounted/sent")});
    config["jobs"].as_array_mut().unwrap().insert(0, second);
    let agent = agent.with_config(config);
    agent.write_file("a.dmbackup", 1000, 3);
    agent.run(&["once", "--give-up", "5s"]).expect_code(74);
    assert_eq!(server.keys(BUCKET), ["a.dmbackup".to_owned()].into());
    assert_eq!(agent.events_of("job_blocked")[0]["job"], "unmounted");
}

#[test]
fn wrong_usage_is_no_wrong_configuration() {
    let agent = offline_agent();
    let cases: [&[&str]; 4] = [
        &["frobnicate"],
        &["once", "--frobnicate"],
        &["once", "--give-up", "banana"],
        &["once", "--job", "no-such-job"],
    ];
    for arguments in cases {
        let output = agent.run(arguments);
        assert_eq!(output.code, Some(64), "{arguments:?}: {output:#?}");
        assert_eq!(output.stdout, "", "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_parameters_of_the_original_are_a_whole_configuration() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let agent_config = json!({
        "state_dir": agent.state(),
        "host": "127.0.0.1",
        "port": server.port(),
        "tls": false,
        "bucket": BUCKET,
        "device_address": "BypassProxy",
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "source_path": agent.source(),
        "processing_state": "enabled",
    });
    // Would be asked if BypassProxy were not understood; nobody listens there.
    let agent = agent
        .with_config(agent_config)
        .with_env("http_proxy", "http://127.0.0.1:1");
    agent.write_file("a.dmbackup", 1000, 1);
    agent.run(&["once", "--give-up", "5s"]).expect_code(0);
    assert!(holds_content(
        &server.object_path(BUCKET, "a.dmbackup"),
        1000,
        1
    ));
}

#[test]
fn bucket_and_region_are_read_from_the_host_of_the_original() {
    let server = S3Server::start(S3Options {
        buckets: vec!["mybucket".into()],
        domains: vec!["s3.eu-west-2.amazonaws.com".into()],
        ..S3Options::default()
    });
    let proxy = ConnectProxy::start(server.address());
    let agent = Agent::new(&server);
    let config = json!({
        "state_dir": agent.state(),
        "host": "mybucket.s3.eu-west-2.amazonaws.com",
        "port": 80,
        "tls": false,
        "proxy": proxy.url(),
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "source_path": agent.source(),
        "processing_state": "enabled",
    });
    let agent = agent.with_config(config);
    agent.write_file("a.dmbackup", 1000, 2);
    agent.run(&["once", "--give-up", "5s"]).expect_code(0);
    assert!(holds_content(
        &server.object_path("mybucket", "a.dmbackup"),
        1000,
        2
    ));
    assert_eq!(agent.history()[0]["bucket"], "mybucket");
    let through = proxy.asked_for();
    assert_eq!(through.len(), 1, "{through:?}");
    assert!(
        through[0].contains("mybucket.s3.eu-west-2.amazonaws.com"),
        "{through:?}"
    );
    let signed_for = server.requests()[0]
        .header("authorization")
        .unwrap()
        .to_owned();
    assert!(signed_for.contains("/eu-west-2/s3/"), "{signed_for}");
}

#[test]
fn two_jobs_with_one_prefix_of_one_bucket_are_warned_of() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let warning = "job `second` sends to the same bucket and prefix as job `job`";
    let with = |more: serde_json::Value| {
        let mut config = agent.config.clone();
        let mut second = config["jobs"][0].clone();
        second["name"] = json!("second");
        second
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        config["jobs"].as_array_mut().unwrap().push(second);
        let output = agent.run_with_text(&config.to_string(), &["check", "--offline"]);
        output.expect_code(0).stdout
    };
    assert!(with(json!({})).contains(warning));
    assert!(!with(json!({ "prefix": "apart/" })).contains(warning));
    assert!(!with(json!({ "bucket": "another" })).contains(warning));
    assert!(!with(json!({ "object": { "if_exists": "skip" } })).contains(warning));
}
