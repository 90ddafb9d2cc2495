//! Writing records: one file that rotates, whole lines only.
//!
//! Flash wears, disks fill, power goes: nothing is written but the line itself, in one
//! call; what a failed write leaves behind is taken back; and a tail that a power cut
//! tore is repaired before the next line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::numbered;
use super::read::{MAX_LINE, end_of_last_line, is_record, read_block};
use crate::config::model::Rotation;
use crate::os::durable::{give_to_owner_of_folder, naming, sync_folder_of};

/// A rotating file of JSON objects, one a line. One process writes it; any may read.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    rotation: Rotation,
    /// `None` after an error: whatever state the descriptor is in, a new one knows better.
    file: Option<File>,
    unsynced: bool,
}

/// What [`JsonLines::open`] found at the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repair {
    /// Bytes of a torn tail that were cut off; 0 when all was well.
    pub dropped: u64,
}

impl JsonLines {
    /// Opens the file for appending, or creates it, so that the next record starts a line
    /// of its own: a whole record without its newline gets one, any other torn tail is
    /// cut off.
    ///
    /// # Errors
    /// The file or its folder cannot be opened, read or written.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<(JsonLines, Repair)> {
        let (file, repair) = open_repaired(path).map_err(naming(path))?;
        let lines = JsonLines {
            path: path.to_owned(),
            rotation,
            file: Some(file),
            unsynced: false,
        };
        Ok((lines, repair))
    }

    /// From the next line on.
    pub fn set_rotation(&mut self, rotation: Rotation) {
        self.rotation = rotation;
    }

    /// Appends one JSON object, given without newline, after rotating if it would not fit
    /// any more.
    ///
    /// # Errors
    /// The line holds a newline or more than [`MAX_LINE`] bytes; or it could not be
    /// written. Then nothing of it is in the file, and the next call opens the file anew.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if line.len() > MAX_LINE || line.contains(&b'\n') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a record is one line of at most 64 KiB",
            ));
        }
        let result = self.append_line(&[line, b"\n"].concat());
        if result.is_err() {
            self.file = None;
        }
        result
    }

    /// Waits until everything appended is on the disk; nothing to do if it is already.
    ///
    /// # Errors
    /// The disk refused. What was appended since the last success may be lost and should
    /// be appended again: a second sync would not tell.
    pub fn sync(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.unsynced) {
            return Ok(());
        }
        let synced = self.reopened().and_then(|file| file.sync_all());
        if synced.is_err() {
            self.file = None;
        }
        synced
    }

    fn append_line(&mut self, line: &[u8]) -> io::Result<()> {
        let mut size = self.reopened()?.metadata()?.len();
        if size > 0 && size + line.len() as u64 > self.rotation.max_size {
            self.rotate()?;
            size = 0;
        }
        let mut file = self.reopened()?;
        let written = write_at_once(&mut file, line);
        if written.is_err() {
            // If this fails too, opening the file anew repairs it.
            let _ = file.set_len(size);
        } else {
            self.unsynced = true;
        }
        written
    }

    /// The open file: opened anew after an error, or if it has been deleted.
    fn reopened(&mut self) -> io::Result<&File> {
        let file = match self.file.take() {
            Some(file) if file.metadata()?.nlink() > 0 => file,
            _ => open_repaired(&self.path)?.0,
        };
        Ok(self.file.insert(file))
    }

    /// Renames the files one number up and begins a new one. The oldest goes; so do
    /// those that a larger `files` has left.
    fn rotate(&mut self) -> io::Result<()> {
        self.sync()?;
        self.file = None;
        let oldest = self.rotation.files.max(1) - 1;
        let mut surplus = oldest + 1;
        while remove_if_there(&numbered(&self.path, surplus))? {
            surplus += 1;
        }
        if oldest == 0 {
            remove_if_there(&self.path)?;
        } else {
            self.shift_into(self.free_number(oldest))?;
        }
        // The new file's creation makes the renames durable, too.
        self.file = Some(open_repaired(&self.path)?.0);
        Ok(())
    }

    /// The number to which the files move up: a gap, which a cut between two renames may
    /// have left, or else the oldest file's.
    fn free_number(&self, oldest: u32) -> u32 {
        (1..oldest)
            .find(|&number| !numbered(&self.path, number).exists())
            .unwrap_or(oldest)
    }

    fn shift_into(&self, last: u32) -> io::Result<()> {
        for number in (0..last).rev() {
            let from = numbered(&self.path, number);
            match fs::rename(from, numbered(&self.path, number + 1)) {
                // Somebody else has moved it away: then there is nothing to keep.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed?,
            }
        }
        Ok(())
    }
}

fn open_repaired(path: &Path) -> io::Result<(File, Repair)> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o640);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let file = options.create(true).open(path)?;
            give_to_owner_of_folder(&file, path);
            sync_folder_of(path)?;
            file
        }
        opened => opened?,
    };
    let repair = repair_tail(&file)?;
    Ok((file, repair))
}

/// See [`JsonLines::open`].
fn repair_tail(mut file: &File) -> io::Result<Repair> {
    let length = file.metadata()?.len();
    let whole = end_of_last_line(file, length)?;
    let dropped = length - whole;
    if dropped == 0 {
        return Ok(Repair { dropped: 0 });
    }
    let is_whole_record =
        dropped <= MAX_LINE as u64 && is_record(&read_block(file, whole, dropped)?);
    if is_whole_record {
        write_at_once(&mut file, b"\n")?;
    } else {
        file.set_len(whole)?;
    }
    file.sync_all()?;
    let dropped = if is_whole_record { 0 } else { dropped };
    Ok(Repair { dropped })
}

/// One write call, so that a reader sees the line whole or not at all.
fn write_at_once(file: &mut &File, line: &[u8]) -> io::Result<()> {
    loop {
        match file.write(line) {
            Ok(written) if written == line.len() => return Ok(()),
            // A short write means that the disk is full: the next call would say so.
            Ok(_) => return Err(io::ErrorKind::StorageFull.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether there was such a file.
fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
