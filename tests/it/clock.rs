//! A clock that is years off, and one that steps: libfaketime puts it into the real program.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::agent::{Agent, SOON};
use crate::support::faketime;
use crate::support::files::holds_content;
use crate::support::server::{BUCKET, S3Options, S3Server};
use crate::support::tls::TlsFront;

/// Wall clock only: intervals must not depend on it, and files keep their own times.
fn under(agent: Agent, library: &str) -> Agent {
    agent
        .with_env("LD_PRELOAD", library)
        .with_env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .with_env("DONT_FAKE_MONOTONIC", "1")
        .with_env("NO_FAKE_STAT", "1")
        .with_env("FAKETIME_NO_CACHE", "1")
}

const WRONG: [&str; 4] = [
    "@1970-01-01 00:00:10",
    "@2100-06-01 12:00:00",
    "-2h",
    "+20m",
];

#[test]
fn a_clock_that_is_years_off_is_corrected_once_and_uploads() {
    let Some(library) = faketime() else { return };
    for wrong in WRONG {
        let server = S3Server::start(S3Options::default());
        let transfer = json!({ "multipart_threshold": "8MiB", "part_size": "5MiB" });
        let agent = Agent::new(&server).with_job(json!({ "transfer": transfer }));
        let agent = under(agent, library).with_env("FAKETIME", wrong);
        for n in 0..5 {
            agent.write_file(format!("{n}"), 1000, n);
        }
        agent.write_file("large", 9 << 20, 9);
        let output = agent.run(&["once", "--give-up", "30s"]).expect_code(0);
        assert!(
            output.took < Duration::from_secs(20),
            "{wrong}: {output:#?}"
        );
        for n in 0..5 {
            let path = server.object_path(BUCKET, &format!("{n}"));
            assert!(holds_content(&path, 1000, n), "{wrong}: {n}");
        }
        assert!(holds_content(
            &server.object_path(BUCKET, "large"),
            9 << 20,
            9
        ));
        let corrected = agent.events_of("clock_corrected");
        assert_eq!(corrected.len(), 1, "{wrong}: {corrected:?}");
        assert!(agent.events_of("job_blocked").is_empty(), "{wrong}");
        let refused = server
            .requests()
            .iter()
            .filter(|r| r.status != Some(200))
            .count();
        assert_eq!(refused, 1, "{wrong}: the offset is kept");
        assert_eq!(agent.history().len(), 6, "{wrong}");
    }
}

#[test]
fn a_clock_that_is_a_little_off_is_nobodys_business() {
    let Some(library) = faketime() else { return };
    for off in ["-5m", "+10m"] {
        let server = S3Server::start(S3Options::default());
        let agent = under(Agent::new(&server), library).with_env("FAKETIME", off);
        agent.write_file("a", 1000, 1);
        agent.once().expect_code(0);
        assert!(agent.events_of("clock_corrected").is_empty(), "{off}");
    }
}

#[test]
fn a_clock_in_1970_uploads_over_tls() {
    let Some(library) = faketime() else { return };
    let server = S3Server::start(S3Options::default());
    let front = TlsFront::start(server.address());
    let agent = Agent::with_endpoint(&format!("https://{}", front.address()));
    let ca = agent.folder().join("ca.pem");
    front.write_certificate(&ca);
    let agent = agent.with_job(json!({ "tls_options": { "ca_file": ca } }));
    let agent = under(agent, library).with_env("FAKETIME", WRONG[0]);
    agent.write_file("a", 1000, 1);
    agent.run(&["once", "--give-up", "10s"]).expect_code(0);
    assert!(holds_content(&server.object_path(BUCKET, "a"), 1000, 1));
    assert_eq!(agent.events_of("clock_corrected").len(), 1);

    // No certificate is valid in a far future; the message says what to do.
    let ahead = under(agent, library).with_env("FAKETIME", WRONG[1]);
    ahead.write_file("b", 1000, 2);
    ahead.run(&["once", "--give-up", "1s"]).expect_code(75);
    let failed = ahead.events_of("connection_failed");
    assert_eq!(
        failed[0]["error"]["code"], "CertificateExpired",
        "{failed:?}"
    );
    let hint = failed[0]["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("clock"), "{hint}");
}

/// Each pass finds one new file, so each leaves one event.
#[test]
fn a_step_of_the_clock_neither_skips_nor_repeats_a_pass() {
    let Some(library) = faketime() else { return };
    let interval = Duration::from_secs(2);
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({ "interval": "2s" }));
    let control = agent.folder().join("faketime");
    let set = |offset: &str| {
        let new = control.with_extension("new");
        std::fs::write(&new, format!("{offset}\n")).unwrap();
        std::fs::rename(&new, &control).unwrap();
    };
    set("+0");
    let agent =
        under(agent, library).with_env("FAKETIME_TIMESTAMP_FILE", control.to_str().unwrap());
    agent.write_file("0", 100, 0);
    let running = agent.start();
    running.wait_for_events("pass_finished", 1, SOON);
    let mut last = Instant::now();
    let steps = ["+0", "+2h", "+2h", "-2h", "-2h", "+0"];
    for (number, offset) in (1..).zip(steps) {
        set(offset);
        agent.write_file(format!("{number}"), 100, number);
        running.wait_for_events("pass_finished", number as usize + 1, SOON);
        let took = last.elapsed();
        last = Instant::now();
        assert!(
            took > interval / 2 && took < interval * 5,
            "{offset}: a pass after {took:?}: {:?}",
            agent.events()
        );
    }
    let corrected = agent.events_of("clock_corrected");
    // To +2 h, to -2 h, and back.
    assert_eq!(corrected.len(), 3, "{corrected:?}");
    assert_eq!(running.stop().code(), Some(0));
    assert_eq!(server.keys(BUCKET).len(), 7);
}
