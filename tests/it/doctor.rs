//! `check` names the cause: each thing that can stand between a configuration and its files' arrival,
//! and the cure beside it.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::agent::{Agent, Output};
use crate::support::faketime;
use crate::support::mounts::Mount;
use crate::support::scripted::{Line, ScriptedServer};
use crate::support::server::{BUCKET, Failure, Request, S3Options, S3Server};
use crate::support::tls::{Authority, TlsFront};

/// What a healthy job on plain http shows, in order.
const HEALTHY: [&str; 12] = [
    "configuration",
    "folders",
    "tcp",
    "clock",
    "credentials",
    "region",
    "s3:PutObject",
    "s3:GetObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
    "s3:ListBucketMultipartUploads",
    "multipart",
];

fn check(agent: &Agent) -> Output {
    agent.run(&["check", "--json"])
}

/// All but the warning that the tests write their keys into the configuration.
fn findings(output: &Output) -> Vec<Value> {
    let mut findings = output.json_lines();
    findings.retain(|f| !(f["step"] == "configuration" && f["verdict"] == "warning"));
    findings
}

fn steps(output: &Output) -> Vec<String> {
    let findings = findings(output);
    let names = findings.iter().map(|finding| finding["step"].as_str());
    names.map(|name| name.unwrap().to_owned()).collect()
}

/// The finding of `step`, and the only one that is not good.
#[track_caller]
fn only(output: &Output, verdict: &str, step: &str) -> (String, String) {
    let findings = findings(output);
    // Where the store tells no time, the clock is not compared.
    let is_good = |f: &&Value| f["verdict"] == "ok" || f["verdict"] == "untried";
    let (good, others): (Vec<_>, Vec<_>) = findings.iter().partition(is_good);
    assert_eq!(others.len(), 1, "{output:#?}");
    assert!(good.iter().all(|finding| finding["ok"] == true));
    let found = others[0];
    assert_eq!(found["step"], step, "{output:#?}");
    assert_eq!(found["verdict"], verdict, "{output:#?}");
    assert_eq!(found["ok"], verdict == "warning", "{output:#?}");
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("message"), text("cure"))
}

/// The one failing step, its message with `cause` in it, its cure with `cure`; and no request that
/// needs it was reported on.
#[track_caller]
fn fails(output: &Output, step: &str, cause: &str, cure: &str) {
    let (message, found) = only(output, "failed", step);
    assert!(message.contains(cause), "{output:#?}");
    assert!(found.contains(cure), "{output:#?}");
    let behind = steps(output).contains(&"s3:GetObject".to_owned());
    assert_eq!(behind, HEALTHY[7..].contains(&step), "{output:#?}");
}

fn closed_port() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A store that lets anybody connect and refuses the first signed request like this.
fn refusing(status: u16, body: &str) -> ScriptedServer {
    ScriptedServer::start([
        Line::new(403, &[], "").on("GET", "location"),
        Line::new(status, &[], body).on("PUT", "/"),
    ])
}

#[test]
fn a_healthy_job_is_shown_step_by_step_and_leaves_nothing_behind() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({ "prefix": "site-7/" }));
    let output = check(&agent).expect_code(0);
    let mut expected = HEALTHY.to_vec();
    expected.push("test object");
    assert_eq!(steps(&output), expected, "{output:#?}");
    for finding in findings(&output) {
        assert_eq!(finding["verdict"], "ok", "{finding}");
    }
    assert!(server.keys(BUCKET).is_empty());
    assert_eq!(server.open_uploads().0, 0);
    let people = agent.run(&["check"]).expect_code(0);
    assert!(people.stdout.contains("removed again"), "{people:#?}");
    assert_eq!(people.stdout.lines().count(), output.stdout.lines().count());
}

#[test]
fn offline_asks_nobody() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let output = agent.run(&["check", "--offline", "--json"]).expect_code(0);
    assert_eq!(steps(&output), ["configuration", "folders", "credentials"]);
    assert!(server.requests().is_empty());
}

#[test]
fn a_wrong_host_is_a_matter_of_its_name() {
    // RFC 6761: no such name ever resolves.
    let agent = Agent::with_endpoint("http://store.invalid:9000");
    let output = check(&agent).expect_code(75);
    fails(&output, "dns", "store.invalid", "typing error");
}

