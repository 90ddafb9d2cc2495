//! A range of the file as the body of a request: hash, limit, stop, and an honest end.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::hash::{Hashes, Wanted};
use super::{Context, Limiter, UploadError};
use crate::clock;
use crate::os::notify;
use crate::os::signals::Signals;
use crate::s3::checksum::Checksum;
use crate::s3::{Body, Failure};
use crate::source::file::SourceFile;

/// Reads a range for its hashes.
pub fn hashes_of(
    context: &Context<'_>,
    file: &SourceFile,
    offset: u64,
    length: u64,
    wanted: Wanted,
) -> Result<Hashes, UploadError> {
    let hashes = Hashes::of_range(wanted, file.file(), offset, length, context.signals);
    hashes.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => UploadError::Changed,
        io::ErrorKind::Interrupted => UploadError::Stopped,
        _ => UploadError::Source(error),
    })
}

/// What ended a body before its time. ureq only sees that reading failed.
#[derive(Debug)]
enum Fault {
    Changed,
    Read(io::Error),
    Stopped,
}

/// `length` bytes of the file from `offset` on.
pub struct FileRange<'a> {
    file: &'a SourceFile,
    offset: u64,
    length: u64,
    hashes: Hashes,
    /// The file is looked at once more before the last byte goes out.
    visible_at_end: bool,
    signals: &'a Signals,
    limiter: &'a RefCell<Option<Limiter>>,
    progress: &'a dyn Fn(u64),
    fault: Cell<Option<Fault>>,
}

impl<'a> FileRange<'a> {
    /// Reads the range once for its hashes, where any are wanted.
    pub fn new(
        context: &Context<'a>,
        file: &'a SourceFile,
        offset: u64,
        length: u64,
        wanted: Wanted,
    ) -> Result<FileRange<'a>, UploadError> {
        let hashes = hashes_of(context, file, offset, length, wanted)?;
        Ok(FileRange {
            file,
            offset,
            length,
            hashes,
            visible_at_end: false,
            signals: context.signals,
            limiter: context.limiter,
            progress: context.progress,
            fault: Cell::new(None),
        })
    }

    /// The object appears when the last byte has arrived, so nothing can be checked after it.
    pub fn visible_at_its_end(mut self) -> Self {
        self.visible_at_end = true;
        self
    }

    /// The result of the request, where a fault of ours explains it better than S3's view does.
    pub fn judge<T>(&self, result: Result<T, Failure>) -> Result<T, UploadError> {
        match (result, self.fault.take()) {
            (Ok(value), _) => Ok(value),
            (Err(_), Some(Fault::Changed)) => Err(UploadError::Changed),
            (Err(_), Some(Fault::Read(error))) => Err(UploadError::Source(error)),
            (Err(_), Some(Fault::Stopped)) => Err(UploadError::Stopped),
            (Err(failure), None) => Err(failure.into()),
        }
    }

    fn end_with(&self, fault: Fault) -> io::Error {
        self.fault.set(Some(fault));
        io::Error::other("the body ended early")
    }
}

impl Body for FileRange<'_> {
    fn length(&self) -> u64 {
        self.length
    }

    fn sha256(&self) -> Option<String> {
        self.hashes.sha256.clone()
    }

    fn checksum(&self) -> Option<&Checksum> {
        self.hashes.checksum.as_ref()
    }

    fn md5(&self) -> Option<&str> {
        self.hashes.md5.as_deref()
    }

    fn open(&self) -> Box<dyn Read + '_> {
        Box::new(RangeReader {
            range: self,
            done: 0,
        })
    }
}

struct RangeReader<'a> {
    range: &'a FileRange<'a>,
    done: u64,
}

impl Read for RangeReader<'_> {
    /// Never returns 0 before the end: ureq would wait for the missing bytes for ever.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let range = self.range;
        // On a fast line nothing else waits or asks for as long as a part takes.
        notify::alive();
        let left = range.length - self.done;
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        // The transport sees a stop where it has to wait, which a fast link never makes it do.
        if range.signals.stop_requested() {
            return Err(range.end_with(Fault::Stopped));
        }
        let mut wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if let Some(limiter) = range.limiter.borrow().as_ref() {
            wanted = wanted.min(limiter.largest_take());
        }
        let read = match range
            .file
            .file()
            .read_at(&mut buffer[..wanted], range.offset + self.done)
        {
            Ok(0) => return Err(range.end_with(Fault::Changed)),
            Ok(read) => read,
            Err(error) => return Err(range.end_with(Fault::Read(error))),
        };
        self.wait_for_bandwidth(read as u64)?;
        self.done += read as u64;
        if self.done == range.length && range.visible_at_end {
            match range.file.has_changed() {
                Ok(false) => {}
                Ok(true) => return Err(range.end_with(Fault::Changed)),
                Err(error) => return Err(range.end_with(Fault::Read(error))),
            }
        }
        (range.progress)(range.offset + self.done);
        Ok(read)
    }
}

impl RangeReader<'_> {
    fn wait_for_bandwidth(&self, bytes: u64) -> io::Result<()> {
        let range = self.range;
        let wait = match range.limiter.borrow_mut().as_mut() {
            Some(limiter) => limiter.take(bytes, clock::monotonic()),
            None => return Ok(()),
        };
        match range.signals.pause(wait) {
            Ok(true) => Ok(()),
            Ok(false) => Err(range.end_with(Fault::Stopped)),
            Err(error) => Err(range.end_with(Fault::Read(error))),
        }
    }
}
