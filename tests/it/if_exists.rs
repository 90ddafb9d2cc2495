//! `if_exists`: what is done about an object that is there already, and how its own is recognised.

use serde_json::{Value, json};

use crate::support::agent::{Agent, Output};
use crate::support::files::Content;
use crate::support::proxy::{FaultProxy, Plan};
use crate::support::scripted::{Line, ScriptedServer};
use crate::support::server::{BUCKET, Failure, Request, S3Options, S3Server};

/// 5 MiB parts, the smallest that S3 takes: three of them.
const LARGE: u64 = (10 << 20) + 4321;
const SMALL: u64 = 20_000;

const MODES: [&str; 3] = ["skip", "fail", "rename"];

fn server() -> S3Server {
    S3Server::start(S3Options::default())
}

fn agent_at(endpoint: &str, mode: &str) -> Agent {
    Agent::with_endpoint(endpoint).with_job(json!({
        "object": { "if_exists": mode },
        "transfer": { "multipart_threshold": "8MiB", "part_size": "5MiB" },
    }))
}

fn agent(server: &S3Server, mode: &str) -> Agent {
    agent_at(&server.endpoint(), mode)
}

fn once(agent: &Agent) -> Output {
    agent.run(&["once", "--give-up", "10s"])
}

fn put_object(server: &S3Server, key: &str, bytes: &[u8]) {
    std::fs::write(server.object_path(BUCKET, key), bytes).unwrap();
}

fn lose_state(agent: &Agent) {
    std::fs::remove_dir_all(agent.state()).unwrap();
}

fn bodies(requests: &[Request]) -> usize {
    let sent = |request: &&Request| request.method != "HEAD";
    requests.iter().filter(sent).count()
}

fn messages(events: &[Value]) -> String {
    let messages: Vec<_> = events
        .iter()
        .map(|event| event["message"].as_str().unwrap())
        .collect();
    messages.join("\n")
}

#[test]
fn a_lost_state_sends_nothing_twice_and_the_files_go() {
    for mode in MODES {
        for checksum in ["none", "crc64nvme", "sha256"] {
            let server = server();
            let agent =
                agent(&server, mode).with_job(json!({ "transfer": { "checksum": checksum } }));
            let small = agent.write_file("small.bin", SMALL, 1);
            let large = agent.write_file("large.bin", LARGE, 2);
            once(&agent).expect_code(0);
            let before = server.requests().len();

            lose_state(&agent);
            let agent = agent.with_job(json!({ "after_upload": "delete" }));
            once(&agent).expect_code(0);
            let case = format!("{mode} {checksum}");
            let requests = &server.requests()[before..];
            assert_eq!(
                (requests.len(), bodies(requests)),
                (2, 0),
                "{case}: {requests:#?}"
            );
            assert!(!small.exists() && !large.exists(), "{case}");
            let skipped = agent.events_of("file_skipped");
            assert!(
                messages(&skipped).contains("same bytes"),
                "{case}: {skipped:?}"
            );
            let history = agent.history();
            assert_eq!((skipped.len(), history.len()), (2, 2), "{case}");
            for entry in history {
                assert_eq!(entry["resumed_bytes"], entry["size"], "{case}: {entry}");
                assert!(
                    entry["checksum"].is_string() && entry["etag"].is_string(),
                    "{case}: {entry}"
                );
            }
            assert_eq!(server.keys(BUCKET).len(), 2, "{case}");
        }
    }
}

