//! `check` names the settings of the job that a refusal is about, and the host that was really asked.

use serde_json::{Value, json};

use crate::support::agent::{Agent, Output};
use crate::support::scripted::{Line, ScriptedServer};
use crate::support::server::{BUCKET, S3Options, S3Server};

/// The finding that failed: its step, its message and its cure.
#[track_caller]
fn failed(output: &Output) -> (String, String, String) {
    let mut found = output.json_lines();
    found.retain(|finding| finding["verdict"] == "failed");
    assert_eq!(found.len(), 1, "{output:#?}");
    let text = |key: &str| found[0][key].as_str().unwrap_or_default().to_owned();
    (text("step"), text("message"), text("cure"))
}

/// A store that refuses each PUT like this; without headers but these.
fn refusing(status: u16, headers: &[(&str, &str)], body: &str) -> ScriptedServer {
    ScriptedServer::start([
        Line::new(403, &[], "").on("GET", "location").for_ever(),
        Line::new(status, headers, body).on("PUT", "/").for_ever(),
    ])
}

fn check(agent: &Agent, code: i32) -> (String, String, String) {
    failed(&agent.run(&["check", "--json"]).expect_code(code))
}

fn denied(message: &str) -> ScriptedServer {
    let body = format!("<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>");
    refusing(403, &[], &body)
}

#[test]
fn a_refusal_is_cured_with_every_permission_that_the_settings_ask_for() {
    let settings = json!({ "object": {
        "tags": { "site": "7" }, "acl": "bucket-owner-full-control",
        "server_side_encryption": "aws:kms",
        "object_lock": { "mode": "governance", "retain_for": "1d", "legal_hold": true },
    } });
    let all = [
        "`s3:PutObject`",
        "`s3:PutObjectTagging`",
        "`s3:PutObjectAcl`",
        "`s3:PutObjectRetention`",
        "`s3:PutObjectLegalHold`",
        "`kms:GenerateDataKey`",
        "`kms:Decrypt`",
    ];
    let says = |action: &str| {
        format!(
            "User: arn:aws:iam::123456789012:user/s3:x is not authorized to perform: {action} on resource: \
             \"arn:aws:s3:::bucket/.s3ferry-check\" because no identity-based policy allows the {action} action"
        )
    };
    let named = [
        "s3:PutObjectTagging",
        "s3:PutObjectAcl",
        "s3:PutObjectLegalHold",
        "kms:GenerateDataKey",
    ];
    for action in named {
        let server = denied(&says(action));
        let agent = Agent::with_endpoint(&server.endpoint()).with_job(settings.clone());
        let (step, message, cure) = check(&agent, 77);
        assert_eq!(step, "s3:PutObject");
        assert!(message.contains(action), "{message}");
        assert!(cure.starts_with(&format!("allow `{action}` on ")), "{cure}");
        for permission in all {
            assert_eq!(cure.matches(permission).count(), 1, "{permission}: {cure}");
        }
    }
    // Nothing is named, and then nothing is asked for either.
    let server = denied("Access Denied");
    let agent = Agent::with_endpoint(&server.endpoint());
    let (_, _, cure) = check(&agent, 77);
    assert!(
        cure.starts_with("allow `s3:PutObject` on this bucket"),
        "{cure}"
    );
    for permission in &all[1..] {
        assert!(!cure.contains(permission), "{permission}: {cure}");
    }
    let agent = agent.with_job(settings);
    let (_, _, cure) = check(&agent, 77);
    for permission in all {
        assert!(cure.contains(permission), "{permission}: {cure}");
    }
    // The job says the same as `check`.
    agent.write_file("a", 10, 1);
    agent.once().expect_code(77);
    let blocked = agent.events_of("job_blocked");
    assert_eq!(blocked[0]["error"]["hint"], json!(cure));
}

#[test]
fn a_setting_that_the_store_does_not_know_is_named() {
    let refused = "<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented</Message></Error>";
    let checksum = "<Error><Code>InvalidRequest</Code><Message>The algorithm type you specified in x-amz-checksum- header is invalid.</Message></Error>";
    let tags = json!({ "object": { "tags": { "site": "7" } } });
    let several = json!({
        "object": { "tags": { "site": "7" }, "acl": "private" },
        "transfer": { "checksum": "crc32c" },
    });
    let none = json!({});
    let cases: [(&str, &Value, &str); 4] = [
        (refused, &tags, "`object.tags`; correct or remove it"),
        (
            refused,
            &several,
            "one of `object.tags`, `object.acl` and `transfer.checksum`;",
        ),
        (checksum, &several, "set `transfer.checksum` to \"none\""),
        (refused, &none, "no setting asks for it"),
    ];
    for (body, settings, expected) in cases {
        let server = refusing(400, &[], body);
        let agent = Agent::with_endpoint(&server.endpoint()).with_job(settings.clone());
        let (_, _, cure) = check(&agent, 77);
        assert!(cure.contains(expected), "{expected}: {cure}");
    }
}

