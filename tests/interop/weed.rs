//! SeaweedFS as one process: master, volume, filer and S3, over http and https.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;

use crate::bucket::Bucket;
use crate::support::server::{ACCESS_KEY, SECRET_KEY};

/// The first start lays out its files.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Runs the server until the other end of the pipe closes, which it does however the test ends;
/// then the server and its folder go. A line through the pipe stops the server and keeps the
/// folder.
const KEEPER: &str = r#"
folder=$1; shift
"$@" >>"$folder/weed.log" 2>&1 &
read -r keep || keep=
kill -9 $!
wait
[ -n "$keep" ] || rm -rf "$folder"
"#;

pub struct Weed {
    program: PathBuf,
    folder: PathBuf,
    ports: Ports,
    keeper: Option<Child>,
}

struct Ports {
    master: u16,
    volume: u16,
    filer: u16,
    http: u16,
    https: u16,
}

impl Weed {
    /// The server that most tests share, with a bucket for each; `None`, and a word about it,
    /// when there is no server to run.
    pub fn shared() -> Option<&'static Weed> {
        static SHARED: OnceLock<Option<Weed>> = OnceLock::new();
        SHARED.get_or_init(Weed::own).as_ref()
    }

    /// A server that the test may stop.
    pub fn own() -> Option<Weed> {
        let Some(program) = std::env::var_os("S3FERRY_WEED").filter(|path| !path.is_empty()) else {
            say_skipped();
            return None;
        };
        let folder = tempfile::Builder::new().prefix("s3ferry-weed-").tempdir();
        let mut weed = Weed {
            program: program.into(),
            // From here on it belongs to the keeper.
            folder: folder.unwrap().keep(),
            ports: Ports::free(),
            keeper: None,
        };
        let config = json!({ "identities": [{
            "name": "test",
            "credentials": [{ "accessKey": ACCESS_KEY, "secretKey": SECRET_KEY }],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }], "kms": {
            "default_provider": "own",
            "providers": { "own": { "type": "local", "enableOnDemandCreate": true } },
        } });
        fs::write(weed.folder.join("s3.json"), config.to_string()).unwrap();
        write_certificates(&weed.folder);
        weed.start();
        Some(weed)
    }

    /// A bucket of that name, made if it is new.
    pub fn bucket(&self, name: &str) -> Bucket {
        let bucket = Bucket::new(&self.http(), name);
        bucket.create();
        bucket
    }

    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.http)
    }

    pub fn https(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.https)
    }

    /// The CA that signed the certificate of [`Weed::https`].
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A CA that signed nothing.
    pub fn other_ca_file(&self) -> PathBuf {
        self.folder.join("other-ca.pem")
    }

    /// `SIGKILL`; the objects stay.
    pub fn kill(&mut self) {
        let mut keeper = self.keeper.take().unwrap();
        keeper.stdin.take().unwrap().write_all(b"keep\n").unwrap();
        keeper.wait().unwrap();
    }

    /// On the same ports, with the same objects; returns when it takes objects.
    pub fn start(&mut self) {
        let folder = self.folder.to_str().unwrap();
        let data = self.folder.join("data");
        fs::create_dir_all(&data).unwrap();
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper", folder])
            .arg(&self.program)
            .args(self.arguments(&data))
            .env("WEED_S3_SSE_KEY", "a passphrase for tests")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.keeper = Some(keeper);
        self.wait_until_it_takes_objects();
    }

    fn arguments(&self, data: &Path) -> Vec<String> {
        let Ports {
            master,
            volume,
            filer,
            http,
            https,
        } = &self.ports;
        let folder = self.folder.display();
        let mut arguments: Vec<String> = ["-logtostderr=true", "server", "-filer", "-s3"]
            .map(str::to_owned)
            .into();
        arguments.extend([
            format!("-dir={}", data.display()),
            "-ip=127.0.0.1".into(),
            "-ip.bind=127.0.0.1".into(),
            format!("-master.port={master}"),
            format!("-volume.port={volume}"),
            format!("-filer.port={filer}"),
            format!("-s3.port={http}"),
            format!("-s3.port.https={https}"),
            format!("-s3.cert.file={folder}/cert.pem"),
            format!("-s3.key.file={folder}/key.pem"),
            format!("-s3.config={folder}/s3.json"),
            "-s3.domainName=localhost".into(),
            // Their ports are fixed, and a busy one ends the whole process.
            "-s3.port.iceberg=0".into(),
            "-s3.port.lance=0".into(),
            // As many volumes as the disk has room for. Each bucket takes several at once, so
            // that large ones would be used up by a dozen buckets.
            "-volume.max=0".into(),
            "-master.volumeSizeLimitMB=64".into(),
            "-master.telemetry=false".into(),
        ]);
        arguments
    }

    fn wait_until_it_takes_objects(&self) {
        let deadline = Instant::now() + START_LIMIT;
        let bucket = Bucket::new(&self.http(), "readiness");
        while !(bucket.try_create() && bucket.try_put("ready")) {
            assert!(Instant::now() < deadline, "{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        let log = fs::read(self.folder.join("weed.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
        // The keeper has done it, unless the server was down already.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Ports {
    /// Not from the system's own range: a port there may go to a client while the server is
    /// down. The server takes each port plus 10,000 as well.
    fn free() -> Ports {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seed = now.unwrap().subsec_micros() ^ std::process::id();
        let start = 11_000 + (seed % 7_000) as u16;
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let mut free = (start..21_000).filter(|&port| is_free(port) && is_free(port + 10_000));
        let mut next = || free.next().expect("a free port");
        Ports {
            master: next(),
            volume: next(),
            filer: next(),
            http: next(),
            https: next(),
        }
    }
}

/// `ca.pem`, `cert.pem` and `key.pem` for this machine, and `other-ca.pem`.
fn write_certificates(folder: &Path) {
    let write = |name: &str, pem: String| fs::write(folder.join(name), pem).unwrap();
    let (ca_pem, issuer) = authority("s3ferry test CA");
    write("ca.pem", ca_pem);
    write("other-ca.pem", authority("another CA").0);
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let params = CertificateParams::new(names).unwrap();
    write("cert.pem", params.signed_by(&key, &issuer).unwrap().pem());
    write("key.pem", key.serialize_pem());
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

/// Past the test harness, which would keep it to itself.
fn say_skipped() {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let text = "skipped: S3FERRY_WEED does not name a SeaweedFS binary (weed)\n";
        let _ = std::io::stderr().write_all(text.as_bytes());
    });
}
