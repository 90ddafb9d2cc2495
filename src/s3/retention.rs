//! Object Lock's date: S3 refuses every object that would be locked until a time that is over.
//!
//! A clock that is wrong must not make a good date a bad one, so this machine's own never decides:
//! the store's does, or what cannot be earlier than now.

use time::OffsetDateTime;

use super::client::Client;
use super::failure::Failure;
use crate::clock;
use crate::config::model::ObjectLock;
use crate::record::timestamp;
use crate::transport::time_floor;

impl Client {
    /// # Errors
    /// The lock's date is over. The store is asked for its time where it has not told it yet and
    /// this machine's clock says so.
    pub fn refuse_past_retention(
        &self,
        operation: &'static str,
        lock: &ObjectLock,
    ) -> Result<(), Failure> {
        let Some(date) = lock.retained_until() else {
            return Ok(());
        };
        if let Some(now) = self.server_now() {
            return unless_over(operation, date, now);
        }
        past_for_sure(operation, lock)?;
        if date > clock::wall() {
            return Ok(());
        }
        let skew = self.probe().ok().and_then(|probe| probe.skew);
        match skew.and_then(|skew| clock::wall().checked_add(skew)) {
            Some(now) => unless_over(operation, date, now),
            None => Ok(()),
        }
    }

    /// The store's refusal, or the date where that is the cause: its answer may have told the time.
    pub(super) fn by_retention(&self, failure: Failure, lock: &ObjectLock) -> Failure {
        let refused = matches!(failure.http_status, Some(400..=499));
        match (lock.retained_until(), self.server_now()) {
            (Some(date), Some(now)) if refused && date <= now => Failure {
                http_status: failure.http_status,
                request_id: failure.request_id,
                stage: failure.stage,
                ..over(failure.operation, date, now)
            },
            _ => failure,
        }
    }
}

/// What can be told without asking anybody.
///
/// # Errors
/// The lock's date is over, whatever the clocks say.
pub fn past_for_sure(operation: &'static str, lock: &ObjectLock) -> Result<(), Failure> {
    match lock.retained_until() {
        Some(date) => unless_over(operation, date, time_floor()),
        None => Ok(()),
    }
}

fn unless_over(
    operation: &'static str,
    date: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    if date <= now {
        return Err(over(operation, date, now));
    }
    Ok(())
}

fn over(operation: &'static str, date: OffsetDateTime, now: OffsetDateTime) -> Failure {
    let message = format!(
        "`object.object_lock.retain_until` is {}, and that is over: it is {} or later",
        timestamp(date),
        timestamp(now)
    );
    Failure::named("RetainUntilPassed", operation, message)
}
