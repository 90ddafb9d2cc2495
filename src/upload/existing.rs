//! An object that is there must stay: `if_exists` other than `overwrite`.
//!
//! A HEAD before the first byte saves sending a file in vain, and S3's condition on the request that
//! makes the object visible closes the gap between the two. What counts as the file's own object is
//! one that has the same bytes: that an earlier attempt made, or a run whose state is lost. Size
//! alone shows nothing.

use super::body::hashes_of;
use super::hash::Wanted;
use super::{Context, Task, UploadError, Uploaded, send};
use crate::config::model::{ChecksumAlgorithm, IfExists};
use crate::naming::{KeyError, ObjectKey};
use crate::s3::{Class, Failure, ObjectInfo, Receipt};

/// How many other names are tried: `name-1.ext` to `name-999.ext`.
const MOST_NAMES: u32 = 999;

/// What a HEAD shows.
enum Found {
    Nothing,
    /// It was refused, as it is for a missing object where the key may not list the bucket.
    Unknown,
    /// The file's own object: its proof, as the history has checksums.
    Same(Receipt, Option<String>),
    /// What is known of it.
    Other(String),
}

enum Claim {
    Made(Uploaded),
    Taken(String),
}

pub(super) fn upload(context: &mut Context<'_>, task: Task<'_>) -> Result<Uploaded, UploadError> {
    let (first, mut key) = first_key(context, task);
    for number in first..=MOST_NAMES {
        if number > first {
            key = task.key.numbered(number).map_err(unnameable)?;
        }
        let what = match claim(context, Task { key: &key, ..task })? {
            Claim::Made(uploaded) => return Ok(uploaded),
            Claim::Taken(what) => what,
        };
        match context.object.if_exists {
            IfExists::Rename => {}
            IfExists::Skip => return Err(UploadError::PassedOver(what)),
            IfExists::Fail | IfExists::Overwrite => return Err(exists(&what)),
        }
    }
    Err(exists("all names up to `-999` are taken"))
}

/// The number and the key to begin with: an open upload of this very file has its name already.
fn first_key(context: &Context<'_>, task: Task<'_>) -> (u32, ObjectKey) {
    let plain = (0, task.key.clone());
    if context.object.if_exists != IfExists::Rename {
        return plain;
    }
    let open = context.ledger.uploads_of(task.job, task.source_path);
    let mut names = open
        .iter()
        .filter(|open| !open.abort && open.fingerprint == task.fingerprint)
        .map(|open| open.key.as_str());
    let Some(name) = names.next() else {
        return plain;
    };
    (1..=MOST_NAMES)
        .filter_map(|number| Some((number, task.key.numbered(number).ok()?)))
        .find(|(_, key)| key.as_str() == name)
        .unwrap_or(plain)
}

/// Sends the file unless its key is taken.
fn claim(context: &mut Context<'_>, task: Task<'_>) -> Result<Claim, UploadError> {
    let nothing = match look(context, task)? {
        Found::Same(receipt, proof) => return Ok(Claim::Made(recognised(task, receipt, proof))),
        Found::Other(what) => return Ok(Claim::Taken(what)),
        Found::Nothing => true,
        Found::Unknown => false,
    };
    let mut result = send(context, task);
    if nothing && is_not_implemented(&result) && context.client.uses_conditions() {
        result = send_without_condition(context, task);
    }
    let mut failure = match result {
        Err(UploadError::S3(failure)) if failure.http_status == Some(412) => failure,
        other => return other.map(Claim::Made),
    };
    // Perhaps our own: an answer that was lost, and a repetition that was refused.
    match look(context, task)? {
        Found::Same(receipt, proof) => Ok(Claim::Made(recognised(task, receipt, proof))),
        Found::Other(what) => Ok(Claim::Taken(what)),
        Found::Unknown => Ok(Claim::Taken(
            "an object is there that s3ferry may not look at".to_owned(),
        )),
        Found::Nothing => {
            failure.class = Class::Temporary;
            Err(failure.into())
        }
    }
}

/// The store knows no conditions: the look just before has to do.
fn send_without_condition(
    context: &mut Context<'_>,
    task: Task<'_>,
) -> Result<Uploaded, UploadError> {
    context.client.use_conditions(false);
    let result = send(context, task);
    if is_not_implemented(&result) {
        // It was something else that the store does not know.
        context.client.use_conditions(true);
    } else {
        log::warn!(
            "[{}] the store has no conditional writes: an object that somebody else makes at the same moment would be replaced",
            task.job
        );
    }
    result
}

