//! Room on a disk: `prune`, `windows_override`, and the copy of the state directory.

use std::time::Duration;

use super::fields::{Field, Reported};
use super::model::{AfterUpload, FreeSpace, StateCopy, Window};
use super::section::Section;
use super::wording::quoted;

pub(super) const PRUNE_KEYS: &[&str] = &["keep_free"];
pub(super) const OVERRIDE_KEYS: &[&str] = &["source_free_below"];
pub(super) const COPY_KEYS: &[&str] = &["dir", "interval"];

const DEFAULT_COPY_INTERVAL: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// `after_upload` says whether there is anything to prune.
pub(super) fn prune(
    section: &Section<'_>,
    after_upload: &Result<AfterUpload, Reported>,
) -> Result<Option<FreeSpace>, Reported> {
    let Some(field) = section.get("prune") else {
        return Ok(None);
    };
    let keep_free = of_object(
        &field,
        PRUNE_KEYS,
        "how much of the source's disk to keep free",
    )?;
    if matches!(after_upload, Ok(other) if *other != AfterUpload::Keep) {
        return Err(field.problem(
            "has nothing to remove where `after_upload` does not keep the files; leave one of both out",
        ));
    }
    Ok(Some(keep_free))
}

pub(super) fn windows_override(
    section: &Section<'_>,
    windows: &Result<Vec<Window>, Reported>,
) -> Result<Option<FreeSpace>, Reported> {
    let Some(field) = section.get("windows_override") else {
        return Ok(None);
    };
    let below = of_object(
        &field,
        OVERRIDE_KEYS,
        "when the source's disk counts as nearly full",
    )?;
    if matches!(windows, Ok(windows) if windows.is_empty()) {
        return Err(
            field.problem("overrides no `windows`: sending is always allowed; leave it out")
        );
    }
    Ok(Some(below))
}

/// The one key of an object, which must be there.
fn of_object(
    field: &Field<'_>,
    keys: &'static [&'static str],
    what: &str,
) -> Result<FreeSpace, Reported> {
    let section = field.section(&[keys])?;
    match section.get(keys[0]) {
        Some(field) => free_space(&field),
        None => Err(section.missing(keys[0], &format!("say {what}: `\"10%\"` or `\"500MiB\"`"))),
    }
}

/// `"10%"`, or a size.
fn free_space(field: &Field<'_>) -> Result<FreeSpace, Reported> {
    let Some(percent) = field
        .as_text()
        .and_then(|text| text.trim().strip_suffix('%'))
    else {
        // Digits alone may be meant as a share or as a size.
        let plain = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if let Some(number) = field.as_text().map(str::trim).filter(plain) {
            return Err(field.problem(format!(
                "{} has no unit; write for example `5%` for a share of the disk, or `500MiB` for a size",
                quoted(number)
            )));
        }
        return field
            .size(1..=u64::MAX, "a size of 1 or more, or a share like `10%`")
            .map(FreeSpace::Bytes);
    };
    match percent.trim_end().parse() {
        Ok(percent @ 1..=99) => Ok(FreeSpace::Percent(percent)),
        _ => Err(field.problem(format!(
            "{} is no share; give `1%` to `99%`, or a size",
            quoted(field.as_text().unwrap_or_default())
        ))),
    }
}

pub(super) fn state_copy(root: &Section<'_>) -> Result<Option<StateCopy>, Reported> {
    let Some(field) = root.get("state_copy") else {
        return Ok(None);
    };
    let section = field.section(&[COPY_KEYS])?;
    let interval = section.read("interval", DEFAULT_COPY_INTERVAL, |field| {
        field.duration(Duration::from_secs(1)..=YEAR, "1s to 365d")
    });
    let Some(dir) = section.get("dir") else {
        return Err(section.missing("dir", "name the folder that takes the copy"));
    };
    Ok(Some(StateCopy {
        dir: dir.absolute_path()?,
        interval: interval?,
    }))
}
