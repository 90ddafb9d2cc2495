//! Files go in, objects come out: what a pass does when nothing goes wrong.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use crate::support::agent::{Agent, JOB};
use crate::support::files::{Content, holds_content, set_age, write_content};
use crate::support::server::{BUCKET, Request, S3Options, S3Server};

fn server() -> S3Server {
    S3Server::start(S3Options::default())
}

/// Method and path of every request, without the bucket.
fn asked(server: &S3Server) -> Vec<(String, String)> {
    let requests = server.requests().into_iter();
    let prefix = format!("/{BUCKET}/");
    requests
        .map(|r| (r.method, r.path.trim_start_matches(&prefix).to_owned()))
        .collect()
}

/// `once`, and the keys that are in the bucket then.
fn keys_after_once(agent: &Agent, server: &S3Server) -> Vec<String> {
    agent.once().expect_code(0);
    server.keys(BUCKET).into_iter().collect()
}

#[test]
fn a_small_file_is_one_put_and_leaves_its_records() {
    let server = server();
    let agent = Agent::new(&server);
    let path = agent.write_file("a.bin", 1000, 1);
    agent.once().expect_code(0);

    assert_eq!(
        server.object(BUCKET, "a.bin"),
        Some(Content::new(1000, 1).bytes())
    );
    assert_eq!(asked(&server), [("PUT".into(), "a.bin".into())]);

    let history = agent.history();
    assert_eq!(history.len(), 1, "{history:?}");
    let entry = &history[0];
    let path = path.to_str().unwrap();
    let facts = [
        "v",
        "job",
        "source_path",
        "size",
        "bucket",
        "key",
        "after_upload",
    ];
    let found: Vec<_> = facts.iter().map(|name| entry[name].clone()).collect();
    let expected = json!([1, JOB, path, 1000, BUCKET, "a.bin", "keep"]);
    assert_eq!(json!(found), expected, "{entry}");
    let seconds = entry["seconds"].as_f64().unwrap();
    let speed = entry["bytes_per_second"].as_f64().unwrap();
    assert!(
        (speed * seconds - 1000.0).abs() <= 1000.0 * 0.01 + seconds,
        "{entry}"
    );
    for time in ["started_at", "finished_at"] {
        let text = entry[time].as_str().unwrap();
        assert_eq!(
            (text.len(), &text[10..11], &text[23..]),
            (24, "T", "Z"),
            "{entry}"
        );
    }

    for kind in ["upload_started", "upload_finished", "pass_finished"] {
        assert_eq!(
            agent.events_of(kind).len(),
            1,
            "{kind}: {:?}",
            agent.events()
        );
    }
    assert_eq!(agent.events_of("upload_finished")[0]["source_path"], path);
}

#[test]
fn a_file_above_the_threshold_goes_up_in_parts() {
    let server = server();
    let transfer = json!({ "multipart_threshold": "8MiB", "part_size": "5MiB" });
    let agent = Agent::new(&server).with_job(json!({ "transfer": transfer }));
    let size = (12 << 20) + 1;
    agent.write_file("large.bin", size, 2);
    agent.once().expect_code(0);

    assert!(holds_content(
        &server.object_path(BUCKET, "large.bin"),
        size,
        2
    ));
    let requests = server.requests();
    let parts: Vec<_> = requests.iter().filter_map(Request::part_number).collect();
    assert_eq!(parts, [1, 2, 3]);
    let count = |what: fn(&Request) -> bool| requests.iter().filter(|r| what(r)).count();
    assert_eq!(count(Request::is_create_multipart), 1);
    assert_eq!(count(Request::is_complete_multipart), 1);
    assert_eq!(server.connections(), 1);
    assert_eq!(agent.history()[0]["parts"], 3);
}

#[test]
fn an_empty_file_is_an_empty_object() {
    let server = server();
    let agent = Agent::new(&server);
    agent.write_file("empty", 0, 0);
    agent.once().expect_code(0);
    assert_eq!(server.object(BUCKET, "empty"), Some(Vec::new()));
}

/// Every printable ASCII character that a file name can have.
fn printable() -> impl Iterator<Item = char> {
    (' '..='~').filter(|&c| c != '/')
}

#[test]
fn a_name_of_any_characters_is_its_own_key() {
    let mut names: Vec<String> = printable().map(|c| format!("x{c}y")).collect();
    names.push(printable().collect());
    let others = [
        " lead and trail ",
        "%41%2F+%20",
        "写真.jpg",
        "한글",
        "ünïcödé",
        "🚢📦.bin",
        "...",
    ];
    names.extend(others.map(str::to_owned));

    let server = server();
    let agent = Agent::new(&server);
    for (seed, name) in names.iter().enumerate() {
        agent.write_file(name, 100, seed as u64);
    }
    agent.once().expect_code(0);

    let expected: BTreeSet<String> = names.iter().cloned().collect();
    assert_eq!(server.keys(BUCKET), expected);
    for (seed, name) in names.iter().enumerate() {
        let content = Content::new(100, seed as u64).bytes();
        assert_eq!(server.object(BUCKET, name), Some(content), "{name}");
    }
}

