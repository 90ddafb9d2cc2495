//! Answers made to hurt: endless, huge, late, early, and how little of a part they cost.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use crate::support::agent::Agent;
use crate::support::files::holds_content;
use crate::support::proxy::FaultProxy;
use crate::support::scripted::{Line, ScriptedServer};
use crate::support::server::{BUCKET, Failure, Request, S3Options, S3Server};

/// Far below the 2 GiB that some of these answers have; a debug build's figure.
const MEMORY: u64 = 32 << 20;

/// Reads each request's head, waits, and writes what the test says for as long as anybody listens.
struct Torrent {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Torrent {
    fn start(head: &'static str, block: &'static str) -> Torrent {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            while !stopped.load(SeqCst) {
                match listener.accept() {
                    Ok((socket, _)) => drop(pour(&socket, head, block, &stopped, &counter)),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Torrent {
            address,
            stop,
            sent,
            thread: Some(thread),
        }
    }
}

impl Drop for Torrent {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn pour(
    mut socket: &TcpStream,
    head: &str,
    block: &str,
    stop: &AtomicBool,
    sent: &AtomicU64,
) -> std::io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_write_timeout(Some(Duration::from_millis(200)))?;
    let mut request = [0; 4096];
    let _ = socket.read(&mut request)?;
    socket.write_all(head.as_bytes())?;
    let blocks = block.repeat(64 * 1024 / block.len());
    while !stop.load(SeqCst) && sent.load(SeqCst) < 2 << 30 {
        socket.write_all(blocks.as_bytes())?;
        sent.fetch_add(blocks.len() as u64, SeqCst);
    }
    Ok(())
}

#[test]
fn an_answer_without_end_is_not_kept_in_memory() {
    let ok = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n";
    let declared = "HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n";
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2147483648\r\n\r\n<Error><Code>";
    let streamed = "HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n";
    let chunked = "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = [
        ("declared", declared, "a"),
        ("refused", refused, "a"),
        ("streamed", streamed, "<a>"),
        ("chunked", chunked, "8\r\naaaaaaaa\r\n"),
        ("a status line", "", "HTTP/1.1"),
        (
            "headers",
            ok,
            "x-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
        ),
        ("one header", "HTTP/1.1 200 OK\r\nx-filler: ", "a"),
        ("a chunk size", chunked, "0"),
        ("white space", chunked, "8\r\n        \r\n"),
    ];
    std::thread::scope(|scope| {
        for (name, head, block) in cases {
            scope.spawn(move || {
                let server = Torrent::start(head, block);
                let agent = Agent::with_endpoint(&format!("http://{}", server.address));
                agent.write_file("a", 100, 1);
                let output = agent.run(&["once", "--give-up", "1s"]).expect_code(75);
                assert!(output.peak_rss < MEMORY, "{name}: {output:#?}");
                assert!(agent.history().is_empty(), "{name}: {output:#?}");
                let sent = server.sent.load(SeqCst);
                assert!(sent < 256 << 20, "{name}: {sent} bytes were listened to");
                assert!(output.took < Duration::from_secs(60), "{name}: {output:#?}");
            });
        }
    });
}

#[test]
fn xml_that_is_made_to_explode_does_nothing() {
    let mut laughs = String::from("<!DOCTYPE lolz [<!ENTITY lol \"lol\">");
    for n in 1..10 {
        let inner = format!("&lol{};", n - 1).repeat(10);
        laughs += &format!("<!ENTITY lol{n} \"{inner}\">");
    }
    laughs += "]><Error><Code>&lol9;</Code></Error>";
    let deep = "<a>".repeat(200_000);
    let long = format!("<Error><Code>{}</Code></Error>", "A".repeat(900_000));
    let wide = format!("<Error>{}</Error>", "<Code>x</Code>".repeat(60_000));
    let controls = "<Error><Code>\u{1b}[2J&#10;&#x1b;</Code><Message>\r\n\u{7}</Message></Error>";
    let bodies = [
        ("laughs", laughs.as_str()),
        ("deep", &deep),
        ("a long code", &long),
        ("wide", &wide),
        ("controls", controls),
        (
            "an entity of the file system",
            "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><Error><Code>&b;</Code></Error>",
        ),
        (
            "a bad reference",
            "<Error><Code>&#x110000;&nope;</Code></Error>",
        ),
    ];
    for (name, body) in bodies {
        let server = S3Server::start(S3Options::default());
        let agent = Agent::new(&server);
        agent.write_file("a", 100, 1);
        server.fail_next(1, |_| true, Failure::answer(500, body));
        let output = agent.run(&["once", "--give-up", "30s"]).expect_code(0);
        assert!(output.peak_rss < MEMORY, "{name}: {}", output.peak_rss);
        assert!(holds_content(&server.object_path(BUCKET, "a"), 100, 1));
        let failed = agent.events_of("upload_failed");
        assert_eq!(failed.len(), 1, "{name}: {failed:?}");
        let length = failed[0].to_string().len();
        assert!(length < 2000, "{name}: an event of {length} bytes");
        assert!(!output.stderr.contains('\u{1b}'), "{name}: {output:#?}");
    }
}

fn multipart(agent: Agent) -> Agent {
    let transfer = json!({ "multipart_threshold": "8MiB", "part_size": "8MiB" });
    agent.with_job(json!({ "transfer": transfer }))
}

#[test]
fn a_part_that_is_refused_before_its_body_is_not_sent() {
    for (failure, code) in [
        (Failure::access_denied().early(), 77),
        (Failure::slow_down().early(), 75),
    ] {
        let server = S3Server::start(S3Options::default());
        let proxy = FaultProxy::start(server.address());
        let agent = multipart(Agent::with_endpoint(&proxy.endpoint()));
        agent.write_file("large", 16 << 20, 1);
        server.fail_next(usize::MAX, |r| r.part_number().is_some(), failure);
        agent.run(&["once", "--give-up", "2s"]).expect_code(code);
        let sent = proxy.bytes_to_server();
        assert!(sent < 1 << 20, "{code}: {sent} bytes of a part of 8 MiB");
    }
}

const INITIATED: &str =
    "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";

/// `100 Continue` comes with the final answer, or not at all: the body goes out all the same.
#[test]
fn a_server_that_never_says_continue_gets_the_body_all_the_same() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let agent = Agent::with_endpoint(&endpoint);
    agent.write_file("a", 300_000, 1);
    let head_and_body = std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let (mut socket, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            let mut block = [0; 65536];
            while body_of(&seen).is_none_or(|body| body.len() < 300_000) {
                let n = socket.read(&mut block).unwrap();
                assert!(n > 0, "closed after {} bytes", seen.len());
                seen.extend_from_slice(&block[..n]);
            }
            let late = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 0\r\n\r\n";
            socket.write_all(late.as_bytes()).unwrap();
            seen
        });
        agent.once().expect_code(0);
        server.join().unwrap()
    });
    let head = String::from_utf8_lossy(&head_and_body[..800]).to_lowercase();
    assert!(head.contains("expect: 100-continue"), "{head}");
    assert_eq!(agent.history().len(), 1);
}

