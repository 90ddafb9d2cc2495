//! What depends on more than one value: locks, checksums, keys.

use super::*;

#[test]
fn an_object_is_locked_until_a_day_a_moment_or_for_a_while() {
    let lock = |fields: &str| {
        let text = format!("\"object\": {{\"object_lock\": {{{fields}}}}}");
        format!("{:?}", job_of(&with(&text)).object.object_lock)
    };
    let cases = [
        ("", "ObjectLock { retention: None, legal_hold: false }"),
        (
            "\"legal_hold\": true",
            "ObjectLock { retention: None, legal_hold: true }",
        ),
        (
            "\"mode\": \"compliance\", \"retain_until\": \"2031-02-03\"",
            "ObjectLock { retention: Some(Retention { mode: Compliance, until: Date(2031-02-03 0:00:00.0 +00:00:00) }), legal_hold: false }",
        ),
        (
            "\"mode\": \"governance\", \"retain_until\": \"2031-02-03T04:05:06+01:00\"",
            "ObjectLock { retention: Some(Retention { mode: Governance, until: Date(2031-02-03 3:05:06.0 +00:00:00) }), legal_hold: false }",
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(lock(fields), expected);
    }
}

#[test]
fn the_automatic_checksum_is_for_aws_alone() {
    let checksum = |fields: &str| {
        let text = format!("{{\"source_path\": \"/data\", {fields}}}");
        job_of(&text).transfer.checksum
    };
    let aws = "\"host\": \"mybucket.s3.eu-west-2.amazonaws.com\"";
    let other = "\"bucket\": \"mybucket\", \"endpoint\": \"https://s3.amazonaws.com.example.com\"";
    let crc = Some(ChecksumAlgorithm::Crc64Nvme);
    let cases = [
        (aws, "", crc),
        (aws, "\"checksum\": \"auto\"", crc),
        (aws, "\"checksum\": \"none\"", None),
        (
            aws,
            "\"checksum\": \"crc32c\"",
            Some(ChecksumAlgorithm::Crc32c),
        ),
        (other, "", None),
        (other, "\"checksum\": \"auto\"", None),
        (other, "\"checksum\": \"crc64nvme\"", crc),
    ];
    for (host, fields, expected) in cases {
        let text = format!("{host}, \"transfer\": {{{fields}}}");
        assert_eq!(checksum(&text), expected, "{text}");
    }
    assert_eq!((checksum(aws), checksum(other)), (crc, None));
}

#[test]
fn a_customer_key_is_read_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, [0x80; 32]).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode;
    std::fs::set_permissions(&path, mode(0o600)).unwrap();
    let file = format!("{{\"file\": \"{}\"}}", path.display());
    let base64 = "\"gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIA=\"";
    for key in [file.as_str(), base64] {
        let object = job_of(&with(&format!("\"object\": {{\"customer_key\": {key}}}"))).object;
        let found = object.customer_key.as_ref().map(|key| *key.expose());
        assert_eq!(found, Some([0x80; 32]), "{key}");
        assert!(format!("{object:?}").contains("customer_key: Some(CustomerKey(…))"));
    }
    std::fs::set_permissions(&path, mode(0o644)).unwrap();
    let problems = problems(&with(&format!("\"object\": {{\"customer_key\": {file}}}")));
    assert!(
        problems.len() == 1 && problems[0].contains("run `chmod 600"),
        "{problems:?}"
    );
}
