//! Names, entries and files that change under the agent's hands.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, makedev, mkfifoat, mknodat};
use rustix::process::Signal;
use serde_json::json;

use crate::support::agent::{Agent, SOON};
use crate::support::files::{holds_content, set_age, write_content};
use crate::support::running::Running;
use crate::support::scripted::{Line, ScriptedServer};
use crate::support::server::{BUCKET, Request, S3Options, S3Server};

fn server() -> S3Server {
    S3Server::start(S3Options::default())
}

fn fifo(path: &Path) {
    mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).unwrap();
}

/// An upload of 4 MiB that takes about four seconds, in its middle.
fn upload_under_way(server: &S3Server, agent: &Agent) -> Running {
    let path = agent.write_file("a", 4 << 20, 1);
    assert!(path.exists());
    let running = agent.start();
    let sent = server.wait_for_requests(1, SOON, |_| true);
    assert!(sent, "{}", running.stderr());
    running
}

fn throttled(server: &S3Server) -> Agent {
    Agent::new(server).with_job(json!({
        "transfer": { "bandwidth_limit": "1MiB/s" },
        "interval": "1s",
    }))
}

#[test]
fn every_name_is_sent_or_said_to_be_unsendable() {
    // The test server keeps the key's base64 in the name of a file of its own.
    let longest = [b'n'; 150];
    let names: [&[u8]; 18] = [
        b"-rf",
        b"--help",
        b".hidden",
        b"...",
        b"..a",
        b"a b",
        b"a\nb",
        b"\n",
        b"\r\x1b[31mred",
        b"\x01\x7f",
        b"\xff\xfe",
        b"caf\xc3\xa9",
        b"caf\xe9",
        b"a\\b",
        b"a%2Fb&c=d?e#f+g",
        b"\xe2\x80\xaegpj.exe",
        b"<Key>&amp;",
        &longest,
    ];
    let server = server();
    let agent = Agent::new(&server);
    for (seed, name) in names.iter().enumerate() {
        agent.write_file(OsStr::from_bytes(name), 100, seed as u64);
    }
    let output = agent.run(&["once", "--give-up", "10s"]);
    assert!(matches!(output.code, Some(0 | 74)), "{output:#?}");
    assert!(!output.stderr.contains('\u{1b}'), "{output:#?}");
    let sent = agent.history();
    let skipped = agent.events_of("file_skipped");
    println!(
        "{} names sent, {} said to be unsendable",
        sent.len(),
        skipped.len()
    );
    assert_eq!(sent.len() + skipped.len(), names.len(), "{skipped:#?}");
    assert!(sent.len() >= 12, "{skipped:#?}");
    for (seed, name) in names.iter().enumerate() {
        let Ok(key) = str::from_utf8(name) else {
            continue;
        };
        let recorded = sent.iter().any(|entry| entry["key"] == key);
        let path = server.object_path(BUCKET, key);
        assert_eq!(recorded, holds_content(&path, 100, seed as u64), "{key:?}");
    }
    // Nothing is told twice.
    agent.run(&["once", "--give-up", "10s"]);
    assert_eq!(agent.history().len(), sent.len());
}

#[test]
fn the_longest_name_that_a_file_can_have_arrives() {
    let server = ScriptedServer::start([Line::new(200, &[("ETag", "\"a\"")], "")]);
    let agent = Agent::with_endpoint(&server.endpoint());
    let longest = "n".repeat(255);
    agent.write_file(&longest, 100, 1);
    agent.once().expect_code(0);
    assert_eq!(server.requests()[0].target, format!("/{BUCKET}/{longest}"));
}

