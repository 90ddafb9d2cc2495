//! `--follow`: what a rotating file gains, as it gains it.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::numbered;
use super::read::{
    MAX_LINE, end_of_last_line, last_of, open_chain, open_if_there, read_block, salvage,
};

/// Reads on where the last reading ended, through rotations. When to look is the
/// caller's business.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    /// `None` until there is a file.
    file: Option<File>,
    /// Start of the first line not returned yet.
    offset: u64,
}

impl Follower {
    /// The last records as by [`super::read_last`], and a follower that continues exactly
    /// behind them.
    ///
    /// # Errors
    /// A file that is there cannot be read.
    pub fn open(
        path: &Path,
        files: u32,
        n: usize,
        keep: &mut dyn FnMut(&[u8]) -> bool,
    ) -> io::Result<(Follower, Vec<Vec<u8>>, usize)> {
        let mut chain = open_chain(path, files)?;
        let mut follower = Follower {
            path: path.to_owned(),
            file: None,
            offset: 0,
        };
        if let Some(newest) = chain.first_mut() {
            newest.length = end_of_last_line(&newest.file, newest.length)?;
            follower.offset = newest.length;
            follower.file = Some(newest.file.try_clone()?);
        }
        let (records, bad) = last_of(chain, n, keep)?;
        Ok((follower, records, bad))
    }

    /// The records appended since the last call, oldest first. Lines that are no records
    /// are left out.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn poll(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut records = Vec::new();
        // The newer files first: once there is one, this file gets no more lines.
        let newer = self.newer_files()?;
        self.drain(&mut records)?;
        for file in newer {
            self.file = Some(file);
            self.offset = 0;
            self.drain(&mut records)?;
        }
        Ok(records)
    }

    /// The files that have come since, oldest first: usually none, one after a rotation.
    fn newer_files(&self) -> io::Result<Vec<File>> {
        let ours = self.file.as_ref().map(File::metadata).transpose()?;
        let mut seen = Vec::new();
        let mut newer = Vec::new();
        for number in 0.. {
            let Some(file) = open_if_there(&numbered(&self.path, number))? else {
                break;
            };
            let metadata = file.metadata()?;
            if let Some(ours) = &ours {
                // Deleted instead of rotated, our file is not found under any number; then
                // the first file that was last written before ours is where to stop.
                let older = number > 0 && written(&metadata) < written(ours);
                if older || identity(&metadata) == identity(ours) {
                    break;
                }
            }
            // Renamed between two opens, a file would come up under both names.
            if !seen.contains(&identity(&metadata)) {
                seen.push(identity(&metadata));
                newer.push(file);
            }
        }
        newer.reverse();
        Ok(newer)
    }

    /// Takes the whole lines that are there now.
    fn drain(&mut self, records: &mut Vec<Vec<u8>>) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        if file.metadata()?.len() < self.offset {
            // Somebody emptied the file in place.
            self.offset = 0;
        }
        loop {
            let block = read_block(file, self.offset, MAX_LINE as u64 + 1)?;
            let Some(last) = block.iter().rposition(|&byte| byte == b'\n') else {
                if block.len() <= MAX_LINE {
                    return Ok(());
                }
                // Inside a line that is no record, whatever comes.
                self.offset += block.len() as u64;
                continue;
            };
            let lines = block[..last].split(|&byte| byte == b'\n');
            records.extend(lines.filter_map(|line| salvage(line).0).map(<[u8]>::to_vec));
            self.offset += last as u64 + 1;
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn written(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}
