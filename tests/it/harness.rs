//! The harness itself: a test that leans on it is only as good as this.
//!
//! curl is the client, because it signs requests and shares no code with the program.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::connect_proxy::ConnectProxy;
use crate::support::files::{Content, holds_content, write_content};
use crate::support::proxy::{FaultProxy, Plan};
use crate::support::scripted::{Line, ScriptedServer};
use crate::support::server::{
    ACCESS_KEY, BUCKET, Failure, Request, S3Options, S3Server, SECRET_KEY,
};

/// What curl printed: the body, then the status (0 for no answer), then its own exit code.
#[derive(Debug)]
struct Curl {
    body: String,
    status: u16,
    exit: i32,
}

/// The server wants the header that says what the body's hash is, and old versions of curl
/// cannot hash an upload.
const UNSIGNED: &str = "x-amz-content-sha256: UNSIGNED-PAYLOAD";

fn curl(secret: &str, arguments: &[&str]) -> Curl {
    curl_with_hash(UNSIGNED, secret, arguments)
}

fn curl_with_hash(hash: &str, secret: &str, arguments: &[&str]) -> Curl {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--path-as-is",
            "--max-time",
            "20",
            "--noproxy",
            "*",
        ])
        .args(["--aws-sigv4", "aws:amz:eu-west-2:s3"])
        .args(["--header", hash])
        .args(["--user", &format!("{ACCESS_KEY}:{secret}")])
        .args(["--write-out", "\n%{http_code}"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    Curl {
        body: body.to_owned(),
        status: status.parse().unwrap(),
        exit: output.status.code().unwrap(),
    }
}

/// Whether there is no curl, the client of these tests.
fn no_curl() -> bool {
    let works = Command::new("curl").arg("--version").output().is_ok();
    crate::support::lacks("curl", works)
}

fn put(endpoint: &str, key: &str, file: &Path) -> Curl {
    let url = format!("{endpoint}/{BUCKET}/{key}");
    curl(SECRET_KEY, &["--upload-file", file.to_str().unwrap(), &url])
}

fn get(endpoint: &str, key: &str) -> Curl {
    curl(SECRET_KEY, &[&format!("{endpoint}/{BUCKET}/{key}")])
}

/// A file of 100 000 bytes for curl to send.
fn sample() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample");
    write_content(&path, 100_000, 7);
    (folder, path)
}

#[test]
fn content_does_not_depend_on_how_it_is_read() {
    let (_folder, path) = sample();
    assert!(holds_content(&path, 100_000, 7));
    assert!(!holds_content(&path, 100_000, 8));
    assert!(!holds_content(&path, 99_999, 7));
    assert_eq!(
        std::fs::read(&path).unwrap(),
        Content::new(100_000, 7).bytes()
    );
    assert_ne!(Content::new(64, 0).bytes(), Content::new(64, 1).bytes());
}

#[test]
fn an_object_goes_in_and_comes_back_byte_for_byte() {
    if no_curl() {
        return;
    }
    let server = S3Server::start(S3Options::default());
    let (_folder, path) = sample();
    assert_eq!(put(&server.endpoint(), "folder/a", &path).status, 200);
    assert!(holds_content(
        &server.object_path(BUCKET, "folder/a"),
        100_000,
        7
    ));
    assert_eq!(server.keys(BUCKET).len(), 1);
    let out = path.with_extension("out");
    let url = format!("{}/{BUCKET}/folder/a", server.endpoint());
    curl(SECRET_KEY, &["--output", out.to_str().unwrap(), &url]);
    assert_eq!(
        std::fs::read(out).unwrap(),
        Content::new(100_000, 7).bytes()
    );
    let requests = server.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|r| (r.method.as_str(), r.status))
        .collect();
    assert_eq!(seen, [("PUT", Some(200)), ("GET", Some(200))]);
    assert_eq!(requests[0].content_length, Some(100_000));
    assert_eq!(requests[0].path, format!("/{BUCKET}/folder/a"));
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_wrong_secret_is_refused() {
    if no_curl() {
        return;
    }
    let server = S3Server::start(S3Options::default());
    let url = format!("{}/{BUCKET}/a", server.endpoint());
    let answer = curl("wrong", &["--data", "x", "-X", "PUT", &url]);
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("SignatureDoesNotMatch"), "{answer:?}");
    assert_eq!(server.object(BUCKET, "a"), None);
}