#[test]
fn skip_keeps_the_object_and_the_file_whatever_follows_an_upload() {
    let server = server();
    put_object(&server, "longer", &[7; 500]);
    put_object(&server, "as-long", &[7; 100]);
    put_object(&server, "empty", &[]);
    let agent = agent(&server, "skip").with_job(json!({ "after_upload": "delete" }));
    let longer = agent.write_file("longer", 100, 1);
    let as_long = agent.write_file("as-long", 100, 2);
    let free = agent.write_file("free", 100, 3);
    let empty = agent.write_file("empty", 0, 4);
    once(&agent).expect_code(0);

    assert_eq!(server.object(BUCKET, "longer").unwrap(), [7; 500]);
    assert_eq!(server.object(BUCKET, "as-long").unwrap(), [7; 100]);
    assert!(longer.exists() && as_long.exists());
    assert!(
        !free.exists() && !empty.exists(),
        "nothing is the same as nothing"
    );
    let skipped = messages(&agent.events_of("file_skipped"));
    assert!(
        skipped.contains("an object of 500 bytes is there, the file has 100"),
        "{skipped}"
    );
    assert!(
        skipped.contains("nothing shows that they are the same"),
        "{skipped}"
    );
    assert_eq!(agent.history().len(), 2);

    // What was passed over is not asked for again, and a changed file is.
    let before = server.requests().len();
    once(&agent).expect_code(0);
    assert_eq!(server.requests().len(), before);
    let plan = agent.run(&["plan"]).expect_code(0);
    assert!(plan.stdout.contains("passed over before"), "{plan:#?}");
    agent.write_file("longer", 101, 4);
    once(&agent).expect_code(0);
    assert_eq!(server.requests().len(), before + 1);
    assert!(longer.exists());

    // Nor does it stay so when another way out is chosen.
    let agent = agent.with_job(json!({ "object": { "if_exists": "rename" } }));
    once(&agent).expect_code(0);
    assert!(!longer.exists() && !as_long.exists());
    assert_eq!(
        server.object(BUCKET, "longer-1"),
        Some(Content::new(101, 4).bytes())
    );
}

#[test]
fn an_object_with_other_bytes_is_no_upload_of_the_file() {
    let server = server();
    let agent = agent(&server, "skip");
    agent.write_file("a", 100, 1);
    once(&agent).expect_code(0);
    // As many bytes, and the metadata says which.
    let other = agent.write_file("a", 100, 2);
    let agent = agent.with_job(json!({ "after_upload": "delete" }));
    once(&agent).expect_code(0);
    let skipped = messages(&agent.events_of("file_skipped"));
    assert!(
        skipped.contains("an object with 100 other bytes is there"),
        "{skipped}"
    );
    assert!(other.exists());
    let first = Content::new(100, 1).bytes();
    assert_eq!(server.object(BUCKET, "a"), Some(first));
}

#[test]
fn fail_replaces_nothing_and_says_so_each_time() {
    let server = server();
    put_object(&server, "a", b"other");
    let agent = agent(&server, "fail").with_job(json!({ "after_upload": "delete" }));
    let file = agent.write_file("a", 100, 1);
    agent.write_file("b", 100, 2);
    for times in 1..=2 {
        once(&agent).expect_code(74);
        let failed = agent.events_of("upload_failed");
        assert_eq!(failed.len(), times);
        assert_eq!(failed[0]["error"]["code"], "ObjectExists", "{failed:?}");
    }
    assert!(file.exists());
    assert_eq!(server.object(BUCKET, "a").unwrap(), b"other");
    assert_eq!(
        server.object(BUCKET, "b"),
        Some(Content::new(100, 2).bytes())
    );
}

#[test]
fn rename_finds_the_first_free_name_and_the_history_has_it() {
    let server = server();
    let cases = [
        ("photo.tar.gz", "photo.tar-1.gz", "photo.tar-2.gz"),
        ("README", "README-1", "README-2"),
        (".profile", ".profile-1", ".profile-2"),
        ("写真.jpg", "写真-1.jpg", "写真-2.jpg"),
        ("folder.d/name", "folder.d/name-1", "folder.d/name-2"),
    ];
    std::fs::create_dir(server.object_path(BUCKET, "folder.d")).unwrap();
    for (index, (name, first, second)) in cases.into_iter().enumerate() {
        put_object(&server, name, b"other");
        let agent = agent(&server, "rename").with_job(json!({ "recursive": true }));
        for (round, key) in [first, second].into_iter().enumerate() {
            let seed = (10 * index + round) as u64;
            agent.write_file(name, 100 + seed, seed);
            once(&agent).expect_code(0);
            let content = Content::new(100 + seed, seed).bytes();
            assert_eq!(server.object(BUCKET, key), Some(content), "{key}");
            assert_eq!(agent.history()[round]["key"], key);
        }
        assert_eq!(server.object(BUCKET, name).unwrap(), b"other");
    }
}

