//! The records of a running agent: written in the order that loses nothing, and seldom.
//!
//! Of a finished upload the ledger's confirmation comes first. The history entry and the ledger's
//! last word follow in batches, one fsync of each file a batch: a restart finds a confirmation
//! without its last word and does what is missing.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::copy::StateCopier;
use super::ledger::{Confirmed, Damage, Fingerprint, KeyHash, Ledger, SourceFate, passed_over};
use super::{Event, EventKind, HistoryEntry, JsonLines, Repair, Severity, read_last};
use crate::clock;
use crate::config::model::Config;

mod lent;
mod standing;
pub use lent::LentEvents;

/// A batch is closed when it has so many files, or is so old.
const BATCH_FILES: usize = 64;
const BATCH_AGE: Duration = Duration::from_secs(1);
/// How many confirmations are kept in memory while the disk is full. More files than that are sent
/// again later, to the same keys.
const UNWRITTEN_LIMIT: usize = 2000;

/// A finished upload whose last word is not in the ledger yet.
#[derive(Debug)]
struct Pending {
    fingerprint: Fingerprint,
    entry: HistoryEntry,
    fate: SourceFate,
    key: Option<KeyHash>,
    entry_written: bool,
}

impl Repaired {
    /// `None`: nothing was wrong.
    pub fn ledger(damage: Damage) -> Option<Repaired> {
        (damage != Damage::default()).then_some(Repaired {
            file: "ledger.jsonl",
            dropped_bytes: damage.dropped_bytes,
            bad_lines: damage.bad_lines,
        })
    }
}

/// History, events and ledger of one state directory.
#[derive(Debug)]
pub struct Records {
    history: JsonLines,
    history_path: PathBuf,
    history_files: u32,
    events: JsonLines,
    ledger: Ledger,
    pending: Vec<Pending>,
    pending_since: Option<Instant>,
    /// What of the state directory could not be written, which has been said.
    failing: Vec<&'static str>,
    /// The copy of the state directory could not be written, which has been said.
    copy_failing: bool,
    /// When that began and how it is told, as long as the events could not take it.
    untold: Option<(OffsetDateTime, String)>,
}

/// What the opening repaired in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    pub file: &'static str,
    /// Bytes cut off at its end.
    pub dropped_bytes: u64,
    /// Lines in it that say nothing.
    pub bad_lines: u64,
}

impl Records {
    /// Opens or begins the records in `config.state_dir`.
    pub fn open(config: &Config) -> io::Result<(Records, Vec<Repaired>)> {
        let path = |name: &str| config.state_dir.join(name);
        let (history, history_repair) = JsonLines::open(&path("history.jsonl"), config.history)?;
        let (events, events_repair) = JsonLines::open(&path("events.jsonl"), config.events)?;
        let (mut ledger, damage) = Ledger::open(&config.state_dir)?;
        ledger.set_copier(StateCopier::new(config));
        let records = Records {
            history,
            history_path: path("history.jsonl"),
            history_files: config.history.files,
            events,
            ledger,
            pending: Vec::new(),
            pending_since: None,
            failing: Vec::new(),
            copy_failing: false,
            untold: None,
        };
        Ok((records, repairs(history_repair, events_repair, damage)))
    }

    /// For a new configuration; it counts from the next line on.
    pub fn configure(&mut self, config: &Config) {
        self.history.set_rotation(config.history);
        self.history_files = config.history.files;
        self.events.set_rotation(config.events);
        self.ledger.set_copier(StateCopier::new(config));
        // It may be another copy that works, or none.
        if self.copy_failing {
            self.copy();
        }
    }

    /// Brings the copy of the state directory up to date, if that is due.
    pub fn copy_if_due(&mut self, now: Instant) {
        if self.copy_due().is_some_and(|due| due <= now) {
            self.copy();
        }
    }

    /// When that is; `None` while nothing has changed.
    pub fn copy_due(&self) -> Option<Instant> {
        self.ledger.copy_due()
    }

    /// Brings the copy up to date now.
    pub fn copy(&mut self) {
        let copied = self.ledger.copy();
        self.note_copy(copied);
    }

    /// At the start: whether there is a copy that knows more, and whether it can be written.
    pub fn begin_copy(&mut self) {
        let begun = self.ledger.adopt_copy();
        if let Err(error) = begun.and_then(|()| self.ledger.try_copy_access()) {
            self.note_copy(Err(error));
        }
    }

