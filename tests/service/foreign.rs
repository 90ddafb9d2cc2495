//! The ARM packages, of the binaries that `cross/build.sh` made: `S3FERRY_DIST` names their folder.
//!
//! No ARM machine is at hand, so dpkg is told to take them on this one, and qemu runs the program.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::machine::{CONFIG, Init, Machine, STATE, are_wanted, config};
use crate::packages::{configure, machine, package};
use crate::support::files::holds_content;
use crate::support::server::{BUCKET, S3Options, S3Server};

/// Where the emulator is on the machine.
const EMULATOR: &str = "/usr/local/bin/emulator";

fn emulator(name: &str) -> Vec<u8> {
    let path = PathBuf::from("/usr/bin").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("qemu-user-static: {path:?}: {error}"))
}

/// As the service's user, what the package has installed.
fn once(machine: &Machine) {
    let user = "setpriv --reuid=s3ferry --regid=s3ferry --clear-groups";
    machine
        .run(&format!(
            "{user} {EMULATOR} /usr/bin/s3ferry once -c {CONFIG}"
        ))
        .expect_code(0);
}

/// Installed, put to use, upgraded, removed and purged; what it knows outlives all but the last.
fn life_of_a_foreign_package(target: &str, architecture: &str, qemu: &str) {
    if !are_wanted() {
        return;
    }
    let Some(dist) = std::env::var_os("S3FERRY_DIST") else {
        crate::support::lacks("S3FERRY_DIST", false);
        return;
    };
    let binary = Path::new(&dist).join(target).join("s3ferry");
    let packages = TempDir::new().unwrap();
    for version in ["0.1.0", "0.1.0-2"] {
        package(&binary, &[target], packages.path(), &["--version", version]);
    }
    let server = S3Server::start(S3Options::default());
    let machine = machine(Init::Debian, packages.path());
    machine.write(EMULATOR, emulator(qemu));
    machine.run(&format!("chmod 755 {EMULATOR}")).expect_code(0);
    let install = |version: &str| {
        let file = format!("/root/s3ferry_{version}_{architecture}.deb");
        machine
            .run(&format!("dpkg --force-architecture -i {file}"))
            .expect_code(0)
    };
    let installed = || {
        let format = "${db:Status-Status} ${Architecture} ${Version}";
        machine
            .run(&format!("dpkg-query -W -f '{format}' s3ferry"))
            .stdout
    };

    install("0.1.0");
    assert_eq!(installed(), format!("installed {architecture} 0.1.0"));
    let version = machine
        .run(&format!("{EMULATOR} /usr/bin/s3ferry --version"))
        .expect_code(0);
    assert!(version.stdout.contains(target), "{version:?}");
    configure(&machine, &config(&server.endpoint()));
    machine.write_source("a", 1000, 1);
    once(&machine);
    assert!(holds_content(&server.object_path(BUCKET, "a"), 1000, 1));

    install("0.1.0-2");
    assert_eq!(installed(), format!("installed {architecture} 0.1.0-2"));
    let before = server.requests().len();
    once(&machine);
    assert_eq!(server.requests().len(), before, "it knows what it has sent");

    machine.run("dpkg -r s3ferry").expect_code(0);
    assert!(!machine.host_path("/usr/bin/s3ferry").exists());
    assert_eq!(
        machine
            .read(&format!("{STATE}/history.jsonl"))
            .lines()
            .count(),
        1
    );
    machine.run("dpkg -P s3ferry").expect_code(0);
    assert!(!machine.host_path(STATE).exists());
    assert!(machine.host_path(CONFIG).exists());
}

#[test]
fn the_package_for_armhf_lives() {
    life_of_a_foreign_package("armv7-unknown-linux-musleabihf", "armhf", "qemu-arm-static");
}

#[test]
fn the_package_for_arm64_lives() {
    life_of_a_foreign_package("aarch64-unknown-linux-musl", "arm64", "qemu-aarch64-static");
}
