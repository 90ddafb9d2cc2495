//! What `s3ferry history` and `s3ferry events` print, made from stored lines.
//!
//! Every function returns how many lines were JSON but no record of its kind; they are
//! left out, and it is for the caller to say so.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use serde::Deserialize;
use time::{OffsetDateTime, UtcOffset};

use super::table::{Column, Table};
use crate::record::{EventLine, HistoryEntry, parse_timestamp};
use crate::text::{human_rate, human_size, printable};

/// From this width on, a table shows what is good to have, too.
const WIDE: usize = 120;

/// How a table is to look.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// Terminal columns; `None` for a pipe, where nothing is shortened.
    pub width: Option<usize>,
    /// The time zone's offset at a moment.
    pub zone_offset: &'a dyn Fn(OffsetDateTime) -> UtcOffset,
    /// Whether escape sequences are welcome.
    pub colour: bool,
}

impl fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A function has nothing to show.
        f.debug_struct("Look")
            .field("width", &self.width)
            .field("colour", &self.colour)
            .finish_non_exhaustive()
    }
}

impl Look<'_> {
    fn is_wide(&self) -> bool {
        self.width.is_none_or(|width| width >= WIDE)
    }

    /// The time in the time zone; `None` if the text is no time.
    fn local(&self, timestamp: &str) -> Option<OffsetDateTime> {
        let time = parse_timestamp(timestamp)?;
        let offset = (self.zone_offset)(time);
        Some(time.checked_to_offset(offset).unwrap_or(time))
    }

    /// `2026-11-22 14:05:09` in the time zone; a text that is no time stays what it is.
    fn time(&self, timestamp: &str) -> String {
        match self.local(timestamp) {
            Some(time) => [&time.date().to_string(), " ", &clock(time)].concat(),
            None => timestamp.to_owned(),
        }
    }

    /// As [`Look::time`], but on a narrow terminal with nothing of the day but how many it
    /// is after the start's: `14:06:29`, `00:00:09 +1d`.
    fn end_time(&self, started: &str, finished: &str) -> String {
        let (Some(start), Some(end)) = (self.local(started), self.local(finished)) else {
            return self.time(finished);
        };
        match end.to_julian_day() - start.to_julian_day() {
            0 if !self.is_wide() => clock(end),
            days @ 1.. if !self.is_wide() => format!("{} +{days}d", clock(end)),
            _ => self.time(finished),
        }
    }
}

fn clock(time: OffsetDateTime) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// Whether a stored line belongs to one of the jobs; to any, if none is named.
pub fn belongs_to_job(line: &[u8], jobs: &[String]) -> bool {
    #[derive(Deserialize)]
    struct JobOf<'a> {
        #[serde(borrow)]
        job: Cow<'a, str>,
    }
    jobs.is_empty()
        || serde_json::from_slice::<JobOf>(line)
            .is_ok_and(|line| jobs.iter().any(|job| *job == line.job))
}

/// The Upload History Table: when each upload started and finished, its file, size and
/// average speed; where there is room, its job and key; and a line that sums up. Where there is too
/// little room for the file's path, the end and the speed are left out.
///
/// # Errors
/// `out` cannot be written.
pub fn history_table(lines: &[Vec<u8>], look: Look, out: &mut dyn Write) -> io::Result<usize> {
    let room_from = |width: usize| look.width.is_none_or(|room| room >= width);
    let columns = [
        (Column::left("Started"), true),
        (Column::left("Finished"), room_from(80)),
        (Column::flexible("Source file"), true),
        (Column::right("Size"), true),
        (Column::right("Speed"), room_from(70)),
        (Column::flexible("Job"), look.is_wide()),
        (Column::flexible("Key"), look.is_wide()),
    ];
    let shown = |(_, is_shown): &(Column, bool)| *is_shown;
    let heads: Vec<Column> = columns
        .iter()
        .copied()
        .filter(shown)
        .map(|(head, _)| head)
        .collect();
    let mut table = Table::new(&heads);
    let (mut uploads, mut bytes) = (0_usize, 0_u64);
    for entry in lines.iter().filter_map(|line| HistoryEntry::parse(line)) {
        let cells = [
            &look.time(&entry.started_at),
            &look.end_time(&entry.started_at, &entry.finished_at),
            &entry.source_path,
            &human_size(entry.size),
            &speed(&entry),
            &entry.job,
            &entry.key,
        ];
        let cells = columns
            .iter()
            .zip(cells)
            .filter(|(column, _)| shown(column));
        table.row(&cells.map(|(_, cell)| cell.as_str()).collect::<Vec<_>>());
        uploads += 1;
        bytes = bytes.saturating_add(entry.size);
    }
    if table.is_empty() {
        writeln!(out, "no uploads yet")?;
    } else {
        table.write(look.width, look.colour, out)?;
        let plural = if uploads == 1 { "" } else { "s" };
        writeln!(out, "{uploads} upload{plural}, {}", human_size(bytes))?;
    }
    Ok(lines.len() - uploads)
}

