//! Files with contents that a test can tell apart and make again.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

const BLOCK: usize = 64 * 1024;

/// The same `size` bytes for the same `seed`, without a period that a part size could hide.
#[derive(Clone)]
pub struct Content {
    state: u64,
    word: [u8; 8],
    /// How much of `word` has been handed out.
    used: usize,
    left: u64,
}

impl Content {
    pub fn new(size: u64, seed: u64) -> Self {
        Content {
            // Xorshift stays at zero for ever, so zero must not be where it starts.
            state: seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            word: [0; 8],
            used: 8,
            left: size,
        }
    }

    pub fn bytes(mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.read_to_end(&mut all).unwrap();
        all
    }

    fn next_word(&mut self) -> [u8; 8] {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.to_le_bytes()
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let wanted = self.left.min(buffer.len() as u64) as usize;
        let mut rest = &mut buffer[..wanted];
        while !rest.is_empty() {
            if self.used == self.word.len() {
                self.word = self.next_word();
                self.used = 0;
            }
            let n = rest.len().min(self.word.len() - self.used);
            rest[..n].copy_from_slice(&self.word[self.used..self.used + n]);
            self.used += n;
            rest = &mut rest[n..];
        }
        self.left -= wanted as u64;
        Ok(wanted)
    }
}

/// Writes [`Content`] block by block, so that the size may exceed memory.
pub fn write_content(path: &Path, size: u64, seed: u64) {
    let mut file = File::create(path).unwrap();
    let mut content = Content::new(size, seed);
    let mut block = vec![0; BLOCK];
    loop {
        let n = content.read(&mut block).unwrap();
        if n == 0 {
            break;
        }
        file.write_all(&block[..n]).unwrap();
    }
}

/// Is the file exactly the content of that size and seed? Reads both block by block.
pub fn holds_content(path: &Path, size: u64, seed: u64) -> bool {
    let Ok(mut file) = File::open(path) else {
        return false;
    };
    if file.metadata().unwrap().len() != size {
        return false;
    }
    let mut content = Content::new(size, seed);
    let (mut expected, mut actual) = (vec![0; BLOCK], vec![0; BLOCK]);
    loop {
        let n = content.read(&mut expected).unwrap();
        if n == 0 {
            return true;
        }
        if file.read_exact(&mut actual[..n]).is_err() || expected[..n] != actual[..n] {
            return false;
        }
    }
}

/// Sets the modification time to that long before now.
pub fn set_age(path: &Path, age: Duration) {
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}