    /// Takes over a copy whose disk has been mounted meanwhile. True if one was, at whatever
    /// occasion, since this was asked last.
    pub fn adopt_copy(&mut self) -> bool {
        if let Err(error) = self.ledger.adopt_copy_if_there() {
            self.note_copy(Err(error));
        }
        let adopted = self.ledger.take_adopted();
        if adopted {
            self.tell_of_adoption();
        }
        adopted
    }

    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Writes an event and logs it.
    pub fn event(&mut self, event: &Event<'_>) {
        log_event(event);
        let written = self.events.append(&event.to_line());
        self.note(written, "events.jsonl");
    }

    /// S3 has the object. `durable`: wait for the disk, since something will be deleted. False
    /// when that could not be written; then the source file has to stay where it is.
    pub fn confirm(&mut self, confirmed: Confirmed, durable: bool) -> bool {
        let written = self.ledger.confirm(confirmed);
        let written = match written {
            Ok(()) if durable => self.ledger.sync(),
            other => other,
        };
        let fine = written.is_ok();
        self.note(written, "ledger.jsonl");
        fine
    }

    /// Once more, for a confirmation whose first writing failed or was not waited for. False when
    /// that cannot be written either.
    pub fn reconfirm(&mut self, confirmed: &Confirmed) -> bool {
        let written = self
            .ledger
            .rewrite(confirmed)
            .and_then(|()| self.ledger.sync());
        let fine = written.is_ok();
        self.note(written, "ledger.jsonl");
        fine
    }

    /// Whether the upload's last word is only waiting for its batch.
    pub fn is_pending(&self, fingerprint: &Fingerprint) -> bool {
        let mut pending = self.pending.iter();
        pending.any(|pending| pending.fingerprint == *fingerprint)
    }

    /// The source file has been seen to. `key` is given where the job changes names.
    pub fn finish(&mut self, confirmed: Confirmed, fate: SourceFate, key: Option<KeyHash>) {
        if self.pending.len() >= UNWRITTEN_LIMIT {
            self.pending.remove(0);
        }
        let written = self.history.append(&confirmed.entry.to_line());
        let entry_written = written.is_ok();
        self.note(written, "history.jsonl");
        self.pend(confirmed, fate, key, entry_written);
    }

    fn pend(
        &mut self,
        confirmed: Confirmed,
        fate: SourceFate,
        key: Option<KeyHash>,
        entry_written: bool,
    ) {
        self.pending.push(Pending {
            fingerprint: confirmed.fingerprint,
            entry: confirmed.entry,
            fate,
            key,
            entry_written,
        });
        self.pending_since.get_or_insert_with(clock::monotonic);
    }

    /// Closes the batch when it is full or old.
    pub fn flush_if_due(&mut self, now: Instant) {
        let due = self.pending.len() >= BATCH_FILES
            || self
                .pending_since
                .is_some_and(|since| now.saturating_duration_since(since) >= BATCH_AGE);
        if due {
            self.flush();
        }
    }

