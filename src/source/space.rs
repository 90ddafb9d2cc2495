//! How full a source's disk is.

use std::io;
use std::path::Path;

use crate::config::model::FreeSpace;

/// How many bytes are missing on the file system of `path` until `wanted` is free for its users;
/// 0 when it is.
pub fn missing(path: &Path, wanted: FreeSpace) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let wanted = match wanted {
        FreeSpace::Bytes(bytes) => bytes,
        FreeSpace::Percent(percent) => {
            let total = u128::from(disk.f_blocks) * u128::from(disk.f_frsize);
            u64::try_from(total * u128::from(percent) / 100).unwrap_or(u64::MAX)
        }
    };
    Ok(wanted.saturating_sub(free))
}
