//! What a pass, and the tries of a file, remember.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use crate::record::ledger::{Fingerprint, KeyHash};
use crate::source::scan::Candidate;

use super::{Left, Tally};

/// The pass under way.
#[derive(Debug)]
pub struct Pass {
    pub started: Instant,
    pub queue: VecDeque<Candidate>,
    /// The folder holds more candidates than the queue.
    pub more: bool,
    pub unsettled: u64,
    /// When the folder is walked once more for files that were not settled.
    pub second_look: Option<Instant>,
    pub looked_twice: bool,
    /// Which file a key belongs to, where the job changes names.
    pub keys: HashMap<KeyHash, Box<[u8]>>,
    /// Not again in this pass.
    pub set_aside: HashSet<Fingerprint>,
    /// How many of `tally.local` a walk has met, or are known from earlier passes: nothing was done
    /// about them.
    pub not_tried: u64,
    pub tally: Tally,
}

impl Pass {
    pub fn new(now: Instant) -> Pass {
        Pass {
            started: now,
            queue: VecDeque::new(),
            more: false,
            unsettled: 0,
            second_look: None,
            looked_twice: false,
            keys: HashMap::new(),
            set_aside: HashSet::new(),
            not_tried: 0,
            tally: Tally::default(),
        }
    }

    /// What has not been sent yet.
    pub fn left(&self) -> Left {
        Left {
            files: self.queue.len() as u64,
            bytes: self.queue.iter().map(|file| file.identity.size).sum(),
            at_least: self.more || self.unsettled > 0,
        }
    }
}
