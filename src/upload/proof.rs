//! What shows that the store holds what was read.

use super::{Context, Task, UploadError};
use crate::config::model::{TransferOptions, Verify};
use crate::s3::checksum::Checksum;
use crate::s3::{Class, Failure, ObjectInfo, Receipt};

/// What was sent, as far as a HEAD can tell of it.
pub(super) struct Sent<'a> {
    /// Bytes.
    pub size: u64,
    /// Both in the object's metadata.
    pub token: Option<&'a str>,
    pub sha256: Option<&'a str>,
    /// Of the whole object.
    pub checksum: Option<&'a Checksum>,
}

/// Whether a HEAD may follow: then the object needs something to be recognised by.
pub(super) fn may_be_asked_for(transfer: &TransferOptions) -> bool {
    match transfer.verify {
        Verify::Always => true,
        Verify::Never => false,
        Verify::Auto => !transfer.signed_payload,
    }
}

/// Holds what S3 says of the object against what was sent. S3 compares a signed hash and a checksum
/// with what has arrived, so its answer is the proof where the payload was signed, and where it names
/// the checksum. Only `verify: "always"` insists on a HEAD: the key may have no permission for it.
pub(super) fn verify(
    context: &mut Context<'_>,
    task: Task<'_>,
    sent: &Sent<'_>,
    receipt: &Receipt,
) -> Result<(), UploadError> {
    let named = sent
        .checksum
        .and_then(|checksum| receipt.checksum(checksum.algorithm));
    if let (Some(named), Some(checksum)) = (named, sent.checksum)
        && named != checksum
    {
        let message = format!("S3 names the checksum {named}, the file's is {checksum}");
        return Err(different("PutObject", message));
    }
    let wanted = match context.transfer.verify {
        Verify::Always => true,
        Verify::Never => false,
        Verify::Auto => !context.transfer.signed_payload && named.is_none(),
    };
    if !wanted {
        return Ok(());
    }
    let key = task.key.as_str();
    let answer = match sent.checksum {
        Some(_) => context.client.head_object_with_checksums(key),
        None => context.client.head_object(key),
    };
    match answer {
        Ok(Some(object)) => match difference(&object, sent, context.transfer.verify) {
            Some(message) => Err(different("HeadObject", message)),
            None => Ok(()),
        },
        Ok(None) => {
            let message = "the object is not there after its upload".to_owned();
            Err(different("HeadObject", message))
        }
        Err(failure)
            if failure.class == Class::Blocked && context.transfer.verify == Verify::Auto =>
        {
            Ok(())
        }
        Err(failure) => Err(failure.into()),
    }
}

/// A store that drops metadata says nothing by it; only `always` insists.
fn difference(object: &ObjectInfo, sent: &Sent<'_>, verify: Verify) -> Option<String> {
    if object.size != Some(sent.size) {
        let found = object.size.map_or("no".to_owned(), |size| size.to_string());
        return Some(format!(
            "the object has {found} bytes, the file {}",
            sent.size
        ));
    }
    for (found, wanted) in [(&object.token, sent.token), (&object.sha256, sent.sha256)] {
        let dropped = found.is_none() && verify != Verify::Always;
        if wanted.is_some() && found.as_deref() != wanted && !dropped {
            return Some(
                "the object is not the one that was sent: its metadata differs".to_owned(),
            );
        }
    }
    let checksum = sent.checksum?;
    let found = object.receipt.checksum(checksum.algorithm)?;
    (found != checksum).then(|| format!("the object has the checksum {found}, the file {checksum}"))
}

fn different(operation: &'static str, message: String) -> UploadError {
    Failure::new(Class::Temporary, operation, message).into()
}
