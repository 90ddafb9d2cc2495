//! A move onto another file system, which is a copy and a removal, killed at each of its steps:
//! the file is there once, whole, and nothing of a copy is left.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::scenario::{ITEMS, Scenario};
use crate::strace::{self, Injection};

/// Whatever a copy may be made of.
const CALLS: [&str; 14] = [
    "mkdir",
    "openat",
    "copy_file_range",
    "sendfile",
    "write",
    "ftruncate",
    "fchmod",
    "utimensat",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "unlink",
    "unlinkat",
];

/// Memory, while the temporary files are on a disk.
const ELSEWHERE: &str = "/dev/shm";

#[test]
fn a_move_to_another_file_system_that_is_killed_anywhere_moves_once() {
    let _turn = strace::turn();
    if strace::is_missing() || is_one_file_system() {
        return;
    }
    let points = points();
    let results = strace::two_at_a_time(&points, kill_at);
    let failures: Vec<String> = points
        .iter()
        .zip(results)
        .filter_map(|(point, result)| Some(format!("{point}: {}", result.err()?)))
        .collect();
    println!(
        "move to another file system: {} points killed, lost or moved twice {}",
        points.len(),
        failures.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(points.len() > 8, "{points:?}");
}

fn is_one_file_system() -> bool {
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    let elsewhere = device(Path::new(ELSEWHERE));
    let differs = elsewhere.is_some() && elsewhere != device(&std::env::temp_dir());
    crate::support::lacks("a second file system at /dev/shm", differs)
}

fn scenario() -> (Scenario, TempDir) {
    let elsewhere = TempDir::new_in(ELSEWHERE).unwrap();
    let scenario = Scenario::moving_to(elsewhere.path().join("moved"), TempDir::new().unwrap());
    (scenario, elsewhere)
}

/// Only what belongs to the move.
fn paths(scenario: &Scenario, elsewhere: &TempDir) -> Vec<PathBuf> {
    let moved = elsewhere.path().join("moved");
    let item = ITEMS.iter().find(|item| item.job == "move").unwrap();
    let source = scenario.folder().join("source/move");
    let file = source.join(item.name);
    let partial = std::fs::metadata(&file).map(|found| {
        let (device, inode, time) = (found.dev(), found.ino(), found.mtime());
        moved.join(format!(".s3ferry-{device:x}-{inode:x}-{time:x}.partial"))
    });
    [source, moved.join(item.name), moved, file]
        .into_iter()
        .chain(partial)
        .collect()
}

fn points() -> Vec<Injection> {
    let (scenario, elsewhere) = scenario();
    let paths = paths(&scenario, &elsewhere);
    let (ending, noted) = strace::calls(scenario.folder(), &scenario.config(), &CALLS, &paths);
    assert_eq!(ending.code, Some(0), "{}", scenario.explain(&ending));
    scenario.check_recovery().unwrap();
    let each = noted.into_iter().flat_map(|(call, results)| {
        (1..=results.len()).map(move |number| Injection {
            call: call.clone(),
            action: "signal=KILL".to_owned(),
            when: number.to_string(),
            paths: Vec::new(),
        })
    });
    each.collect()
}

fn kill_at(point: &Injection) -> Result<(), String> {
    let (scenario, elsewhere) = scenario();
    let point = Injection {
        paths: paths(&scenario, &elsewhere),
        ..point.clone()
    };
    let ending = strace::inject(scenario.folder(), &scenario.config(), &point);
    if ending.signal != Some(9) || ending.hung {
        return Err(format!("not killed: {}", scenario.explain(&ending)));
    }
    scenario.check_nothing_lost()?;
    scenario.check_recovery().map(|_| ())
}
