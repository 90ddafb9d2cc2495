//! How much memory a process has resident, as the kernel counts it.

use std::time::{Duration, Instant};

use crate::support::agent::is_emulated;
use crate::support::running::Running;

/// Where `-B` tells QEMU to put the program's address 0; and how much room it then keeps for it.
/// What lies elsewhere is the emulator: its code, its translations, its tables.
pub const EMULATED: std::ops::Range<u64> = 0x1000_0000_0000..0x1001_0000_0000;

/// Bytes: text, data, heap and stack of the program, without the emulator's.
pub fn resident(pid: u32) -> Option<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?;
    let mut counts = false;
    let mut kibibytes = 0;
    for line in maps.lines() {
        if let Some(size) = line.strip_prefix("Rss:") {
            let size = size.trim().trim_end_matches(" kB").parse::<u64>();
            kibibytes += if counts { size.ok()? } else { 0 };
        } else if let Some((start, _)) = line.split_once('-')
            && let Ok(start) = u64::from_str_radix(start, 16)
        {
            counts = !is_emulated() || EMULATED.contains(&start);
        }
    }
    (kibibytes > 0).then_some(kibibytes * 1024)
}

/// Descriptors that are open at this moment.
pub fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The most of each that was seen until `done`.
#[derive(Debug, Default)]
pub struct Peak {
    pub resident: u64,
    pub open_files: usize,
    pub threads: u64,
}

impl Peak {
    pub fn watch(running: &Running, limit: Duration, mut done: impl FnMut() -> bool) -> Peak {
        let (info, pid) = (running.info(), running.pid());
        let mut peak = Peak::default();
        let deadline = Instant::now() + limit;
        while !done() {
            assert!(info.is_alive(), "it ended: {}", running.stderr());
            assert!(Instant::now() < deadline, "it takes more than {limit:?}");
            peak.resident = peak.resident.max(resident(pid).unwrap_or(0));
            peak.open_files = peak.open_files.max(open_files(pid));
            peak.threads = peak.threads.max(info.threads().unwrap_or(0));
            std::thread::sleep(Duration::from_millis(20));
        }
        // The kernel's own record misses nothing between two looks.
        if !is_emulated() {
            peak.resident = peak.resident.max(info.peak_rss().unwrap_or(0));
        }
        peak
    }
}
