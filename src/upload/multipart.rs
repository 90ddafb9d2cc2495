//! A file in parts: found again after anything, and never left open without a note.

use super::body::FileRange;
use super::leftovers::{abort, end_unanswered};
use super::part_plan::{PartPlan, PartRange};
use super::{Context, Task, UploadError, Uploaded, verify, verify_wanted};
use crate::record::ledger::{Ledger, OpenUpload};
use crate::retry::random;
use crate::s3::{Class, Client, CreateOptions, Failure, Receipt, UploadId};

/// Where an upload stands.
enum Progress {
    /// S3 holds these parts (number and ETag), ascending.
    Open(OpenUpload, Vec<(u32, String)>),
    /// An earlier Complete had worked, only its answer was lost.
    AlreadyComplete(OpenUpload, Receipt),
}

pub(super) fn upload(context: &mut Context<'_>, task: Task<'_>) -> Result<Uploaded, UploadError> {
    match resume(context, task)? {
        Some(Progress::AlreadyComplete(open, receipt)) => {
            Ok(completed(context.ledger, &open, receipt, open.size))
        }
        Some(Progress::Open(open, held)) => match carry_on(context, task, &open, held) {
            Err(UploadError::S3(failure)) if failure.class == Class::Blocked => {
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

/// A store may refuse an upload that is half gone just as it refuses a key without permission. If
/// it lets a new one begin, it was the upload; if not, what it holds is kept.
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
    held: Vec<(u32, String)>,
) -> Result<Uploaded, UploadError> {
    let plan = PartPlan {
        size: open.size,
        part_size: open.part_size,
    };
    let resumed_bytes = held
        .iter()
        .map(|(number, _)| plan.range(*number).length)
        .sum();
    let result = send_missing(context, task, open, plan, held)
        .and_then(|parts| finish(context, task, open, &parts, resumed_bytes));
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
    held: Vec<(u32, String)>,
) -> Result<Vec<(u32, String)>, UploadError> {
    let id = UploadId(open.upload_id.clone());
    let mut parts = held;
    for range in plan.ranges() {
        if parts.iter().any(|(number, _)| *number == range.number) {
            continue;
        }
        if context.signals.stop_requested() || !(context.may_continue)() {
            return Err(UploadError::Stopped);
        }
        match send_part(context, task, &id, range) {
            Ok(etag) => {
                context.ledger.part_sent(&open.token, range.number, &etag);
                parts.push((range.number, etag));
            }
            Err(UploadError::Changed) => return Err(give_up_changed(context, open)),
            Err(other) => return Err(other),
        }
    }
    parts.sort_unstable_by_key(|(number, _)| *number);
    Ok(parts)
}

fn send_part(
    context: &mut Context<'_>,
    task: Task<'_>,
    id: &UploadId,
    range: PartRange,
) -> Result<String, UploadError> {
    let body = FileRange::new(context, task.file, range.offset, range.length)?;
    let result = context
        .client
        .upload_part(task.key.as_str(), id, range.number, &body);
    body.judge(result)
}

/// Makes the object visible, if the file is still the one that was sent.
fn finish(
    context: &mut Context<'_>,
    task: Task<'_>,
    open: &OpenUpload,
    parts: &[(u32, String)],
    resumed_bytes: u64,
) -> Result<Uploaded, UploadError> {
    if task.file.has_changed().map_err(UploadError::Source)? {
        return Err(give_up_changed(context, open));
    }
    let id = UploadId(open.upload_id.clone());
    let key = task.key.as_str();
    let receipt = match context.client.complete_multipart_upload(key, &id, parts) {
        Ok(receipt) => receipt,
        Err(failure) => match made_after_all(context, task, open, &failure) {
            Some(receipt) => receipt,
            None => return Err(after_failed_complete(context, open, failure)),
        },
    };
    if verify_wanted(context.transfer) {
        verify(context, task, open.size, Some(&open.token))?;
    }
    Ok(completed(context.ledger, open, receipt, resumed_bytes))
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

/// The object, if it is the one that this very upload made.
fn object_of(
    context: &mut Context<'_>,
    task: Task<'_>,
    open: &OpenUpload,
) -> Result<Option<Receipt>, Failure> {
    let found = context.client.head_object(task.key.as_str())?;
    Ok(found
        .filter(|object| {
            object.token.as_deref() == Some(open.token.as_str()) && object.size == Some(open.size)
        })
        .map(|object| object.receipt))
}

/// Parts that S3 does not acknowledge are no parts: the next attempt starts from what it lists, or
/// from nothing.
fn after_failed_complete(
    context: &mut Context<'_>,
    open: &OpenUpload,
    failure: Failure,
) -> UploadError {
    if ["InvalidPart", "InvalidPartOrder", "EntityTooSmall"]
        .iter()
        .any(|code| failure.has_code(code))
    {
        give_up(context.client, context.ledger, open);
    }
    failure.into()
}

fn completed(
    ledger: &mut Ledger,
    open: &OpenUpload,
    receipt: Receipt,
    resumed_bytes: u64,
) -> Uploaded {
    let plan = PartPlan {
        size: open.size,
        part_size: open.part_size,
    };
    ledger.completed(&open.token);
    Uploaded {
        receipt,
        parts: plan.count(),
        resumed_bytes,
        sha256: None,
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
    end_unanswered(context.client, context.ledger, task.job)?;
    let token = announced(context, task);
    let options = CreateOptions {
        object: context.object,
        content_type: task.content_type,
        token: Some(&token),
    };
    let id = context
        .client
        .create_multipart_upload(task.key.as_str(), options)
        .inspect_err(|failure| {
            // Refused, there is certainly no upload; otherwise only its answer may be missing.
            if matches!(failure.http_status, Some(400..500)) {
                context.ledger.end_upload(&token);
            }
        })?;
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
        abort: false,
    };
    if let Err(error) = context.ledger.begin_upload(open.clone()) {
        // A full disk is no reason to send nothing: this process knows the upload without its note.
        // Only a power cut before there is room again would leave parts behind, for `cleanup`.
        log::warn!("an upload is not written down, the state directory fails: {error}");
    }
    Ok(open)
}

/// The token of an upload that is about to be created, after a note of it.
fn announced(context: &mut Context<'_>, task: Task<'_>) -> String {
    let token = new_token();
    let place = (task.job, context.client.bucket(), task.key.as_str());
    let now = context.client.signing_time();
    if let Err(error) = context.ledger.about_to_create(&token, place, now) {
        log::warn!("an upload is not announced, the state directory fails: {error}");
    }
    token
}

/// What an earlier attempt left, if it is of this very file and key.
fn resume(context: &mut Context<'_>, task: Task<'_>) -> Result<Option<Progress>, UploadError> {
    let bucket = context.client.bucket().to_owned();
    for stale in context.ledger.uploads_of(task.job, task.source_path) {
        let same = stale.fingerprint == task.fingerprint
            && stale.size == task.file.identity().size
            && stale.key == task.key.as_str()
            && stale.bucket == bucket;
        if !same || stale.abort {
            give_up(context.client, context.ledger, &stale);
        }
    }
    let Some(open) = context
        .ledger
        .uploads_of(task.job, task.source_path)
        .into_iter()
        .find(|open| !open.abort)
    else {
        return Ok(None);
    };
    match held_parts(context, task, &open) {
        // Some stores list no parts, rather than no upload, once it is complete or gone. Without
        // parts it is worth nothing anyway, and a new one is certain to be there.
        Ok(parts) if parts.is_empty() => match object_of(context, task, &open) {
            Ok(Some(receipt)) => Ok(Some(Progress::AlreadyComplete(open, receipt))),
            Err(failure) if failure.class != Class::Blocked => Err(failure.into()),
            Ok(None) | Err(_) => {
                give_up(context.client, context.ledger, &open);
                Ok(None)
            }
        },
        Ok(parts) => Ok(Some(Progress::Open(open, parts))),
        Err(failure) if failure.has_code("NoSuchUpload") => decide_by_token(context, task, open),
        // The key may not be allowed to list parts (s3:ListMultipartUploadParts): what this
        // process has sent itself is known without asking.
        Err(failure) if failure.class == Class::Blocked => {
            let known = context.ledger.parts_sent(&open.token);
            if known.is_empty() {
                give_up(context.client, context.ledger, &open);
                return Ok(None);
            }
            Ok(Some(Progress::Open(open, known)))
        }
        Err(failure) => Err(failure.into()),
    }
}

/// The parts that S3 holds in full, with the ETags it gave; a store that lists none of them is
/// told the ones that it gave when they were sent.
fn held_parts(
    context: &mut Context<'_>,
    task: Task<'_>,
    open: &OpenUpload,
) -> Result<Vec<(u32, String)>, Failure> {
    let plan = PartPlan {
        size: open.size,
        part_size: open.part_size,
    };
    let known = context.ledger.parts_sent(&open.token);
    let id = UploadId(open.upload_id.clone());
    let mut held: Vec<(u32, String)> = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let page = context
            .client
            .list_parts(task.key.as_str(), &id, marker.as_deref())?;
        for part in page.parts {
            let expected = (1..=plan.count()).contains(&part.number)
                && plan.range(part.number).length == part.size;
            if !expected {
                continue;
            }
            let etag = part.etag.or_else(|| {
                let sent = known.iter().find(|(number, _)| *number == part.number)?;
                Some(sent.1.clone())
            });
            held.retain(|(number, _)| *number != part.number);
            held.push((part.number, etag.unwrap_or_default()));
        }
        match page.next {
            // A store that repeats its marker would be asked for ever.
            Some(next) if marker.as_deref() != Some(next.as_str()) => marker = Some(next),
            _ => return Ok(held),
        }
    }
}

/// NoSuchUpload means aborted or already completed: the object, if it is there, tells by the token
/// that only this upload put on it.
fn decide_by_token(
    context: &mut Context<'_>,
    task: Task<'_>,
    open: OpenUpload,
) -> Result<Option<Progress>, UploadError> {
    match object_of(context, task, &open) {
        Ok(Some(receipt)) => return Ok(Some(Progress::AlreadyComplete(open, receipt))),
        Ok(None) => {}
        // Not allowed to look: sending it again overwrites the same bytes.
        Err(failure) if failure.class == Class::Blocked => {}
        Err(failure) => return Err(failure.into()),
    }
    context.ledger.end_upload(&open.token);
    Ok(None)
}

fn give_up_changed(context: &mut Context<'_>, open: &OpenUpload) -> UploadError {
    give_up(context.client, context.ledger, open);
    UploadError::Changed
}

/// Aborts an upload now, or leaves it in the ledger to be aborted later.
fn give_up(client: &mut Client, ledger: &mut Ledger, open: &OpenUpload) {
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

fn new_token() -> String {
    format!("{:016x}{:016x}", random(), random())
}