#[test]
fn a_closed_port_is_a_matter_of_the_connection() {
    let address = closed_port();
    let agent = Agent::with_endpoint(&format!("http://{address}"));
    let output = check(&agent).expect_code(75);
    fails(&output, "tcp", "ConnectionRefused", "nothing listens there");
}

#[test]
fn a_proxy_that_refuses_is_the_proxy() {
    let server = S3Server::start(S3Options::default());
    let front = TlsFront::start(server.address());
    let answering = |status| ScriptedServer::start([Line::new(status, &[], "").on("CONNECT", "")]);
    let (unknown, forbidden) = (answering(407), answering(403));
    for (proxy, cure) in [
        (unknown.endpoint(), "user"),
        (forbidden.endpoint(), "let the proxy allow CONNECT"),
        (format!("http://{}", closed_port()), "proxy"),
    ] {
        let agent = Agent::with_endpoint(&format!("https://{}", front.address()))
            .with_job(json!({ "proxy": proxy }));
        let output = check(&agent).expect_code(75);
        fails(&output, "proxy", "proxy", cure);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_certificate_of_another_ca_is_a_matter_of_tls() {
    let server = S3Server::start(S3Options::default());
    let front = TlsFront::start(server.address());
    let agent = Agent::with_endpoint(&format!("https://{}", front.address()));
    let other = agent.folder().join("other.pem");
    Authority::new("another CA").write(&other);
    let agent = agent.with_job(json!({ "tls_options": { "ca_file": other } }));
    let output = check(&agent).expect_code(75);
    fails(&output, "tls", "", "ca_file");
    assert!(server.requests().is_empty());
}

#[test]
fn over_tls_the_version_is_shown() {
    let server = S3Server::start(S3Options::default());
    let front = TlsFront::start(server.address());
    let agent = Agent::with_endpoint(&format!("https://{}", front.address()));
    let ca = agent.folder().join("ca.pem");
    front.write_certificate(&ca);
    let agent = agent.with_job(json!({ "tls_options": { "ca_file": ca } }));
    let output = check(&agent).expect_code(0);
    let tls = output
        .json_lines()
        .into_iter()
        .find(|finding| finding["step"] == "tls")
        .unwrap();
    assert!(
        tls["message"].as_str().unwrap().contains("TLS 1.3"),
        "{tls}"
    );
}

#[test]
fn a_clock_that_is_off_by_an_hour_is_said_and_does_no_harm() {
    let Some(library) = faketime() else { return };
    let server = S3Server::start(S3Options::default());
    for (off, direction) in [("-1h", "1h behind"), ("+1h", "1h ahead of")] {
        let agent = Agent::new(&server)
            .with_env("LD_PRELOAD", library)
            .with_env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .with_env("FAKETIME", off);
        let output = check(&agent).expect_code(0);
        let (message, cure) = only(&output, "warning", "clock");
        // It takes a moment between the start of the clock and the request.
        let shortly_before = direction.replace("1h", "59m 59s");
        assert!(
            message.contains(direction) || message.contains(&shortly_before),
            "{message}"
        );
        assert!(cure.contains("NTP"), "{cure}");
    }
}

#[test]
fn a_wrong_secret_is_a_matter_of_the_credentials() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({
        "credentials": { "access_key": "testkey", "secret_key": "wrong" }
    }));
    let output = check(&agent).expect_code(77);
    let findings = output.json_lines();
    let last = findings.last().unwrap();
    assert_eq!(last["step"], "credentials", "{output:#?}");
    assert_eq!(last["verdict"], "failed");
    assert!(
        last["cure"].as_str().unwrap().contains("secret_key"),
        "{last}"
    );
}

#[test]
fn keys_that_are_nowhere_are_a_matter_of_the_credentials() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({
        "credentials": { "provider": "environment", "access_key": null, "secret_key": null }
    }));
    for arguments in [&["check", "--json"][..], &["check", "--offline", "--json"]] {
        let output = agent.run(arguments);
        let (message, cure) = only(&output, "failed", "credentials");
        assert!(message.contains("AWS_ACCESS_KEY_ID"), "{output:#?}");
        assert!(!cure.is_empty());
    }
    let signed = |r: &Request| r.header("authorization").is_some();
    assert!(!server.requests().iter().any(signed));
}

