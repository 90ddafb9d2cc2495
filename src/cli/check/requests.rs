//! Each request that the job will send, tried with a small object under its prefix.
//!
//! `s3:PutObject` is all that uploads need. What else is refused makes a warning, which says what
//! goes without it, unless the job's own settings depend on it.

use std::io::Read;

use super::report::About;
use crate::cli::{code_of, exit};
use crate::config::Config;
use crate::config::model::{IfExists, Job, ObjectLock, ObjectOptions, Verify};
use crate::naming::ObjectKey;
use crate::s3::checksum::Checksum;
use crate::s3::{Body, Class, Client, CreateOptions, Failure, Receipt, UploadId};
use crate::upload::hash::{Hashes, Wanted};

/// What the test object holds.
const CONTENT: &[u8] = b"s3ferry check\n";
/// Its name, below the job's prefix.
const NAME: &str = ".s3ferry-check";

const PUT: &str = "s3:PutObject";
const GET: &str = "s3:GetObject";
const LIST_PARTS: &str = "s3:ListMultipartUploadParts";
const ABORT: &str = "s3:AbortMultipartUpload";

/// Tries them all, as far as the first one gets.
pub fn check(config: &Config, job: &Job, client: &mut Client, about: &mut About<'_>) {
    let key = match ObjectKey::new(&job.prefix, NAME) {
        Ok(key) => key,
        Err(error) => return about.fail("prefix", error.to_string(), None, exit::REFUSED),
    };
    let trial = Trial {
        config,
        job,
        key: key.as_str(),
        // A locked object could not be removed again.
        object: ObjectOptions {
            object_lock: ObjectLock::default(),
            ..job.object.clone()
        },
        body: TestBody::of(job),
    };
    let Some(receipt) = trial.put(client, about) else {
        return;
    };
    trial.head(client, about);
    if let Some(upload) = trial.create(client, about) {
        trial.list_parts(client, &upload, about);
        trial.abort(client, &upload, about);
    }
    trial.checksum(client, &receipt, about);
    trial.condition(client, about);
    trial.remove(client, about);
}

/// The date of the job's lock is over.
pub fn past_retention(config: &Config, job: &Job, failure: &Failure, about: &mut About<'_>) {
    let place = &config.places_of(job).retain_until;
    let problem = place.problem(&config.path, failure.message.clone());
    let message = problem.to_string();
    about.fail("object_lock", message, failure.hint, exit::CONFIGURATION);
}

struct Trial<'a> {
    config: &'a Config,
    job: &'a Job,
    key: &'a str,
    object: ObjectOptions,
    body: TestBody,
}

