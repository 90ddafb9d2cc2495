//! `s3ferry pause` and `s3ferry resume`: Processing State at run time.

use std::io;

use rustix::process::{Signal, kill_process};

use super::arguments::Invocation;
use super::{complain, exit, load_config, print};
use crate::config::Config;
use crate::os::durable::cure_of_folder;
use crate::os::lock::StateLock;
use crate::processing_state::ProcessingStates;
use crate::record::copy::with_processing_states;

pub fn run(invocation: &Invocation, enabled: bool) -> u8 {
    let config = match load_config(invocation) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let jobs: Vec<String> = if invocation.jobs.is_empty() {
        config.jobs.iter().map(|job| job.name.clone()).collect()
    } else {
        invocation.jobs.clone()
    };
    let changed = match change(&config, &jobs, enabled) {
        Ok(changed) => changed,
        Err(error) => {
            complain(&format!(
                "s3ferry: cannot change the processing state in `{}`: {error}; {}",
                config.state_dir.display(),
                cure_of_folder(&error)
            ));
            return exit::LOCAL;
        }
    };
    let word = if enabled { "enabled" } else { "paused" };
    let when = if changed.running {
        ""
    } else {
        " (the service does not run; this holds when it starts)"
    };
    let printed = print(&format!("{}: {word}{when}\n", jobs.join(", ")));
    match (changed.copied, &config.state_copy) {
        (Err(error), Some(copy)) => {
            complain(&format!(
                "s3ferry: that holds now, but not after a power cut: it cannot be written into the copy of the state directory, `{}`: {error}; {}",
                copy.dir.display(),
                cure_of_folder(&error)
            ));
            exit::LOCAL
        }
        _ => printed,
    }
}

struct Changed {
    running: bool,
    /// What became of the copy of the state directory.
    copied: io::Result<()>,
}

/// Writes the state down, and tells the service, if one runs.
fn change(config: &Config, jobs: &[String], enabled: bool) -> io::Result<Changed> {
    std::fs::create_dir_all(&config.state_dir)?;
    let copied = with_processing_states(config, || {
        let mut states = ProcessingStates::load(&config.state_dir)?;
        if let Some(damage) = states.damage() {
            complain(&format!(
                "s3ferry: `processing.json` was damaged ({damage}); jobs that are not named here stay paused"
            ));
        }
        let all = config.jobs.iter().map(|job| job.name.as_str());
        states.set(all, jobs, enabled);
        states.save(&config.state_dir)
    })?;
    let service = StateLock::holder(&config.state_dir)?;
    if let Some(service) = service {
        kill_process(service, Signal::USR2)?;
    }
    Ok(Changed {
        running: service.is_some(),
        copied,
    })
}
