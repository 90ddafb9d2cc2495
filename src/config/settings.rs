//! What holds for the whole file, and the list of jobs in either of its two forms.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use log::LevelFilter;

use super::fields::{Field, Reported};
use super::folders::normalised;
use super::job::{self, JOB_KEYS};
use super::model::{Config, Job, JobPlaces, LogOptions, Place, Places, Rotation, TimeZone};
use super::secrets::Kind;
use super::section::Section;
use super::space;
use super::wording::{quoted, quoted_path};
use crate::naming::BUILT_IN;

pub(super) const SETTINGS_KEYS: &[&str] = &[
    // For editors, which find the schema by it.
    "$schema",
    "state_dir",
    "state_copy",
    "log",
    "history",
    "events",
    "placeholders",
    "time_zone",
    "jobs",
];

pub(super) const LOG_KEYS: &[&str] = &["level", "file", "max_size", "files"];
pub(super) const HISTORY_KEYS: &[&str] = &["max_size", "files"];
pub(super) const EVENTS_KEYS: &[&str] = &["max_size", "files", "shown"];

pub(super) const DEFAULT_STATE_DIR: &str = "/var/lib/s3ferry";
const DEFAULT_LOG: Rotation = rotation(1 << 20, 3);
const DEFAULT_HISTORY: Rotation = rotation(1 << 20, 4);
const DEFAULT_EVENTS: Rotation = rotation(256 << 10, 4);
pub(super) const DEFAULT_SHOWN: u64 = 100;

const fn rotation(max_size: u64, files: u32) -> Rotation {
    Rotation { max_size, files }
}

/// Reads the whole file; `warnings` are the caller's to fill.
pub(super) fn read(path: &Path, root: &Field<'_>) -> Result<Config, Reported> {
    let section = root.section(&[SETTINGS_KEYS, JOB_KEYS])?;
    let schema = section.read("$schema", (), |field| field.text().map(|_| ()));
    let state_dir = section.read(
        "state_dir",
        PathBuf::from(DEFAULT_STATE_DIR),
        Field::absolute_path,
    );
    let state_copy = space::state_copy(&section);
    let log = log_options(&section);
    let history = section.read("history", DEFAULT_HISTORY, |field| {
        let section = field.section(&[HISTORY_KEYS])?;
        read_rotation(&section, DEFAULT_HISTORY)
    });
    let events = section.read("events", (DEFAULT_EVENTS, DEFAULT_SHOWN), events);
    let placeholders = placeholders(&section);
    let time_zone = section.read("time_zone", TimeZone::Utc, |field| {
        let known = [TimeZone::Utc, TimeZone::Local];
        Ok(known[field.choice(&["utc", "local"])?])
    });
    let jobs = match section.get("jobs") {
        Some(list) => job_list(&section, &list, &placeholders),
        None => single_job(&section, &placeholders),
    };
    schema?;
    let (state_dir, state_copy, (jobs, job_places)) = (state_dir?, state_copy?, jobs?);
    apart(&section, "state_dir", &state_dir, &jobs)?;
    if let Some(copy) = &state_copy {
        apart(&section, "state_copy", &copy.dir, &jobs)?;
        copy_elsewhere(&section, &state_dir, &copy.dir)?;
    }
    let (events, shown) = events?;
    Ok(Config {
        path: path.to_path_buf(),
        state_dir,
        state_copy,
        log: log?,
        history: history?,
        events,
        events_shown: shown as usize,
        time_zone: time_zone?,
        jobs,
        warnings: Vec::new(),
        places: Places {
            state_dir: section.place_of("state_dir"),
            state_copy: section.place_of("state_copy"),
            jobs: job_places,
        },
    })
}

type Jobs = (Vec<Job>, Vec<JobPlaces>);

fn single_job(
    root: &Section<'_>,
    placeholders: &BTreeMap<String, String>,
) -> Result<Jobs, Reported> {
    let job = job::read(root, job::name(root, "default"), placeholders)?;
    Ok((vec![job], vec![job::places(root)]))
}

fn job_list(
    root: &Section<'_>,
    list: &Field<'_>,
    placeholders: &BTreeMap<String, String>,
) -> Result<Jobs, Reported> {
    let mut result = Ok(());
    for field in JOB_KEYS.iter().filter_map(|key| root.get(key)) {
        result = Err(field.problem("stands beside `jobs`; move it into a job"));
    }
    let items = list.items()?;
    if items.is_empty() {
        return Err(list.problem("is empty; give at least one job"));
    }
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    let (mut jobs, mut places) = (Vec::new(), Vec::new());
    for (index, item) in items.iter().enumerate() {
        let Ok(section) = item.section(&[JOB_KEYS]) else {
            result = Err(Reported);
            continue;
        };
        let name = job::name(&section, &format!("job{}", index + 1))
            .and_then(|name| unique(item, &section, name, &mut names));
        match job::read(&section, name, placeholders) {
            Ok(job) => jobs.push(job),
            Err(reported) => result = Err(reported),
        }
        places.push(job::places(&section));
    }
    result.map(|()| (jobs, places))
}

