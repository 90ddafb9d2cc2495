//! A machine with an init system, made of layers of files, in namespaces of its own.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::agent::{SOON, binary, read_records};
use crate::support::server::{ACCESS_KEY, BUCKET, SECRET_KEY};

/// Where everything is, on every machine.
pub const CONFIG: &str = "/etc/s3ferry/s3ferry.json";
pub const STATE: &str = "/var/lib/s3ferry";
pub const SOURCE: &str = "/data/backups";

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Names the Debian that `root.sh` has made.
const ROOT: &str = "S3FERRY_SERVICE_ROOT";

/// Which process 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// BusyBox init on a root of BusyBox alone, as Buildroot makes it.
    BusyBox,
    /// BusyBox init on Debian.
    Debian,
    Systemd,
}

/// What a command on a machine left.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Done {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// The files that a machine starts with, above those of its distribution.
pub struct Files {
    folder: TempDir,
    init: Init,
}

impl Files {
    /// s3ferry with all it needs, and folders; `None` where machines are not wanted.
    pub fn new(init: Init) -> Option<Files> {
        if !are_wanted() {
            return None;
        }
        let files = Files::bare(init);
        for folder in [SOURCE, "/etc/s3ferry", "/usr/bin"] {
            files.folder(folder);
        }
        files.program();
        Some(files)
    }

    /// The distribution alone.
    pub fn bare(init: Init) -> Files {
        let files = Files {
            folder: TempDir::new().unwrap(),
            init,
        };
        std::fs::set_permissions(files.folder.path(), mode(0o755)).unwrap();
        if init == Init::BusyBox {
            files.busybox();
        }
        files.write("/etc/hosts", 0o644, "127.0.0.1 localhost machine\n");
        files
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    pub fn folder(&self, path: &str) {
        std::fs::create_dir_all(self.path(path)).unwrap();
    }

    pub fn write(&self, path: &str, permissions: u32, content: impl AsRef<[u8]>) -> &Files {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(path, mode(permissions)).unwrap();
        self
    }

    /// A file of `config/services`, where it belongs.
    pub fn install(&self, name: &str, path: &str, permissions: u32) -> &Files {
        self.write(path, permissions, service_file(name))
    }

    /// The shell and the tools, and no C library but what the program brings.
    fn busybox(&self) {
        self.folder("/bin");
        std::fs::copy(debian().join("bin/busybox"), self.path("/bin/busybox")).unwrap();
        // Not of the copy: another test's child may hold it open for writing until its exec.
        let list = Command::new(debian().join("bin/busybox"))
            .arg("--list-full")
            .output();
        let list = String::from_utf8(list.unwrap().stdout).unwrap();
        for applet in list.lines().filter(|applet| *applet != "bin/busybox") {
            let path = self.path(applet);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink("/bin/busybox", path).unwrap();
        }
        for folder in [
            "/proc", "/sys", "/dev", "/run", "/tmp", "/var/lib", "/var/log", "/root",
        ] {
            self.folder(folder);
        }
        symlink("../run", self.path("/var/run")).unwrap();
        self.write(
            "/etc/passwd",
            0o644,
            "root:x:0:0::/root:/bin/sh\ns3ferry:x:99:99::/:/bin/false\n",
        );
        self.write("/etc/group", 0o644, "root:x:0:\ns3ferry:x:99:\n");
        // As in Buildroot.
        let all = |order: &str, action: &str| {
            format!(
                "#!/bin/sh\nfor i in $(ls {order} /etc/init.d/S??* 2>/dev/null); do $i {action} >>/var/log/{action} 2>&1; done\n"
            )
        };
        self.write(
            "/etc/init.d/rcS",
            0o755,
            all("", "start") + "touch /run/booted\n",
        );
        self.write("/etc/init.d/rcK", 0o755, all("-r", "stop"));
        self.write(
            "/etc/inittab",
            0o644,
            "::sysinit:/etc/init.d/rcS\n::shutdown:/etc/init.d/rcK\n",
        );
    }

    fn program(&self) {
        std::fs::copy(binary(), self.path("/usr/bin/s3ferry")).unwrap();
        if self.init != Init::BusyBox {
            return;
        }
        // A static one has none, and ldd says so.
        let ldd = Command::new("ldd").arg(binary()).output().unwrap();
        let words = String::from_utf8(ldd.stdout).unwrap();
        for library in words
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            let to = self.path(library);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(library, to).unwrap();
        }
    }

