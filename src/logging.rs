//! The log: standard error, and a rotating file where one is configured.
//!
//! Levels are a contract. `error`: something needs a person. `warn`: something went wrong that
//! s3ferry deals with by itself, or that will need a person. `info`: what was done, a line a file.
//! `debug`: each request with its status and time, each connection. `trace`: nothing more at
//! present. Secrets stand in none of them: lines of the libraries, which know headers, are left
//! out at every level.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use log::LevelFilter;
use simplelog::{CombinedLogger, Config, ConfigBuilder, SharedLogger, WriteLogger};

use crate::config::model::{LogOptions, Rotation};
use crate::os::durable::cure_of_folder;

/// Starts logging, once a process. A log file that cannot be opened is no reason not to run; it is
/// said on standard error.
pub fn start(options: &LogOptions) {
    let style = if runs_under_journal() {
        Style::Journal
    } else if crate::progress::on_terminal() {
        Style::Terminal
    } else {
        Style::Plain
    };
    let config = match style {
        // The journal has its own time.
        Style::Journal => config(LevelFilter::Off),
        Style::Terminal | Style::Plain => config(LevelFilter::Error),
    };
    let mut loggers: Vec<Box<dyn SharedLogger>> = vec![WriteLogger::new(
        LevelFilter::Trace,
        config,
        Lines::new(StandardError { style }),
    )];
    let mut trouble = None;
    if let Some(path) = &options.file {
        match LogFile::open(path, options.rotation) {
            Ok(file) => loggers.push(WriteLogger::new(
                LevelFilter::Trace,
                self::config(LevelFilter::Error),
                Lines::new(file),
            )),
            Err(error) => {
                let (shown, cure) = (path.display(), cure_of_folder(&error));
                trouble = Some(format!("cannot log to `{shown}`: {error}; {cure}"));
            }
        }
    }
    // Fails only where a logger is set already, which then is the one to use.
    let _ = CombinedLogger::init(loggers);
    log::set_max_level(options.level);
    if let Some(trouble) = trouble {
        log::error!("{trouble}");
    }
}

fn config(time: LevelFilter) -> Config {
    ConfigBuilder::new()
        .set_time_level(time)
        .set_time_format_custom(time::macros::format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .add_filter_allow_str("s3ferry")
        .build()
}

/// systemd names the journal's socket by device and inode. The variable is inherited, so it tells
/// nothing of a standard error that was led elsewhere since (systemd.exec(5)).
fn runs_under_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    let stderr = rustix::fs::fstat(io::stderr()).ok();
    match (stream, stderr) {
        (Some(stream), Some(stat)) => stream == format!("{}:{}", stat.st_dev, stat.st_ino),
        _ => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    /// A progress line may stand where the log line goes.
    Terminal,
    /// Lines begin with `<N>`, sd-daemon(3).
    Journal,
}

/// Passes on whole lines only: simplelog writes a record in pieces, and a system call each.
struct Lines<W: Write> {
    line: Vec<u8>,
    to: W,
}

impl<W: Write> Lines<W> {
    fn new(to: W) -> Self {
        Lines {
            line: Vec::new(),
            to,
        }
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            let written = self.to.write_all(&self.line);
            self.line.clear();
            written?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

struct StandardError {
    style: Style,
}

impl Write for StandardError {
    /// One whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let before: &[u8] = match self.style {
            Style::Plain => b"",
            Style::Terminal => b"\r\x1b[K",
            Style::Journal => journal_priority(line),
        };
        io::stderr().write_all(&[before, line].concat())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn journal_priority(line: &[u8]) -> &'static [u8] {
    match line {
        [b'[', b'E', ..] => b"<3>",
        [b'[', b'W', ..] => b"<4>",
        [b'[', b'D' | b'T', ..] => b"<7>",
        _ => b"<6>",
    }
}

/// A log file that is renamed to `.1`, `.2`, … when it is full.
struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
}

impl LogFile {
    fn open(path: &Path, rotation: Rotation) -> io::Result<LogFile> {
        let file = append_to(path)?;
        Ok(LogFile {
            path: path.to_owned(),
            rotation,
            size: file.metadata()?.len(),
            file,
        })
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.rotation.files).rev() {
            let from = match number {
                1 => self.path.clone(),
                _ => self.numbered(number - 1),
            };
            if from.exists() {
                std::fs::rename(from, self.numbered(number))?;
            }
        }
        if self.rotation.files == 1 {
            std::fs::remove_file(&self.path)?;
        }
        self.file = append_to(&self.path)?;
        self.size = 0;
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.size > 0 && self.size + bytes.len() as u64 > self.rotation.max_size {
            // A file that cannot be renamed goes on growing rather than losing what is logged.
            let _ = self.rotate();
        }
        self.file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
