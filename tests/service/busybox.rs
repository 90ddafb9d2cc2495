//! The init script of BusyBox and System V, on a machine of BusyBox alone, and the line for cron.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::machine::{
    CONFIG, Done, Files, Init, Machine, REFUSED_BY_THE_SERVICE, SOURCE, STATE, config, service_file,
};
use crate::support::files::holds_content;
use crate::support::proxy::{FaultProxy, Plan};
use crate::support::server::{BUCKET, S3Options, S3Server};

const SCRIPT: &str = "/etc/init.d/S90s3ferry";
const PIDFILE: &str = "/var/run/s3ferry.pid";

fn files() -> Option<Files> {
    let files = Files::new(Init::BusyBox)?;
    files.install("s3ferry.sysv", SCRIPT, 0o755);
    Some(files)
}

fn act(machine: &Machine, action: &str) -> Done {
    machine.run(&format!("{SCRIPT} {action}"))
}

/// A machine whose service runs and has sent its first file to `endpoint`.
fn running_service(server: &S3Server, endpoint: &str) -> Option<Machine> {
    let machine = files()?.boot();
    machine.configure(&config(endpoint));
    machine.write_source("first", 1000, 1);
    act(&machine, "start").expect_code(0);
    machine.wait_for_events("upload_finished", 1);
    assert!(holds_content(&server.object_path(BUCKET, "first"), 1000, 1));
    Some(machine)
}

#[test]
fn every_action_ends_with_the_code_of_lsb() {
    let server = S3Server::start(S3Options::default());
    let Some(machine) = files().map(Files::boot) else {
        return;
    };
    // The machine has started everything once, and s3ferry is not configured yet.
    assert!(
        machine
            .read("/var/log/start")
            .contains(&format!("there is no {CONFIG}"))
    );
    act(&machine, "start").expect_code(6);
    act(&machine, "status").expect_code(3);
    act(&machine, "stop").expect_code(0);
    act(&machine, "reload").expect_code(7);
    act(&machine, "try-restart").expect_code(0);
    act(&machine, "dance").expect_code(2);
    act(&machine, "").expect_code(2);
    assert_eq!(machine.service_pids(), Vec::<u32>::new());

    machine.configure(&config(&server.endpoint()));
    machine.write_source("a", 1000, 1);
    let started = act(&machine, "start").expect_code(0);
    let pid = machine.service_pid();
    assert!(
        started.stdout.contains(&format!("started, process {pid}")),
        "{started:#?}"
    );
    assert_eq!(machine.read(PIDFILE).trim(), pid.to_string());
    machine.wait_for_events("upload_finished", 1);
    assert!(holds_content(&server.object_path(BUCKET, "a"), 1000, 1));
    act(&machine, "status").expect_code(0);

    let again = act(&machine, "start").expect_code(0);
    assert!(again.stdout.contains("already running"), "{again:#?}");
    assert_eq!(machine.service_pid(), pid);

    act(&machine, "restart").expect_code(0);
    let next = machine.service_pid();
    assert_ne!(next, pid);
    assert_eq!(machine.events_of("service_stopped").len(), 1);
    act(&machine, "try-restart").expect_code(0);
    assert_ne!(machine.service_pid(), next);

    act(&machine, "stop").expect_code(0);
    assert_eq!(machine.service_pids(), Vec::<u32>::new());
    assert!(!machine.host_path(PIDFILE).exists());
    act(&machine, "status").expect_code(3);
    act(&machine, "stop").expect_code(0);
    act(&machine, "force-reload").expect_code(0);
    machine.service_pid();
}