#[test]
fn each_missing_permission_is_named_with_what_goes_without_it() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let is_test_object = |r: &Request| r.is_put_object();
    server.fail_next(usize::MAX, is_test_object, Failure::access_denied());
    let output = check(&agent).expect_code(77);
    fails(&output, "s3:PutObject", "AccessDenied", "s3:PutObject");

    type Matches = fn(&Request) -> bool;
    let cases: [(&str, Matches, &str); 4] = [
        (
            "s3:GetObject",
            |r| r.method == "HEAD" && r.path.ends_with("check"),
            "sent again",
        ),
        (
            "s3:ListMultipartUploadParts",
            |r| r.method == "GET" && r.query.contains("uploadId"),
            "begins anew",
        ),
        (
            "s3:ListBucketMultipartUploads",
            |r| r.method == "GET" && r.query.contains("uploads"),
            "stays open",
        ),
        (
            "s3:AbortMultipartUpload",
            |r| r.method == "DELETE" && r.query.contains("uploadId"),
            "billed",
        ),
    ];
    for (step, matches, without) in cases {
        server.heal();
        server.fail_next(usize::MAX, matches, Failure::access_denied());
        let output = check(&agent).expect_code(0);
        let (message, cure) = only(&output, "warning", step);
        assert!(message.contains(without), "{output:#?}");
        assert!(cure.contains(step), "{output:#?}");
        assert_eq!(server.open_uploads().0, 0, "{step}");
    }

    // Nothing that the job needs.
    server.heal();
    let delete = |r: &Request| r.method == "DELETE" && !r.query.contains("uploadId");
    server.fail_next(usize::MAX, delete, Failure::access_denied());
    let output = check(&agent).expect_code(0);
    let last = output.json_lines().pop().unwrap();
    assert_eq!(last["verdict"], "ok");
    assert!(
        last["message"].as_str().unwrap().contains("left there"),
        "{last}"
    );
}

#[test]
fn what_the_job_insists_on_is_no_mere_warning() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({ "transfer": { "verify": "always" } }));
    let head = |r: &Request| r.method == "HEAD" && r.path.ends_with("check");
    server.fail_next(usize::MAX, head, Failure::access_denied());
    let output = check(&agent).expect_code(77);
    fails(&output, "s3:GetObject", "HTTP 403", "verify");
}

#[test]
fn a_missing_bucket_is_the_bucket() {
    let body = "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";
    let server = refusing(404, body);
    let output = check(&Agent::with_endpoint(&server.endpoint())).expect_code(77);
    fails(&output, "bucket", "does not exist", "create the bucket");
}

#[test]
fn a_wrong_region_is_named_with_the_right_one() {
    let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-2'</Message><Region>eu-west-2</Region></Error>";
    let server = refusing(400, body);
    let output = check(&Agent::with_endpoint(&server.endpoint())).expect_code(77);
    fails(&output, "region", "eu-west-2", "region");
}

#[test]
fn a_read_only_state_directory_is_named_and_the_rest_still_checked() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let Some(mount) = Mount::tmpfs(&agent.state(), 64 * 1024) else {
        return;
    };
    mount.set_read_only(true);
    let output = check(&agent).expect_code(74);
    let (message, _) = only(&output, "failed", "state_dir");
    assert!(
        message.contains("mount its file system writable"),
        "{message}"
    );
    assert!(steps(&output).contains(&"s3:PutObject".to_owned()));
}

#[test]
fn conditions_and_checksums_are_tried_only_where_the_job_uses_them() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let used = ["checksum", "conditional writes", "conditional multipart"];
    let found = steps(&check(&agent).expect_code(0));
    assert!(!used.iter().any(|step| found.contains(&(*step).to_owned())));
    let agent = agent.with_job(json!({
        "object": { "if_exists": "fail" }, "transfer": { "checksum": "crc32c" }
    }));
    let output = check(&agent).expect_code(0);
    let found = steps(&output);
    for step in used {
        assert!(found.contains(&step.to_owned()), "{output:#?}");
    }
}
