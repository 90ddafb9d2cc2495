//! Uploads that S3 holds open in vain: aborts that did not work, and creations whose answer never
//! came.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use time::Duration;

use crate::record::ledger::{Creation, Ledger, OpenUpload};
use crate::record::parse_timestamp;
use crate::s3::{Class, Client, Failure, UploadId, UploadInfo};
use crate::source::file::Identity;
use crate::text::unescape;

/// `Date` has whole seconds, and S3's own machines are not quite at one.
const ROUNDING: Duration = Duration::minutes(1);
/// So long a request may be on its way.
const ON_ITS_WAY: Duration = Duration::minutes(1);

/// Ends what is open in vain for `job`, each once. What does not work stays in the ledger; one that is
/// refused keeps none of the others open.
pub fn end_leftovers(client: &mut Client, ledger: &mut Ledger, job: &str) -> Result<(), Failure> {
    for open in ledger.open_uploads().to_vec() {
        if open.job == job && !open.abort && has_vanished(&open) {
            ledger.queue_abort(&open);
        }
    }
    let mut refused = None;
    for open in ledger.queued_aborts(job) {
        if open.bucket != client.bucket() {
            continue;
        }
        match abort(client, &open) {
            Ok(()) => ledger.end_upload(&open.token),
            Err(failure) if matches!(failure.class, Class::Blocked | Class::ThisFile) => {
                refused.get_or_insert(failure);
            }
            Err(failure) => return Err(failure),
        }
    }
    end_unanswered(client, ledger, job)?;
    refused.map_or(Ok(()), Err)
}

/// Whether the upload's file was removed: it is not there, and what holds its folder is the file
/// system that held it, so that it is not just not mounted.
fn has_vanished(open: &OpenUpload) -> bool {
    let Some(path) = unescape(&open.source_path) else {
        return false;
    };
    let path = Path::new(OsStr::from_bytes(&path));
    let mut folders = path.ancestors().skip(1);
    !open.file_is_there()
        && folders
            .find_map(|folder| rustix::fs::stat(folder).ok())
            .is_some_and(|folder| Identity::from(&folder).device == open.device)
}

/// Looks for uploads of `job` that S3 has begun without our knowing, and aborts them. Where S3 may
/// not be asked for open uploads, there is nothing to be done but `cleanup`.
pub(super) fn end_unanswered(
    client: &mut Client,
    ledger: &mut Ledger,
    job: &str,
) -> Result<(), Failure> {
    for creation in ledger.unanswered(job) {
        if creation.bucket != client.bucket() {
            continue;
        }
        match abort_empty(client, ledger, &creation) {
            Ok(()) if may_still_arrive(client, ledger, &creation) => continue,
            Ok(()) => {}
            Err(failure) if matches!(failure.class, Class::Blocked | Class::ThisFile) => {
                log::debug!("open uploads cannot be looked for: {failure}");
            }
            Err(failure) => return Err(failure),
        }
        ledger.end_upload(&creation.token);
    }
    Ok(())
}

/// Whether S3 may carry it out yet: what was on its way when the process or the connection ended, is
/// so for a while. The next try or pass looks again.
fn may_still_arrive(client: &Client, ledger: &mut Ledger, creation: &Creation) -> bool {
    let Some(now) = client.server_now() else {
        return false;
    };
    match creation.at.as_deref().map(parse_timestamp) {
        Some(Some(at)) => now - at < ON_ITS_WAY,
        Some(None) => false,
        None => {
            ledger.date_creation(&creation.token, now);
            true
        }
    }
}

/// Aborts the uploads that may be of `creation`: of its very key, begun since, not in the ledger, and
/// without a part, since no part is sent before an upload is in the ledger. Another host's upload
/// can be all that only until its own first part is there, and then begins anew.
fn abort_empty(client: &mut Client, ledger: &Ledger, creation: &Creation) -> Result<(), Failure> {
    // The key itself is the first of all that begin with it, so one page is enough.
    let page = client.list_multipart_uploads(&creation.key, None)?;
    for upload in page.uploads {
        let mut known = ledger.open_uploads().iter();
        if upload.key != creation.key
            || known.any(|open| open.upload_id == upload.upload_id)
            || !is_begun_since(creation, &upload)
        {
            continue;
        }
        let id = UploadId(upload.upload_id);
        if holds_no_part(client, &upload.key, &id)? {
            client.abort_multipart_upload(&upload.key, &id)?;
        }
    }
    Ok(())
}

/// Both are the server's times. Before its first answer that is not known, and our clock may be years
/// off: then any upload of the key may be ours.
fn is_begun_since(creation: &Creation, upload: &UploadInfo) -> bool {
    let created = creation.at.as_deref().and_then(parse_timestamp);
    match (created, parse_timestamp(&upload.initiated)) {
        (Some(created), Some(initiated)) => initiated - created >= -ROUNDING,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

fn holds_no_part(client: &mut Client, key: &str, id: &UploadId) -> Result<bool, Failure> {
    match client.list_parts(key, id, None) {
        Ok(page) => Ok(page.parts.is_empty()),
        Err(failure) if failure.has_code("NoSuchUpload") => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// An abort counts when S3 lists no part any more: one that was in flight may outlive the first.
pub(super) fn abort(client: &mut Client, open: &OpenUpload) -> Result<(), Failure> {
    let id = UploadId(open.upload_id.clone());
    client.abort_multipart_upload(&open.key, &id)?;
    match client.list_parts(&open.key, &id, None) {
        Ok(page) if page.parts.is_empty() => Ok(()),
        Ok(_) => Err(Failure::new(
            Class::Temporary,
            "AbortMultipartUpload",
            "parts are still listed",
        )),
        Err(failure) if failure.has_code("NoSuchUpload") || failure.class == Class::Blocked => {
            Ok(())
        }
        Err(failure) => Err(failure),
    }
}