fn speed(entry: &HistoryEntry) -> String {
    // Its bytes were there already.
    if entry.size > 0 && entry.bytes_per_second == 0 {
        return "-".to_owned();
    }
    human_rate(entry.bytes_per_second)
}

/// The Events Table. Where there is room, with the event's kind (otherwise its message has
/// to do) and with an error's hint.
///
/// # Errors
/// `out` cannot be written.
pub fn events_table(lines: &[Vec<u8>], look: Look, out: &mut dyn Write) -> io::Result<usize> {
    let wide = look.is_wide();
    let mut columns = vec![
        Column::left("Time"),
        Column::left("Severity"),
        Column::flexible("Job"),
        Column::flexible("What"),
    ];
    if wide {
        columns.insert(3, Column::left("Event"));
    }
    let mut table = Table::new(&columns);
    let mut events = 0;
    for event in lines.iter().filter_map(|line| EventLine::parse(line)) {
        let (time, what) = (look.time(&event.time), what(&event, wide));
        let job = event.job.as_deref().unwrap_or("-");
        let mut cells = vec![time.as_str(), &event.severity, job, &what];
        if wide {
            cells.insert(3, &event.kind);
        }
        table.row(&cells);
        events += 1;
    }
    if table.is_empty() {
        writeln!(out, "no events yet")?;
    } else {
        table.write(look.width, look.colour, out)?;
    }
    Ok(lines.len() - events)
}

/// The message, with the path if it does not name it, and the hint.
fn what(event: &EventLine, with_hint: bool) -> String {
    let mut what = event.message.clone();
    if let Some(path) = event
        .source_path
        .as_deref()
        .filter(|path| !what.contains(path))
    {
        what = [&what, " (", path, ")"].concat();
    }
    let hint = event.error.as_ref().and_then(|error| error.hint.as_deref());
    match hint.filter(|_| with_hint) {
        Some(hint) => [&what, " — ", hint].concat(),
        None => what,
    }
}

/// The history as CSV: a header, every field, times in UTC. See [`Csv`] for the quoting.
///
/// # Errors
/// `out` cannot be written.
pub fn history_csv(lines: &[Vec<u8>], out: &mut dyn Write) -> io::Result<usize> {
    let mut csv = Csv::new(
        out,
        "v,job,source_path,size,bucket,key,started_at,finished_at,seconds,bytes_per_second,\
         parts,attempts,resumed_bytes,etag,checksum,version_id,after_upload",
    )?;
    for entry in lines.iter().filter_map(|line| HistoryEntry::parse(line)) {
        csv.number(entry.v)
            .text(&entry.job)
            .text(&entry.source_path)
            .number(entry.size)
            .text(&entry.bucket)
            .text(&entry.key)
            .text(&entry.started_at)
            .text(&entry.finished_at)
            .plain(&serde_json::to_string(&entry.seconds)?)
            .number(entry.bytes_per_second)
            .number(entry.parts)
            .number(entry.attempts)
            .number(entry.resumed_bytes)
            .optional(entry.etag.as_deref())
            .optional(entry.checksum.as_deref())
            .optional(entry.version_id.as_deref())
            .text(&entry.after_upload);
        csv.end_row()?;
    }
    Ok(lines.len() - csv.rows)
}