    /// Closes the batch. What cannot be written stays for the next time.
    pub fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        self.pending_since = None;
        let written = self.write_pending();
        if written.is_ok() {
            // All of them have been written to just now.
            self.note(Ok(()), "ledger.jsonl");
            self.note(Ok(()), "history.jsonl");
        }
        self.note(written, "the state directory");
    }

    fn write_pending(&mut self) -> io::Result<()> {
        for pending in &mut self.pending {
            if !pending.entry_written {
                self.history.append(&pending.entry.to_line())?;
                pending.entry_written = true;
            }
        }
        self.ledger.sync()?;
        if let Err(error) = self.history.sync() {
            // What was appended may be lost, and a second fsync would not tell.
            for pending in &mut self.pending {
                pending.entry_written = false;
            }
            return Err(error);
        }
        let today = today();
        for (index, pending) in self.pending.iter().enumerate() {
            // Where its confirmation is not in the file, the last word alone says enough.
            let written = self
                .ledger
                .done(pending.fingerprint, today, pending.fate, pending.key);
            if let Err(error) = written {
                self.pending.drain(..index);
                return Err(error);
            }
        }
        self.pending.clear();
        Ok(())
    }

    /// Uploads that a former run left confirmed but not settled: those whose file is no longer
    /// there are finished now, the others when their folder is walked.
    /// `kept`: whether the entry's job keeps its files, and the key's hash where that counts.
    pub fn recover(
        &mut self,
        still_there: &dyn Fn(&Confirmed) -> bool,
        kept: &dyn Fn(&HistoryEntry) -> (bool, Option<KeyHash>),
    ) {
        for confirmed in self.ledger.confirmed().to_vec() {
            let (keep, key) = kept(&confirmed.entry);
            if !keep && still_there(&confirmed) {
                continue;
            }
            let fate = if keep {
                SourceFate::Kept
            } else {
                SourceFate::Gone
            };
            self.finish_recovered(confirmed, fate, key);
        }
        self.flush();
    }

    /// A file that could not be removed before is gone now. Should that not be written, the file is
    /// remembered in vain for a while.
    pub fn removed_at_last(&mut self, fingerprint: Fingerprint) {
        let written = self
            .ledger
            .done(fingerprint, today(), SourceFate::Gone, None);
        self.note(written, "ledger.jsonl");
    }

    /// A file stays that is not to be sent. Should that not be written, a restart looks at it again.
    pub fn passed_over(&mut self, file: &Fingerprint) {
        let known = passed_over(file);
        let written = self.ledger.done(known, today(), SourceFate::Kept, None);
        self.note(written, "ledger.jsonl");
    }

    /// As [`Records::finish`], for an upload of a former run: its history entry may be there.
    pub fn finish_recovered(
        &mut self,
        confirmed: Confirmed,
        fate: SourceFate,
        key: Option<KeyHash>,
    ) {
        if self.history_has(&confirmed.entry) {
            self.pend(confirmed, fate, key, true);
        } else {
            self.finish(confirmed, fate, key);
        }
    }

    /// The source path that the history has last for `key`, as records write it.
    pub fn source_of_key(&self, key: &str) -> Option<String> {
        let mut same =
            |line: &[u8]| HistoryEntry::parse(line).is_some_and(|entry| entry.key == key);
        let (found, _) = read_last(&self.history_path, self.history_files, 1, &mut same).ok()?;
        Some(HistoryEntry::parse(found.first()?)?.source_path)
    }

    fn history_has(&self, wanted: &HistoryEntry) -> bool {
        let mut same = |line: &[u8]| {
            HistoryEntry::parse(line).is_some_and(|entry| {
                entry.source_path == wanted.source_path && entry.finished_at == wanted.finished_at
            })
        };
        read_last(&self.history_path, self.history_files, 1, &mut same)
            .is_ok_and(|(found, _)| !found.is_empty())
    }
}

fn repairs(history: Repair, events: Repair, ledger: Damage) -> Vec<Repaired> {
    let cut = |file, repair: Repair| {
        (repair.dropped > 0).then_some(Repaired {
            file,
            dropped_bytes: repair.dropped,
            bad_lines: 0,
        })
    };
    [
        cut("history.jsonl", history),
        cut("events.jsonl", events),
        Repaired::ledger(ledger),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl std::fmt::Display for Repaired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` was damaged: ", self.file)?;
        match (self.dropped_bytes, self.bad_lines) {
            (bytes, 0) => write!(f, "{bytes} bytes at its end are dropped"),
            (0, lines) => write!(f, "{lines} lines in it cannot be read and are dropped"),
            (bytes, lines) => write!(
                f,
                "{bytes} bytes at its end and {lines} lines that cannot be read are dropped"
            ),
        }
    }
}

/// Days since 1970.
pub fn today() -> u32 {
    u32::try_from(clock::wall().unix_timestamp() / 86_400).unwrap_or(0)
}

fn log_event(event: &Event<'_>) {
    let level = match event.severity {
        Severity::Info => log::Level::Info,
        Severity::Warning => log::Level::Warn,
        Severity::Error => log::Level::Error,
    };
    let hint = event
        .error
        .as_ref()
        .and_then(|error| error.hint)
        .map(|hint| format!("; {hint}"))
        .unwrap_or_default();
    let job = event.job.map(|job| format!("[{job}] ")).unwrap_or_default();
    log::log!(level, "{job}{}{hint}", event.message);
}

/// An event about nothing but the service.
pub fn service_event(kind: EventKind, message: String) -> Event<'static> {
    Event::new(clock::wall(), kind, Severity::Info, message)
}