#[test]
fn entries_named_like_backups_that_are_no_files_are_left_alone() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "recursive": true }));
    let secret = agent.folder().join("secret");
    write_content(&secret, 100, 9);
    fifo(&agent.source_file("fifo.tar"));
    let _socket = UnixListener::bind(agent.source_file("socket.tar")).unwrap();
    symlink(&secret, agent.source_file("link.tar")).unwrap();
    symlink("/nowhere", agent.source_file("dangling.tar")).unwrap();
    symlink("loop.tar", agent.source_file("loop.tar")).unwrap();
    symlink("/", agent.source_file("root")).unwrap();
    std::fs::create_dir(agent.source_file("folder.tar")).unwrap();
    // Only root may make one.
    let null = agent.source_file("null.tar");
    let _ = mknodat(
        CWD,
        &null,
        FileType::CharacterDevice,
        Mode::RUSR,
        makedev(1, 3),
    );
    let zero = agent.source_file("zero.tar");
    let _ = mknodat(
        CWD,
        &zero,
        FileType::CharacterDevice,
        Mode::RUSR,
        makedev(1, 5),
    );
    agent.write_file("good.tar", 100, 1);
    agent.once().expect_code(0);
    let keys: Vec<_> = server.keys(BUCKET).into_iter().collect();
    assert_eq!(keys, ["good.tar"]);

    // A link that leads back to itself is asked for, and cannot be had.
    let agent = agent.with_job(json!({ "follow_symlinks": true, "recursive": false }));
    agent.once().expect_code(74);
    let skipped = agent.events_of("file_skipped");
    assert_eq!(skipped.len(), 1, "{skipped:?}");
    assert!(skipped[0].to_string().contains("loop.tar"), "{skipped:?}");
    let keys: Vec<_> = server.keys(BUCKET).into_iter().collect();
    assert_eq!(keys, ["good.tar", "link.tar"]);
}

/// The bandwidth limit holds the first file while the others, already seen, turn into traps.
#[test]
fn a_trap_put_in_place_of_a_file_is_not_stepped_into() {
    let server = server();
    let agent = throttled(&server).with_job(json!({ "order": "name", "recursive": true }));
    let secret = agent.folder().join("secret");
    write_content(&secret, 100, 9);
    for (name, seed) in [("b", 2), ("c", 3), ("d", 4), ("folder/e", 5), ("z", 6)] {
        agent.write_file(name, 100, seed);
    }
    let running = upload_under_way(&server, &agent);
    let replace = |name: &str| {
        let path = agent.source_file(name);
        std::fs::remove_file(&path).unwrap();
        path
    };
    fifo(&replace("b"));
    symlink(&secret, replace("c")).unwrap();
    std::fs::create_dir(replace("d")).unwrap();
    replace("folder/e");
    std::fs::remove_dir(agent.source_file("folder")).unwrap();
    let elsewhere = agent.folder().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    write_content(&elsewhere.join("e"), 100, 5);
    symlink(&elsewhere, agent.source_file("folder")).unwrap();
    running.wait_for_events("upload_finished", 2, SOON);
    assert_eq!(running.stop().code(), Some(0));
    let keys: Vec<_> = server.keys(BUCKET).into_iter().collect();
    assert_eq!(keys, ["a", "z"]);
}

#[test]
fn a_source_folder_that_vanishes_blocks_the_job_until_it_is_back() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "interval": "1s" }));
    agent.write_file("a", 100, 1);
    let running = agent.start();
    running.wait_for_event("upload_finished", SOON);
    let away = agent.folder().join("away");
    std::fs::rename(agent.source(), &away).unwrap();
    let blocked = running.wait_for_event("job_blocked", SOON);
    assert!(blocked["error"]["hint"].is_string(), "{blocked}");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(agent.events_of("job_blocked").len(), 1, "told once");
    write_content(&away.join("b"), 100, 2);
    std::fs::rename(&away, agent.source()).unwrap();
    running.wait_for_event("job_unblocked", SOON);
    running.wait_for_events("upload_finished", 2, SOON);
    assert_eq!(running.stop().code(), Some(0));

    std::fs::rename(agent.source(), &away).unwrap();
    let output = agent.once().expect_code(74);
    assert!(output.stderr.contains("mount what holds it"), "{output:#?}");
    assert_eq!(server.keys(BUCKET).len(), 2);
}

/// What a test does to `a` while it is being sent.
type Change = fn(&Path);

#[test]
fn a_file_that_changes_during_its_upload_is_sent_again_whole() {
    let append = |path: &Path| {
        let mut file = std::fs::File::options().append(true).open(path).unwrap();
        file.write_all(b"and more").unwrap();
    };
    let changes: [(&str, Change); 4] = [
        ("truncated", |path| {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_len(1 << 20).unwrap();
        }),
        ("emptied", |path| drop(std::fs::File::create(path).unwrap())),
        ("grown", append),
        ("rewritten in place", |path| {
            let mut file = std::fs::File::options().write(true).open(path).unwrap();
            file.write_all(b"another beginning").unwrap();
        }),
    ];
    std::thread::scope(|scope| {
        for (name, change) in changes {
            scope.spawn(move || {
                let server = server();
                let agent = throttled(&server);
                let running = upload_under_way(&server, &agent);
                let path = agent.source_file("a");
                change(&path);
                running.wait_for_event("file_changed", SOON);
                // An object that is there already is the new file's.
                let is_whole = |object| object == std::fs::read(&path).unwrap();
                let whole = server.object(BUCKET, "a").is_none_or(is_whole);
                assert!(whole, "{name}: half an object");
                running.wait_for_event("upload_finished", SOON);
                assert_eq!(running.stop().code(), Some(0));
                let content = std::fs::read(&path).unwrap();
                assert!(server.object(BUCKET, "a") == Some(content), "{name}");
                assert_eq!(agent.history().len(), 1, "{name}");
            });
        }
    });
}

