//! What protects an object from being deleted: `object.object_lock`.

use std::time::Duration;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use super::fields::{Field, Reported};
use super::model::{Config, Job, ObjectLock, RetainUntil, Retention, RetentionMode};
use super::section::Section;
use super::wording::quoted;
use crate::record::timestamp;

pub(super) const OBJECT_LOCK_KEYS: &[&str] = &["mode", "retain_until", "retain_for", "legal_hold"];

/// S3's limit.
const CENTURY: Duration = Duration::from_secs(36_500 * 86_400);

pub(super) fn read(field: &Field<'_>) -> Result<ObjectLock, Reported> {
    let section = field.section(&[OBJECT_LOCK_KEYS])?;
    let mode = section.optional("mode", |field| {
        let known = [RetentionMode::Governance, RetentionMode::Compliance];
        Ok(known[field.choice(&["governance", "compliance"])?])
    });
    let until = until(&section);
    let legal_hold = section.read("legal_hold", false, Field::boolean);
    let (mode, until, legal_hold) = (mode?, until?, legal_hold?);
    let retention = match (mode, until) {
        (Some(mode), Some(until)) => Some(Retention { mode, until }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(section.missing(
                "retain_for",
                "say how long, or with `retain_until` until when",
            ));
        }
        (None, Some(_)) => {
            return Err(section.missing("mode", "choose `governance` or `compliance`"));
        }
    };
    Ok(ObjectLock {
        retention,
        legal_hold,
    })
}

fn until(section: &Section<'_>) -> Result<Option<RetainUntil>, Reported> {
    let date = section.optional("retain_until", date)?;
    let duration = section.optional("retain_for", |field| {
        field.duration(Duration::from_secs(60)..=CENTURY, "1m to 36500d")
    })?;
    match (date, duration) {
        (Some(_), Some(_)) => Err(section.problem_of(
            "retain_for",
            "excludes `retain_until`; keep one".to_string(),
        )),
        (date, duration) => Ok(date
            .map(RetainUntil::Date)
            .or(duration.map(RetainUntil::For))),
    }
}

/// A day, which begins in UTC, or a moment.
fn date(field: &Field<'_>) -> Result<OffsetDateTime, Reported> {
    let text = field.text()?;
    let day = || {
        let day = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
        Some(day.midnight().assume_utc())
    };
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .map(|moment| moment.to_offset(UtcOffset::UTC))
        .or_else(day)
        .ok_or_else(|| {
            field.problem(format!(
                "{} is no date; write it like `2031-12-31` or `2031-12-31T12:00:00Z`",
                quoted(text)
            ))
        })
}

/// What S3 will refuse with every file, if it is `now`. No mistake: the file was right once, and the
/// clock that says otherwise may be wrong.
pub(super) fn past_dates(config: &Config, now: OffsetDateTime) -> Vec<String> {
    let over = |job: &&Job| {
        let date = job.object.object_lock.retained_until();
        date.is_some_and(|date| date <= now)
    };
    let warning = |job: &Job| {
        let place = &config.places_of(job).retain_until;
        let date = job.object.object_lock.retained_until().map(timestamp);
        let message = format!(
            "{} is over by this machine's clock, so S3 will refuse the job's files; give a date that is to come, or `retain_for` in its stead",
            quoted(&date.unwrap_or_default())
        );
        place.problem(&config.path, message).to_string()
    };
    config.jobs.iter().filter(over).map(warning).collect()
}
