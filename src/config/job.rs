//! One job: what, where from, when and what then. The destination and the larger
//! groups have files of their own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::fields::{Field, Reported};
use super::folders::would_be_sent_again;
use super::model::{
    AfterUpload, Job, JobPlaces, ObjectOptions, Order, TlsOptions, TlsPlaces, Window,
};
use super::names;
use super::secrets::Kind;
use super::section::Section;
use super::wording::{any_of, nearest, quoted, unknown_word};
use super::{credentials, destination, object, proxy, space, transfer};
use crate::naming::Template;
use crate::source::filter::Filter;

pub(super) const JOB_KEYS: &[&str] = &[
    "name",
    "processing_state",
    "host",
    "port",
    "tls",
    "bucket",
    "region",
    "endpoint",
    "addressing",
    "endpoint_options",
    "prefix",
    "source_path",
    "recursive",
    "follow_symlinks",
    "filter",
    "change_filename",
    "interval",
    "settle",
    "order",
    "windows",
    "windows_override",
    "after_upload",
    "prune",
    "credentials",
    "access_key",
    "secret_key",
    "session_token",
    "proxy",
    "device_address",
    "tls_options",
    "object",
    "transfer",
];

pub(super) const AFTER_UPLOAD_KEYS: &[&str] = &["move_to"];

pub(super) const TLS_KEYS: &[&str] = &[
    "ca_file",
    "built_in_roots",
    "client_certificate",
    "client_key",
];

const DEFAULT_INTERVAL: Duration = Duration::from_secs(3600);
const DEFAULT_SETTLE: Duration = Duration::from_secs(10);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// `name` has been read before, as it is compared with the other jobs' names.
pub(super) fn read(
    section: &Section<'_>,
    name: Result<String, Reported>,
    placeholders: &BTreeMap<String, String>,
) -> Result<Job, Reported> {
    let destination = destination::read(section);
    let tls = destination.as_ref().ok().map(|destination| destination.tls);
    let source_path = source_path(section);
    let recursive = section.read("recursive", false, Field::boolean);
    let after_upload = after_upload(section, &source_path, recursive);
    let enabled = section.read("processing_state", true, |field| {
        Ok(field.choice(&["enabled", "disabled"])? == 0)
    });
    let prefix = section.read("prefix", String::new(), prefix);
    let follow_symlinks = section.read("follow_symlinks", false, Field::boolean);
    let filter = section.read("filter", None, filter);
    let change_filename = section.read("change_filename", None, |field| {
        change_filename(field, placeholders)
    });
    let interval = section.read("interval", DEFAULT_INTERVAL, |field| {
        field.duration(Duration::from_secs(1)..=YEAR, "1s to 365d")
    });
    let settle = section.read("settle", DEFAULT_SETTLE, |field| {
        field.duration(Duration::ZERO..=YEAR, "0s to 365d")
    });
    let order = section.read("order", Order::Oldest, order);
    let windows = section.read("windows", Vec::new(), windows);
    let windows_override = space::windows_override(section, &windows);
    let prune = space::prune(section, &after_upload);
    let credentials = credentials::read(section);
    let proxy = proxy::read(section);
    let tls_options = section.read("tls_options", TlsOptions::default(), |field| {
        tls_options(field, tls)
    });
    let object = section.read("object", ObjectOptions::default(), |field| {
        object::read(field, tls)
    });
    let transfer = transfer::read(section, destination.as_ref().ok());
    Ok(Job {
        name: name?,
        enabled: enabled?,
        destination: destination?,
        prefix: prefix?,
        source_path: source_path?,
        recursive: recursive?,
        follow_symlinks: follow_symlinks?,
        filter: filter?,
        change_filename: change_filename?,
        interval: interval?,
        settle: settle?,
        order: order?,
        windows: windows?,
        windows_override: windows_override?,
        after_upload: after_upload?,
        prune: prune?,
        credentials: credentials?,
        proxy: proxy?,
        tls: tls_options?,
        object: object?,
        transfer: transfer?,
    })
}

pub(super) fn places(section: &Section<'_>) -> JobPlaces {
    JobPlaces {
        source_path: section.place_of("source_path"),
        after_upload: section.place_of("after_upload"),
        tls: TlsPlaces {
            ca_file: section.place_at(&["tls_options", "ca_file"]),
            client_certificate: section.place_at(&["tls_options", "client_certificate"]),
            client_key: section.place_at(&["tls_options", "client_key"]),
        },
        retain_until: section.place_at(&["object", "object_lock", "retain_until"]),
    }
}

/// The job's name, or `derived` where it has none.
pub(super) fn name(section: &Section<'_>, derived: &str) -> Result<String, Reported> {
    section.read("name", derived.to_string(), |field| {
        let text = field.resolved(Kind::Id)?;
        names::check_job_name(&text.value)
            .map_err(|cause| field.problem(format!("{} {cause}", text.shown())))?;
        Ok(text.value)
    })
}

fn source_path(section: &Section<'_>) -> Result<PathBuf, Reported> {
    match section.get("source_path") {
        Some(field) => field.absolute_path(),
        None => Err(section.missing("source_path", "name the folder that holds the files")),
    }
}

fn prefix(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.resolved(Kind::Id)?;
    names::check_prefix(&text.value)
        .map_err(|cause| field.problem(format!("{} {cause}", text.shown())))?;
    Ok(text.value)
}

