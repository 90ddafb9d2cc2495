//! The way through proxies: real ones, and the environment that names them.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::agent::{Agent, SOON};
use crate::support::connect_proxy::ConnectProxy;
use crate::support::files::holds_content;
use crate::support::proxy::{FaultProxy, Plan};
use crate::support::server::{BUCKET, S3Options, S3Server};
use crate::support::tls::TlsFront;
use crate::support::tools::{microsocks, tinyproxy};

const PASSWORD: &str = "p@ss:w%rd";
/// The same in a URL.
const LOGIN: &str = "agent:p%40ss%3Aw%25rd";
/// tinyproxy's own file takes no such characters.
const PLAIN_PASSWORD: &str = "pa55word";
const PLAIN_LOGIN: &str = "agent:p%615%35word";

fn through(endpoint: &str, proxy: &str) -> Agent {
    Agent::with_endpoint(endpoint).with_job(json!({ "proxy": proxy }))
}

#[track_caller]
fn uploads(agent: &Agent, server: &S3Server) {
    agent.write_file("small.bin", 1000, 1);
    agent.write_file("parts.bin", 11 << 20, 2);
    agent.run(&["once", "--give-up", "20s"]).expect_code(0);
    for (name, size, seed) in [("small.bin", 1000, 1), ("parts.bin", 11 << 20, 2)] {
        let path = server.object_path(BUCKET, name);
        assert!(holds_content(&path, size, seed), "{name}");
    }
}

/// The error of a run that fails for the network, with its message, and nothing secret anywhere.
#[track_caller]
fn fails(agent: &Agent, code: &str, cure: &str) -> String {
    agent.write_file("a.bin", 1000, 1);
    let output = agent.run(&["once", "--give-up", "1s"]).expect_code(75);
    let failed = agent.events_of("connection_failed");
    assert_eq!(failed.len(), 1, "{output:#?}");
    let error = &failed[0]["error"];
    assert_eq!(error["code"], code, "{failed:?}");
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains(cure), "{hint}");
    let said = format!("{failed:?}{}{}", output.stdout, output.stderr);
    for secret in [PASSWORD, "p%40ss", PLAIN_PASSWORD, "wrong-password"] {
        assert!(!said.contains(secret), "{said}");
    }
    failed[0]["message"].as_str().unwrap().to_owned()
}

fn in_parts() -> Value {
    json!({ "transfer": { "multipart_threshold": "5MiB", "part_size": "5MiB" } })
}

fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn tinyproxy_leads_to_the_store_with_and_without_tls() {
    let basic = format!("BasicAuth agent {PLAIN_PASSWORD}");
    let Some(proxy) = tinyproxy(&[&basic]) else {
        return;
    };
    let server = S3Server::start(S3Options::default());
    let url = proxy.url("http", PLAIN_LOGIN);
    uploads(
        &through(&server.endpoint(), &url).with_job(in_parts()),
        &server,
    );

    let front = TlsFront::start(server.address());
    let agent = through(&format!("https://{}", front.address()), &url).with_job(in_parts());
    let ca = agent.folder().join("ca.pem");
    front.write_certificate(&ca);
    uploads(
        &agent.with_job(json!({ "tls_options": { "ca_file": ca } })),
        &server,
    );
}

#[test]
fn a_proxy_that_itself_speaks_tls_leads_to_the_store() {
    let Some(proxy) = tinyproxy(&[]) else { return };
    let server = S3Server::start(S3Options::default());
    let outer = TlsFront::start(proxy.address());
    let inner = TlsFront::start(server.address());
    let agent = through(
        &format!("https://{}", inner.address()),
        &format!("https://{}", outer.address()),
    );
    let (outer_ca, inner_ca) = (agent.folder().join("outer"), agent.folder().join("inner"));
    outer.write_certificate(&outer_ca);
    inner.write_certificate(&inner_ca);
    let ca = agent.folder().join("ca.pem");
    let both = [&outer_ca, &inner_ca].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(&ca, both.concat()).unwrap();
    let only_inner = json!({ "tls_options": { "ca_file": inner_ca } });
    let agent = agent.with_job(only_inner);
    let message = fails(&agent, "ProxyFailed", "check that `proxy`");
    assert!(message.contains("invalid peer certificate"), "{message}");
    uploads(
        &agent.with_job(json!({ "tls_options": { "ca_file": ca } })),
        &server,
    );
}

