//! System calls that fail, once or from then on: nothing is lost, nothing hangs, the exit code
//! and the message tell, and a run without the fault comes to the same end.

use std::path::PathBuf;

use crate::scenario::{ITEMS, Scenario};
use crate::strace::{self, Injection};

/// The calls on the state directory, the source folders and the configuration, and how each of
/// them may fail.
const FAULTS: [(&str, &[&str]); 9] = [
    ("write", &["ENOSPC", "EIO", "EINTR"]),
    ("fsync", &["EIO", "ENOSPC", "EINTR"]),
    ("openat", &["EMFILE", "EACCES", "EIO", "EINTR", "ENOSPC"]),
    ("rename", &["EIO", "ENOSPC", "EACCES"]),
    ("renameat", &["EIO", "ENOSPC", "EACCES"]),
    ("unlink", &["EIO", "EACCES"]),
    ("unlinkat", &["EIO", "EACCES"]),
    ("ftruncate", &["EIO", "EACCES", "EINTR"]),
    ("mkdir", &["ENOSPC", "EACCES"]),
];

/// Exit codes of the contract.
const CODES: [i32; 7] = [0, 69, 70, 74, 75, 77, 78];

#[test]
fn a_failing_system_call_loses_nothing() {
    let _turn = strace::turn();
    if strace::is_missing() {
        return;
    }
    let points = points();
    let results = strace::two_at_a_time(&points, fail_at);
    let mut failures = Vec::new();
    let mut codes = std::collections::BTreeMap::new();
    for (point, result) in points.iter().zip(results) {
        match result {
            Ok(code) => {
                *codes.entry(code).or_insert(0) += 1;
            }
            Err(why) => failures.push(format!("{point}: {why}")),
        }
    }
    println!(
        "errors at every step: {} faults, lost {}, exit codes {codes:?}",
        points.len(),
        failures.len(),
    );
    assert!(
        failures.is_empty(),
        "{} points:\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

#[test]
fn a_file_that_cannot_be_deleted_is_told_once_and_tried_again_in_every_pass() {
    let _turn = strace::turn();
    if strace::is_missing() {
        return;
    }
    let scenario = Scenario::new();
    let injection = Injection {
        paths: paths(&scenario),
        ..point("unlinkat", "EACCES", "1+".to_owned())
    };
    for _ in 0..2 {
        let ending = strace::inject(scenario.folder(), &scenario.config(), &injection);
        assert_eq!(ending.code, Some(74), "{}", scenario.explain(&ending));
        assert_eq!(scenario.events_of("file_skipped").len(), 3);
        assert_eq!(scenario.history().len(), ITEMS.len());
    }
    scenario.check_convergence().unwrap();
    assert_eq!(scenario.history().len(), ITEMS.len());
}

/// `point` has no paths yet: they are in the scenario's own folder.
fn fail_at(point: &Injection) -> Result<i32, String> {
    let scenario = Scenario::new();
    let injection = Injection {
        paths: paths(&scenario),
        ..point.clone()
    };
    let ending = strace::inject(scenario.folder(), &scenario.config(), &injection);
    let explain = || scenario.explain(&ending);
    if ending.hung {
        return Err(format!("hangs: {}", explain()));
    }
    let code = match ending.code {
        Some(code) if CODES.contains(&code) => code,
        _ => return Err(format!("not an exit code of the contract: {}", explain())),
    };
    if ending.stderr.contains("panicked") {
        return Err(format!("panics: {}", explain()));
    }
    if code != 0 && ending.stderr.trim().is_empty() {
        return Err(format!("fails without a word: {}", explain()));
    }
    scenario
        .check_nothing_lost()
        .map_err(|why| format!("{why}: {}", explain()))?;
    let requests = scenario.requests();
    scenario
        .check_convergence()
        .map_err(|why| format!("{why}; the faulty run: {}", explain()))?;
    if code == 0 && scenario.requests() > requests {
        return Err(format!("was not done although it said so: {}", explain()));
    }
    Ok(code)
}

/// strace looks at these only: the dynamic linker and the program's own output stay out of it.
fn paths(scenario: &Scenario) -> Vec<PathBuf> {
    let state = scenario.state();
    let names = [
        "ledger.jsonl",
        "ledger.jsonl.new",
        "history.jsonl",
        "events.jsonl",
        "status.json",
        "status.json.new",
        "lock",
    ];
    let mut paths: Vec<PathBuf> = names.iter().map(|name| state.join(name)).collect();
    let folder = scenario.folder();
    for job in ["keep", "delete", "move"] {
        paths.push(folder.join("source").join(job));
    }
    paths.extend([state, scenario.config(), folder.join("moved")]);
    paths
}

/// Each call fails in one way or another, once and from then on. By default the ways take turns.
fn points() -> Vec<Injection> {
    let scenario = Scenario::new();
    let calls = FAULTS.map(|(call, _)| call);
    let paths = paths(&scenario);
    let (ending, noted) = strace::calls(scenario.folder(), &scenario.config(), &calls, &paths);
    assert_eq!(ending.code, Some(0), "{}", scenario.explain(&ending));
    let all = std::env::var_os("S3FERRY_CRASH_ALL").is_some();
    let mut points = Vec::new();
    for (call, errors) in FAULTS {
        for number in 1..=noted.get(call).map_or(0, Vec::len) {
            for (turn, error) in errors.iter().enumerate() {
                let its_turn = |number: usize| all || number % errors.len() == turn;
                if its_turn(number) {
                    points.push(point(call, error, number.to_string()));
                }
                // A call that is interrupted for ever is no fault that there is.
                if its_turn(number / 3) && (all || number % 3 == 0) && *error != "EINTR" {
                    points.push(point(call, error, format!("{number}+")));
                }
            }
        }
    }
    if let Ok(only) = std::env::var("S3FERRY_CRASH_ONLY") {
        points.retain(|point| point.to_string() == only);
    }
    points
}

fn point(call: &str, error: &str, when: String) -> Injection {
    Injection {
        call: call.to_owned(),
        action: format!("error={error}"),
        when,
        paths: Vec::new(),
    }
}
