//! A file in parts: each request of such an upload, with one small part.

use super::{ALONE, IGNORED, LOOK, Trial, UNGUARDED, UNSEEN, cure_of, shortfall};
use crate::cli::check::report::About;
use crate::cli::{code_of, exit};
use crate::s3::checksum::of_parts;
use crate::s3::{Body, Client, Completion, CreateOptions, Failure, Receipt, SentPart, UploadId};

const MULTIPART: &str = "multipart";
const CONDITION: &str = "conditional multipart";
const LIST_PARTS: &str = "s3:ListMultipartUploadParts";
const LIST_UPLOADS: &str = "s3:ListBucketMultipartUploads";
const ABORT: &str = "s3:AbortMultipartUpload";

impl Trial<'_> {
    pub(super) fn in_parts(&self, client: &mut Client, may_look: bool, about: &mut About<'_>) {
        let Some(upload) = self.create(client, about) else {
            return;
        };
        let refused = self.abort(client, &upload, about);
        // An upload that may not be ended is gone on with, so that none is left open.
        let upload = if refused {
            Some(upload)
        } else {
            self.create(client, about)
        };
        let Some(upload) = upload else {
            return;
        };
        if !self.send(client, &upload, may_look, about) {
            // The step above has said whether that can work.
            let _ = client.abort_multipart_upload(self.key, &upload);
        }
    }

    fn create(&self, client: &mut Client, about: &mut About<'_>) -> Option<UploadId> {
        let options = CreateOptions {
            token: Some("check"),
            ..self.options()
        };
        let checksum = self.job.transfer.checksum;
        client
            .create_multipart_upload(self.key, options, checksum)
            .map_err(|failure| unsent(&failure, about))
            .ok()
    }

    /// Whether it was refused, and the upload is open for sure.
    fn abort(&self, client: &mut Client, upload: &UploadId, about: &mut About<'_>) -> bool {
        let Err(failure) = client.abort_multipart_upload(self.key, upload) else {
            about.ok(ABORT, "an upload in parts can be given up");
            return false;
        };
        let without = "parts of files that changed meanwhile stay and are billed";
        let cure = "allow `s3:AbortMultipartUpload` below the prefix, or set a lifecycle rule \
                    that ends incomplete uploads";
        let message = shortfall(&failure, without);
        about.warn(ABORT, message, cure_of(&failure, cure));
        !failure.class.is_temporary()
    }

    /// Whether the upload came to its end.
    fn send(
        &self,
        client: &mut Client,
        upload: &UploadId,
        may_look: bool,
        about: &mut About<'_>,
    ) -> bool {
        let etag = match client.upload_part(self.key, upload, 1, &self.body) {
            Ok(etag) => etag,
            Err(failure) => {
                unsent(&failure, about);
                return false;
            }
        };
        let part = SentPart {
            number: 1,
            etag,
            checksum: self.body.checksum().map(|checksum| checksum.value.clone()),
        };
        self.list_parts(client, upload, about);
        self.list_uploads(client, about);
        if self.is_conditional() {
            match self.complete(client, upload, &part, true) {
                Ok(_) => {
                    about.warn(CONDITION, IGNORED, Some(ALONE));
                    whole(about);
                    return true;
                }
                Err(failure) if !goes_on(&failure, may_look, about) => return false,
                Err(_) => {}
            }
        }
        match self.complete(client, upload, &part, false) {
            Ok(_) => {
                whole(about);
                true
            }
            Err(failure) if self.is_conditional() && failure.has_code("NoSuchUpload") => {
                let message = "each request but the last has worked; with the refusal of that the \
                               store has ended the upload";
                about.untried(MULTIPART, message, None);
                true
            }
            Err(failure) => {
                unsent(&failure, about);
                false
            }
        }
    }

    fn list_parts(&self, client: &mut Client, upload: &UploadId, about: &mut About<'_>) {
        match client.list_parts(self.key, upload, None) {
            Ok(_) => about.ok(LIST_PARTS, "the parts of an upload can be listed"),
            Err(failure) => {
                let without = "after a restart an upload in parts begins anew";
                let cure = "allow `s3:ListMultipartUploadParts` below the prefix";
                let message = shortfall(&failure, without);
                about.warn(LIST_PARTS, message, cure_of(&failure, cure));
            }
        }
    }

    fn list_uploads(&self, client: &mut Client, about: &mut About<'_>) {
        match client.list_multipart_uploads(self.key, None) {
            Ok(_) => about.ok(LIST_UPLOADS, "uploads that are open can be listed"),
            Err(failure) => {
                let without = "an upload that S3 begins while its answer is lost stays open, and \
                               `s3ferry cleanup` finds none that it does not know";
                let cure = "allow `s3:ListBucketMultipartUploads` on the bucket";
                let message = shortfall(&failure, without);
                about.warn(LIST_UPLOADS, message, cure_of(&failure, cure));
            }
        }
    }

    fn complete(
        &self,
        client: &mut Client,
        upload: &UploadId,
        part: &SentPart,
        only_if_new: bool,
    ) -> Result<Receipt, Failure> {
        let size = self.body.length();
        let checksum = self.job.transfer.checksum.and_then(|algorithm| {
            let parts = part.checksum.as_deref().map(|value| (value, size));
            of_parts(algorithm, parts.into_iter())
        });
        let completion = Completion {
            size,
            checksum: checksum.as_ref(),
            only_if_new,
        };
        let parts = std::slice::from_ref(part);
        client.complete_multipart_upload(self.key, upload, parts, completion)
    }
}

fn whole(about: &mut About<'_>) {
    let message = "an upload in parts can be begun, takes a part, and becomes an object";
    about.ok(MULTIPART, message);
}

fn unsent(failure: &Failure, about: &mut About<'_>) {
    let message = format!("{failure}; files above `multipart_threshold` cannot be sent");
    about.fail(MULTIPART, message, failure.cure(), code_of(failure));
}

/// What a conditional Complete was answered with, and whether the job would go on. Where the store
/// does not know the condition, it goes on without, if it has seen that the key is free.
fn goes_on(failure: &Failure, may_look: bool, about: &mut About<'_>) -> bool {
    if failure.http_status == Some(412) {
        about.ok(
            CONDITION,
            "an object that is there is not replaced by a file in parts",
        );
    } else if failure.is_not_implemented() && may_look {
        about.warn(CONDITION, format!("{failure}; {UNGUARDED}"), Some(ALONE));
    } else if failure.is_not_implemented() {
        about.fail(
            CONDITION,
            format!("{failure}; {UNSEEN}"),
            Some(LOOK),
            exit::REFUSED,
        );
    } else if failure.class.is_temporary() {
        about.warn(CONDITION, shortfall(failure, UNGUARDED), failure.cure());
    } else {
        about.fail_by(CONDITION, failure);
        return false;
    }
    true
}
