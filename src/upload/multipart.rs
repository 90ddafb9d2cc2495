//! A file in parts: found again after anything, and never left open without a note.

use super::body::{FileRange, hashes_of};
use super::hash::Wanted;
use super::leftovers::{abort, end_unanswered};
use super::part_plan::{PartPlan, PartRange};
use super::proof::{self, Sent};
use super::resume::{Progress, object_of, resume};
use super::{Context, Task, UploadError, Uploaded, existing, new_token};
use crate::record::ledger::{Ledger, OpenUpload};
use crate::s3::checksum::{Checksum, of_parts};
use crate::s3::{Class, Client, Completion, CreateOptions, Failure, Receipt, SentPart, UploadId};

pub(super) fn upload(context: &mut Context<'_>, task: Task<'_>) -> Result<Uploaded, UploadError> {
    match resume(context, task)? {
        Some(Progress::AlreadyComplete(open, receipt)) => {
            let checksum = open
                .checksum
                .and_then(|known| receipt.checksum(known).cloned());
            Ok(completed(
                context, task, &open, receipt, open.size, checksum,
            ))
        }
        Some(Progress::Open(open, held)) => match carry_on(context, task, &open, held) {
            Err(UploadError::S3(failure)) if is_refused(&failure) => {
                instead_of(context, task, &open, failure)
            }
            other => other,
        },
        None => {
            let open = create(context, task)?;
            carry_on(context, task, &open, Vec::new())
        }
    }
}

/// Not for lack of a connection, nor for what only a new look can tell.
fn is_refused(failure: &Failure) -> bool {
    matches!(failure.class, Class::Blocked | Class::ThisFile) && failure.http_status != Some(412)
}

/// A store may refuse an upload that is half gone just as it refuses a key without permission. If
/// it lets a new one begin, it was the upload, or a setting that it was begun with; if not, what it
/// holds is kept.
fn instead_of(
    context: &mut Context<'_>,
    task: Task<'_>,
    refused: &OpenUpload,
    failure: Failure,
) -> Result<Uploaded, UploadError> {
    let Ok(open) = create(context, task) else {
        return Err(failure.into());
    };
    give_up(context.client, context.ledger, refused);
    carry_on(context, task, &open, Vec::new())
}

/// The parts that `held` lacks, and Complete.
fn carry_on(
    context: &mut Context<'_>,
    task: Task<'_>,
    open: &OpenUpload,
    held: Vec<SentPart>,
) -> Result<Uploaded, UploadError> {
    let plan = PartPlan::of(open);
    let resumed_bytes = held.iter().map(|part| plan.range(part.number).length).sum();
    let result = send_missing(context, task, open, plan, held)
        .and_then(|parts| finish(context, task, open, plan, parts, resumed_bytes));
    if let Err(UploadError::S3(failure)) = &result
        && failure.has_code("NoSuchUpload")
    {
        // Their upload is gone. Where S3 may not be asked for parts, the next attempt would
        // otherwise go on with these for ever.
        context.ledger.forget_parts(&open.token);
    }
    result
}

/// Sends the parts that `held` lacks, in order.
fn send_missing(
    context: &mut Context<'_>,
    task: Task<'_>,
    open: &OpenUpload,
    plan: PartPlan,
    held: Vec<SentPart>,
) -> Result<Vec<SentPart>, UploadError> {
    let mut parts = held;
    for range in plan.ranges() {
        if parts.iter().any(|part| part.number == range.number) {
            continue;
        }
        if context.signals.stop_requested() || !(context.may_continue)() {
            return Err(UploadError::Stopped);
        }
        match send_part(context, task, open, range) {
            Ok(part) => {
                context.ledger.part_sent(&open.token, part.clone());
                parts.push(part);
            }
            Err(UploadError::Changed) => return Err(give_up_changed(context, open)),
            Err(other) => return Err(other),
        }
    }
    parts.sort_unstable_by_key(|part| part.number);
    Ok(parts)
}

