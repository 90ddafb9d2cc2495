//! Processing State at run time: what `pause` and `resume` set, over what the configuration says.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::os::durable;

/// Per job, whether it is enabled; jobs that are not in it are as configured.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ProcessingStates(BTreeMap<String, bool>);

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    enabled: BTreeMap<String, bool>,
}

impl ProcessingStates {
    /// Reads `state_dir/processing.json`. A file that is not there, or says nothing, changes
    /// nothing.
    pub fn load(state_dir: &Path) -> io::Result<ProcessingStates> {
        let text = match std::fs::read(path(state_dir)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let stored: Stored = match serde_json::from_slice(&text) {
            Ok(stored) => stored,
            Err(error) => {
                log::warn!("`{}` is ignored: {error}", path(state_dir).display());
                return Ok(Self::default());
            }
        };
        Ok(ProcessingStates(stored.enabled))
    }

    /// Whether `job` is enabled, which the configuration says to be `configured`.
    pub fn enabled(&self, job: &str, configured: bool) -> bool {
        self.0.get(job).copied().unwrap_or(configured)
    }

    pub fn set(&mut self, job: &str, enabled: bool) {
        self.0.insert(job.to_owned(), enabled);
    }

    /// Durably.
    pub fn save(&self, state_dir: &Path) -> io::Result<()> {
        let stored = Stored {
            v: 1,
            enabled: self.0.clone(),
        };
        let mut text = serde_json::to_vec(&stored)?;
        text.push(b'\n');
        durable::replace(&path(state_dir), &text)
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("processing.json")
}
