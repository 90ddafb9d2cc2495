//! What an earlier attempt left: its parts, or the object that it made after all.

use super::multipart::give_up;
use super::part_plan::PartPlan;
use super::{Context, Task, UploadError};
use crate::record::ledger::OpenUpload;
use crate::s3::{Class, Failure, Receipt, SentPart, UploadId};

/// Where an upload stands.
pub(super) enum Progress {
    /// S3 holds these parts.
    Open(OpenUpload, Vec<SentPart>),
    /// An earlier Complete had worked, only its answer was lost.
    AlreadyComplete(OpenUpload, Receipt),
}

/// What an earlier attempt left, if it is of this very file and key.
pub(super) fn resume(
    context: &mut Context<'_>,
    task: Task<'_>,
) -> Result<Option<Progress>, UploadError> {
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
) -> Result<Vec<SentPart>, Failure> {
    let plan = PartPlan::of(open);
    let known = context.ledger.parts_sent(&open.token);
    let id = UploadId(open.upload_id.clone());
    let mut held: Vec<SentPart> = Vec::new();
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
            let sent = known.iter().find(|known| known.number == part.number);
            let mut listed = part.checksums.into_iter();
            let checksum = listed
                .find(|checksum| Some(checksum.algorithm) == open.checksum)
                .map(|checksum| checksum.value);
            held.retain(|known| known.number != part.number);
            held.push(SentPart {
                number: part.number,
                etag: part
                    .etag
                    .or_else(|| Some(sent?.etag.clone()))
                    .unwrap_or_default(),
                checksum: checksum.or_else(|| sent?.checksum.clone()),
            });
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

/// The object, if it is the one that this very upload made.
pub(super) fn object_of(
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
