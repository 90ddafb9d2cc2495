//! `s3ferry status`: what the service is doing.

use std::fmt::Write;
use std::io;

use rustix::process::Pid;
use serde_json::{Value, json};

use super::arguments::{Form, Invocation};
use super::elsewhere;
use super::view::View;
use super::{complain, exit, print};
use crate::clock;
use crate::os::lock::StateLock;
use crate::processing_state::ProcessingStates;
use crate::record::parse_timestamp;
use crate::status::{
    self, ALL_PAUSED, JobStatus, MAKE_ROOM, RESUME, STATE_COPY_FAILING, STATE_DIR_FAILING, Status,
};
use crate::text::human_size;

pub fn run(invocation: &Invocation) -> u8 {
    let view = match View::load(invocation) {
        Ok(view) => view,
        Err(code) => return code,
    };
    let (holder, states) = match look(&view) {
        Ok(found) => found,
        Err(error) => {
            complain(&format!(
                "s3ferry: cannot look into `{}`: {error}",
                view.state_dir.display()
            ));
            return exit::LOCAL;
        }
    };
    let running = holder.map(|pid| pid.as_raw_nonzero().get());
    let elsewhere = match running {
        Some(_) => None,
        None => elsewhere::service_of(&invocation.config),
    };
    let status = current(&view, &states, running);
    let shown = match invocation.form {
        Form::Json => print(&as_json(&status, running, elsewhere)),
        _ => print(&text(&view, &status, running, elsewhere)),
    };
    match shown {
        exit::OK => view.code,
        unwritten => unwritten,
    }
}

fn look(view: &View) -> io::Result<(Option<Pid>, ProcessingStates)> {
    Ok((
        StateLock::holder(&view.state_dir)?,
        ProcessingStates::load(&view.state_dir)?,
    ))
}

/// What was written last, with the jobs of the configuration; when nobody runs, nothing is under
/// way, whatever the file says.
fn current(view: &View, states: &ProcessingStates, running: Option<i32>) -> Status {
    let mut status = status::read(&view.state_dir).unwrap_or_default();
    // On a full disk the service cannot write that either.
    let full = rustix::fs::statvfs(&view.state_dir).is_ok_and(|disk| disk.f_bavail == 0);
    status.state_dir_failing |= running.is_some() && full;
    status.processing_damaged = states.damage().is_some();
    if running.is_none() {
        status.configuration_rejected = None;
    }
    let known = std::mem::take(&mut status.jobs);
    let of_last = || {
        let was_enabled = |job: &JobStatus| (job.name.clone(), job.state != "paused");
        known.iter().map(was_enabled).collect()
    };
    for (name, enabled) in view.jobs.clone().unwrap_or_else(of_last) {
        let found = known.iter().find(|known| known.name == name);
        let mut entry = found.cloned().unwrap_or_else(|| JobStatus {
            name: name.clone(),
            ..JobStatus::default()
        });
        if running.is_none() {
            entry.state = "stopped".to_owned();
            entry.current = None;
            entry.next_pass = None;
            entry.next_try = None;
        }
        if !states.enabled(&name, enabled) {
            entry.state = "paused".to_owned();
            entry.next_pass = None;
            entry.next_try = None;
        }
        status.jobs.push(entry);
    }
    status
}

fn as_json(status: &Status, running: Option<i32>, elsewhere: Option<i32>) -> String {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        // What the file leaves out where there is nothing to tell is still a field for a program.
        for seldom in ["state_copy_failing", "processing_damaged"] {
            object.entry(seldom).or_insert(false.into());
        }
        let jobs = object.get_mut("jobs").and_then(Value::as_array_mut);
        for job in jobs.into_iter().flatten().filter_map(Value::as_object_mut) {
            job.entry("stuck").or_insert(0.into());
            job.entry("stuck_files").or_insert(json!([]));
            job.entry("room_lacking").or_insert(0.into());
            job.remove("told");
        }
        // What the service keeps for its next start is for nobody else.
        object.remove("server_time");
        object.insert("running".to_owned(), running.is_some().into());
        object.insert("pid".to_owned(), running.into());
        object.insert("elsewhere".to_owned(), elsewhere.into());
    }
    format!("{value}\n")
}

fn text(view: &View, status: &Status, running: Option<i32>, elsewhere: Option<i32>) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = match running {
        Some(pid) => writeln!(
            out,
            "running, process {pid}, since {}",
            shown(view, &status.started_at)
        ),
        None => writeln!(
            out,
            "not running on the state directory `{}`",
            view.state_dir.display()
        ),
    };
    if let Some(pid) = elsewhere {
        let _ = writeln!(
            out,
            "process {pid} runs with this configuration file, on another `state_dir`, which takes a restart to change"
        );
    }
    for line in troubles(view, status) {
        let _ = writeln!(out, "{line}");
    }
    for job in &status.jobs {
        let _ = writeln!(out, "\n{}: {}", job.name, job.state_shown());
        for (label, value) in lines(view, job) {
            let _ = writeln!(out, "  {label:<11}{value}");
        }
    }
    out
}

/// What is about all jobs.
fn troubles(view: &View, status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(rejected) = &status.configuration_rejected {
        lines.push(format!("{rejected} ({})", shown(view, &rejected.time)));
    }
    if status.processing_damaged {
        lines.push(format!("{ALL_PAUSED}; {RESUME}"));
    }
    if status.state_dir_failing {
        lines.push(format!(
            "the state directory `{}` {STATE_DIR_FAILING}",
            view.state_dir.display()
        ));
    }
    if status.state_copy_failing {
        lines.push(STATE_COPY_FAILING.to_owned());
    }
    lines
}

fn lines(view: &View, job: &JobStatus) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut time = |label, value: &Option<String>| {
        if let Some(value) = value {
            lines.push((label, shown(view, value)));
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
            format!("{} ({})", error.message, shown(view, &error.time)),
        ));
        if let Some(hint) = &error.hint {
            lines.push(("cure", hint.clone()));
        }
    }
    lines.extend(stuck(job));
    if job.room_lacking > 0 {
        let size = human_size(job.room_lacking);
        let message = format!("{size} more should be free, and no more files may go");
        lines.push(("prune", message));
        lines.push(("cure", MAKE_ROOM.to_owned()));
    }
    lines
}

fn stuck(job: &JobStatus) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if job.stuck == 0 {
        return lines;
    }
    let (files, wait) = match job.stuck {
        1 => ("file", "waits"),
        _ => ("files", "wait"),
    };
    lines.push((
        "stuck",
        format!("{} {files} {wait} for somebody:", job.stuck),
    ));
    for file in &job.stuck_files {
        lines.push(("", file.message.clone()));
        if let Some(hint) = &file.hint {
            lines.push(("cure", hint.clone()));
        }
    }
    let unnamed = job.stuck.saturating_sub(job.stuck_files.len() as u64);
    if unnamed > 0 {
        lines.push(("", format!("and {unnamed} more")));
    }
    lines
}

/// A record's time in the configured zone.
fn shown(view: &View, timestamp: &str) -> String {
    match parse_timestamp(timestamp) {
        Some(moment) => {
            let local = clock::in_zone(moment, view.time_zone);
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
