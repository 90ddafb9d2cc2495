//! Processing State at run time: what `pause` and `resume` set, over what the configuration says.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::os::durable;

/// Per job, whether it is enabled; jobs that are not in it are as configured.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ProcessingStates {
    enabled: BTreeMap<String, bool>,
    /// Why the file says nothing, where there is one.
    damage: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    enabled: BTreeMap<String, bool>,
}

impl ProcessingStates {
    /// Reads `state_dir/processing.json`. A file that is not there changes nothing. One that is
    /// damaged pauses every job: somebody may have paused any of them, and what is sent, or deleted
    /// after that, cannot be taken back.
    pub fn load(state_dir: &Path) -> io::Result<ProcessingStates> {
        let text = match std::fs::read(path(state_dir)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        Ok(match serde_json::from_slice::<Stored>(&text) {
            Ok(stored) => ProcessingStates {
                enabled: stored.enabled,
                damage: None,
            },
            Err(error) => ProcessingStates {
                damage: Some(error.to_string()),
                ..Self::default()
            },
        })
    }

    /// Why the file that is there says nothing, and every job is paused.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Whether `job` is enabled, which the configuration says to be `configured`.
    pub fn enabled(&self, job: &str, configured: bool) -> bool {
        let unknown = configured && self.damage.is_none();
        self.enabled.get(job).copied().unwrap_or(unknown)
    }

    /// Sets the jobs that are `named`; after damage, the others of `all` stay paused.
    pub fn set<'a>(&mut self, all: impl Iterator<Item = &'a str>, named: &[String], enabled: bool) {
        if self.damage.take().is_some() {
            self.enabled = all.map(|job| (job.to_owned(), false)).collect();
        }
        let named = named.iter().map(|job| (job.clone(), enabled));
        self.enabled.extend(named);
    }

    /// Takes an older order for each job that there is none for. True if there was one.
    pub fn join(&mut self, older: ProcessingStates) -> bool {
        let before = self.enabled.len();
        for (job, enabled) in older.enabled {
            self.enabled.entry(job).or_insert(enabled);
        }
        // Without a whole file of its own nobody knows which are younger: all stay paused.
        self.enabled.len() > before && self.damage.is_none()
    }

    /// Durably.
    pub fn save(&self, state_dir: &Path) -> io::Result<()> {
        let stored = Stored {
            v: 1,
            enabled: self.enabled.clone(),
        };
        let mut text = serde_json::to_vec(&stored)?;
        text.push(b'\n');
        durable::replace(&path(state_dir), &text)
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("processing.json")
}
