//! A service that runs with a configuration file on another state directory than the file names now:
//! its `state_dir` was changed, which takes a restart.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::arguments::{self, Command};
use crate::os::lock::holders_of_any;

/// The process of a service that was started with the file at `config`. It is known by a lock that it
/// holds and by its command line, which everybody may read.
pub fn service_of(config: &Path) -> Option<i32> {
    let config = fs::canonicalize(config).ok()?;
    let mut holders = holders_of_any().ok()?.into_iter();
    holders.find(|pid| configuration_of(*pid).is_some_and(|found| found == config))
}

fn configuration_of(pid: i32) -> Option<PathBuf> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    if fs::read(process.join("comm")).ok()? != b"s3ferry\n" {
        return None;
    }
    let line = fs::read(process.join("cmdline")).ok()?;
    let words = line
        .strip_suffix(b"\0")
        .unwrap_or(&line)
        .split(|byte| *byte == 0);
    let words = words.skip(1).map(|word| OsString::from_vec(word.to_vec()));
    let invocation = arguments::parse(words).ok()?;
    if !matches!(invocation.command, Command::Run | Command::Once) {
        return None;
    }
    // A relative path is one of the folder that the service was started in.
    let folder = fs::read_link(process.join("cwd")).unwrap_or_default();
    fs::canonicalize(folder.join(invocation.config)).ok()
}
