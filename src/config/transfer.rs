//! How bytes travel: `transfer`.

use super::fields::{Field, Reported};
use super::model::{ChecksumAlgorithm, Destination, TransferOptions, Verify};
use super::section::Section;

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

/// Where the file says nothing, but for what depends on the destination.
const DEFAULTS: TransferOptions = TransferOptions {
    multipart_threshold: 64 * MIB,
    part_size: None,
    signed_payload: true,
    checksum: None,
    verify: Verify::Auto,
    bandwidth_limit: None,
    minimum_rate: KIB,
};

/// `destination` is `None` where it is wrong itself.
pub(super) fn read(
    job: &Section<'_>,
    destination: Option<&Destination>,
) -> Result<TransferOptions, Reported> {
    let automatic = automatic_checksum(destination);
    let Some(field) = job.get("transfer") else {
        return Ok(TransferOptions {
            checksum: automatic,
            ..DEFAULTS
        });
    };
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
    let signed_payload = section.read("payload", true, |field| payload(field, destination));
    let checksum = section.read("checksum", automatic, |field| checksum(field, automatic));
    let verify = section.read("verify", Verify::Auto, |field| {
        let known = [Verify::Auto, Verify::Always, Verify::Never];
        Ok(known[field.choice(&["auto", "always", "never"])?])
    });
    let minimum_rate = section.read("minimum_rate", DEFAULTS.minimum_rate, |field| {
        field.rate(0..=u64::MAX, "0 or more")
    });
    let bandwidth_limit = bandwidth_limit(&section, minimum_rate);
    Ok(TransferOptions {
        multipart_threshold: multipart_threshold?,
        part_size: part_size?,
        signed_payload: signed_payload?,
        checksum: checksum?,
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

fn payload(field: &Field<'_>, destination: Option<&Destination>) -> Result<bool, Reported> {
    let signed = field.choice(&["signed", "unsigned"])? == 0;
    if !signed && destination.is_some_and(|destination| !destination.tls) {
        return Err(field.problem("`unsigned` needs TLS to protect the content; use `signed`"));
    }
    Ok(signed)
}

/// AWS knows this one everywhere, keeps it with the object, and joins it over parts; buckets with a
/// default retention demand one. Of other stores several refuse it.
fn automatic_checksum(destination: Option<&Destination>) -> Option<ChecksumAlgorithm> {
    let is_aws = destination.is_some_and(Destination::is_aws);
    is_aws.then_some(ChecksumAlgorithm::Crc64Nvme)
}

fn checksum(
    field: &Field<'_>,
    automatic: Option<ChecksumAlgorithm>,
) -> Result<Option<ChecksumAlgorithm>, Reported> {
    let known = [
        automatic,
        None,
        Some(ChecksumAlgorithm::Crc32),
        Some(ChecksumAlgorithm::Crc32c),
        Some(ChecksumAlgorithm::Crc64Nvme),
        Some(ChecksumAlgorithm::Sha256),
    ];
    Ok(known[field.choice(&["auto", "none", "crc32", "crc32c", "crc64nvme", "sha256"])?])
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
