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
    let rclone = format!(
        ":s3,provider=Other,env_auth=true,force_path_style=true,endpoint=\"{endpoint}\":{}/large",
        bucket.name
    );
    let to = format!("s3://{}/large", bucket.name);
    let sparing = ["--transfers=1", "--s3-upload-concurrency=1"];
    let rclone_copy = [
        "--config=/dev/null",
        "--ca-cert",
        ca,
        "copyto",
        file,
        &rclone,
    ];
    let runs: [(&str, &str, Vec<&str>); 4] = [
        ("rclone", "rclone", rclone_copy.to_vec()),
        (
            "rclone, one part at a time",
            "rclone",
            [&rclone_copy[..], &sparing].concat(),
        ),
        (
            "s5cmd",
            "s5cmd",
            vec![
                "--endpoint-url",
                &endpoint,
                "--no-verify-ssl",
                "cp",
                file,
                &to,
            ],
        ),
        (
            "aws-cli",
            "aws",
            vec![
                "--endpoint-url",
                &endpoint,
                "--ca-bundle",
                ca,
                "s3",
                "cp",
                "--quiet",
                file,
                &to,
            ],
        ),
    ];
    for (name, program, arguments) in runs {
        let mut command = Command::new(format!("{folder}/{program}"));
        command.args(arguments).env("HOME", source.path());
        figure(name, measure(command));
        assert!(bucket.has_same("large", &path), "{name}");
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
    let info = ProcessInfo::of(child.id());
    let (mut resident, mut threads, mut cpu) = (0, 0, Duration::ZERO);
    let status = loop {
        cpu = info.cpu().unwrap_or(cpu);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        resident = info.peak_rss().unwrap_or(resident);
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
