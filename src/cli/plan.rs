//! `s3ferry plan`: what a pass would take, skip and why, and the object keys. Sends nothing,
//! writes nothing, and needs no lock.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use super::arguments::{Form, Invocation};
use super::table::{Column, Table};
use super::{colour, complain, exit, load_readable_config, table_width};
use crate::clock;
use crate::config::Config;
use crate::config::model::{IfExists, Job};
use crate::naming::{ObjectKey, key_of_file};
use crate::os::hostname;
use crate::pass::{counted_key, destination_of, windows_closed_for};
use crate::processing_state::ProcessingStates;
use crate::record::copy::records_dir;
use crate::record::ledger::{Ledger, LedgerView, fingerprint, passed_over};
use crate::source::file::{SourceFile, Timestamp, full_path};
use crate::source::scan::{Candidate, Found, Verdict, folder_id, scan};
use crate::source::settled::Settling;
use crate::source::space::missing;
use crate::text::{escape_bytes, human_duration, human_size};

/// Shown at most; a longer plan is counted.
const SHOWN: usize = 10_000;

/// One line of the plan.
#[derive(Debug, Serialize)]
struct Line {
    job: String,
    action: &'static str,
    source_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub fn run(invocation: &Invocation) -> u8 {
    let config = match load_readable_config(invocation) {
        Ok(config) => config,
        Err(code) => return code,
    };
    for warning in &config.warnings {
        complain(&format!("warning: {warning}"));
    }
    match show(invocation, &config) {
        Ok(code) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::OK,
        Err(error) => {
            complain(&format!("s3ferry: cannot make the plan: {error}"));
            exit::LOCAL
        }
    }
}

fn show(invocation: &Invocation, config: &Config) -> io::Result<u8> {
    let mut ledger = Ledger::read(records_dir(config))?;
    let mut out = io::stdout().lock();
    let mut code = exit::OK;
    let wanted = config
        .jobs
        .iter()
        .filter(|job| invocation.jobs.is_empty() || invocation.jobs.contains(&job.name));
    for (walk, job) in (1..).zip(wanted) {
        let (lines, more) = match plan(config, job, &mut ledger, walk) {
            Ok(planned) => planned,
            Err(error) => {
                let folder = job.source_path.display();
                complain(&format!(
                    "{}: cannot read the folder `{folder}`: {error}",
                    job.name
                ));
                code = exit::LOCAL;
                continue;
            }
        };
        if lines.iter().any(|line| line.action == "refuse") {
            code = exit::LOCAL;
        }
        match invocation.form {
            Form::Json => {
                for line in &lines {
                    writeln!(out, "{}", serde_json::to_string(line)?)?;
                }
            }
            _ => table(config, job, &lines, more, &mut out)?,
        }
    }
    Ok(code)
}

/// The job's plan, what would be sent first, in its order; and whether there is more than shown.
fn plan(
    config: &Config,
    job: &Job,
    ledger: &mut LedgerView,
    walk: u32,
) -> io::Result<(Vec<Line>, bool)> {
    let destination = destination_of(job);
    let mut settling = Settling::default();
    let (wall, now) = (clock::wall(), clock::monotonic());
    let skips = job.object.if_exists == IfExists::Skip;
    let lacking = job.prune.map_or(0, |keep_free| {
        missing(&job.source_path, keep_free).unwrap_or(0)
    });
    let mut uploaded = Vec::new();
    let mut judge = |found: Found<'_>| {
        let path = full_path(&job.source_path, found.relative);
        let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        let fingerprint = fingerprint(&job.name, &destination, bytes, found.identity);
        if ledger.is_done(&fingerprint, walk) {
            if lacking > 0 && ledger.is_kept(&fingerprint) {
                let identity = found.identity;
                uploaded.push((identity.modified, shown(job, found.relative), identity.size));
            }
            Verdict::AlreadyUploaded
        } else if skips && ledger.is_done(&passed_over(&fingerprint), walk) {
            Verdict::Refused
        } else if settling.is_settled(found.identity, job.settle, wall, now) {
            Verdict::Take
        } else {
            Verdict::Unsettled
        }
    };
    let mut skipped = Vec::new();
    let mut visit = |relative: &[u8], verdict: Verdict| {
        if let Some(reason) = reason(job, verdict)
            && skipped.len() < SHOWN
        {
            skipped.push(Line {
                job: job.name.clone(),
                action: "skip",
                source_path: shown(job, relative),
                size: None,
                key: None,
                reason: Some(reason),
            });
        }
    };
    let excluded: Vec<_> = folder_id(&config.state_dir).into_iter().collect();
    let found = scan(job, SHOWN, &excluded, &mut judge, &mut visit, &|| false)?;
    mark_what_goes(uploaded, lacking, &mut skipped);
    let mut keys = HashMap::new();
    let hostname = hostname();
    let mut lines: Vec<Line> = Vec::new();
    for candidate in &found.candidates {
        let mut line = taken(config, job, candidate, &hostname, &mut keys);
        let path = full_path(&job.source_path, &candidate.relative);
        let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        let own = fingerprint(&job.name, &destination, bytes, candidate.identity);
        let hash = line.key.as_ref().and_then(|key| counted_key(job, key));
        if hash.is_some_and(|hash| ledger.is_taken(&hash, &own, walk)) {
            line.action = "refuse";
            line.reason = Some("its key is that of another file, which is uploaded".to_owned());
        }
        lines.push(line);
    }
    let more = found.more || skipped.len() >= SHOWN;
    for (relative, error) in &found.problems {
        skipped.push(Line {
            job: job.name.clone(),
            action: "refuse",
            source_path: shown(job, relative),
            size: None,
            key: None,
            reason: Some(format!("cannot be read: {error}")),
        });
    }
    skipped.sort_by(|one, other| one.source_path.cmp(&other.source_path));
    lines.extend(skipped);
    Ok((lines, more))
}

