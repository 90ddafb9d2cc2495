//! LocalStack's S3: AWS's semantics of checksums, conditions and locks, without its signatures.
//!
//! `S3FERRY_LOCALSTACK` names the Python of a virtual environment with `localstack-core`.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::properties::{self, Place};

/// Python starts slowly, and more so on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(180);

/// Runs the server until the other end of the pipe closes, which it does however the test ends.
const KEEPER: &str = r#"
"$@" >>"$FILESYSTEM_ROOT/localstack.log" 2>&1 &
read -r _
kill -9 $!
wait
rm -rf "$FILESYSTEM_ROOT"
"#;

pub struct LocalStack {
    port: u16,
    _keeper: Child,
}

impl LocalStack {
    /// The one that all tests share; `None`, and a word about it, when there is none to run.
    pub fn place() -> Option<Place> {
        static SHARED: OnceLock<Option<LocalStack>> = OnceLock::new();
        let shared = SHARED.get_or_init(LocalStack::start).as_ref()?;
        Some(Place {
            endpoint: format!("http://127.0.0.1:{}", shared.port),
            ca_file: None,
        })
    }

    fn start() -> Option<LocalStack> {
        let Some(python) = std::env::var_os("S3FERRY_LOCALSTACK").filter(|path| !path.is_empty())
        else {
            say_skipped();
            return None;
        };
        // From here on it belongs to the keeper.
        let folder = TempDir::new().unwrap().keep();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(python)
            .args(["-m", "localstack.runtime.main"])
            .env("DISABLE_EVENTS", "1")
            .env("SKIP_SSL_CERT_DOWNLOAD", "1")
            .env("SERVICES", "s3")
            .env("STRICT_SERVICE_LOADING", "1")
            .env("EAGER_SERVICE_LOADING", "1")
            .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
            .env("FILESYSTEM_ROOT", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + START_LIMIT;
        let health = format!("http://127.0.0.1:{port}/_localstack/health");
        loop {
            let answer = Command::new("curl")
                .args(["--silent", "--noproxy", "*", "--max-time", "5", &health])
                .output()
                .unwrap();
            if String::from_utf8_lossy(&answer.stdout).contains("\"s3\": \"running\"") {
                break;
            }
            let log = std::fs::read_to_string(folder.join("localstack.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{answer:?} {log}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(LocalStack {
            port,
            _keeper: keeper,
        })
    }
}

/// Past the test harness, which would keep it to itself.
fn say_skipped() {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let text = "skipped: S3FERRY_LOCALSTACK does not name a Python with localstack-core\n";
        let _ = std::io::stderr().write_all(text.as_bytes());
    });
}

#[test]
fn localstack_agrees_with_every_checksum_of_parts_and_of_the_whole() {
    let Some(place) = LocalStack::place() else {
        return;
    };
    properties::checksums_agree(&place);
}

#[test]
fn localstack_shows_after_a_lost_state_that_the_bytes_are_the_same() {
    let Some(place) = LocalStack::place() else {
        return;
    };
    properties::a_lost_state_sends_nothing_twice(&place);
}

#[test]
fn localstack_has_a_checksum_of_every_object_as_aws_has() {
    let Some(place) = LocalStack::place() else {
        return;
    };
    properties::somebody_elses_object_counts_if_it_is_the_same(&place);
}

#[test]
fn localstack_replaces_nothing_but_with_overwrite() {
    let Some(place) = LocalStack::place() else {
        return;
    };
    properties::what_is_there_is_left_alone(&place);
}

#[test]
fn localstack_keeps_a_locked_object() {
    let Some(place) = LocalStack::place() else {
        return;
    };
    properties::a_locked_object_is_kept(&place);
}