/// The events as CSV: a header, every field, times in UTC. See [`Csv`] for the quoting.
///
/// # Errors
/// `out` cannot be written.
pub fn events_csv(lines: &[Vec<u8>], out: &mut dyn Write) -> io::Result<usize> {
    let mut csv = Csv::new(
        out,
        "v,time,job,kind,severity,source_path,key,message,error_class,error_code,\
         error_http_status,error_request_id,error_hint",
    )?;
    for event in lines.iter().filter_map(|line| EventLine::parse(line)) {
        let error = event.error.unwrap_or_default();
        csv.number(event.v)
            .text(&event.time)
            .optional(event.job.as_deref())
            .text(&event.kind)
            .text(&event.severity)
            .optional(event.source_path.as_deref())
            .optional(event.key.as_deref())
            .text(&event.message)
            .text(&error.class)
            .optional(error.code.as_deref())
            .plain(
                &error
                    .http_status
                    .map(|status| status.to_string())
                    .unwrap_or_default(),
            )
            .optional(error.request_id.as_deref())
            .optional(error.hint.as_deref());
        csv.end_row()?;
    }
    Ok(lines.len() - csv.rows)
}

/// The stored lines of the history as they are.
///
/// # Errors
/// `out` cannot be written.
pub fn history_json(lines: &[Vec<u8>], out: &mut dyn Write) -> io::Result<usize> {
    json(lines, |line| HistoryEntry::parse(line).is_some(), out)
}

/// The stored lines of the events as they are.
///
/// # Errors
/// `out` cannot be written.
pub fn events_json(lines: &[Vec<u8>], out: &mut dyn Write) -> io::Result<usize> {
    json(lines, |line| EventLine::parse(line).is_some(), out)
}

fn json(
    lines: &[Vec<u8>],
    is_record: impl Fn(&[u8]) -> bool,
    out: &mut dyn Write,
) -> io::Result<usize> {
    let mut skipped = 0;
    for line in lines {
        if !is_record(line) {
            skipped += 1;
            continue;
        }
        out.write_all(line)?;
        out.write_all(b"\n")?;
    }
    Ok(skipped)
}

/// Rows of comma-separated values, quoted by RFC 4180 but ended by a plain newline, as the
/// tools of a Unix system want it.
///
/// A text that starts with `=`, `+`, `-` or `@` gets a `'` before it: a spreadsheet would
/// run it as a formula, and a file's name is not the device owner's word. Control
/// characters are escaped, so a row is always one line.
struct Csv<'a> {
    out: &'a mut dyn Write,
    row: String,
    rows: usize,
}

impl<'a> Csv<'a> {
    fn new(out: &'a mut dyn Write, header: &str) -> io::Result<Csv<'a>> {
        writeln!(out, "{header}")?;
        Ok(Csv {
            out,
            row: String::new(),
            rows: 0,
        })
    }

    fn text(&mut self, text: &str) -> &mut Self {
        let mut text = printable(text.as_bytes());
        if text.starts_with(['=', '+', '-', '@']) {
            text.insert(0, '\'');
        }
        if text.contains(['"', ',']) {
            text = ["\"", &text.replace('"', "\"\""), "\""].concat();
        }
        self.plain(&text)
    }

    fn optional(&mut self, text: Option<&str>) -> &mut Self {
        self.text(text.unwrap_or(""))
    }

    fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        self.plain(&number.into().to_string())
    }

    fn plain(&mut self, text: &str) -> &mut Self {
        self.row.push_str(text);
        self.row.push(',');
        self
    }

    fn end_row(&mut self) -> io::Result<()> {
        self.row.pop();
        self.row.push('\n');
        self.rows += 1;
        self.out.write_all(self.row.as_bytes())?;
        self.row.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
