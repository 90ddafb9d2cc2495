//! `check` sends each request that the job will send, and lays what goes wrong at the right door.

use serde_json::{Value, json};

use crate::support::agent::{Agent, Output};
use crate::support::server::{BUCKET, Failure, Request, S3Options, S3Server};

const MIB: u64 = 1024 * 1024;

fn check(agent: &Agent, code: i32) -> Output {
    agent.run(&["check", "--json"]).expect_code(code)
}

#[track_caller]
fn finding(output: &Output, step: &str) -> Value {
    let mut found = output.json_lines();
    found.retain(|finding| finding["step"] == step);
    assert_eq!(found.len(), 1, "{step}: {output:#?}");
    found.remove(0)
}

/// The finding of `step` has this verdict, and these words in its message and in its cure.
#[track_caller]
fn finds(output: &Output, step: &str, verdict: &str, message: &str, cure: &str) {
    let found = finding(output, step);
    assert_eq!(found["verdict"], verdict, "{found}");
    for (key, words) in [("message", message), ("cure", cure)] {
        let text = found[key].as_str().unwrap_or_default();
        assert!(text.contains(words), "{key} without {words:?}: {found}");
    }
}

fn of_object(request: &Request, method: &str) -> bool {
    request.method == method && request.path.ends_with(".s3ferry-check") && request.query.is_empty()
}

fn of_upload(request: &Request, method: &str) -> bool {
    request.method == method && request.query.contains("uploadId")
}

fn is_part(request: &Request) -> bool {
    request.part_number().is_some()
}

fn is_conditional_complete(request: &Request) -> bool {
    request.is_complete_multipart() && request.header("if-none-match").is_some()
}

/// AWS's words for a missing permission.
fn not_authorized(action: &str) -> Failure {
    Failure::answer(
        403,
        format!(
            "<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::123456789012:user/site-7 is not \
             authorized to perform: {action} on resource: \"arn:aws:kms:eu-west-2:123456789012:key/1\" \
             because no identity-based policy allows the {action} action</Message></Error>"
        ),
    )
}

/// A job whose one file goes up in parts.
fn agent(server: &S3Server, job: Value) -> Agent {
    let agent = Agent::new(server)
        .with_job(json!({ "transfer": { "multipart_threshold": "5MiB", "part_size": "5MiB" } }))
        .with_job(job);
    agent.write_file("large", 6 * MIB, 1);
    agent
}

#[test]
fn a_part_that_is_refused_is_found_before_a_file_is() {
    let server = S3Server::start(S3Options::default());
    server.fail_next(usize::MAX, is_part, not_authorized("kms:Decrypt"));
    let agent = agent(&server, json!({}));
    let output = check(&agent, 77);
    let cure = "allow `kms:Decrypt` on the encryption key to the key, as the answer says";
    finds(
        &output,
        "multipart",
        "failed",
        "UploadPart: AccessDenied",
        cure,
    );
    assert_eq!(server.open_uploads().0, 0);
    assert!(server.keys(BUCKET).is_empty());
    // The job says the same.
    agent.once().expect_code(77);
    let blocked = agent.events_of("job_blocked");
    let hint = blocked[0]["error"]["hint"].as_str().unwrap();
    assert!(hint.contains(cure), "{blocked:#?}");
}

#[test]
fn a_store_that_takes_no_checksum_with_a_part_is_cured_at_transfer_checksum() {
    let server = S3Server::start(S3Options::default());
    let with_checksum = |r: &Request| is_part(r) && r.header("x-amz-checksum-crc32c").is_some();
    let agent = agent(&server, json!({ "transfer": { "checksum": "crc32c" } }));
    for failure in [
        Failure::error(400, "InvalidRequest"),
        Failure::error(501, "NotImplemented"),
    ] {
        server.heal();
        server.fail_next(usize::MAX, with_checksum, failure);
        let output = check(&agent, 77);
        let cure = "set `transfer.checksum` to \"none\"";
        finds(&output, "multipart", "failed", "UploadPart", cure);
    }
    // What it comes to is true.
    let agent = agent.with_job(json!({ "transfer": { "checksum": "none" } }));
    check(&agent, 0);
    agent.once().expect_code(0);
}

