//! Files that no pass can send, or see to, as they are: counted, and the first of them named.

use std::collections::HashSet;

use super::{Env, JobRunner, REFUSALS_REMEMBERED};
use crate::record::ledger::Fingerprint;
use crate::status::StuckFile;
use crate::text::escape_bytes;

/// So many are shown. As many more are kept, for those of a former pass that are mended by now.
const NAMED: usize = 5;

#[derive(Debug, Default)]
pub struct Stuck {
    /// Those that the pass under way, or the last one, has met; no more than are remembered.
    met: HashSet<Fingerprint>,
    /// Files of former passes among them, until the pass is over.
    named: Vec<(Fingerprint, StuckFile)>,
}

impl Stuck {
    /// A pass begins.
    pub fn begin(&mut self) {
        self.met.clear();
    }

    /// A pass is over: what it has not met is no longer stuck.
    pub fn end(&mut self) {
        let met = &self.met;
        self.named.retain(|(file, _)| met.contains(file));
    }

    /// The pass has met a file that is stuck; `name` says why, where that is not known.
    pub fn meet(&mut self, file: Fingerprint, name: impl FnOnce() -> StuckFile) {
        if self.met.len() < REFUSALS_REMEMBERED {
            self.met.insert(file);
        }
        let known = self.named.iter().any(|(named, _)| *named == file);
        if !known && self.named.len() < 2 * NAMED {
            self.named.push((file, name()));
        }
    }

    pub fn count(&self) -> u64 {
        self.met.len() as u64
    }

    fn first(&self) -> Vec<StuckFile> {
        let met = self
            .named
            .iter()
            .filter(|(file, _)| self.met.contains(file));
        met.take(NAMED).map(|(_, file)| file.clone()).collect()
    }
}

/// A file that was refused earlier, of which no more than its hint is remembered.
pub fn refused_before(path: &[u8], hint: Option<&'static str>) -> StuckFile {
    let source_path = escape_bytes(path);
    StuckFile {
        message: format!("`{source_path}` cannot be sent as it is"),
        hint: Some(hint.unwrap_or("`s3ferry events` tells why").to_owned()),
        source_path,
    }
}

impl JobRunner {
    /// The file is not tried again as it is.
    pub(super) fn refuse(&mut self, fingerprint: Fingerprint, hint: Option<&'static str>) {
        if self.refused.len() >= REFUSALS_REMEMBERED {
            self.refused.clear();
        }
        self.refused.insert(fingerprint, hint);
    }

    /// `message` names the file.
    pub(super) fn is_stuck(
        &mut self,
        file: Fingerprint,
        path: &[u8],
        message: &str,
        hint: Option<&str>,
        env: &mut Env<'_>,
    ) {
        self.stuck.meet(file, || StuckFile {
            source_path: escape_bytes(path),
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
        });
        self.show_stuck(env);
    }

    pub(super) fn show_stuck(&self, env: &mut Env<'_>) {
        env.status.job(&self.job.name, |status| {
            status.stuck = self.stuck.count();
            status.stuck_files = self.stuck.first();
        });
    }
}
