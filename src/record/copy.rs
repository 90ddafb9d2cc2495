//! The durable copy of a state directory that does not outlive a restart of the machine: it is kept
//! in memory, to spare the flash.
//!
//! What is read at a start is the copy, if the state directory holds no ledger. It is brought up to
//! date at an interval, at the end, and when a multipart upload begins, so that its parts are found
//! again. Flash is written only for what has changed, and files that grow are appended to.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::model::Config;
use crate::os::{durable, mirror};

/// The last word: what is in it must be in the others already, so it is copied last, and where it
/// is, all others are.
const LEDGER: &str = "ledger.jsonl";
const PROCESSING: &str = "processing.json";
/// Changes at every pass. It goes along when something else does.
const STATUS: &str = "status.json";

/// Keeps the copy.
#[derive(Debug)]
pub struct StateCopier {
    state_dir: PathBuf,
    dir: PathBuf,
    interval: Duration,
    last: Instant,
    /// What the files looked like when they were copied.
    copied: Vec<Seen>,
}

/// A file's name, size, mtime and inode.
type Seen = (String, u64, i64, i64, u64);

impl StateCopier {
    /// `None`: no copy is wanted.
    pub fn new(config: &Config) -> Option<StateCopier> {
        let copy = config.state_copy.as_ref()?;
        Some(StateCopier {
            state_dir: config.state_dir.clone(),
            dir: copy.dir.clone(),
            interval: copy.interval,
            last: clock::monotonic(),
            copied: Vec::new(),
        })
    }

    /// When the copy is to be brought up to date; `None` while nothing has changed.
    pub fn due(&self) -> Option<Instant> {
        (self.seen() != self.copied).then(|| self.last + self.interval)
    }

    /// Brings the copy up to date.
    pub fn update(&mut self) -> io::Result<()> {
        self.last = clock::monotonic();
        let seen = self.seen();
        if seen == self.copied {
            return Ok(());
        }
        create_folder(&self.dir)?;
        let names = names_in(&self.state_dir)?;
        for name in &names {
            mirror::update(&self.state_dir.join(name), &self.dir.join(name))?;
        }
        for gone in names_in(&self.dir)? {
            // Rotated away; any other that is missing is rather one to be restored.
            let rotated = gone.ends_with(|last: char| last.is_ascii_digit());
            if rotated && !names.contains(&gone) {
                fs::remove_file(self.dir.join(gone))?;
            }
        }
        self.copied = seen;
        Ok(())
    }

    fn seen(&self) -> Vec<Seen> {
        let names = names_in(&self.state_dir).unwrap_or_default();
        let changing = names.into_iter().filter(|name| name != STATUS);
        changing
            .filter_map(|name| {
                let file = fs::metadata(self.state_dir.join(&name)).ok()?;
                Some((
                    name,
                    file.len(),
                    file.mtime(),
                    file.mtime_nsec(),
                    file.ino(),
                ))
            })
            .collect()
    }
}

/// Fills a state directory that holds no ledger from its copy. The lock must be held.
pub fn restore(config: &Config) -> io::Result<()> {
    let Some(copy) = &config.state_copy else {
        return Ok(());
    };
    if config.state_dir.join(LEDGER).exists() || !copy.dir.join(LEDGER).exists() {
        return Ok(());
    }
    for name in names_in(&copy.dir)? {
        mirror::restore(&copy.dir.join(&name), &config.state_dir.join(&name))?;
    }
    log::info!(
        "the state directory is filled from `{}`",
        copy.dir.display()
    );
    Ok(())
}

/// Where the records are that a start would go on from.
pub fn records_dir(config: &Config) -> &Path {
    match &config.state_copy {
        Some(copy) if !config.state_dir.join(LEDGER).exists() => &copy.dir,
        _ => &config.state_dir,
    }
}

/// Changes the processing states in the state directory by `change`, and in its copy.
pub fn with_processing_states(
    config: &Config,
    change: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let Some(copy) = &config.state_copy else {
        return change();
    };
    let (original, copied) = (config.state_dir.join(PROCESSING), copy.dir.join(PROCESSING));
    mirror::restore(&copied, &original)?;
    change()?;
    create_folder(&copy.dir)?;
    mirror::update(&original, &copied).map(|_| ())
}

fn create_folder(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    durable::sync_folder_of(dir)
}

/// The files of a state directory, or of a copy, in the order in which they are copied.
fn names_in(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        let rotated = ["history.jsonl", "events.jsonl"].iter().any(|first| {
            name.strip_prefix(first).is_some_and(|rest| {
                rest.is_empty()
                    || rest
                        .strip_prefix('.')
                        .is_some_and(|n| n.parse::<u32>().is_ok())
            })
        });
        if rotated || [LEDGER, PROCESSING, STATUS].contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| (name == LEDGER, name.clone()));
    Ok(names)
}
