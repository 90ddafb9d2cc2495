//! What a failure means under the settings of one job: the cures that the table of errors, which
//! knows no settings, cannot name.

use super::failure::{Failure, NOT_S3, PERMISSION, SETTING};
use crate::config::model::{
    Addressing, Destination, IfExists, Job, ObjectOptions, RegionRule, TransferOptions,
};

const PUT: &str = "s3:PutObject";
const GENERATE: &str = "kms:GenerateDataKey";
const DECRYPT: &str = "kms:Decrypt";
const CHECKSUM: &str = "transfer.checksum";

/// Under `overwrite` no request carries a condition.
const NO_CONDITION: &str = "s3ferry sends no condition under `overwrite`: see what asks for one, a \
     rule of the bucket or something on the way to the store";
const OWN_CA: &str = "let `tls_options.ca_file` hold the CA that signed the server's certificate; \
     where a CA in between signed it, let the server send that one's certificate as well, or add it to \
     the file";

/// What is known of a job before its first request.
#[derive(Debug)]
pub(super) struct Advice {
    configured: Destination,
    /// Beside `s3:PutObject`, to make an object.
    permissions: Vec<&'static str>,
    /// Objects are encrypted with a key of KMS.
    kms: bool,
    /// The keys of the settings that go with the creation of an object.
    settings: Vec<&'static str>,
    customer_key: bool,
    checksum: bool,
    conditions: bool,
    ca_file: bool,
}

impl Advice {
    pub fn of(job: &Job) -> Advice {
        let object = &job.object;
        let sse = object.server_side_encryption.as_deref();
        Advice {
            configured: job.destination.clone(),
            permissions: permissions(object),
            kms: sse.is_some_and(|sse| sse.starts_with("aws:kms")),
            settings: settings(object, &job.transfer),
            customer_key: object.customer_key.is_some(),
            checksum: job.transfer.checksum.is_some(),
            conditions: object.if_exists != IfExists::Overwrite,
            ca_file: job.tls.ca_file.is_some(),
        }
    }

    /// The same failure, with what these settings have to do with it. `place`: where the request
    /// went.
    pub fn on(&self, failure: Failure, place: &Destination) -> Failure {
        let advice = match (failure.hint, failure.code.as_deref()) {
            (Some(PERMISSION), _) => self.permission(&failure),
            (Some(SETTING), _) => Some(self.setting(&failure)),
            (_, Some("HostNotFound")) => self.host(place),
            (_, Some("CertificateUnknownIssuer")) if self.ca_file => Some(OWN_CA.to_owned()),
            _ => None,
        };
        let hint = match failure.http_status {
            Some(412) if !self.conditions => Some(NO_CONDITION),
            _ => failure.hint,
        };
        let message = match hint {
            Some(NOT_S3) => format!("{}: {}", address(place), failure.message),
            _ => failure.message,
        };
        Failure {
            message,
            hint,
            advice,
            ..failure
        }
    }

    /// `None`: what the table says is all there is to say.
    fn permission(&self, failure: &Failure) -> Option<String> {
        let named = actions_in(&failure.message);
        let needed = self.needed(failure.operation);
        let others: Vec<&str> = (needed.into_iter())
            .filter(|action| !named.iter().any(|known| known == action))
            .collect();
        if named.iter().chain(&others).eq([&PUT]) {
            return None;
        }
        let allow = if named.is_empty() {
            format!("allow {} to the key", places_of(&others))
        } else if others.is_empty() {
            format!("allow {} to the key, as the answer says", places_of(&named))
        } else {
            format!(
                "allow {} to the key, as the answer says, and for the job's settings {}",
                places_of(&named),
                places_of(&others)
            )
        };
        Some(format!("{allow}; check the bucket policy, too"))
    }

