//! A ledger that somebody else may be writing.

use std::io;
use std::path::Path;

use super::state::{Met, State, load};
use super::{Fingerprint, KeyHash, Ledger};

impl Ledger {
    /// The state directory.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Reads the ledger without repairing it, for a process that does not hold the lock.
    pub fn read(state_dir: &Path) -> io::Result<LedgerView> {
        match load(&state_dir.join(super::FILE)) {
            Ok((state, ..)) => Ok(LedgerView { state }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LedgerView {
                state: State::default(),
            }),
            Err(error) => Err(error),
        }
    }
}

/// What a ledger said when it was read; for `plan` and `status`, which change nothing.
#[derive(Debug)]
pub struct LedgerView {
    pub(super) state: State,
}

impl LedgerView {
    /// As [`Ledger::is_done`].
    pub fn is_done(&mut self, fingerprint: &Fingerprint, walk: u32) -> bool {
        self.state.meet(fingerprint, Met { day: 0, walk })
    }

    /// As [`Ledger::is_taken`].
    pub fn is_taken(&self, key: &KeyHash, by_other_than: &Fingerprint, walk: u32) -> bool {
        self.state.is_taken(key, by_other_than, walk)
    }

    /// As [`Ledger::is_kept`].
    pub fn is_kept(&self, fingerprint: &Fingerprint) -> bool {
        self.state.is_kept(fingerprint)
    }
}
