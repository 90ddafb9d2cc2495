//! `s3ferry history` and `s3ferry events`: the records, as tables, CSV or as they are.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::PollFlags;

use super::arguments::{Command, Form, Invocation};
use super::records::{self, Look, belongs_to_job};
use super::view::View;
use super::{colour, complain, exit, record_path, table_width};
use crate::clock;
use crate::os::signals::{Signals, Woken};
use crate::record::{Follower, read_last};

/// How often `--follow` looks for new events.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub fn run(invocation: &Invocation) -> u8 {
    let view = match View::load(invocation) {
        Ok(view) => view,
        Err(code) => return code,
    };
    let shown = if invocation.follow {
        follow(invocation, &view)
    } else {
        show(invocation, &view)
    };
    let problem = match shown {
        Ok(()) => return view.code,
        // The reader has seen enough.
        Err(Trouble::Writing(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return view.code;
        }
        Err(Trouble::Writing(error)) => format!("cannot write to standard output: {error}"),
        Err(Trouble::Reading(error)) => {
            let folder = view.records_dir.display();
            format!("cannot read the records in `{folder}`: {error}")
        }
    };
    complain(&format!("s3ferry: {problem}"));
    exit::LOCAL
}

/// Where the command got stuck.
enum Trouble {
    Reading(io::Error),
    Writing(io::Error),
}

/// File, number of files, and how many records are shown.
fn source(invocation: &Invocation, view: &View) -> (PathBuf, u32, usize) {
    let (name, files, usual) = match invocation.command {
        Command::Events => ("events.jsonl", view.events_files, view.events_shown),
        _ => ("history.jsonl", view.history_files, usize::MAX),
    };
    (
        record_path(&view.records_dir, name),
        files,
        invocation.count.unwrap_or(usual),
    )
}

fn show(invocation: &Invocation, view: &View) -> Result<(), Trouble> {
    let (path, files, count) = source(invocation, view);
    let mut wanted = |line: &[u8]| belongs_to_job(line, &invocation.jobs);
    let (lines, damaged) = read_last(&path, files, count, &mut wanted).map_err(Trouble::Reading)?;
    let mut out = io::stdout().lock();
    let skipped = write(invocation, view, &lines, &mut out)
        .and_then(|skipped| out.flush().map(|()| skipped))
        .map_err(Trouble::Writing)?;
    warn_of(damaged + skipped, &path);
    Ok(())
}

/// Writes the records in the form that is asked for; the number of lines that are no records.
fn write(
    invocation: &Invocation,
    view: &View,
    lines: &[Vec<u8>],
    out: &mut dyn Write,
) -> io::Result<usize> {
    let zone = view.time_zone;
    let zone_offset = move |moment| clock::in_zone(moment, zone).offset();
    let look = Look {
        width: table_width(),
        zone_offset: &zone_offset,
        colour: colour(),
    };
    match (invocation.form, invocation.command) {
        (Form::Json, Command::Events) => records::events_json(lines, out),
        (Form::Json, _) => records::history_json(lines, out),
        (Form::Csv, Command::Events) => records::events_csv(lines, out),
        (Form::Csv, _) => records::history_csv(lines, out),
        (Form::Table, Command::Events) => records::events_table(lines, look, out),
        (Form::Table, _) => records::history_table(lines, look, out),
    }
}

fn warn_of(skipped: usize, path: &std::path::Path) {
    if skipped > 0 {
        complain(&format!(
            "s3ferry: {skipped} damaged lines in `{}` are skipped",
            path.display()
        ));
    }
}

/// The last events, then each new one, until a signal or until nobody reads any more.
fn follow(invocation: &Invocation, view: &View) -> Result<(), Trouble> {
    let signals = Signals::install().map_err(Trouble::Reading)?;
    let (path, files, count) = source(invocation, view);
    let mut wanted = |line: &[u8]| belongs_to_job(line, &invocation.jobs);
    let (mut follower, lines, damaged) =
        Follower::open(&path, files, count, &mut wanted).map_err(Trouble::Reading)?;
    let mut out = io::stdout().lock();
    let skipped = write(invocation, view, &lines, &mut out)
        .and_then(|skipped| out.flush().map(|()| skipped))
        .map_err(Trouble::Writing)?;
    warn_of(damaged + skipped, &path);
    while somebody_reads(&out, &signals).map_err(Trouble::Writing)? {
        let new: Vec<Vec<u8>> = follower
            .poll()
            .map_err(Trouble::Reading)?
            .into_iter()
            .filter(|line| belongs_to_job(line, &invocation.jobs))
            .collect();
        if !new.is_empty() {
            write_followed(invocation, view, &new, &mut out)
                .and_then(|()| out.flush())
                .map_err(Trouble::Writing)?;
        }
    }
    Ok(())
}

/// Waits until it is time to look again. False: a signal came, or the other end of the pipe has
/// closed, which the kernel tells without being asked for anything.
fn somebody_reads(out: &impl AsFd, signals: &Signals) -> io::Result<bool> {
    let until = Some(clock::monotonic() + LOOK_EVERY);
    let woken = signals.wait_for_socket(out.as_fd(), PollFlags::empty(), until)?;
    Ok(woken == Woken::TimedOut)
}

/// As [`write`], without what only belongs to the first lines.
fn write_followed(
    invocation: &Invocation,
    view: &View,
    lines: &[Vec<u8>],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut text = Vec::new();
    write(invocation, view, lines, &mut text)?;
    let header = usize::from(invocation.form != Form::Json);
    for line in text.split_inclusive(|byte| *byte == b'\n').skip(header) {
        out.write_all(line)?;
    }
    Ok(())
}
