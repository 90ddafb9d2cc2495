//! Memory, open files and wake-ups: at rest, and while a large file goes up.

use std::time::{Duration, Instant};

use crate::resident::{Peak, open_files, resident};
use crate::support::agent::{SOON, binary};
use crate::support::process::ProcessInfo;
use crate::weed::Weed;
use crate::{MIB, agent, figure, write_large};

/// How long the sleep of an idle service is watched.
const REST: Duration = Duration::from_secs(60);

/// Of the large upload; an emulator takes its time.
const LIMIT: Duration = Duration::from_secs(1800);

#[test]
#[ignore = "a measurement: cross/footprint.sh"]
fn at_rest_and_under_load() {
    let weed = Weed::shared().expect("S3FERRY_WEED");
    let bucket = weed.bucket("footprint");
    let agent = agent(weed, &bucket);
    figure("binary", std::fs::metadata(binary()).unwrap().len());

    agent.write_file("small", 1000, 1);
    let running = agent.start();
    running.wait_for_event("pass_finished", SOON);
    let (info, pid) = (running.info(), running.pid());
    let sleeps = wait_for_rest(&info);
    figure("resident at rest", resident(pid).unwrap());
    figure("open files at rest", open_files(pid));
    std::thread::sleep(REST);
    let wakeups = info.sleeps().unwrap() - sleeps;
    figure(
        "wake-ups at rest",
        format!("{wakeups} in {} s", REST.as_secs()),
    );
    assert!(running.stop().success());

    write_large(&agent.source_file("large"), 1024);
    let begin = Instant::now();
    let running = agent.start();
    let peak = Peak::watch(&running, LIMIT, || {
        !agent.events_of("pass_finished").is_empty() && agent.history().len() == 2
    });
    figure("peak resident", peak.resident);
    figure("peak open files", peak.open_files);
    figure("threads", peak.threads);
    figure(
        "1 GiB took",
        format!("{:.1} s", begin.elapsed().as_secs_f64()),
    );
    let cpu = running.info().cpu().unwrap_or_default();
    figure("1 GiB CPU", format!("{:.1} s", cpu.as_secs_f64()));
    assert!(running.stop().success());
    assert!(bucket.has_same("large", &agent.source_file("large")));
    assert_eq!(
        std::fs::metadata(agent.source_file("large")).unwrap().len(),
        1024 * MIB
    );
}

/// How often it had gone to sleep when it began its long one.
fn wait_for_rest(info: &ProcessInfo) -> u64 {
    let deadline = Instant::now() + SOON;
    let mut last = info.sleeps();
    loop {
        std::thread::sleep(Duration::from_secs(2));
        let now = info.sleeps();
        if now == last && info.is_asleep() {
            return now.unwrap();
        }
        assert!(Instant::now() < deadline, "it never comes to rest");
        last = now;
    }
}
