//! The units, under systemd as process 1.

use std::time::Duration;

use serde_json::{Value, json};

use crate::machine::{CONFIG, Files, Init, Machine, REFUSED_BY_THE_SERVICE, SOURCE, STATE, config};
use crate::support::files::holds_content;
use crate::support::proxy::{FaultProxy, Plan};
use crate::support::server::{ACCESS_KEY, BUCKET, S3Options, S3Server, SECRET_KEY};

const UNIT: &str = "/etc/systemd/system/s3ferry.service";
/// Of 10, where less is better; what is left over is the network, which the program is for.
const EXPOSURE: &str = "20";

fn files() -> Option<Files> {
    let files = Files::new(Init::Systemd)?;
    for unit in [
        "s3ferry.service",
        "s3ferry-once.service",
        "s3ferry-once.timer",
    ] {
        files.install(unit, &format!("/etc/systemd/system/{unit}"), 0o644);
    }
    Some(files)
}

/// With the user of the unit, and its configuration.
fn machine(files: Files, config: &Value) -> Machine {
    let machine = files.boot();
    machine
        .run("useradd --system --no-create-home s3ferry")
        .expect_code(0);
    machine.configure(config);
    machine
        .run(&format!("chown s3ferry {CONFIG}; chmod 755 {SOURCE} /data"))
        .expect_code(0);
    machine
}

fn property(machine: &Machine, name: &str) -> String {
    let shown = machine.run(&format!("systemctl show -P {name} s3ferry"));
    shown.expect_code(0).stdout.trim().to_owned()
}

/// Comes back when the service has said that it is ready.
#[track_caller]
fn start(machine: &Machine) {
    let started = machine.run("systemctl start s3ferry");
    let journal = || {
        machine
            .run("journalctl -u s3ferry -o cat --no-pager")
            .stdout
    };
    assert_eq!(started.code, Some(0), "{started:#?}\n{}", journal());
}

/// Changes the unit as `systemctl edit` does.
fn edit(files: &Files, text: &str) {
    files.write(&format!("{UNIT}.d/override.conf"), 0o644, text);
}

#[test]
fn the_units_are_right_and_hardened() {
    let Some(machine) = files().map(Files::boot) else {
        return;
    };
    for unit in [
        "s3ferry.service",
        "s3ferry-once.service",
        "s3ferry-once.timer",
    ] {
        let verified = machine.run(&format!(
            "systemd-analyze verify /etc/systemd/system/{unit}"
        ));
        let verified = verified.expect_code(0);
        assert_eq!(verified.stderr, "", "{unit}");
    }
    for unit in ["s3ferry.service", "s3ferry-once.service"] {
        machine
            .run(&format!("systemd-analyze security --offline=yes --threshold={EXPOSURE} --no-pager /etc/systemd/system/{unit}"))
            .expect_code(0);
    }
    // Not configured yet: skipped, and no failure.
    start(&machine);
    assert_eq!(property(&machine, "ConditionResult"), "no");
    assert_eq!(property(&machine, "ActiveState"), "inactive");
}

