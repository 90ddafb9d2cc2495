//! The endpoint that a container is told of.

use serde_json::json;

use super::*;
use crate::support::connect_proxy::ConnectProxy;
use crate::support::server::S3Options;

fn agent_at(server: &S3Server, url: &str) -> Agent {
    agent(server, json!({ "provider": "container" }))
        .with_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
}

fn path(service: &ScriptedServer) -> String {
    format!("{}/v1/credentials?id=7", service.endpoint())
}

#[test]
fn keys_of_the_container_sign_and_its_token_is_read_anew() {
    let server = S3Server::start(S3Options::default());
    let service = ScriptedServer::start([text(200, &good_keys()).for_ever()]);
    let chained =
        agent(&server, json!(null)).with_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &path(&service));
    for (name, agent) in [
        ("named", agent_at(&server, &path(&service))),
        ("chain", chained),
    ] {
        let file = agent.folder().join("token");
        std::fs::write(&file, "Basic first\n").unwrap();
        let agent = agent
            .with_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not this one")
            .with_env(
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                file.to_str().unwrap(),
            );
        assert_eq!(uploads(name, &server, &agent).as_deref(), Some(TOKEN));
        std::fs::write(&file, "Basic second").unwrap();
        assert!(checked(&agent).contains("from the container's endpoint, access key …key"));
    }
    let tokens: Vec<_> = service
        .requests()
        .iter()
        .map(|seen| {
            (
                seen.target.clone(),
                seen.header("authorization").unwrap().to_owned(),
            )
        })
        .collect();
    let expected = ["Basic first", "Basic second"]
        .map(|token| ("/v1/credentials?id=7".to_owned(), token.to_owned()));
    assert_eq!(tokens[..2], expected);
    assert_eq!(tokens[2..], expected);
}

#[test]
fn answers_that_bring_no_keys_are_told_with_what_to_do() {
    let server = S3Server::start(S3Options::default());
    let cases: Vec<(&str, Line, i32, &[&str])> = vec![
        (
            "refused",
            text(403, "hush-hush"),
            77,
            &["container: HTTP 403"],
        ),
        ("not there", text(404, ""), 77, &["HTTP 404"]),
        (
            "a redirect",
            Line::new(307, &[("Location", "http://127.0.0.1:9/")], ""),
            77,
            &["HTTP 307"],
        ),
        (
            "no JSON",
            text(200, "<html>hush-hush"),
            77,
            &["no JSON object"],
        ),
        (
            "no keys",
            text(200, r#"{"code": "x", "message": "y"}"#),
            77,
            &["`AccessKeyId` in the answer is missing"],
        ),
        ("too long", too_long(), 75, &["AnswerTooLong"]),
        ("busy", text(500, ""), 75, &["HTTP 500", "NoCredentialsNow"]),
        ("throttled", text(429, ""), 75, &["HTTP 429"]),
        (
            "slow",
            unfinished(),
            75,
            &["TimedOut", "did not answer within 2s"],
        ),
        ("no answer", Line::raw(""), 75, &["container: 127.0.0.1:"]),
    ];
    for (name, line, code, words) in cases {
        let service = ScriptedServer::start([line.for_ever()]);
        is_refused(
            name,
            &server,
            &agent_at(&server, &path(&service)),
            code,
            words,
        );
    }
}

#[test]
fn the_container_is_never_asked_through_a_proxy() {
    let server = S3Server::start(S3Options::default());
    let service = ScriptedServer::start([text(200, &good_keys()).for_ever()]);
    let proxy = ConnectProxy::start(server.address());
    let agent = agent_at(&server, &path(&service))
        .with_job(json!({ "proxy": proxy.url() }))
        .with_env("HTTP_PROXY", "http://127.0.0.1:9")
        .with_env("ALL_PROXY", "http://127.0.0.1:9");
    uploads("proxy", &server, &agent);
    assert_eq!(service.requests().len(), 1);
    let port = service.address().port().to_string();
    let asked_for = proxy.asked_for();
    assert!(
        !asked_for.is_empty() && asked_for.iter().all(|host| !host.ends_with(&port)),
        "{asked_for:?}"
    );
}

#[test]
fn the_container_is_asked_on_trusted_hosts_alone() {
    let server = S3Server::start(S3Options::default());
    for url in [
        "http://s3ferry.invalid/x",
        "http://192.0.2.1/x",
        "ftp://127.0.0.1/x",
    ] {
        let agent =
            agent_at(&server, url).with_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hush-hush");
        // Known before the start: nothing is asked at all.
        agent.write_file("a", 10, 1);
        let output = agent.once().expect_code(78);
        assert!(
            output
                .stderr
                .contains("jobs[0].credentials: container: AWS_CONTAINER_CREDENTIALS_FULL_URI"),
            "{output:#?}"
        );
    }
    let absent = agent(&server, json!({ "provider": "container" }));
    absent.write_file("a", 10, 1);
    let output = absent.once().expect_code(78);
    assert!(
        output
            .stderr
            .contains("is set; run s3ferry where the container's platform sets one"),
        "{output:#?}"
    );
    let service = ScriptedServer::start([text(200, &good_keys()).for_ever()]);
    let smuggled = agent_at(&server, &path(&service))
        .with_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hush-hush\r\nX: y");
    is_refused(
        "a token of two lines",
        &server,
        &smuggled,
        77,
        &["no token"],
    );
    assert!(service.requests().is_empty());
}
