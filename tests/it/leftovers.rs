//! Multipart uploads that nobody goes on with are ended, and nobody else's.

use serde_json::json;

use crate::support::agent::{Agent, SOON};
use crate::support::files::holds_content;
use crate::support::mounts::Mount;
use crate::support::server::{BUCKET, Failure, Request, S3Options, S3Server};

const LARGE: u64 = 12 * 1024 * 1024;

fn agent(server: &S3Server) -> Agent {
    let agent = Agent::new(server).with_job(json!({
        "transfer": {"multipart_threshold": "8MiB", "part_size": "5MiB"}
    }));
    agent.write_file("large", LARGE, 1);
    agent
}

/// S3 begins the upload, and its answer is lost.
fn lose_the_answer(server: &S3Server) {
    let lost = Failure::hang_up().after_success();
    server.fail_next(1, Request::is_create_multipart, lost);
}

fn creates(server: &S3Server) -> usize {
    let requests = server.requests();
    requests.iter().filter(|r| r.is_create_multipart()).count()
}

#[test]
fn an_upload_whose_beginning_was_not_answered_is_aborted() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server);
    lose_the_answer(&server);
    agent.run(&["once", "--give-up", "20s"]).expect_code(0);
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        LARGE,
        1
    ));
    assert_eq!((creates(&server), server.open_uploads()), (2, (0, 0)));
}

/// On a connection that has served before, a missing answer looks like one that was closed while
/// nothing was on it.
#[test]
fn neither_of_two_uploads_stays_open_when_a_used_connection_ends_at_the_beginning_of_one() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server).with_job(json!({"order": "name"}));
    agent.write_file("a-small-one", 1000, 2);
    lose_the_answer(&server);
    agent.once().expect_code(0);
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        LARGE,
        1
    ));
    let requests = server.requests();
    let lost = requests.iter().find(|r| r.is_create_multipart()).unwrap();
    let earlier = |r: &&Request| r.connection_id == lost.connection_id && r.is_put_object();
    assert!(requests.iter().any(|r| earlier(&r)), "a used connection");
    assert_eq!(creates(&server), 2);
    agent.once().expect_code(0);
    assert_eq!(server.open_uploads(), (0, 0));
}

#[test]
fn it_is_aborted_by_the_next_run_although_its_file_is_gone() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server);
    lose_the_answer(&server);
    server.fail_next(usize::MAX, |_| true, Failure::slow_down());
    agent.run(&["once", "--give-up", "1ms"]).expect_code(75);
    server.heal();
    assert_eq!(server.open_uploads(), (1, 0));
    std::fs::remove_file(agent.source_file("large")).unwrap();
    agent.once().expect_code(0);
    assert_eq!(server.open_uploads(), (0, 0));
}

#[test]
fn a_request_that_arrives_after_the_first_look_is_found_by_the_next() {
    let server = S3Server::start(S3Options::default());
    let fail_to_begin = |agent: &Agent, failure: Failure| {
        server.fail_next(1, Request::is_create_multipart, failure);
        server.fail_next(usize::MAX, |_| true, Failure::slow_down());
        agent.run(&["once", "--give-up", "1ms"]).expect_code(75);
        server.heal();
    };
    let interrupted = agent(&server);
    fail_to_begin(&interrupted, Failure::hang_up());
    std::fs::remove_file(interrupted.source_file("large")).unwrap();
    interrupted.once().expect_code(0);
    assert_eq!(server.open_uploads(), (0, 0));
    // As if the network had held it back till now.
    fail_to_begin(&agent(&server), Failure::hang_up().after_success());
    assert_eq!(server.open_uploads(), (1, 0));
    interrupted.once().expect_code(0);
    assert_eq!(server.open_uploads(), (0, 0));
}

#[test]
fn a_key_that_may_not_list_uploads_sends_all_the_same() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server);
    lose_the_answer(&server);
    let lists = |request: &Request| request.method == "GET";
    server.fail_next(usize::MAX, lists, Failure::access_denied());
    agent.run(&["once", "--give-up", "20s"]).expect_code(0);
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        LARGE,
        1
    ));
    assert_eq!(server.open_uploads(), (1, 0), "for `cleanup`");
    assert!(agent.events_of("job_blocked").is_empty());
}

