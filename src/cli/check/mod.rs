//! `s3ferry check`: what stands between a configuration and its files' arrival, in the order in
//! which a request meets it.
//!
//! Each step is one line, the failing one with its cure. What lies behind a step that failed
//! cannot be told and is left out.

mod machine;
mod reach;
mod report;
mod requests;

use std::sync::Arc;

use super::arguments::{Form, Invocation};
use super::{code_of, complain, exit, know_jobs, read_config, refuse};
use crate::config::model::Job;
use crate::config::{self, CertificateProblem, Config, ConfigError};
use crate::credentials::Identity;
use crate::os::signals::Signals;
use crate::s3::{Client, past_for_sure};
use report::{About, Report};

pub fn run(invocation: &Invocation) -> u8 {
    let mut report = Report::new(invocation.form);
    let config = match read_config(invocation) {
        Ok(config) => config,
        Err(error) => return wrong(&error, invocation.form, report),
    };
    if let Err(code) = know_jobs(&config, invocation) {
        return code;
    }
    machine::check(&config, &mut report);
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("s3ferry: cannot catch signals: {error}"));
            return exit::INTERNAL;
        }
    };
    let named = |job: &&Job| invocation.jobs.is_empty() || invocation.jobs.contains(&job.name);
    for job in config.jobs.iter().filter(named) {
        let mut about = report.about(Some(&job.name));
        check_job(&config, job, &signals, invocation.offline, &mut about);
    }
    report.code()
}

/// A configuration that cannot be read: findings for a program, lines as every command has them for
/// people.
fn wrong(error: &ConfigError, form: Form, mut report: Report) -> u8 {
    if form != Form::Json {
        return refuse(&error.problems);
    }
    let mut about = report.about(None);
    for problem in &error.problems {
        about.fail(
            "configuration",
            problem.to_string(),
            None,
            exit::CONFIGURATION,
        );
    }
    report.code()
}

fn check_job(
    config: &Config,
    job: &Job,
    signals: &Arc<Signals>,
    offline: bool,
    about: &mut About<'_>,
) {
    let unusable = config::validate_certificates(config, job);
    for CertificateProblem { problem, cure } in &unusable {
        let message = problem.to_string();
        about.fail("tls_options", message, Some(cure), exit::CONFIGURATION);
    }
    if !unusable.is_empty() {
        return;
    }
    let mut client = match Client::new(job, signals) {
        Ok(client) => client,
        Err(error) => {
            return about.fail("connection", error.to_string(), None, exit::CONFIGURATION);
        }
    };
    if offline {
        if let Err(failure) = past_for_sure("object_lock", &job.object.object_lock) {
            requests::past_retention(config, job, &failure, about);
        }
        return credentials_at_hand(job, about);
    }
    // The keys may come from elsewhere than the store, so both are worth knowing.
    let reached = reach::check(&mut client, about);
    if credentials(&mut client, about) && reached {
        requests::check(config, job, &mut client, about);
    }
}

const OVER: &str = "let whoever hands the keys out give new ones in time, or set its clock: s3ferry \
     asks anew once a minute";

/// Whose keys they are, and until when.
fn credentials(client: &mut Client, about: &mut About<'_>) -> bool {
    match client.identity() {
        Ok(identity) => {
            let now = client.signing_time();
            let is_over = |identity: &Identity| identity.expires.is_some_and(|end| end <= now);
            let shown = identity.as_ref().map(Identity::to_string);
            let shown = shown.unwrap_or_default();
            if identity.as_ref().is_some_and(is_over) {
                // Either clock may be wrong, so the store decides.
                about.warn("credentials", format!("{shown}, which is over"), Some(OVER));
            } else {
                about.ok("credentials", shown);
            }
            true
        }
        Err(failure) => {
            // The step says what was asked for.
            let message = failure.message.as_str();
            about.fail("credentials", message, failure.cure(), code_of(&failure));
            false
        }
    }
}

/// What can be told of the keys without asking anybody.
fn credentials_at_hand(job: &Job, about: &mut About<'_>) {
    let env = |name: &str| std::env::var(name).ok();
    match crate::credentials::missing_at_start(&job.credentials, &env) {
        Some(error) => about.fail(
            "credentials",
            error.to_string(),
            Some(error.hint()),
            exit::CONFIGURATION,
        ),
        None => about.untried("credentials", "configured; not asked for offline", None),
    }
}