    /// Starts the machine, and waits until its init says that it has.
    pub fn boot(self) -> Machine {
        let (name, layers) = match self.init {
            Init::BusyBox => ("busybox", self.folder.path().display().to_string()),
            Init::Debian => ("busybox", self.on_debian()),
            Init::Systemd => ("systemd", self.on_debian()),
        };
        let place = TempDir::new().unwrap();
        let log = place.path().with_extension("log");
        let log_file = std::fs::File::create(&log).unwrap();
        let child = Command::new(here("boot.sh"))
            .arg(name)
            .arg(layers)
            .arg(place.path())
            .stdin(Stdio::null())
            .stdout(log_file.try_clone().unwrap())
            .stderr(log_file)
            .spawn()
            .unwrap();
        let machine = Machine {
            files: self,
            child,
            _place: place,
            log,
        };
        machine.wait_until("it has booted", || machine.has_booted());
        machine
    }

    fn on_debian(&self) -> String {
        format!("{}:{}", self.folder.path().display(), debian().display())
    }
}

/// Runs until it is dropped.
pub struct Machine {
    files: Files,
    child: Child,
    _place: TempDir,
    log: PathBuf,
}

impl Machine {
    fn has_booted(&self) -> bool {
        let Some(pid) = self.init_pid() else {
            return false;
        };
        match self.files.init {
            Init::Systemd => {
                // Until then process 1 is the script that puts the machine together.
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
                let state = || self.run("systemctl is-system-running").stdout;
                name.is_ok_and(|name| name.trim() == "systemd")
                    && ["running", "degraded"].contains(&state().trim())
            }
            Init::BusyBox | Init::Debian => self.host_path("/run/booted").exists(),
        }
    }

    /// The init's process id outside of the machine.
    fn init_pid(&self) -> Option<u32> {
        let own = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        children.ok()?.split_whitespace().next()?.parse().ok()
    }

