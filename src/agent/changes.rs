//! What changes while the agent works: its configuration, and what is paused.

use super::{Agent, runners_for};
use crate::clock;
use crate::config::{self, Config, ConfigError};
use crate::pass::JobRunner;
use crate::processing_state::ProcessingStates;
use crate::record::{Event, EventError, EventKind, Severity, timestamp};
use crate::status::{ALL_PAUSED, RESUME, Rejected, StatusFile};

impl Agent {
    /// A new configuration replaces the old one whole, or not at all.
    pub(super) fn reload(&mut self) {
        match self.read_new_config() {
            Ok((config, runners)) => {
                if config.log.file != self.config.log.file
                    || config.log.rotation != self.config.log.rotation
                {
                    log::warn!("a change of `log` but for `level` takes a restart");
                }
                self.records.configure(&config);
                self.config = config;
                for mut runner in runners {
                    let name = &runner.job().name;
                    if let Some(old) = self.runners.iter().find(|old| old.job().name == *name) {
                        runner.inherit(old);
                    }
                    self.runners.push(runner);
                }
                let kept = self.runners.len() - self.config.jobs.len();
                self.runners.drain(..kept);
                let names: Vec<String> = self
                    .config
                    .jobs
                    .iter()
                    .map(|job| job.name.clone())
                    .collect();
                let former = self.status.current();
                self.status = StatusFile::new(&self.config.state_dir, &names);
                self.status
                    .service(|status| status.started_at.clone_from(&former.started_at));
                self.remember_troubles(former);
                for index in 0..self.runners.len() {
                    self.with_runner(index, |runner, env| runner.settle_status(env));
                }
                self.apply_processing_states(true);
                log::set_max_level(self.config.log.level);
                self.service_event(
                    EventKind::ConfigurationReloaded,
                    "the configuration is read again",
                );
            }
            Err(problem) => {
                let time = clock::wall();
                let rejected = Rejected {
                    time: timestamp(time),
                    message: problem,
                };
                let message = rejected.to_string();
                self.status
                    .service(|status| status.configuration_rejected = Some(rejected));
                // The supervisor hears of it before the reload is over.
                self.status.write(clock::monotonic());
                let event = Event::new(
                    time,
                    EventKind::ConfigurationRejected,
                    Severity::Error,
                    &*message,
                );
                self.records.event(&event);
            }
        }
    }

    fn read_new_config(&self) -> Result<(Config, Vec<JobRunner>), String> {
        let told = |error: ConfigError| error.to_string().trim_end().replace('\n', "; ");
        let config =
            config::load(&self.config.path, &|name| std::env::var(name).ok()).map_err(told)?;
        if config.state_dir != self.config.state_dir {
            return Err("`state_dir` is another one, which takes a restart".to_owned());
        }
        config::refuse_certificates(&config, |_| true).map_err(told)?;
        let runners =
            runners_for(&config, &[], &self.signals).map_err(|error| error.to_string())?;
        Ok((config, runners))
    }

    pub(super) fn apply_processing_states(&mut self, announce: bool) {
        let states = match ProcessingStates::load(&self.config.state_dir) {
            Ok(states) => states,
            Err(error) => return log::warn!("cannot read the processing states: {error}"),
        };
        self.tell_of_damage(&states);
        let mut changes = Vec::new();
        for runner in &mut self.runners {
            let enabled = states.enabled(&runner.job().name, runner.job().enabled);
            if enabled != runner.is_enabled() {
                runner.set_enabled(enabled);
                changes.push((runner.job().name.clone(), enabled));
            }
        }
        for (job, enabled) in changes {
            let (kind, message, state) = if enabled {
                (
                    EventKind::ProcessingResumed,
                    "processing is resumed",
                    "waiting",
                )
            } else {
                (
                    EventKind::ProcessingPaused,
                    "processing is paused",
                    "paused",
                )
            };
            self.status.job(&job, |status| {
                status.state = state.to_owned();
                status.next_pass = None;
            });
            if announce {
                let event = Event::new(clock::wall(), kind, Severity::Info, message).job(&job);
                self.records.event(&event);
            }
        }
    }

    /// Told once, also over restarts.
    fn tell_of_damage(&mut self, states: &ProcessingStates) {
        let mut told = false;
        self.status.service(|status| {
            let damaged = states.damage().is_some();
            told = std::mem::replace(&mut status.processing_damaged, damaged);
            status.damage_logged |= damaged && !told;
        });
        let Some(damage) = states.damage().filter(|_| !told) else {
            return;
        };
        let message = format!("{ALL_PAUSED} ({damage})");
        let (kind, severity) = (EventKind::ProcessingPaused, Severity::Error);
        let event = Event::new(clock::wall(), kind, severity, &*message).error(EventError {
            class: "local",
            hint: Some(RESUME),
            ..EventError::default()
        });
        self.records.event(&event);
    }
}
