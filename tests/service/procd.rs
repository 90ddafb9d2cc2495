//! The script for OpenWrt, against a stand-in for what it asks of `rc.common`, UCI and procd. The
//! program and the shell are real; procd itself is not to be had outside of OpenWrt.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::machine::{CONFIG, Files, Init, Machine, SOURCE, config, here, service_file};
use crate::support::files::holds_content;
use crate::support::server::{ACCESS_KEY, BUCKET, S3Options, S3Server, SECRET_KEY};

const SCRIPT: &str = "/etc/init.d/s3ferry";
const UCI: &str = "/etc/config/s3ferry";
const GENERATED: &str = "/var/etc/s3ferry.json";

fn machine() -> Option<Machine> {
    let files = Files::new(Init::BusyBox)?;
    let stand_in = std::fs::read(here("rc.common")).unwrap();
    files
        .install("s3ferry.procd", SCRIPT, 0o755)
        .install("s3ferry.uci", UCI, 0o600)
        .write(
            "/etc/rc.common",
            0o755,
            [b"#!/bin/sh\n", &stand_in[..]].concat(),
        );
    // As on OpenWrt, where all of it is lost with a restart.
    std::fs::remove_dir_all(files.path("/var")).unwrap();
    symlink("tmp", files.path("/var")).unwrap();
    files.folder("/tmp/run");
    files.folder("/tmp/log");
    Some(files.boot())
}

/// `#!/bin/sh /etc/rc.common` makes the kernel call it so.
fn act(machine: &Machine, action: &str) -> crate::machine::Done {
    machine.run(&format!("{SCRIPT} {action}"))
}

/// What procd was told.
fn told(machine: &Machine) -> String {
    machine.read("/run/procd/s3ferry")
}

/// `option VALUE` lines with a quoted value.
fn options(pairs: &[(&str, &str)]) -> String {
    let line = |(name, value): &(&str, &str)| format!("\toption {name} '{value}'\n");
    pairs.iter().map(line).collect()
}

#[test]
fn it_asks_procd_for_a_service_that_is_never_given_up() {
    let server = S3Server::start(S3Options::default());
    let Some(machine) = machine() else {
        return;
    };
    // As it ships: not enabled, but procd tells of changes.
    act(&machine, "start").expect_code(0);
    assert_eq!(told(&machine), "reload_trigger s3ferry\n");

    machine.configure(&config(&server.endpoint()));
    let main = options(&[("enabled", "1"), ("config", CONFIG)]);
    machine.write(UCI, format!("config s3ferry 'main'\n{main}"));
    act(&machine, "start").expect_code(0);
    let expected = format!(
        "open_instance\n\
         command /usr/bin/s3ferry run -c {CONFIG}\n\
         respawn 3600 5 0\n\
         file {CONFIG}\n\
         reload_signal HUP\n\
         term_timeout 20\n\
         limits core=0\n\
         stdout 1\n\
         stderr 1\n\
         close_instance\n\
         reload_trigger s3ferry\n"
    );
    assert_eq!(told(&machine), expected);
    act(&machine, "reload").expect_code(0);
    assert_eq!(told(&machine), expected);

    // The command that procd would run.
    machine.write_source("a", 1000, 1);
    let command = expected.lines().nth(1).unwrap().replacen("command ", "", 1);
    let command = command.replacen(" run ", " once ", 1);
    machine.run(&command).expect_code(0);
    assert!(holds_content(&server.object_path(BUCKET, "a"), 1000, 1));
    act(&machine, "check").expect_code(0);
    act(&machine, "stop").expect_code(0);
    assert_eq!(told(&machine), "");
}

#[test]
fn a_wrong_configuration_is_not_started_and_stops_nothing_that_runs() {
    let Some(machine) = machine() else {
        return;
    };
    machine.run("syslogd -O /tmp/messages").expect_code(0);
    machine.wait_until("syslogd listens", || machine.host_path("/dev/log").exists());
    let main = options(&[("enabled", "1"), ("config", CONFIG)]);
    machine.write(UCI, format!("config s3ferry 'main'\n{main}"));
    machine.write(CONFIG, "{ \"jobs\": 7 }");
    let refused = act(&machine, "start");
    assert!(refused.stderr.contains(CONFIG), "{refused:#?}");
    assert_eq!(told(&machine), "reload_trigger s3ferry\n");
    machine.wait_until("the log says so", || {
        machine
            .read("/tmp/messages")
            .contains("the configuration is wrong")
    });
    // procd hears of the changed file, and the program refuses it.
    machine.write("/run/procd/running", "");
    act(&machine, "reload").expect_code(0);
    assert!(told(&machine).contains(&format!("file {CONFIG}\nreload_signal HUP\n")));
    act(&machine, "check").expect_code(78);
}