#[test]
fn what_an_http_proxy_refuses_is_named_with_its_cure() {
    let basic = format!("BasicAuth agent {PLAIN_PASSWORD}");
    let Some(asking) = tinyproxy(&[&basic]) else {
        return;
    };
    let server = S3Server::start(S3Options::default());
    for (login, cause) in [
        ("", "wants a user and a password"),
        ("agent:wrong-password", "does not accept"),
    ] {
        let agent = through(&server.endpoint(), &asking.url("http", login));
        let message = fails(&agent, "ProxyAuthentication", "user and password");
        assert!(message.contains(cause), "{message}");
    }

    let narrow = tinyproxy(&["ConnectPort 443"]).unwrap();
    let agent = through(&server.endpoint(), &narrow.url("http", ""));
    let message = fails(&agent, "ProxyRefused", "allow CONNECT");
    let target = format!("CONNECT {}", server.address());
    assert!(message.contains(&target), "{message}");

    let open = tinyproxy(&[]).unwrap();
    let agent = through(&format!("http://{}", closed_port()), &open.url("http", ""));
    fails(&agent, "ProxyFailed", "proxy itself reaches");

    let nobody = format!("http://u:wrong-password@{}", closed_port());
    let message = fails(
        &through(&server.endpoint(), &nobody),
        "ProxyUnreachable",
        "https_proxy",
    );
    assert!(message.contains("onnection refused"), "{message}");

    let no_proxy = format!("http://{}", server.address());
    let agent = through(&server.endpoint(), &no_proxy.replace("http", "socks5"));
    let message = fails(&agent, "ProxyFailed", "of that kind");
    assert!(message.contains("does not speak SOCKS5"), "{message}");
    assert_eq!(server.keys(BUCKET).len(), 0);
}

#[test]
fn microsocks_leads_to_the_store_and_says_what_it_refuses() {
    let Some(open) = microsocks(None) else { return };
    let asking = microsocks(Some(("agent", PASSWORD))).unwrap();
    let server = S3Server::start(S3Options::default());
    let named = format!("http://localhost:{}", server.port());
    for (endpoint, proxy) in [
        (&server.endpoint(), open.url("socks5", "")),
        (&named, open.url("socks5", "")),
        (&named, open.url("socks5h", "")),
        (&named, asking.url("socks5h", LOGIN)),
    ] {
        let agent = through(endpoint, &proxy).with_job(in_parts());
        uploads(&agent, &server);
    }

    let agent = through(&named, &asking.url("socks5h", ""));
    let message = fails(&agent, "ProxyAuthentication", "user and password");
    assert!(message.contains("wants a user"), "{message}");
    let agent = through(&named, &asking.url("socks5h", "agent:wrong-password"));
    let message = fails(&agent, "ProxyAuthentication", "user and password");
    assert!(message.contains("refuses the user"), "{message}");

    let agent = through(
        &format!("http://{}", closed_port()),
        &open.url("socks5h", ""),
    );
    let message = fails(&agent, "ProxyFailed", "proxy itself reaches");
    assert!(message.contains("connection refused"), "{message}");

    // Who looks the name up is the difference between the two.
    let nowhere = "http://no-such-host.invalid";
    fails(
        &through(nowhere, &open.url("socks5h", "")),
        "ProxyFailed",
        "proxy",
    );
    fails(
        &through(nowhere, &open.url("socks5", "")),
        "HostNotFound",
        "DNS",
    );
}