fn send_part(
    context: &mut Context<'_>,
    task: Task<'_>,
    open: &OpenUpload,
    range: PartRange,
) -> Result<SentPart, UploadError> {
    let id = UploadId(open.upload_id.clone());
    let wanted = context.wanted(open.checksum);
    let body = FileRange::new(context, task.file, range.offset, range.length, wanted)?;
    let result = context
        .client
        .upload_part(task.key.as_str(), &id, range.number, &body);
    let etag = body.judge(result)?;
    Ok(SentPart {
        number: range.number,
        etag,
        checksum: crate::s3::Body::checksum(&body).map(|checksum| checksum.value.clone()),
    })
}

/// The checksum of the whole, where the upload has them. Those parts are read again whose checksum
/// no process of ours knows and the store does not tell.
fn checksum_of(
    context: &Context<'_>,
    task: Task<'_>,
    open: &OpenUpload,
    plan: PartPlan,
    parts: &mut [SentPart],
) -> Result<Option<Checksum>, UploadError> {
    let Some(algorithm) = open.checksum else {
        return Ok(None);
    };
    let wanted = Wanted {
        checksum: Some(algorithm),
        ..Wanted::default()
    };
    for part in parts.iter_mut().filter(|part| part.checksum.is_none()) {
        let range = plan.range(part.number);
        let hashes = hashes_of(context, task.file, range.offset, range.length, wanted)?;
        part.checksum = hashes.checksum.map(|checksum| checksum.value);
    }
    let known = parts.iter().filter_map(|part| {
        let length = plan.range(part.number).length;
        Some((part.checksum.as_deref()?, length))
    });
    Ok(of_parts(algorithm, known))
}

/// Makes the object visible, if the file is still the one that was sent.
fn finish(
    context: &mut Context<'_>,
    task: Task<'_>,
    open: &OpenUpload,
    plan: PartPlan,
    mut parts: Vec<SentPart>,
    resumed_bytes: u64,
) -> Result<Uploaded, UploadError> {
    let checksum = match checksum_of(context, task, open, plan, &mut parts) {
        Err(UploadError::Changed) => return Err(give_up_changed(context, open)),
        other => other?,
    };
    if task.file.has_changed().map_err(UploadError::Source)? {
        return Err(give_up_changed(context, open));
    }
    let id = UploadId(open.upload_id.clone());
    let key = task.key.as_str();
    let completion = Completion {
        size: open.size,
        checksum: checksum.as_ref(),
        only_if_new: context.only_if_new(),
    };
    let result = context
        .client
        .complete_multipart_upload(key, &id, &parts, completion);
    let receipt = match result {
        Ok(receipt) => receipt,
        Err(failure) => match made_after_all(context, task, open, &failure) {
            Some(receipt) => receipt,
            None => return Err(after_failed_complete(context, open, failure)),
        },
    };
    let sent = Sent {
        size: open.size,
        token: Some(&open.token),
        sha256: None,
        checksum: checksum.as_ref(),
    };
    proof::verify(context, task, &sent, &receipt)?;
    Ok(completed(
        context,
        task,
        open,
        receipt,
        resumed_bytes,
        checksum,
    ))
}

/// A Complete whose answer was lost has worked, and its repetition is refused in one way or
/// another: the token on the object decides.
fn made_after_all(
    context: &mut Context<'_>,
    task: Task<'_>,
    open: &OpenUpload,
    failure: &Failure,
) -> Option<Receipt> {
    failure.http_status?;
    object_of(context, task, open).ok().flatten()
}

/// Parts that S3 does not acknowledge are no parts, a checksum that differs will not agree later, and
/// an upload whose key was taken meanwhile is over: the next attempt starts from nothing.
fn after_failed_complete(
    context: &mut Context<'_>,
    open: &OpenUpload,
    failure: Failure,
) -> UploadError {
    let codes = [
        "InvalidPart",
        "InvalidPartOrder",
        "EntityTooSmall",
        "BadDigest",
    ];
    if codes.iter().any(|code| failure.has_code(code))
        || (context.only_if_new() && matches!(failure.http_status, Some(409 | 412)))
    {
        give_up(context.client, context.ledger, open);
    }
    failure.into()
}