    /// A path of the machine as this test can open it.
    pub fn host_path(&self, path: &str) -> PathBuf {
        let pid = self.init_pid().expect("the machine runs");
        PathBuf::from(format!("/proc/{pid}/root{path}"))
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.host_path(path), content).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.host_path(path)).unwrap_or_default()
    }

    /// Runs a line of shell on the machine.
    pub fn run(&self, line: &str) -> Done {
        let pid = self.init_pid().expect("the machine runs").to_string();
        let output = Command::new("nsenter")
            .args([
                "--target", &pid, "--mount", "--pid", "--uts", "--ipc", "--cgroup",
            ])
            .arg(format!("--root=/proc/{pid}/root"))
            .arg(format!("--wd=/proc/{pid}/root"))
            .args(["/bin/sh", "-c", line])
            .env_clear()
            .envs([("PATH", PATH), ("HOME", "/root"), ("LANG", "C")])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Done {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Writes the configuration.
    pub fn configure(&self, config: &Value) {
        self.write(CONFIG, config.to_string());
        std::fs::set_permissions(self.host_path(CONFIG), mode(0o600)).unwrap();
    }

    pub fn write_source(&self, name: &str, size: u64, seed: u64) {
        let path = self.host_path(&format!("{SOURCE}/{name}"));
        crate::support::files::write_content(&path, size, seed);
        crate::support::files::set_age(&path, Duration::from_secs(3600));
    }

    pub fn events_of(&self, kind: &str) -> Vec<Value> {
        let mut events = read_records(&self.host_path(STATE), "events.jsonl");
        events.retain(|event| event["kind"] == kind);
        events
    }

    #[track_caller]
    pub fn wait_for_events(&self, kind: &str, count: usize) -> Vec<Value> {
        self.wait_until(kind, || self.events_of(kind).len() >= count);
        self.events_of(kind)
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + SOON;
        while !holds() {
            if Instant::now() >= deadline {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let said = self.run("cat /var/log/start; journalctl -u s3ferry -o cat --no-pager");
                panic!("not within {SOON:?}: {what}\n{log}\n{said:#?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process ids of the service on the machine; what has ended and waits for its parent to
    /// take note of that does not count.
    pub fn service_pids(&self) -> Vec<u32> {
        let pids = self.run("pidof s3ferry").stdout;
        let alive = |pid: &u32| {
            let status = self.read(&format!("/proc/{pid}/status"));
            !status.is_empty() && !status.contains("State:\tZ")
        };
        let pids = pids.split_whitespace().map(|pid| pid.parse().unwrap());
        pids.filter(alive).collect()
    }

    /// Its only process.
    #[track_caller]
    pub fn service_pid(&self) -> u32 {
        self.wait_until("there is one process of it", || {
            self.service_pids().len() == 1
        });
        self.service_pids()[0]
    }

    /// Waits for its end, after something on it has asked for that.
    #[track_caller]
    pub fn wait_for_the_end(&mut self) {
        let deadline = Instant::now() + SOON;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With it goes the machine's process 1, and with that all others.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
        let part = format!("s3ferry-test-{}", self.child.id());
        for cgroups in ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup"] {
            remove_cgroups(&Path::new(cgroups).join(&part));
        }
    }
}

/// A cgroup goes when the last process of it is gone, which takes the kernel a moment.
fn remove_cgroups(part: &Path) {
    for _ in 0..500 {
        if !part.exists() {
            return;
        }
        let command = ["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"];
        let _ = Command::new("find")
            .arg(part)
            .args(command)
            .stderr(Stdio::null())
            .status();
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A configuration with one job from the usual places to `endpoint`.
pub fn config(endpoint: &str) -> Value {
    json!({
        "state_dir": STATE,
        "jobs": [{
            "name": "backups",
            "bucket": BUCKET,
            "endpoint": endpoint,
            "addressing": "path",
            "source_path": SOURCE,
            "settle": "0s",
            "credentials": { "access_key": ACCESS_KEY, "secret_key": SECRET_KEY },
            "proxy": "bypass",
        }],
    })
}

pub type Change = fn(&mut Value);

/// What a change of the configuration that is right in itself is refused for by the service that runs.
pub const REFUSED_BY_THE_SERVICE: [(Change, &str); 2] = [
    (
        |config| config["state_dir"] = json!("/var/lib/another"),
        "is another one, which takes a restart",
    ),
    (
        |config| {
            config["jobs"][0]["endpoint"] = json!("https://127.0.0.1:1");
            config["jobs"][0]["tls_options"] = json!({ "ca_file": "/etc/missing.pem" });
        },
        "/etc/missing.pem",
    ),
];

/// A file of `config/services`.
pub fn service_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/services")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A file beside these tests.
pub fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/service")
        .join(name)
}

pub fn mode(bits: u32) -> std::fs::Permissions {
    std::fs::Permissions::from_mode(bits)
}

/// Where `root.sh` has put it.
pub fn debian() -> PathBuf {
    std::env::var_os(ROOT).unwrap_or_default().into()
}

/// Whether machines are wanted. Where they are and cannot be had, that is a failure.
pub fn are_wanted() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        if std::env::var_os(ROOT).is_none_or(|root| root.is_empty()) {
            println!("SKIPPED: {ROOT} names no Debian to try service files in");
            return false;
        }
        let unshare = Command::new("unshare")
            .args(["--fork", "--pid", "--mount", "--cgroup", "true"])
            .status();
        assert!(
            rustix::process::geteuid().is_root() && unshare.is_ok_and(|status| status.success()),
            "namespaces need root"
        );
        assert!(
            debian().join(".complete").exists(),
            "{ROOT}: tests/service/root.sh has not made `{}`",
            debian().display()
        );
        true
    })
}
