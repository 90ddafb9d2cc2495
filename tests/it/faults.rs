//! A table of what networks and servers do to an upload, each case ending in identical objects.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use crate::support::agent::{Agent, Output};
use crate::support::files::holds_content;
use crate::support::proxy::{FaultProxy, Plan};
use crate::support::server::{BUCKET, Failure, Request, S3Options, S3Server};

/// 5 MiB parts, the smallest that S3 takes: three of them.
const LARGE: u64 = (10 << 20) + 4321;
const SMALL: u64 = 20_000;
/// How many cases run at a time: most of a case is waiting.
const AT_A_TIME: usize = 4;

/// What stands between the agent and its objects.
struct Rig {
    server: S3Server,
    proxy: FaultProxy,
}

/// Which requests meet the fault.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Upload {
    Small,
    Multipart,
}
use Upload::{Multipart, Small};

type Fault = Box<dyn Fn(&Rig) + Send + Sync>;

struct Case {
    name: String,
    upload: Upload,
    fault: Fault,
}

/// Connections one after the other, each with its plan; then all is well.
fn network(upload: Upload, plans: &[Plan]) -> Case {
    let plans = plans.to_vec();
    Case {
        name: format!("{upload:?}: {plans:?}"),
        upload,
        fault: Box::new(move |rig| rig.proxy.plan_next(plans.iter().copied())),
    }
}

/// The next `times` requests that match are answered by the test.
fn answers(
    upload: Upload,
    name: &str,
    times: usize,
    matches: fn(&Request) -> bool,
    failure: Failure,
) -> Case {
    Case {
        name: format!("{upload:?}: {name}"),
        upload,
        fault: Box::new(move |rig| rig.server.fail_next(times, matches, failure.clone())),
    }
}

fn agent_for(rig: &Rig, upload: Upload) -> (Agent, Vec<(&'static str, u64)>) {
    let agent = Agent::with_endpoint(&rig.proxy.endpoint()).with_job(json!({
        "transfer": { "multipart_threshold": "8MiB", "part_size": "5MiB" },
        "order": "name",
    }));
    let files = match upload {
        Small => vec![("a", SMALL), ("b", SMALL + 1), ("c", 0)],
        Multipart => vec![("large", LARGE), ("small", SMALL)],
    };
    for (seed, (name, size)) in files.iter().enumerate() {
        agent.write_file(name, *size, seed as u64);
    }
    (agent, files)
}

/// Runs all cases; the panic at the end names every one that failed.
fn check_all(cases: Vec<Case>, limit: Duration) {
    let (count, queue) = (cases.len(), Mutex::new(cases));
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let Some(case) = queue.lock().unwrap().pop() else {
                        return;
                    };
                    if let Err(complaint) = check(&case, limit) {
                        let complaint = format!("{}: {complaint}", case.name);
                        failed.lock().unwrap().push(complaint);
                    }
                }
            });
        }
    });
    println!("{count} fault cases");
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {count} cases:\n{}",
        failed.len(),
        failed.join("\n\n")
    );
}

fn check(case: &Case, limit: Duration) -> Result<(), String> {
    let server = S3Server::start(S3Options::default());
    let proxy = FaultProxy::start(server.address());
    let rig = Rig { server, proxy };
    let (agent, files) = agent_for(&rig, case.upload);
    (case.fault)(&rig);
    let output = agent.run(&["once", "--give-up", "60s"]);
    sound(&rig.server, &agent, &files, &output, 0)?;
    if output.took > limit {
        return Err(format!("{:?}", output.took));
    }
    Ok(())
}

/// Identical objects, one history entry and one start and end for each, and no other alarm than
/// one about the connection, which is taken back.
fn sound(
    server: &S3Server,
    agent: &Agent,
    files: &[(&str, u64)],
    output: &Output,
    code: i32,
) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {:#?}\n{output:#?}", agent.events()));
    if output.code != Some(code) || output.stderr.contains("panicked") {
        return wrong("it ended badly");
    }
    if server.keys(BUCKET).len() != files.len() {
        return wrong("other objects than files");
    }
    for (seed, (name, size)) in files.iter().enumerate() {
        if !holds_content(&server.object_path(BUCKET, name), *size, seed as u64) {
            return wrong(name);
        }
    }
    let count = |kind| agent.events_of(kind).len();
    let once_each = [agent.history().len(), count("upload_finished")];
    if once_each != [files.len(); 2] || count("upload_started") != files.len() {
        return wrong("not one record for each file");
    }
    let (failed, restored) = (count("connection_failed"), count("connection_restored"));
    if failed != restored || failed > 1 || count("job_blocked") > 0 || count("file_changed") > 0 {
        return wrong("not the events that belong to it");
    }
    Ok(())
}

