//! What goes wrong on the way, and that the files arrive all the same.

use serde_json::json;

use crate::support::agent::{Agent, SOON};
use crate::support::files::holds_content;
use crate::support::proxy::{FaultProxy, Plan};
use crate::support::server::{BUCKET, Failure, Request, S3Options, S3Server, SECRET_KEY};

fn server() -> S3Server {
    S3Server::start(S3Options::default())
}

fn write_files(agent: &Agent, count: u64) {
    for n in 0..count {
        agent.write_file(format!("{n:02}"), 10 * 1024, n);
    }
}

#[track_caller]
fn assert_all_there(server: &S3Server, count: u64) {
    assert_eq!(server.keys(BUCKET).len() as u64, count);
    for n in 0..count {
        let path = server.object_path(BUCKET, &format!("{n:02}"));
        assert!(holds_content(&path, 10 * 1024, n), "{n:02}");
    }
}

#[test]
fn a_server_pulled_away_in_mid_pass_and_back_gets_every_file() {
    let mut server = server();
    let agent = Agent::new(&server);
    write_files(&agent, 20);
    server.stop_after(7);
    let output = std::thread::scope(|scope| {
        let once = scope.spawn(|| agent.run(&["once", "--give-up", "60s"]));
        assert!(server.wait_until_stopped(SOON));
        agent.wait_for_events("connection_failed", 1, SOON);
        server.restart();
        once.join().unwrap()
    });
    output.expect_code(0);
    assert_all_there(&server, 20);
    assert_eq!(agent.history().len(), 20);
    for kind in ["connection_failed", "connection_restored"] {
        assert_eq!(
            agent.events_of(kind).len(),
            1,
            "{kind}: {:?}",
            agent.events()
        );
    }
}

#[test]
fn the_service_waits_out_an_outage_that_was_there_before_it() {
    let mut server = server();
    let agent = Agent::new(&server);
    write_files(&agent, 3);
    server.stop();
    let running = agent.start();
    running.wait_for_event("connection_failed", SOON);
    server.restart();
    running.wait_for_events("upload_finished", 3, SOON);
    assert_eq!(running.stop().code(), Some(0));
    assert_all_there(&server, 3);
    assert_eq!(agent.events_of("connection_failed").len(), 1);
}

#[test]
fn a_busy_server_is_asked_again() {
    let failures = [
        ("slow down", Failure::slow_down()),
        ("early", Failure::slow_down().early()),
        ("internal error", Failure::error(500, "InternalError")),
        ("request timeout", Failure::error(400, "RequestTimeout")),
        ("an answer lost", Failure::hang_up().after_success()),
    ];
    for (name, failure) in failures {
        let server = server();
        let agent = Agent::new(&server);
        write_files(&agent, 5);
        server.fail_next(2, Request::is_put_object, failure);
        let output = agent.run(&["once", "--give-up", "60s"]);
        assert_eq!(output.code, Some(0), "{name}: {output:#?}");
        assert_all_there(&server, 5);
    }
}

#[test]
fn a_broken_connection_is_made_anew() {
    let plans = [
        Plan::ResetAfter(0),
        Plan::ResetAfter(5_000),
        Plan::TruncateAnswer(10),
        Plan::SwallowAnswer,
        Plan::CloseOnNextRequest,
    ];
    for plan in plans {
        let server = server();
        let proxy = FaultProxy::start(server.address());
        proxy.plan_next([plan]);
        let agent = Agent::with_endpoint(&proxy.endpoint());
        write_files(&agent, 3);
        let output = agent.run(&["once", "--give-up", "60s"]);
        assert_eq!(output.code, Some(0), "{plan:?}: {output:#?}");
        assert_all_there(&server, 3);
        assert_eq!(proxy.connections(), 2, "{plan:?}");
    }
}

#[test]
fn a_connection_that_the_server_gave_up_is_no_outage() {
    let server = server();
    let proxy = FaultProxy::start(server.address());
    proxy.set_plan(Plan::CloseOnNextRequest);
    let agent = Agent::with_endpoint(&proxy.endpoint());
    write_files(&agent, 5);
    agent.once().expect_code(0);
    assert_all_there(&server, 5);
    assert!(
        agent.events_of("connection_failed").is_empty(),
        "{:?}",
        agent.events()
    );
}

#[test]
fn a_file_that_can_never_be_sent_does_not_stop_the_others() {
    let server = server();
    let template = "<filename><filename><filename><filename><filename>";
    let agent =
        Agent::new(&server).with_job(json!({ "change_filename": template, "order": "name" }));
    // 5 × 240 is over the 1 024 bytes that a key may have.
    let too_long = "b".repeat(240);
    for name in ["a", &too_long, "c"] {
        agent.write_file(name, 100, 1);
    }
    agent.once().expect_code(74);
    let keys: Vec<_> = server.keys(BUCKET).into_iter().collect();
    assert_eq!(keys, ["aaaaa", "ccccc"]);
    let named = agent.events().iter().any(|event| {
        let path = event["source_path"].as_str().unwrap_or_default();
        path.ends_with(&too_long) && event["severity"] != "info"
    });
    assert!(named, "{:?}", agent.events());
}

