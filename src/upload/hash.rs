//! SHA-256 of what is about to be sent. SigV4 wants it in the headers, so a range is read once for
//! its hash and once for the wire; the second time mostly from the page cache.

use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use crate::os::signals::Signals;

const BUFFER: usize = 64 * 1024;

/// Lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The hash of `length` bytes from `offset` on. Fails with `UnexpectedEof` when the file is shorter
/// and with `Interrupted` on a request to stop.
pub fn sha256_of_range(
    file: &File,
    offset: u64,
    length: u64,
    signals: &Signals,
) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut done = 0;
    while done < length {
        if signals.stop_requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let wanted = usize::try_from(length - done).map_or(BUFFER, |left| left.min(BUFFER));
        match file.read_at(&mut buffer[..wanted], offset + done) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                done += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// Lower-case hex digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
