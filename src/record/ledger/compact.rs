//! The ledger file written anew, without what is over.

use std::collections::HashMap;
use std::io::{self, Write};

use super::line::{Line, UploadLine, done_line};
use super::{Fingerprint, KeyHash, Ledger, unlimited};
use crate::os::durable;
use crate::record::JsonLines;

/// A fingerprint that no scan has met for this long is forgotten at a compaction.
const FORGOTTEN_AFTER_DAYS: u32 = 90;
/// Compacted when the file is larger than this and mostly history.
const COMPACT_FROM: u64 = 256 * 1024;

impl Ledger {
    /// Rewrites the file without what is over, when that is most of it. To be called only when
    /// every job's folder has been walked, since that is what tells which files are still there.
    pub fn compact_if_worthwhile(&mut self, today: u32) -> io::Result<()> {
        let needed = 64 * self.state.done.len() as u64;
        if self.size < COMPACT_FROM || self.size < 2 * needed {
            return Ok(());
        }
        let state = &mut self.state;
        state
            .done
            .retain(|_, done| today.saturating_sub(done.met.day) <= FORGOTTEN_AFTER_DAYS);
        let done = &state.done;
        state.keys.retain(|_, holder| done.contains_key(holder));
        self.compact()
    }

    pub(super) fn compact(&mut self) -> io::Result<()> {
        let file = durable::create_beside(&self.path)?;
        let mut writer = io::BufWriter::with_capacity(16 * 1024, file);
        let mut size = 0;
        let mut write = |line: &Line| -> io::Result<()> {
            let mut text = line.sealed()?;
            text.push(b'\n');
            size += text.len() as u64;
            writer.write_all(&text)
        };
        let keys: HashMap<&Fingerprint, &KeyHash> = self
            .state
            .keys
            .iter()
            .map(|(key, holder)| (holder, key))
            .collect();
        for (fingerprint, done) in &self.state.done {
            let key = keys.get(fingerprint).map(|key| **key);
            write(&done_line(fingerprint, done.met.day, done.fate, key))?;
        }
        for creation in &self.state.creations {
            write(&Line::creating(creation))?;
        }
        for open in &self.state.uploads {
            write(&Line {
                upload: Some(UploadLine::from(open)),
                ..Line::new()
            })?;
            if open.abort {
                write(&Line {
                    abort: Some(open.token.clone()),
                    ..Line::new()
                })?;
            }
        }
        for confirmed in &self.state.confirmed {
            write(&Line::confirmed(confirmed))?;
        }
        let file = writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        durable::commit(file, &self.path)?;
        (self.file, _) = JsonLines::open(&self.path, unlimited())?;
        self.size = size;
        Ok(())
    }
}
