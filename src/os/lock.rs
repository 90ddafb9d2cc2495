//! One instance a state directory.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::durable::{give_to_owner_of_folder, naming};

/// Held as long as the value lives; the kernel lets go of it with the process, however that ends.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

impl StateLock {
    /// Takes `state_dir/lock` and writes the process id into it. `Ok(None)`: another process has it.
    pub fn take(state_dir: &Path) -> io::Result<Option<StateLock>> {
        let mut file = open(state_dir, OFlags::RDWR | OFlags::CREATE)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.rewind()?;
        match writeln!(file, "{}", rustix::process::getpid().as_raw_nonzero()) {
            // `/proc/locks` knows the process as well.
            Err(error) if is_full(&error) => {}
            written => written.map_err(naming(&state_dir.join("lock")))?,
        }
        Ok(Some(StateLock { file }))
    }

    /// The process id of the instance that holds the lock; `None` when nobody does.
    ///
    /// Asks `/proc/locks` rather than trying the lock: a try that succeeds would keep a service
    /// that starts at that moment from getting it.
    pub fn holder(state_dir: &Path) -> io::Result<Option<rustix::process::Pid>> {
        let mut file = match open(state_dir, OFlags::RDONLY) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let locks = std::fs::read_to_string("/proc/locks")?;
        let Some(by) = locked_by(&locks, file.metadata()?.ino()) else {
            return Ok(None);
        };
        let mut text = String::new();
        Read::take(&mut file, 32).read_to_string(&mut text)?;
        let process = text.trim().parse().unwrap_or(by);
        Ok(rustix::process::Pid::from_raw(process))
    }
}

/// The processes that hold a lock of this kind on any file; of other users' processes the kernel
/// tells this as well.
pub fn holders_of_any() -> io::Result<Vec<i32>> {
    let locks = std::fs::read_to_string("/proc/locks")?;
    let holders = locks.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let is_flock = words.next() == Some("FLOCK");
        words.nth(2)?.parse().ok().filter(|_| is_flock)
    });
    Ok(holders.collect())
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The process that has the lock. A line is `1: FLOCK  ADVISORY  WRITE 4242 fd:01:1234 0 EOF`, see
/// proc_locks(5).
fn locked_by(locks: &str, inode: u64) -> Option<i32> {
    locks.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let kind = words.next()?;
        let process = words.nth(2)?.parse().ok()?;
        let found: u64 = words.next()?.rsplit(':').next()?.parse().ok()?;
        (kind == "FLOCK" && found == inode).then_some(process)
    })
}

impl Drop for StateLock {
    fn drop(&mut self) {
        // An empty lock file tells a reader that nobody runs, even where flock is not told apart.
        let _ = self.file.set_len(0);
    }
}

fn open(state_dir: &Path, flags: OFlags) -> io::Result<File> {
    let path = state_dir.join("lock");
    let descriptor = rustix::fs::open(
        &path,
        flags | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::from_raw_mode(0o640),
    )
    .map_err(|error| naming(&path)(error.into()))?;
    let file = File::from(descriptor);
    if flags.contains(OFlags::CREATE) {
        give_to_owner_of_folder(&file, &path);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::locked_by;

    #[test]
    fn a_lock_is_found_by_its_inode_and_kind() {
        let locks = "1: POSIX  ADVISORY  WRITE 17 fe:00:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 4242 fe:00:1234 0 EOF\n";
        assert_eq!(locked_by(locks, 1234), Some(4242));
        assert_eq!(locked_by(locks, 77), None);
        assert_eq!(locked_by(locks, 234), None);
    }
}
