//! TLS as it goes right and wrong: real certificates over real handshakes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::files::holds_content;
use crate::support::scripted::{Line, ScriptedServer};
use crate::support::server::{BUCKET, S3Options, S3Server};
use crate::support::tls::{Authority, Claims, Manners, TlsFront};

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

fn agent_at(address: SocketAddr, tls_options: Value) -> Agent {
    Agent::with_endpoint(&format!("https://{address}"))
        .with_job(json!({ "tls_options": tls_options }))
}

/// Written into a folder of its own, which stays as long as the agent.
fn ca_file(agent: &Agent, authority: &Authority) -> PathBuf {
    let path = agent.folder().join("ca.pem");
    authority.write(&path);
    path
}

/// An agent that trusts this CA alone.
fn trusting(address: SocketAddr, authority: &Authority) -> Agent {
    let agent = agent_at(address, Value::Null);
    let path = ca_file(&agent, authority);
    agent.with_job(json!({ "tls_options": { "ca_file": path } }))
}

#[track_caller]
fn uploads(agent: &Agent, server: &S3Server) {
    agent.write_file("a.bin", 300_000, 1);
    agent.run(&["once", "--give-up", "20s"]).expect_code(0);
    let path = server.object_path(BUCKET, "a.bin");
    assert!(holds_content(&path, 300_000, 1));
    std::fs::remove_file(path).unwrap();
}

/// The message of a run that fails this way, whose cure has these words.
#[track_caller]
fn fails(agent: &Agent, code: &str, cure: &str) -> String {
    // Larger than what waits for a `100 Continue`, so that every way of writing is taken.
    for (name, size) in [("small.bin", 1000), ("large.bin", 300_000)] {
        agent.write_file(name, size, 1);
    }
    let output = agent.run(&["once", "--give-up", "1s"]).expect_code(75);
    let failed = agent.events_of("connection_failed");
    assert_eq!(failed.len(), 1, "{output:#?}");
    let error = &failed[0]["error"];
    assert_eq!(error["code"], code, "{failed:?}");
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains(cure), "{hint}");
    failed[0]["message"].as_str().unwrap().to_owned()
}

#[test]
fn both_versions_of_tls_carry_an_upload() {
    let server = S3Server::start(S3Options::default());
    let authority = Authority::new("a CA");
    let identity = authority.sign(&Claims::default());
    for version in VERSIONS {
        let manners = Manners {
            versions: vec![version],
            ..Manners::default()
        };
        let front = TlsFront::with(server.address(), &identity, &manners);
        uploads(&trusting(front.address(), &authority), &server);
    }
}