#[test]
fn whatever_the_network_does_the_objects_are_identical() {
    let mut cases = Vec::new();
    for bytes in [0, 1, 100, 400, 900, SMALL - 1, SMALL + 200, SMALL * 2 + 900] {
        cases.push(network(Small, &[Plan::ResetAfter(bytes)]));
    }
    let in_parts = [0, 100, 700, 3000, 5 << 20, (5 << 20) + 2000, 9 << 20, LARGE];
    for bytes in in_parts {
        cases.push(network(Multipart, &[Plan::ResetAfter(bytes)]));
    }
    let plans = [
        Plan::TruncateAnswer(0),
        Plan::TruncateAnswer(1),
        Plan::TruncateAnswer(12),
        Plan::TruncateAnswer(60),
        Plan::TruncateAnswer(400),
        Plan::SwallowAnswer,
        Plan::DuplicateAnswer,
        Plan::CloseOnNextRequest,
        Plan::CloseWhenIdle,
        Plan::TrickleAnswer(Duration::from_millis(1)),
        Plan::SlowUpload(4 << 20),
    ];
    for plan in plans {
        cases.push(network(Small, &[plan]));
        cases.push(network(Multipart, &[plan]));
    }
    cases.push(network(
        Small,
        &[Plan::ResetAfter(500), Plan::SwallowAnswer],
    ));
    cases.push(network(
        Multipart,
        &[Plan::ResetAfter(6 << 20), Plan::TruncateAnswer(30)],
    ));
    check_all(cases, Duration::from_secs(60));
}

/// The copy of a success must not confirm the request after it, which fails.
#[test]
fn answers_that_come_twice_are_not_taken_for_those_of_the_next_request() {
    let fault: Fault = Box::new(|rig| {
        rig.proxy.set_plan(Plan::DuplicateAnswer);
        let internal = Failure::error(500, "InternalError");
        rig.server
            .fail_next(1, |r| r.path.ends_with("/b"), internal.clone());
        rig.server
            .fail_next(1, |r| r.part_number() == Some(2), internal);
    });
    let mut case = Case {
        name: "all answers twice".into(),
        upload: Small,
        fault,
    };
    check(&case, Duration::from_secs(60)).unwrap();
    case.upload = Multipart;
    check(&case, Duration::from_secs(60)).unwrap();
}

#[test]
fn whatever_the_server_says_the_objects_are_identical() {
    type Which = fn(&Request) -> bool;
    let put: Which = Request::is_put_object;
    let part: Which = |r| r.part_number() == Some(2);
    let (create, complete): (Which, Which) =
        (Request::is_create_multipart, Request::is_complete_multipart);
    let temporary = [
        (500, "InternalError"),
        (503, "SlowDown"),
        (503, "ServiceUnavailable"),
        (429, "TooManyRequests"),
        (400, "RequestTimeout"),
        (409, "OperationAborted"),
        (502, "Unheard"),
        (400, "BadDigest"),
    ];
    let mut cases = Vec::new();
    let requests = [
        (Small, "put", put),
        (Multipart, "create", create),
        (Multipart, "part", part),
        (Multipart, "complete", complete),
    ];
    for (upload, what, which) in requests {
        for (status, code) in temporary {
            let name = format!("{what} {status} {code}");
            cases.push(answers(
                upload,
                &name,
                1,
                which,
                Failure::error(status, code),
            ));
        }
        let empty = Failure::answer(503, "");
        cases.push(answers(
            upload,
            &format!("{what} 503, empty"),
            1,
            which,
            empty,
        ));
        let early = Failure::slow_down().early();
        cases.push(answers(
            upload,
            &format!("{what} 503, early"),
            1,
            which,
            early,
        ));
        cases.push(answers(
            upload,
            &format!("{what} hangs up"),
            2,
            which,
            Failure::hang_up(),
        ));
        let lost = Failure::hang_up().after_success();
        cases.push(answers(upload, &format!("{what} is lost"), 1, which, lost));
    }
    let two_hundreds = [
        ("an error", "<Error><Code>InternalError</Code></Error>"),
        ("nothing", ""),
        ("HTML", "<html><body>Please log in<br></body></html>"),
        ("a torn document", "<?xml version=\"1.0\"?><Complete"),
        (
            "a DTD",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><CompleteMultipartUploadResult>&b;</CompleteMultipartUploadResult>",
        ),
        ("JSON", "{\"ok\": true}"),
    ];
    for (name, body) in two_hundreds {
        for (what, which) in [("create", create), ("complete", complete)] {
            let failure = Failure::answer(200, body);
            cases.push(answers(
                Multipart,
                &format!("{what} 200 with {name}"),
                1,
                which,
                failure,
            ));
        }
    }
    // A page of a hotel's network, or of a proxy that wants a password, confirms nothing.
    for (upload, what, which) in [(Small, "put", put), (Multipart, "part", part)] {
        let portal = Failure::answer(200, "<html>Welcome, please log in</html>");
        cases.push(answers(
            upload,
            &format!("{what} 200 from a portal"),
            1,
            which,
            portal,
        ));
    }
    check_all(cases, Duration::from_secs(60));
}

