//! The headers that tell S3 what an object is to be, and what S3 says an object is.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::utf8_percent_encode;
use time::OffsetDateTime;

use super::QUERY_VALUE;
use super::checksum::Checksum;
use super::failure::{Class, Failure};
use super::operation::Answer;
use crate::config::model::{
    ChecksumAlgorithm, CustomerKey, ObjectLock, ObjectOptions, RetainUntil, RetentionMode,
};
use crate::record::timestamp;

/// The user metadata that tells the object of one upload from any other.
pub(super) const TOKEN: &str = "x-amz-meta-s3ferry-token";
/// The user metadata that says what the object's bytes are.
pub(super) const SHA256: &str = "x-amz-meta-s3ferry-sha256";

/// What an object is created with.
#[derive(Debug, Clone, Copy)]
pub struct CreateOptions<'a> {
    pub object: &'a ObjectOptions,
    pub content_type: &'a str,
    /// Ours, to recognise the object again.
    pub token: Option<&'a str>,
    /// Of all its bytes, lower-case hex, to recognise them again.
    pub sha256: Option<&'a str>,
}

/// The headers of PutObject and CreateMultipartUpload.
pub(super) fn of_creation(
    options: CreateOptions<'_>,
    now: OffsetDateTime,
) -> Result<HeaderMap, Failure> {
    let object = options.object;
    let mut headers = HeaderMap::new();
    add(&mut headers, "content-type", options.content_type)?;
    for (name, value) in [
        ("cache-control", &object.cache_control),
        ("x-amz-storage-class", &object.storage_class),
        (
            "x-amz-server-side-encryption",
            &object.server_side_encryption,
        ),
        (
            "x-amz-server-side-encryption-aws-kms-key-id",
            &object.kms_key_id,
        ),
        ("x-amz-acl", &object.acl),
    ] {
        if let Some(value) = value {
            add(&mut headers, name, value)?;
        }
    }
    if let Some(wanted) = object.bucket_key {
        let name = "x-amz-server-side-encryption-bucket-key-enabled";
        add(&mut headers, name, if wanted { "true" } else { "false" })?;
    }
    if !object.tags.is_empty() {
        add(&mut headers, "x-amz-tagging", &tagging(object))?;
    }
    for (name, value) in &object.metadata {
        add(&mut headers, &format!("x-amz-meta-{name}"), value)?;
    }
    for (name, value) in [(TOKEN, options.token), (SHA256, options.sha256)] {
        if let Some(value) = value {
            add(&mut headers, name, value)?;
        }
    }
    add_lock(&mut headers, &object.object_lock, now)?;
    Ok(headers)
}

fn add_lock(
    headers: &mut HeaderMap,
    lock: &ObjectLock,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    if let Some(retention) = lock.retention {
        let mode = match retention.mode {
            RetentionMode::Governance => "GOVERNANCE",
            RetentionMode::Compliance => "COMPLIANCE",
        };
        let until = match retention.until {
            RetainUntil::Date(date) => date,
            RetainUntil::For(duration) => {
                now.saturating_add(duration.try_into().unwrap_or(time::Duration::MAX))
            }
        };
        add(headers, "x-amz-object-lock-mode", mode)?;
        let name = "x-amz-object-lock-retain-until-date";
        add(headers, name, &timestamp(until))?;
    }
    if lock.legal_hold {
        add(headers, "x-amz-object-lock-legal-hold", "ON")?;
    }
    Ok(())
}

fn tagging(object: &ObjectOptions) -> String {
    let encode = |text: &str| utf8_percent_encode(text, QUERY_VALUE).to_string();
    let pairs: Vec<String> = object
        .tags
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    pairs.join("&")
}

/// What CreateMultipartUpload says of the checksums to come.
pub(super) fn add_algorithm(
    headers: &mut HeaderMap,
    algorithm: ChecksumAlgorithm,
) -> Result<(), Failure> {
    let name = algorithm.name().to_ascii_uppercase();
    add(headers, "x-amz-checksum-algorithm", &name)?;
    add_type(headers, algorithm)
}

/// A checksum of the object, which Complete holds against what has arrived.
pub(super) fn add_checksum(headers: &mut HeaderMap, checksum: &Checksum) -> Result<(), Failure> {
    add(headers, of_checksum(checksum.algorithm), &checksum.value)?;
    add_type(headers, checksum.algorithm)
}

fn add_type(headers: &mut HeaderMap, algorithm: ChecksumAlgorithm) -> Result<(), Failure> {
    let kind = if algorithm.joins() {
        "FULL_OBJECT"
    } else {
        "COMPOSITE"
    };
    add(headers, "x-amz-checksum-type", kind)
}

/// The header that carries a checksum, in requests and answers.
pub fn of_checksum(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
        ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
        ChecksumAlgorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
    }
}

/// The checksums that an answer names.
pub(super) fn checksums(answer: &Answer) -> Vec<Checksum> {
    ChecksumAlgorithm::ALL
        .into_iter()
        .filter_map(|algorithm| {
            let value = answer.header(of_checksum(algorithm))?;
            Some(Checksum { algorithm, value })
        })
        .collect()
}

/// SSE-C: S3 forgets the key after each request.
pub(super) fn add_customer_key(headers: &mut HeaderMap, key: &CustomerKey) {
    const ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
    const KEY: &str = "x-amz-server-side-encryption-customer-key";
    const MD5: &str = "x-amz-server-side-encryption-customer-key-md5";
    headers.insert(ALGORITHM, HeaderValue::from_static("AES256"));
    let sent: [(&'static str, &[u8]); 2] =
        [(KEY, key.expose()), (MD5, &md5::compute(key.expose()).0)];
    for (name, bytes) in sent {
        // Base64 is always a header's value.
        if let Ok(mut value) = HeaderValue::from_str(&BASE64_STANDARD.encode(bytes)) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
}

pub(super) fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Failure> {
    let name = HeaderName::try_from(name).map_err(unusable)?;
    headers.insert(name, HeaderValue::from_str(value).map_err(unusable)?);
    Ok(())
}

fn unusable(error: impl ToString) -> Failure {
    Failure {
        hint: Some("correct the value under `object`: a header takes printable ASCII only"),
        ..Failure::new(Class::Blocked, "PutObject", error.to_string())
    }
}
