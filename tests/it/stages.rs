//! `check` says how far the way to the store leads, and what is wrong with the stage where it ends.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::connect_proxy::ConnectProxy;
use crate::support::scripted::{Line, ScriptedServer};
use crate::support::server::{S3Options, S3Server};
use crate::support::tls::TlsFront;

/// The steps on the way and whether each is right, and the last one's cure.
fn way(agent: &Agent, code: i32) -> (Vec<(String, bool)>, Value) {
    let lines = agent
        .run(&["check", "--json"])
        .expect_code(code)
        .json_lines();
    let steps = ["dns", "proxy", "tcp", "tls", "http"];
    let found: Vec<&Value> = lines
        .iter()
        .filter(|line| steps.contains(&line["step"].as_str().unwrap()))
        .collect();
    let cure = found.last().unwrap()["cure"].clone();
    let step = |line: &&Value| {
        let name = line["step"].as_str().unwrap();
        (name.to_owned(), line["ok"].as_bool().unwrap())
    };
    (found.iter().map(step).collect(), cure)
}

#[track_caller]
fn ends_at(agent: &Agent, right: &[&str], wrong: &str, words: &str) {
    let (found, cure) = way(agent, 75);
    let mut expected: Vec<(String, bool)> = right
        .iter()
        .map(|step| ((*step).to_owned(), true))
        .collect();
    expected.push((wrong.to_owned(), false));
    assert_eq!(found, expected);
    assert!(cure.as_str().unwrap().contains(words), "{cure}");
}

fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn the_stage_that_fails_is_named_after_those_that_work() {
    let server = S3Server::start(S3Options::default());
    let front = TlsFront::start(server.address());
    let proxy = ConnectProxy::start(front.address());
    let at = |endpoint: String| Agent::with_endpoint(&endpoint);
    let over = |agent: Agent, proxy: &str| agent.with_job(json!({ "proxy": proxy }));
    let dead = format!("http://127.0.0.1:{}", closed_port());

    let nowhere = at("https://no-such-host.invalid".into());
    ends_at(&nowhere, &[], "dns", "typing error");
    let closed = at(format!("http://localhost:{}", closed_port()));
    ends_at(&closed, &["dns"], "tcp", "nothing listens there");
    let closed = at(format!("http://127.0.0.1:{}", closed_port()));
    ends_at(&closed, &[], "tcp", "nothing listens there");

    let no_proxy = over(at(server.endpoint()), &dead);
    ends_at(&no_proxy, &[], "proxy", "https_proxy");
    let unnamed = over(at(server.endpoint()), "http://no-such-host.invalid:3128");
    ends_at(&unnamed, &[], "proxy", "https_proxy");

    let stranger = at(format!("https://{}", front.address()));
    ends_at(&stranger, &["tcp"], "tls", "ca_file");
    let through = over(at(format!("https://{}", front.address())), &proxy.url());
    ends_at(&through, &["proxy"], "tls", "ca_file");
    let plain = at(format!("http://{}", front.address()));
    ends_at(&plain, &["tcp"], "http", "https://");

    let gate = ScriptedServer::start([Line::new(
        400,
        &[],
        "Client sent an HTTP request to an HTTPS server.\n",
    )
    .close()
    .for_ever()]);
    ends_at(&at(gate.endpoint()), &["tcp"], "http", "https://");
    assert!(server.requests().is_empty());
}

#[test]
fn a_way_that_leads_to_the_store_is_shown_stage_by_stage() {
    let server = S3Server::start(S3Options::default());
    let front = TlsFront::start(server.address());
    let proxy = ConnectProxy::start(front.address());
    let url = proxy.url().replace("http://", "http://agent:hunter2@");
    let agent = Agent::with_endpoint(&format!("https://localhost:{}", front.address().port()));
    let ca = agent.folder().join("ca.pem");
    front.write_certificate(&ca);
    let agent = agent.with_job(json!({ "proxy": url, "tls_options": { "ca_file": ca } }));
    // The certificate is for the address alone.
    ends_at(
        &agent,
        &["proxy"],
        "tls",
        "stands in the server's certificate",
    );

    let endpoint = format!("https://{}", front.address());
    let agent = agent.with_job(json!({ "endpoint": endpoint }));
    let output = agent.run(&["check"]).expect_code(0);
    let through = format!("ok   job: proxy: through {}\n", proxy.url());
    assert!(output.stdout.contains(&through), "{}", output.stdout);
    assert!(
        output.stdout.contains("ok   job: tls: TLS 1.3, "),
        "{}",
        output.stdout
    );
    assert!(!output.stdout.contains("hunter2"), "{}", output.stdout);
}