#[test]
fn a_connection_that_is_closed_between_requests_costs_no_time() {
    let slow = Duration::from_secs(10);
    for plan in [Plan::CloseWhenIdle, Plan::CloseOnNextRequest] {
        let server = S3Server::start(S3Options::default());
        let proxy = FaultProxy::start(server.address());
        proxy.set_plan(plan);
        let agent = Agent::with_endpoint(&proxy.endpoint());
        // A back-off of half a second each would be half a minute.
        for n in 0..60 {
            agent.write_file(format!("{n}"), 100, n);
        }
        let output = agent.once().expect_code(0);
        assert!(output.took < slow, "{plan:?}: {:?}", output.took);
        assert_eq!(server.keys(BUCKET).len(), 60, "{plan:?}");
        assert!(agent.events_of("connection_failed").is_empty(), "{plan:?}");
    }
}

#[test]
fn refusals_block_the_job_until_they_are_taken_back() {
    let refusals = [
        (403, "AccessDenied", 77),
        (403, "InvalidAccessKeyId", 77),
        (400, "ExpiredToken", 77),
        (404, "NoSuchBucket", 77),
        (401, "", 77),
    ];
    for (status, code, exit) in refusals {
        for upload in [Small, Multipart] {
            let server = S3Server::start(S3Options::default());
            let proxy = FaultProxy::start(server.address());
            let rig = Rig { server, proxy };
            let (agent, files) = agent_for(&rig, upload);
            let refusal = Failure::error(status, code);
            rig.server.fail_next(usize::MAX, |_| true, refusal);
            agent.run(&["once", "--give-up", "5s"]).expect_code(exit);
            assert_eq!(agent.events_of("job_blocked").len(), 1, "{code}");
            rig.server.heal();
            agent.once().expect_code(0);
            assert_eq!(agent.events_of("job_unblocked").len(), 1, "{code}");
            for (seed, (name, size)) in files.iter().enumerate() {
                let path = rig.server.object_path(BUCKET, name);
                assert!(holds_content(&path, *size, seed as u64), "{code} {name}");
            }
        }
    }
}

#[test]
fn a_refused_connection_and_an_unknown_host_are_named_with_a_cure() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let cases = [
        (
            format!("http://{closed}"),
            "ConnectionRefused",
            "nothing listens there",
        ),
        (
            "http://no-such-host.invalid".into(),
            "HostNotFound",
            "typing error",
        ),
        (
            "https://no-such-host.invalid".into(),
            "HostNotFound",
            "typing error",
        ),
    ];
    for (endpoint, code, cure) in cases {
        let agent = Agent::with_endpoint(&endpoint);
        agent.write_file("a", 100, 1);
        agent.run(&["once", "--give-up", "1s"]).expect_code(75);
        let failed = agent.events_of("connection_failed");
        assert_eq!(failed.len(), 1, "{failed:?}");
        let error = &failed[0]["error"];
        assert_eq!(error["code"], code, "{error}");
        let hint = error["hint"].as_str().unwrap();
        assert!(hint.contains(cure), "{hint}");
    }
}
