//! Roles: AssumeRole and AssumeRoleWithWebIdentity, with STS's documented answers.

use serde_json::json;

use super::*;
use crate::support::server::S3Options;

pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/site-7";

pub(super) fn answer(action: &str, expires: &str) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <{action}Result>\n    \
         <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/site-7/x</Arn></AssumedRoleUser>\n    \
         <Credentials>\n      <AccessKeyId>{ACCESS_KEY}</AccessKeyId>\n      <SecretAccessKey>{SECRET_KEY}</SecretAccessKey>\n      \
         <SessionToken>{TOKEN}</SessionToken>\n      <Expiration>{expires}</Expiration>\n    </Credentials>\n  \
         </{action}Result>\n  <ResponseMetadata><RequestId>c6104cbe</RequestId></ResponseMetadata>\n</{action}Response>\n"
    )
}

fn good(action: &str) -> Line {
    text(200, &answer(action, &in_seconds(3600)))
        .on("POST", "/")
        .for_ever()
}

pub(super) fn refusal(status: u16, code: &str) -> Line {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>as the test says</Message></Error><RequestId>4af1</RequestId></ErrorResponse>"
    );
    text(status, &body)
}

pub(super) fn assume_role(server: &S3Server, sts: &ScriptedServer) -> Agent {
    let source = json!({ "access_key": "AKIDSOURCE", "secret_key": "hush-hush", "session_token": "source-token" });
    agent(
        server,
        json!({
            "provider": "assume_role", "role_arn": ROLE, "external_id": "e=1", "session_name": "site-7",
            "duration": "15m", "source": source, "sts_endpoint": sts.endpoint(),
        }),
    )
}

fn form(seen: &crate::support::scripted::Seen) -> Vec<(String, String)> {
    url::form_urlencoded::parse(&seen.body)
        .into_owned()
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    expected.iter().map(owned).collect()
}

