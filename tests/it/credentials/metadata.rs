//! EC2's instance metadata, version 2.

use serde_json::json;

use super::*;
use crate::support::connect_proxy::ConnectProxy;
use crate::support::proxy::{FaultProxy, Plan};
use crate::support::server::S3Options;

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

fn token() -> Line {
    text(200, "AQAEAMetadataToken==")
        .on("PUT", "/latest/api/token")
        .for_ever()
}

fn role(name: &str) -> Line {
    // The shorter path is that of the role as well: the longer line stands before it.
    text(200, name).on("GET", ROLES).for_ever()
}

fn role_keys(answer: Line) -> Line {
    answer
        .on("GET", "/security-credentials/recorder")
        .for_ever()
}

/// A service that has one role, `recorder`, with that answer for its keys.
fn service(answer: Line) -> ScriptedServer {
    ScriptedServer::start([token(), role_keys(answer), role("recorder\n")])
}

fn configured(server: &S3Server, service: &ScriptedServer) -> Agent {
    let credentials = json!({ "provider": "instance_metadata", "endpoint": service.endpoint() });
    agent(server, credentials)
}

/// By the chain, which is told of the endpoint by the environment.
fn found(server: &S3Server, endpoint: &str) -> Agent {
    agent(server, json!(null))
        .with_env("AWS_EC2_METADATA_DISABLED", "false")
        .with_env("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
}

#[test]
fn keys_of_the_instances_role_sign_and_the_service_is_asked_by_its_second_version() {
    let server = S3Server::start(S3Options::default());
    let service = service(text(200, &good_keys()));
    let agents = [
        configured(&server, &service),
        found(&server, &service.endpoint()),
    ];
    for agent in agents {
        assert_eq!(uploads("metadata", &server, &agent).as_deref(), Some(TOKEN));
        let line = checked(&agent);
        let words = "from instance metadata (role `recorder`), access key …key, good until 20";
        assert!(line.contains(words), "{line}");
    }
    let seen = service.requests();
    let put = &seen[0];
    assert_eq!(
        (put.method.as_str(), put.target.as_str()),
        ("PUT", "/latest/api/token")
    );
    assert_eq!(
        put.header("x-aws-ec2-metadata-token-ttl-seconds"),
        Some("21600")
    );
    // The service refuses what a proxy may have passed on.
    assert!(
        seen.iter()
            .all(|request| request.header("x-forwarded-for").is_none())
    );
    for get in &seen[1..3] {
        assert_eq!(
            get.header("x-aws-ec2-metadata-token"),
            Some("AQAEAMetadataToken==")
        );
    }
}

#[test]
fn one_fetch_serves_all_files_of_a_pass() {
    let server = S3Server::start(S3Options::default());
    let service = service(text(200, &good_keys()));
    let agent = configured(&server, &service);
    for n in 0..20 {
        agent.write_file(format!("{n}"), 10, n);
    }
    agent.once().expect_code(0);
    assert_eq!(service.requests().len(), 3);
}

#[test]
fn answers_that_bring_no_keys_are_told_with_what_to_do() {
    let server = S3Server::start(S3Options::default());
    let code = |code: &str| {
        text(
            200,
            &json!({ "Code": code, "Message": "hush-hush" }).to_string(),
        )
    };
    let one = |line: Line| vec![token(), role_keys(line), role("recorder")];
    let named = |name: &str| vec![token(), role(name)];
    let cases: Vec<(&str, Vec<Line>, i32, &[&str])> = vec![
        (
            "no version 2",
            vec![text(403, "")],
            77,
            &["instance metadata: HTTP 403"],
        ),
        (
            "no version 2 either",
            vec![text(404, "")],
            77,
            &["HTTP 404"],
        ),
        ("no token", vec![text(200, "")], 77, &["no token"]),
        (
            "a token of two lines",
            vec![text(200, "hush-hush\r\nX: y")],
            77,
            &["no token"],
        ),
        (
            "a redirect",
            vec![Line::new(
                302,
                &[("Location", "http://127.0.0.1:9/latest")],
                "",
            )],
            77,
            &["HTTP 302"],
        ),
        (
            "no role",
            vec![token(), text(404, "").on("GET", ROLES)],
            77,
            &["the instance has no role"],
        ),
        ("an empty role", named(""), 77, &["names no role"]),
        (
            "a role that climbs",
            named("../../api/token"),
            77,
            &["names no role"],
        ),
        (
            "a role of two lines",
            named("a b\r\nX: y"),
            77,
            &["names no role"],
        ),
        ("a role of a page", named("<html>"), 77, &["names no role"]),
        (
            "a role without trust",
            one(code("AssumeRoleUnauthorizedAccess")),
            77,
            &["AssumeRoleUnauthorizedAccess"],
        ),
        ("a role that is gone", one(text(404, "")), 77, &["HTTP 404"]),
        (
            "no JSON",
            one(text(200, "hush-hush")),
            77,
            &["no JSON object"],
        ),
        (
            "half of it",
            one(text(200, "{\"AccessKeyId\": \"hush-hush\"")),
            77,
            &["no JSON object"],
        ),
        (
            "no secret",
            one(text(200, r#"{"Code":"Success","AccessKeyId":"a"}"#)),
            77,
            &["`SecretAccessKey` in the answer is missing"],
        ),
        (
            "no time",
            one(text(200, &keys(TOKEN, "soon"))),
            77,
            &["`Expiration` in the answer is no time"],
        ),
        (
            "a header in the token",
            one(text(200, &keys("a\r\nX: y", &in_seconds(60)))),
            77,
            &["`Token` in the answer is no key"],
        ),
        ("too long", one(too_long()), 75, &["AnswerTooLong"]),
        (
            "no answer",
            one(Line::raw("")),
            75,
            &["instance metadata: 127.0.0.1:"],
        ),
        (
            "busy",
            one(text(503, "")),
            75,
            &["HTTP 503", "NoCredentialsNow"],
        ),
        (
            "slow",
            one(unfinished()),
            75,
            &["TimedOut", "did not answer within 1s"],
        ),
        (
            "slow from the start",
            vec![unfinished().for_ever()],
            75,
            &["TimedOut"],
        ),
    ];
    for (name, script, code, words) in cases {
        let service = ScriptedServer::start(script);
        is_refused(name, &server, &configured(&server, &service), code, words);
    }
}

#[test]
fn trouble_that_passes_is_tried_four_times_over() {
    let server = S3Server::start(S3Options::default());
    let service = ScriptedServer::start([
        text(503, "").on("PUT", "token"),
        Line::raw("").on("PUT", "token"),
        text(401, "").on("GET", "recorder"),
        token(),
        role_keys(text(200, &good_keys())),
        role("recorder"),
    ]);
    uploads("four tries", &server, &configured(&server, &service));
    assert_eq!(asked(&service, "/latest/api/token"), 4);
}

#[test]
fn a_trickle_does_not_hold_the_program() {
    let server = S3Server::start(S3Options::default());
    let service = service(text(200, &good_keys()));
    let proxy = FaultProxy::start(service.address());
    proxy.set_plan(Plan::TrickleAnswer(Duration::from_millis(300)));
    is_refused(
        "trickle",
        &server,
        &found(&server, &proxy.endpoint()),
        75,
        &["TimedOut"],
    );
}

/// A port whose queue is full: what arrives there is neither taken nor refused, as on most networks
/// without such a service.
fn silent_port() -> (std::net::SocketAddr, Vec<std::os::fd::OwnedFd>) {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with};
    let socket = || {
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        socket_with(
            family,
            kind,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            None,
        )
        .unwrap()
    };
    let listener = socket();
    bind(&listener, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listen(&listener, 0).unwrap();
    let address = std::net::TcpListener::from(listener.try_clone().unwrap());
    let address = address.local_addr().unwrap();
    let mut kept = vec![listener];
    for _ in 0..4 {
        let client = socket();
        let _ = connect(&client, &address);
        kept.push(client);
    }
    (address, kept)
}

#[test]
fn a_host_that_says_nothing_is_given_up_on_within_seconds() {
    let server = S3Server::start(S3Options::default());
    let (address, _kept) = silent_port();
    let agent = found(&server, &format!("http://{address}"));
    agent.write_file("a", 10, 1);
    let output = agent.run(&["once", "--give-up", "100ms"]).expect_code(75);
    assert!(
        output
            .stderr
            .contains("TimedOut: instance metadata: 127.0.0.1:"),
        "{output:#?}"
    );
    // Twice four tries of a second.
    assert!(output.took < Duration::from_secs(20), "{output:#?}");
    assert!(output.took > Duration::from_secs(4), "{output:#?}");
}

#[test]
fn keys_that_are_handed_out_as_expired_are_for_the_store_to_judge() {
    let server = S3Server::start(S3Options::default());
    let service = service(text(200, &keys(TOKEN, "2020-01-01T00:00:00Z")));
    let agent = configured(&server, &service);
    for n in 0..5 {
        agent.write_file(format!("{n}"), 10, n);
    }
    uploads("expired", &server, &agent);
    assert_eq!(service.requests().len(), 3);
}

#[test]
fn the_service_is_never_asked_through_a_proxy() {
    let server = S3Server::start(S3Options::default());
    let service = service(text(200, &good_keys()));
    let proxy = ConnectProxy::start(server.address());
    let agent = found(&server, &service.endpoint())
        .with_job(json!({ "proxy": proxy.url() }))
        .with_env("HTTP_PROXY", "http://127.0.0.1:9")
        .with_env("ALL_PROXY", "http://127.0.0.1:9");
    uploads("proxy", &server, &agent);
    let asked_for = proxy.asked_for();
    let port = service.address().port().to_string();
    assert!(
        !asked_for.is_empty() && asked_for.iter().all(|host| !host.ends_with(&port)),
        "{asked_for:?}"
    );
}

#[test]
fn term_ends_the_wait_for_the_service() {
    let server = S3Server::start(S3Options::default());
    let service = ScriptedServer::start([unfinished().for_ever()]);
    let agent = configured(&server, &service);
    agent.write_file("a", 10, 1);
    let mut running = agent.start();
    running.wait_for_event("upload_started", crate::support::agent::SOON);
    running.signal(rustix::process::Signal::TERM);
    let begin = std::time::Instant::now();
    let status = running.wait(crate::support::agent::SOON);
    assert_eq!(status.code(), Some(0));
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
}
