//! What the server or its certificate refuses is said, with a cure and the right exit code.

use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::weed::Weed;

fn error_of(agent: &Agent, kind: &str) -> Value {
    let events = agent.events_of(kind);
    assert_eq!(events.len(), 1, "{:#?}", agent.events());
    events[0]["error"].clone()
}

#[test]
fn a_certificate_of_an_unknown_ca_is_refused_and_the_cure_names_ca_file() {
    let Some(weed) = Weed::shared() else { return };
    let bucket = weed.bucket("wrong-ca");
    // The built-in roots do not know this CA either.
    for ca_file in [json!(weed.other_ca_file()), Value::Null] {
        let agent = Agent::with_endpoint(&weed.https()).with_job(json!({
            "bucket": bucket.name,
            "tls_options": { "ca_file": ca_file },
        }));
        agent.write_file("a.bin", 1000, 1);
        agent.run(&["once", "--give-up", "2s"]).expect_code(75);
        let error = error_of(&agent, "connection_failed");
        assert_eq!(error["code"], "CertificateUnknownIssuer", "{error}");
        assert!(
            error["hint"].as_str().unwrap().contains("ca_file"),
            "{error}"
        );
        let checked = agent.run(&["check"]).expect_code(75);
        assert!(
            checked.stdout.contains("tls_options.ca_file"),
            "{checked:#?}"
        );
    }
    assert_eq!(bucket.keys().len(), 0);
}

#[test]
fn a_wrong_secret_is_refused_and_blocks_the_job() {
    let Some(weed) = Weed::shared() else { return };
    let bucket = weed.bucket("wrong-secret");
    let agent = Agent::with_endpoint(&weed.http()).with_job(json!({
        "bucket": bucket.name,
        "credentials": { "secret_key": "notthesecret" },
    }));
    agent.write_file("a.bin", 1000, 1);
    agent.once().expect_code(77);
    let error = error_of(&agent, "job_blocked");
    assert_eq!(error["code"], "SignatureDoesNotMatch", "{error}");
    assert_eq!(bucket.keys().len(), 0);
    agent.run(&["check"]).expect_code(77);
}
