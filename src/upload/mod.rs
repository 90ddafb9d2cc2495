//! One file to one object.
//!
//! A small file is one PutObject. A larger one is a multipart upload that is written into the
//! ledger before its first part, so that whatever happens its parts are found again:
//!
//! ```text
//!            ┌────── not in the ledger ───► ledger ──► Create ──► ledger
//! ledger? ───┤                                                     │
//!            └─ open ──► ListParts ──► the parts that are missing ◄┘
//!                           │                    │
//!                     NoSuchUpload         fstat unchanged? ── no ──► Abort, file_changed
//!                           │                    │ yes
//!                  HEAD: our token?          Complete ──► receipt
//!                   yes ► receipt
//!                   no  ► Create
//! ```

mod body;
pub mod content_type;
pub mod hash;
mod leftovers;
mod limiter;
mod multipart;
pub mod part_plan;

use std::cell::RefCell;
use std::io;

use crate::config::model::{ObjectOptions, TransferOptions, Verify};
use crate::naming::ObjectKey;
use crate::os::signals::Signals;
use crate::record::ledger::Ledger;
use crate::s3::{Client, CreateOptions, Failure, Receipt};
use crate::source::file::SourceFile;

pub use leftovers::end_leftovers;
pub use limiter::Limiter;

/// What an upload works with.
pub struct Context<'a> {
    pub client: &'a mut Client,
    pub ledger: &'a mut Ledger,
    pub signals: &'a Signals,
    pub limiter: &'a RefCell<Option<Limiter>>,
    pub object: &'a ObjectOptions,
    pub transfer: &'a TransferOptions,
    /// Called with the number of the file's bytes that are sent, often.
    pub progress: &'a dyn Fn(u64),
    /// Asked between two parts: whether to go on now.
    pub may_continue: &'a dyn Fn() -> bool,
    /// How far the part size is halved, for a link that keeps failing.
    pub shrink: u32,
}

/// The file to send, and where.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    pub job: &'a str,
    pub file: &'a SourceFile,
    /// As in records: escaped.
    pub source_path: &'a str,
    pub key: &'a ObjectKey,
    pub content_type: &'a str,
    pub fingerprint: crate::record::ledger::Fingerprint,
}

/// An upload that S3 has confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    pub receipt: Receipt,
    /// 0 for a single PutObject.
    pub parts: u32,
    /// Bytes that did not have to be sent because S3 had them already.
    pub resumed_bytes: u64,
    /// Lower-case hex SHA-256, where one request carried the whole file.
    pub sha256: Option<String>,
}

/// Why there is no object, or not yet.
#[derive(Debug)]
pub enum UploadError {
    S3(Failure),
    /// The file is not what it was when it was opened.
    Changed,
    /// The file cannot be read.
    Source(io::Error),
    /// A signal, a pause or the end of a window; what S3 holds is kept.
    Stopped,
}

impl From<Failure> for UploadError {
    fn from(failure: Failure) -> Self {
        match failure.class {
            crate::s3::Class::Stopped => UploadError::Stopped,
            _ => UploadError::S3(failure),
        }
    }
}

/// Sends `task`'s file, or goes on with it where an earlier attempt ended.
pub fn upload(context: &mut Context<'_>, task: Task<'_>) -> Result<Uploaded, UploadError> {
    let size = task.file.identity().size;
    if size > context.transfer.multipart_threshold && size > 0 {
        multipart::upload(context, task)
    } else {
        put(context, task)
    }
}

fn put(context: &mut Context<'_>, task: Task<'_>) -> Result<Uploaded, UploadError> {
    let size = task.file.identity().size;
    let body = body::FileRange::new(context, task.file, 0, size)?.visible_at_its_end();
    let options = CreateOptions {
        object: context.object,
        content_type: task.content_type,
        token: None,
    };
    let result = context.client.put_object(task.key.as_str(), options, &body);
    let sha256 = crate::s3::Body::sha256(&body);
    let receipt = body.judge(result)?;
    if verify_wanted(context.transfer) {
        verify(context, task, size, None)?;
    }
    Ok(Uploaded {
        receipt,
        parts: 0,
        resumed_bytes: 0,
        sha256,
    })
}

/// S3 compares a signed hash with what arrived, so its answer is the proof; an unsigned payload
/// has none.
fn verify_wanted(transfer: &TransferOptions) -> bool {
    match transfer.verify {
        Verify::Always => true,
        Verify::Never => false,
        Verify::Auto => !transfer.signed_payload,
    }
}

/// Asks S3 what it holds. Only `verify: "always"` insists on an answer: the key may have no
/// permission to ask.
fn verify(
    context: &mut Context<'_>,
    task: Task<'_>,
    size: u64,
    token: Option<&str>,
) -> Result<(), UploadError> {
    use crate::s3::Class;
    let found = match context.client.head_object(task.key.as_str()) {
        Ok(found) => found,
        Err(failure)
            if failure.class == Class::Blocked && context.transfer.verify == Verify::Auto =>
        {
            return Ok(());
        }
        Err(failure) => return Err(failure.into()),
    };
    let matches = found.as_ref().is_some_and(|object| {
        object.size == Some(size) && (token.is_none() || object.token.as_deref() == token)
    });
    if matches {
        return Ok(());
    }
    let message = match found {
        Some(object) => format!("the object has {:?} bytes, the file {size}", object.size),
        None => "the object is not there after its upload".to_owned(),
    };
    Err(Failure::new(Class::Temporary, "HeadObject", message).into())
}
