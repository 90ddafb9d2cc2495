//! The two larger groups of a job: `object` and `transfer`.

use super::*;

#[test]
fn a_wrong_object_option_is_told_with_its_cure() {
    let eleven: String = (0..11).map(|n| format!("\"{n}\": \"\",")).collect();
    let eleven = format!("\"tags\": §{{{eleven}}}");
    let long = format!("\"tags\": {{\"{}\": §\"\"}}", "k".repeat(129));
    let long_value = format!("\"tags\": {{\"k\": §\"{}\"}}", "v".repeat(257));
    let big = format!("\"metadata\": §{{\"k\": \"{}\"}}", "v".repeat(1920));
    let cases: &[(&str, &str)] = &[
        (
            "\"storage_class\": §\"standard_ia\"",
            "§: object.storage_class: `standard_ia` is not known here; did you mean `STANDARD_IA`?",
        ),
        (
            "\"server_side_encryption\": §\"aes-256\"",
            "§: object.server_side_encryption: `aes-256` is not known here; did you mean `AES256`?",
        ),
        (
            "\"kms_key_id\": §\"k\"",
            "§: object.kms_key_id: has no effect without `\"server_side_encryption\": \"aws:kms\"`; add that, or leave it out",
        ),
        (
            "\"server_side_encryption\": \"aws:kms\", \"kms_key_id\": §\"a b\"",
            "§: object.kms_key_id: `a b` is no key's id, ARN or alias; copy it anew",
        ),
        (
            "\"bucket_key\": §true",
            "§: object.bucket_key: has no effect without `\"server_side_encryption\": \"aws:kms\"`; add that, or leave it out",
        ),
        (
            "\"server_side_encryption\": \"aws:kms:dsse\", \"bucket_key\": §false",
            "§: object.bucket_key: has no effect without `\"server_side_encryption\": \"aws:kms\"`; add that, or leave it out",
        ),
        (
            "\"customer_key\": §\"hunter2\"",
            "§: object.customer_key: the key has 7 bytes; give 32, as they are or in base64: `openssl rand -base64 32` makes some",
        ),
        (
            "\"server_side_encryption\": \"AES256\", \"customer_key\": §\"12345678901234567890123456789012\"",
            "§: object.customer_key: excludes `server_side_encryption`; keep one of the two",
        ),
        (
            "\"cache_control\": §\"a\\tb\"",
            "§: object.cache_control: `a\\tb` is no value of a header; write it like `max-age=3600`",
        ),
        (
            "\"object_lock\": §{\"mode\": \"compliance\"}",
            "§: object.object_lock.retain_for: is missing; say how long, or with `retain_until` until when",
        ),
        (
            "\"object_lock\": §{\"retain_for\": \"1d\"}",
            "§: object.object_lock.mode: is missing; choose `governance` or `compliance`",
        ),
        (
            "\"object_lock\": {\"mode\": §\"GOVERNANCE\", \"retain_for\": \"1d\"}",
            "§: object.object_lock.mode: `GOVERNANCE` is not known here; did you mean `governance`?",
        ),
        (
            "\"object_lock\": {\"mode\": \"governance\", \"retain_for\": §\"1d\", \"retain_until\": \"2031-01-01\"}",
            "§: object.object_lock.retain_for: excludes `retain_until`; keep one",
        ),
        (
            "\"object_lock\": {\"mode\": \"governance\", \"retain_for\": §\"1s\"}",
            "§: object.object_lock.retain_for: `1s` is out of range; give 1m to 36500d",
        ),
        (
            "\"object_lock\": {\"mode\": \"governance\", \"retain_until\": §\"tomorrow\"}",
            "§: object.object_lock.retain_until: `tomorrow` is no date; write it like `2031-12-31` or `2031-12-31T12:00:00Z`",
        ),
        (
            "\"if_exists\": §\"overwrit\"",
            "§: object.if_exists: `overwrit` is not known here; did you mean `overwrite`?",
        ),
        (
            &eleven,
            "§: object.tags: 11 tags are too many; an object has room for 10",
        ),
        (
            &long,
            &format!(
                "§: object.tags.{}…: the tag's key is empty or too long; it has 1 to 128 characters",
                "k".repeat(80)
            ),
        ),
        (
            &long_value,
            "§: object.tags.k: the tag's value is too long; it has up to 256 characters",
        ),
        (
            "\"tags\": {\"aws:x\": §\"\"}",
            "§: object.tags[\"aws:x\"]: keys that begin with `aws:` belong to AWS; choose another",
        ),
        (
            "\"tags\": {\"k\": §\"a&b\"}",
            "§: object.tags.k: S3 takes letters, digits, spaces and `+ - = . _ : / @` in a tag; leave others out",
        ),
        (
            "\"metadata\": {\"x-amz-meta-a\": §\"b\"}",
            "§: object.metadata.x-amz-meta-a: leave out `x-amz-meta-`; it is put before every name",
        ),
        (
            "\"metadata\": {\"S3ferry-id\": §\"b\"}",
            "§: object.metadata.S3ferry-id: names that begin with `s3ferry` are taken; choose another",
        ),
        (
            "\"metadata\": {\"a b\": §\"b\"}",
            "§: object.metadata[\"a b\"]: the name stands in a header; use letters, digits, `-` and `_`",
        ),
        (
            "\"metadata\": {\"a\": §\"b  c\"}",
            "§: object.metadata.a: the value stands in a header; use visible ASCII with single spaces between words",
        ),
        (
            "\"metadata\": {\"a\": §\"é\"}",
            "§: object.metadata.a: the value stands in a header; use visible ASCII with single spaces between words",
        ),
        (
            "\"metadata\": {\"a\": \"b\", \"A\": §\"c\"}",
            "§: object.metadata.A: is given twice, once in upper case; keep one",
        ),
        (
            &big,
            "§: object.metadata: 1921 bytes are too many; there is room for 1920, names and values together",
        ),
        (
            "\"content_type\": §\"zip\"",
            "§: object.content_type: `zip` is no content type; write it like `application/zip`, or `auto`",
        ),
        (
            "\"content_type\": §\"a/b\\r\\nX: y\"",
            "§: object.content_type: `a/b\\r\\nX: y` is no content type; write it like `application/zip`, or `auto`",
        ),
        (
            "\"acl\": §\"public\"",
            "§: object.acl: `public` is not known here; use `private`, `public-read`, `public-read-write`, `authenticated-read`, `aws-exec-read`, `bucket-owner-read` or `bucket-owner-full-control`",
        ),
        (
            "\"expected_bucket_owner\": §\"12345678901\"",
            "§: object.expected_bucket_owner: `12345678901` is no AWS account; give its twelve digits",
        ),
    ];
    for (fields, expected) in cases {
        check(&with(&format!("\"object\": {{{fields}}}")), &[expected]);
    }
}