#[test]
fn a_reload_takes_a_good_configuration_and_refuses_a_bad_one() {
    let server = S3Server::start(S3Options::default());
    let Some(machine) = running_service(&server, &server.endpoint()) else {
        return;
    };
    let pid = machine.service_pid();
    let mut better = config(&server.endpoint());
    better["jobs"][0]["prefix"] = json!("site-7/");
    machine.configure(&better);
    act(&machine, "reload").expect_code(0);
    machine.wait_for_events("configuration_reloaded", 1);
    machine.write_source("second", 1000, 2);
    machine
        .run("kill -USR1 $(cat /var/run/s3ferry.pid)")
        .expect_code(0);
    machine.wait_for_events("upload_finished", 2);
    assert!(server.keys(BUCKET).contains("site-7/second"));

    // What only the service itself finds.
    for (change, reason) in REFUSED_BY_THE_SERVICE {
        let mut refused = better.clone();
        change(&mut refused);
        machine.configure(&refused);
        for action in ["reload", "force-reload"] {
            let told = act(&machine, action).expect_code(6);
            let said = |part: &str| told.stderr.contains(part);
            assert!(said(reason), "{told:#?}");
            assert!(said("the old configuration stays in force: "), "{told:#?}");
        }
    }
    machine.configure(&better);
    let taken = act(&machine, "reload").expect_code(0);
    assert!(taken.stdout.contains("has read its"), "{taken:#?}");

    let mut bad = better.clone();
    bad["jobs"][0]["interval"] = json!("soon");
    machine.configure(&bad);
    for action in ["reload", "force-reload", "restart", "try-restart"] {
        let refused = act(&machine, action).expect_code(6);
        let place = format!("{CONFIG}:1:");
        assert!(refused.stderr.contains(&place), "{action}: {refused:#?}");
        assert!(
            refused.stderr.contains("jobs[0].interval"),
            "{action}: {refused:#?}"
        );
        assert_eq!(machine.service_pid(), pid, "{action}");
    }
    machine.write_source("third", 1000, 3);
    machine
        .run("kill -USR1 $(cat /var/run/s3ferry.pid)")
        .expect_code(0);
    machine.wait_for_events("upload_finished", 3);
    act(&machine, "stop").expect_code(0);
    let refused = act(&machine, "start").expect_code(6);
    assert!(refused.stderr.contains("jobs[0].interval"), "{refused:#?}");
    act(&machine, "status").expect_code(3);
}

#[test]
fn a_pidfile_of_a_process_that_is_gone_or_another_keeps_nothing_from_starting() {
    let server = S3Server::start(S3Options::default());
    let Some(machine) = running_service(&server, &server.endpoint()) else {
        return;
    };
    let pid = machine.service_pid();
    machine.run(&format!("kill -9 {pid}")).expect_code(0);
    machine.wait_until("it is gone", || machine.service_pids().is_empty());
    act(&machine, "status").expect_code(1);
    act(&machine, "start").expect_code(0);
    act(&machine, "status").expect_code(0);
    act(&machine, "stop").expect_code(0);

    // The pid has gone to another program since.
    machine
        .run("sleep 1000 >/dev/null 2>&1 & echo $! >/var/run/s3ferry.pid")
        .expect_code(0);
    let other = machine.read(PIDFILE);
    act(&machine, "status").expect_code(1);
    act(&machine, "reload").expect_code(7);
    act(&machine, "stop").expect_code(0);
    machine.run(&format!("kill -0 {other}")).expect_code(0);
    machine.write(PIDFILE, &other);
    act(&machine, "start").expect_code(0);
    assert_ne!(machine.service_pid().to_string(), other.trim());
    machine.run(&format!("kill -0 {other}")).expect_code(0);
    machine.write(PIDFILE, "rubbish\n");
    act(&machine, "status").expect_code(1);
}

/// It ends at once, and the next start goes on with what S3 has.
#[test]
fn a_stop_and_a_poweroff_in_the_middle_of_an_upload_lose_nothing() {
    let server = S3Server::start(S3Options::default());
    let proxy = FaultProxy::start(server.address());
    let Some(mut machine) = running_service(&server, &proxy.endpoint()) else {
        return;
    };
    let mut parts = config(&proxy.endpoint());
    parts["jobs"][0]["transfer"] = json!({ "multipart_threshold": "5MiB", "part_size": "5MiB" });
    machine.configure(&parts);
    act(&machine, "restart").expect_code(0);
    proxy.set_plan(Plan::SlowUpload(4 << 20));
    machine.write_source("large", 24 << 20, 2);
    machine
        .run("kill -USR1 $(cat /var/run/s3ferry.pid)")
        .expect_code(0);
    assert!(server.wait_for_requests(1, Duration::from_secs(60), |r| {
        r.part_number() == Some(1) && r.status == Some(200)
    }));
    let begin = Instant::now();
    act(&machine, "stop").expect_code(0);
    // Two looks of a second each, on a machine that has more to do.
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(machine.service_pids(), Vec::<u32>::new());
    assert!(machine.events_of("upload_finished").len() < 2);

    act(&machine, "start").expect_code(0);
    machine.wait_for_events("upload_resumed", 1);
    let kept = std::fs::read_to_string(machine.host_path(&format!("{STATE}/ledger.jsonl")));
    assert!(kept.unwrap().contains("large"));
    // Process 1 stops every script, and then itself.
    machine
        .run("mkdir -p /data/seen; /bin/busybox poweroff")
        .expect_code(0);
    machine.wait_for_the_end();
    assert!(!server.keys(BUCKET).contains("large"));
    assert_eq!(SOURCE, "/data/backups");
}

