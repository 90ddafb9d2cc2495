//! One walk over a source folder: what is there, in bounded memory.
//!
//! The walk is the truth about what is new; notifications of the kernel can be missed. It keeps at
//! most a batch of candidates, the first ones in the job's order, whatever the number of entries.

use std::collections::BinaryHeap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;

use super::file::{Identity, Timestamp, open_root, open_subfolder};
use crate::config::model::{Job, Order};

/// Folders nested more deeply are reported and left alone.
const DEPTH_LIMIT: usize = 64;
/// How many unreadable places are named; the rest is counted.
const PROBLEMS_NAMED: usize = 16;

/// An entry that passed the filter.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Below the source folder.
    pub relative: &'a [u8],
    pub identity: Identity,
}

/// What is to be done with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Take,
    AlreadyUploaded,
    /// Size or mtime moved too recently.
    Unsettled,
    /// Refused before, and unchanged since.
    Refused,
    NotMatching,
    /// No regular file, nor a folder to descend into.
    NotRegular,
}

/// A file that a pass may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub relative: Box<[u8]>,
    pub identity: Identity,
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Scan {
    /// In the job's order, at most as many as asked for.
    pub candidates: Vec<Candidate>,
    /// There are more candidates than asked for.
    pub more: bool,
    /// All candidates, whether kept or not, and their bytes.
    pub backlog: u64,
    pub backlog_bytes: u64,
    pub unsettled: u64,
    /// Subfolders that could not be read, the first ones by name.
    pub problems: Vec<(Vec<u8>, String)>,
}