/// As in the seed, an empty filter takes every file.
fn filter(field: &Field<'_>) -> Result<Option<Filter>, Reported> {
    let pattern = field.text()?;
    if pattern.is_empty() {
        return Ok(None);
    }
    Filter::new(pattern)
        .map(Some)
        .map_err(|error| wrong_at(field, pattern, error.column, &error.message, &error.help))
}

/// As in the seed, an empty template keeps the name.
fn change_filename(
    field: &Field<'_>,
    placeholders: &BTreeMap<String, String>,
) -> Result<Option<Template>, Reported> {
    let text = field.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    Template::parse(text, placeholders)
        .map(Some)
        .map_err(|errors| {
            for error in errors {
                wrong_at(field, text, error.column, &error.message, &error.help);
            }
            Reported
        })
}

fn wrong_at(field: &Field<'_>, text: &str, column: usize, message: &str, help: &str) -> Reported {
    let separator = if help.is_empty() { "" } else { "; " };
    let text = quoted(text);
    field.problem_at(column, format!("{text}: {message}{separator}{help}"))
}

fn order(field: &Field<'_>) -> Result<Order, Reported> {
    let known = [Order::Oldest, Order::Newest, Order::Name, Order::Smallest];
    Ok(known[field.choice(&["oldest", "newest", "name", "smallest"])?])
}

fn windows(field: &Field<'_>) -> Result<Vec<Window>, Reported> {
    let windows: Vec<_> = field.items()?.iter().map(window).collect();
    windows.into_iter().collect()
}

fn window(field: &Field<'_>) -> Result<Window, Reported> {
    let text = field.text()?;
    let parsed = text.split_once('-').and_then(|(from, to)| {
        let (from, to) = (minutes(from)?, minutes(to)?);
        (from < 24 * 60).then_some(Window { from, to })
    });
    parsed.ok_or_else(|| {
        field.problem(format!(
            "{} is no window; write it like `22:00-06:00`",
            quoted(text)
        ))
    })
}

/// `HH:MM`, up to `24:00`.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hours) || !two_digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let time = hours * 60 + minutes;
    (minutes < 60 && time <= 24 * 60).then_some(time)
}

fn after_upload(
    section: &Section<'_>,
    source: &Result<PathBuf, Reported>,
    recursive: Result<bool, Reported>,
) -> Result<AfterUpload, Reported> {
    let Some(field) = section.get("after_upload") else {
        return Ok(AfterUpload::Keep);
    };
    match field.as_text() {
        Some("keep") => return Ok(AfterUpload::Keep),
        Some("delete") => return Ok(AfterUpload::Delete),
        Some(other) => return Err(field.problem(unknown_after_upload(other))),
        None if field.is_object() => {}
        None => {
            let words = any_of(&["keep", "delete", "{\"move_to\": \"/path\"}"]);
            return Err(field.unexpected(&words));
        }
    }
    let section = field.section(&[AFTER_UPLOAD_KEYS])?;
    let Some(field) = section.get("move_to") else {
        return Err(section.missing("move_to", "name the folder that takes the files"));
    };
    let folder = field.absolute_path()?;
    if let (Ok(source), Ok(recursive)) = (source, recursive)
        && let Some(cause) = would_be_sent_again(&folder, source, recursive)
    {
        return Err(field.problem(cause));
    }
    Ok(AfterUpload::MoveTo(folder))
}

/// Whoever writes `move`, or the folder itself, is led to the object that moves.
fn unknown_after_upload(text: &str) -> String {
    const WORDS: [&str; 2] = ["keep", "delete"];
    if nearest(text, &WORDS).is_some() {
        return unknown_word(text, &WORDS);
    }
    let shown = quoted(text);
    if text.starts_with('/') {
        format!("{shown} is a path; write `{{\"move_to\": \"/path\"}}` to move sent files there")
    } else if matches!(text, "move" | "move_to" | "moved") {
        format!("{shown} needs a folder; write `{{\"move_to\": \"/path\"}}`")
    } else {
        let forms = any_of(&["keep", "delete", "{\"move_to\": \"/path\"}"]);
        format!("{shown} is not known here; use {forms}")
    }
}

/// `tls` is `None` where the destination itself is wrong.
fn tls_options(field: &Field<'_>, tls: Option<bool>) -> Result<TlsOptions, Reported> {
    let section = field.section(&[TLS_KEYS])?;
    let path = |key| section.optional(key, Field::absolute_path);
    let ca_file = path("ca_file");
    let built_in_roots = section.optional("built_in_roots", Field::boolean);
    let client_certificate = path("client_certificate");
    let client_key = path("client_key");
    let (ca_file, built_in_roots) = (ca_file?, built_in_roots?);
    let (client_certificate, client_key) = (client_certificate?, client_key?);
    if built_in_roots == Some(false) && ca_file.is_none() {
        let cause = "`false` leaves no CA to trust; give `ca_file`, or leave it out";
        return Err(section.problem_of("built_in_roots", cause.to_string()));
    }
    for (key, given, other) in [
        (
            "client_key",
            client_key.is_some(),
            client_certificate.is_some(),
        ),
        (
            "client_certificate",
            client_certificate.is_some(),
            client_key.is_some(),
        ),
    ] {
        if other && !given {
            return Err(section.missing(key, "give the certificate and its key, or neither"));
        }
    }
    let given = ca_file.is_some() || client_certificate.is_some();
    if given && tls == Some(false) {
        return Err(field.problem("has no effect on plain HTTP; use TLS, or leave it out"));
    }
    Ok(TlsOptions {
        ca_file,
        built_in_roots,
        client_certificate,
        client_key,
    })
}