fn completed(
    context: &mut Context<'_>,
    task: Task<'_>,
    open: &OpenUpload,
    receipt: Receipt,
    resumed_bytes: u64,
    checksum: Option<Checksum>,
) -> Uploaded {
    context.ledger.completed(&open.token);
    Uploaded {
        key: task.key.clone(),
        receipt,
        parts: PartPlan::of(open).count(),
        resumed_bytes,
        checksum: checksum.map(|checksum| checksum.to_string()),
        already_there: false,
    }
}

/// Starts a multipart upload; written down before it is asked for, and before anything is sent.
fn create(context: &mut Context<'_>, task: Task<'_>) -> Result<OpenUpload, UploadError> {
    let identity = task.file.identity();
    let Some(plan) = PartPlan::new(identity.size, context.transfer.part_size, context.shrink)
    else {
        let mut failure = Failure::new(
            Class::ThisFile,
            "CreateMultipartUpload",
            format!(
                "{} bytes are more than an S3 object can have",
                identity.size
            ),
        );
        failure.code = Some("EntityTooLarge".to_owned());
        return Err(failure.into());
    };
    let checksum = context.transfer.checksum;
    let sha256 = existing::mark(context, task)?;
    end_unanswered(context.client, context.ledger, task.job)?;
    let (token, id) = match ask_for_upload(context, task, sha256.as_deref()) {
        // A pooled connection that is closed may have brought the request there before: the next one
        // begins an upload of its own, and the first is looked for as any that was not answered.
        Err(failure) if failure.is_stale_connection() => {
            ask_for_upload(context, task, sha256.as_deref())?
        }
        asked => asked?,
    };
    let open = OpenUpload {
        token,
        job: task.job.to_owned(),
        bucket: context.client.bucket().to_owned(),
        key: task.key.as_str().to_owned(),
        upload_id: id.0.clone(),
        part_size: plan.part_size,
        source_path: task.source_path.to_owned(),
        size: identity.size,
        fingerprint: task.fingerprint,
        checksum,
        device: identity.device,
        abort: false,
    };
    if let Err(error) = context.ledger.begin_upload(open.clone()) {
        // A full disk is no reason to send nothing: this process knows the upload without its note.
        // Only a power cut before there is room again would leave parts behind, for `cleanup`.
        log::warn!("an upload is not written down, the state directory fails: {error}");
    }
    Ok(open)
}

/// An upload of S3's, with the token that it was announced by.
fn ask_for_upload(
    context: &mut Context<'_>,
    task: Task<'_>,
    sha256: Option<&str>,
) -> Result<(String, UploadId), Failure> {
    let token = announced(context, task);
    let options = CreateOptions {
        object: context.object,
        content_type: task.content_type,
        token: Some(&token),
        sha256,
    };
    let asked = context.client.create_multipart_upload(
        task.key.as_str(),
        options,
        context.transfer.checksum,
    );
    match asked {
        Ok(id) => Ok((token, id)),
        Err(failure) => {
            // Refused, there is certainly no upload; otherwise only its answer may be missing.
            if matches!(failure.http_status, Some(400..500)) {
                context.ledger.end_upload(&token);
            }
            Err(failure)
        }
    }
}

/// The token of an upload that is about to be created, after a note of it.
fn announced(context: &mut Context<'_>, task: Task<'_>) -> String {
    let token = new_token();
    let place = (task.job, context.client.bucket(), task.key.as_str());
    let now = context.client.server_now();
    if let Err(error) = context.ledger.about_to_create(&token, place, now) {
        log::warn!("an upload is not announced, the state directory fails: {error}");
    }
    token
}

fn give_up_changed(context: &mut Context<'_>, open: &OpenUpload) -> UploadError {
    give_up(context.client, context.ledger, open);
    UploadError::Changed
}

/// Aborts an upload now, or leaves it in the ledger to be aborted later.
pub(super) fn give_up(client: &mut Client, ledger: &mut Ledger, open: &OpenUpload) {
    ledger.queue_abort(open);
    if let Err(failure) = abort(client, open) {
        log::info!(
            "an upload of `{}` is aborted later: {failure}",
            open.source_path
        );
        return;
    }
    ledger.end_upload(&open.token);
}