#[test]
fn a_role_is_assumed_with_other_keys() {
    let server = S3Server::start(S3Options::default());
    let sts = ScriptedServer::start([good("AssumeRole")]);
    let agent = assume_role(&server, &sts);
    assert_eq!(uploads("role", &server, &agent).as_deref(), Some(TOKEN));
    let line = checked(&agent);
    let words = format!("from role `{ROLE}` by the configuration, access key …key, good until 20");
    assert!(line.contains(&words), "{line}");
    let seen = &sts.requests()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/"));
    assert_eq!(
        seen.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(seen.header("x-amz-security-token"), Some("source-token"));
    let authorization = seen.header("authorization").unwrap();
    let start = "AWS4-HMAC-SHA256 Credential=AKIDSOURCE/";
    let scope = "/eu-west-2/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
    assert!(
        authorization.starts_with(start) && authorization.contains(scope),
        "{authorization}"
    );
    let expected = pairs(&[
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", ROLE),
        ("RoleSessionName", "site-7"),
        ("DurationSeconds", "900"),
        ("ExternalId", "e=1"),
    ]);
    assert_eq!(form(seen), expected);
}

#[test]
fn roles_in_shared_files_are_assumed_one_after_the_other() {
    let server = S3Server::start(S3Options::default());
    let sts = ScriptedServer::start([good("AssumeRole")]);
    let agent = agent(&server, json!(null))
        .with_env("AWS_PROFILE", "a")
        .with_env("AWS_ENDPOINT_URL_STS", &sts.endpoint())
        .with_env("AWS_ACCESS_KEY_ID", "");
    std::fs::create_dir(agent.folder().join(".aws")).unwrap();
    let config = "[profile a]\nrole_arn = arn:a\nsource_profile = b\nregion = eu-west-1\n\
                  [profile b]\nrole_arn = arn:b\ncredential_source = Environment\nregion = us-east-2\n";
    std::fs::write(agent.folder().join(".aws/config"), config).unwrap();
    // `credential_source` is not the chain: without a key it is a mistake.
    is_refused(
        "no source",
        &server,
        &agent,
        77,
        &["environment: AWS_ACCESS_KEY_ID is not set"],
    );
    let agent = agent
        .with_env("AWS_ACCESS_KEY_ID", "AKIDSOURCE")
        .with_env("AWS_SECRET_ACCESS_KEY", "hush-hush");
    // The environment's keys go before every profile in the chain.
    let agent = agent.with_job(json!({ "credentials": { "provider": "profile" } }));
    assert_eq!(
        uploads("chain of roles", &server, &agent).as_deref(),
        Some(TOKEN)
    );
    let roles: Vec<_> = sts
        .requests()
        .iter()
        .map(|seen| {
            let form = form(seen);
            let signer = seen
                .header("authorization")
                .unwrap()
                .split(['=', ','])
                .nth(1)
                .unwrap()
                .to_owned();
            (
                form[2].1.clone(),
                signer.split('/').next().unwrap().to_owned(),
                signer.contains("/us-east-2/"),
            )
        })
        .collect();
    let expected = [("arn:b", "AKIDSOURCE", true), ("arn:a", ACCESS_KEY, false)];
    assert_eq!(
        roles,
        expected.map(|(role, key, region)| (role.to_owned(), key.to_owned(), region))
    );
}

#[test]
fn a_token_of_an_identity_provider_brings_keys_unsigned() {
    let server = S3Server::start(S3Options::default());
    let sts = ScriptedServer::start([good("AssumeRoleWithWebIdentity")]);
    let by_chain = agent(&server, json!(null))
        .with_env("AWS_ENDPOINT_URL_STS", &sts.endpoint())
        .with_env("AWS_ROLE_ARN", ROLE)
        .with_env("AWS_ROLE_SESSION_NAME", "pod-7");
    let file = by_chain.folder().join("token");
    std::fs::write(&file, "hush-hush.jwt.one\n").unwrap();
    let by_chain = by_chain.with_env("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap());
    assert_eq!(uploads("chain", &server, &by_chain).as_deref(), Some(TOKEN));
    let line = checked(&by_chain);
    assert!(
        line.contains(&format!("from web identity (role `{ROLE}`), access key")),
        "{line}"
    );
    let by_name = agent(
        &server,
        json!({
            "provider": "web_identity", "role_arn": "arn:other", "token_file": file, "sts_endpoint": sts.endpoint(),
        }),
    );
    std::fs::write(&file, "hush-hush.jwt.two").unwrap();
    uploads("name", &server, &by_name);
    let seen = sts.requests();
    assert!(
        seen.iter()
            .all(|seen| seen.header("authorization").is_none())
    );
    let expected = |role, session, token| {
        pairs(&[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", session),
            ("WebIdentityToken", token),
        ])
    };
    assert_eq!(form(&seen[0]), expected(ROLE, "pod-7", "hush-hush.jwt.one"));
    let last = form(seen.last().unwrap());
    assert!(last[3].1.starts_with("s3ferry-"), "{last:?}");
    assert_eq!(last[2].1, "arn:other");
    assert_eq!(last[4].1, "hush-hush.jwt.two");
}

#[test]
fn tokens_that_are_none_never_leave_the_machine() {
    let server = S3Server::start(S3Options::default());
    let sts = ScriptedServer::start([good("AssumeRoleWithWebIdentity")]);
    let agent = |file: &str| {
        agent(
            &server,
            json!({
                "provider": "web_identity", "role_arn": ROLE, "token_file": file, "sts_endpoint": sts.endpoint(),
            }),
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let words = folder.path().join("words");
    std::fs::write(&words, "hush-hush hush-hush").unwrap();
    let large = folder.path().join("large");
    std::fs::write(&large, "x".repeat(70_000)).unwrap();
    for (name, path, word) in [
        ("none", "/nowhere/token", "cannot read `/nowhere/token`"),
        ("empty", empty.to_str().unwrap(), "holds no token"),
        ("words", words.to_str().unwrap(), "holds no token"),
        ("large", large.to_str().unwrap(), "is larger than 64 KiB"),
        (
            "a folder",
            folder.path().to_str().unwrap(),
            "is not a regular file",
        ),
    ] {
        is_refused(name, &server, &agent(path), 77, &[word]);
    }
    assert!(sts.requests().is_empty());
}

#[test]
fn answers_that_bring_no_keys_are_told_with_what_to_do() {
    let server = S3Server::start(S3Options::default());
    let whole = answer("AssumeRole", &in_seconds(3600));
    let without = |name: &str| {
        let (start, rest) = whole.split_once(&format!("<{name}>")).unwrap();
        let end = rest.split_once(&format!("</{name}>")).unwrap().1;
        text(200, &format!("{start}{end}"))
    };
    let entity = whole.replacen('<', "<!DOCTYPE a [<!ENTITY b \"hush-hush\">]><", 1);
    let cases: Vec<(&str, Line, i32, &[&str])> = vec![
        (
            "no permission",
            refusal(403, "AccessDenied"),
            77,
            &["STS: HTTP 403: AccessDenied: as the test says"],
        ),
        (
            "unknown keys",
            refusal(403, "InvalidClientTokenId"),
            77,
            &["InvalidClientTokenId"],
        ),
        (
            "a wrong secret",
            refusal(403, "SignatureDoesNotMatch"),
            77,
            &["SignatureDoesNotMatch"],
        ),
        (
            "a region that is off",
            refusal(403, "RegionDisabledException"),
            77,
            &["RegionDisabledException"],
        ),
        (
            "a duration too long",
            refusal(400, "ValidationError"),
            77,
            &["ValidationError"],
        ),
        (
            "throttled",
            refusal(400, "Throttling"),
            75,
            &["Throttling", "NoCredentialsNow"],
        ),
        (
            "a late identity provider",
            refusal(400, "IDPCommunicationError"),
            75,
            &["IDPCommunicationError"],
        ),
        ("busy", text(503, "<html>"), 75, &["STS: HTTP 503"]),
        (
            "a redirect",
            Line::new(301, &[("Location", "http://127.0.0.1:9/")], ""),
            77,
            &["HTTP 301"],
        ),
        ("nothing", text(200, ""), 77, &["STS"]),
        ("no XML", text(200, "{\"hush-hush\": 1}"), 77, &["STS"]),
        (
            "cut",
            text(200, &whole[..whole.len() / 2]),
            77,
            &["not what STS gives"],
        ),
        (
            "another answer",
            text(200, &answer("GetSessionToken", &in_seconds(60))),
            77,
            &["is missing"],
        ),
        ("an entity", text(200, &entity), 77, &["not what STS gives"]),
        (
            "no key",
            without("AccessKeyId"),
            77,
            &["`AccessKeyId` in the answer is missing"],
        ),
        (
            "no secret",
            without("SecretAccessKey"),
            77,
            &["`SecretAccessKey` in the answer is missing"],
        ),
        (
            "no token",
            without("SessionToken"),
            77,
            &["`SessionToken` in the answer is missing"],
        ),
        (
            "no end",
            without("Expiration"),
            77,
            &["`Expiration` in the answer is missing"],
        ),
        (
            "no time",
            text(200, &answer("AssumeRole", "soon")),
            77,
            &["is no time"],
        ),
        (
            "a header in the token",
            text(200, &whole.replace(TOKEN, "a&#13;&#10;X: y")),
            77,
            &["`SessionToken`"],
        ),
        ("too long", too_long(), 75, &["AnswerTooLong"]),
        ("no answer", Line::raw(""), 75, &["STS: 127.0.0.1:"]),
    ];
    for (name, line, code, words) in cases {
        let sts = ScriptedServer::start([line.for_ever()]);
        is_refused(name, &server, &assume_role(&server, &sts), code, words);
    }
}

#[test]
fn a_wrong_clock_is_taken_from_the_answer_and_the_request_signed_anew() {
    let server = S3Server::start(S3Options::default());
    let ahead = SystemTime::now() + Duration::from_secs(7200);
    let date = httpdate(ahead);
    let body = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired: 20261122T050607Z is now earlier than 20261122T064607Z</Message></Error></ErrorResponse>";
    let sts = ScriptedServer::start([
        Line::new(403, &[("Date", &date)], body).on("POST", "/"),
        good("AssumeRole"),
    ]);
    uploads("clock", &server, &assume_role(&server, &sts));
    let seen = sts.requests();
    assert_eq!(seen.len(), 2);
    let signed = |index: usize| {
        let format =
            time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
        let text = seen[index].header("x-amz-date").unwrap();
        time::PrimitiveDateTime::parse(text, format).unwrap()
    };
    let step = (signed(1) - signed(0)).whole_seconds();
    assert!((7190..7260).contains(&step), "{step}");
}

/// RFC 9110's form.
fn httpdate(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap()
        .format(format)
        .unwrap()
}