#[test]
fn two_files_of_one_name_both_go_when_the_second_may_be_renamed() {
    let server = server();
    let agent =
        agent(&server, "rename").with_job(json!({ "change_filename": "backup.<extension>" }));
    agent.write_file("a.zip", 100, 1);
    agent.write_file("b.zip", 100, 2);
    let plan = agent.run(&["plan"]).expect_code(0);
    assert!(plan.stdout.contains("2 to upload"), "{plan:#?}");
    once(&agent).expect_code(0);
    let keys: Vec<_> = server.keys(BUCKET).into_iter().collect();
    assert_eq!(keys, ["backup-1.zip", "backup.zip"]);
}

#[test]
fn a_renamed_upload_in_parts_goes_on_under_its_new_name() {
    for head in [200, 403] {
        let server = server();
        put_object(&server, "large.bin", b"other");
        if head == 403 {
            let look = |request: &Request| request.method == "HEAD";
            server.fail_next(1000, look, Failure::access_denied());
        }
        let agent = agent(&server, "rename");
        agent.write_file("large.bin", LARGE, 1);
        let renamed_part = |request: &Request| {
            request.part_number() == Some(2) && request.path.contains("large-1")
        };
        server.fail_next(1000, renamed_part, Failure::error(500, "InternalError"));
        agent.run(&["once", "--give-up", "1s"]).expect_code(75);
        server.heal();
        if head == 403 {
            let look = |request: &Request| request.method == "HEAD";
            server.fail_next(1000, look, Failure::access_denied());
        }
        let before = server.requests().len();
        once(&agent).expect_code(0);
        let requests = &server.requests()[before..];
        let parts: Vec<_> = requests.iter().filter_map(Request::part_number).collect();
        assert_eq!(parts, [2, 3], "{head}: {requests:#?}");
        let content = Content::new(LARGE, 1).bytes();
        assert!(
            server.object(BUCKET, "large-1.bin") == Some(content),
            "{head}"
        );
        assert_eq!(server.object(BUCKET, "large.bin").unwrap(), b"other");
        assert_eq!(agent.history()[0]["key"], "large-1.bin");
    }
}

#[test]
fn an_answer_that_was_lost_is_recognised_as_our_own() {
    for mode in MODES {
        for (name, size) in [("small.bin", SMALL), ("large.bin", LARGE)] {
            let server = server();
            let agent = agent(&server, mode).with_job(json!({ "after_upload": "delete" }));
            let file = agent.write_file(name, size, 1);
            // Three times: the object is there since the first.
            let makes_it_visible =
                |request: &Request| request.is_complete_multipart() || request.is_put_object();
            let lost = Failure::error(500, "InternalError").after_success();
            server.fail_next(3, makes_it_visible, lost);
            // The HEAD after it fails as well, so that only the next try can tell.
            let look = |request: &Request| request.method == "HEAD";
            server.fail_next(1, look, Failure::access_denied());
            once(&agent).expect_code(0);
            let keys: Vec<_> = server.keys(BUCKET).into_iter().collect();
            assert_eq!(keys, [name], "{mode}");
            assert!(!file.exists(), "{mode} {name}");
            let entry = &agent.history()[0];
            assert_eq!(
                (&entry["key"], agent.history().len()),
                (&json!(name), 1),
                "{mode}"
            );
        }
    }
}

#[test]
fn a_connection_that_breaks_after_the_object_was_made_is_recovered_from() {
    for mode in MODES {
        let server = server();
        let proxy = FaultProxy::start(server.address());
        // The HEAD goes through; of the PUT on the same connection only the server knows.
        let agent = agent_at(&proxy.endpoint(), mode);
        agent.write_file("a", SMALL, 1);
        proxy.plan_next([Plan::Pass]);
        let put = |request: &Request| request.is_put_object();
        server.fail_next(1, put, Failure::hang_up().after_success());
        once(&agent).expect_code(0);
        let keys: Vec<_> = server.keys(BUCKET).into_iter().collect();
        assert_eq!(
            (keys, agent.history().len()),
            (vec!["a".to_owned()], 1),
            "{mode}"
        );
    }
}

