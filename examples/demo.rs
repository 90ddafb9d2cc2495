//! s3ferry at work on this machine alone, with nothing to set up:
//!
//! ```text
//! cargo run --release --example demo             # add `-- --keep` to look around afterwards
//! ```
//!
//! A real S3 server runs in this process, on loopback. The real s3ferry binary carries a folder
//! of backups into it, and every object is compared with its file byte for byte.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "the embedded test server's file: it has threads, a clock, and panics for failures"
)]

// The tests' own server, so that the demo shows what the tests check.
#[allow(
    dead_code,
    reason = "the demo makes nothing fail, which is most of what it can do"
)]
#[path = "../tests/it/support/server.rs"]
mod server;

use std::error::Error;
use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

use server::{ACCESS_KEY, S3Options, S3Server, SECRET_KEY};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const BUCKET: &str = "demo-backups";
const MIB: u64 = 1 << 20;

/// Name, size, and how many hours ago it was written.
const SAMPLES: [(&str, u64, u64); 5] = [
    ("daily-monday.dmbackup", 180_000, 72),
    ("daily-tuesday.dmbackup", 195_000, 48),
    ("full weekly (site 7).dmbackup", 24 * MIB, 26),
    ("daily-wednesday.dmbackup", 201_000, 24),
    ("_current.dmbackup", 90_000, 1),
];

fn main() -> ExitCode {
    let keep = std::env::args().any(|argument| argument == "--keep");
    match run(keep) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(keep: bool) -> Result<()> {
    let binary = s3ferry_binary()?;
    let mut folder = tempfile::Builder::new().prefix("s3ferry-demo-").tempdir()?;
    folder.disable_cleanup(keep);
    let demo = Demo::prepare(folder.path(), binary)?;

    demo.introduce()?;
    demo.show(
        "What would go, and under which key",
        "Nothing is sent. The filter leaves out the file that is still being written.",
        &["plan"],
    )?;
    demo.show(
        "Send it",
        "Oldest first; the 24 MiB file is above the threshold and goes in parts.",
        &["once"],
    )?;
    let asked = demo.server.requests().len();
    demo.show(
        "Once more",
        "What is done is known: no request is sent, not even to list the bucket.",
        &["once"],
    )?;
    let again = demo.server.requests().len() - asked;
    println!("\nThe server was asked {asked} times before, and {again} times now.");
    if asked == 0 || again != 0 {
        return Err(
            "the first pass should have asked the server, and the second should not".into(),
        );
    }
    demo.show("The upload history", "", &["history"])?;
    demo.show("The information events", "", &["events"])?;
    demo.verify()?;
    demo.farewell(keep);
    Ok(())
}

struct Demo {
    server: S3Server,
    binary: PathBuf,
    source: PathBuf,
    state: PathBuf,
    config: PathBuf,
}

impl Demo {
    /// Server, sample files and configuration, all below `folder`.
    fn prepare(folder: &Path, binary: PathBuf) -> Result<Demo> {
        let server = S3Server::start(S3Options {
            buckets: vec![BUCKET.into()],
            root: Some(made(folder.join("server"))?),
            ..S3Options::default()
        });
        let demo = Demo {
            server,
            binary,
            source: made(folder.join("backups"))?,
            state: folder.join("state"),
            config: folder.join("s3ferry.json"),
        };
        for (name, size, hours) in SAMPLES {
            write_sample(&demo.source.join(name), size, hours)?;
        }
        fs::write(&demo.config, demo.configuration())?;
        // It holds a secret key: s3ferry would warn of a file that others can read.
        fs::set_permissions(&demo.config, Permissions::from_mode(0o600))?;
        Ok(demo)
    }

    fn configuration(&self) -> String {
        format!(
            r#"{{
  "state_dir": {state:?},
  "placeholders": {{ "dmaId": "17" }},
  "jobs": [{{
    "name": "backups",
    "bucket": "{BUCKET}", "region": "eu-west-2", "endpoint": "{endpoint}",
    "credentials": {{ "access_key": "{ACCESS_KEY}", "secret_key": "{SECRET_KEY}" }},
    "source_path": {source:?},
    "filter": "^(?!_current)(.*\\.dmbackup)$",          // all backups but the current one
    "change_filename": "<dmaId>_<createTime>_<filename>.<extension>",
    "prefix": "site-7/",
    "interval": "1h",
    "transfer": {{ "multipart_threshold": "8MiB", "part_size": "8MiB" }},
    "proxy": "bypass",                                   // the server is on this machine
  }}],
}}
"#,
            state = self.state,
            source = self.source,
            endpoint = self.server.endpoint(),
        )
    }

    fn introduce(&self) -> Result<()> {
        heading("A folder with backups");
        for (name, size, hours) in SAMPLES {
            println!("{size:>10}  {hours:>2} h old  {name}");
        }
        heading("The configuration");
        println!(
            "S3 answers at {}, in this process: a real server that",
            self.server.endpoint()
        );
        println!("verifies signatures and body hashes. Nothing leaves this machine.\n");
        print!("{}", fs::read_to_string(&self.config)?);
        println!("\n$ export S3FERRY_CONFIG={}", self.config.display());
        Ok(())
    }

    /// Runs the command with the demo's own terminal, so that what it shows is what users see.
    fn show(&self, title: &str, remark: &str, arguments: &[&str]) -> Result<()> {
        heading(title);
        if !remark.is_empty() {
            println!("{remark}\n");
        }
        println!("$ s3ferry {}", arguments.join(" "));
        io::stdout().flush()?;
        let status = Command::new(&self.binary)
            .args(arguments)
            .env("S3FERRY_CONFIG", &self.config)
            .status()
            .map_err(|e| format!("failed to run `{}`: {e}", self.binary.display()))?;
        if !status.success() {
            return Err(format!("`s3ferry {}` ended with {status}", arguments.join(" ")).into());
        }
        Ok(())
    }

    /// Compares each object with the file that the history says it came from.
    fn verify(&self) -> Result<()> {
        heading("The bucket, compared byte for byte with the files");
        let history = fs::read_to_string(self.state.join("history.jsonl"))?;
        let mut proven = 0;
        for line in history.lines() {
            let entry: serde_json::Value = serde_json::from_str(line)?;
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let (key, source) = (text("key"), PathBuf::from(text("source_path")));
            let object = self.server.object_path(BUCKET, &key);
            if !same_bytes(&object, &source)? {
                return Err(format!("object `{key}` differs from `{}`", source.display()).into());
            }
            println!("{:>10}  identical  {key}", fs::metadata(&object)?.len());
            proven += 1;
        }
        let keys = self.server.keys(BUCKET);
        let left_out = SAMPLES
            .iter()
            .filter(|(name, ..)| name.starts_with('_'))
            .count();
        let is_complete = keys.len() == proven && proven == SAMPLES.len() - left_out;
        if !is_complete || keys.iter().any(|key| key.contains("_current")) {
            return Err(format!("the history has {proven} files, the bucket {keys:?}").into());
        }
        println!("\n{proven} objects, {proven} identical; `_current.dmbackup` is not among them.");
        Ok(())
    }

    fn farewell(&self, keep: bool) {
        heading("What next");
        if keep {
            let folder = self.config.parent().unwrap_or(&self.config);
            println!("Everything is still in {}.", folder.display());
        } else {
            println!(
                "Nothing is left behind; `cargo run --release --example demo -- --keep` keeps it."
            );
        }
        println!(
            "For a bucket of your own: copy config/s3ferry.minimal.json, put your bucket's host, your\n\
             keys and your folder into it, and keep it to its owner (chmod 600). Then\n\n\
             $ s3ferry check -c FILE    is all of it right, and can the bucket be written\n\
             $ s3ferry plan -c FILE     what would go, and under which key\n\
             $ s3ferry run -c FILE      the service, in the foreground until Ctrl-C"
        );
    }
}

