//! Each request that the job will send, tried with a small object under its prefix.
//!
//! `s3:PutObject` is all that uploads need. What else is refused makes a warning, which says what
//! goes without it, unless the job's own settings depend on it.

mod parts;

use std::io::Read;

use super::report::About;
use crate::cli::{code_of, exit};
use crate::config::Config;
use crate::config::model::{IfExists, Job, ObjectLock, ObjectOptions, Verify};
use crate::naming::ObjectKey;
use crate::s3::checksum::Checksum;
use crate::s3::{Body, Class, Client, CreateOptions, Failure, Receipt};
use crate::transport::Stage;
use crate::upload::hash::{Hashes, Wanted};

/// What the test object holds.
const CONTENT: &[u8] = b"s3ferry check\n";
/// Its name, below the job's prefix.
const NAME: &str = ".s3ferry-check";

const PUT: &str = "s3:PutObject";
const GET: &str = "s3:GetObject";

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
    let may_look = trial.head(client, about);
    trial.checksum(client, &receipt, about);
    trial.condition(client, may_look, about);
    trial.in_parts(client, may_look, about);
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

    /// Whether the job's requests carry a condition.
    fn is_conditional(&self) -> bool {
        self.job.object.if_exists != IfExists::Overwrite
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

    /// Whether the object may be looked at.
    fn head(&self, client: &mut Client, about: &mut About<'_>) -> bool {
        let failure = match client.head_object(self.key) {
            Ok(Some(object)) if object.size == Some(CONTENT.len() as u64) => {
                about.ok(GET, "the object can be looked at, and is whole");
                return true;
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
                return true;
            }
            Err(failure) => failure,
        };
        if self.job.transfer.verify == Verify::Always {
            let cure =
                "allow `s3:GetObject` below the prefix, or set `transfer.verify` to \"auto\"";
            let cure = cure_of(&failure, cure);
            about.fail(GET, failure.to_string(), cure, code_of(&failure));
        } else {
            let without = match self.job.object.if_exists {
                IfExists::Overwrite => {
                    "where the answer to a large file's last request is lost, the file is sent again"
                }
                _ => {
                    "an object that is there is noticed only after the file has been sent, and never known for ours"
                }
            };
            let cure = cure_of(&failure, "allow `s3:GetObject` below the prefix");
            about.warn(GET, shortfall(&failure, without), cure);
        }
        false
    }

    /// Whether the store keeps the checksum that it was sent, so that it can be compared later.
    fn checksum(&self, client: &mut Client, receipt: &Receipt, about: &mut About<'_>) {
        let Some(sent) = self.body.checksum() else {
            return;
        };
        let kept = match receipt.checksum(sent.algorithm) {
            Some(kept) => Some(kept.clone()),
            None => match client.head_object_with_checksums(self.key) {
                Ok(object) => {
                    object.and_then(|object| object.receipt.checksum(sent.algorithm).cloned())
                }
                Err(failure) => {
                    let message = format!("{failure}; whether the store keeps it, does not show");
                    return about.warn("checksum", message, failure.cure());
                }
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

    /// Whether the store keeps an object from being replaced. Where it does not know the condition,
    /// the job goes by a look at the object alone.
    fn condition(&self, client: &mut Client, may_look: bool, about: &mut About<'_>) {
        if !self.is_conditional() {
            return;
        }
        let step = "conditional writes";
        match client.put_object(self.key, self.options(), true, &self.body) {
            Ok(_) => about.warn(step, IGNORED, Some(ALONE)),
            Err(failure) if failure.http_status == Some(412) => {
                about.ok(step, "an object that is there is not replaced");
            }
            Err(failure) if failure.is_not_implemented() && may_look => {
                about.warn(step, format!("{failure}; {UNGUARDED}"), Some(ALONE));
            }
            Err(failure) if failure.is_not_implemented() => {
                about.fail(
                    step,
                    format!("{failure}; {UNSEEN}"),
                    Some(LOOK),
                    exit::REFUSED,
                );
            }
            Err(failure) if failure.class.is_temporary() => {
                about.warn(step, shortfall(&failure, UNGUARDED), failure.cure());
            }
            Err(failure) => about.fail_by(step, &failure),
        }
    }

    /// No job deletes objects, so a refusal is as good.
    fn remove(&self, client: &mut Client, about: &mut About<'_>) {
        let (step, key) = ("test object", self.key);
        match client.delete_object(key) {
            Ok(()) => about.ok(step, format!("`{key}` was removed again")),
            Err(failure) if is_refused(&failure) => {
                let message =
                    format!("`{key}` is left there: the key may not delete it, and need not");
                about.ok(step, message);
            }
            Err(failure) => {
                let message = format!("{failure}; `{key}` may be left there");
                about.warn(step, message, failure.cure());
            }
        }
    }
}

const UNGUARDED: &str = "an object that somebody else makes at the same moment would be replaced";
const IGNORED: &str = "the store does not keep to `If-None-Match`; an object that somebody else makes \
     at the same moment would be replaced";
const ALONE: &str = "see that nobody else writes below the prefix while files are sent, or take a \
     store that knows `If-None-Match`";

const UNSEEN: &str = "without a look at the object nothing is sent";
const LOOK: &str =
    "allow `s3:GetObject` below the prefix, or set `object.if_exists` to \"overwrite\"";

/// Whether the key may not do this, by the store's word.
fn is_refused(failure: &Failure) -> bool {
    failure.class == Class::Blocked && matches!(failure.http_status, Some(401 | 403))
}

/// `permission`, if that is what was missing; else what helps with such a failure.
fn cure_of<'a>(failure: &'a Failure, permission: &'a str) -> Option<&'a str> {
    if is_refused(failure) {
        Some(permission)
    } else {
        failure.cure()
    }
}

/// What goes without a request that failed; nothing is known where it may work the next time.
fn shortfall(failure: &Failure, without: &str) -> String {
    if failure.class.is_temporary() {
        format!("{failure}; whether this works otherwise, does not show")
    } else {
        format!("{failure}; {without}")
    }
}

/// What the refusal of a PUT is about.
fn step_of(failure: &Failure) -> &'static str {
    match failure.code.as_deref() {
        Some("NotS3") => Stage::Exchange.name(),
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