#[test]
fn it_runs_as_the_user_of_its_settings_and_makes_that_ones_state_folder() {
    let server = S3Server::start(S3Options::default());
    let Some(files) = files() else {
        return;
    };
    let settings = format!("RUN_AS=s3ferry:s3ferry\nSTATE_DIR={STATE}\nexport KEY=testsecret\n");
    files.write("/etc/default/s3ferry", 0o644, settings);
    let machine = files.boot();
    let mut config = config(&server.endpoint());
    config["jobs"][0]["credentials"]["secret_key"] = json!({ "env": "KEY" });
    machine.configure(&config);
    machine
        .run(&format!("chown s3ferry {CONFIG}; chmod 755 {SOURCE} /data"))
        .expect_code(0);
    machine.write_source("a", 1000, 1);
    act(&machine, "start").expect_code(0);
    machine.wait_for_events("upload_finished", 1);
    let pid = machine.service_pid();
    let status = machine.read(&format!("/proc/{pid}/status"));
    assert!(status.contains("Uid:\t99\t99\t99\t99\n"), "{status}");
    assert!(status.contains("Gid:\t99\t99\t99\t99\n"), "{status}");
    let limits = machine.read(&format!("/proc/{pid}/limits"));
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    assert!(
        core.unwrap().split_whitespace().nth(4) == Some("0"),
        "{limits}"
    );
    let owner = machine
        .run(&format!("stat -c '%U %a' {STATE}"))
        .expect_code(0);
    assert_eq!(owner.stdout, "s3ferry 750\n");
    act(&machine, "stop").expect_code(0);
}

#[test]
fn a_start_beside_one_by_hand_fails_and_says_why() {
    let server = S3Server::start(S3Options::default());
    let Some(machine) = files().map(Files::boot) else {
        return;
    };
    machine.configure(&config(&server.endpoint()));
    machine
        .run(&format!("s3ferry run -c {CONFIG} >/dev/null 2>&1 &"))
        .expect_code(0);
    machine.wait_for_events("service_started", 1);
    let pid = machine.service_pid();
    let refused = act(&machine, "start").expect_code(1);
    assert!(
        refused.stderr.contains(&format!("running, process {pid},")),
        "{refused:#?}"
    );
    let said = "s3ferry is already running on this state directory";
    assert!(refused.stderr.contains(said), "{refused:#?}");
    assert_eq!(machine.service_pid(), pid);
    assert!(!machine.host_path(PIDFILE).exists());
    act(&machine, "status").expect_code(3);
}

/// A folder whose file system is full but for names.
const FULL: &str = "mkdir -p /full && mount -t tmpfs -o size=64k,mode=1777 tmpfs /full \
    && mkdir -m 777 /full/state && ! dd if=/dev/zero of=/full/fill 2>/dev/null";

/// Root could do all of it; the user of the service cannot, and is told so. A service that works is
/// not stopped for it.
#[test]
fn what_keeps_the_services_user_from_starting_is_said_and_stops_nothing_that_works() {
    let server = S3Server::start(S3Options::default());
    let Some(files) = files() else {
        return;
    };
    let machine = files.boot();
    let settings = |user: &str| {
        machine
            .run(&format!(
                "mkdir -p /etc/default; echo RUN_AS={user} >/etc/default/s3ferry"
            ))
            .expect_code(0);
    };
    let configure = |change: &dyn Fn(&mut serde_json::Value), mine: &str| {
        let mut config = config(&server.endpoint());
        change(&mut config);
        machine.configure(&config);
        machine
            .run(&format!("chown {mine} {CONFIG}"))
            .expect_code(0);
    };
    machine
        .run(&format!(
            "chmod 755 {SOURCE} /data; mkdir {STATE}; chown s3ferry {STATE}"
        ))
        .expect_code(0);
    machine
        .run("echo secret >/etc/s3ferry/secret; chmod 600 /etc/s3ferry/secret")
        .expect_code(0);
    machine.run(FULL).expect_code(0);
    settings("s3ferry");
    configure(&|_| (), "s3ferry");
    act(&machine, "start").expect_code(0);
    let pid = machine.service_pid();

    let refused = |name: &str, code: i32, reasons: &[&str], starts: &[&str]| {
        for action in starts {
            let refused = act(&machine, action).expect_code(code);
            for reason in reasons {
                assert!(
                    refused.stderr.contains(reason),
                    "{name}: {action}: {refused:#?}"
                );
            }
        }
    };
    type Case<'a> = (&'a str, &'a dyn Fn(), i32, &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (
            "the configuration is root's",
            &|| configure(&|_| (), "root"),
            6,
            &[CONFIG, "cannot read it: Permission denied"],
        ),
        (
            "a secret is root's",
            &|| {
                let secret = json!({ "file": "/etc/s3ferry/secret" });
                configure(
                    &|config| config["jobs"][0]["credentials"]["secret_key"] = secret.clone(),
                    "s3ferry",
                );
            },
            6,
            &["cannot read `/etc/s3ferry/secret`: Permission denied"],
        ),
        (
            "the state directory cannot be made",
            &|| {
                configure(
                    &|config| config["state_dir"] = json!("/root/state"),
                    "s3ferry",
                );
            },
            1,
            &["state_dir: cannot write into folder", "Permission denied"],
        ),
        (
            "the state directory is full",
            &|| {
                configure(
                    &|config| config["state_dir"] = json!("/full/state"),
                    "s3ferry",
                );
            },
            1,
            &["/full/state", "No space left on device", "make room"],
        ),
        (
            "there is no such user",
            &|| {
                configure(&|_| (), "s3ferry");
                settings("nobody-here");
            },
            6,
            &["RUN_AS=nobody-here", "/etc/default/s3ferry"],
        ),
        (
            "there is no such group",
            &|| settings("s3ferry:nobodies"),
            6,
            &["RUN_AS=s3ferry:nobodies"],
        ),
    ];
    for (name, prepare, code, reasons) in cases {
        prepare();
        refused(name, *code, reasons, &["restart", "try-restart"]);
        assert_eq!(machine.service_pid(), pid, "{name}");
        settings("s3ferry");
    }
    act(&machine, "stop").expect_code(0);
    for (name, prepare, code, reasons) in cases {
        prepare();
        refused(name, *code, reasons, &["start"]);
        act(&machine, "status").expect_code(3);
        settings("s3ferry");
    }
    act(&machine, "start").expect_code(0);
}

