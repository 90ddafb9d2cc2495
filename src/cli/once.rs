//! `s3ferry once`: one pass over each enabled job.

use super::arguments::Invocation;
use super::{cannot_start, complain, exit, load_signing_config, warn_of};
use crate::agent::Agent;
use crate::clock;
use crate::logging;
use crate::pass::Tally;
use crate::record::timestamp;

pub fn run(invocation: &Invocation) -> u8 {
    let config = match load_signing_config(invocation) {
        Ok(config) => config,
        Err(code) => return code,
    };
    logging::start(&config.log);
    warn_of(&config);
    let mut agent = match Agent::start(config, &invocation.jobs) {
        Ok(agent) => agent,
        Err(error) => return cannot_start(&error),
    };
    let started = timestamp(clock::wall());
    match agent.once(invocation.give_up) {
        Ok(tally) => {
            if let Some(left) = agent.stopped() {
                log::warn!("stopped by a signal, {left}");
                return exit::OK;
            }
            let code = exit_code(&tally);
            if code != exit::OK {
                // Events tell of a trouble once; whoever runs this from cron asks each time.
                for trouble in agent.troubles(&started) {
                    log::error!("{trouble}");
                }
            }
            code
        }
        Err(error) => {
            complain(&format!("s3ferry: cannot wait for signals: {error}"));
            exit::INTERNAL
        }
    }
}

/// The first of 74, 77, 75 that applies.
fn exit_code(tally: &Tally) -> u8 {
    if tally.local > 0 {
        exit::LOCAL
    } else if tally.refused {
        exit::REFUSED
    } else if tally.left > 0 {
        exit::TRY_AGAIN
    } else {
        exit::OK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_kinds_of_trouble_the_local_one_comes_first() {
        for (local, refused, left, code) in [
            (0, false, 0, 0),
            (0, false, 3, 75),
            (0, true, 3, 77),
            (1, true, 3, 74),
        ] {
            let tally = Tally {
                local,
                refused,
                left,
                ..Tally::default()
            };
            assert_eq!(exit_code(&tally), code);
        }
    }
}
