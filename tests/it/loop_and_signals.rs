//! The service over time: signals, pauses, one instance, one thread, silence when idle.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::agent::{Agent, SOON};
use crate::support::files::holds_content;
use crate::support::proxy::{FaultProxy, Plan};
use crate::support::running::Running;
use crate::support::server::{BUCKET, S3Options, S3Server};

/// A second for the program, and as much again for a busy test machine.
const PROMPTLY: Duration = Duration::from_secs(2);

/// Long enough for a wrong upload to show.
const A_WHILE: Duration = Duration::from_millis(700);

fn server() -> S3Server {
    S3Server::start(S3Options::default())
}

/// A service that has carried `first` over and waits for the next hour.
fn idle_service(agent: &Agent) -> Running {
    agent.write_file("first", 100, 1);
    let running = agent.start();
    running.wait_for_event("pass_finished", SOON);
    running
}

/// The object comes although the interval is an hour.
fn pass_brings(agent: &Agent, running: &Running, server: &S3Server, name: &str) {
    agent.write_file(name, 100, 1);
    running.signal(Signal::USR1);
    let came = server.wait_for_requests(1, SOON, |r| {
        r.path.ends_with(&format!("/{name}")) && r.status == Some(200)
    });
    assert!(came, "{name}: {}", running.stderr());
}

#[test]
fn term_and_int_stop_an_idle_service_promptly() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = server();
        let agent = Agent::new(&server);
        let mut running = idle_service(&agent);
        running.signal(signal);
        assert_eq!(running.wait(PROMPTLY).code(), Some(0), "{signal:?}");
        assert_eq!(agent.events_of("service_stopped").len(), 1);
    }
}

#[test]
fn term_stops_in_the_middle_of_an_upload_and_the_file_is_sent_later() {
    let plans = [Plan::SlowUpload(500_000), Plan::StallAfter(1 << 20)];
    for plan in plans {
        let server = server();
        let proxy = FaultProxy::start(server.address());
        proxy.set_plan(plan);
        let agent = Agent::with_endpoint(&proxy.endpoint());
        let size = 8 << 20;
        agent.write_file("large", size, 1);
        let mut running = agent.start();
        running.wait_for_event("upload_started", SOON);
        std::thread::sleep(A_WHILE);
        let begin = Instant::now();
        running.signal(Signal::TERM);
        assert_eq!(running.wait(SOON).code(), Some(0), "{plan:?}");
        assert!(
            begin.elapsed() < PROMPTLY,
            "{plan:?}: {:?}",
            begin.elapsed()
        );
        assert!(server.keys(BUCKET).is_empty(), "{plan:?}");

        proxy.set_plan(Plan::Pass);
        agent.once().expect_code(0);
        assert!(holds_content(&server.object_path(BUCKET, "large"), size, 1));
    }
}

#[test]
fn usr1_is_a_pass_now() {
    let server = server();
    let agent = Agent::new(&server);
    let running = idle_service(&agent);
    pass_brings(&agent, &running, &server, "second");
    assert_eq!(running.stop().code(), Some(0));
    assert_eq!(server.keys(BUCKET).len(), 2);
}

#[test]
fn the_interval_brings_the_next_pass() {
    let server = server();
    let agent = Agent::new(&server).with_job(json!({ "interval": "1s" }));
    let running = idle_service(&agent);
    agent.write_file("second", 100, 1);
    running.wait_for_events("upload_finished", 2, SOON);
}

#[test]
fn hup_takes_a_good_configuration_and_keeps_the_old_one_for_a_bad_one() {
    let server = server();
    let agent = Agent::new(&server);
    let running = idle_service(&agent);

    let agent = agent.with_job(json!({ "prefix": "new/" }));
    agent.write_config();
    running.signal(Signal::HUP);
    running.wait_for_event("configuration_reloaded", SOON);
    pass_brings(&agent, &running, &server, "second");
    assert!(server.object(BUCKET, "new/second").is_some());

    std::fs::write(agent.config_path(), "{ \"jobs\": 7 }").unwrap();
    running.signal(Signal::HUP);
    let rejected = running.wait_for_event("configuration_rejected", SOON);
    assert_ne!(rejected["severity"], "info", "{rejected}");
    pass_brings(&agent, &running, &server, "third");
    assert!(server.object(BUCKET, "new/third").is_some());
    assert_eq!(running.stop().code(), Some(0));
}

#[test]
fn pause_survives_a_restart_and_resume_ends_it() {
    let server = server();
    let agent = Agent::new(&server);
    let running = idle_service(&agent);
    agent.run(&["pause"]).expect_code(0);
    running.wait_for_event("processing_paused", SOON);
    agent.write_file("second", 100, 1);
    running.signal(Signal::USR1);
    std::thread::sleep(A_WHILE);
    assert_eq!(running.stop().code(), Some(0));

    let running = agent.spawn();
    running.wait_for_events("service_started", 2, SOON);
    running.signal(Signal::USR1);
    std::thread::sleep(A_WHILE);
    assert_eq!(
        server.requests().len(),
        1,
        "nothing goes while it is paused"
    );

    agent.run(&["resume"]).expect_code(0);
    running.wait_for_event("processing_resumed", SOON);
    running.signal(Signal::USR1);
    running.wait_for_events("upload_finished", 2, SOON);
    assert_eq!(running.stop().code(), Some(0));
}

#[test]
fn a_pause_before_the_start_holds() {
    let server = server();
    let agent = Agent::new(&server);
    agent.write_file("a", 100, 1);
    agent.run(&["pause"]).expect_code(0);
    agent.once().expect_code(0);
    assert_eq!(server.connections(), 0);
    agent.run(&["resume"]).expect_code(0);
    agent.once().expect_code(0);
    assert_eq!(server.keys(BUCKET).len(), 1);
}

