//! The OpenRC script, under OpenRC's own runner and supervisor. Process 1 is BusyBox init, as on
//! Alpine.

use serde_json::json;

use crate::machine::{CONFIG, Files, Init, Machine, REFUSED_BY_THE_SERVICE, config};
use crate::support::files::holds_content;
use crate::support::server::{BUCKET, S3Options, S3Server};

/// As Alpine has it, and a sign for the test.
const INITTAB: &str = "::sysinit:/sbin/openrc sysinit\n\
    ::sysinit:/sbin/openrc boot\n\
    ::sysinit:/sbin/openrc default\n\
    ::sysinit:/bin/touch /run/booted\n\
    ::shutdown:/sbin/openrc shutdown\n";

fn machine(config: Option<&serde_json::Value>) -> Option<Machine> {
    let files = Files::new(Init::Debian)?;
    files
        .install("s3ferry.openrc", "/etc/init.d/s3ferry", 0o755)
        .install("s3ferry.confd", "/etc/conf.d/s3ferry", 0o644)
        .write("/etc/inittab", 0o644, INITTAB)
        // Debian's scripts of that place are for hardware that is not here.
        .write("/etc/rc.conf", 0o644, "rc_sys=\"lxc\"\nrc_hotplug=\"!*\"\n");
    if let Some(config) = config {
        files.write(CONFIG, 0o600, config.to_string());
        files.folder("/etc/runlevels/default");
        let link = files.path("/etc/runlevels/default/s3ferry");
        std::os::unix::fs::symlink("/etc/init.d/s3ferry", link).unwrap();
    }
    Some(files.boot())
}

#[test]
fn it_starts_at_boot_reloads_answers_and_stops() {
    let server = S3Server::start(S3Options::default());
    let good = config(&server.endpoint());
    let Some(mut machine) = machine(Some(&good)) else {
        return;
    };
    machine.wait_for_events("service_started", 1);
    let act = |action: &str| machine.run(&format!("rc-service s3ferry {action}"));
    act("status").expect_code(0);
    let pid = machine.service_pid();
    act("start").expect_code(0);
    assert_eq!(machine.service_pid(), pid);
    let folder = machine.run("stat -c %a /var/lib/s3ferry").expect_code(0);
    assert_eq!(folder.stdout, "750\n");

    let mut better = good.clone();
    better["jobs"][0]["prefix"] = json!("site-7/");
    machine.configure(&better);
    machine.write_source("a", 1000, 1);
    act("reload").expect_code(0);
    machine.wait_for_events("configuration_reloaded", 1);
    machine.run(&format!("kill -USR1 {pid}")).expect_code(0);
    machine.wait_for_events("upload_finished", 1);
    let object = server.object_path(BUCKET, "site-7/a");
    assert!(holds_content(&object, 1000, 1));

    for (change, reason) in REFUSED_BY_THE_SERVICE {
        let mut refused = better.clone();
        change(&mut refused);
        machine.configure(&refused);
        let told = act("reload");
        assert_eq!(told.code, Some(1), "{told:#?}");
        assert!(told.stderr.contains(reason), "{told:#?}");
    }
    machine.configure(&better);
    act("reload").expect_code(0);

    let mut bad = better.clone();
    bad["jobs"][0]["interval"] = json!("soon");
    machine.configure(&bad);
    for action in ["reload", "restart", "checkconfig"] {
        let refused = act(action);
        assert_eq!(refused.code, Some(1), "{action}: {refused:#?}");
        assert!(
            refused.stderr.contains("jobs[0].interval"),
            "{action}: {refused:#?}"
        );
        assert_eq!(machine.service_pid(), pid, "{action}");
    }
    act("status").expect_code(0);

    // The supervisor brings back what ends by itself.
    machine.configure(&better);
    machine.run(&format!("kill -9 {pid}")).expect_code(0);
    machine.wait_until("it is started again", || {
        machine.service_pids().iter().any(|new| *new != pid)
    });
    machine.wait_for_events("service_started", 2);
    act("restart").expect_code(0);
    machine.wait_for_events("service_started", 3);

    act("stop").expect_code(0);
    assert_eq!(machine.service_pids(), Vec::<u32>::new());
    act("status").expect_code(3);
    act("stop").expect_code(0);

    act("start").expect_code(0);
    machine.wait_for_events("service_started", 4);
    let stops = machine.events_of("service_stopped").len();
    let events = machine.host_path("/var/lib/s3ferry/events.jsonl");
    let events = std::fs::File::open(events).unwrap();
    machine.run("busybox poweroff").expect_code(0);
    machine.wait_for_the_end();
    let events = std::io::read_to_string(events).unwrap();
    assert_eq!(events.matches("service_stopped").count(), stops + 1);
}

#[test]
fn it_does_not_start_without_a_configuration_or_with_a_wrong_one() {
    let Some(machine) = machine(None) else {
        return;
    };
    let refused = machine.run("rc-service s3ferry start");
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains(CONFIG), "{refused:#?}");
    machine.write(CONFIG, "{ \"jobs\": 7 }");
    let refused = machine.run("rc-service s3ferry start");
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("jobs"), "{refused:#?}");
    assert_eq!(machine.service_pids(), Vec::<u32>::new());
}
