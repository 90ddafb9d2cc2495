//! `s3ferry status`: what the service is doing.

use std::fmt::Write;

use super::arguments::{Form, Invocation};
use super::{complain, exit, load_config, print};
use crate::clock;
use crate::config::Config;
use crate::os::lock::StateLock;
use crate::processing_state::ProcessingStates;
use crate::record::parse_timestamp;
use crate::status::{self, JobStatus, Status};
use crate::text::human_size;

pub fn run(invocation: &Invocation) -> u8 {
    let config = match load_config(invocation) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let holder = match StateLock::holder(&config.state_dir) {
        Ok(holder) => holder,
        Err(error) => {
            complain(&format!(
                "s3ferry: cannot look into `{}`: {error}",
                config.state_dir.display()
            ));
            return exit::LOCAL;
        }
    };
    let running = holder.map(|pid| pid.as_raw_nonzero().get());
    let status = current(&config, running);
    match invocation.form {
        Form::Json => print(&json(&status, running)),
        _ => print(&text(&config, &status, running)),
    }
}

/// What was written last, with the jobs of the configuration; when nobody runs, nothing is under
/// way, whatever the file says.
fn current(config: &Config, running: Option<i32>) -> Status {
    let mut status = status::read(&config.state_dir).unwrap_or_default();
    // On a full disk the service cannot write that either.
    let full = rustix::fs::statvfs(&config.state_dir).is_ok_and(|disk| disk.f_bavail == 0);
    status.state_dir_failing |= running.is_some() && full;
    let states = ProcessingStates::load(&config.state_dir).unwrap_or_default();
    let known = std::mem::take(&mut status.jobs);
    for job in &config.jobs {
        let found = known.iter().find(|known| known.name == job.name);
        let mut entry = found.cloned().unwrap_or_else(|| JobStatus {
            name: job.name.clone(),
            ..JobStatus::default()
        });
        if running.is_none() {
            entry.state = "stopped".to_owned();
            entry.current = None;
            entry.next_pass = None;
            entry.next_try = None;
        }
        if !states.enabled(&job.name, job.enabled) {
            entry.state = "paused".to_owned();
            entry.next_pass = None;
            entry.next_try = None;
        }
        status.jobs.push(entry);
    }
    status
}

fn json(status: &Status, running: Option<i32>) -> String {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("running".to_owned(), running.is_some().into());
        object.insert("pid".to_owned(), running.into());
    }
    format!("{value}\n")
}

fn text(config: &Config, status: &Status, running: Option<i32>) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = match running {
        Some(pid) => writeln!(
            out,
            "running, process {pid}, since {}",
            shown(config, &status.started_at)
        ),
        None => writeln!(out, "not running"),
    };
    if status.state_dir_failing {
        let _ = writeln!(
            out,
            "the state directory `{}` could not be written; nothing is deleted or moved until it can",
            config.state_dir.display()
        );
    }
    for job in &status.jobs {
        let _ = writeln!(out, "\n{}: {}", job.name, job.state_shown());
        for (label, value) in lines(config, job) {
            let _ = writeln!(out, "  {label:<11}{value}");
        }
    }
    out
}

fn lines(config: &Config, job: &JobStatus) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut time = |label, value: &Option<String>| {
        if let Some(value) = value {
            lines.push((label, shown(config, value)));
        }
    };
    time("last pass", &job.last_pass);
    time("next pass", &job.next_pass);
    time("next try", &job.next_try);
    if let Some(file) = &job.current {
        lines.push(("now", file.progress()));
    }
    if job.backlog > 0 {
        let size = human_size(job.backlog_bytes);
        let files = if job.backlog == 1 { "file" } else { "files" };
        lines.push(("backlog", format!("{} {files}, {size}", job.backlog)));
    }
    if let Some(error) = &job.last_error {
        lines.push((
            "last error",
            format!("{} ({})", error.message, shown(config, &error.time)),
        ));
        if let Some(hint) = &error.hint {
            lines.push(("cure", hint.clone()));
        }
    }
    lines
}

/// A record's time in the configured zone.
fn shown(config: &Config, timestamp: &str) -> String {
    match parse_timestamp(timestamp) {
        Some(moment) => {
            let local = clock::in_zone(moment, config.time_zone);
            format!(
                "{} {:02}:{:02}:{:02}",
                local.date(),
                local.hour(),
                local.minute(),
                local.second()
            )
        }
        None => timestamp.to_owned(),
    }
}
