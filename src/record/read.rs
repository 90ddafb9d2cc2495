//! Reading records backwards, in bounded memory, while somebody else may be writing.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use serde::de::IgnoredAny;

use super::numbered;

/// Bytes that a record has at most; a longer line is no record.
pub const MAX_LINE: usize = 64 * 1024;

const BLOCK: u64 = 8 * 1024;

/// How often the list of files is taken anew because a rotation came between.
const TRIES: usize = 3;

/// The last `n` records (`usize::MAX`: all) that `keep` accepts, oldest first, and how
/// many lines on the way were no records.
///
/// `path` is the newest of at most `files` files. Missing files are fine, and so is a
/// rotation meanwhile.
///
/// # Errors
/// A file that is there cannot be read.
pub fn read_last(
    path: &Path,
    files: u32,
    n: usize,
    keep: &mut dyn FnMut(&[u8]) -> bool,
) -> io::Result<(Vec<Vec<u8>>, usize)> {
    last_of(open_chain(path, files)?, n, keep)
}

/// One of the rotating files, as long as it was when it was opened.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) length: u64,
}

/// [`read_last`] over opened files, newest first.
pub(super) fn last_of(
    chain: Vec<Opened>,
    n: usize,
    keep: &mut dyn FnMut(&[u8]) -> bool,
) -> io::Result<(Vec<Vec<u8>>, usize)> {
    let mut records = Vec::new();
    let mut bad = 0;
    for opened in chain {
        let mut lines = Backwards::new(opened);
        while records.len() < n {
            let Some(line) = lines.next()? else { break };
            let (record, intact) = salvage(&line);
            bad += usize::from(!intact);
            records.extend(record.filter(|record| keep(record)).map(<[u8]>::to_vec));
        }
    }
    records.reverse();
    Ok((records, bad))
}

/// All the files at once, newest first: once open, a rotation cannot hide one.
pub(super) fn open_chain(path: &Path, files: u32) -> io::Result<Vec<Opened>> {
    for _ in 1..TRIES {
        let newest = identity(path);
        let chain = open_once(path, files)?;
        if identity(path) == newest {
            return Ok(chain);
        }
    }
    open_once(path, files)
}

fn open_once(path: &Path, files: u32) -> io::Result<Vec<Opened>> {
    let mut chain: Vec<Opened> = Vec::new();
    let mut seen = Vec::new();
    for number in 0..files.max(1) {
        let Some(file) = open_if_there(&numbered(path, number))? else {
            continue;
        };
        let metadata = file.metadata()?;
        // Renamed between two opens, a file would come up under both names.
        if !seen.contains(&(metadata.dev(), metadata.ino())) {
            seen.push((metadata.dev(), metadata.ino()));
            chain.push(Opened {
                file,
                length: metadata.len(),
            });
        }
    }
    Ok(chain)
}

pub(super) fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("cannot open `{}`: {error}", path.display()),
        )),
    }
}

/// Device and inode, if there is such a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// The record in a line, and whether the line was nothing else.
///
/// A run of NULs before a record is a hole that a power cut left of the line before it;
/// the record itself is good.
pub(super) fn salvage(line: &[u8]) -> (Option<&[u8]>, bool) {
    let nuls = line.iter().take_while(|&&byte| byte == 0).count();
    let record = Some(&line[nuls..]).filter(|rest| is_record(rest));
    (record, record.is_some() && nuls == 0)
}

/// Whether the bytes are one JSON object in UTF-8.
pub(super) fn is_record(bytes: &[u8]) -> bool {
    // serde_json alone does not look at the encoding of a string that it skips.
    bytes.first() == Some(&b'{')
        && std::str::from_utf8(bytes)
            .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Where the last line that has its newline ends, in the first `length` bytes.
pub(super) fn end_of_last_line(file: &File, length: u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let block = read_block(file, start, end - start)?;
        if let Some(at) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Up to `length` bytes at `offset`; fewer if the file has become shorter.
pub(super) fn read_block(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    // A block is a few KiB, so the cast loses nothing on a 32-bit machine.
    let mut block = vec![0; length as usize];
    let mut filled = 0;
    while filled < block.len() {
        match file.read_at(&mut block[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    block.truncate(filled);
    Ok(block)
}

/// The lines of a file, last first. Holds one block and one line.
struct Backwards {
    file: File,
    /// Bytes before the block, not read yet.
    unread: u64,
    block: Vec<u8>,
    /// What follows the block up to the next newline.
    line_end: Vec<u8>,
    /// `line_end` was too long and was thrown away.
    too_long: bool,
}

impl Backwards {
    fn new(opened: Opened) -> Backwards {
        Backwards {
            file: opened.file,
            unread: opened.length,
            block: Vec::new(),
            line_end: Vec::new(),
            too_long: false,
        }
    }

    /// The line before, without its newline; empty lines do not count. Of a line that is
    /// too long only some bytes come, which are no record.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let newline = self.block.iter().rposition(|&byte| byte == b'\n');
            self.take_from(newline.map_or(0, |at| at + 1));
            if newline.is_some() || self.unread == 0 {
                self.block.pop();
                if let Some(line) = self.finish_line() {
                    return Ok(Some(line));
                }
            }
            if self.block.is_empty() {
                if self.unread == 0 {
                    return Ok(None);
                }
                self.read_before()?;
            }
        }
    }

    /// Moves the block's bytes from `start` on to the line.
    fn take_from(&mut self, start: usize) {
        let mut line = self.block.split_off(start);
        line.append(&mut self.line_end);
        if line.len() > MAX_LINE {
            self.too_long = true;
            line.clear();
        }
        self.line_end = line;
    }

    fn finish_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line_end);
        match std::mem::take(&mut self.too_long) {
            true => Some(b"too long".to_vec()),
            false => Some(line).filter(|line| !line.is_empty()),
        }
    }

    fn read_before(&mut self) -> io::Result<()> {
        let start = self.unread.saturating_sub(BLOCK);
        self.block = read_block(&self.file, start, self.unread - start)?;
        self.unread = start;
        Ok(())
    }
}