#[test]
fn sections_of_uci_are_a_configuration() {
    let server = S3Server::start(S3Options::default());
    let Some(machine) = machine() else {
        return;
    };
    let main = options(&[("enabled", "1"), ("state_dir", "/etc/s3ferry/state")]);
    let first = options(&[
        ("bucket", BUCKET),
        ("endpoint", &server.endpoint()),
        ("addressing", "path"),
        ("access_key", ACCESS_KEY),
        ("secret_key", SECRET_KEY),
        ("source_path", SOURCE),
        ("filter", r#"^[^"]+\.(zip|dm backup)$"#),
        ("settle", "0s"),
        ("recursive", "1"),
        ("move_to", "/data/sent"),
    ]);
    let second = options(&[
        ("host", "127.0.0.1"),
        ("port", &server.port().to_string()),
        ("tls", "0"),
        ("bucket", BUCKET),
        ("prefix", "second/"),
        ("access_key", ACCESS_KEY),
        ("secret_key", SECRET_KEY),
        ("source_path", "/data/second"),
        ("settle", "0s"),
    ]);
    machine.write(
        UCI,
        format!("config s3ferry 'main'\n{main}\nconfig job 'first'\n{first}\nconfig job 'second'\n{second}"),
    );
    machine
        .run("mkdir /data/second; echo hello >/data/second/b")
        .expect_code(0);
    machine.write_source("a b.zip", 1000, 1);
    machine.write_source("a.txt", 1000, 2);
    let started = act(&machine, "start").expect_code(0);
    assert_eq!(started.stderr, "");
    assert!(told(&machine).contains(&format!("command /usr/bin/s3ferry run -c {GENERATED}\n")));
    // It has the secret keys in it.
    let listed = machine
        .run(&format!("stat -c %a {GENERATED}"))
        .expect_code(0);
    assert_eq!(listed.stdout, "600\n");

    let generated: serde_json::Value = serde_json::from_str(&machine.read(GENERATED)).unwrap();
    assert_eq!(
        generated["jobs"][0]["filter"],
        r#"^[^"]+\.(zip|dm backup)$"#
    );
    assert_eq!(generated["jobs"][0]["recursive"], json!(true));
    assert_eq!(generated["jobs"][1]["tls"], json!(false));
    machine
        .run(&format!("s3ferry once -c {GENERATED}"))
        .expect_code(0);
    let expected = ["a b.zip".to_owned(), "second/b".to_owned()];
    assert_eq!(server.keys(BUCKET), expected.into());
    assert!(machine.host_path("/data/sent/a b.zip").exists());
    assert!(
        machine
            .host_path("/etc/s3ferry/state/history.jsonl")
            .exists()
    );
}

/// Every option that the script passes on is one that the program knows.
#[test]
fn the_commented_example_is_a_configuration() {
    let Some(machine) = machine() else {
        return;
    };
    let example = service_file("s3ferry.uci")
        .replace("\n#config job", "\nconfig job")
        .replace("\n#\toption", "\n\toption");
    let example = example.replace("option enabled '0'", "option enabled '1'");
    machine.write(UCI, example);
    machine.run("mkdir -p /mnt/sda1/backups").expect_code(0);
    let started = act(&machine, "start").expect_code(0);
    assert_eq!(started.stderr, "");
    machine
        .run(&format!("s3ferry check --offline -c {GENERATED}"))
        .expect_code(0);
}

/// What UCI takes for an option of its own is refused where it could only be dropped, or taken for the
/// opposite.
#[test]
fn mistakes_in_uci_are_refused_by_section_and_option() {
    let server = S3Server::start(S3Options::default());
    let Some(machine) = machine() else {
        return;
    };
    machine.run("syslogd -O /tmp/messages").expect_code(0);
    machine.wait_until("syslogd listens", || machine.host_path("/dev/log").exists());
    let good = options(&[
        ("bucket", BUCKET),
        ("endpoint", &server.endpoint()),
        ("access_key", ACCESS_KEY),
        ("secret_key", SECRET_KEY),
        ("source_path", SOURCE),
    ]);
    let write = |main: &str, job: &str| {
        let sections = format!(
            "config s3ferry 'main'\n\toption enabled '1'\n{main}\nconfig job 'first'\n{good}{job}"
        );
        machine.write(UCI, sections);
    };
    let job = "config job 'first': option";
    let cases = [
        ("", "\toption tls 'True'\n", format!("{job} tls is 'True'")),
        (
            "",
            "\toption recursive ''\n",
            format!("{job} recursive is ''"),
        ),
        (
            "",
            "\toption port 'https'\n",
            format!("{job} port is 'https'"),
        ),
        (
            "",
            "\toption port '443 '\n",
            format!("{job} port is '443 '"),
        ),
        (
            "",
            "\toption sorce_path '/x'\n",
            format!("{job} sorce_path is unknown"),
        ),
        (
            "",
            "\toption storage_class 'X'\n",
            format!("{job} storage_class is unknown"),
        ),
        (
            "",
            "\toption enabled '0'\n",
            format!("{job} enabled is unknown"),
        ),
        ("", "\tlist filter 'a'\n", format!("{job} filter is a list")),
        (
            "\toption interval '1h'\n",
            "",
            "config s3ferry 'main': option interval is unknown".into(),
        ),
        (
            "\toption enabled 'Yes'\n",
            "",
            "config s3ferry 'main': option enabled is 'Yes'".into(),
        ),
        (
            "",
            "\nconfig jobs 'second'\n\toption host 'x'\n",
            "config jobs 'second'".into(),
        ),
    ];
    for (main, job, place) in &cases {
        write(main, job);
        let refused = act(&machine, "start");
        let message = format!("s3ferry: /etc/config/s3ferry: {place}");
        assert!(refused.stderr.contains(&message), "{place}: {refused:#?}");
        assert_eq!(told(&machine), "reload_trigger s3ferry\n", "{place}");
        machine.wait_until("the log says so", || {
            machine.read("/tmp/messages").contains(place)
        });
        assert!(!machine.host_path(GENERATED).exists(), "{place}");
        let refused = act(&machine, "check").expect_code(78);
        assert!(refused.stderr.contains(place), "{refused:#?}");
    }

    // What runs goes on with what it has.
    write("", "\toption recursive 'yes'\n");
    let started = act(&machine, "start").expect_code(0);
    assert_eq!(started.stderr, "");
    let before = (told(&machine), machine.read(GENERATED));
    assert!(before.0.contains("open_instance\n"));
    machine.write("/run/procd/running", "");
    for (main, job, place) in &cases {
        write(main, job);
        act(&machine, "reload");
        assert_eq!((told(&machine), machine.read(GENERATED)), before, "{place}");
    }
}
