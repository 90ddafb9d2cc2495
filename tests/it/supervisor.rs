//! What a supervisor is told and shown: sd_notify's datagrams on a real socket, and the journal's
//! priorities.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::agent::{Agent, SOON};
use crate::support::files::holds_content;
use crate::support::proxy::{FaultProxy, Plan};
use crate::support::running::Running;
use crate::support::server::{BUCKET, S3Options, S3Server};

/// A second's watchdog wants a sign of life twice a second.
const SECOND: &str = "1000000";

/// Where a connection stalls, in bytes.
const STALL: u64 = 1 << 20;

/// Stands where systemd stands.
struct Listener {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Listener {
    fn of(agent: &Agent) -> Listener {
        Listener::from(UnixDatagram::bind(agent.folder().join("notify")).unwrap())
    }

    fn from(socket: UnixDatagram) -> Listener {
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        Listener {
            socket,
            heard: Vec::new(),
        }
    }

    /// The next datagram; `None` when there is none for now.
    fn next(&mut self) -> Option<String> {
        let mut buffer = [0; 4097];
        match self.socket.recv(&mut buffer) {
            Ok(length) => {
                assert!(length <= 4096, "systemd would drop {length} bytes");
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                self.heard.push(text.clone());
                Some(text)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The first datagram from now on that begins so.
    #[track_caller]
    fn wait_for(&mut self, beginning: &str, running: &Running) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(text) = self.next().filter(|text| text.starts_with(beginning)) {
                return text;
            }
            let heard = &self.heard;
            assert!(
                Instant::now() < deadline,
                "no `{beginning}` in {heard:?}: {}",
                running.stderr()
            );
        }
    }

    /// How many signs of life there were in that time.
    fn beats_within(&mut self, time: Duration) -> usize {
        let (deadline, before) = (Instant::now() + time, self.heard.len());
        while Instant::now() < deadline {
            self.next();
        }
        let new = &self.heard[before..];
        new.iter().filter(|text| *text == "WATCHDOG=1").count()
    }
}

fn supervised(agent: Agent) -> Agent {
    let socket = agent.folder().join("notify");
    agent.with_env("NOTIFY_SOCKET", socket.to_str().unwrap())
}

#[test]
fn a_supervisor_hears_of_start_work_reload_and_stop() {
    let server = S3Server::start(S3Options::default());
    let mut agent = supervised(Agent::new(&server));
    let mut listener = Listener::of(&agent);
    let running = agent.spawn();
    listener.wait_for("READY=1", &running);
    let idle = listener.wait_for("STATUS=job: waiting, next ", &running);
    assert_eq!(idle.lines().count(), 1);

    agent = agent.with_job(json!({ "interval": "2h" }));
    agent.write_config();
    running.signal(Signal::HUP);
    let reloading = listener.wait_for("RELOADING=1\nMONOTONIC_USEC=", &running);
    let at: u64 = reloading.split('=').next_back().unwrap().parse().unwrap();
    let now = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = now.split(' ').next().unwrap().parse().unwrap();
    let apart = uptime - at as f64 / 1e6;
    assert!(apart.abs() < SOON.as_secs_f64(), "{at} but {uptime} s");
    listener.wait_for("READY=1", &running);

    std::fs::write(agent.config_path(), "{ \"jobs\": 7 }").unwrap();
    running.signal(Signal::HUP);
    listener.wait_for("RELOADING=1", &running);
    listener.wait_for("STATUS=the old configuration stays in force: ", &running);
    listener.wait_for("READY=1", &running);

    running.signal(Signal::TERM);
    listener.wait_for("STOPPING=1", &running);
    assert_eq!(running.stop().code(), Some(0));
    assert!(!listener.heard.contains(&"WATCHDOG=1".to_owned()));
}

#[test]
fn an_abstract_socket_is_spoken_to_as_well() {
    let server = S3Server::start(S3Options::default());
    let name = format!("s3ferry-supervisor-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let mut listener = Listener::from(UnixDatagram::bind_addr(&address).unwrap());
    let agent = Agent::new(&server).with_env("NOTIFY_SOCKET", &format!("@{name}"));
    let running = agent.spawn();
    listener.wait_for("READY=1", &running);
    assert_eq!(running.stop().code(), Some(0));
}

/// Slow, limited, at a stall, and with a large file on a fast line: wherever the one thread is.
#[test]
fn the_watchdog_hears_from_inside_an_upload() {
    let slow = json!({ "transfer": { "bandwidth_limit": "300KiB/s" } });
    let cases = [
        (Plan::SlowUpload(500_000), json!({})),
        (Plan::StallAfter(STALL), json!({})),
        (Plan::Pass, slow),
    ];
    for (plan, transfer) in cases {
        let server = S3Server::start(S3Options::default());
        let proxy = FaultProxy::start(server.address());
        proxy.set_plan(plan);
        let agent = supervised(Agent::with_endpoint(&proxy.endpoint()))
            .with_job(transfer)
            .with_env("WATCHDOG_USEC", SECOND);
        agent.write_file("large", 8 << 20, 1);
        let mut listener = Listener::of(&agent);
        let running = agent.start();
        running.wait_for_event("upload_started", SOON);
        if plan != Plan::StallAfter(STALL) {
            let status = listener.wait_for("STATUS=job: working, ", &running);
            let told = status.contains("large (") && status.contains(" % of 8 MiB");
            assert!(told, "{status}");
        }
        let beats = listener.beats_within(Duration::from_secs(3));
        assert!(beats >= 3, "{plan:?}: {beats} in {:?}", listener.heard);
        assert!(agent.history().is_empty(), "{plan:?}: the upload is over");
        assert_eq!(running.info().threads(), Some(1));
        assert_eq!(running.stop().code(), Some(0));
    }
}

#[test]
fn the_watchdog_hears_from_an_idle_service_and_only_if_it_is_ours() {
    let other = std::process::id().to_string();
    for (environment, expected) in [
        (vec![("WATCHDOG_USEC", SECOND)], true),
        (
            vec![("WATCHDOG_USEC", SECOND), ("WATCHDOG_PID", &other)],
            false,
        ),
        (vec![], false),
    ] {
        let server = S3Server::start(S3Options::default());
        let mut agent = supervised(Agent::new(&server));
        for (name, value) in environment {
            agent.set_env(name, value);
        }
        let mut listener = Listener::of(&agent);
        let running = agent.spawn();
        listener.wait_for("STATUS=job: waiting", &running);
        let (sleeps, begin) = (running.at_rest(), Instant::now());
        let beats = listener.beats_within(Duration::from_secs(3));
        let woke = running.info().sleeps().unwrap() - sleeps;
        if expected {
            assert!(beats >= 3, "{:?}", listener.heard);
            let most = begin.elapsed().as_secs() * 2 + 2;
            assert!(woke <= most, "{woke} wake-ups for {beats} signs of life");
        } else {
            assert_eq!((beats, woke), (0, 0), "{:?}", listener.heard);
        }
        assert_eq!(running.stop().code(), Some(0));
    }
}

/// `check` and `once` in a unit of their own are not the service.
#[test]
fn only_the_service_speaks_to_the_supervisor() {
    let server = S3Server::start(S3Options::default());
    let agent = supervised(Agent::new(&server)).with_env("WATCHDOG_USEC", SECOND);
    let mut listener = Listener::of(&agent);
    agent.write_file("a", 1000, 1);
    agent.run(&["check"]).expect_code(0);
    agent.once().expect_code(0);
    assert_eq!(listener.next(), None);
    assert!(holds_content(&server.object_path(BUCKET, "a"), 1000, 1));
}

/// systemd hands the variable on to everything that a unit starts; it counts where standard error
/// is the stream that it names.
#[test]
fn priorities_stand_before_the_lines_of_the_journal_alone() {
    for is_journal in [true, false] {
        let server = S3Server::start(S3Options::default());
        let mut agent = Agent::new(&server);
        agent.write_file("a", 1000, 1);
        // Here the journal is the file that the runner leads standard error to.
        let stderr = agent.folder().join("command.stderr");
        std::fs::write(&stderr, "").unwrap();
        let metadata = std::fs::metadata(&stderr).unwrap();
        let inode = metadata.ino() + u64::from(!is_journal);
        agent.set_env("JOURNAL_STREAM", &format!("{}:{inode}", metadata.dev()));
        let output = agent.once().expect_code(0);
        let lines = |beginning| {
            output
                .stderr
                .lines()
                .any(|line| line.starts_with(beginning))
        };
        // The warning is of the configuration, which is open to all and has the key in it.
        for priority in ["<6>[INFO] ", "<4>[WARN] "] {
            assert_eq!(lines(priority), is_journal, "{output:#?}");
        }
        assert_eq!(lines("20"), !is_journal, "{output:#?}");
    }
}

/// A disk that is mounted later than the service starts blocks its job until then, and ends nothing.
#[test]
fn a_service_starts_before_its_disk_is_there_and_sends_when_it_comes() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({ "interval": "1s" }));
    std::fs::remove_dir(agent.source()).unwrap();
    let running = agent.start();
    let blocked = running.wait_for_event("job_blocked", SOON);
    assert_eq!(blocked["error"]["class"], "local");
    // The event is written at once, the status when the pass is over.
    let state =
        || agent.run(&["status", "--json"]).json_lines().remove(0)["jobs"][0]["state"].clone();
    let deadline = Instant::now() + SOON;
    while state() != "blocked" {
        assert!(Instant::now() < deadline, "{}", running.stderr());
    }
    std::fs::create_dir(agent.source()).unwrap();
    agent.write_file("a", 1000, 1);
    running.wait_for_event("job_unblocked", SOON);
    running.wait_for_event("upload_finished", SOON);
    assert_eq!(running.stop().code(), Some(0));
    assert_eq!(agent.events_of("job_blocked").len(), 1);
}

/// A service is not stopped by a credential that systemd hands over with 0440.
#[test]
fn a_credential_of_systemd_is_a_secret_file() {
    use std::os::unix::fs::PermissionsExt;
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let folder = agent.folder().join("credentials");
    std::fs::create_dir(&folder).unwrap();
    let secret = folder.join("secret_key");
    let key = agent.config["jobs"][0]["credentials"]["secret_key"].clone();
    std::fs::write(&secret, key.as_str().unwrap()).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o440)).unwrap();
    let mut agent = agent.with_job(json!({ "credentials": { "secret_key": { "file": secret } } }));
    agent.write_file("a", 1000, 1);
    let refused = agent.once().expect_code(78);
    assert!(refused.stderr.contains("chmod 600"), "{refused:#?}");
    agent.set_env("CREDENTIALS_DIRECTORY", folder.to_str().unwrap());
    agent.once().expect_code(0);
    assert!(holds_content(&server.object_path(BUCKET, "a"), 1000, 1));
}