#[test]
fn without_the_right_to_look_the_condition_decides() {
    for (mode, code) in [("skip", 0), ("fail", 74), ("rename", 0)] {
        let server = server();
        let look = |request: &Request| request.method == "HEAD";
        server.fail_next(1000, look, Failure::access_denied());
        put_object(&server, "small.bin", b"other");
        put_object(&server, "large.bin", b"other");
        let agent = agent(&server, mode).with_job(json!({ "after_upload": "delete" }));
        let small = agent.write_file("small.bin", SMALL, 1);
        let large = agent.write_file("large.bin", LARGE, 2);
        let free = agent.write_file("free.bin", SMALL, 3);
        once(&agent).expect_code(code);
        let kept = mode != "rename";
        assert_eq!(
            (small.exists(), large.exists(), free.exists()),
            (kept, kept, false),
            "{mode}"
        );
        for key in ["small.bin", "large.bin"] {
            assert_eq!(server.object(BUCKET, key).unwrap(), b"other", "{mode}");
        }
        let renamed = server.object(BUCKET, "large-1.bin");
        assert!(
            renamed == (!kept).then(|| Content::new(LARGE, 2).bytes()),
            "{mode}"
        );
        // The upload that was refused is not left open.
        let aborts = server
            .requests()
            .into_iter()
            .filter(|r| r.method == "DELETE");
        assert_eq!(aborts.count(), 1, "{mode}");
    }
}

#[test]
fn a_conflict_repeats_a_put_and_begins_an_upload_in_parts_anew() {
    let server = server();
    let agent = agent(&server, "skip");
    agent.write_file("small.bin", SMALL, 1);
    agent.write_file("large.bin", LARGE, 2);
    let conflict = || Failure::error(409, "ConditionalRequestConflict");
    server.fail_next(1, Request::is_put_object, conflict());
    server.fail_next(1, Request::is_complete_multipart, conflict());
    once(&agent).expect_code(0);
    let requests = server.requests();
    let count = |matches: fn(&Request) -> bool| requests.iter().filter(|r| matches(r)).count();
    assert_eq!(count(Request::is_put_object), 2);
    assert_eq!(count(Request::is_create_multipart), 2);
    assert_eq!(count(Request::is_complete_multipart), 2);
    for (key, size, seed) in [("small.bin", SMALL, 1), ("large.bin", LARGE, 2)] {
        assert!(
            server.object(BUCKET, key) == Some(Content::new(size, seed).bytes()),
            "{key}"
        );
    }
}

#[test]
fn an_object_of_somebody_else_in_the_same_moment_is_not_replaced() {
    let server = server();
    put_object(&server, "a", b"other");
    let agent = agent(&server, "rename");
    agent.write_file("a", SMALL, 1);
    // As it was a moment ago.
    let look = |request: &Request| request.method == "HEAD" && request.path.ends_with("/a");
    server.fail_next(1, look, Failure::answer(404, ""));
    once(&agent).expect_code(0);
    assert_eq!(server.object(BUCKET, "a").unwrap(), b"other");
    assert_eq!(agent.history()[0]["key"], "a-1");
}

#[test]
fn a_store_without_conditions_gets_none_after_it_has_said_so() {
    let not_implemented = "<Error><Code>NotImplemented</Code><Message>no</Message></Error>";
    let server = ScriptedServer::start([
        Line::new(404, &[], "").on("HEAD", "").for_ever(),
        Line::new(501, &[], not_implemented).on("PUT", ""),
        Line::new(200, &[("ETag", "\"e\"")], "")
            .on("PUT", "")
            .for_ever(),
    ]);
    let agent = agent_at(&server.endpoint(), "skip");
    agent.write_file("a", 100, 1);
    agent.write_file("b", 100, 2);
    let output = once(&agent).expect_code(0);
    let conditions: Vec<_> = server
        .requests()
        .iter()
        .filter(|seen| seen.method == "PUT")
        .map(|seen| seen.header("if-none-match").map(str::to_owned))
        .collect();
    assert_eq!(conditions, [Some("*".to_owned()), None, None]);
    assert_eq!(
        output.stderr.matches("no conditional writes").count(),
        1,
        "{output:#?}"
    );
}

#[test]
fn a_store_that_may_not_be_looked_at_and_knows_no_conditions_gets_nothing() {
    let not_implemented = "<Error><Code>NotImplemented</Code><Message>no</Message></Error>";
    let server = ScriptedServer::start([
        Line::new(403, &[], "").on("HEAD", "").for_ever(),
        Line::new(501, &[], not_implemented)
            .on("PUT", "")
            .for_ever(),
    ]);
    let agent = agent_at(&server.endpoint(), "skip");
    agent.write_file("a", 100, 1);
    once(&agent).expect_code(77);
    assert!(agent.history().is_empty());
}