fn body_of(seen: &[u8]) -> Option<&[u8]> {
    let end = seen.windows(4).position(|w| w == b"\r\n\r\n")?;
    Some(&seen[end + 4..])
}

#[test]
fn a_malformed_head_is_a_failure_that_is_tried_again() {
    let good = Line::new(200, &[("ETag", "\"a\"")], "");
    let heads = [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 500 Oops\r\nContent-Length: 50\r\n\r\nshort",
        "HTTP/3.9 200 OK\r\n\r\n",
        "\u{0}\u{1}\u{2}\u{3}",
        "\r\n\r\n\r\n\r\n",
        "<html>no HTTP at all</html>",
    ];
    for head in heads {
        let server = ScriptedServer::start([Line::raw(head).close(), good.clone()]);
        let agent = Agent::with_endpoint(&server.endpoint());
        agent.write_file("a", 100, 1);
        let output = agent.run(&["once", "--give-up", "30s"]);
        assert_eq!(output.code, Some(0), "{head:?}: {output:#?}");
        assert_eq!(server.requests().len(), 2, "{head:?}");
        assert_eq!(agent.history().len(), 1, "{head:?}");
    }
}

#[test]
fn an_upload_id_made_to_hurt_is_only_a_value() {
    let id = "&amp;x=1#?/../ %0d%0a+ \u{fc}";
    let initiated = INITIATED.replace(">u<", &format!(">{id}<"));
    let complete =
        "<CompleteMultipartUploadResult><ETag>\"x\"</ETag></CompleteMultipartUploadResult>";
    let server = ScriptedServer::start([
        Line::new(200, &[], &initiated).on("POST", "uploads"),
        Line::new(200, &[("ETag", "\"<&>\"")], "")
            .on("PUT", "partNumber")
            .for_ever(),
        Line::new(200, &[], complete).on("POST", "uploadId"),
    ]);
    let agent = multipart(Agent::with_endpoint(&server.endpoint()));
    agent.write_file("large", 9 << 20, 1);
    agent.run(&["once", "--give-up", "10s"]).expect_code(0);
    let requests = server.requests();
    let part = requests.iter().find(|r| r.method == "PUT").unwrap();
    let expected = "uploadId=%26x%3D1%23%3F%2F..%2F%20%250d%250a%2B%20%C3%BC";
    assert!(part.target.contains(expected), "{}", part.target);
    let body = String::from_utf8_lossy(&requests.last().unwrap().body).into_owned();
    assert!(body.contains("&lt;&amp;&gt;"), "{body}");
}

#[test]
fn an_early_refusal_in_plain_sight_is_the_reason_given() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    agent.write_file("a", 300_000, 1);
    server.fail_next(
        usize::MAX,
        Request::is_put_object,
        Failure::access_denied().early(),
    );
    agent.run(&["once", "--give-up", "3s"]).expect_code(77);
    let blocked = agent.events_of("job_blocked");
    assert_eq!(blocked[0]["error"]["code"], "AccessDenied", "{blocked:?}");
}