#[test]
fn a_file_that_takes_the_place_of_one_under_way_survives_the_deletion() {
    let server = server();
    let agent = throttled(&server).with_job(json!({ "after_upload": "delete" }));
    let running = upload_under_way(&server, &agent);
    let new = agent.folder().join("new");
    write_content(&new, 5000, 2);
    set_age(&new, Duration::from_secs(60));
    std::fs::rename(&new, agent.source_file("a")).unwrap();
    // The second upload is the new file's, and only then may the name go.
    let is_new = |r: &Request| r.content_length == Some(5000) && r.status == Some(200);
    let deadline = Instant::now() + SOON;
    while !server.wait_for_requests(1, Duration::from_millis(5), is_new) {
        let there = agent.source_file("a").exists();
        assert!(
            there || server.wait_for_requests(1, SOON, is_new),
            "deleted unsent"
        );
        assert!(Instant::now() < deadline, "{:?}", agent.events());
    }
    let gone = || !agent.source_file("a").exists();
    while !gone() {
        assert!(Instant::now() < deadline, "{:?}", agent.events());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(running.stop().code(), Some(0));
    assert!(holds_content(&server.object_path(BUCKET, "a"), 5000, 2));
}

#[test]
fn a_file_that_somebody_writes_to_is_not_taken() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "settle": "1s", "interval": "1s" }));
    let path = agent.write_file("a", 5000, 1);
    let writer = std::fs::File::options().append(true).open(&path).unwrap();
    set_age(&path, Duration::from_secs(3600));
    agent.write_file("b", 100, 2);
    let running = agent.start();
    running.wait_for_event("upload_finished", SOON);
    std::thread::sleep(Duration::from_secs(3));
    let keys: Vec<_> = server.keys(BUCKET).into_iter().collect();
    assert_eq!(keys, ["b"]);
    drop(writer);
    running.wait_for_events("upload_finished", 2, SOON);
    assert_eq!(running.stop().code(), Some(0));
}

#[test]
fn folders_nested_without_end_are_walked_as_far_as_makes_sense() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "recursive": true }));
    let nested = |depth| format!("{}file", "d/".repeat(depth));
    for (seed, depth) in [0, 40, 60].into_iter().enumerate() {
        agent.write_file(nested(depth), 100, seed as u64);
    }
    agent.write_file(nested(70), 100, 9);
    let output = agent.once();
    let keys: Vec<_> = server.keys(BUCKET).into_iter().collect();
    assert_eq!(keys.len(), 3, "{output:#?}");
    let told = agent
        .events()
        .iter()
        .any(|event| event["severity"] != "info" && event.to_string().contains("deep"));
    assert!(told, "{:#?}", agent.events());
    assert_eq!(output.code, Some(74), "{output:#?}");
}

#[test]
fn twenty_thousand_entries_take_little_memory() {
    const MANY: usize = 20_000;
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "filter": "^take" }));
    for n in 0..MANY {
        std::fs::write(agent.source_file(format!("leave{n}")), "").unwrap();
    }
    agent.write_file("take", 100, 1);
    let few = agent.once().expect_code(0).peak_rss;
    assert_eq!(server.keys(BUCKET).len(), 1);

    // All of them wait for a server that is not there.
    let agent = Agent::with_endpoint("http://127.0.0.1:1");
    for n in 0..MANY {
        std::fs::write(agent.source_file(format!("file{n}")), "").unwrap();
    }
    let all = agent
        .run(&["once", "--give-up", "1s"])
        .expect_code(75)
        .peak_rss;
    assert!(few < 24 << 20 && all < 24 << 20, "{few} and {all} bytes");
    let running = agent.start();
    running.wait_for_event("service_started", SOON);
    running.signal(Signal::USR1);
    assert_eq!(running.stop().code(), Some(0));
}
