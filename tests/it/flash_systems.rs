//! What flash is formatted with, and systems that are read-only.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::agent::{Agent, SOON, binary};
use crate::support::files::holds_content;
use crate::support::mounts::Mount;
use crate::support::server::{BUCKET, Request, S3Options, S3Server};

const MIB: u64 = 1 << 20;

/// The memory of a machine as small as these may be short, and its state directory a vfat partition:
/// names without owners, times of two seconds, inode numbers that change with every mount.
#[test]
fn a_state_directory_on_vfat_keeps_what_it_is_for() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({
        "order": "name",
        "transfer": { "multipart_threshold": "8MiB", "part_size": "5MiB", "bandwidth_limit": "8MiB/s" },
    }));
    let image = agent.folder().join("vfat.img");
    let Some(disk) = Mount::vfat(&image, 64 * MIB, &agent.state()) else {
        return;
    };
    for number in 0..5 {
        agent.write_file(format!("a-{number}"), 1000, number);
    }
    agent.write_file("large", 22 * MIB, 9);
    let running = agent.start();
    // The lock, and who holds it.
    assert_eq!(agent.run(&["once"]).code, Some(69));
    let status = agent.run(&["status", "--json"]).expect_code(0).json_lines();
    assert_eq!(status[0]["running"], true, "{status:?}");
    let third = |request: &Request| request.part_number() == Some(3);
    assert!(server.wait_for_requests(1, SOON, third));
    running.kill();

    // Another mount of the same disk.
    drop(disk);
    let Some(_disk) = Mount::vfat(&image, 0, &agent.state()) else {
        return;
    };
    let before = server.requests().len();
    let agent = agent.with_job(json!({ "transfer": { "bandwidth_limit": null } }));
    agent.once().expect_code(0);
    let puts = server.requests()[before..]
        .iter()
        .filter(|r| r.method == "PUT")
        .count();
    assert!(puts <= 3, "only what was missing of the large file: {puts}");
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        22 * MIB,
        9
    ));
    assert_eq!(agent.history().len(), 6);
    assert_eq!(server.open_uploads(), (0, 0));
    let requests = server.requests().len();
    agent.once().expect_code(0);
    assert_eq!(server.requests().len(), requests);
}

#[test]
fn a_source_on_vfat_is_not_sent_again_after_another_mount() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let image = agent.folder().join("vfat.img");
    let Some(disk) = Mount::vfat(&image, 64 * MIB, &agent.source()) else {
        return;
    };
    for number in 0..5 {
        agent.write_file(format!("a-{number}"), 1000, number);
    }
    agent.once().expect_code(0);
    assert_eq!(server.keys(BUCKET).len(), 5);
    drop(disk);
    let Some(_disk) = Mount::vfat(&image, 0, &agent.source()) else {
        return;
    };
    let requests = server.requests().len();
    agent.once().expect_code(0);
    assert_eq!(server.requests().len(), requests);
    // And what is sent from there is deleted there.
    let agent = agent.with_job(json!({ "after_upload": "delete" }));
    agent.write_file("b", 1000, 7);
    agent.once().expect_code(0);
    assert!(!agent.source_file("b").exists());
}

/// Everything is read-only but the state directory: nothing else is written.
#[test]
fn a_read_only_system_is_enough() {
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with(json!({ "log": { "level": "debug" } }));
    agent.write_file("small", 1000, 1);
    agent.write_file("large", 12 * MIB, 2);
    let agent = agent.with_job(json!({
        "transfer": { "multipart_threshold": "8MiB", "part_size": "5MiB" },
    }));
    let Some(_state) = Mount::tmpfs(&agent.state(), MIB) else {
        return;
    };
    agent.write_config();
    // A mount namespace of its own: every file system read-only, then the state directory writable.
    let script = r#"
        set -e
        mount --make-rprivate /
        state=$1; shift
        awk '{print $2}' /proc/mounts | sort -u | while read -r at; do
            case $at in /proc* | /sys* | /dev | /dev/*) ;; *) mount -o remount,bind,ro "$at" 2>/dev/null || : ;; esac
        done
        mount -o remount,bind,rw "$state"
        ! touch "$(dirname "$state")/source/x" 2>/dev/null
        exec "$@"
    "#;
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(agent.state())
        .arg(binary())
        .args(["once", "-c"])
        .arg(agent.config_path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    assert!(holds_content(
        &server.object_path(BUCKET, "large"),
        12 * MIB,
        2
    ));
    assert_eq!(agent.history().len(), 2);
}
