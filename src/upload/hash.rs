//! Hashes of what is about to be sent. They stand in the headers, so a range is read once for them
//! and once for the wire; the second time mostly from the page cache.

use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{Context, SHA256, digest};

use crate::config::model::{ChecksumAlgorithm, ObjectLock, TransferOptions};
use crate::os::signals::Signals;
use crate::s3::checksum::{Checksum, CrcDigest};

const BUFFER: usize = 64 * 1024;

/// Lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Which hashes a body is read for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    pub sha256: bool,
    pub checksum: Option<ChecksumAlgorithm>,
    pub md5: bool,
}

impl Wanted {
    /// For the bodies of uploads. Object lock demands a checksum or an MD5 with each of them; every
    /// store knows the MD5, which therefore goes where no checksum does.
    pub fn for_bodies(
        transfer: &TransferOptions,
        checksum: Option<ChecksumAlgorithm>,
        lock: &ObjectLock,
    ) -> Wanted {
        Wanted {
            sha256: transfer.signed_payload,
            checksum,
            md5: lock.is_set() && checksum.is_none(),
        }
    }

    fn nothing(&self) -> bool {
        !self.sha256 && self.checksum.is_none() && !self.md5
    }
}

/// The hashes of one range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hashes {
    /// Lower-case hex.
    pub sha256: Option<String>,
    pub checksum: Option<Checksum>,
    /// Base64, as in `Content-MD5`.
    pub md5: Option<String>,
}

/// Hashes under way.
struct Hashing {
    wanted: Wanted,
    sha256: Option<Context>,
    crc: Option<CrcDigest>,
    md5: Option<md5::Context>,
}

impl Hashing {
    fn new(wanted: Wanted) -> Hashing {
        let sha256 = wanted.sha256 || wanted.checksum == Some(ChecksumAlgorithm::Sha256);
        Hashing {
            wanted,
            sha256: sha256.then(|| Context::new(&SHA256)),
            crc: wanted.checksum.and_then(CrcDigest::new),
            md5: wanted.md5.then(md5::Context::new),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(crc) = &mut self.crc {
            crc.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.consume(bytes);
        }
    }

    fn finish(self) -> Hashes {
        let sha256 = self.sha256.map(Context::finish);
        let value = match self.crc {
            Some(crc) => Some(crc.finish()),
            None => sha256.map(|digest| BASE64_STANDARD.encode(digest)),
        };
        let checksum = self.wanted.checksum.zip(value);
        Hashes {
            sha256: sha256
                .filter(|_| self.wanted.sha256)
                .map(|digest| hex(digest.as_ref())),
            checksum: checksum.map(|(algorithm, value)| Checksum { algorithm, value }),
            md5: self.md5.map(|md5| BASE64_STANDARD.encode(md5.finalize().0)),
        }
    }
}

impl Hashes {
    pub fn of(wanted: Wanted, bytes: &[u8]) -> Hashes {
        let mut hashing = Hashing::new(wanted);
        hashing.update(bytes);
        hashing.finish()
    }

    /// Of `length` bytes from `offset` on; the file is not read where nothing is wanted. Fails with
    /// `UnexpectedEof` when the file is shorter and with `Interrupted` on a request to stop.
    pub fn of_range(
        wanted: Wanted,
        file: &File,
        offset: u64,
        length: u64,
        signals: &Signals,
    ) -> io::Result<Hashes> {
        let mut hashing = Hashing::new(wanted);
        if wanted.nothing() {
            return Ok(hashing.finish());
        }
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
                    hashing.update(&buffer[..read]);
                    done += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(hashing.finish())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reading_yields_all_that_is_wanted_and_nothing_else() {
        let wanted = Wanted {
            sha256: true,
            checksum: Some(ChecksumAlgorithm::Crc32),
            md5: true,
        };
        let hashes = Hashes::of(wanted, b"123456789");
        assert_eq!(hashes.sha256, Some(sha256_hex(b"123456789")));
        assert_eq!(hashes.checksum.unwrap().to_string(), "crc32:y/Q5Jg==");
        assert_eq!(hashes.md5.as_deref(), Some("JfnnlDI7RTiF9RgfG2JNCw=="));
        let wanted = Wanted {
            checksum: Some(ChecksumAlgorithm::Sha256),
            ..Wanted::default()
        };
        let hashes = Hashes::of(wanted, b"");
        let empty = "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(hashes.checksum.unwrap().to_string(), empty);
        assert_eq!((hashes.sha256, hashes.md5), (None, None));
    }
}
