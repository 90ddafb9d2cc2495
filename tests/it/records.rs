//! The upload history and the events, as the commands show them.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::agent::{Agent, JOB, SOON, binary};
use crate::support::server::{S3Options, S3Server};

/// An agent that has sent `a.bin`, `b.bin` and `c.bin` (100, 200 and 300 bytes), in that order.
fn after_three_uploads() -> (S3Server, Agent) {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({ "order": "name" }));
    for (n, name) in [(1, "a.bin"), (2, "b.bin"), (3, "c.bin")] {
        agent.write_file(name, n * 100, n);
    }
    agent.once().expect_code(0);
    (server, agent)
}

/// The values of one field, in order of lines.
fn column(records: &[Value], name: &str) -> Vec<Value> {
    records.iter().map(|record| record[name].clone()).collect()
}

#[test]
fn the_history_table_shows_path_size_times_and_speed() {
    let (_server, agent) = after_three_uploads();
    let output = agent.run(&["history"]).expect_code(0);
    let finished = agent.history()[0]["finished_at"].as_str().unwrap()[..10].to_owned();
    for name in ["a.bin", "b.bin", "c.bin"] {
        let path = agent.source_file(name);
        let line = output
            .stdout
            .lines()
            .find(|line| line.contains(path.to_str().unwrap()));
        let line = line.unwrap_or_else(|| panic!("no line for {name}: {output:#?}"));
        assert!(line.contains(&finished), "{line}");
    }
    assert!(
        !output.stdout.contains('\x1b'),
        "no colours into a file: {output:#?}"
    );
}

#[test]
fn json_lines_are_the_records_themselves() {
    let (_server, agent) = after_three_uploads();
    let history = agent
        .run(&["history", "--json"])
        .expect_code(0)
        .json_lines();
    assert_eq!(column(&history, "key"), ["a.bin", "b.bin", "c.bin"]);
    assert_eq!(column(&history, "size"), [100, 200, 300]);
    assert_eq!(history, agent.history());
    let events = agent.run(&["events", "--json"]).expect_code(0).json_lines();
    assert_eq!(events, agent.events());
    assert_eq!(column(&events, "kind").last().unwrap(), "pass_finished");
}

#[test]
fn n_and_job_choose_among_the_records() {
    let (_server, agent) = after_three_uploads();
    let keys = |arguments: &[&str]| {
        let arguments = [&["history", "--json"], arguments].concat();
        column(&agent.run(&arguments).expect_code(0).json_lines(), "key")
    };
    assert_eq!(keys(&["-n", "2"]), ["b.bin", "c.bin"]);
    assert_eq!(keys(&["-n", "99"]).len(), 3);
    assert_eq!(keys(&["--job", JOB]).len(), 3);
    let events = agent
        .run(&["events", "--json", "-n", "1"])
        .expect_code(0)
        .json_lines();
    assert_eq!(column(&events, "kind"), ["pass_finished"]);
}

#[test]
fn the_events_table_has_as_many_as_configured() {
    let (_server, agent) = after_three_uploads();
    let lines = |agent: &Agent| {
        let output = agent.run(&["events"]).expect_code(0);
        let shown = output
            .stdout
            .lines()
            .filter(|line| line.contains("upload_"))
            .count();
        (shown, output)
    };
    let (shown, output) = lines(&agent);
    assert_eq!(shown, 6, "{output:#?}");
    let agent = agent.with(json!({ "events": { "shown": 3 } }));
    let (shown, output) = lines(&agent);
    assert_eq!(shown, 2, "two uploads and the end of the pass: {output:#?}");
}

#[test]
fn csv_quotes_what_has_commas_and_quotes() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    agent.write_file("a,\"b\".bin", 100, 1);
    agent.once().expect_code(0);
    let output = agent.run(&["history", "--csv"]).expect_code(0);
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{output:#?}");
    let names: Vec<_> = lines[0].split(',').collect();
    for name in [
        "job",
        "source_path",
        "size",
        "started_at",
        "finished_at",
        "bytes_per_second",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(lines[1].contains("/a,\"\"b\"\".bin\""), "{}", lines[1]);
    let events = agent.run(&["events", "--csv"]).expect_code(0);
    assert!(
        events.stdout.lines().next().unwrap().contains("kind"),
        "{events:#?}"
    );
}

#[test]
fn before_the_first_upload_the_records_are_empty() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    for command in ["history", "events"] {
        for form in ["--json", "--csv"] {
            let output = agent.run(&[command, form]).expect_code(0);
            let rows = output.stdout.lines().count();
            assert!(rows <= usize::from(form == "--csv"), "{output:#?}");
        }
    }
}

#[test]
fn a_torn_line_is_skipped_with_a_warning_and_never_joined() {
    let torn: [&[u8]; 3] = [
        b"{\"v\":1,\"job\":\"jo",
        &[0; 700],
        b"{\"v\":1,\"key\":\"\0\0\0\n",
    ];
    for tail in torn {
        let (_server, agent) = after_three_uploads();
        let path = agent.state().join("history.jsonl");
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(tail).unwrap();

        let output = agent.run(&["history", "--json"]).expect_code(0);
        assert_eq!(output.json_lines().len(), 3);
        assert!(output.stderr.contains("history.jsonl"), "{output:#?}");

        agent.write_file("d.bin", 400, 4);
        agent.once().expect_code(0);
        let output = agent.run(&["history", "--json"]).expect_code(0);
        let keys = column(&output.json_lines(), "key");
        assert_eq!(keys, ["a.bin", "b.bin", "c.bin", "d.bin"]);
    }
}

#[test]
fn the_history_rotates_within_its_bounds() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server)
        .with(json!({ "history": { "max_size": "4KiB", "files": 2 } }))
        .with_job(json!({ "order": "name" }));
    for n in 0..60 {
        agent.write_file(format!("{n:02}"), 10, n);
    }
    agent.once().expect_code(0);
    let sizes: Vec<u64> = std::fs::read_dir(agent.state())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .unwrap()
                .starts_with("history.jsonl")
        })
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    assert_eq!(sizes.len(), 2, "{sizes:?}");
    assert!(sizes.iter().all(|&size| size <= 4096), "{sizes:?}");
    let shown = agent
        .run(&["history", "--json"])
        .expect_code(0)
        .json_lines();
    assert_eq!(column(&shown, "key").last().unwrap(), "59");
    assert_eq!(shown, agent.history());
}

#[test]
fn an_output_that_cannot_be_written_is_not_blamed_on_the_records() {
    let (_server, agent) = after_three_uploads();
    for command in ["history", "events"] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = shell(&agent, &[command]).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(74), "{said}");
        assert!(said.contains("cannot write to standard output"), "{said}");
    }
}

#[test]
fn following_ends_when_its_reader_goes_away() {
    let (_server, agent) = after_three_uploads();
    let mut child = shell(&agent, &["events", "--follow", "-n", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    drop(lines);
    let deadline = Instant::now() + SOON;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                panic!("it goes on without a reader");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(status.success(), "{status}");
}

/// A command with its output where the test wants it.
fn shell(agent: &Agent, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).arg("-c").arg(agent.config_path());
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command
}
