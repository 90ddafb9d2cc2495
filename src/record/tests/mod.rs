mod files;
mod follow;
mod formats;
mod ledger;
mod properties;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::*;
use crate::config::model::Rotation;

/// A folder of the test's own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("s3ferry-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn log(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const ROOMY: Rotation = Rotation {
    max_size: 1 << 20,
    files: 3,
};
/// Three records of [`record`] a file, with one digit; with two, just two.
const TIGHT: Rotation = Rotation {
    max_size: 25,
    files: 3,
};

fn open(path: &Path, rotation: Rotation) -> JsonLines {
    JsonLines::open(path, rotation).unwrap().0
}

/// `{"n":1}`: 7 bytes for one digit.
fn record(n: u32) -> Vec<u8> {
    format!("{{\"n\":{n}}}").into_bytes()
}

fn records(numbers: impl IntoIterator<Item = u32>) -> Vec<Vec<u8>> {
    numbers.into_iter().map(record).collect()
}

fn all(path: &Path) -> (Vec<Vec<u8>>, usize) {
    read_last(path, 3, usize::MAX, &mut |_| true).unwrap()
}

fn append_raw(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(bytes).unwrap();
}