/// What no check sees beforehand.
#[test]
fn what_a_service_says_that_ends_at_once_is_shown() {
    let server = S3Server::start(S3Options::default());
    let Some(files) = files() else {
        return;
    };
    let machine = files.boot();
    machine.configure(&config(&server.endpoint()));
    // As a run by hand holds it.
    machine.run(&format!("mkdir -p {STATE}")).expect_code(0);
    let lock = std::fs::File::create(machine.host_path(&format!("{STATE}/lock"))).unwrap();
    lock.lock().unwrap();
    let refused = act(&machine, "start").expect_code(1);
    for part in ["did not start:", "ended with exit code 69"] {
        assert!(refused.stderr.contains(part), "{part}: {refused:#?}");
    }
    assert_eq!(machine.service_pids(), Vec::<u32>::new());
}

#[test]
fn without_the_program_nothing_is_installed() {
    let Some(files) = files() else {
        return;
    };
    files.write("/etc/default/s3ferry", 0o644, "DAEMON=/opt/s3ferry\n");
    let machine = files.boot();
    act(&machine, "start").expect_code(5);
    act(&machine, "stop").expect_code(0);
    act(&machine, "status").expect_code(4);
}

/// The line's command and its schedule.
fn cron_line() -> (String, String) {
    let text = service_file("s3ferry.cron");
    let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
    let words: Vec<&str> = line.splitn(6, ' ').collect();
    (words[..5].join(" "), words[5].to_owned())
}

#[test]
fn the_line_for_cron_sends_logs_and_keeps_out_of_the_service() {
    let server = S3Server::start(S3Options::default());
    let Some(machine) = files().map(Files::boot) else {
        return;
    };
    machine.configure(&config(&server.endpoint()));
    machine.run("syslogd -O /var/log/messages").expect_code(0);
    machine.wait_until("syslogd listens", || machine.host_path("/dev/log").exists());
    machine.write_source("a", 1000, 1);
    let (schedule, command) = cron_line();
    assert_eq!(schedule, "17 * * * *");
    let logs = |what: &str| machine.read("/var/log/messages").contains(what);

    // As cron calls it, at the next minute instead of the next hour.
    machine
        .run("mkdir -p /etc/crontabs /var/spool/cron")
        .expect_code(0);
    machine.write("/etc/crontabs/root", format!("* * * * * {command}\n"));
    machine
        .run("crond -c /etc/crontabs -L /var/log/cron")
        .expect_code(0);
    let deadline = Instant::now() + Duration::from_secs(90);
    while machine.events_of("upload_finished").is_empty() {
        assert!(
            Instant::now() < deadline,
            "{}",
            machine.read("/var/log/cron")
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    machine.run("kill $(pidof crond)").expect_code(0);
    assert!(holds_content(&server.object_path(BUCKET, "a"), 1000, 1));
    machine.wait_until("its log is in syslog", || {
        logs("s3ferry: ") && logs("1 file uploaded")
    });

    act(&machine, "start").expect_code(0);
    machine.run(&command);
    machine.wait_until("the second one says so", || logs("already running"));
    machine
        .run(&format!("s3ferry once -c {CONFIG}"))
        .expect_code(69);
}