#[test]
fn another_hosts_upload_to_the_same_key_is_left_alone() {
    let server = S3Server::start(S3Options::default());
    let _other = interrupt(&server, agent(&server));
    let (_, parts) = server.open_uploads();
    assert!(parts > 0);

    let agent = agent(&server);
    lose_the_answer(&server);
    agent.run(&["once", "--give-up", "20s"]).expect_code(0);
    assert_eq!(server.open_uploads(), (1, parts));
}

/// Killed with one part of `large` at the store.
fn interrupt(server: &S3Server, agent: Agent) -> Agent {
    let agent = agent.with_job(json!({ "transfer": {"bandwidth_limit": "6MiB/s"} }));
    let running = agent.start();
    let second_part = |request: &Request| request.part_number() == Some(2);
    assert!(server.wait_for_requests(1, SOON, second_part));
    running.kill();
    assert!(server.wait_until_idle(SOON));
    assert_eq!(server.open_uploads().0, 1);
    agent
}

#[test]
fn an_upload_whose_file_was_removed_is_aborted() {
    let server = S3Server::start(S3Options::default());
    let agent = interrupt(&server, agent(&server));
    std::fs::remove_file(agent.source_file("large")).unwrap();
    agent.once().expect_code(0);
    assert_eq!(server.open_uploads(), (0, 0));
}

#[test]
fn an_upload_whose_disk_is_not_mounted_waits_for_it() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({
        "transfer": {"multipart_threshold": "8MiB", "part_size": "5MiB"}
    }));
    let disk = agent.folder().join("disk");
    let Some(_disk) = Mount::tmpfs(&disk, 64 << 20) else {
        return;
    };
    let Some(mounted) = Mount::bind(&disk, &agent.source()) else {
        return;
    };
    agent.write_file("large", LARGE, 1);
    let agent = interrupt(&server, agent);
    let open = server.open_uploads();

    drop(mounted);
    agent.once().expect_code(0);
    assert_eq!(server.open_uploads(), open);
    let _mounted = Mount::bind(&disk, &agent.source()).unwrap();
    agent.once().expect_code(0);
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        LARGE,
        1
    ));
    assert_eq!((creates(&server), server.open_uploads()), (1, (0, 0)));
}

#[test]
fn an_upload_whose_file_became_a_small_one_is_aborted() {
    let server = S3Server::start(S3Options::default());
    let agent = interrupt(&server, agent(&server));
    agent.write_file("large", 1000, 2);
    agent.once().expect_code(0);
    assert!(holds_content(&server.object_path(BUCKET, "large"), 1000, 2));
    assert_eq!(server.open_uploads(), (0, 0));
}

#[test]
fn an_abort_that_is_refused_keeps_no_other_upload_open() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server);
    let busy = |r: &Request| r.part_number() == Some(2);
    server.fail_next(usize::MAX, busy, Failure::slow_down());
    agent.run(&["once", "--give-up", "1ms"]).expect_code(75);
    server.heal();
    let refused = |r: &Request| r.method == "DELETE" && r.path.ends_with("/large");
    server.fail_next(usize::MAX, refused, Failure::access_denied());
    agent.write_file("large", LARGE, 2);
    agent.once().expect_code(0);
    assert_eq!(server.open_uploads().0, 1, "the abort is refused");

    agent.write_file("second", LARGE, 3);
    lose_the_answer(&server);
    let second = |r: &Request| r.path.ends_with("/second");
    server.fail_next(usize::MAX, second, Failure::slow_down());
    agent.run(&["once", "--give-up", "1ms"]).expect_code(75);
    assert_eq!(server.open_uploads().0, 2);
    std::fs::remove_file(agent.source_file("second")).unwrap();
    server.heal();
    server.fail_next(usize::MAX, refused, Failure::access_denied());
    agent.once().expect_code(0);
    assert_eq!(server.open_uploads().0, 1, "the other one is ended");
}
