//! The records of a copy that was found late, taken into the state.

use std::collections::HashSet;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::read::salvage;
use super::{MAX_LINE, numbered};
use crate::os::{durable, mirror};

/// Lines by their hashes: a record is a few hundred bytes.
#[derive(Debug, Clone, Default)]
struct Lines {
    hasher: RandomState,
    known: HashSet<u64>,
}

impl Lines {
    /// True if it is new.
    fn add(&mut self, line: &[u8]) -> bool {
        self.known.insert(self.hasher.hash_one(line))
    }
}

/// Takes into the rotating file `name` of `state_dir` what only that of `copy` has, before its own
/// lines: those are younger. True if there was something.
///
/// A kill in between loses nothing: a line is there twice for a while, and the next call sees to it.
pub fn adopt_lines(copy: &Path, state_dir: &Path, name: &str) -> io::Result<bool> {
    let (from, to) = (copy.join(name), state_dir.join(name));
    let (old, own) = (numbers(copy, name)?, numbers(state_dir, name)?);
    let mut theirs = Lines::default();
    let mut ours = theirs.clone();
    for number in &own {
        each_line(&numbered(&to, *number), &mut |line| {
            ours.add(line);
            Ok(())
        })?;
    }
    let mut news = false;
    for number in &old {
        each_line(&numbered(&from, *number), &mut |line| {
            theirs.add(line);
            news |= ours.add(line);
            Ok(())
        })?;
    }
    if !news {
        return Ok(false);
    }
    durable::replace_with(&to, |file| {
        let mut out = BufWriter::new(file);
        let mut write = |line: &[u8]| {
            out.write_all(line)?;
            out.write_all(b"\n")
        };
        if old.contains(&0) {
            each_line(&from, &mut write)?;
        }
        let mut known = theirs.clone();
        for number in &own {
            each_line(&numbered(&to, *number), &mut |line| {
                if known.add(line) {
                    write(line)?;
                }
                Ok(())
            })?;
        }
        out.flush()
    })?;
    for number in old.iter().copied().filter(|&number| number > 0) {
        mirror::update(&numbered(&from, number), &numbered(&to, number))?;
    }
    for number in own
        .iter()
        .filter(|&number| *number > 0 && !old.contains(number))
    {
        fs::remove_file(numbered(&to, *number))?;
    }
    Ok(true)
}

/// The numbers of the files of a rotating file, the oldest first.
fn numbers(folder: &Path, name: &str) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let found = entry?.file_name();
        let rest = found.to_str().and_then(|found| found.strip_prefix(name));
        numbers.extend(rest.and_then(number_of));
    }
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    Ok(numbers)
}

/// Of what stands behind the name of a rotating file: nothing, or a dot and a number.
pub(super) fn number_of(rest: &str) -> Option<u32> {
    match rest.strip_prefix('.') {
        Some(number) => number.parse().ok(),
        None => rest.is_empty().then_some(0),
    }
}

/// Each record of a file; what is none is left out.
fn each_line(path: &Path, then: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = reader.by_ref().take(MAX_LINE as u64 + 1);
        if limited.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if let (Some(record), _) = salvage(text) {
            then(record)?;
        }
    }
}