#[test]
fn a_file_that_the_server_refuses_does_not_stop_the_others() {
    let server = server();
    let agent = Agent::new(&server);
    write_files(&agent, 5);
    let refusal = Failure::error(400, "EntityTooLarge");
    server.fail_next(usize::MAX, |r| r.path.ends_with("/02"), refusal);
    let output = agent.run(&["once", "--give-up", "5s"]);
    assert_ne!(output.code, Some(0), "{output:#?}");
    assert_eq!(server.keys(BUCKET).len(), 4);
    let failed = agent.events_of("upload_failed");
    assert!(
        failed
            .iter()
            .all(|e| e["source_path"].as_str().unwrap().ends_with("/02"))
    );
    assert_eq!(failed[0]["error"]["code"], "EntityTooLarge", "{failed:?}");
}

#[test]
fn what_is_no_file_does_not_hang_a_pass() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let server = server();
    let agent = Agent::new(&server);
    mknodat(
        CWD,
        agent.source_file("fifo"),
        FileType::Fifo,
        Mode::RUSR,
        0,
    )
    .unwrap();
    std::os::unix::fs::symlink("/nowhere", agent.source_file("dangling")).unwrap();
    write_files(&agent, 2);
    agent.once().expect_code(0);
    assert_all_there(&server, 2);
}

#[test]
fn once_gives_up_in_time_and_says_try_again() {
    let mut server = server();
    let agent = Agent::new(&server);
    write_files(&agent, 2);
    server.stop();
    let output = agent.run(&["once", "--give-up", "2s"]).expect_code(75);
    let seconds = output.took.as_secs_f64();
    assert!((1.5..15.0).contains(&seconds), "{seconds}");
    assert_eq!(
        agent.events_of("connection_failed").len(),
        1,
        "{:?}",
        agent.events()
    );
    server.restart();
    agent.once().expect_code(0);
    assert_all_there(&server, 2);
}

#[test]
fn a_refusal_blocks_the_job_without_a_hot_loop() {
    let server = server();
    let agent = Agent::new(&server);
    write_files(&agent, 10);
    server.fail_next(usize::MAX, |_| true, Failure::access_denied());
    agent.run(&["once", "--give-up", "3s"]).expect_code(77);
    let asked = server.requests().len();
    assert!(
        (1..=3).contains(&asked),
        "{asked} requests, each of them billed"
    );
    let blocked = agent.events_of("job_blocked");
    assert_eq!(blocked.len(), 1, "{:?}", agent.events());
    let error = &blocked[0]["error"];
    assert_eq!(
        (&error["code"], &error["http_status"]),
        (&json!("AccessDenied"), &json!(403))
    );
    assert!(
        error["hint"].as_str().is_some_and(|hint| !hint.is_empty()),
        "{error}"
    );

    server.heal();
    agent.once().expect_code(0);
    assert_all_there(&server, 10);
    assert_eq!(
        agent.events_of("job_unblocked").len(),
        1,
        "{:?}",
        agent.events()
    );
}

#[test]
fn a_wrong_secret_is_a_refusal_and_stays_a_secret() {
    let server = server();
    let wrong = SECRET_KEY.to_uppercase();
    let agent = Agent::new(&server).with_job(json!({ "credentials": { "secret_key": wrong } }));
    write_files(&agent, 1);
    let output = agent.run(&["once", "--give-up", "3s"]).expect_code(77);
    assert!(server.keys(BUCKET).is_empty());
    let mut said = format!("{}{}{:?}", output.stdout, output.stderr, agent.events());
    for entry in std::fs::read_dir(agent.state()).unwrap() {
        said += &String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap_or_default());
    }
    assert!(!said.contains(&wrong), "{said}");
}

/// 5 MiB parts, the smallest that S3 takes.
fn multipart_agent(server: &S3Server) -> Agent {
    let transfer = json!({ "multipart_threshold": "8MiB", "part_size": "5MiB" });
    Agent::new(server).with_job(json!({ "transfer": transfer }))
}

const LARGE: u64 = 17 << 20;

#[test]
fn an_error_in_the_answer_to_complete_is_a_failure_and_tried_again() {
    let server = server();
    let agent = multipart_agent(&server);
    agent.write_file("large", LARGE, 1);
    let error = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\n<Error><Code>InternalError</Code>\
                 <Message>We encountered an internal error. Please try again.</Message></Error>";
    server.fail_next(
        1,
        Request::is_complete_multipart,
        Failure::answer(200, error),
    );
    agent.run(&["once", "--give-up", "60s"]).expect_code(0);
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        LARGE,
        1
    ));
    let completes = server
        .requests()
        .iter()
        .filter(|r| r.is_complete_multipart())
        .count();
    assert_eq!(completes, 2);
    assert_eq!(agent.history().len(), 1);
}