#[test]
fn a_bucket_in_front_of_the_host_is_in_the_message_and_addressing_in_the_cure() {
    // RFC 6761: no such name ever resolves.
    let agent = Agent::with_endpoint("http://store.invalid:9000")
        .with_job(json!({ "addressing": "virtual" }));
    let (step, message, cure) = check(&agent, 75);
    let asked = format!("{BUCKET}.store.invalid");
    assert_eq!(step, "dns");
    assert!(message.contains(&format!("{asked}:9000")), "{message}");
    for words in ["`addressing` to `path`", &asked, "typing error"] {
        assert!(cure.contains(words), "{words}: {cure}");
    }
    let plain = Agent::with_endpoint("http://store.invalid:9000");
    let (_, message, cure) = check(&plain, 75);
    assert!(message.contains(": store.invalid:9000: "), "{message}");
    assert!(!cure.contains("addressing"), "{cure}");
    agent.write_file("a", 10, 1);
    let output = agent.run(&["once", "--give-up", "1ms"]).expect_code(75);
    assert!(output.stderr.contains(&asked), "{output:#?}");
}

#[test]
fn a_region_that_makes_a_host_of_nothing_is_the_region() {
    let agent = Agent::with_endpoint("http://unused.invalid").with_job(json!({
        "endpoint": null, "addressing": null, "region": "eu-west-22",
    }));
    let (step, message, cure) = check(&agent, 75);
    assert_eq!(step, "dns");
    let asked = format!("{BUCKET}.s3.eu-west-22.amazonaws.com");
    assert!(message.contains(&asked), "{message}");
    for words in ["correct `region`", "`bucket`", "`eu-west-22`", &asked] {
        assert!(cure.contains(words), "{words}: {cure}");
    }
    for absent in ["`host`", "`endpoint`"] {
        assert!(!cure.contains(absent), "{cure}");
    }
    let host = "bucket.s3.eu-west-22.amazonaws.com";
    let named = Agent::with_endpoint("http://unused.invalid").with_job(json!({
        "endpoint": null, "addressing": null, "region": null, "bucket": null, "host": host,
    }));
    let (_, _, cure) = check(&named, 75);
    assert!(cure.contains("`host`") && cure.contains("region"), "{cure}");
}

#[test]
fn a_web_server_is_no_store() {
    let html = [("Content-Type", "text/html; charset=utf-8")];
    let page = "<!DOCTYPE html>\n<html><title>Not found</title></html>";
    let old_page = "<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0\">";
    for (status, headers, body) in [
        (404, &html[..], page),
        (405, &html[..], "<html><h1>405 Not Allowed</h1></html>"),
        (403, &html[..], old_page),
        (501, &[][..], page),
    ] {
        let server = refusing(status, headers, body);
        let agent = Agent::with_endpoint(&server.endpoint());
        let (step, message, cure) = check(&agent, 77);
        assert_eq!(step, "http", "{status}");
        let kind = headers.first().map_or("HTML", |(_, kind)| kind);
        let expected = format!("{}: a web page ({kind})", server.address());
        assert!(message.contains(&expected), "{message}");
        for words in [
            "no S3 answers there",
            "`host`",
            "`endpoint`",
            "`port`",
            "proxy",
        ] {
            assert!(cure.contains(words), "{words}: {cure}");
        }
    }
    // A store may say nothing, or call its XML whatever it likes, and a proxy may be at a loss.
    let error = "<Error><Code>NoSuchBucket</Code></Error>";
    for (status, headers, body, code, expected) in [
        (404, &[][..], "", 77, "create the bucket"),
        (404, &html[..], error, 77, "create the bucket"),
        (403, &html[..], "", 77, "allow `s3:PutObject`"),
        (403, &html[..], "forbidden", 77, "allow `s3:PutObject`"),
        (502, &html[..], page, 75, "tries again"),
    ] {
        let server = refusing(status, headers, body);
        let (_, _, cure) = check(&Agent::with_endpoint(&server.endpoint()), code);
        assert!(cure.contains(expected), "{status} {body}: {cure}");
    }
}

#[test]
fn what_overwrites_is_not_told_to_overwrite() {
    let body = "<Error><Code>PreconditionFailed</Code></Error>";
    let server = refusing(412, &[], body);
    let agent = Agent::with_endpoint(&server.endpoint());
    let (_, _, cure) = check(&agent, 77);
    assert!(!cure.contains("object.if_exists"), "{cure}");
    assert!(cure.contains("no condition"), "{cure}");
    let agent = agent.with_job(json!({ "object": { "if_exists": "fail" } }));
    let (_, _, cure) = check(&agent, 77);
    assert!(cure.contains("`object.if_exists`"), "{cure}");
}

/// Listing open uploads is what `cleanup` stands on.
#[test]
fn cleanup_asks_for_the_permission_that_it_lacks() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({ "prefix": "site-7/" }));
    agent.once().expect_code(0);
    let denied = crate::support::server::Failure::access_denied();
    server.fail_next(usize::MAX, |r| r.method == "GET", denied);
    let output = agent.run(&["cleanup"]).expect_code(77);
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(
        said.contains("allow `s3:ListBucketMultipartUploads` on"),
        "{output:#?}"
    );
}
