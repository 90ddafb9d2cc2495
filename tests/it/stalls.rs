//! Connections on which nothing moves: TERM ends every wait, and a trickle is given up on.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::agent::{Agent, SOON};
use crate::support::files::holds_content;
use crate::support::proxy::{FaultProxy, Plan};
use crate::support::scripted::{Line, ScriptedServer};
use crate::support::server::{BUCKET, S3Options, S3Server};
use crate::support::tls::TlsFront;

/// A second for the program, and as much again for a busy test machine.
const PROMPTLY: Duration = Duration::from_secs(2);
/// Until everything that can move has moved.
const A_WHILE: Duration = Duration::from_millis(700);
const SIZE: u64 = 12 << 20;

/// TERM while nothing moves.
fn ends_promptly(name: &str, agent: &Agent) {
    agent.write_file("large", SIZE, 1);
    let mut running = agent.start();
    running.wait_for_event("upload_started", SOON);
    std::thread::sleep(A_WHILE);
    let begin = Instant::now();
    running.signal(Signal::TERM);
    assert_eq!(running.wait(SOON).code(), Some(0), "{name}");
    let took = begin.elapsed();
    assert!(took < PROMPTLY, "{name}: {took:?}");
    assert_eq!(agent.events_of("service_stopped").len(), 1, "{name}");
    assert!(agent.history().is_empty(), "{name}");
}

