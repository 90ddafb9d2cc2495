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
//!
//! Where an object that is there must stay, [`existing`] looks at the key before and sends under a
//! condition.

mod body;
pub mod content_type;
mod existing;
pub mod hash;
mod leftovers;
mod limiter;
mod multipart;
pub mod part_plan;
mod proof;
mod resume;

use std::cell::RefCell;
use std::io;

use crate::config::model::{ChecksumAlgorithm, IfExists, ObjectOptions, TransferOptions};
use crate::naming::ObjectKey;
use crate::os::signals::Signals;
use crate::record::ledger::Ledger;
use crate::retry::random;
use crate::s3::{Body, Client, CreateOptions, Failure, Receipt};
use crate::source::file::SourceFile;

use hash::Wanted;
pub use leftovers::end_leftovers;
pub use limiter::Limiter;
use proof::Sent;

/// What an upload works with.
pub struct Context<'a> {
    pub client: &'a mut Client,
    pub ledger: &'a mut Ledger,
    pub signals: &'a Signals,
    pub limiter: &'a RefCell<Option<Limiter>>,
    pub object: &'a ObjectOptions,
    pub transfer: &'a TransferOptions,
    /// Called before anything of the file is sent, with the key that it goes to.
    pub announce: &'a dyn Fn(&ObjectKey),
    /// Called with the number of the file's bytes that are sent, often.
    pub progress: &'a dyn Fn(u64),
    /// Asked between two parts: whether to go on now.
    pub may_continue: &'a dyn Fn() -> bool,
    /// How far the part size is halved, for a link that keeps failing.
    pub shrink: u32,
}

impl Context<'_> {
    /// The hashes that go with a body; `checksum` is that of its upload.
    fn wanted(&self, checksum: Option<ChecksumAlgorithm>) -> Wanted {
        Wanted::for_bodies(self.transfer, checksum, &self.object.object_lock)
    }

    /// No object that is there may be replaced.
    fn only_if_new(&self) -> bool {
        self.object.if_exists != IfExists::Overwrite
    }
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
    /// Another than the task's where that was taken.
    pub key: ObjectKey,
    pub receipt: Receipt,
    /// 0 for a single PutObject.
    pub parts: u32,
    /// Bytes that did not have to be sent because S3 had them already.
    pub resumed_bytes: u64,
    /// As the history has it: algorithm and value.
    pub checksum: Option<String>,
    /// An object with the same bytes has the key: nothing was sent, or S3 did not confirm what was.
    pub already_there: bool,
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
    /// Another object has the key, and the file is to be passed over; what is known of the object.
    PassedOver(String),
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
    if context.only_if_new() {
        existing::upload(context, task)
    } else {
        send(context, task)
    }
}

/// The same without a look at what is there.
fn send(context: &mut Context<'_>, task: Task<'_>) -> Result<Uploaded, UploadError> {
    (context.announce)(task.key);
    let size = task.file.identity().size;
    if size > context.transfer.multipart_threshold && size > 0 {
        multipart::upload(context, task)
    } else {
        // Parts of a larger version of the file, or from before a change of the threshold.
        for former in context.ledger.uploads_of(task.job, task.source_path) {
            multipart::give_up(context.client, context.ledger, &former);
        }
        put(context, task)
    }
}

fn put(context: &mut Context<'_>, task: Task<'_>) -> Result<Uploaded, UploadError> {
    let size = task.file.identity().size;
    let wanted = context.wanted(context.transfer.checksum);
    let body = body::FileRange::new(context, task.file, 0, size, wanted)?.visible_at_its_end();
    let sha256 = body.sha256();
    let marked = context.only_if_new() || proof::may_be_asked_for(context.transfer);
    let token = (marked && sha256.is_none()).then(new_token);
    let sent = Sent {
        size,
        token: token.as_deref(),
        sha256: sha256.as_deref().filter(|_| marked),
        checksum: body.checksum(),
    };
    let options = CreateOptions {
        object: context.object,
        content_type: task.content_type,
        token: sent.token,
        sha256: sent.sha256,
    };
    let key = task.key.as_str();
    let only_if_new = context.only_if_new();
    let result = context.client.put_object(key, options, only_if_new, &body);
    let receipt = body.judge(result)?;
    proof::verify(context, task, &sent, &receipt)?;
    let checksum = match &sha256 {
        Some(sha256) => Some(format!("sha256:{sha256}")),
        None => body.checksum().map(ToString::to_string),
    };
    Ok(Uploaded {
        key: task.key.clone(),
        receipt,
        parts: 0,
        resumed_bytes: 0,
        checksum,
        already_there: false,
    })
}

fn new_token() -> String {
    format!("{:016x}{:016x}", random(), random())
}