/// The oldest of the uploaded files (mtime, path, size), as many as it takes to free what is lacking.
fn mark_what_goes(mut uploaded: Vec<(Timestamp, String, u64)>, lacking: u64, skipped: &mut [Line]) {
    uploaded.sort_unstable();
    let mut freed = 0;
    let mut goes = HashMap::new();
    for (_, path, size) in uploaded {
        if freed >= lacking {
            break;
        }
        freed += size;
        goes.insert(path, size);
    }
    for line in skipped {
        if let Some(size) = goes.get(&line.source_path) {
            line.action = "remove";
            line.size = Some(*size);
            line.reason = Some("already uploaded, goes to keep the disk free".to_owned());
        }
    }
}

fn taken(
    config: &Config,
    job: &Job,
    candidate: &Candidate,
    hostname: &str,
    keys: &mut HashMap<ObjectKey, String>,
) -> Line {
    let source_path = shown(job, &candidate.relative);
    let mut line = Line {
        job: job.name.clone(),
        action: "refuse",
        source_path: source_path.clone(),
        size: Some(candidate.identity.size),
        key: None,
        reason: None,
    };
    let file = match SourceFile::open(&job.source_path, &candidate.relative, job.follow_symlinks) {
        Ok(file) => file,
        Err(error) => {
            line.reason = Some(format!("cannot be opened: {error}"));
            return line;
        }
    };
    let in_zone = |moment| clock::in_zone(moment, config.time_zone);
    match key_of_file(
        job,
        &candidate.relative,
        &file,
        hostname,
        clock::wall(),
        &in_zone,
    ) {
        Ok(key) => {
            let key = first_free(job, key, keys);
            line.key = Some(key.as_str().to_owned());
            match keys.get(&key) {
                Some(other) => line.reason = Some(format!("its key is that of `{other}` already")),
                None => {
                    line.action = "upload";
                    keys.insert(key, source_path);
                }
            }
        }
        Err(error) => line.reason = Some(error.to_string()),
    }
    line
}

/// Where files may be renamed, the second of two with one key gets another; what the bucket holds
/// is not asked.
fn first_free(job: &Job, key: ObjectKey, taken: &HashMap<ObjectKey, String>) -> ObjectKey {
    if job.object.if_exists != IfExists::Rename || !taken.contains_key(&key) {
        return key;
    }
    let mut names = (1..).map_while(|number| key.numbered(number).ok());
    names.find(|name| !taken.contains_key(name)).unwrap_or(key)
}

/// Why an entry is skipped; `None` for what is taken.
fn reason(job: &Job, verdict: Verdict) -> Option<String> {
    Some(match verdict {
        Verdict::Take => return None,
        Verdict::AlreadyUploaded => "already uploaded".to_owned(),
        Verdict::Unsettled => format!(
            "not settled: changed less than {} ago",
            human_duration(job.settle)
        ),
        Verdict::Refused => "passed over before: another object has its key".to_owned(),
        Verdict::NotMatching => "does not match the filter".to_owned(),
        Verdict::NotRegular => "not a regular file".to_owned(),
    })
}

fn shown(job: &Job, relative: &[u8]) -> String {
    let path = full_path(&job.source_path, relative);
    escape_bytes(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
}

/// What keeps the job from sending at the moment.
fn standing(config: &Config, job: &Job) -> io::Result<String> {
    let states = ProcessingStates::load(&config.state_dir)?;
    if !states.enabled(&job.name, job.enabled) {
        return Ok(" (paused or disabled: nothing is sent)".to_owned());
    }
    let now = clock::in_zone(clock::wall(), config.time_zone);
    Ok(match windows_closed_for(job, now) {
        Some(wait) => format!(" (outside its windows for {})", human_duration(wait)),
        None => String::new(),
    })
}

fn table(
    config: &Config,
    job: &Job,
    lines: &[Line],
    more: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let destination = &job.destination;
    let state = standing(config, job)?;
    writeln!(
        out,
        "{}{state}: {} to bucket {}",
        job.name,
        job.source_path.display(),
        destination.bucket
    )?;
    let mut table = Table::new(&[
        Column::left("Action"),
        Column::flexible("Source file"),
        Column::right("Size"),
        Column::flexible("Key, or why not"),
    ]);
    for line in lines {
        let size = line.size.map(human_size).unwrap_or_default();
        let what = match (&line.reason, &line.key) {
            (Some(reason), _) => reason,
            (None, Some(key)) => key,
            (None, None) => "",
        };
        table.row(&[line.action, &line.source_path, &size, what]);
    }
    if !table.is_empty() {
        table.write(table_width(), colour(), out)?;
    }
    let uploads: Vec<u64> = lines
        .iter()
        .filter(|line| line.action == "upload")
        .filter_map(|line| line.size)
        .collect();
    let and_more = if more { ", and more" } else { "" };
    writeln!(
        out,
        "{} to upload, {}{and_more}",
        uploads.len(),
        human_size(uploads.iter().sum())
    )
}