#[test]
fn a_prefix_of_any_characters_stands_before_the_key() {
    let all: String = printable().collect();
    for prefix in [all.as_str(), "site 7/a+b&c=d?e#f/", "写真/🚢/", "no-slash_"] {
        let server = server();
        let agent = Agent::new(&server).with_job(json!({ "prefix": prefix }));
        agent.write_file("a", 100, 3);
        assert_eq!(keys_after_once(&agent, &server), [format!("{prefix}a")]);
    }
}

#[test]
fn change_filename_makes_the_key() {
    let server = server();
    let template = "<dmaId>_<elementId>_<createTime>_<filename>.<extension>";
    let agent = Agent::new(&server)
        .with(json!({ "placeholders": { "dmaId": "17", "elementId": "204" } }))
        .with_job(json!({ "change_filename": template, "prefix": "site-7/" }));
    agent.write_file("backup of today.dmbackup", 100, 1);
    let keys = keys_after_once(&agent, &server);
    let (start, end) = ("site-7/17_204_", "_backup of today.dmbackup");
    let time = keys[0]
        .strip_prefix(start)
        .and_then(|k| k.strip_suffix(end));
    let time = time.unwrap_or_else(|| panic!("{keys:?}"));
    assert!(
        time.len() == 14 && time.bytes().all(|b| b.is_ascii_digit()),
        "{keys:?}"
    );
}

#[test]
fn the_filter_of_the_original_leaves_out_what_it_says() {
    let server = server();
    let filter = r"^(?!_current)(.*\.dmbackup)$";
    let agent = Agent::new(&server).with_job(json!({ "filter": filter }));
    for name in [
        "a.dmbackup",
        "_current.dmbackup",
        "a.dmbackup.tmp",
        "b.dmbackup",
    ] {
        agent.write_file(name, 100, 1);
    }
    assert_eq!(
        keys_after_once(&agent, &server),
        ["a.dmbackup", "b.dmbackup"]
    );
}

#[test]
fn folders_are_entered_only_when_recursive() {
    for (recursive, expected) in [
        (false, vec!["top"]),
        (true, vec!["sub/deep/er", "sub/in", "top"]),
    ] {
        let server = server();
        let agent = Agent::new(&server).with_job(json!({ "recursive": recursive }));
        for name in ["top", "sub/in", "sub/deep/er"] {
            agent.write_file(name, 100, 1);
        }
        assert_eq!(
            keys_after_once(&agent, &server),
            expected,
            "recursive: {recursive}"
        );
    }
}

#[test]
fn files_go_in_the_order_asked_for() {
    let cases = [
        ("oldest", ["b", "c", "a"]),
        ("newest", ["a", "c", "b"]),
        ("name", ["a", "b", "c"]),
        ("smallest", ["c", "a", "b"]),
    ];
    for (order, expected) in cases {
        let server = server();
        let agent = Agent::new(&server).with_job(json!({ "order": order }));
        for (name, size, hours) in [("a", 20, 1), ("b", 30, 3), ("c", 10, 2)] {
            let path = agent.write_file(name, size, 1);
            set_age(&path, Duration::from_secs(3600 * hours));
        }
        agent.once().expect_code(0);
        let keys: Vec<_> = asked(&server).into_iter().map(|(_, key)| key).collect();
        assert_eq!(keys, expected, "{order}");
    }
}

#[test]
fn a_kept_file_is_not_sent_again_but_a_changed_one_is() {
    let server = server();
    let agent = Agent::new(&server);
    agent.write_file("same", 100, 1);
    let changing = agent.write_file("changing", 100, 2);
    agent.once().expect_code(0);
    assert_eq!(server.requests().len(), 2);

    agent.once().expect_code(0);
    assert_eq!(
        server.requests().len(),
        2,
        "a file that is done costs no request"
    );

    write_content(&changing, 120, 3);
    agent.once().expect_code(0);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(
        server.object(BUCKET, "changing"),
        Some(Content::new(120, 3).bytes())
    );
}

#[test]
fn a_file_that_has_not_settled_is_left_for_later() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "settle": "1h" }));
    let path = agent.write_file("a", 100, 1);
    set_age(&path, Duration::ZERO);
    agent.once();
    assert_eq!(server.requests().len(), 0);
    set_age(&path, Duration::from_secs(7200));
    assert_eq!(keys_after_once(&agent, &server), ["a"]);
}

