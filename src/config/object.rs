//! What every object gets: `object`.

use std::collections::BTreeMap;

use super::fields::{Field, Reported};
use super::model::{CustomerKey, IfExists, ObjectLock, ObjectOptions};
use super::secrets::Kind;
use super::section::Section;
use super::wording::quoted;
use super::{customer_key, object_lock};

pub(super) const OBJECT_KEYS: &[&str] = &[
    "storage_class",
    "server_side_encryption",
    "kms_key_id",
    "bucket_key",
    "customer_key",
    "tags",
    "metadata",
    "content_type",
    "cache_control",
    "acl",
    "object_lock",
    "expected_bucket_owner",
    "if_exists",
];

const STORAGE_CLASSES: &[&str] = &[
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
    "REDUCED_REDUNDANCY",
    "EXPRESS_ONEZONE",
    "OUTPOSTS",
];

const ENCRYPTIONS: &[&str] = &["AES256", "aws:kms", "aws:kms:dsse"];

const ACLS: &[&str] = &[
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];

const TAG_LIMIT: usize = 10;

/// S3 keeps 2048 bytes, names and values together; the rest is for the token by
/// which s3ferry knows its own uploads again.
const METADATA_LIMIT: usize = 2048 - 128;

/// `tls` is `None` where the destination is wrong.
pub(super) fn read(field: &Field<'_>, tls: Option<bool>) -> Result<ObjectOptions, Reported> {
    let section = field.section(&[OBJECT_KEYS])?;
    let storage_class = section.optional("storage_class", |f| word(f, STORAGE_CLASSES));
    let encryption = section.optional("server_side_encryption", |f| word(f, ENCRYPTIONS));
    let kms_key_id = kms_key_id(&section, encryption.as_ref().ok());
    let bucket_key = bucket_key(&section, encryption.as_ref().ok());
    let customer_key = customer_key(&section, tls);
    let tags = section.read("tags", BTreeMap::new(), tags);
    let metadata = section.read("metadata", BTreeMap::new(), metadata);
    let content_type = section.read("content_type", None, content_type);
    let cache_control = section.optional("cache_control", cache_control);
    let acl = section.optional("acl", |f| word(f, ACLS));
    let object_lock = section.read("object_lock", ObjectLock::default(), object_lock::read);
    let owner = section.optional("expected_bucket_owner", account);
    let if_exists = section.read("if_exists", IfExists::default(), if_exists);
    Ok(ObjectOptions {
        storage_class: storage_class?,
        server_side_encryption: encryption?,
        kms_key_id: kms_key_id?,
        bucket_key: bucket_key?,
        customer_key: customer_key?,
        tags: tags?,
        metadata: metadata?,
        content_type: content_type?,
        cache_control: cache_control?,
        acl: acl?,
        object_lock: object_lock?,
        expected_bucket_owner: owner?,
        if_exists: if_exists?,
    })
}

fn word(field: &Field<'_>, known: &[&str]) -> Result<String, Reported> {
    Ok(known[field.choice(known)?].to_string())
}

fn if_exists(field: &Field<'_>) -> Result<IfExists, Reported> {
    let known = [
        IfExists::Overwrite,
        IfExists::Skip,
        IfExists::Fail,
        IfExists::Rename,
    ];
    Ok(known[field.choice(&["overwrite", "skip", "fail", "rename"])?])
}

fn customer_key(section: &Section<'_>, tls: Option<bool>) -> Result<Option<CustomerKey>, Reported> {
    let Some(field) = section.get("customer_key") else {
        return Ok(None);
    };
    let key = customer_key::read(&field)?;
    if section.get("server_side_encryption").is_some() {
        return Err(field.problem("excludes `server_side_encryption`; keep one of the two"));
    }
    if tls == Some(false) {
        return Err(field.problem("goes with every request and needs TLS to stay secret; use TLS"));
    }
    Ok(Some(key))
}

/// `encryption` is `None` where its own value is wrong.
fn bucket_key(
    section: &Section<'_>,
    encryption: Option<&Option<String>>,
) -> Result<Option<bool>, Reported> {
    let Some(field) = section.get("bucket_key") else {
        return Ok(None);
    };
    let wanted = field.boolean()?;
    if encryption.is_some_and(|encryption| encryption.as_deref() != Some("aws:kms")) {
        return Err(field.problem(
            "has no effect without `\"server_side_encryption\": \"aws:kms\"`; add that, or leave it out",
        ));
    }
    Ok(Some(wanted))
}

fn cache_control(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.text()?;
    if is_header_value(text) {
        return Ok(text.to_string());
    }
    Err(field.problem(format!(
        "{} is no value of a header; write it like `max-age=3600`",
        quoted(text)
    )))
}

