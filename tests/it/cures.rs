//! Values that are easily written wrong: each cure leads to what was probably meant.

use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::scripted::{Line, ScriptedServer};
use crate::support::server::{S3Options, S3Server};
use crate::support::tls::TlsFront;

const ROLE: &str = "arn:aws:iam::123456789012:role/s3ferry";

/// `check` ends with 78 and one line, which has the place of the key and all of these words.
#[track_caller]
fn refused(job: Value, key: &str, words: &[&str]) {
    let agent = Agent::with_endpoint("http://127.0.0.1:1").with_job(job.clone());
    let output = agent.run(&["check", "--offline"]).expect_code(78);
    assert_eq!(output.stderr.lines().count(), 1, "{output:#?}");
    let file = format!("{}:", agent.config_path().display());
    assert!(output.stderr.starts_with(&file), "{output:#?}");
    for word in [&*format!(": jobs[0].{key}: ")].iter().chain(words) {
        assert!(output.stderr.contains(word), "{word}: {output:#?}");
    }
}

#[test]
fn who_writes_move_is_led_to_move_to() {
    for text in ["move", "move_to", "archive", "/data/sent"] {
        let words = [&*format!("`{text}`"), "`{\"move_to\": \"/path\"}`"];
        refused(json!({ "after_upload": text }), "after_upload", &words);
    }
}

#[test]
fn a_number_without_a_unit_is_neither_a_share_nor_a_size() {
    for text in ["5", " 5 ", "4096"] {
        let words = [&*format!("`{}`", text.trim()), "`5%`", "`500MiB`"];
        let prune = json!({ "prune": { "keep_free": text } });
        refused(prune, "prune.keep_free", &words);
    }
    for good in [json!("5%"), json!("5 MiB"), json!(4096)] {
        let prune = json!({ "prune": { "keep_free": good } });
        let agent = Agent::with_endpoint("http://127.0.0.1:1").with_job(prune);
        agent.run(&["check", "--offline"]).expect_code(0);
    }
}

#[test]
fn a_role_is_named_by_its_arn() {
    let credentials = |provider: &str, role: &str, more: Value| {
        let mut credentials = json!({
            "provider": provider, "role_arn": role, "access_key": null, "secret_key": null,
        });
        let more = more.as_object().unwrap().clone();
        credentials.as_object_mut().unwrap().extend(more);
        json!({ "credentials": credentials })
    };
    let cure = "write it like `arn:aws:iam::123456789012:role/";
    for wrong in [
        "s3ferry",
        "arn:aws:iam::123456789012:user/s3ferry",
        "arn:aws:iam::12345678901:role/s3ferry",
        "arn:aws:iam:eu-west-2:123456789012:role/s3ferry",
        "arn:aws:s3:::bucket",
        "arn:aws:iot:eu-west-2:123456789012:rolealias/s3ferry",
    ] {
        for provider in ["assume_role", "web_identity"] {
            let job = credentials(provider, wrong, json!({}));
            refused(job, "credentials.role_arn", &[&format!("`{wrong}`"), cure]);
        }
        let nested = json!({ "source": { "provider": "web_identity", "role_arn": wrong } });
        let job = credentials("assume_role", ROLE, nested);
        refused(job, "credentials.source.role_arn", &[wrong, cure]);
    }
    let own = json!({ "sts_endpoint": "http://127.0.0.1:1" });
    let minio = credentials("web_identity", "arn:minio:iam:::role/site", own);
    for good in [minio, credentials("web_identity", ROLE, json!({}))] {
        let agent = Agent::with_endpoint("http://127.0.0.1:1").with_job(good);
        agent.run(&["check", "--offline"]).expect_code(0);
    }
    // From the environment it is not the configuration's mistake.
    let job = json!({ "credentials": {
        "provider": "web_identity", "token_file": "/nowhere", "access_key": null, "secret_key": null,
    } });
    let agent = Agent::with_endpoint("http://127.0.0.1:1")
        .with_job(job)
        .with_env("AWS_ROLE_ARN", "s3ferry");
    agent.write_file("a", 100, 1);
    let output = agent.once().expect_code(77);
    let said = "web identity: AWS_ROLE_ARN is not the ARN of a role: `s3ferry`";
    assert!(output.stderr.contains(said), "{output:#?}");
    assert!(output.stderr.contains(cure), "{output:#?}");
}

/// STS has an address and a CA of its own as well.
#[test]
fn what_keeps_from_sts_is_cured_at_its_own_keys() {
    let server = S3Server::start(S3Options::default());
    let front = TlsFront::start(server.address());
    let plain = ScriptedServer::start([Line::new(200, &[], "").for_ever()]);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = nobody.local_addr().unwrap();
    drop(nobody);
    let address = "`credentials.sts_endpoint`";
    let cases = [
        (
            format!("https://{}", front.address()),
            "`credentials.ca_file`",
        ),
        (format!("http://{}", front.address()), "write `https://` in"),
        (format!("https://{closed}"), "nothing listens there"),
        ("https://sts.invalid".to_owned(), "typing error"),
    ];
    for (endpoint, cure) in cases {
        let agent = Agent::with_endpoint(&plain.endpoint()).with_job(json!({ "credentials": {
            "provider": "assume_role", "role_arn": ROLE, "sts_endpoint": endpoint,
            "source": { "access_key": "AKIDSOURCE", "secret_key": "hush" },
            "access_key": null, "secret_key": null,
        } }));
        let output = agent.run(&["check", "--json"]);
        let findings = output.json_lines();
        let found = findings
            .iter()
            .find(|f| f["step"] == "credentials")
            .unwrap();
        let said = found["cure"].as_str().unwrap();
        assert!(said.contains(cure), "{endpoint}: {output:#?}");
        assert!(
            said.contains(address) || said.contains("CA"),
            "{endpoint}: {said}"
        );
    }
}