fn heading(title: &str) {
    println!("\n{title}\n{}", "─".repeat(title.chars().count()));
}

fn made(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Bytes that repeat nowhere within a part, so that a part in the wrong place would show.
fn write_sample(path: &Path, size: u64, hours: u64) -> Result<()> {
    let mut file = io::BufWriter::new(File::create(path)?);
    let mut word = size;
    for _ in 0..size.div_ceil(8) {
        word = word
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        file.write_all(&word.to_le_bytes())?;
    }
    let file = file.into_inner()?;
    file.set_len(size)?;
    file.set_modified(SystemTime::now() - Duration::from_secs(3600 * hours))?;
    Ok(())
}

fn same_bytes(left: &Path, right: &Path) -> Result<bool> {
    let open = |path: &Path| {
        let file =
            File::open(path).map_err(|e| format!("cannot open `{}`: {e}", path.display()))?;
        Ok::<_, Box<dyn Error>>((file.metadata()?.len(), BufReader::new(file).bytes()))
    };
    let ((left_size, left), (right_size, right)) = (open(left)?, open(right)?);
    if left_size != right_size {
        return Ok(false);
    }
    for (l, r) in left.zip(right) {
        if l? != r? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The program beside this example: `target/release/s3ferry` for `target/release/examples/demo`.
///
/// `cargo run --example` builds the library and the example but not the program, and only
/// tests are told where it is. So it is built here, if it is missing or older than its source.
fn s3ferry_binary() -> Result<PathBuf> {
    let example = std::env::current_exe()?;
    let profile = example
        .ancestors()
        .nth(2)
        .ok_or("this example has no target folder around it")?;
    let binary = profile.join(format!("s3ferry{}", std::env::consts::EXE_SUFFIX));
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = fs::metadata(&binary).and_then(|m| m.modified());
    let is_fresh = built.is_ok_and(|built| newest(package).is_ok_and(|source| source <= built));
    if !is_fresh {
        build(package, profile)?;
    }
    Ok(binary)
}

fn build(package: &Path, profile: &Path) -> Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--bin", "s3ferry"])
        .current_dir(package);
    cargo
        .arg("--target-dir")
        .arg(profile.parent().unwrap_or(profile));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo
        .status()
        .map_err(|e| format!("failed to run cargo: {e}"))?;
    if !status.success() {
        return Err("the program cannot be built; cargo has said why".into());
    }
    Ok(())
}

/// When the program's source was last changed.
fn newest(package: &Path) -> io::Result<SystemTime> {
    let mut latest = fs::metadata(package.join("Cargo.toml"))?.modified()?;
    let mut folders = vec![package.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
            latest = latest.max(entry.metadata()?.modified()?);
        }
    }
    Ok(latest)
}
