//! What others take for the same file to the same server: memory, CPU, threads.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::process::ProcessInfo;
use crate::support::server::{ACCESS_KEY, SECRET_KEY};
use crate::weed::Weed;
use crate::{figure, write_large};

const LIMIT: Duration = Duration::from_secs(600);

/// One after the other, and what each calls itself. `S3FERRY_PEERS` is the folder they are in.
#[test]
#[ignore = "a measurement: cross/footprint.sh"]
fn peers() {
    let folder = std::env::var("S3FERRY_PEERS").expect("the folder of rclone, s5cmd and aws");
    let weed = Weed::shared().expect("S3FERRY_WEED");
    let bucket = weed.bucket("peers");
    let source = tempfile::tempdir().unwrap();
    let path = source.path().join("large");
    write_large(&path, 1024);
    let file = path.to_str().unwrap();
    let (endpoint, ca) = (weed.https(), weed.ca_file());
    let ca = ca.to_str().unwrap();
    // Words without spaces in them; KEY is another for each, which would find the file there else.
    let rclone = format!(
        "--config=/dev/null --ca-cert {ca} copyto {file} \
         :s3,provider=Other,env_auth=true,force_path_style=true,endpoint=\"{endpoint}\":peers/KEY"
    );
    let sparing = format!("--transfers=1 --s3-upload-concurrency=1 {rclone}");
    let s5cmd = format!("--endpoint-url {endpoint} --no-verify-ssl cp {file} s3://peers/KEY");
    let aws =
        format!("--endpoint-url {endpoint} --ca-bundle {ca} s3 cp --quiet {file} s3://peers/KEY");
    let runs = [
        ("rclone", "rclone", rclone),
        ("rclone, one part at a time", "rclone", sparing),
        ("s5cmd", "s5cmd", s5cmd),
        ("aws-cli", "aws", aws),
    ];
    for (number, (name, program, line)) in runs.into_iter().enumerate() {
        let key = format!("large-{number}");
        let mut command = Command::new(format!("{folder}/{program}"));
        let line = line.replace("KEY", &key);
        command
            .args(line.split_whitespace())
            .env("HOME", source.path());
        figure(name, measure(command));
        assert!(bucket.has_same(&key, &path), "{name}");
    }
}

fn measure(mut command: Command) -> String {
    let begin = Instant::now();
    let mut child = command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let (mut resident, mut threads, mut cpu) = (0, 0, Duration::ZERO);
    let status = loop {
        let info = ProcessInfo::of(last_child(child.id()));
        cpu = info.cpu().unwrap_or_default().max(cpu);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        resident = info.peak_rss().unwrap_or(0).max(resident);
        threads = info.threads().unwrap_or(0).max(threads);
        if begin.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} takes more than {LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{command:?}: {status}");
    format!(
        "{:.1} MB, {:.1} s of CPU, {threads} threads, {:.1} s",
        resident as f64 / 1e6,
        cpu.as_secs_f64(),
        begin.elapsed().as_secs_f64()
    )
}

/// A package of PyPI may start the program itself from a script.
fn last_child(pid: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let first = children
        .ok()
        .and_then(|pids| pids.split(' ').next()?.parse().ok());
    first.map_or(pid, last_child)
}