#[test]
fn it_starts_reloads_answers_and_stops() {
    let server = S3Server::start(S3Options::default());
    let Some(files) = files() else {
        return;
    };
    let mut good = config(&format!("http://localhost:{}", server.port()));
    good["jobs"][0]["credentials"]["secret_key"] =
        json!({ "file": "/run/credentials/s3ferry.service/secret_key" });
    // Root's alone: they reach the service through LoadCredential.
    files.write("/etc/credstore/s3ferry.access_key", 0o600, ACCESS_KEY);
    files.write("/etc/credstore/s3ferry.secret_key", 0o600, SECRET_KEY);
    let machine = machine(files, &good);
    machine.write_source("a", 1000, 1);
    start(&machine);
    assert_eq!(property(&machine, "ActiveState"), "active");
    machine.wait_for_events("upload_finished", 1);
    assert!(holds_content(&server.object_path(BUCKET, "a"), 1000, 1));
    let pid = machine.service_pid();
    assert_eq!(property(&machine, "MainPID"), pid.to_string());
    machine.wait_until("it says what it does", || {
        property(&machine, "StatusText").starts_with("backups: waiting, next ")
    });
    let status = machine.read(&format!("/proc/{pid}/status"));
    for line in [
        "NoNewPrivs:\t1",
        "CapBnd:\t0000000000000000",
        "Seccomp:\t2",
        "Threads:\t1",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    assert!(!status.contains("Uid:\t0"), "{status}");
    let folder = machine
        .run(&format!("stat -c '%U %a' {STATE}"))
        .expect_code(0);
    assert_eq!(folder.stdout, "s3ferry 750\n");
    start(&machine);
    assert_eq!(machine.service_pid(), pid);

    // The keys are there for the look before a reload, too.
    machine.run("systemctl reload s3ferry").expect_code(0);
    machine.wait_for_events("configuration_reloaded", 1);
    let mut better = good.clone();
    better["jobs"][0]["prefix"] = json!("site-7/");
    better["jobs"][0]["credentials"] = json!({ "provider": "systemd" });
    let configure = |config: &Value| {
        machine.configure(config);
        machine
            .run(&format!("chown s3ferry {CONFIG}"))
            .expect_code(0);
    };
    configure(&better);
    machine.run("systemctl reload s3ferry").expect_code(0);
    machine.wait_for_events("configuration_reloaded", 2);
    machine.wait_until("it is ready again", || {
        property(&machine, "ActiveState") == "active"
    });
    machine.write_source("b", 1000, 2);
    machine.run(&format!("kill -USR1 {pid}")).expect_code(0);
    machine.wait_for_events("upload_finished", 2);
    assert!(server.keys(BUCKET).contains("site-7/b"));
    // What README gives to `systemd-run`, which wants a bus that this machine has not.
    let mut blocks = include_str!("../../README.md").split("```\n");
    let recipe = blocks.find(|block| block.starts_with("systemd-run "));
    let words: Vec<&str> = recipe.unwrap().split_whitespace().collect();
    let properties: Vec<&str> = words
        .windows(2)
        .filter(|pair| pair[0] == "-p")
        .map(|pair| pair[1])
        .collect();
    let (program, argument) = (words[words.len() - 2], words[words.len() - 1]);
    let unit = format!(
        "[Service]\nType=oneshot\n{}\nExecStart={program} {argument}\n",
        properties.join("\n")
    );
    machine
        .run(&format!(
            "printf '{unit}' >/run/systemd/system/by-hand.service"
        ))
        .expect_code(0);
    machine.run("systemctl start by-hand").expect_code(0);
    let checked = machine.run("journalctl -u by-hand -o cat --no-pager");
    let line = "ok   backups: credentials: from systemd's credentials, ";
    assert!(checked.stdout.contains(line), "{checked:#?}");
    let without = machine.run("s3ferry check");
    assert!(
        without.stdout.contains("CREDENTIALS_DIRECTORY is not set"),
        "{without:#?}"
    );

    let mut bad = better.clone();
    bad["jobs"][0]["interval"] = json!("soon");
    for (change, reason) in [
        (REFUSED_BY_THE_SERVICE[0].0, REFUSED_BY_THE_SERVICE[0].1),
        (
            |config: &mut Value| config["jobs"][0]["interval"] = json!("soon"),
            "jobs[0].interval",
        ),
    ] {
        let mut refused = better.clone();
        change(&mut refused);
        configure(&refused);
        let told = machine.run("systemctl reload s3ferry");
        assert_eq!(told.code, Some(1), "{told:#?}");
        let journal = machine.run("journalctl -u s3ferry -o cat --no-pager");
        assert!(journal.stdout.contains(reason), "{journal:#?}");
        assert_eq!(property(&machine, "ActiveState"), "active");
        assert_eq!(machine.service_pid(), pid);
    }
    // By hand, the service itself refuses it.
    machine.run(&format!("kill -HUP {pid}")).expect_code(0);
    machine.wait_for_events("configuration_rejected", 1);
    machine.wait_until("it is ready again", || {
        property(&machine, "ActiveState") == "active"
    });
    let told = property(&machine, "StatusText");
    assert!(
        told.starts_with("the old configuration stays in force: "),
        "{told}"
    );
    assert_eq!(machine.service_pid(), pid);
    // What needs a person is an error in the journal, and what was done is not.
    let errors = machine
        .run("journalctl -u s3ferry -p err -o cat --no-pager")
        .expect_code(0);
    assert!(errors.stdout.contains("jobs[0].interval"), "{errors:#?}");
    assert!(!errors.stdout.contains("uploaded"), "{errors:#?}");
    let all = machine
        .run("journalctl -u s3ferry -o cat --no-pager")
        .expect_code(0);
    assert!(all.stdout.contains("[INFO] [backups] uploaded"), "{all:#?}");

    machine.run("systemctl stop s3ferry").expect_code(0);
    assert_eq!(machine.service_pids(), Vec::<u32>::new());
    assert_eq!(property(&machine, "Result"), "success");
    machine.run("systemctl stop s3ferry").expect_code(0);
    assert_eq!(machine.run("systemctl is-active s3ferry").code, Some(3));

    // A wrong configuration stays wrong: the service ends with 78, and is not tried again.
    let failed = machine.run("systemctl start s3ferry");
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    assert_eq!(property(&machine, "ActiveState"), "failed");
    assert_eq!(property(&machine, "ExecMainStatus"), "78");
    assert_eq!(property(&machine, "NRestarts"), "0");
    configure(&better);
    start(&machine);
}

#[test]
fn it_is_started_again_after_a_crash_and_goes_on_with_what_s3_has() {
    let server = S3Server::start(S3Options::default());
    let proxy = FaultProxy::start(server.address());
    let Some(files) = files() else {
        return;
    };
    edit(&files, "[Service]\nRestartSec=100ms\n");
    let mut config = config(&proxy.endpoint());
    config["jobs"][0]["transfer"] = json!({ "multipart_threshold": "5MiB", "part_size": "5MiB" });
    let machine = machine(files, &config);
    let size = 24 << 20;
    machine.write_source("large", size, 1);
    proxy.set_plan(Plan::SlowUpload(6 << 20));
    start(&machine);
    let sent = |part| {
        let one = move |r: &crate::support::server::Request| {
            r.part_number() == Some(part) && r.status == Some(200)
        };
        server.wait_for_requests(1, Duration::from_secs(60), one)
    };
    assert!(sent(1));
    let pid = machine.service_pid();
    machine.run(&format!("kill -9 {pid}")).expect_code(0);
    machine.wait_for_events("upload_resumed", 1);
    assert_eq!(property(&machine, "NRestarts"), "1");
    // A stop in the middle of an upload is no failure, and the next start goes on.
    assert!(sent(2));
    machine.run("systemctl stop s3ferry").expect_code(0);
    assert_eq!(property(&machine, "Result"), "success");
    machine.wait_for_events("service_stopped", 1);
    proxy.set_plan(Plan::Pass);
    start(&machine);
    machine.wait_for_events("upload_finished", 1);
    assert!(holds_content(&server.object_path(BUCKET, "large"), size, 1));
}

/// A slow upload of a minute's length is alive; a process that stands still is not.
#[test]
fn the_watchdog_lets_a_slow_upload_live_and_ends_what_hangs() {
    let server = S3Server::start(S3Options::default());
    let proxy = FaultProxy::start(server.address());
    let Some(files) = files() else {
        return;
    };
    edit(&files, "[Service]\nRestartSec=100ms\nWatchdogSec=3s\n");
    let machine = machine(files, &config(&proxy.endpoint()));
    proxy.set_plan(Plan::SlowUpload(1 << 20));
    machine.write_source("large", 12 << 20, 1);
    start(&machine);
    machine.wait_until("it says how far it is", || {
        property(&machine, "StatusText").starts_with("backups: working, /data/backups/large (")
    });
    // Twelve seconds, less what sockets hold: three times what the watchdog allows.
    machine.wait_for_events("upload_finished", 1);
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        12 << 20,
        1
    ));
    assert_eq!(property(&machine, "NRestarts"), "0");

    let pid = machine.service_pid();
    machine.run(&format!("kill -STOP {pid}")).expect_code(0);
    machine.wait_until("it is started again", || {
        property(&machine, "NRestarts") == "1"
    });
    machine.wait_for_events("service_started", 2);
    let journal = machine
        .run("journalctl -u s3ferry -o cat --no-pager")
        .expect_code(0);
    assert!(journal.stdout.contains("Watchdog timeout"), "{journal:#?}");
}