#[test]
fn a_body_other_than_the_signed_one_is_refused() {
    if no_curl() {
        return;
    }
    let server = S3Server::start(S3Options::default());
    let (_folder, path) = sample();
    let url = format!("{}/{BUCKET}/a", server.endpoint());
    let hash = format!("x-amz-content-sha256: {}", "0".repeat(64));
    let arguments = ["--upload-file", path.to_str().unwrap(), &url];
    let answer = curl_with_hash(&hash, SECRET_KEY, &arguments);
    assert!((400..600).contains(&answer.status), "{answer:?}");
}

#[test]
fn a_bucket_may_stand_in_the_host_name() {
    if no_curl() {
        return;
    }
    let server = S3Server::start(S3Options {
        domains: vec!["s3.eu-west-2.amazonaws.com".into()],
        ..S3Options::default()
    });
    let (_folder, path) = sample();
    let host = format!("{BUCKET}.s3.eu-west-2.amazonaws.com");
    let connect = format!("{host}:80:127.0.0.1:{}", server.port());
    let file = path.to_str().unwrap();
    let url = format!("http://{host}/a");
    let answer = curl(
        SECRET_KEY,
        &["--connect-to", &connect, "--upload-file", file, &url],
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(holds_content(&server.object_path(BUCKET, "a"), 100_000, 7));
    assert_eq!(put(&server.endpoint(), "b", &path).status, 200);
    assert!(holds_content(&server.object_path(BUCKET, "b"), 100_000, 7));
}

#[test]
fn chosen_requests_fail_as_asked_and_then_no_more() {
    if no_curl() {
        return;
    }
    let server = S3Server::start(S3Options::default());
    let (_folder, path) = sample();
    let send = |key: &str| put(&server.endpoint(), key, &path);

    server.fail_next(2, Request::is_put_object, Failure::slow_down());
    for _ in 0..2 {
        let answer = send("a");
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("<Code>SlowDown</Code>"), "{answer:?}");
    }
    assert_eq!(server.object(BUCKET, "a"), None);
    assert_eq!(send("a").status, 200);

    server.fail_next(1, |r| r.path.ends_with("/b"), Failure::hang_up());
    assert_eq!(send("c").status, 200);
    // 52: curl got no answer.
    assert_eq!(send("b").exit, 52);
    assert_eq!(server.object(BUCKET, "b"), None);

    server.fail_next(
        1,
        |_| true,
        Failure::error(500, "InternalError").after_success(),
    );
    assert_eq!(send("b").status, 500);
    assert!(server.object(BUCKET, "b").is_some());

    server.fail_next(1, |_| true, Failure::access_denied().early());
    assert_eq!(send("d").status, 403);
    server.fail_next(9, |_| true, Failure::slow_down());
    server.heal();
    assert_eq!(send("d").status, 200);
}

#[test]
fn the_server_goes_away_and_comes_back_on_its_port() {
    if no_curl() {
        return;
    }
    let mut server = S3Server::start(S3Options::default());
    let (_folder, path) = sample();
    let endpoint = server.endpoint();
    assert_eq!(put(&endpoint, "a", &path).status, 200);
    server.stop();
    // 7: curl could not connect.
    assert_eq!(put(&endpoint, "b", &path).exit, 7);
    server.restart();
    assert_eq!(get(&endpoint, "a").status, 200);
    assert_eq!(put(&endpoint, "b", &path).status, 200);

    server.stop_after(1);
    assert_eq!(put(&endpoint, "c", &path).status, 200);
    assert_eq!(put(&endpoint, "d", &path).status, 0);
    assert!(server.wait_until_stopped(Duration::from_secs(5)));
    server.restart();
    assert_eq!(server.keys(BUCKET).len(), 3);
    assert!(server.wait_for_requests(1, Duration::ZERO, |r| r.path.ends_with("/d")));
    assert!(!server.wait_for_requests(2, Duration::from_millis(20), |r| r.path.ends_with("/d")));
}