/// What the proxy was asked for, after a run with these variables.
fn asked_with(variables: &[(&str, &str)], endpoint: &str, server: &S3Server) -> Vec<String> {
    let proxy = ConnectProxy::start(server.address());
    let mut agent = Agent::with_endpoint(endpoint).with_job(json!({ "proxy": "environment" }));
    for (name, value) in variables {
        agent = agent.with_env(name, &value.replace("PROXY", &proxy.url()));
    }
    agent.write_file("a.bin", 1000, 1);
    agent.run(&["once", "--give-up", "10s"]).expect_code(0);
    proxy.asked_for()
}

#[test]
fn the_environment_says_what_goes_through_which_proxy() {
    let server = S3Server::start(S3Options::default());
    let endpoint = server.endpoint();
    let here = server.address().to_string();
    let dead = "http://127.0.0.1:1";
    let proxied: [&[(&str, &str)]; 6] = [
        &[("http_proxy", "PROXY")],
        &[("HTTP_PROXY", "PROXY")],
        &[("ALL_PROXY", "PROXY"), ("https_proxy", dead)],
        &[("all_proxy", dead), ("http_proxy", "PROXY")],
        &[
            ("http_proxy", "PROXY"),
            ("no_proxy", "example.com, 10.0.0.0/8,127.0.0.1:1"),
        ],
        &[("http_proxy", "PROXY"), ("no_proxy", "")],
    ];
    for variables in proxied {
        assert_eq!(
            asked_with(variables, &endpoint, &server),
            std::slice::from_ref(&here),
            "{variables:?}"
        );
    }
    let direct: [&[(&str, &str)]; 6] = [
        &[("https_proxy", dead)],
        &[("http_proxy", dead), ("no_proxy", "*")],
        &[("http_proxy", dead), ("NO_PROXY", " 127.0.0.1 ")],
        &[("http_proxy", dead), ("no_proxy", "a.example, 127.0.0.0/8")],
        &[("all_proxy", dead), ("no_proxy", &here)],
        &[],
    ];
    for variables in direct {
        assert!(
            asked_with(variables, &endpoint, &server).is_empty(),
            "{variables:?}"
        );
    }
    let named = format!("http://localhost:{}", server.port());
    let suffix = [("http_proxy", dead), ("no_proxy", ".localhost")];
    assert!(asked_with(&suffix, &named, &server).is_empty());
}

#[test]
fn bypass_and_an_explicit_proxy_do_not_ask_the_environment() {
    let server = S3Server::start(S3Options::default());
    let dead = "http://127.0.0.1:1";
    let agent = through(&server.endpoint(), "bypass").with_env("all_proxy", dead);
    uploads(&agent, &server);

    let proxy = ConnectProxy::start(server.address());
    let agent = through(&server.endpoint(), &proxy.url())
        .with_env("http_proxy", dead)
        .with_env("no_proxy", "*");
    uploads(&agent, &server);
    assert!(!proxy.asked_for().is_empty());
}

#[test]
fn a_variable_that_names_no_proxy_is_refused_without_its_value() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server)
        .with_job(json!({ "proxy": "environment" }))
        .with_env("https_proxy", "gopher://u:wrong-password@proxy:70");
    for command in ["once", "check"] {
        let output = agent.run(&[command]).expect_code(78);
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(
            said.contains("`https_proxy` has an unknown scheme"),
            "{said}"
        );
        assert!(!said.contains("wrong-password"), "{said}");
    }
}

/// Signals have to reach the program while it waits for a proxy, too.
#[test]
fn term_ends_a_wait_for_a_proxy() {
    let server = S3Server::start(S3Options::default());
    for scheme in ["http", "socks5h"] {
        let silent = FaultProxy::start(server.address());
        silent.set_plan(Plan::StallAfter(0));
        let url = silent.endpoint().replace("http", scheme);
        let agent = through(&server.endpoint(), &url);
        agent.write_file("a.bin", 1000, 1);
        let running = agent.start();
        let deadline = Instant::now() + SOON;
        while silent.connections() == 0 {
            assert!(Instant::now() < deadline, "{scheme}: nobody comes");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(running.stop().code(), Some(0), "{scheme}");
    }
}