#[test]
fn the_timers_service_makes_one_pass_and_keeps_out_of_the_other() {
    let server = S3Server::start(S3Options::default());
    let Some(files) = files() else {
        return;
    };
    let machine = machine(files, &config(&server.endpoint()));
    machine
        .run("systemctl start s3ferry-once.timer")
        .expect_code(0);
    let next = machine
        .run("systemctl list-timers --no-pager s3ferry-once.timer")
        .expect_code(0);
    assert!(next.stdout.contains("s3ferry-once.service"), "{next:#?}");

    machine.write_source("a", 1000, 1);
    machine.run("systemctl start s3ferry-once").expect_code(0);
    assert!(holds_content(&server.object_path(BUCKET, "a"), 1000, 1));
    // What is still being written to is left for the next call, which is no failure.
    let mut settling = config(&server.endpoint());
    settling["jobs"][0]["settle"] = json!("1h");
    machine.configure(&settling);
    machine
        .run(&format!("chown s3ferry {CONFIG}; echo new >{SOURCE}/b"))
        .expect_code(0);
    machine.run("systemctl start s3ferry-once").expect_code(0);
    let status = machine
        .run("systemctl show -P ExecMainStatus s3ferry-once")
        .expect_code(0);
    assert_eq!(status.stdout, "75\n");

    start(&machine);
    let refused = machine.run("systemctl start s3ferry-once");
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    let status = machine
        .run("systemctl show -P ExecMainStatus s3ferry-once")
        .expect_code(0);
    assert_eq!(status.stdout, "69\n");
    assert_eq!(property(&machine, "ActiveState"), "active");
}