fn plans() -> [(&'static str, Plan); 5] {
    [
        ("before the first byte", Plan::StallAfter(0)),
        ("in the headers", Plan::StallAfter(300)),
        ("in the body", Plan::StallAfter(3 << 20)),
        ("before the answer", Plan::StallAnswer(0)),
        ("in the answer's headers", Plan::StallAnswer(40)),
    ]
}

fn in_parts(agent: Agent) -> Agent {
    let transfer = json!({ "multipart_threshold": "8MiB", "part_size": "8MiB" });
    agent.with_job(json!({ "transfer": transfer }))
}

#[test]
fn term_ends_a_stalled_upload_wherever_it_stalls() {
    for (name, plan) in plans() {
        let server = S3Server::start(S3Options::default());
        let proxy = FaultProxy::start(server.address());
        proxy.set_plan(plan);
        ends_promptly(name, &Agent::with_endpoint(&proxy.endpoint()));
        ends_promptly(name, &in_parts(Agent::with_endpoint(&proxy.endpoint())));
    }
}

fn over_tls(front: &TlsFront, endpoint: SocketAddr) -> Agent {
    let agent = Agent::with_endpoint(&format!("https://{endpoint}"));
    let ca = agent.folder().join("ca.pem");
    front.write_certificate(&ca);
    agent.with_job(json!({ "tls_options": { "ca_file": ca } }))
}

#[test]
fn term_ends_a_stalled_upload_over_tls() {
    for (name, plan) in plans() {
        let server = S3Server::start(S3Options::default());
        let proxy = FaultProxy::start(server.address());
        let front = TlsFront::start(proxy_address(&proxy));
        proxy.set_plan(plan);
        ends_promptly(name, &over_tls(&front, front.address()));
    }
    let outside = [
        ("in the client's hello", Plan::StallAfter(100)),
        ("in the server's hello", Plan::StallAnswer(100)),
        ("in a record", Plan::StallAfter(3 << 20)),
    ];
    for (name, plan) in outside {
        let server = S3Server::start(S3Options::default());
        let front = TlsFront::start(server.address());
        let proxy = FaultProxy::start(front.address());
        proxy.set_plan(plan);
        ends_promptly(name, &over_tls(&front, proxy_address(&proxy)));
    }
}

/// The other way round: a link that takes everything at once never makes the program wait, where it
/// would see TERM. Encrypting is slower than the link on an emulated processor, or on a slow one.
#[test]
fn term_ends_an_upload_that_nothing_holds_up() {
    let server = S3Server::start(S3Options::default());
    let front = TlsFront::start(server.address());
    // Only to count what goes over the line.
    let line = FaultProxy::start(front.address());
    let agent = over_tls(&front, proxy_address(&line));
    let size = 64 << 20;
    let path = agent.write_file("large", 0, 1);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(size).unwrap();
    let mut running = agent.start();
    let deadline = Instant::now() + SOON;
    while line.bytes_to_server() < 1 << 20 {
        assert!(Instant::now() < deadline, "{}", running.stderr());
        std::thread::sleep(Duration::from_millis(1));
    }
    running.signal(Signal::TERM);
    assert_eq!(running.wait(SOON).code(), Some(0));
    let sent = line.bytes_to_server();
    assert!(sent < size, "{sent}");
    assert!(agent.history().is_empty());
}

/// The headers are there and the body is not: another wait than the one for the headers.
#[test]
fn term_ends_a_wait_for_an_answers_body() {
    let bodies = [
        "HTTP/1.1 500 Oops\r\nContent-Length: 50\r\n\r\n<Error>",
        "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n<Error>\r\n",
    ];
    for body in bodies {
        let server = ScriptedServer::start([Line::raw(body)]);
        ends_promptly(body, &Agent::with_endpoint(&server.endpoint()));
        let server = ScriptedServer::start([Line::raw(body)]);
        let front = TlsFront::start(server.address());
        ends_promptly(body, &over_tls(&front, front.address()));
    }
}

fn proxy_address(proxy: &FaultProxy) -> SocketAddr {
    proxy
        .endpoint()
        .trim_start_matches("http://")
        .parse()
        .unwrap()
}

#[test]
fn an_upload_over_tls_survives_what_one_without_it_survives() {
    let plans = [
        Plan::ResetAfter(100),
        Plan::ResetAfter(5000),
        Plan::ResetAfter(9 << 20),
        Plan::TruncateAnswer(50),
        Plan::TruncateAnswer(1500),
        Plan::SwallowAnswer,
        Plan::CloseWhenIdle,
        Plan::TrickleAnswer(Duration::from_micros(200)),
    ];
    for plan in plans {
        let server = S3Server::start(S3Options::default());
        let front = TlsFront::start(server.address());
        let proxy = FaultProxy::start(front.address());
        proxy.plan_next([plan]);
        let agent = in_parts(over_tls(&front, proxy_address(&proxy)));
        agent.write_file("large", SIZE, 1);
        agent.write_file("small", 1000, 2);
        let output = agent.run(&["once", "--give-up", "60s"]);
        assert_eq!(output.code, Some(0), "{plan:?}: {output:#?}");
        for (name, size, seed) in [("large", SIZE, 1), ("small", 1000, 2)] {
            let path = server.object_path(BUCKET, name);
            assert!(holds_content(&path, size, seed), "{plan:?}: {name}");
        }
    }
}

#[test]
fn one_connection_over_tls_serves_many_files() {
    let server = S3Server::start(S3Options::default());
    let front = TlsFront::start(server.address());
    let agent = over_tls(&front, front.address());
    for n in 0..20 {
        agent.write_file(format!("{n}"), 1000, n);
    }
    agent.once().expect_code(0);
    assert_eq!((server.keys(BUCKET).len(), server.connections()), (20, 1));
}

/// A host that answers nothing at all: its queue of connections is full.
#[test]
fn term_ends_a_wait_for_a_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_millis(100);
    let mut held = Vec::new();
    while let Ok(socket) = TcpStream::connect_timeout(&address, limit) {
        held.push(socket);
    }
    ends_promptly(
        "connecting",
        &Agent::with_endpoint(&format!("http://{address}")),
    );
}

/// One byte a second, either way, would keep a limit on idle time happy for ever.
#[test]
fn a_trickle_is_given_up_on() {
    let second = Duration::from_secs(1);
    let trickle = |plan: Plan, size: u64| {
        let server = S3Server::start(S3Options::default());
        let proxy = FaultProxy::start(server.address());
        proxy.set_plan(plan);
        let agent = Agent::with_endpoint(&proxy.endpoint());
        agent.write_file("a", size, 1);
        let running = agent.start();
        let begin = Instant::now();
        let failed = running.wait_for_event("connection_failed", 100 * second);
        assert!(
            begin.elapsed() > 20 * second,
            "{plan:?}: it was not given a chance"
        );
        assert_eq!(failed["error"]["code"], "TimedOut", "{plan:?}: {failed}");
        proxy.set_plan(Plan::Pass);
        running.wait_for_event("upload_finished", SOON);
        assert_eq!(running.stop().code(), Some(0));
        assert!(holds_content(&server.object_path(BUCKET, "a"), size, 1));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| trickle(Plan::TrickleAnswer(second), 1000));
        scope.spawn(|| trickle(Plan::SlowUpload(1), 24 << 20));
    });
}
