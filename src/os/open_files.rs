//! Who has a file open for writing, as far as `/proc` tells.
//!
//! A lease (`F_SETLEASE`) would tell it exactly but has no safe wrapper; `/proc/*/fdinfo` needs
//! none. Without the right to look into other processes it sees only our own user's, which is why
//! the settle time stands first and this only adds to it.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file by device and inode.
pub type FileId = (u64, u64);

/// Those of `wanted` that some other process has open for writing. Reads `/proc` once.
pub fn open_for_writing(wanted: &HashSet<FileId>) -> HashSet<FileId> {
    let mut found = HashSet::new();
    if wanted.is_empty() {
        return found;
    }
    let own = rustix::process::getpid().as_raw_nonzero().to_string();
    let Ok(processes) = fs::read_dir("/proc") else {
        return found;
    };
    for process in processes.flatten() {
        let name = process.file_name();
        let name = name.to_string_lossy();
        if name != own.as_str() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            collect_from(&process.path(), wanted, &mut found);
        }
    }
    found
}

fn collect_from(process: &Path, wanted: &HashSet<FileId>, found: &mut HashSet<FileId>) {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else {
        return;
    };
    for descriptor in descriptors.flatten() {
        let Ok(metadata) = fs::metadata(descriptor.path()) else {
            continue;
        };
        let id = (metadata.dev(), metadata.ino());
        if wanted.contains(&id) && writes(process, &descriptor.file_name()) {
            found.insert(id);
        }
    }
}

/// The `flags:` line of fdinfo is the open mode in octal; its last two bits are 1 or 2 for writing.
fn writes(process: &Path, descriptor: &std::ffi::OsStr) -> bool {
    let Ok(info) = fs::read_to_string(process.join("fdinfo").join(descriptor)) else {
        return false;
    };
    info.lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .and_then(|flags| u64::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & 0o3 != 0)
}