#[test]
fn a_second_instance_is_told_so() {
    let server = server();
    let agent = Agent::new(&server);
    let running = idle_service(&agent);
    for arguments in [["run"], ["once"]] {
        let output = agent.run(&arguments).expect_code(69);
        assert!(output.stderr.contains("already running"), "{output:#?}");
    }
    pass_brings(&agent, &running, &server, "second");
    assert_eq!(running.stop().code(), Some(0));
    agent.once().expect_code(0);
}

#[test]
fn a_lock_left_by_a_killed_service_is_no_lock() {
    let server = server();
    let agent = Agent::new(&server);
    idle_service(&agent).kill();
    agent.once().expect_code(0);
}

#[test]
fn status_tells_whether_it_runs_and_what_each_job_does() {
    let server = server();
    let agent = Agent::new(&server);
    let running = idle_service(&agent);
    let up = agent.run(&["status", "--json"]).expect_code(0);
    assert!(up.stdout.contains(r#""running":true"#), "{up:#?}");
    assert!(agent.run(&["status"]).expect_code(0).stdout.contains("job"));
    assert_eq!(running.stop().code(), Some(0));
    let down = agent.run(&["status", "--json"]);
    assert!(down.stdout.contains(r#""running":false"#), "{down:#?}");
}

#[test]
fn there_is_one_thread_at_every_moment_and_little_memory() {
    let server = server();
    let proxy = FaultProxy::start(server.address());
    proxy.set_plan(Plan::SlowUpload(16 << 20));
    // A name, so that a look-up is part of what is watched.
    let endpoint = proxy.endpoint().replace("127.0.0.1", "localhost");
    let transfer = json!({ "multipart_threshold": "5MiB", "part_size": "5MiB" });
    let agent = Agent::with_endpoint(&endpoint).with_job(json!({ "transfer": transfer }));
    agent.write_file("large", 48 << 20, 1);
    let running = agent.spawn();
    let info = running.info();
    let mut samples = 0;
    let deadline = Instant::now() + SOON;
    while agent.events_of("upload_finished").is_empty() {
        assert!(
            info.is_alive() && Instant::now() < deadline,
            "{}",
            running.stderr()
        );
        assert_eq!(info.threads(), Some(1), "{}", running.stderr());
        samples += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(samples > 100, "{samples}");
    let peak = info.peak_rss().unwrap();
    // A debug build's figure, and it is still far below the file's size.
    assert!(peak < 24 << 20, "{peak} bytes for a file of 48 MiB");
    assert_eq!(running.stop().code(), Some(0));
}

#[test]
fn an_idle_service_sleeps_and_writes_nothing() {
    let server = server();
    let agent = Agent::new(&server);
    let running = idle_service(&agent);
    let last = running.at_rest();
    let info = running.info();
    let written = written_at(&agent);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(info.sleeps(), Some(last), "it woke up");
    assert!(info.is_asleep());
    assert_eq!(written_at(&agent), written);
    assert_eq!(running.stop().code(), Some(0));
}

/// Names and modification times in the state folder, in order.
fn written_at(agent: &Agent) -> Vec<(String, std::time::SystemTime)> {
    let entries = std::fs::read_dir(agent.state()).unwrap();
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|e| {
            (
                e.file_name().into_string().unwrap(),
                e.metadata().unwrap().modified().unwrap(),
            )
        })
        .collect();
    found.sort();
    found
}

#[test]
fn a_pass_without_work_leaves_no_event() {
    let server = server();
    let agent = Agent::new(&server);
    let running = idle_service(&agent);
    let kinds = |events: Vec<Value>| events.len();
    let before = kinds(agent.events());
    for _ in 0..3 {
        running.signal(Signal::USR1);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(kinds(agent.events()), before, "{:?}", agent.events());
    assert_eq!(running.stop().code(), Some(0));
}

#[test]
fn the_plan_of_a_paused_job_says_that_nothing_is_sent() {
    let server = server();
    let agent = Agent::new(&server);
    agent.write_file("a", 100, 1);
    agent.run(&["pause"]).expect_code(0);
    let plan = agent.run(&["plan"]).expect_code(0);
    assert!(plan.stdout.contains("nothing is sent"), "{plan:#?}");
    agent.once().expect_code(0);
    assert!(server.keys(BUCKET).is_empty());
}

#[test]
fn a_reload_opens_windows_at_once_and_the_status_goes_on() {
    let server = server();
    let hour = time::OffsetDateTime::now_utc().hour();
    let window = format!("{:02}:00-{:02}:00", (hour + 3) % 24, (hour + 4) % 24);
    let mut agent = Agent::new(&server).with_job(json!({ "windows": [window] }));
    agent.write_file("a", 100, 1);
    let running = agent.start();
    let status = || agent.run(&["status", "--json"]).json_lines().remove(0);
    let deadline = Instant::now() + SOON;
    let before = loop {
        let found = status();
        if found["jobs"][0]["state"] == "outside_window" {
            break found;
        }
        assert!(Instant::now() < deadline, "{found}");
        std::thread::sleep(Duration::from_millis(10));
    };
    agent = agent.with_job(json!({ "windows": null }));
    agent.write_config();
    running.signal(Signal::HUP);
    running.wait_for_event("upload_finished", SOON);
    let deadline = Instant::now() + SOON;
    loop {
        let found = agent.run(&["status", "--json"]).json_lines().remove(0);
        assert_eq!(found["started_at"], before["started_at"]);
        if found["jobs"][0]["state"] == "waiting" && !found["jobs"][0]["next_pass"].is_null() {
            break;
        }
        assert!(Instant::now() < deadline, "{found}");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(running.stop().code(), Some(0));
}
