//! What reaches the flash for each file that is uploaded: bytes and fsyncs in the state folder.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::agent::{Agent, SOON};
use crate::support::running::Running;
use crate::weed::Weed;
use crate::{agent, figure};

const LIMIT: Duration = Duration::from_secs(300);

#[test]
#[ignore = "a measurement: cross/footprint.sh"]
fn bytes_and_fsyncs_for_each_file() {
    let weed = Weed::shared().expect("S3FERRY_WEED");
    for after_upload in ["keep", "delete"] {
        let bucket = weed.bucket(&format!("writes-{after_upload}"));
        let agent = agent(weed, &bucket).with_job(json!({ "after_upload": after_upload }));
        let running = agent.start();
        running.wait_for_event("service_started", SOON);
        let batch = cost(&agent, &running, "batch", &[100]);
        let lone = cost(&agent, &running, "lone", &[1; 10]);
        figure(&format!("{after_upload}, in batches"), batch);
        figure(&format!("{after_upload}, one at a time"), lone);
        assert!(running.stop().success());
    }
}

/// Carries so many files in each of so many passes; bytes and fsyncs per file.
fn cost(agent: &Agent, running: &Running, name: &str, passes: &[u64]) -> String {
    let log = agent.folder().join(format!("{name}.strace"));
    let tracer = Tracer::attach(running.pid(), &log);
    let mut sent = agent.history().len();
    for (pass, count) in passes.iter().enumerate() {
        for number in 0..*count {
            agent.write_file(format!("{name}-{pass}-{number}"), 1000, number);
        }
        running.signal(Signal::USR1);
        sent += *count as usize;
        wait_until(|| agent.history().len() == sent);
        // The batch ends with its fsyncs, before the next sleep.
        wait_until(|| running.info().is_asleep());
        std::thread::sleep(Duration::from_secs(2));
    }
    tracer.detach();
    let (bytes, syncs) = count(&log, &agent.state());
    let files = passes.iter().sum::<u64>() as f64;
    format!(
        "{:.0} bytes, {:.2} fsyncs",
        bytes as f64 / files,
        syncs as f64 / files
    )
}

/// Bytes written below the folder, and fsyncs in it.
fn count(log: &Path, state: &Path) -> (u64, u64) {
    let text = std::fs::read_to_string(log).unwrap();
    let of_state = format!("<{}", state.display());
    let (mut bytes, mut syncs) = (0, 0);
    for line in text.lines().filter(|line| line.contains(&of_state)) {
        let result = line.rsplit_once("= ").map(|(_, result)| result.trim());
        if line.contains("sync(") {
            syncs += 1;
        } else if let Some(written) = result.and_then(|result| result.parse::<u64>().ok()) {
            bytes += written;
        }
    }
    assert!(bytes > 0, "strace saw nothing: {text}");
    (bytes, syncs)
}

struct Tracer(Child);

impl Tracer {
    fn attach(pid: u32, log: &Path) -> Tracer {
        let child = Command::new("strace")
            .args(["-f", "-qq", "-y", "-s", "0"])
            .args(["-e", "trace=write,pwrite64,writev,fsync,fdatasync", "-o"])
            .arg(log)
            .args(["-p", &pid.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(|| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            status.contains(&format!("TracerPid:\t{}\n", child.id()))
        });
        Tracer(child)
    }

    fn detach(mut self) {
        let pid = Pid::from_raw(self.0.id() as i32).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        self.0.wait().unwrap();
    }
}

#[track_caller]
fn wait_until(mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !met() {
        assert!(Instant::now() < deadline, "it takes more than {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
