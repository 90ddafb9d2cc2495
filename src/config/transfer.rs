//! How bytes travel: `transfer`.

use super::fields::{Field, Reported};
use super::model::{TransferOptions, Verify};
use super::section::Section;
use super::wording::unavailable;

pub(super) const TRANSFER_KEYS: &[&str] = &[
    "multipart_threshold",
    "part_size",
    "payload",
    "checksum",
    "verify",
    "bandwidth_limit",
    "minimum_rate",
];

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Where the file says nothing.
pub(super) const DEFAULTS: TransferOptions = TransferOptions {
    multipart_threshold: 64 * MIB,
    part_size: None,
    signed_payload: true,
    verify: Verify::Auto,
    bandwidth_limit: None,
    minimum_rate: KIB,
};

/// `tls` is `None` where the destination itself is wrong.
pub(super) fn read(field: &Field<'_>, tls: Option<bool>) -> Result<TransferOptions, Reported> {
    let section = field.section(&[TRANSFER_KEYS])?;
    let multipart_threshold = section.read(
        "multipart_threshold",
        DEFAULTS.multipart_threshold,
        |field| {
            field.size(
                0..=5 * GIB,
                "0 to 5GiB, as S3 takes no larger file in one piece",
            )
        },
    );
    let part_size = section.read("part_size", None, part_size);
    let signed_payload = section.read("payload", true, |field| payload(field, tls));
    let checksum = section.read("checksum", (), checksum);
    let verify = section.read("verify", Verify::Auto, |field| {
        let known = [Verify::Auto, Verify::Always, Verify::Never];
        Ok(known[field.choice(&["auto", "always", "never"])?])
    });
    let minimum_rate = section.read("minimum_rate", DEFAULTS.minimum_rate, |field| {
        field.rate(0..=u64::MAX, "0 or more")
    });
    let bandwidth_limit = bandwidth_limit(&section, minimum_rate);
    checksum?;
    Ok(TransferOptions {
        multipart_threshold: multipart_threshold?,
        part_size: part_size?,
        signed_payload: signed_payload?,
        verify: verify?,
        bandwidth_limit: bandwidth_limit?,
        minimum_rate: minimum_rate?,
    })
}

fn part_size(field: &Field<'_>) -> Result<Option<u64>, Reported> {
    if field.as_text() == Some("auto") {
        return Ok(None);
    }
    field
        .size(5 * MIB..=5 * GIB, "5MiB to 5GiB, or `auto`")
        .map(Some)
}

fn payload(field: &Field<'_>, tls: Option<bool>) -> Result<bool, Reported> {
    let signed = field.choice(&["signed", "unsigned"])? == 0;
    if !signed && tls == Some(false) {
        return Err(field.problem("`unsigned` needs TLS to protect the content; use `signed`"));
    }
    Ok(signed)
}

/// Both words come to the same: the hash of a signed payload, and no header more.
fn checksum(field: &Field<'_>) -> Result<(), Reported> {
    let algorithms = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256", "md5"];
    let text = field.as_text().unwrap_or_default();
    if algorithms.contains(&text.to_ascii_lowercase().as_str()) {
        return Err(field.problem(unavailable(text, "use `auto` or `none`")));
    }
    field.choice(&["auto", "none"]).map(|_| ())
}

fn bandwidth_limit(
    section: &Section<'_>,
    minimum_rate: Result<u64, Reported>,
) -> Result<Option<u64>, Reported> {
    let Some(field) = section.get("bandwidth_limit") else {
        return Ok(None);
    };
    let limit = field.rate(KIB..=u64::MAX, "1KiB/s or more")?;
    if minimum_rate.is_ok_and(|minimum| limit <= minimum) {
        return Err(field.problem(
            "is not above `minimum_rate`, so that every upload would count as too slow; raise it, or lower `minimum_rate`",
        ));
    }
    Ok(Some(limit))
}