/// `encryption` is `None` where its own value is wrong.
fn kms_key_id(
    section: &Section<'_>,
    encryption: Option<&Option<String>>,
) -> Result<Option<String>, Reported> {
    let Some(field) = section.get("kms_key_id") else {
        return Ok(None);
    };
    let text = field.resolved(Kind::Id)?;
    if text.value.is_empty() || !text.value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(field.problem(format!(
            "{} is no key's id, ARN or alias; copy it anew",
            text.shown()
        )));
    }
    let with_kms = |encryption: &Option<String>| {
        encryption
            .as_ref()
            .is_some_and(|name| name.starts_with("aws:kms"))
    };
    if encryption.is_some_and(|encryption| !with_kms(encryption)) {
        return Err(field.problem(
            "has no effect without `\"server_side_encryption\": \"aws:kms\"`; add that, or leave it out",
        ));
    }
    Ok(Some(text.value))
}

fn account(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.resolved(Kind::Id)?;
    if text.value.len() == 12 && text.value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.value);
    }
    Err(field.problem(format!(
        "{} is no AWS account; give its twelve digits",
        text.shown()
    )))
}

fn content_type(field: &Field<'_>) -> Result<Option<String>, Reported> {
    let text = field.text()?;
    if text == "auto" {
        return Ok(None);
    }
    let name = text.split(';').next().unwrap_or("").trim_end();
    let halves = name.split_once('/').is_some_and(|(kind, subtype)| {
        [kind, subtype]
            .iter()
            .all(|half| !half.is_empty() && half.bytes().all(is_token))
    });
    if halves && is_header_value(text) {
        return Ok(Some(text.to_string()));
    }
    Err(field.problem(format!(
        "{} is no content type; write it like `application/zip`, or `auto`",
        quoted(text)
    )))
}

fn tags(field: &Field<'_>) -> Result<BTreeMap<String, String>, Reported> {
    let entries = field.entries()?;
    let mut result = Ok(());
    if entries.len() > TAG_LIMIT {
        result = Err(field.problem(format!(
            "{} tags are too many; an object has room for {TAG_LIMIT}",
            entries.len()
        )));
    }
    let mut tags = BTreeMap::new();
    for (key, field) in entries {
        match tag(key, &field) {
            Ok(value) => drop(tags.insert(key.to_string(), value)),
            Err(reported) => result = Err(reported),
        }
    }
    result.map(|()| tags)
}

fn tag(key: &str, field: &Field<'_>) -> Result<String, Reported> {
    let allowed = |c: char| c.is_alphanumeric() || " +-=._:/@".contains(c);
    let value = field.text()?;
    let cause = if key.is_empty() || key.chars().count() > 128 {
        "the tag's key is empty or too long; it has 1 to 128 characters"
    } else if value.chars().count() > 256 {
        "the tag's value is too long; it has up to 256 characters"
    } else if key.starts_with("aws:") {
        "keys that begin with `aws:` belong to AWS; choose another"
    } else if !key.chars().chain(value.chars()).all(allowed) {
        "S3 takes letters, digits, spaces and `+ - = . _ : / @` in a tag; leave others out"
    } else {
        return Ok(value.to_string());
    };
    Err(field.problem(cause))
}

fn metadata(field: &Field<'_>) -> Result<BTreeMap<String, String>, Reported> {
    let mut metadata = BTreeMap::new();
    let mut result = Ok(());
    for (name, field) in field.entries()? {
        let entry = metadata_value(name, &field).and_then(|value| {
            match metadata.insert(name.to_ascii_lowercase(), value) {
                None => Ok(()),
                Some(_) => Err(field.problem("is given twice, once in upper case; keep one")),
            }
        });
        result = result.and(entry);
    }
    let bytes: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > METADATA_LIMIT {
        return Err(field.problem(format!(
            "{bytes} bytes are too many; there is room for {METADATA_LIMIT}, names and values together"
        )));
    }
    result.map(|()| metadata)
}

fn metadata_value(name: &str, field: &Field<'_>) -> Result<String, Reported> {
    let value = field.text()?;
    let lower = name.to_ascii_lowercase();
    let cause = if lower.starts_with("x-amz-meta-") {
        "leave out `x-amz-meta-`; it is put before every name"
    } else if lower.starts_with("s3ferry") {
        "names that begin with `s3ferry` are taken; choose another"
    } else if name.is_empty() || !name.bytes().all(is_token) {
        "the name stands in a header; use letters, digits, `-` and `_`"
    } else if !is_header_value(value) {
        "the value stands in a header; use visible ASCII with single spaces between words"
    } else {
        return Ok(value.to_string());
    };
    Err(field.problem(cause))
}

/// Of a header's name.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Doubled spaces and spaces at the edges are not what a signature is made over.
fn is_header_value(value: &str) -> bool {
    value
        .split(' ')
        .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic()))
}