fn is_not_implemented(result: &Result<Uploaded, UploadError>) -> bool {
    matches!(result, Err(UploadError::S3(failure)) if failure.is_not_implemented())
}

fn look(context: &mut Context<'_>, task: Task<'_>) -> Result<Found, UploadError> {
    let key = task.key.as_str();
    let object = match context.client.head_object_with_checksums(key) {
        Ok(Some(object)) => object,
        Ok(None) => return Ok(Found::Nothing),
        // 400: it is encrypted with a key that is not ours.
        Err(failure) if failure.class == Class::Blocked || failure.http_status == Some(400) => {
            return Ok(Found::Unknown);
        }
        Err(failure) => return Err(failure.into()),
    };
    let size = task.file.identity().size;
    let found = object.size.unwrap_or_default();
    if object.size != Some(size) {
        let what = format!("an object of {found} bytes is there, the file has {size}");
        return Ok(Found::Other(what));
    }
    if made_by_open_upload(context, task, &object) {
        return Ok(Found::Same(object.receipt, None));
    }
    Ok(match same_bytes(context, task, &object)? {
        Some((true, proof)) => Found::Same(object.receipt, Some(proof)),
        Some((false, _)) => Found::Other(format!("an object with {size} other bytes is there")),
        None => Found::Other(format!(
            "an object of {size} bytes is there, as many as the file has, but nothing shows that they are the same"
        )),
    })
}

/// A CompleteMultipartUpload worked whose answer was lost.
fn made_by_open_upload(context: &mut Context<'_>, task: Task<'_>, object: &ObjectInfo) -> bool {
    let open = context.ledger.uploads_of(task.job, task.source_path);
    let made = open.iter().find(|open| {
        open.fingerprint == task.fingerprint
            && open.key == task.key.as_str()
            && object.token.as_deref() == Some(open.token.as_str())
    });
    if let Some(open) = made {
        context.ledger.completed(&open.token);
    }
    made.is_some()
}

/// Whether the object has the file's bytes, and the hash that shows it; `None`: nothing shows it.
/// Reads the whole file.
fn same_bytes(
    context: &Context<'_>,
    task: Task<'_>,
    object: &ObjectInfo,
) -> Result<Option<(bool, String)>, UploadError> {
    let empty = task.file.identity().size == 0;
    if empty || object.sha256.is_some() {
        let sha256 = sha256_of_file(context, task)?;
        let same = empty || object.sha256.as_ref() == Some(&sha256);
        return Ok(Some((same, format!("sha256:{sha256}"))));
    }
    // A composite checksum depends on the parts, which this file may not have had.
    let mut stored = object.receipt.checksums.iter();
    let Some(stored) = stored.find(|stored| !stored.value.contains('-')) else {
        return Ok(None);
    };
    let wanted = Wanted {
        checksum: Some(stored.algorithm),
        ..Wanted::default()
    };
    let size = task.file.identity().size;
    let hashes = hashes_of(context, task.file, 0, size, wanted)?;
    Ok(Some((
        hashes.checksum.as_ref() == Some(stored),
        stored.to_string(),
    )))
}

/// The hash that an upload in parts is marked with. AWS has a checksum of the whole object by which
/// to recognise it later; of other stores nobody knows, and the file is read once more.
pub(super) fn mark(context: &Context<'_>, task: Task<'_>) -> Result<Option<String>, UploadError> {
    let checksum = context.transfer.checksum;
    let kept = context.client.is_aws() && checksum.is_some_and(ChecksumAlgorithm::joins);
    if !context.only_if_new() || kept {
        return Ok(None);
    }
    sha256_of_file(context, task).map(Some)
}

fn sha256_of_file(context: &Context<'_>, task: Task<'_>) -> Result<String, UploadError> {
    let wanted = Wanted {
        sha256: true,
        ..Wanted::default()
    };
    let size = task.file.identity().size;
    let hashes = hashes_of(context, task.file, 0, size, wanted)?;
    Ok(hashes.sha256.unwrap_or_default())
}

fn recognised(task: Task<'_>, receipt: Receipt, checksum: Option<String>) -> Uploaded {
    Uploaded {
        key: task.key.clone(),
        receipt,
        parts: 0,
        resumed_bytes: task.file.identity().size,
        checksum,
        already_there: true,
    }
}

fn unnameable(error: KeyError) -> UploadError {
    Failure::new(Class::ThisFile, "PutObject", error.to_string()).into()
}

fn exists(what: &str) -> UploadError {
    Failure::named("ObjectExists", "PutObject", what).into()
}
