//! The progress of the file under way: a line on a terminal, the status file, nothing else.

use std::cell::Cell;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::clock;
use crate::naming::ObjectKey;
use crate::status::{CurrentFile, StatusFile};
use crate::text::{fit, human_duration, human_rate, human_size};

const SHOWN_EVERY: Duration = Duration::from_millis(200);
/// The line's width where the terminal does not tell.
const USUAL_WIDTH: usize = 80;

/// Watches one file.
#[derive(Debug)]
pub struct Progress<'a> {
    status: &'a StatusFile,
    job: &'a str,
    on_terminal: bool,
    file: CurrentFile,
    started: Instant,
    first: Cell<Option<u64>>,
    shown: Cell<Option<Instant>>,
}

impl<'a> Progress<'a> {
    /// Begins to watch `file`, of which nothing is sent yet in this attempt.
    pub fn new(
        status: &'a StatusFile,
        job: &'a str,
        on_terminal: bool,
        file: CurrentFile,
    ) -> Progress<'a> {
        status.job(job, |job| job.current = Some(file.clone()));
        Progress {
            status,
            job,
            on_terminal,
            file,
            started: clock::monotonic(),
            first: Cell::new(None),
            shown: Cell::new(None),
        }
    }

    /// The file's key is taken, and it goes to another.
    pub fn goes_to(&self, key: &ObjectKey) {
        self.status.job(self.job, |job| {
            if let Some(current) = &mut job.current {
                current.key = key.as_str().to_owned();
            }
        });
    }

    /// `sent` bytes of the file are with the network.
    pub fn advance(&self, sent: u64) {
        if self.first.get().is_none() {
            self.first.set(Some(sent));
        }
        let now = clock::monotonic();
        let recent = self
            .shown
            .get()
            .is_some_and(|at| now.saturating_duration_since(at) < SHOWN_EVERY);
        if recent {
            return;
        }
        self.shown.set(Some(now));
        let rate = self.rate(sent, now);
        self.status.job(self.job, |job| {
            if let Some(current) = &mut job.current {
                current.sent = sent;
                current.bytes_per_second = rate;
            }
        });
        self.status.write_if_due(now);
        if self.on_terminal {
            self.show(sent, rate);
        }
    }

    /// Bytes per second of this attempt: what an earlier one sent was not sent now.
    fn rate(&self, sent: u64, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.started).as_millis();
        let since_start = sent.saturating_sub(self.first.get().unwrap_or(0));
        u64::try_from(u128::from(since_start) * 1000 / elapsed.max(1)).unwrap_or(u64::MAX)
    }

    fn show(&self, sent: u64, rate: u64) {
        let width = terminal_width().unwrap_or(USUAL_WIDTH);
        let line = progress_line(&self.file.source_path, sent, self.file.size, rate, width);
        // A terminal that is gone is no reason to stop an upload.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        let _ = std::io::stderr().flush();
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.status.job(self.job, |job| job.current = None);
        if self.on_terminal && self.shown.get().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// Whether a progress line can be shown.
pub fn on_terminal() -> bool {
    rustix::termios::isatty(std::io::stderr())
}

/// Columns of the terminal at standard output or standard error.
pub fn terminal_width() -> Option<usize> {
    let columns = rustix::termios::tcgetwinsize(std::io::stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(std::io::stderr()))
        .ok()?
        .ws_col;
    (columns > 0).then_some(usize::from(columns))
}

fn progress_line(path: &str, sent: u64, size: u64, rate: u64, width: usize) -> String {
    let percent = (u128::from(sent) * 100)
        .checked_div(u128::from(size))
        .unwrap_or(100);
    let left = match size.saturating_sub(sent).checked_div(rate) {
        Some(seconds) => format!("{} left", human_duration(Duration::from_secs(seconds))),
        // Nothing to tell yet, or nothing moves.
        None => "-".to_owned(),
    };
    let figures = format!(
        " {percent:>3} %  {} of {}  {}  {left}",
        human_size(sent),
        human_size(size),
        human_rate(rate),
    );
    let room = width.saturating_sub(figures.chars().count() + 1).max(8);
    format!(
        "{}{figures}",
        fit(path, room.min(path.chars().count().max(8)))
    )
}

#[cfg(test)]
mod tests {
    use super::progress_line;

    #[test]
    fn the_line_tells_file_percent_rate_and_time_left_and_fits() {
        let line = progress_line("/data/backups/a.dmbackup", 512 << 20, 1 << 30, 8 << 20, 80);
        for part in [
            "a.dmbackup",
            "50 %",
            "512 MiB",
            "1 GiB",
            "8 MiB/s",
            "1m 4s left",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(line.chars().count() <= 80, "{line}");
        assert!(progress_line("/a", 0, 10, 0, 80).ends_with("0 B/s  -"));
        assert!(progress_line("/a", 0, 0, 5, 80).contains("100 %"));
    }
}
