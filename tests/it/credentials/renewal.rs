//! Keys that end while there is work: new ones in time, and the old ones to their end.

use serde_json::json;

use super::*;
use crate::support::server::{Failure, Request, S3Options};

/// A metadata service whose script begins with the lines for the keys of its role.
fn service(first: impl IntoIterator<Item = Line>, then: Line) -> ScriptedServer {
    let first = first
        .into_iter()
        .map(|line| line.on("GET", "/security-credentials/role"));
    let rest = [
        text(200, "token").on("PUT", "/latest/api/token").for_ever(),
        then.on("GET", "/security-credentials/role").for_ever(),
        text(200, "role")
            .on("GET", "/security-credentials/")
            .for_ever(),
    ];
    ScriptedServer::start(first.chain(rest))
}

fn agent_at(server: &S3Server, service: &ScriptedServer) -> Agent {
    agent(
        server,
        json!({ "provider": "instance_metadata", "endpoint": service.endpoint() }),
    )
}

/// The tokens of the requests, each as often as it was used in a row, but at least once.
fn tokens(server: &S3Server, of: impl Fn(&Request) -> bool) -> Vec<String> {
    let requests = server.requests();
    let mut tokens: Vec<String> = requests
        .iter()
        .filter(|request| of(request))
        .filter_map(|request| request.header("x-amz-security-token").map(str::to_owned))
        .collect();
    tokens.dedup();
    tokens
}

#[test]
fn keys_that_the_store_calls_expired_are_replaced_once_and_at_once() {
    for code in ["ExpiredToken", "InvalidToken", "InvalidAccessKeyId"] {
        let server = S3Server::start(S3Options::default());
        // Within a few seconds after a fetch there are no others to be had: two passes.
        let service = service(
            [text(200, &keys("first", &in_seconds(3600)))],
            text(200, &keys("second", &in_seconds(3600))),
        );
        let agent = agent_at(&server, &service);
        agent.write_file("a", 10, 1);
        let running = agent.start();
        running.wait_for_event("upload_finished", crate::support::agent::SOON);
        std::thread::sleep(Duration::from_millis(5200));
        server.fail_next(
            1,
            |request| request.is_put_object(),
            Failure::error(403, code),
        );
        agent.write_file("b", 10, 2);
        running.signal(rustix::process::Signal::USR1);
        running.wait_for_events("upload_finished", 2, crate::support::agent::SOON);
        running.stop();
        assert_eq!(tokens(&server, |_| true), ["first", "second"], "{code}");
        assert_eq!(server.requests().len(), 3, "{code}");
        assert!(agent.events_of("job_blocked").is_empty(), "{code}");
    }
}

#[test]
fn keys_that_are_refused_for_good_block_the_job_without_a_storm() {
    let server = S3Server::start(S3Options::default());
    let service = service([], text(200, &keys("same", &in_seconds(3600))));
    server.fail_next(99, |_| true, Failure::error(403, "InvalidAccessKeyId"));
    let agent = agent_at(&server, &service);
    for n in 0..5 {
        agent.write_file(format!("{n}"), 10, n);
    }
    agent.run(&["once", "--give-up", "1s"]).expect_code(77);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(asked(&service, "/security-credentials/role"), 1);
}

#[test]
fn parts_of_one_file_are_signed_with_keys_that_are_good() {
    let server = S3Server::start(S3Options::default());
    let service = service(
        [text(200, &keys("first", &in_seconds(20)))],
        text(200, &keys("second", &in_seconds(3600))),
    );
    let transfer =
        json!({ "multipart_threshold": "5MiB", "part_size": "5MiB", "bandwidth_limit": "1MiB/s" });
    let agent = agent_at(&server, &service).with_job(json!({ "transfer": transfer }));
    agent.write_file("large", 26 << 20, 3);
    agent.once().expect_code(0);
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        26 << 20,
        3
    ));
    assert_eq!(
        tokens(&server, |request| request.part_number().is_some()),
        ["first", "second"]
    );
    assert_eq!(agent.history()[0]["attempts"], 1);
    assert_eq!(asked(&service, "/security-credentials/role"), 2);
}

#[test]
fn the_old_keys_are_used_to_their_end_while_no_new_ones_are_to_be_had() {
    let server = S3Server::start(S3Options::default());
    let service = service(
        [text(200, &keys("first", &in_seconds(20))), text(503, "")],
        text(200, &keys("second", &in_seconds(3600))),
    );
    let transfer = json!({ "bandwidth_limit": "64KiB/s", "minimum_rate": "1KiB/s" });
    let agent = agent_at(&server, &service).with_job(json!({ "transfer": transfer }));
    for n in 0..26 {
        agent.write_file(format!("{n:02}"), 64 << 10, n);
    }
    let output = agent.once().expect_code(0);
    assert_eq!(tokens(&server, |_| true), ["first", "second"]);
    assert_eq!(server.keys(BUCKET).len(), 26);
    let warnings = output
        .stderr
        .matches("the old ones are used until 20")
        .count();
    assert_eq!(warnings, 1, "{output:#?}");
    // One try that failed, and none again for each file.
    assert_eq!(asked(&service, "/security-credentials/role"), 3);
    assert!(agent.events_of("connection_failed").is_empty());
}