/// Walks the job's folder. `judge` sees every regular file that passes the filter; `visit` every
/// entry with its verdict. `excluded`: device and inode of folders not to descend into. `stop` is
/// asked at each entry; a walk that it ends finds nothing.
///
/// # Errors
/// The source folder itself cannot be read.
pub fn scan(
    job: &Job,
    limit: usize,
    excluded: &[(u64, u64)],
    judge: &mut dyn FnMut(Found<'_>) -> Verdict,
    visit: &mut dyn FnMut(&[u8], Verdict),
    stop: &dyn Fn() -> bool,
) -> io::Result<Scan> {
    let root = open_root(&job.source_path)?;
    let mut walk = Walk {
        job,
        limit,
        excluded,
        judge,
        visit,
        stop,
        best: BinaryHeap::new(),
        scan: Scan::default(),
        ancestors: Vec::new(),
    };
    let mut relative = Vec::new();
    walk.folder(root, &mut relative)?;
    let Walk { best, mut scan, .. } = walk;
    if stop() {
        return Ok(Scan::default());
    }
    scan.candidates = best
        .into_sorted_vec()
        .into_iter()
        .map(|ranked| ranked.candidate)
        .collect();
    Ok(scan)
}

struct Walk<'a> {
    job: &'a Job,
    limit: usize,
    excluded: &'a [(u64, u64)],
    judge: &'a mut dyn FnMut(Found<'_>) -> Verdict,
    visit: &'a mut dyn FnMut(&[u8], Verdict),
    stop: &'a dyn Fn() -> bool,
    best: BinaryHeap<Ranked>,
    scan: Scan,
    /// Folders above the current one, against links that lead back up.
    ancestors: Vec<(u64, u64)>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: OwnedFd, relative: &mut Vec<u8>) -> io::Result<()> {
        let own = Identity::from(&rustix::fs::fstat(&folder)?);
        let own = (own.device, own.inode);
        if self.excluded.contains(&own) || self.ancestors.contains(&own) {
            return Ok(());
        }
        self.ancestors.push(own);
        let result = self.entries(&folder, relative);
        // Also after an error: a folder left in here would count towards the depth of all others.
        self.ancestors.pop();
        result
    }

    fn entries(&mut self, folder: &OwnedFd, relative: &mut Vec<u8>) -> io::Result<()> {
        let prefix = relative.len();
        for entry in Dir::read_from(folder)? {
            if (self.stop)() {
                return Ok(());
            }
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if prefix > 0 {
                relative.push(b'/');
            }
            relative.extend_from_slice(name);
            self.entry(folder, name, entry.file_type(), relative);
            relative.truncate(prefix);
        }
        Ok(())
    }

    fn entry(&mut self, folder: &OwnedFd, name: &[u8], kind: FileType, relative: &mut Vec<u8>) {
        let follow = self.job.follow_symlinks;
        let may_be_folder = match kind {
            FileType::Directory | FileType::Unknown => true,
            FileType::Symlink => follow,
            _ => false,
        };
        if self.job.recursive && may_be_folder && self.descend(folder, name, relative) {
            return;
        }
        let flags = if follow {
            AtFlags::empty()
        } else {
            AtFlags::SYMLINK_NOFOLLOW
        };
        // The filter first: it needs no system call.
        if !self.matches(name, relative) {
            (self.visit)(relative, Verdict::NotMatching);
            return;
        }
        let stat = match statat(folder, name, flags) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return,
            Err(error) => return self.problem(relative, &error.to_string()),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            (self.visit)(relative, Verdict::NotRegular);
            return;
        }
        self.file(relative, Identity::from(&stat));
    }

    /// Walks into a subfolder; false when `name` is none.
    fn descend(&mut self, folder: &OwnedFd, name: &[u8], relative: &mut Vec<u8>) -> bool {
        match open_subfolder(folder, name, self.job.follow_symlinks) {
            Ok(_) if self.ancestors.len() >= DEPTH_LIMIT => {
                self.problem(relative, "nested too deeply");
                true
            }
            Ok(subfolder) => {
                if let Err(error) = self.folder(subfolder, relative) {
                    self.problem(relative, &error.to_string());
                }
                true
            }
            Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => false,
            Err(error) => {
                self.problem(relative, &error.to_string());
                true
            }
        }
    }

    /// The filter sees the name, and below subfolders the path.
    fn matches(&self, name: &[u8], relative: &[u8]) -> bool {
        let Some(filter) = &self.job.filter else {
            return true;
        };
        let subject = if self.job.recursive { relative } else { name };
        filter.matches(&String::from_utf8_lossy(subject))
    }

    fn file(&mut self, relative: &[u8], identity: Identity) {
        let verdict = (self.judge)(Found { relative, identity });
        (self.visit)(relative, verdict);
        match verdict {
            Verdict::Take => {
                self.scan.backlog += 1;
                self.scan.backlog_bytes += identity.size;
                self.keep(relative, identity);
            }
            Verdict::Unsettled => self.scan.unsettled += 1,
            _ => {}
        }
    }

    fn keep(&mut self, relative: &[u8], identity: Identity) {
        let rank = rank(self.job.order, identity.modified, identity.size);
        if self.best.len() >= self.limit {
            self.scan.more = true;
            let goes_first = self
                .best
                .peek()
                .is_some_and(|last| (rank, relative) < (last.rank, &*last.candidate.relative));
            if !goes_first {
                return;
            }
            self.best.pop();
        }
        self.best.push(Ranked {
            rank,
            candidate: Candidate {
                relative: relative.into(),
                identity,
            },
        });
    }

    fn problem(&mut self, relative: &[u8], error: &str) {
        if self.scan.problems.len() < PROBLEMS_NAMED {
            self.scan
                .problems
                .push((relative.to_owned(), error.to_owned()));
        }
    }
}

/// Ordered by rank, then by path.
struct Ranked {
    rank: (i64, i64),
    candidate: Candidate,
}

fn rank(order: Order, modified: Timestamp, size: u64) -> (i64, i64) {
    let nanoseconds = i64::from(modified.nanoseconds);
    match order {
        Order::Oldest => (modified.seconds, nanoseconds),
        Order::Newest => (-modified.seconds, -nanoseconds),
        Order::Name => (0, 0),
        Order::Smallest => (i64::try_from(size).unwrap_or(i64::MAX), 0),
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.rank, &self.candidate.relative).cmp(&(other.rank, &other.candidate.relative))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

/// Device and inode of a folder, to exclude it; `None` when it is not there.
pub fn folder_id(path: &Path) -> Option<(u64, u64)> {
    let identity = Identity::from(&rustix::fs::stat(path).ok()?);
    Some((identity.device, identity.inode))
}
