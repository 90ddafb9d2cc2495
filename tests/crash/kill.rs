//! `kill -9`, or a power cut as far as a process can tell, before every system call that matters.

use crate::scenario::{Cost, ITEMS, Scenario};
use crate::strace::{self, Injection};

/// Few, and each a step of its own: all of them.
const RARE: [&str; 16] = [
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "ftruncate",
    "mkdir",
    "mkdirat",
    "pwrite64",
    "writev",
    "sendmsg",
    "write",
    "openat",
    "recvfrom",
];
/// Many, most of them alike: the small ones, which are steps of their own, and a spread.
const MANY: &str = "sendto";
/// Bytes; a body is sent in larger pieces.
const SMALL: usize = 8 * 1024;
/// How many of the large ones are taken.
const SPREAD: usize = 25;

#[test]
fn a_kill_before_any_system_call_loses_nothing() {
    let _turn = strace::turn();
    if strace::is_missing() {
        return;
    }
    let points = points();
    let results = strace::two_at_a_time(&points, kill_at);
    let mut failures = Vec::new();
    let (mut killed, mut too_late) = (0, 0);
    let mut sum = Cost::default();
    for (point, result) in points.iter().zip(results) {
        match result {
            Ok(Some(cost)) => {
                killed += 1;
                sum.files_sent_twice += cost.files_sent_twice;
                sum.parts_sent_twice += cost.parts_sent_twice;
                sum.told_twice += cost.told_twice;
            }
            Ok(None) => too_late += 1,
            Err(why) => failures.push(format!("{point}: {why}")),
        }
    }
    println!(
        "kill at every step: {killed} points killed, {} files each, lost {}, sent twice: {} files \
         and {} parts, in the history twice: {}, open uploads left: 0; {too_late} points not reached",
        ITEMS.len(),
        failures.len(),
        sum.files_sent_twice,
        sum.parts_sent_twice,
        sum.told_twice,
    );
    assert!(
        failures.is_empty(),
        "{} points:\n{}",
        failures.len(),
        failures.join("\n\n")
    );
    assert!(
        killed * 10 > points.len() * 9,
        "most points have to be reached"
    );
}

/// `None`: the run was over before.
fn kill_at(point: &Injection) -> Result<Option<Cost>, String> {
    let scenario = Scenario::new();
    let ending = strace::inject(scenario.folder(), &scenario.config(), point);
    scenario.check_nothing_lost()?;
    let reached = match (ending.signal, ending.code) {
        (Some(9), _) if !ending.hung => true,
        (None, Some(0)) => false,
        _ => {
            return Err(format!(
                "neither killed nor done: {}",
                scenario.explain(&ending)
            ));
        }
    };
    let cost = scenario.check_recovery()?;
    if cost.parts_sent_twice > 1 {
        return Err(format!("{} parts were sent twice", cost.parts_sent_twice));
    }
    Ok(reached.then_some(cost))
}

fn points() -> Vec<Injection> {
    let scenario = Scenario::new();
    let calls = [&RARE[..], &[MANY]].concat();
    let (ending, noted) = strace::calls(scenario.folder(), &scenario.config(), &calls, &[]);
    assert_eq!(ending.code, Some(0), "{}", scenario.explain(&ending));
    scenario.check_recovery().unwrap();
    let mut points = Vec::new();
    for (call, results) in noted {
        let all = call != MANY || std::env::var_os("S3FERRY_CRASH_ALL").is_some();
        let step = results.len().div_ceil(SPREAD);
        for (index, result) in results.iter().enumerate() {
            let is_small = result.parse().is_ok_and(|bytes: usize| bytes < SMALL);
            if all || is_small || index % step == 0 {
                points.push(Injection {
                    call: call.clone(),
                    action: "signal=KILL".to_owned(),
                    when: (index + 1).to_string(),
                    paths: Vec::new(),
                });
            }
        }
    }
    if let Ok(only) = std::env::var("S3FERRY_CRASH_ONLY") {
        points.retain(|point| point.to_string() == only);
    }
    points
}