    fn needed(&self, operation: &str) -> Vec<&'static str> {
        let (key, use_of_key): (&[&str], &[&str]) = if self.kms {
            (&[GENERATE, DECRYPT], &[DECRYPT])
        } else {
            (&[], &[])
        };
        match operation {
            "PutObject" | "CreateMultipartUpload" => [&[PUT], &*self.permissions, key].concat(),
            "UploadPart" | "CompleteMultipartUpload" => [&[PUT], key].concat(),
            "HeadObject" => [&["s3:GetObject"], use_of_key].concat(),
            "ListParts" => vec!["s3:ListMultipartUploadParts"],
            "AbortMultipartUpload" => vec!["s3:AbortMultipartUpload"],
            "ListMultipartUploads" => vec!["s3:ListBucketMultipartUploads"],
            "DeleteObject" => vec!["s3:DeleteObject"],
            _ => vec![PUT],
        }
    }

    fn setting(&self, failure: &Failure) -> String {
        let mut keys: Vec<&str> = match failure.operation {
            "PutObject" | "CreateMultipartUpload" => self.settings.clone(),
            "UploadPart" | "CompleteMultipartUpload" if self.customer_key => {
                vec!["object.customer_key"]
            }
            _ => Vec::new(),
        };
        let with_body = ["PutObject", "CreateMultipartUpload", "UploadPart"];
        let joins = failure.operation == "CompleteMultipartUpload";
        if self.checksum && (joins || with_body.contains(&failure.operation)) {
            keys.push(CHECKSUM);
        }
        if self.conditions && (joins || failure.operation == "PutObject") {
            keys.push("object.if_exists");
        }
        if self.checksum && failure.message.to_ascii_lowercase().contains("checksum") {
            keys = vec![CHECKSUM];
        }
        match keys.as_slice() {
            [] => "no setting asks for it: see whether `host` or `endpoint` leads to a store that knows this request, and what stands between".to_owned(),
            [CHECKSUM] => "the store does not accept the checksum: set `transfer.checksum` to \"none\", or to another one".to_owned(),
            [one] => format!("the store does not accept `{one}`; correct or remove it"),
            several => format!(
                "the store does not accept one of {}; correct or remove it",
                listed(several)
            ),
        }
    }

    fn host(&self, place: &Destination) -> Option<String> {
        let host = place.request_host();
        if self.configured.is_aws() {
            return Some(match self.configured.region_rule {
                RegionRule::Derived(_) => format!(
                    "correct `region`: the host is made of it and of `bucket`, and `{host}` is the one of `{}`; or check the DNS server",
                    place.region
                ),
                _ => "check `host` or `endpoint`, or the ARN in `bucket`, for a typing error, in the region as well; and the DNS server".to_owned(),
            });
        }
        (place.addressing == Addressing::VirtualHost).then(|| {
            format!(
                "set `addressing` to `path` if the store has no names for its buckets: `{host}` is bucket and host; or check `host` or `endpoint` for a typing error, and the DNS server"
            )
        })
    }
}

/// `host:port` as it is asked for.
pub(super) fn address(place: &Destination) -> String {
    format!("{}:{}", place.request_host(), place.port)
}

fn permissions(object: &ObjectOptions) -> Vec<&'static str> {
    let lock = &object.object_lock;
    [
        (!object.tags.is_empty(), "s3:PutObjectTagging"),
        (object.acl.is_some(), "s3:PutObjectAcl"),
        (lock.retention.is_some(), "s3:PutObjectRetention"),
        (lock.legal_hold, "s3:PutObjectLegalHold"),
    ]
    .into_iter()
    .filter_map(|(is_set, action)| is_set.then_some(action))
    .collect()
}

fn settings(object: &ObjectOptions, transfer: &TransferOptions) -> Vec<&'static str> {
    [
        (object.storage_class.is_some(), "object.storage_class"),
        (
            object.server_side_encryption.is_some(),
            "object.server_side_encryption",
        ),
        (object.kms_key_id.is_some(), "object.kms_key_id"),
        (object.bucket_key.is_some(), "object.bucket_key"),
        (object.customer_key.is_some(), "object.customer_key"),
        (!object.tags.is_empty(), "object.tags"),
        (!object.metadata.is_empty(), "object.metadata"),
        (object.content_type.is_some(), "object.content_type"),
        (object.cache_control.is_some(), "object.cache_control"),
        (object.acl.is_some(), "object.acl"),
        (object.object_lock.is_set(), "object.object_lock"),
        (
            object.expected_bucket_owner.is_some(),
            "object.expected_bucket_owner",
        ),
        (!transfer.signed_payload, "transfer.signed_payload"),
    ]
    .into_iter()
    .filter_map(|(is_set, key)| is_set.then_some(key))
    .collect()
}

/// The actions of IAM that a refusal names: `… is not authorized to perform: s3:PutObjectAcl on …`.
fn actions_in(message: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let is_other = |c: char| !c.is_ascii_alphanumeric() && c != ':';
    for word in message.split(is_other) {
        let action = word.strip_prefix("s3:").or(word.strip_prefix("kms:"));
        let is_action = action.is_some_and(|action| {
            action.starts_with(|c: char| c.is_ascii_uppercase()) && !action.contains(':')
        });
        if is_action && !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

/// The actions, each kind with what it is allowed on.
fn places_of(actions: &[&str]) -> String {
    let (kms, s3): (Vec<&str>, Vec<&str>) =
        (actions.iter()).partition(|action| action.starts_with("kms:"));
    let on = |actions: &[&str], place: &str| {
        (!actions.is_empty()).then(|| format!("{} on {place}", listed(actions)))
    };
    let places = [
        on(&s3, "this bucket and prefix"),
        on(&kms, "the encryption key"),
    ];
    let places: Vec<String> = places.into_iter().flatten().collect();
    places.join(" and ")
}

/// `` `a`, `b` and `c` ``
fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => quoted.concat(),
    }
}