#[test]
fn every_fault_of_a_certificate_is_named_with_its_cure() {
    let server = S3Server::start(S3Options::default());
    let authority = Authority::new("a CA");
    let other = Authority::new("another CA");
    let namesake = Authority::new("a CA");
    let good = Claims::default;
    let expired = Claims {
        from: (2020, 1, 1),
        to: (2021, 6, 30),
        ..good()
    };
    let early = Claims {
        from: (2080, 1, 1),
        ..good()
    };
    let misnamed = Claims {
        names: vec!["s3.example.com".into(), "10.0.0.1".into()],
        ..good()
    };
    let nameless = Claims {
        names: Vec::new(),
        ..good()
    };
    let ca = Claims {
        is_ca: true,
        ..good()
    };
    let cases = [
        (
            &authority,
            expired,
            "CertificateExpired",
            "2021-06-30",
            "renewed",
        ),
        (
            &authority,
            early,
            "CertificateNotYetValid",
            "2080-01-01",
            "set the clock",
        ),
        (
            &authority,
            misnamed,
            "CertificateName",
            "s3.example.com, ",
            "`host`",
        ),
        (
            &authority,
            nameless,
            "CertificateName",
            "no name at all",
            "`host`",
        ),
        (
            &authority,
            ca,
            "CertificateIsCa",
            "a CA's own certificate",
            "CA:FALSE",
        ),
        (
            &other,
            good(),
            "CertificateUnknownIssuer",
            "not trusted",
            "in between",
        ),
        (
            &namesake,
            good(),
            "CertificateUnknownIssuer",
            "by another one",
            "in between",
        ),
    ];
    for (signer, claims, code, words, cure) in cases {
        let front = TlsFront::with(server.address(), &signer.sign(&claims), &Manners::default());
        let message = fails(&trusting(front.address(), &authority), code, cure);
        assert!(message.contains(words), "{message}");
        assert!(message.contains(&front.address().to_string()), "{message}");
    }
    // Nor do the built-in roots know any of them.
    let front = TlsFront::with(
        server.address(),
        &authority.sign(&good()),
        &Manners::default(),
    );
    for options in [Value::Null, json!({ "built_in_roots": true })] {
        let agent = agent_at(front.address(), options);
        fails(&agent, "CertificateUnknownIssuer", "ca_file");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_ca_file_is_trusted_alone_or_beside_the_built_in_roots() {
    let server = S3Server::start(S3Options::default());
    let authority = Authority::new("a CA");
    let front = TlsFront::with(
        server.address(),
        &authority.sign(&Claims::default()),
        &Manners::default(),
    );
    for built_in in [Value::Null, json!(true), json!(false)] {
        let agent = trusting(front.address(), &authority)
            .with_job(json!({ "tls_options": { "built_in_roots": built_in } }));
        uploads(&agent, &server);
    }
}

#[test]
fn a_server_that_demands_a_client_certificate_gets_it_or_a_cure_is_named() {
    let server = S3Server::start(S3Options::default());
    let (authority, devices) = (Authority::new("a CA"), Authority::new("devices"));
    let identity = authority.sign(&Claims::default());
    for version in VERSIONS {
        let manners = Manners {
            versions: vec![version],
            clients_of: Some(&devices),
        };
        let front = TlsFront::with(server.address(), &identity, &manners);
        let none = trusting(front.address(), &authority);
        fails(&none, "ClientCertificateRequired", "client_certificate");

        let with = |signer: &Authority, claims: Claims| {
            let agent = trusting(front.address(), &authority);
            let (certificate, key) = signer.sign(&claims).write(agent.folder(), "device");
            agent.with_job(json!({
                "tls_options": { "client_certificate": certificate, "client_key": key },
            }))
        };
        uploads(&with(&devices, Claims::default()), &server);
        let expired = Claims {
            to: (2024, 2, 1),
            ..Claims::default()
        };
        for refused in [with(&authority, Claims::default()), with(&devices, expired)] {
            fails(&refused, "ClientCertificateRefused", "expired");
        }
    }
}

#[test]
fn a_pair_that_cannot_work_is_refused_before_anything_is_sent() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let server = S3Server::start(S3Options::default());
    let authority = Authority::new("a CA");
    let front = TlsFront::start(server.address());
    let agent = agent_at(front.address(), Value::Null);
    let folder = agent.folder().to_owned();
    let (certificate, key) = authority.sign(&Claims::default()).write(&folder, "one");
    let (_, other_key) = authority.sign(&Claims::default()).write(&folder, "two");
    let loose = folder.join("loose.key");
    std::fs::copy(&key, &loose).unwrap();
    std::fs::set_permissions(&loose, std::fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.join("link.key");
    symlink(&key, &link).unwrap();
    let garbage = folder.join("garbage.pem");
    std::fs::write(
        &garbage,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    std::fs::set_permissions(&garbage, std::fs::Permissions::from_mode(0o600)).unwrap();
    let chmod = format!("run `chmod 600 {}`", loose.display());
    let cases = [
        (&certificate, &other_key, "do not belong together"),
        (&certificate, &certificate, "is open to others"),
        (&certificate, &garbage, "is not a private key in PEM"),
        (&key, &key, "no `BEGIN CERTIFICATE` in it"),
        (&garbage, &key, "is not a client certificate"),
        (&certificate, &loose, &chmod),
        (&certificate, &link, "is a symbolic link"),
        (&certificate, &folder.join("none"), "cannot read"),
    ];
    agent.write_file("a.bin", 1000, 1);
    let mut agent = agent;
    for (certificate, key, expected) in cases {
        agent = agent.with_job(json!({
            "tls_options": { "client_certificate": certificate, "client_key": key },
        }));
        for command in ["once", "check"] {
            let output = agent.run(&[command]).expect_code(78);
            let said = format!("{}{}", output.stdout, output.stderr);
            assert!(said.contains(expected), "{expected}: {said}");
            assert!(!said.contains("panicked"), "{said}");
        }
    }
    let agent = agent.with_job(json!({ "tls_options": {
        "client_certificate": Value::Null, "client_key": Value::Null, "ca_file": garbage,
    } }));
    let output = agent.run(&["check"]).expect_code(78);
    assert!(
        output.stdout.contains("is not a file of CA certificates"),
        "{output:#?}"
    );
}

/// Says these bytes to whoever connects and closes, for as long as the test runs.
fn blurts(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            // A hello is there, or a request's head: its first bytes are enough.
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(bytes);
        }
    });
    address
}

#[test]
fn two_sides_that_do_not_speak_the_same_are_told_apart() {
    let server = S3Server::start(S3Options::default());
    let plain = agent_at(server.address(), Value::Null);
    fails(&plain, "NoTls", "`tls` to false");

    let front = TlsFront::start(server.address());
    let agent = Agent::with_endpoint(&format!("http://{}", front.address()));
    fails(&agent, "TlsExpected", "https://");

    let old = blurts(b"\x15\x03\x01\x00\x02\x02\x46");
    fails(&agent_at(old, Value::Null), "TlsVersion", "TLS 1.2");
    fails(&agent_at(blurts(b""), Value::Null), "TlsClosed", "firewall");
}

/// Go, nginx and Apache answer plain HTTP on a port of TLS with a 400, which is no word about the
/// file that was to be sent.
#[test]
fn a_400_that_is_about_tls_is_not_held_against_the_file() {
    let answers = [
        (
            "Client sent an HTTP request to an HTTPS server.\n",
            "TlsExpected",
        ),
        (
            "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
            "TlsExpected",
        ),
        (
            "<p>Reason: You're speaking plain HTTP to an SSL-enabled server port.<br /></p>",
            "TlsExpected",
        ),
        (
            "<html><head><title>400 No required SSL certificate was sent</title></head></html>",
            "ClientCertificateRequired",
        ),
    ];
    for (body, code) in answers {
        let gate = ScriptedServer::start([Line::new(400, &[], body).close().for_ever()]);
        let agent = Agent::with_endpoint(&gate.endpoint());
        agent.write_file("a.bin", 1000, 1);
        agent.run(&["once", "--give-up", "1s"]).expect_code(75);
        let failed = agent.events_of("connection_failed");
        assert_eq!(failed[0]["error"]["code"], code, "{failed:?}");
        assert!(agent.events_of("upload_failed").is_empty());

        let server = S3Server::start(S3Options::default());
        let agent = agent.with_job(json!({ "endpoint": server.endpoint() }));
        agent.once().expect_code(0);
        assert_eq!(server.keys(BUCKET).len(), 1);
    }
}
