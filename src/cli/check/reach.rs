//! The way to the store, with a request that is not signed and asks for nothing: name, proxy,
//! connection, certificate, and the clock that the answer tells.

use time::Duration;

use super::report::About;
use crate::s3::{Client, Reached};
use crate::text::human_duration;
use crate::transport::{Journey, Stage};

/// S3 refuses signatures that are more off.
const TOLERATED: Duration = Duration::minutes(15);
const SET_CLOCK: &str = "set the clock, for example with NTP: s3ferry signs with the server's time, \
     but placeholders and `windows` go by the wrong one";

/// Whether the store answers at all.
pub fn check(client: &mut Client, about: &mut About<'_>) -> bool {
    let result = client.reach();
    let journey = client.journey();
    let way = [Stage::Resolve, Stage::Proxy, Stage::Connect, Stage::Tls];
    for stage in way {
        if (result.is_ok() || stage < journey.stage)
            && let Some(message) = passed(stage, &journey, client)
        {
            about.ok(stage.name(), message);
        }
    }
    match result {
        Ok(reached) => {
            clock(&reached, about);
            true
        }
        Err(failure) => {
            about.fail_by(journey.stage.name(), &failure);
            false
        }
    }
}

/// What there is to say of a stage that the request has been through; `None`: this way has no such
/// stage.
fn passed(stage: Stage, journey: &Journey, client: &Client) -> Option<String> {
    let place = client.destination();
    let host = place.request_host();
    match stage {
        Stage::Resolve if journey.addresses.is_empty() => None,
        Stage::Resolve => {
            let addresses: Vec<String> = journey
                .addresses
                .iter()
                .map(|address| address.ip().to_string())
                .collect();
            let addresses = addresses.join(", ");
            Some(match host.trim_matches(['[', ']']) == addresses {
                true => format!("{host} is an address"),
                false => format!("{host} is at {addresses}"),
            })
        }
        Stage::Proxy => Some(match &journey.proxy {
            Some(proxy) => format!("{proxy} leads to {host}:{}", place.port),
            None => "none on the way".to_owned(),
        }),
        Stage::Connect => journey
            .peer
            .filter(|_| journey.proxy.is_none())
            .map(|peer| format!("connected to {peer}")),
        Stage::Tls => Some(match &journey.tls {
            Some(version) => format!("{version}, and the certificate is good for {host}"),
            None => "not used: plain http was asked for".to_owned(),
        }),
        Stage::Exchange => None,
    }
}

fn clock(reached: &Reached, about: &mut About<'_>) {
    let Some(skew) = reached.skew else {
        return about.ok("clock", "the answer tells no time to compare with");
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
