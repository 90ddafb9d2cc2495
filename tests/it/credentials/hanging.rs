//! Whoever hands out keys hangs while the old ones are still good: the parts of a file go on to
//! their end, and only then does anybody wait.

use serde_json::json;

use super::*;
use crate::support::server::{Request, S3Options};

/// Asked anew when a quarter of it is left.
const LIFETIME: i64 = 24;
/// A part takes half of that.
const LONGEST_GAP: Duration = Duration::from_secs(5);
const SIZE: u64 = 60 << 20;

fn slow(agent: Agent) -> Agent {
    let transfer = json!({
        "multipart_threshold": "5MiB", "part_size": "5MiB", "bandwidth_limit": "2MiB/s",
    });
    agent.with_job(json!({ "transfer": transfer }))
}

/// What was signed with that token, and when.
fn signed_with(server: &S3Server, token: &str) -> Vec<OffsetDateTime> {
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = |request: &Request| {
        let text = request.header("x-amz-date").unwrap();
        time::PrimitiveDateTime::parse(text, format)
            .unwrap()
            .assume_utc()
    };
    let requests = server.requests();
    let of_token = |request: &&Request| request.header("x-amz-security-token") == Some(token);
    requests.iter().filter(of_token).map(date).collect()
}

/// The first keys, which end at `end`, sign to that end, and never beyond it.
#[track_caller]
fn goes_on_to(end: &str, server: &S3Server) {
    let end = OffsetDateTime::parse(end, &Rfc3339).unwrap();
    let mut moments = signed_with(server, "first");
    assert!(*moments.last().unwrap() <= end, "{moments:?}, end {end}");
    moments.push(end);
    for pair in moments.windows(2) {
        assert!(pair[1] - pair[0] <= LONGEST_GAP, "{moments:?}");
    }
}

/// The file arrives with both sets of keys, and the waits are told: a short one before the end.
#[track_caller]
fn arrives(server: &S3Server, agent: &Agent, end: &str, provider: &str) -> Output {
    agent.write_file("large", SIZE, 3);
    let output = agent.once().expect_code(0);
    goes_on_to(end, server);
    assert!(!signed_with(server, "second").is_empty());
    assert!(holds_content(&server.object_path(BUCKET, "large"), SIZE, 3));
    assert_eq!(agent.history()[0]["attempts"], 1);
    is_told_once(&output, end, provider);
    output
}

#[track_caller]
fn is_told_once(output: &Output, end: &str, provider: &str) {
    let end = end.trim_end_matches('Z');
    let told = format!("the old ones are used until {end}.000Z: {provider}: ");
    let lines: Vec<_> = output.stderr.lines().collect();
    let of_it: Vec<_> = lines.iter().filter(|line| line.contains(&told)).collect();
    assert_eq!(of_it.len(), 1, "{told}: {output:#?}");
    assert!(of_it[0].contains(" did not answer within "), "{}", of_it[0]);
}

fn role(action: &str, token: &str, expires: &str) -> Line {
    text(200, &sts::answer(action, expires).replace(TOKEN, token))
}

#[test]
fn sts_that_hangs_does_not_hold_the_parts_up_before_the_end_of_the_keys() {
    let server = S3Server::start(S3Options::default());
    let end = in_seconds(LIFETIME);
    let sts = ScriptedServer::start([
        role("AssumeRole", "first", &end),
        unfinished(),
        // Now it has its whole time, and its second try.
        unfinished(),
        role("AssumeRole", "second", &in_seconds(3600)),
    ]);
    let agent = slow(sts::assume_role(&server, &sts));
    let output = arrives(&server, &agent, &end, "STS");
    assert_eq!(sts.requests().len(), 4);
    let words = " did not answer within 30s; tried again";
    assert!(output.stderr.contains(words), "{output:#?}");
}

#[test]
fn a_token_that_nobody_answers_for_is_told_clearly_when_the_old_keys_are_over() {
    let server = S3Server::start(S3Options::default());
    let action = "AssumeRoleWithWebIdentity";
    let end = in_seconds(LIFETIME);
    let sts = ScriptedServer::start([
        role(action, "first", &end),
        unfinished(),
        sts::refusal(403, "AccessDenied").for_ever(),
    ]);
    let mut agent = slow(agent(&server, json!(null)));
    let token = agent.folder().join("token");
    std::fs::write(&token, "hush-hush.jwt").unwrap();
    agent.config["jobs"][0]["credentials"] = json!({
        "provider": "web_identity", "role_arn": sts::ROLE, "token_file": token, "sts_endpoint": sts.endpoint(),
    });
    agent.write_file("large", SIZE, 3);
    let output = agent.once().expect_code(77);
    goes_on_to(&end, &server);
    is_told_once(&output, &end, "web identity");
    let blocked = agent.events_of("job_blocked");
    assert_eq!(blocked.len(), 1, "{blocked:?}");
    assert_eq!(
        blocked[0]["message"],
        "there are no credentials for the job: web identity: HTTP 403: AccessDenied: as the test says"
    );
    tells_no_secret("web identity", &agent, &output);
}

#[test]
fn aws_iot_that_hangs_does_not_hold_the_parts_up_before_the_end_of_the_keys() {
    let server = S3Server::start(S3Options::default());
    let fleet = iot::Fleet::new();
    let end = in_seconds(LIFETIME);
    let keys =
        |token: &str, expires: &str| text(200, &iot::credentials(expires).replace(TOKEN, token));
    let service = ScriptedServer::start([
        keys("first", &end),
        unfinished(),
        keys("second", &in_seconds(3600)),
    ]);
    let front = fleet.endpoint(&service);
    let agent = slow(fleet.device(&server, &front));
    arrives(&server, &agent, &end, "AWS IoT");
    assert_eq!(service.requests().len(), 3);
}