#[test]
fn after_upload_the_file_is_kept_deleted_or_moved() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "after_upload": "delete" }));
    let path = agent.write_file("deleted", 100, 1);
    agent.once().expect_code(0);
    assert!(!path.exists());
    assert!(server.object(BUCKET, "deleted").is_some());

    let sent = agent.folder().join("sent");
    let agent = agent.with_job(json!({ "after_upload": null }));
    let agent = agent.with_job(json!({ "after_upload": { "move_to": sent } }));
    let path = agent.write_file("moved", 100, 2);
    std::fs::create_dir_all(&sent).unwrap();
    agent.once().expect_code(0);
    assert!(!path.exists());
    assert!(holds_content(&sent.join("moved"), 100, 2));
    assert_eq!(server.keys(BUCKET).len(), 2);
}

/// 2040-01-02 03:04:05 UTC: two years more than 32 bits of seconds can hold.
#[test]
fn a_date_after_2038_is_read_and_kept() {
    let late = UNIX_EPOCH + Duration::from_secs(2_209_086_245);
    let server = server();
    // Another file system where there is one, so that the file is copied with its date.
    let sent = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let sent = sent.unwrap();
    let agent = Agent::new(&server).with_job(json!({
        "change_filename": "<modifyTime>_<filename>",
        "after_upload": { "move_to": sent.path() },
    }));
    let path = agent.write_file("late", 100, 1);
    let file = File::options().append(true).open(&path).unwrap();
    file.set_modified(late).unwrap();
    assert_eq!(keys_after_once(&agent, &server), ["20400102030405_late"]);
    let moved = std::fs::metadata(sent.path().join("late")).unwrap();
    assert_eq!(moved.modified().unwrap(), late);
}

#[test]
fn a_thousand_small_files_are_a_thousand_puts_on_one_connection() {
    let server = server();
    let agent = Agent::new(&server);
    for n in 0..1000 {
        agent.write_file(format!("{n:04}"), 10 * 1024, n);
    }
    let output = agent.once().expect_code(0);

    let requests = server.requests();
    assert_eq!(requests.len(), 1000);
    assert!(
        requests
            .iter()
            .all(|r| r.is_put_object() && r.status == Some(200))
    );
    assert!(
        requests
            .iter()
            .all(|r| r.connection_id == requests[0].connection_id)
    );
    assert_eq!(server.connections(), 1);
    assert_eq!(output.max_threads, 1);
    assert!(
        (1..24 << 20).contains(&output.peak_rss),
        "{}",
        output.peak_rss
    );
    for n in 0..1000 {
        assert!(holds_content(
            &server.object_path(BUCKET, &format!("{n:04}")),
            10 * 1024,
            n
        ));
    }
    assert_eq!(agent.history().len(), 1000);
    agent.once().expect_code(0);
    assert_eq!(server.requests().len(), 1000);
}

#[test]
fn of_two_files_with_one_key_the_second_is_not_sent_and_both_are_named() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "change_filename": "same" }));
    for (name, hours) in [("first.txt", 2), ("second.txt", 1)] {
        let path = agent.write_file(name, 100, hours);
        set_age(&path, Duration::from_secs(3600 * hours));
    }
    for _ in 0..2 {
        agent.once();
        assert_eq!(server.requests().len(), 1);
        assert_eq!(
            server.object(BUCKET, "same"),
            Some(Content::new(100, 2).bytes())
        );
    }
    let events = agent.events();
    let names_both = events.iter().any(|event| {
        let text = event.to_string();
        event["kind"] != "pass_finished"
            && text.contains("first.txt")
            && text.contains("second.txt")
    });
    assert!(names_both, "{events:?}");
}

#[test]
fn plan_shows_the_keys_and_sends_nothing() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "prefix": "p/", "filter": "bin$" }));
    agent.write_file("a.bin", 100, 1);
    agent.write_file("b.txt", 100, 1);
    for arguments in [&["plan"][..], &["plan", "--json"]] {
        let output = agent.run(arguments).expect_code(0);
        assert!(output.stdout.contains("p/a.bin"), "{output:#?}");
        assert!(!output.stdout.contains("p/b.txt"), "{output:#?}");
    }
    assert!(!agent.run(&["plan", "--json"]).json_lines().is_empty());
    assert_eq!(server.connections(), 0);
    assert!(agent.history().is_empty());
}

#[test]
fn a_disabled_job_sends_nothing() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "processing_state": "disabled" }));
    agent.write_file("a", 100, 1);
    agent.once().expect_code(0);
    assert_eq!(server.connections(), 0);
}
