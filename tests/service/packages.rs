//! The packages: made, installed, upgraded, removed and purged.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::machine::{
    CONFIG, Files, Init, Machine, SOURCE, STATE, are_wanted, config, debian, here,
};
use crate::support::agent::binary;
use crate::support::files::holds_content;
use crate::support::server::{BUCKET, S3Options, S3Server};

/// The name of this machine's CPU among the targets, for Debian and for OpenWrt.
fn here_target() -> (&'static str, &'static str, &'static str) {
    match std::env::consts::ARCH {
        "aarch64" => ("aarch64-unknown-linux-musl", "arm64", "aarch64_generic"),
        _ => ("x86_64-unknown-linux-musl", "amd64", "x86_64"),
    }
}

/// Runs `cross/package.sh` over `binary`, as if it had been built for all of `targets`.
pub fn package(binary: &Path, targets: &[&str], out: &Path, options: &[&str]) {
    let built = TempDir::new().unwrap();
    for target in targets {
        std::fs::create_dir(built.path().join(target)).unwrap();
        symlink(binary, built.path().join(target).join("s3ferry")).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cross/package.sh");
    let made = Command::new(script)
        .arg("--from")
        .arg(built.path())
        .arg("--out")
        .arg(out)
        .args(options)
        .arg("all")
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// Packages of the program under test, of these versions, in a folder.
fn packages(versions: &[&str]) -> TempDir {
    let out = TempDir::new().unwrap();
    for version in versions {
        package(
            &binary(),
            &[here_target().0],
            out.path(),
            &["--version", version],
        );
    }
    out
}

fn deb(version: &str) -> String {
    format!("s3ferry_{version}_{}.deb", here_target().1)
}

/// A Debian without s3ferry, with the packages in /root.
pub fn machine(init: Init, packages: &Path) -> Machine {
    let files = Files::bare(init);
    for entry in std::fs::read_dir(packages).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let content = std::fs::read(entry.path()).unwrap();
        files.write(&format!("/root/{name}"), 0o644, content);
    }
    if init == Init::Debian {
        files.write("/etc/inittab", 0o644, "::sysinit:/bin/touch /run/booted\n");
    }
    files.folder(SOURCE);
    files.boot()
}

/// The administrator's part.
pub fn configure(machine: &Machine, config: &Value) {
    machine.configure(config);
    machine
        .run(&format!("chown s3ferry {CONFIG}; chmod 755 /data {SOURCE}"))
        .expect_code(0);
}

/// From the first installation to `purge`, with the commands that the init has for it.
fn life_of_a_package(init: Init, start: &str, is_running: &str, switch_off: &str, is_off: &str) {
    let server = S3Server::start(S3Options::default());
    let packages = packages(&["0.1.0", "0.1.0-2", "0.1.0-3"]);
    let machine = machine(init, packages.path());
    let dpkg = |action: &str, version: &str| {
        let options = "DEBIAN_FRONTEND=noninteractive dpkg --force-confold";
        machine
            .run(&format!("{options} {action} /root/{}", deb(version)))
            .expect_code(0)
    };
    let running = || machine.run(is_running).code == Some(0);

    dpkg("-i", "0.1.0");
    let stat = machine.run(&format!(
        "stat -c '%U:%G %a' {STATE} /etc/s3ferry /usr/bin/s3ferry"
    ));
    assert_eq!(
        stat.stdout,
        "s3ferry:s3ferry 750\nroot:s3ferry 750\nroot:root 755\n"
    );
    assert!(!running(), "nothing is configured");
    machine.run("s3ferry --version").expect_code(0);

    configure(&machine, &config(&server.endpoint()));
    machine.write_source("a", 1000, 1);
    machine.run(start).expect_code(0);
    machine.wait_for_events("upload_finished", 1);
    assert!(running());
    let pid = machine.service_pid();
    let user = machine
        .run(&format!("stat -c %U /proc/{pid}"))
        .expect_code(0);
    assert_eq!(user.stdout, "s3ferry\n");

    // An upgrade goes on with what is known and set.
    let settings = machine.read("/etc/default/s3ferry") + "# of our own\n";
    machine.write("/etc/default/s3ferry", &settings);
    dpkg("-i", "0.1.0-2");
    machine.wait_for_events("service_started", 2);
    assert_ne!(machine.service_pid(), pid);
    assert_eq!(machine.read("/etc/default/s3ferry"), settings);
    machine.write_source("b", 1000, 2);
    machine
        .run(&format!("kill -USR1 {}", machine.service_pid()))
        .expect_code(0);
    machine.wait_for_events("upload_finished", 2);
    let sent = server
        .requests()
        .iter()
        .filter(|r| r.method == "PUT")
        .count();
    assert_eq!(sent, 2, "nothing is sent twice");

    // What is switched off stays off.
    machine.run(switch_off).expect_code(0);
    assert!(!running());
    dpkg("-i", "0.1.0-3");
    assert!(!running());
    machine.run(is_off).expect_code(0);
    machine.run(start).expect_code(0);
    assert!(running());

    let switch_on = match init {
        Init::Systemd => "systemctl enable s3ferry",
        _ => "update-rc.d s3ferry enable",
    };
    machine.run(switch_on).expect_code(0);

    machine.run("dpkg -r s3ferry").expect_code(0);
    assert_eq!(machine.service_pids(), Vec::<u32>::new());
    assert!(!machine.host_path("/usr/bin/s3ferry").exists());
    assert_eq!(machine.read("/etc/default/s3ferry"), settings);
    assert!(
        machine
            .read(&format!("{STATE}/history.jsonl"))
            .lines()
            .count()
            == 2
    );
    // With the package gone its script does no harm.
    machine.run("/etc/init.d/s3ferry stop").expect_code(0);

    dpkg("-i", "0.1.0-3");
    machine.wait_until("it runs again by itself", running);
    let timer = "/etc/systemd/system/timers.target.wants/s3ferry-once.timer";
    if init == Init::Systemd {
        machine
            .run("systemctl enable --now s3ferry-once.timer")
            .expect_code(0);
    }
    machine.run("dpkg -P s3ferry").expect_code(0);
    assert_eq!(machine.service_pids(), Vec::<u32>::new());
    let left = machine.run("systemctl is-active s3ferry-once.timer");
    assert_ne!(left.code, Some(0), "{left:#?}");
    assert!(machine.host_path(timer).symlink_metadata().is_err());
    for gone in [STATE, "/etc/default/s3ferry", "/etc/init.d/s3ferry"] {
        assert!(!machine.host_path(gone).exists(), "{gone}");
    }
    assert!(
        machine.host_path(CONFIG).exists(),
        "it is not the package's"
    );
    assert!(holds_content(&server.object_path(BUCKET, "b"), 1000, 2));
    let sent = server
        .requests()
        .iter()
        .filter(|r| r.method == "PUT")
        .count();
    assert_eq!(sent, 2, "nothing is sent twice");
}

#[test]
fn a_package_lives_under_systemd() {
    if !are_wanted() {
        return;
    }
    life_of_a_package(
        Init::Systemd,
        "systemctl start s3ferry",
        "systemctl is-active s3ferry",
        "systemctl disable --now s3ferry",
        "! systemctl is-enabled s3ferry",
    );
}

#[test]
fn a_package_lives_without_systemd() {
    if !are_wanted() {
        return;
    }
    life_of_a_package(
        Init::Debian,
        "/etc/init.d/s3ferry start",
        "/etc/init.d/s3ferry status",
        "/etc/init.d/s3ferry stop && update-rc.d s3ferry disable",
        "! ls /etc/rc3.d/S??s3ferry",
    );
}

/// There is no opkg outside of OpenWrt: its steps by hand, on BusyBox, with a stand-in for the
/// functions of OpenWrt's that the scripts call.
#[test]
fn an_ipk_unpacks_on_busybox_and_calls_what_openwrt_has() {
    if !are_wanted() {
        return;
    }
    let server = S3Server::start(S3Options::default());
    let packages = packages(&["0.1.0"]);
    let name = format!("s3ferry_0.1.0_{}.ipk", here_target().2);
    let Some(files) = Files::new(Init::BusyBox) else {
        return;
    };
    let ipk = std::fs::read(packages.path().join(name)).unwrap();
    std::fs::remove_file(files.path("/usr/bin/s3ferry")).unwrap();
    let stand_in = std::fs::read(here("rc.common")).unwrap();
    files
        .write("/root/s3ferry.ipk", 0o644, ipk)
        .write("/etc/rc.common", 0o755, [b"#!/bin/sh\n", &stand_in[..]].concat())
        .write(
            "/lib/functions.sh",
            0o644,
            "default_postinst() { /etc/init.d/s3ferry start; }\ndefault_prerm() { /etc/init.d/s3ferry stop; }\n",
        );
    let machine = files.boot();
    let unpacked = machine
        .run("cd /root && tar xzf s3ferry.ipk && tar xzf control.tar.gz && cat debian-binary")
        .expect_code(0);
    assert_eq!(unpacked.stdout, "2.0\n");
    let control = machine.read("/root/control");
    for line in [
        "Package: s3ferry\n",
        "Version: 0.1.0\n",
        &format!("Architecture: {}\n", here_target().2),
    ] {
        assert!(control.contains(line), "{control}");
    }
    assert_eq!(machine.read("/root/conffiles"), "/etc/config/s3ferry\n");
    machine.run("tar xzf /root/data.tar.gz -C /").expect_code(0);
    let kept = machine.read("/lib/upgrade/keep.d/s3ferry");
    assert_eq!(kept, "/etc/s3ferry/\n");
    machine.configure(&config(&server.endpoint()));
    let settings =
        format!("config s3ferry 'main'\n\toption enabled '1'\n\toption config '{CONFIG}'\n");
    machine.write("/etc/config/s3ferry", settings);
    machine.run("/root/postinst configure").expect_code(0);
    let told = machine.read("/run/procd/s3ferry");
    let command = format!("command /usr/bin/s3ferry run -c {CONFIG}\n");
    assert!(told.contains(&command), "{told}");
    machine
        .run(&format!("s3ferry once -c {CONFIG}"))
        .expect_code(0);
    machine.run("/root/prerm remove").expect_code(0);
    assert_eq!(machine.read("/run/procd/s3ferry"), "");
}

#[test]
fn every_target_has_its_packages_and_the_same_bytes_again() {
    if !are_wanted() {
        return;
    }
    // Any static program does.
    let binary = debian().join("bin/busybox");
    let targets = [
        "armv7-unknown-linux-musleabihf",
        "arm-unknown-linux-musleabihf",
        "armv5te-unknown-linux-musleabi",
        "aarch64-unknown-linux-musl",
        "x86_64-unknown-linux-musl",
    ];
    let made = || {
        let out = TempDir::new().unwrap();
        package(&binary, &targets, out.path(), &[]);
        package(
            &binary,
            &targets[..1],
            out.path(),
            &["--ipk-arch", "arm_cortex-a9"],
        );
        let entries = std::fs::read_dir(out.path()).unwrap().map(Result::unwrap);
        let mut files: Vec<(String, Vec<u8>)> = entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        (out, files)
    };
    let (out, first) = made();
    let version = env!("CARGO_PKG_VERSION");
    let names: Vec<&str> = first.iter().map(|(name, _)| &**name).collect();
    let expected = [
        format!("s3ferry-{version}.cdx.json"),
        format!("s3ferry_{version}_aarch64_generic.ipk"),
        format!("s3ferry_{version}_amd64.deb"),
        format!("s3ferry_{version}_arm64.deb"),
        format!("s3ferry_{version}_arm_arm1176jzf-s_vfp.ipk"),
        format!("s3ferry_{version}_arm_arm926ej-s.ipk"),
        format!("s3ferry_{version}_arm_cortex-a7_neon-vfpv4.ipk"),
        format!("s3ferry_{version}_arm_cortex-a9.ipk"),
        format!("s3ferry_{version}_armel.deb"),
        format!("s3ferry_{version}_armhf.deb"),
        format!("s3ferry_{version}_x86_64.ipk"),
    ];
    assert_eq!(names, expected);
    let (_, second) = made();
    assert!(first == second, "the bytes differ");

    for architecture in ["armhf", "arm64", "amd64"] {
        let file = out
            .path()
            .join(format!("s3ferry_{version}_{architecture}.deb"));
        let told = Command::new("dpkg-deb")
            .arg("--field")
            .arg(&file)
            .output()
            .unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        assert!(
            told.contains(&format!("Architecture: {architecture}\n")),
            "{told}"
        );
        assert!(told.contains("Depends: passwd\n"), "{told}");
    }
}

/// The script in `folder` with `PATH` and options, and no name of a machine in its way.
fn package_in(folder: &Path, path: &str, options: &[&str]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cross/package.sh");
    let made = Command::new("/bin/bash")
        .arg(script)
        .args(options)
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .unwrap();
    (
        made.status.success(),
        String::from_utf8_lossy(&made.stderr).into_owned(),
    )
}

#[test]
fn the_script_takes_folders_from_its_caller_and_says_what_it_lacks() {
    let folder = TempDir::new().unwrap();
    let targets = ["aarch64-unknown-linux-musl", "x86_64-unknown-linux-musl"];
    for target in targets {
        let place = folder.path().join("built").join(target);
        std::fs::create_dir_all(&place).unwrap();
        // Any program does.
        symlink("/bin/true", place.join("s3ferry")).unwrap();
    }
    let tools = std::env::var("PATH").unwrap();
    let given = ["--from", "built", "--out", "packages"];
    let (made, told) = package_in(folder.path(), &tools, &[&given[..], &targets[1..]].concat());
    assert!(made, "{told}");
    let package = format!("s3ferry_{}_amd64.deb", env!("CARGO_PKG_VERSION"));
    assert!(folder.path().join("packages").join(package).exists());

    let named = [&given[..], &["--ipk-arch", "mine", "all"]].concat();
    let (made, told) = package_in(folder.path(), &tools, &named);
    assert!(
        !made && told.contains("--ipk-arch mine is the name of one CPU"),
        "{told}"
    );

    // All tools but one.
    for (lacking, package) in [
        ("readelf", "binutils"),
        ("ar", "binutils"),
        ("xz", "xz-utils"),
    ] {
        let few = TempDir::new().unwrap();
        for tool in [
            "bash", "sed", "head", "git", "stat", "dirname", "grep", "python3",
        ]
        .into_iter()
        .chain(
            ["readelf", "ar", "xz"]
                .into_iter()
                .filter(|tool| *tool != lacking),
        ) {
            let found = tools.split(':').map(|place| Path::new(place).join(tool));
            if let Some(found) = found.into_iter().find(|path| path.exists()) {
                symlink(found, few.path().join(tool)).unwrap();
            }
        }
        let path = few.path().to_str().unwrap();
        let (made, told) = package_in(folder.path(), path, &[&given[..], &targets[1..]].concat());
        let message =
            format!("there is no {lacking}; install what gives Debian's package {package}");
        assert!(!made && told.contains(&message), "{told}");
    }
}

/// Every crate of the binary is in it, and what only tests or builds is not.
#[test]
fn the_bill_of_materials_names_what_is_linked() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cross/sbom.py");
    let made = Command::new("python3").arg(script).output();
    let Some(made) = made.ok().filter(|made| made.status.success()) else {
        crate::support::lacks("Python 3.11", false);
        return;
    };
    let bill: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(bill["metadata"]["component"]["name"], "s3ferry");
    let components = bill["components"].as_array().unwrap();
    let names: Vec<&str> = components
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    for linked in [
        "ureq",
        "rustls",
        "ring",
        "rust-s3",
        "rustix",
        "serde_json",
        "sha2",
    ] {
        assert!(names.contains(&linked), "{linked}");
    }
    for other in [
        "tokio",
        "s3s",
        "proptest",
        "cc",
        "serde_derive",
        "windows-sys",
    ] {
        assert!(!names.contains(&other), "{other}");
    }
    for component in components {
        assert!(
            component["licenses"][0]["expression"].is_string(),
            "{component}"
        );
        assert_eq!(
            component["hashes"][0]["content"].as_str().unwrap().len(),
            64
        );
    }
}
