//! The durable copy of a state directory that does not outlive a restart of the machine: it is kept
//! in memory, to spare the flash.
//!
//! What is read at a start is the copy, if the state directory holds no ledger. It is brought up to
//! date at an interval, at the end, and when a multipart upload begins, so that its parts are found
//! again. Flash is written only for what has changed, and files that grow are appended to.
//!
//! A disk that is mounted late shows its copy after the service has begun without it. So each run that
//! writes a copy marks it with an id of its own, and keeps that beside the state: a copy with another
//! id knows what the state does not, and is [taken over](super::ledger::Ledger::adopt_copy) before
//! anything of it is replaced.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};

use crate::clock;
use crate::config::model::Config;
use crate::os::durable::naming;
use crate::os::{durable, mirror};
use crate::processing_state::ProcessingStates;
use crate::retry::random;

use super::adopt::{adopt_lines, number_of};

/// The last word: what is in it must be in the others already, so it is copied last, and where it
/// is, all others are.
const LEDGER: &str = "ledger.jsonl";
const PROCESSING: &str = "processing.json";
/// Whose copy it is. Written last of all: where two are the same, the state has all that the copy has.
const ID: &str = "copy_id";
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
    /// That of the copy which the state has all of.
    id: Option<String>,
    /// This run's id is in use.
    begun: bool,
    /// The folder while it is worked on: what is mounted over it meanwhile must not get what was
    /// meant for this one.
    place: Option<File>,
    /// The last try failed; the next is when it is due.
    failed: bool,
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
            id: read_id(&config.state_dir).unwrap_or_default(),
            begun: false,
            place: None,
            failed: false,
        })
    }

    /// The folder of the copy.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Holds on to the folder that is there now.
    pub fn open(&mut self) -> io::Result<()> {
        self.place = match File::open(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(naming(&self.dir))?),
        };
        Ok(())
    }

    pub fn close(&mut self) {
        self.place = None;
    }

    /// Where the copy is read and written: the folder that is open, whatever its path leads to now.
    pub fn at(&self) -> PathBuf {
        match &self.place {
            Some(place) => format!("/proc/self/fd/{}", place.as_raw_fd()).into(),
            None => self.dir.clone(),
        }
    }

    /// Whether the last try failed, and the next is to wait until it is due.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// What became of a try.
    pub fn note(&mut self, result: &io::Result<()>) {
        self.failed = result.is_err();
        if self.failed {
            self.last = clock::monotonic();
        }
    }

    /// Whether the copy may know what the state does not.
    pub fn is_foreign(&self) -> io::Result<bool> {
        if self.id.is_some() && read_id(&self.at())? == self.id {
            return Ok(false);
        }
        match names_in(&self.at()) {
            Ok(names) => Ok(!names.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(naming(&self.dir)(error)),
        }
    }

    /// Takes the copy's history, events and processing states into the state. True if there was
    /// something new.
    pub fn adopt_records(&self) -> io::Result<bool> {
        let mut news = join_processing_states(&self.state_dir, &self.at())?;
        for name in ["history.jsonl", "events.jsonl"] {
            news |= adopt_lines(&self.at(), &self.state_dir, name)?;
        }
        Ok(news)
    }

    /// The state has all that the copy has.
    pub fn is_adopted(&mut self) -> io::Result<()> {
        self.id = read_id(&self.at())?;
        self.begun = false;
        Ok(())
    }

    /// Whether something can be written there, as far as that is told without writing.
    pub fn try_access(&self) -> io::Result<()> {
        durable::try_access(&self.dir).map_err(naming(&self.dir))
    }

    /// When the copy is to be brought up to date; `None` while nothing has changed.
    pub fn due(&self) -> Option<Instant> {
        (self.seen() != self.copied).then(|| self.last + self.interval)
    }

    /// Brings the copy up to date, which must not be a foreign one.
    pub fn update(&mut self) -> io::Result<()> {
        self.last = clock::monotonic();
        let seen = self.seen();
        if seen == self.copied {
            return Ok(());
        }
        self.replace().map_err(naming(&self.dir))?;
        self.copied = seen;
        Ok(())
    }

    fn replace(&mut self) -> io::Result<()> {
        if self.place.is_none() {
            create_folder(&self.dir)?;
            self.place = Some(File::open(&self.dir)?);
        }
        let copy = self.at();
        let there = read_id(&copy)?;
        if !self.begun || there != self.id {
            // Another place than before, if only because a disk was mounted over it, gets another id:
            // two copies of one id could not be told apart, and one of them is older.
            let id = new_id();
            durable::replace_volatile(&self.state_dir.join(ID), id.as_bytes())?;
            self.id = Some(id);
            self.begun = true;
        }
        let names = names_in(&self.state_dir)?;
        for name in &names {
            mirror::update(&self.state_dir.join(name), &copy.join(name))?;
        }
        for gone in names_in(&copy)? {
            // Rotated away; any other that is missing is rather one to be restored.
            let rotated = gone.ends_with(|last: char| last.is_ascii_digit());
            if rotated && !names.contains(&gone) {
                fs::remove_file(copy.join(gone))?;
            }
        }
        match &self.id {
            Some(id) if there.as_ref() != Some(id) => {
                durable::replace(&copy.join(ID), id.as_bytes())
            }
            _ => Ok(()),
        }
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
    let mut names = names_in(&copy.dir)?;
    names.push(ID.to_owned());
    for name in names {
        mirror::restore(&copy.dir.join(&name), &config.state_dir.join(&name))
            .map_err(naming(&copy.dir))?;
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

/// Changes the processing states in the state directory by `change`, and in its copy. Outside: they
/// could not be changed; inside: what became of the copy.
pub fn with_processing_states(
    config: &Config,
    change: impl FnOnce() -> io::Result<()>,
) -> io::Result<io::Result<()>> {
    let Some(copy) = &config.state_copy else {
        return change().map(Ok);
    };
    // What the copy has of other jobs must be known before it is replaced.
    let known = join_processing_states(&config.state_dir, &copy.dir);
    change()?;
    let (original, copied) = (config.state_dir.join(PROCESSING), copy.dir.join(PROCESSING));
    let copied = known.and_then(|_| {
        create_folder(&copy.dir)?;
        mirror::update(&original, &copied)
    });
    Ok(copied.map(|_| ()))
}

/// Takes the copy's orders for jobs that have none in the state directory, whose own are newer. True
/// if there were such.
fn join_processing_states(state_dir: &Path, copy: &Path) -> io::Result<bool> {
    if mirror::restore(&copy.join(PROCESSING), &state_dir.join(PROCESSING))? {
        return Ok(true);
    }
    let mut states = ProcessingStates::load(state_dir)?;
    let news = states.join(ProcessingStates::load(copy)?);
    if news {
        states.save(state_dir)?;
    }
    Ok(news)
}

fn create_folder(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    durable::sync_folder_of(dir)
}

/// Whether what is there under the names of s3ferry's own files can be read and written as such.
pub fn own_files(dir: &Path) -> io::Result<()> {
    for name in [
        "lock",
        LEDGER,
        "history.jsonl",
        "events.jsonl",
        PROCESSING,
        STATUS,
        ID,
    ] {
        let path = dir.join(name);
        let found = match fs::metadata(&path) {
            Ok(found) if found.is_dir() => Err(rustix::io::Errno::ISDIR),
            Ok(_) => access(&path, Access::READ_OK | Access::WRITE_OK),
            Err(_) => Ok(()),
        };
        found.map_err(|error| naming(&path)(error.into()))?;
    }
    Ok(())
}

fn new_id() -> String {
    format!("{:016x}{:016x}", random(), random())
}

/// `None` where there is none.
fn read_id(dir: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(dir.join(ID)) {
        Ok(id) => Ok(Some(id).filter(|id| !id.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(naming(dir)(error)),
    }
}

/// The files of a state directory, or of a copy, in the order in which they are copied.
fn names_in(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        let rotated = ["history.jsonl", "events.jsonl"].iter().any(|first| {
            let rest = name.strip_prefix(first);
            rest.and_then(number_of).is_some()
        });
        if rotated || [LEDGER, PROCESSING, STATUS].contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| (name == LEDGER, name.clone()));
    Ok(names)
}
