//! What the kernel tells about a process while it runs.

use std::time::Duration;

use super::agent::is_emulated;

/// In which `/proc/PID/stat` counts, on every Linux that there is a Rust for.
const TICKS_A_SECOND: u32 = 100;

/// `/proc/PID` of a child.
pub struct ProcessInfo {
    pid: u32,
}

impl ProcessInfo {
    pub fn of(pid: u32) -> Self {
        ProcessInfo { pid }
    }

    /// Threads at this moment; `None` once it has ended. The thread that QEMU starts for itself
    /// (`call_rcu`), soon after its start, is none of the program's.
    pub fn threads(&self) -> Option<u64> {
        let threads = self.number("Threads:")?;
        let emulators = u64::from(is_emulated() && threads > 1);
        Some(threads - emulators)
    }

    /// The most memory it ever had resident, in bytes; with the emulator's, if there is one.
    pub fn peak_rss(&self) -> Option<u64> {
        Some(self.number("VmHWM:")? * 1024)
    }

    /// User and system time so far.
    pub fn cpu(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // The second field is a name in parentheses, which may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut ticks = rest.split_whitespace().skip(11);
        let mut next = || ticks.next()?.parse::<u32>().ok();
        let total = next()? + next()?;
        Some(Duration::from_secs(total.into()) / TICKS_A_SECOND)
    }

    /// How often it went to sleep of its own accord: stands still while it is idle.
    pub fn sleeps(&self) -> Option<u64> {
        self.number("voluntary_ctxt_switches:")
    }

    /// False once it has ended, even if nobody has waited for it yet.
    pub fn is_alive(&self) -> bool {
        self.field("State:")
            .is_some_and(|s| !s.starts_with(['Z', 'X']))
    }

    /// Blocked in the kernel, as opposed to running.
    pub fn is_asleep(&self) -> bool {
        self.field("State:").is_some_and(|s| s.starts_with('S'))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.field(name)?.split_whitespace().next()?.parse().ok()
    }

    fn field(&self, name: &str) -> Option<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().to_owned())
    }
}
