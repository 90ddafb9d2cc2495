//! `s3ferry run`: the service.

use super::arguments::Invocation;
use super::{cannot_start, complain, exit, load_signing_config, warn_of};
use crate::agent::Agent;
use crate::logging;
use crate::os::notify;

pub fn run(invocation: &Invocation) -> u8 {
    let config = match load_signing_config(invocation) {
        Ok(config) => config,
        Err(code) => return code,
    };
    logging::start(&config.log);
    notify::start();
    warn_of(&config);
    let mut agent = match Agent::start(config, &[]) {
        Ok(agent) => agent,
        Err(error) => return cannot_start(&error),
    };
    match agent.run() {
        Ok(()) => exit::OK,
        Err(error) => {
            complain(&format!("s3ferry: cannot wait for signals: {error}"));
            exit::INTERNAL
        }
    }
}
