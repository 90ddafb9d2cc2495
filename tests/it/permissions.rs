//! What a key may do that has `s3:PutObject` and nothing else: the main job, whatever goes wrong.

use serde_json::json;

use crate::support::agent::Agent;
use crate::support::files::holds_content;
use crate::support::server::{BUCKET, Failure, Request, S3Options, S3Server};

const LARGE: u64 = 20 * 1024 * 1024;

/// A server that denies whatever takes more than `s3:PutObject`: ListParts, HEAD and Abort.
fn server() -> S3Server {
    let server = S3Server::start(S3Options::default());
    deny(&server);
    server
}

fn deny(server: &S3Server) {
    let other = |request: &Request| !["PUT", "POST"].contains(&request.method.as_str());
    server.fail_next(usize::MAX, other, Failure::access_denied());
}

fn agent(server: &S3Server) -> Agent {
    let agent = Agent::new(server).with_job(json!({
        "transfer": {"multipart_threshold": "8MiB", "part_size": "5MiB"}
    }));
    agent.write_file("large", LARGE, 1);
    agent
}

#[track_caller]
fn assert_arrived(server: &S3Server, agent: &Agent, creates: usize, parts: &[u32]) {
    let path = server.object_path(BUCKET, "large");
    assert!(holds_content(&path, LARGE, 1));
    let requests = server.requests();
    let created = requests.iter().filter(|r| r.is_create_multipart()).count();
    assert_eq!(created, creates);
    let sent: Vec<u32> = requests.iter().filter_map(Request::part_number).collect();
    assert_eq!(sent, parts);
    assert_eq!(agent.history().len(), 1);
    assert!(agent.events_of("job_blocked").is_empty());
}

#[test]
fn one_run_goes_on_with_the_parts_that_it_has_sent() {
    let server = server();
    let agent = agent(&server);
    server.fail_next(2, |r| r.part_number() == Some(3), Failure::slow_down());
    agent.run(&["once", "--give-up", "60s"]).expect_code(0);
    assert_arrived(&server, &agent, 1, &[1, 2, 3, 3, 3, 4]);
}

#[test]
fn the_next_run_begins_anew_and_keeps_asking_for_the_abort() {
    let server = server();
    let agent = agent(&server);
    let busy = |r: &Request| r.part_number() == Some(3);
    server.fail_next(usize::MAX, busy, Failure::slow_down());
    agent.run(&["once", "--give-up", "1ms"]).expect_code(75);
    server.heal();
    deny(&server);
    let before = server.requests().len();
    agent.run(&["once"]).expect_code(0);
    let requests = server.requests().split_off(before);
    let sent: Vec<u32> = requests.iter().filter_map(Request::part_number).collect();
    assert_eq!(sent, [1, 2, 3, 4]);
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        LARGE,
        1
    ));
    let aborts = || {
        server
            .requests()
            .iter()
            .filter(|r| r.method == "DELETE")
            .count()
    };
    let asked = aborts();
    agent.run(&["once"]).expect_code(0);
    assert_eq!(aborts(), asked + 1);
}

#[test]
fn a_complete_whose_answer_was_lost_is_made_up_for_by_sending_the_file_again() {
    let server = server();
    let agent = agent(&server);
    let complete = Request::is_complete_multipart;
    server.fail_next(1, complete, Failure::hang_up().after_success());
    server.fail_next(1, complete, Failure::error(404, "NoSuchUpload"));
    agent.run(&["once", "--give-up", "20s"]).expect_code(0);
    assert_arrived(&server, &agent, 2, &[1, 2, 3, 4, 1, 2, 3, 4]);
}