#[test]
fn the_last_request_of_a_file_in_parts_goes_out_as_the_job_sends_it() {
    let server = S3Server::start(S3Options::default());
    let job = json!({ "object": { "if_exists": "fail" }, "transfer": { "checksum": "crc32c" } });
    let agent = agent(&server, job);
    check(&agent, 0);
    let of_check = server.take_requests();
    agent.once().expect_code(0);
    let of_job = server.take_requests();
    let names = |requests: &[Request], kind: fn(&Request) -> bool| -> Vec<String> {
        let found = requests.iter().find(|r| kind(r)).unwrap();
        let mut names: Vec<String> = found.headers.iter().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    };
    let wanted = names(&of_check, Request::is_complete_multipart);
    assert_eq!(wanted, names(&of_job, Request::is_complete_multipart));
    assert!(wanted.contains(&"x-amz-mp-object-size".to_owned()));
    assert!(wanted.contains(&"if-none-match".to_owned()));
    let part = names(&of_check, is_part);
    assert!(part.contains(&"x-amz-checksum-crc32c".to_owned()));
    assert!(server.object(BUCKET, ".s3ferry-check").is_none());
}

#[test]
fn a_store_that_joins_no_parts_under_the_jobs_settings_is_found() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server, json!({}));
    for (failure, message) in [
        (Failure::access_denied(), "AccessDenied"),
        (Failure::error(400, "InvalidRequest"), "InvalidRequest"),
    ] {
        server.heal();
        server.fail_next(usize::MAX, Request::is_complete_multipart, failure);
        finds(&check(&agent, 77), "multipart", "failed", message, "");
        assert_eq!(server.open_uploads().0, 0);
    }
}

#[test]
fn a_condition_that_only_files_in_parts_break_is_found() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server, json!({ "object": { "if_exists": "fail" } }));
    let output = check(&agent, 0);
    for step in ["conditional writes", "conditional multipart", "multipart"] {
        finds(&output, step, "ok", "", "");
    }

    let unknown = || Failure::error(501, "NotImplemented");
    server.fail_next(usize::MAX, is_conditional_complete, unknown());
    let output = check(&agent, 0);
    let step = "conditional multipart";
    finds(
        &output,
        step,
        "warning",
        "would be replaced",
        "nobody else writes",
    );
    finds(&output, "multipart", "ok", "", "");
    server.take_requests();
    agent.once().expect_code(0);
    let sent = server.take_requests();
    let completes = sent.iter().filter(|r| r.is_complete_multipart()).count();
    assert_eq!(completes, 2);

    // Without a look at the object the job does not send it without the condition either.
    server.fail_next(usize::MAX, |r| r.method == "HEAD", Failure::access_denied());
    let output = check(&agent, 77);
    finds(&output, step, "failed", "without a look", "s3:GetObject");
    agent.write_file("other", 6 * MIB, 2);
    agent.once().expect_code(77);

    server.heal();
    let taken = Failure::answer(200, "<CompleteMultipartUploadResult/>").after_success();
    server.fail_next(usize::MAX, is_conditional_complete, taken);
    let output = check(&agent, 0);
    finds(
        &output,
        step,
        "warning",
        "does not keep to",
        "nobody else writes",
    );
}

#[test]
fn a_store_that_ignores_or_refuses_the_condition_of_a_put_is_told_with_a_cure() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server, json!({ "object": { "if_exists": "skip" } }));
    let put = |r: &Request| r.is_put_object() && r.header("if-none-match").is_some();
    for (failure, code, verdict, message, cure) in [
        (
            Failure::answer(200, "").header("etag", "\"1\""),
            0,
            "warning",
            "does not keep to",
            "nobody else writes",
        ),
        (
            Failure::error(501, "NotImplemented"),
            0,
            "warning",
            "would be replaced",
            "nobody else writes",
        ),
        (
            Failure::error(503, "SlowDown"),
            0,
            "warning",
            "does not show",
            "tries again",
        ),
        (
            Failure::error(400, "InvalidArgument"),
            77,
            "failed",
            "InvalidArgument",
            "`object.if_exists`",
        ),
    ] {
        server.heal();
        server.fail_next(usize::MAX, put, failure);
        let output = check(&agent, code);
        finds(&output, "conditional writes", verdict, message, cure);
    }
}

