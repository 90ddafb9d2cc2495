//! A durable copy of a file elsewhere, with as few bytes written as it takes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::durable;

/// Makes `copy` the same as `original`, on the disk. What is the same already is not written; to a
/// file that has only grown what is new is appended; any other is replaced. True if something was
/// written.
pub fn update(original: &Path, copy: &Path) -> io::Result<bool> {
    let mut from = File::open(original)?;
    let length = from.metadata()?.len();
    match same_so_far(&mut from, copy)? {
        Some(same) if same == length => Ok(false),
        Some(same) if same > 0 => {
            append(&mut from, same, copy)?;
            Ok(true)
        }
        _ => {
            durable::replace_with(copy, |new| {
                from.rewind()?;
                io::copy(&mut from, new).map(|_| ())
            })?;
            Ok(true)
        }
    }
}

/// The length of `copy`, where all of it is how the original begins.
fn same_so_far(original: &mut File, copy: &Path) -> io::Result<Option<u64>> {
    let mut copy = match File::open(copy) {
        Ok(copy) => copy,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut left, mut right) = ([0; 8192], [0; 8192]);
    let mut same = 0;
    loop {
        let read = copy.read(&mut left)?;
        if read == 0 {
            return Ok(Some(same));
        }
        match original.read_exact(&mut right[..read]) {
            Ok(()) if left[..read] == right[..read] => same += read as u64,
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => return Ok(None),
        }
    }
}

/// A cut in the middle leaves a torn tail, which the next update replaces and a restore repairs.
fn append(original: &mut File, from: u64, copy: &Path) -> io::Result<()> {
    original.seek(SeekFrom::Start(from))?;
    let mut file = OpenOptions::new().append(true).open(copy)?;
    let mut block = [0; 8192];
    loop {
        let read = original.read(&mut block)?;
        if read == 0 {
            return file.sync_all();
        }
        file.write_all(&block[..read])?;
    }
}

/// Puts the copy in the place of an original that is not there. Not waited for: what is read from a
/// copy can be read from it again.
pub fn restore(copy: &Path, original: &Path) -> io::Result<bool> {
    if original.exists() {
        return Ok(false);
    }
    let mut from = match File::open(copy) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let mut new = durable::create_beside(original)?;
    io::copy(&mut from, &mut new)?;
    durable::commit_volatile(new, original)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn only_what_is_new_is_written() {
        let folder = tempfile::TempDir::new().unwrap();
        let (original, copy) = (folder.path().join("original"), folder.path().join("copy"));
        let inode = || fs::metadata(&copy).unwrap().ino();
        let check = |content: &[u8], written: bool| {
            fs::write(&original, content).unwrap();
            assert_eq!(update(&original, &copy).unwrap(), written);
            assert_eq!(fs::read(&copy).unwrap(), content);
        };
        let long = vec![b'x'; 20_000];
        check(b"", true);
        check(b"", false);
        check(&long, true);
        let first = inode();
        check(&long, false);
        check(&[&long[..], b"tail"].concat(), true);
        assert_eq!(inode(), first, "what has grown is appended to");
        // Shorter, or another: as after a compaction or a rotation.
        check(b"short", true);
        assert_ne!(inode(), first);
        check(b"shOrt and more", true);
        // A tail that a cut has torn.
        fs::write(&copy, b"shOrt a\0\0\0").unwrap();
        check(b"shOrt and more", true);
    }

    #[test]
    fn a_restore_touches_nothing_that_is_there() {
        let folder = tempfile::TempDir::new().unwrap();
        let (original, copy) = (folder.path().join("original"), folder.path().join("copy"));
        assert!(!restore(&copy, &original).unwrap());
        fs::write(&copy, b"copied").unwrap();
        assert!(restore(&copy, &original).unwrap());
        assert_eq!(fs::read(&original).unwrap(), b"copied");
        fs::write(&original, b"newer").unwrap();
        assert!(!restore(&copy, &original).unwrap());
        assert_eq!(fs::read(&original).unwrap(), b"newer");
    }
}