#[test]
fn a_wrong_transfer_option_is_told_with_its_cure() {
    let cases: &[(&str, &str)] = &[
        (
            "\"multipart_threshold\": §\"6GiB\"",
            "§: transfer.multipart_threshold: `6GiB` is out of range; give 0 to 5GiB, as S3 takes no larger file in one piece",
        ),
        (
            "\"multipart_threshold\": §-1",
            "§: transfer.multipart_threshold: `-1` is out of range; give 0 to 5GiB, as S3 takes no larger file in one piece",
        ),
        (
            "\"part_size\": §\"5MB\"",
            "§: transfer.part_size: `5MB` is out of range; give 5MiB to 5GiB, or `auto`",
        ),
        (
            "\"part_size\": §\"6GiB\"",
            "§: transfer.part_size: `6GiB` is out of range; give 5MiB to 5GiB, or `auto`",
        ),
        (
            "\"payload\": §\"none\"",
            "§: transfer.payload: `none` is not known here; use `signed` or `unsigned`",
        ),
        (
            "\"checksum\": §\"CRC64NVME\"",
            "§: transfer.checksum: `CRC64NVME` is not known here; did you mean `crc64nvme`?",
        ),
        (
            "\"checksum\": §\"md5\"",
            "§: transfer.checksum: `md5` is not known here; use `auto`, `none`, `crc32`, `crc32c`, `crc64nvme` or `sha256`",
        ),
        (
            "\"verify\": §\"alway\"",
            "§: transfer.verify: `alway` is not known here; did you mean `always`?",
        ),
        (
            "\"bandwidth_limit\": §\"1023B/s\"",
            "§: transfer.bandwidth_limit: `1023B/s` is out of range; give 1KiB/s or more",
        ),
        (
            "\"bandwidth_limit\": §\"1MB\"",
            "§: transfer.bandwidth_limit: `1MB` is not a rate; write for example `500KiB/s`",
        ),
        (
            "\"bandwidth_limit\": §\"1KiB/s\"",
            "§: transfer.bandwidth_limit: is not above `minimum_rate`, so that every upload would count as too slow; raise it, or lower `minimum_rate`",
        ),
        (
            "\"minimum_rate\": §\"slow\"",
            "§: transfer.minimum_rate: `slow` is not a rate; write for example `500KiB/s`",
        ),
    ];
    for (fields, expected) in cases {
        check(&with(&format!("\"transfer\": {{{fields}}}")), &[expected]);
    }
    check(
        &with("\"tls\": false, \"transfer\": {\"payload\": \"unsigned\"}"),
        &["2:39: transfer.payload: `unsigned` needs TLS to protect the content; use `signed`"],
    );
    check(
        &with(
            "\"tls\": false, \"object\": {\"customer_key\": §\"12345678901234567890123456789012\"}",
        ),
        &["§: object.customer_key: goes with every request and needs TLS to stay secret; use TLS"],
    );
}