/// The way that the unit names for files that are deleted or moved.
#[test]
fn files_are_moved_where_the_unit_lets_them_be() {
    let server = S3Server::start(S3Options::default());
    let mut config = config(&server.endpoint());
    config["jobs"][0]["after_upload"] = json!({ "move_to": "/data/sent" });
    let Some(files) = files() else {
        return;
    };
    edit(
        &files,
        &format!("[Service]\nReadWritePaths={SOURCE} /data/sent\n"),
    );
    files.folder("/data/sent");
    let machine = machine(files, &config);
    machine
        .run(&format!("chown s3ferry {SOURCE} /data/sent"))
        .expect_code(0);
    machine.write_source("a", 1000, 1);
    machine
        .run(&format!("chown s3ferry {SOURCE}/a"))
        .expect_code(0);
    start(&machine);
    machine.wait_until("it is moved", || machine.host_path("/data/sent/a").exists());
    assert!(holds_content(&server.object_path(BUCKET, "a"), 1000, 1));
    assert!(!machine.host_path(&format!("{SOURCE}/a")).exists());
}

/// README's example of a state in memory with a copy on flash. The unit alone keeps it from that, and the
/// messages say what lets it; the drop-in of README does.
#[test]
fn state_in_memory_and_its_copy_on_flash_work_where_the_unit_lets_them() {
    let server = S3Server::start(S3Options::default());
    let Some(files) = files() else {
        return;
    };
    files.folder("/mnt/flash/s3ferry");
    files.folder("/var/log/s3ferry");
    let mut config = config(&server.endpoint());
    config["log"] = json!({ "file": "/var/log/s3ferry/s3ferry.log" });
    let machine = machine(files, &config);
    machine
        .run("chown s3ferry:s3ferry /mnt/flash/s3ferry /var/log/s3ferry")
        .expect_code(0);
    let journal = || {
        machine
            .run("journalctl -u s3ferry -o cat --no-pager")
            .stdout
    };
    let cure = "let the unit write it, with `ReadWritePaths=` and this folder in `systemctl edit`";
    let told_of = |what: &str| {
        let told = journal();
        let line = told.lines().find(|line| line.contains(what));
        assert!(line.is_some_and(|line| line.contains(cure)), "{told}");
    };

    start(&machine);
    told_of("cannot log to `/var/log/s3ferry/s3ferry.log`: Read-only file system");
    machine.run("systemctl stop s3ferry").expect_code(0);
    config["state_copy"] = json!({ "dir": "/mnt/flash/s3ferry", "interval": "1s" });
    machine.configure(&config);
    machine
        .run(&format!("chown s3ferry {CONFIG}"))
        .expect_code(0);
    // It works without the copy, and says so.
    start(&machine);
    told_of("the copy of the state directory (`state_copy`) could not be written");
    machine.run("systemctl stop s3ferry").expect_code(0);

    let readme = include_str!("../../README.md");
    let mut blocks = readme.split("```\n");
    let recipe = blocks.find(|block| block.starts_with("[Unit]\nRequiresMountsFor=/mnt/flash\n"));
    machine
        .run(&format!("systemctl stop s3ferry; mkdir {UNIT}.d"))
        .expect_code(0);
    machine.write(&format!("{UNIT}.d/override.conf"), recipe.unwrap());
    machine.run("systemctl daemon-reload").expect_code(0);
    config["state_dir"] = json!("/run/s3ferry");
    machine.configure(&config);
    machine
        .run(&format!("chown s3ferry {CONFIG}"))
        .expect_code(0);
    machine.write_source("a", 1000, 1);
    start(&machine);
    let holds = |file: &str, part: &str| machine.read(file).contains(part);
    machine.wait_until("it is copied", || {
        holds("/mnt/flash/s3ferry/history.jsonl", "/data/backups/a")
    });
    assert!(holds("/var/log/s3ferry/s3ferry.log", "uploaded"));

    // A power cut: what was in memory is gone.
    machine.run("systemctl stop s3ferry").expect_code(0);
    machine.run("rm /run/s3ferry/*").expect_code(0);
    let before = server.requests().len();
    start(&machine);
    machine.wait_until("it is filled from the copy", || {
        holds("/run/s3ferry/history.jsonl", "/data/backups/a")
    });
    machine.run("systemctl stop s3ferry").expect_code(0);
    assert_eq!(server.requests().len(), before, "nothing is sent again");
}