/// A server, a proxy in front of it, and a sample file.
#[test]
fn a_request_that_its_client_left_is_done_when_the_server_is_idle() {
    if no_curl() {
        return;
    }
    let server = S3Server::start(S3Options::default());
    let mut client = TcpStream::connect(server.address()).unwrap();
    client
        .write_all(b"HEAD /bucket/nothing HTTP/1.1\r\nhost: here\r\n\r\n")
        .unwrap();
    drop(client);
    assert!(server.wait_until_idle(Duration::from_secs(30)));
    assert_eq!(server.requests().len(), 1);
}

fn proxied() -> (S3Server, FaultProxy, tempfile::TempDir, std::path::PathBuf) {
    let server = S3Server::start(S3Options::default());
    let proxy = FaultProxy::start(server.address());
    let (folder, path) = sample();
    (server, proxy, folder, path)
}

#[test]
fn the_proxy_passes_and_refuses_and_passes_again() {
    if no_curl() {
        return;
    }
    let (server, proxy, _folder, path) = proxied();
    assert_eq!(put(&proxy.endpoint(), "a", &path).status, 200);
    assert!(proxy.bytes_to_server() > 100_000);
    assert!(proxy.bytes_to_client() > 0);
    proxy.set_plan(Plan::Refuse);
    assert_eq!(put(&proxy.endpoint(), "b", &path).exit, 7);
    proxy.set_plan(Plan::Pass);
    assert_eq!(put(&proxy.endpoint(), "b", &path).status, 200);
    assert_eq!(proxy.connections(), 2);
    assert_eq!(server.keys(BUCKET).len(), 2);
}

#[test]
fn the_proxy_resets_and_stalls_at_the_byte() {
    if no_curl() {
        return;
    }
    let (server, proxy, _folder, path) = proxied();
    proxy.plan_next([Plan::ResetAfter(50_000)]);
    let answer = put(&proxy.endpoint(), "a", &path);
    // 55 and 56: sending and receiving failed.
    assert!(matches!(answer.exit, 55 | 56), "{answer:?}");
    assert_eq!(proxy.bytes_to_server(), 50_000);

    proxy.set_plan(Plan::StallAfter(50_000));
    let url = format!("{}/{BUCKET}/a", proxy.endpoint());
    let file = path.to_str().unwrap();
    let answer = curl(
        SECRET_KEY,
        &["--max-time", "1", "--upload-file", file, &url],
    );
    // 28: out of time.
    assert_eq!(answer.exit, 28);
    assert_eq!(proxy.bytes_to_server(), 100_000);
    assert!(server.keys(BUCKET).is_empty());
    proxy.set_plan(Plan::Pass);
    assert_eq!(put(&proxy.endpoint(), "a", &path).status, 200);
}

#[test]
fn the_proxy_slows_both_directions() {
    if no_curl() {
        return;
    }
    let (server, proxy, _folder, path) = proxied();
    proxy.set_plan(Plan::SlowUpload(200_000));
    let begin = Instant::now();
    assert_eq!(put(&proxy.endpoint(), "a", &path).status, 200);
    assert!(begin.elapsed() > Duration::from_millis(400));
    assert!(server.object(BUCKET, "a").is_some());

    proxy.set_plan(Plan::TrickleAnswer(Duration::from_millis(2)));
    let (begin, before) = (Instant::now(), proxy.bytes_to_client());
    assert_eq!(put(&proxy.endpoint(), "a", &path).status, 200);
    let passed = proxy.bytes_to_client() - before;
    assert!(begin.elapsed() > Duration::from_millis(2 * passed));
}

#[test]
fn the_proxy_cuts_and_swallows_answers() {
    if no_curl() {
        return;
    }
    let (server, proxy, _folder, _path) = proxied();
    proxy.set_plan(Plan::TruncateAnswer(20));
    assert_ne!(get(&proxy.endpoint(), "a").exit, 0);
    assert_eq!(proxy.bytes_to_client(), 20);

    proxy.set_plan(Plan::SwallowAnswer);
    // Small enough not to need a 100 Continue, which would be the answer that is swallowed.
    let url = format!("{}/{BUCKET}/a", proxy.endpoint());
    let answer = curl(SECRET_KEY, &["-X", "PUT", "--data", "x", &url]);
    assert_eq!((answer.status, answer.exit), (0, 56));
    assert_eq!(server.object(BUCKET, "a"), Some(b"x".to_vec()));
}