#[test]
fn parts_that_were_confirmed_are_not_sent_again() {
    let failures = [
        ("internal error", Failure::error(500, "InternalError")),
        ("hang-up", Failure::hang_up()),
        ("slow down, early", Failure::slow_down().early()),
    ];
    for (name, failure) in failures {
        let server = server();
        let agent = multipart_agent(&server);
        agent.write_file("large", LARGE, 2);
        server.fail_next(2, |r| r.part_number() == Some(3), failure);
        let output = agent.run(&["once", "--give-up", "60s"]);
        assert_eq!(output.code, Some(0), "{name}: {output:#?}");
        assert!(
            holds_content(&server.object_path(BUCKET, "large"), LARGE, 2),
            "{name}"
        );
        let requests = server.requests();
        let parts: Vec<_> = requests.iter().filter_map(Request::part_number).collect();
        assert_eq!(parts, [1, 2, 3, 3, 3, 4], "{name}");
        let creates = requests.iter().filter(|r| r.is_create_multipart()).count();
        assert_eq!(creates, 1, "{name}");
    }
}

#[test]
fn a_complete_that_was_carried_out_unseen_is_recognised() {
    let server = server();
    let agent = multipart_agent(&server);
    agent.write_file("large", LARGE, 3);
    let lost = Failure::hang_up().after_success();
    server.fail_next(1, Request::is_complete_multipart, lost);
    agent.run(&["once", "--give-up", "60s"]).expect_code(0);
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        LARGE,
        3
    ));
    let parts = server
        .requests()
        .iter()
        .filter_map(Request::part_number)
        .count();
    assert_eq!(parts, 4, "no part again for an object that is there");
    assert_eq!(agent.history().len(), 1);
}

#[test]
fn parts_become_smaller_on_a_link_that_lets_no_large_one_through() {
    let server = server();
    let proxy = FaultProxy::start(server.address());
    // Each connection carries less than the automatic part size of 16 MiB.
    proxy.set_plan(Plan::ResetAfter(10 << 20));
    let transfer = json!({ "multipart_threshold": "8MiB" });
    let agent = Agent::with_endpoint(&proxy.endpoint()).with_job(json!({ "transfer": transfer }));
    agent.write_file("large", 30 << 20, 6);
    agent.run(&["once", "--give-up", "60s"]).expect_code(0);
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        30 << 20,
        6
    ));
    assert_eq!(agent.history()[0]["parts"], 4, "parts of 8 MiB");
    assert!(
        agent.events_of("connection_failed").len() <= 4,
        "{:?}",
        agent.events()
    );
}

/// s3s-fs, stopped in the middle of a Complete, has forgotten the upload but still lists parts of
/// it, and refuses to take more.
#[test]
fn an_upload_that_is_half_gone_is_begun_anew() {
    let server = server();
    let agent = multipart_agent(&server);
    agent.write_file("large", LARGE, 7);
    server.fail_next(
        usize::MAX,
        |request| request.part_number() == Some(3),
        Failure::error(500, "InternalError"),
    );
    agent.run(&["once", "--give-up", "1s"]).expect_code(75);
    server.heal();
    let root = server.object_path(BUCKET, "large");
    let root = root.parent().and_then(std::path::Path::parent).unwrap();
    let forgotten: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(".upload-") && name.ends_with(".json")
        })
        .collect();
    assert_eq!(forgotten.len(), 1, "{forgotten:?} in {root:?}");
    std::fs::remove_file(&forgotten[0]).unwrap();
    agent.once().expect_code(0);
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        LARGE,
        7
    ));
    assert!(agent.events_of("job_blocked").is_empty());
}

/// Events tell of a trouble once; a line of cron has no other memory than what it prints.
#[test]
fn every_run_that_leaves_something_says_why() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    agent.write_file("a", 100, 1);
    server.fail_next(usize::MAX, |_| true, Failure::access_denied());
    for _ in 0..2 {
        let output = agent.run(&["once", "--give-up", "1ms"]).expect_code(77);
        assert!(output.stderr.contains("AccessDenied"), "{output:#?}");
        assert!(
            output.stderr.contains("allow `s3:PutObject`"),
            "{output:#?}"
        );
    }
    assert_eq!(agent.events_of("job_blocked").len(), 1);
    server.heal();
    let output = agent.run(&["once"]).expect_code(0);
    assert!(!output.stderr.contains("AccessDenied"), "{output:#?}");
    drop(server);
    agent.write_file("b", 100, 1);
    for _ in 0..2 {
        let output = agent.run(&["once", "--give-up", "1ms"]).expect_code(75);
        assert!(
            output.stderr.contains("nothing listens there"),
            "{output:#?}"
        );
    }
}