fn unique(
    item: &Field<'_>,
    section: &Section<'_>,
    name: String,
    names: &mut BTreeMap<String, Place>,
) -> Result<String, Reported> {
    if let Some(first) = names.get(&name) {
        let field = section.get("name");
        return Err(field.as_ref().unwrap_or(item).problem(format!(
            "{} is already the name of the job in line {}; choose another",
            quoted(&name),
            first.line
        )));
    }
    names.insert(name.clone(), item.place());
    Ok(name)
}

/// The service's own files must not become candidates.
fn apart(root: &Section<'_>, key: &str, folder: &Path, jobs: &[Job]) -> Result<(), Reported> {
    let state = normalised(folder);
    let holder = jobs
        .iter()
        .find(|job| state.starts_with(normalised(&job.source_path)));
    let Some(job) = holder else {
        return Ok(());
    };
    let message = format!(
        "{} lies in the source folder of the job `{}`; keep the state outside of it",
        quoted_path(folder),
        job.name
    );
    Err(root.problem_of(key, message))
}

fn copy_elsewhere(root: &Section<'_>, state_dir: &Path, copy: &Path) -> Result<(), Reported> {
    let (state, plain) = (normalised(state_dir), normalised(copy));
    if plain.starts_with(&state) || state.starts_with(&plain) {
        let message = format!(
            "{} and `state_dir` lie in one another; name a folder on another disk",
            quoted_path(copy)
        );
        return Err(root.problem_of("state_copy", message));
    }
    Ok(())
}

fn log_options(root: &Section<'_>) -> Result<LogOptions, Reported> {
    let default = LogOptions {
        level: LevelFilter::Info,
        file: None,
        rotation: DEFAULT_LOG,
    };
    root.read("log", default, |field| {
        let section = field.section(&[LOG_KEYS])?;
        let level = section.read("level", LevelFilter::Info, level);
        let file = section.optional("file", Field::absolute_path);
        let rotation = read_rotation(&section, DEFAULT_LOG);
        Ok(LogOptions {
            level: level?,
            file: file?,
            rotation: rotation?,
        })
    })
}

fn level(field: &Field<'_>) -> Result<LevelFilter, Reported> {
    let known = [
        LevelFilter::Error,
        LevelFilter::Warn,
        LevelFilter::Info,
        LevelFilter::Debug,
        LevelFilter::Trace,
        LevelFilter::Off,
    ];
    Ok(known[field.choice(&["error", "warn", "info", "debug", "trace", "off"])?])
}

fn events(field: &Field<'_>) -> Result<(Rotation, u64), Reported> {
    let section = field.section(&[EVENTS_KEYS])?;
    let rotation = read_rotation(&section, DEFAULT_EVENTS);
    let shown = section.read("shown", DEFAULT_SHOWN, |field| {
        field.count(1..=u64::from(u32::MAX), "1 or more")
    });
    Ok((rotation?, shown?))
}

fn read_rotation(section: &Section<'_>, default: Rotation) -> Result<Rotation, Reported> {
    let max_size = section.read("max_size", default.max_size, |field| {
        field.size(4096..=u64::MAX, "4KiB or more")
    });
    let files = section.read("files", u64::from(default.files), |field| {
        field.count(1..=100, "1 to 100")
    });
    Ok(rotation(max_size?, files? as u32))
}

/// A placeholder whose value is wrong is still known, lest every template that
/// uses it be reported as well.
fn placeholders(root: &Section<'_>) -> BTreeMap<String, String> {
    let entries = root.optional("placeholders", Field::entries);
    let Ok(Some(entries)) = entries else {
        return BTreeMap::new();
    };
    let entry = |(name, field): (&str, Field<'_>)| {
        (
            name.to_string(),
            placeholder(name, &field).unwrap_or_default(),
        )
    };
    entries.into_iter().map(entry).collect()
}

fn placeholder(name: &str, field: &Field<'_>) -> Result<String, Reported> {
    let word = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if name.is_empty() || !word {
        return Err(field.problem("the name stands in `<…>`; use letters, digits, `_` and `-`"));
    }
    if BUILT_IN.contains(&name) {
        return Err(field.problem(format!(
            "`<{name}>` is built in and means the file at hand; choose another name"
        )));
    }
    Ok(field.resolved(Kind::Id)?.value)
}