#[test]
fn the_proxy_closes_between_requests() {
    if no_curl() {
        return;
    }
    let (_server, proxy, _folder, _path) = proxied();
    let url = format!("{}/{BUCKET}/", proxy.endpoint());
    proxy.set_plan(Plan::CloseOnNextRequest);
    // curl takes a fresh connection when a used one fails like that.
    let answer = curl(SECRET_KEY, &[&url, &url]);
    assert_eq!(
        (answer.status, answer.exit, proxy.connections()),
        (200, 0, 2)
    );

    proxy.set_plan(Plan::CloseWhenIdle);
    let mut socket = TcpStream::connect(proxy.endpoint().trim_start_matches("http://")).unwrap();
    let timeout = Some(Duration::from_secs(5));
    socket.set_read_timeout(timeout).unwrap();
    socket
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    // Ends only because the proxy closes: the server would keep the connection.
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[test]
fn a_script_is_answered_byte_for_byte_and_line_by_line() {
    if no_curl() {
        return;
    }
    let server = ScriptedServer::start([
        Line::new(503, &[("Retry-After", "7")], "slow").on("PUT", "/b"),
        Line::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").close(),
        Line::new(204, &[], "").on("GET", "?never"),
        Line::new(404, &[], "").on("GET", "?always").for_ever(),
    ]);
    let url = |path: &str| format!("{}{path}", server.endpoint());
    let (first, second) = (url("/a?x=1"), url("/b"));
    let answer = curl(SECRET_KEY, &["-X", "PUT", "--data", "body", &first]);
    assert_eq!((answer.status, answer.body.as_str()), (200, "hi"));
    let answer = curl(
        SECRET_KEY,
        &["--include", "-X", "PUT", "--data", "x", &second],
    );
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("Retry-After: 7"), "{answer:?}");
    assert_eq!(curl(SECRET_KEY, &[&second]).status, 501);
    assert_eq!(server.lines_left(), 1);
    let always = url("/c?always");
    assert_eq!(curl(SECRET_KEY, &[&always]).status, 404);
    assert_eq!(curl(SECRET_KEY, &[&always]).status, 404);
    let seen = server.requests();
    assert_eq!(
        (seen[0].method.as_str(), seen[0].target.as_str()),
        ("PUT", "/a?x=1")
    );
    assert_eq!(seen[0].body, b"body");
    assert!(seen[0].header("authorization").is_some());
    assert_eq!(seen[2].connection_id, 3);
}

#[test]
fn an_early_answer_comes_before_the_body() {
    if no_curl() {
        return;
    }
    let server = ScriptedServer::start([Line::new(403, &[], "no").early()]);
    let (_folder, path) = sample();
    let url = format!("{}/a", server.endpoint());
    let expect = [
        "--header",
        "Expect: 100-continue",
        "--expect100-timeout",
        "10",
    ];
    let arguments = [
        &expect[..],
        &["--upload-file", path.to_str().unwrap(), &url],
    ]
    .concat();
    assert_eq!(curl(SECRET_KEY, &arguments).status, 403);
    assert_eq!(server.requests()[0].body, b"");
}

#[test]
fn an_http_proxy_leads_any_name_to_the_server() {
    if no_curl() {
        return;
    }
    let server = S3Server::start(S3Options {
        domains: vec!["s3.eu-west-2.amazonaws.com".into()],
        ..S3Options::default()
    });
    let proxy = ConnectProxy::start(server.address());
    let (_folder, path) = sample();
    let host = format!("{BUCKET}.s3.eu-west-2.amazonaws.com");
    let url = format!("http://{host}/a");
    let through = proxy.url();
    let file = path.to_str().unwrap();
    let plain = [
        "--noproxy",
        "",
        "--proxy",
        &through,
        "--upload-file",
        file,
        &url,
    ];
    assert_eq!(curl(SECRET_KEY, &plain).status, 200);
    let tunnel = [&["--proxytunnel"], &plain[..]].concat();
    assert_eq!(curl(SECRET_KEY, &tunnel).status, 200);
    assert_eq!(proxy.asked_for(), [url, format!("{host}:80")]);
    assert!(holds_content(&server.object_path(BUCKET, "a"), 100_000, 7));
}
