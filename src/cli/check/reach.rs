//! The way to the store, with a request that is not signed and asks for nothing: name, proxy,
//! connection, certificate, and the clock that the answer tells.

use time::Duration;

use super::report::About;
use crate::s3::{Client, Probe};
use crate::text::human_duration;
use crate::transport::Stage;

/// S3 refuses signatures that are more off.
const TOLERATED: Duration = Duration::minutes(15);
const SET_CLOCK: &str = "set the clock, for example with NTP: s3ferry signs with the server's time, \
     but placeholders and `windows` go by the wrong one";

/// Whether the store answers at all.
pub fn check(client: &mut Client, about: &mut About<'_>) -> bool {
    let result = client.probe();
    let (journey, ended_at) = match &result {
        Ok(probe) => (probe.journey.clone(), None),
        Err(failure) => (client.journey(), failure.stage),
    };
    for (stage, message) in journey.findings() {
        if ended_at.is_none_or(|end| stage < end) {
            about.ok(stage.name(), message);
        }
    }
    match result {
        Ok(probe) => {
            clock(&probe, about);
            true
        }
        Err(failure) => {
            about.fail_by(ended_at.map_or("connection", Stage::name), &failure);
            false
        }
    }
}

fn clock(probe: &Probe, about: &mut About<'_>) {
    let Some(skew) = probe.skew else {
        return about.untried("clock", "the answer tells no time to compare with", None);
    };
    let amount = human_duration(skew.unsigned_abs());
    let direction = if skew.is_negative() {
        "ahead of"
    } else {
        "behind"
    };
    if skew.abs() > TOLERATED {
        let message = format!("{amount} {direction} the store's; more than it tolerates");
        about.warn("clock", message, Some(SET_CLOCK));
    } else if skew.abs() < Duration::seconds(2) {
        about.ok("clock", "that of the store");
    } else {
        about.ok("clock", format!("{amount} {direction} the store's"));
    }
}