#[test]
fn put_object_alone_is_enough_and_leaves_no_upload() {
    let server = S3Server::start(S3Options::default());
    let other = |r: &Request| r.method != "PUT" && r.method != "POST";
    server.fail_next(usize::MAX, other, Failure::access_denied());
    let agent = agent(&server, json!({}));
    let output = check(&agent, 0);
    finds(&output, "multipart", "ok", "becomes an object", "");
    finds(&output, "test object", "ok", "left there", "");
    for (step, cure) in [
        ("s3:GetObject", "allow `s3:GetObject`"),
        ("s3:AbortMultipartUpload", "allow `s3:AbortMultipartUpload`"),
        ("s3:ListMultipartUploadParts", "allow `s3:ListMultipart"),
        ("s3:ListBucketMultipartUploads", "allow `s3:ListBucket"),
    ] {
        finds(&output, step, "warning", "HTTP 403", cure);
    }
    assert_eq!(server.open_uploads().0, 0);
}

#[test]
fn what_is_no_matter_of_permission_is_not_called_one() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server, json!({}));
    type Matches = fn(&Request) -> bool;
    let cases: [(&str, Matches); 4] = [
        ("s3:GetObject", |r| of_object(r, "HEAD")),
        ("s3:ListMultipartUploadParts", |r| of_upload(r, "GET")),
        ("s3:ListBucketMultipartUploads", |r| {
            r.method == "GET" && r.query.contains("uploads")
        }),
        ("s3:AbortMultipartUpload", |r| of_upload(r, "DELETE")),
    ];
    for (step, matches) in cases {
        for (failure, message) in [
            (Failure::error(503, "ServiceUnavailable"), "503"),
            (Failure::hang_up(), "Connection"),
        ] {
            server.heal();
            server.fail_next(usize::MAX, matches, failure);
            let output = check(&agent, 0);
            finds(&output, step, "warning", message, "tries again by itself");
            let found = finding(&output, step).to_string();
            assert!(found.contains("does not show"), "{found}");
            assert!(!found.contains("allow `"), "{found}");
        }
    }
    for failure in [Failure::error(500, "InternalError"), Failure::hang_up()] {
        server.heal();
        server.fail_next(usize::MAX, |r| of_object(r, "DELETE"), failure);
        let output = check(&agent, 0);
        let cure = "tries again by itself";
        finds(&output, "test object", "warning", "may be left there", cure);
        assert!(!output.stdout.contains("need not"), "{output:#?}");
    }
    server.heal();
    let busy = Failure::error(503, "SlowDown");
    server.fail_next(usize::MAX, |r| of_object(r, "HEAD"), busy);
    let agent = agent.with_job(json!({ "transfer": { "verify": "always" } }));
    let output = check(&agent, 75);
    finds(&output, "s3:GetObject", "failed", "503", "tries again");
}

#[test]
fn what_becomes_of_a_checksum_is_told() {
    let server = S3Server::start(S3Options::default());
    let agent = agent(&server, json!({ "transfer": { "checksum": "crc32c" } }));
    check(&agent, 0);
    let requests = server.take_requests();
    let put = |r: &Request| r.is_put_object();
    let sent = requests.iter().find(|r| put(r)).unwrap();
    let sent = sent.header("x-amz-checksum-crc32c").unwrap().to_owned();
    // The answer to a HEAD names none.
    let look = |r: &Request| r.header("x-amz-checksum-mode").is_some();
    let silent = || Failure::answer(200, "");
    let confirmed = || silent().header("etag", "\"1\"").after_success();
    let named = |value: &str| confirmed().header("x-amz-checksum-crc32c", value);
    let denied = Failure::access_denied;
    for (answer, looked, code, verdict, message, cure) in [
        (named(&sent), denied(), 0, "ok", &*sent, ""),
        (
            named("AAAAAA=="),
            denied(),
            77,
            "failed",
            "keeps crc32c:AAAAAA==, but was sent",
            "`transfer.checksum` to \"none\"",
        ),
        (
            confirmed(),
            silent(),
            0,
            "warning",
            "does not name it afterwards",
            "`transfer.checksum` to \"none\"",
        ),
        (
            confirmed(),
            silent().header("x-amz-checksum-crc32c", &sent),
            0,
            "ok",
            "the store keeps crc32c:",
            "",
        ),
        (
            confirmed(),
            denied(),
            0,
            "warning",
            "does not show",
            "allow `s3:GetObject`",
        ),
        (
            confirmed(),
            Failure::error(503, "SlowDown"),
            0,
            "warning",
            "does not show",
            "tries again",
        ),
    ] {
        server.heal();
        server.fail_next(usize::MAX, put, answer);
        server.fail_next(usize::MAX, look, looked);
        let output = check(&agent, code);
        finds(&output, "checksum", verdict, message, cure);
    }
}