impl Trial<'_> {
    fn options(&self) -> CreateOptions<'_> {
        CreateOptions {
            object: &self.object,
            content_type: "text/plain",
            token: None,
            sha256: None,
        }
    }

    /// The one request that everything stands on: its refusal tells of keys, region, bucket and
    /// permission alike.
    fn put(&self, client: &mut Client, about: &mut About<'_>) -> Option<Receipt> {
        let result = client.put_object(self.key, self.options(), false, &self.body);
        let (configured, found) = (&self.job.destination, client.destination());
        match result {
            Ok(receipt) => {
                if configured.region == found.region {
                    about.ok("region", format!("`{}`", found.region));
                } else {
                    let message = format!(
                        "`{}`, as the store says, not `{}`",
                        found.region, configured.region
                    );
                    let cure =
                        "name that region in the configuration: it saves a request at each start";
                    about.warn("region", message, Some(cure));
                }
                let message = format!("`{}` was written to bucket `{}`", self.key, found.bucket);
                about.ok(PUT, message);
                self.unlocked(client, about);
                Some(receipt)
            }
            Err(failure) => {
                about.fail_by(step_of(&failure), &failure);
                None
            }
        }
    }

    fn unlocked(&self, client: &Client, about: &mut About<'_>) {
        let lock = &self.job.object.object_lock;
        if let Err(failure) = client.refuse_past_retention(PUT, lock) {
            return past_retention(self.config, self.job, &failure, about);
        }
        let cure = match (lock.retention.is_some(), lock.legal_hold) {
            (false, false) => return,
            (true, false) => "see that the key has `s3:PutObjectRetention` below the prefix",
            (false, true) => "see that the key has `s3:PutObjectLegalHold` below the prefix",
            (true, true) => {
                "see that the key has `s3:PutObjectRetention` and `s3:PutObjectLegalHold` below the prefix"
            }
        };
        let message = "not tried, since a locked object could not be removed again: whether the key \
                       may lock, and the bucket takes locks, shows with the first file";
        about.untried("object_lock", message, Some(cure));
    }

    fn head(&self, client: &mut Client, about: &mut About<'_>) {
        match client.head_object(self.key) {
            Ok(Some(object)) if object.size == Some(CONTENT.len() as u64) => {
                about.ok(GET, "the object can be looked at, and is whole");
            }
            Ok(found) => {
                let size = found.and_then(|object| object.size);
                let message = match size {
                    Some(size) => {
                        format!("the object has {size} bytes instead of {}", CONTENT.len())
                    }
                    None => "the object was confirmed, but is not there to be looked at".to_owned(),
                };
                let cure = "ask those who run the store: it does not give back what it confirms";
                about.fail(GET, message, Some(cure), exit::REFUSED);
            }
            Err(failure) if self.job.transfer.verify == Verify::Always => {
                let cure =
                    "allow `s3:GetObject` below the prefix, or set `transfer.verify` to \"auto\"";
                about.fail(GET, failure.to_string(), Some(cure), code_of(&failure));
            }
            Err(failure) => {
                let without = match self.job.object.if_exists {
                    IfExists::Overwrite => {
                        "where the answer to a large file's last request is lost, the file is sent again"
                    }
                    _ => {
                        "an object that is there is noticed only after the file has been sent, and never known for ours"
                    }
                };
                let message = format!("{failure}; {without}");
                about.warn(GET, message, Some("allow `s3:GetObject` below the prefix"));
            }
        }
    }

    /// An upload in parts, begun and ended without any.
    fn create(&self, client: &mut Client, about: &mut About<'_>) -> Option<UploadId> {
        let checksum = self.job.transfer.checksum;
        match client.create_multipart_upload(self.key, self.options(), checksum) {
            Ok(upload) => {
                about.ok("multipart", "an upload in parts can be begun");
                Some(upload)
            }
            Err(failure) => {
                let message =
                    format!("{failure}; files above `multipart_threshold` cannot be sent");
                about.fail("multipart", message, failure.hint, code_of(&failure));
                None
            }
        }
    }

    fn list_parts(&self, client: &mut Client, upload: &UploadId, about: &mut About<'_>) {
        match client.list_parts(self.key, upload, None) {
            Ok(_) => about.ok(LIST_PARTS, "its parts can be listed"),
            Err(failure) => {
                let message = format!("{failure}; after a restart an upload in parts begins anew");
                let cure = "allow `s3:ListMultipartUploadParts` below the prefix";
                about.warn(LIST_PARTS, message, Some(cure));
            }
        }
    }

    fn abort(&self, client: &mut Client, upload: &UploadId, about: &mut About<'_>) {
        match client.abort_multipart_upload(self.key, upload) {
            Ok(()) => about.ok(ABORT, "and it can be ended"),
            Err(failure) => {
                let message = format!(
                    "{failure}; parts of files that changed meanwhile stay and are billed, and this \
                     check leaves an upload without parts"
                );
                let cure = "allow `s3:AbortMultipartUpload` below the prefix, or set a lifecycle rule \
                            that ends incomplete uploads";
                about.warn(ABORT, message, Some(cure));
            }
        }
    }

    /// Whether the store keeps the checksum that it was sent, so that it can be compared later.
    fn checksum(&self, client: &mut Client, receipt: &Receipt, about: &mut About<'_>) {
        let Some(sent) = self.body.checksum() else {
            return;
        };
        let kept = match receipt.checksum(sent.algorithm) {
            Some(kept) => Some(kept.clone()),
            None => match client.head_object_with_checksums(self.key) {
                Ok(Some(object)) => object.receipt.checksum(sent.algorithm).cloned(),
                Ok(None) | Err(_) => None,
            },
        };
        match kept {
            Some(kept) if kept == *sent => about.ok("checksum", format!("the store keeps {kept}")),
            Some(kept) => {
                let message = format!("the store keeps {kept}, but was sent {sent}");
                let cure =
                    "set `transfer.checksum` to \"none\"; the signed hash is compared all the same";
                about.fail("checksum", message, Some(cure), exit::REFUSED);
            }
            None => {
                let name = sent.algorithm.name();
                let message = format!("the store took {name}, but does not name it afterwards");
                let cure = "set `transfer.checksum` to \"none\", unless it is known to compare what arrives";
                about.warn("checksum", message, Some(cure));
            }
        }
    }

    /// Whether the store keeps an object from being replaced.
    fn condition(&self, client: &mut Client, about: &mut About<'_>) {
        if self.job.object.if_exists == IfExists::Overwrite {
            return;
        }
        let step = "conditional writes";
        let unguarded = "an object that somebody else makes at the same moment would be replaced";
        match client.put_object(self.key, self.options(), true, &self.body) {
            Err(failure) if failure.http_status == Some(412) => {
                about.ok(step, "an object that is there is not replaced");
            }
            Ok(_) => about.warn(
                step,
                format!("the store does not keep to `If-None-Match`; {unguarded}"),
                None,
            ),
            Err(failure) => about.warn(step, format!("{failure}; {unguarded}"), None),
        }
    }

    /// No job deletes objects, so a refusal is as good.
    fn remove(&self, client: &mut Client, about: &mut About<'_>) {
        let key = self.key;
        let message = match client.delete_object(key) {
            Ok(()) => format!("`{key}` was removed again"),
            Err(_) => format!("`{key}` is left there: the key may not delete it, and need not"),
        };
        about.ok("test object", message);
    }
}

/// What the refusal of a PUT is about.
fn step_of(failure: &Failure) -> &'static str {
    match failure.code.as_deref() {
        Some(
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
        ) => "region",
        Some("NoSuchBucket" | "InvalidBucketName") => "bucket",
        _ => match (failure.class, failure.stage) {
            (Class::Credentials, _) => "credentials",
            (Class::Clock, _) => "clock",
            (_, Some(stage)) if failure.http_status.is_none() => stage.name(),
            _ => PUT,
        },
    }
}

/// As the job's files are sent.
struct TestBody(Hashes);

impl TestBody {
    fn of(job: &Job) -> TestBody {
        let (transfer, lock) = (&job.transfer, &job.object.object_lock);
        let wanted = Wanted::for_bodies(transfer, transfer.checksum, lock);
        TestBody(Hashes::of(wanted, CONTENT))
    }
}

impl Body for TestBody {
    fn length(&self) -> u64 {
        CONTENT.len() as u64
    }

    fn sha256(&self) -> Option<String> {
        self.0.sha256.clone()
    }

    fn checksum(&self) -> Option<&Checksum> {
        self.0.checksum.as_ref()
    }

    fn md5(&self) -> Option<&str> {
        self.0.md5.as_deref()
    }

    fn open(&self) -> Box<dyn Read + '_> {
        Box::new(CONTENT)
    }
}
