//! Information events: what happened, for the people who look after the device.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;

use super::{VERSION, timestamp};
use crate::text::escape_bytes;

/// An event, ready to be written. Made by [`Event::new`] and the methods after it.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// When it happened.
    pub time: OffsetDateTime,
    /// The job that it is about; `None` for the service as a whole.
    pub job: Option<&'a str>,
    /// What happened.
    pub kind: EventKind,
    /// How bad it is.
    pub severity: Severity,
    /// The source file's path, as the file system has it.
    pub source_path: Option<&'a [u8]>,
    /// The object's key.
    pub key: Option<&'a str>,
    /// One sentence for people.
    pub message: Cow<'a, str>,
    /// Why it failed.
    pub error: Option<EventError<'a>>,
}

/// The `error` of an event.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EventError<'a> {
    /// The class that decides about a retry, such as `network` or `permission`.
    pub class: &'a str,
    /// S3's word for it, such as `AccessDenied`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'a str>,
    /// The status of the answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// `x-amz-request-id`, for the store's support.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// An event of the service; the methods below tell more.
    pub fn new(
        time: OffsetDateTime,
        kind: EventKind,
        severity: Severity,
        message: impl Into<Cow<'a, str>>,
    ) -> Event<'a> {
        Event {
            time,
            job: None,
            kind,
            severity,
            source_path: None,
            key: None,
            message: message.into(),
            error: None,
        }
    }

    /// The job that it is about.
    pub fn job(self, name: &'a str) -> Event<'a> {
        Event {
            job: Some(name),
            ..self
        }
    }

    /// The source file that it is about.
    pub fn source_path(self, path: &'a [u8]) -> Event<'a> {
        Event {
            source_path: Some(path),
            ..self
        }
    }

    /// The object that it is about.
    pub fn key(self, key: &'a str) -> Event<'a> {
        Event {
            key: Some(key),
            ..self
        }
    }

    /// Why it failed.
    pub fn error(self, error: EventError<'a>) -> Event<'a> {
        Event {
            error: Some(error),
            ..self
        }
    }

    /// The event as one line of `events.jsonl`, without the newline.
    pub fn to_line(&self) -> Vec<u8> {
        let line = Line {
            v: VERSION,
            time: timestamp(self.time),
            job: self.job,
            kind: self.kind,
            severity: self.severity,
            source_path: self.source_path.map(escape_bytes),
            key: self.key,
            message: &self.message,
            error: self.error.as_ref(),
        };
        // Strings and numbers under constant names: serde_json has no way to fail.
        serde_json::to_vec(&line).unwrap_or_default()
    }
}

/// The stored form, its fields in their order.
#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    kind: EventKind,
    severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a EventError<'a>>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The first request for a file is about to be sent.
    UploadStarted,
    /// The object is there, confirmed by S3.
    UploadFinished,
    /// An attempt failed; whether another follows is in the message.
    UploadFailed,
    /// The destination cannot be reached any more.
    ConnectionFailed,
    /// The destination can be reached again.
    ConnectionRestored,
    /// An upload goes on with the parts that are already there.
    UploadResumed,
    /// A file will not be uploaded.
    FileSkipped,
    /// A file changed while it was being read.
    FileChanged,
    /// A job waits for somebody to change permissions, credentials or configuration.
    JobBlocked,
    /// A blocked job works again.
    JobUnblocked,
    /// A pass that did something is over.
    PassFinished,
    /// The service is ready.
    ServiceStarted,
    /// The service ends in good order.
    ServiceStopped,
    /// A changed configuration is in force.
    ConfigurationReloaded,
    /// A changed configuration has mistakes; the old one stays in force.
    ConfigurationRejected,
    /// A job was paused at run time.
    ProcessingPaused,
    /// A paused job goes on.
    ProcessingResumed,
    /// A record file had a torn tail.
    RecordRepaired,
    /// S3's clock is used, because the device's is wrong.
    ClockCorrected,
    /// Files that are uploaded were removed, or none was left, to keep the source's disk free.
    FilesPruned,
}

impl EventKind {
    /// The kind's name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::UploadStarted => "upload_started",
            EventKind::UploadFinished => "upload_finished",
            EventKind::UploadFailed => "upload_failed",
            EventKind::ConnectionFailed => "connection_failed",
            EventKind::ConnectionRestored => "connection_restored",
            EventKind::UploadResumed => "upload_resumed",
            EventKind::FileSkipped => "file_skipped",
            EventKind::FileChanged => "file_changed",
            EventKind::JobBlocked => "job_blocked",
            EventKind::JobUnblocked => "job_unblocked",
            EventKind::PassFinished => "pass_finished",
            EventKind::ServiceStarted => "service_started",
            EventKind::ServiceStopped => "service_stopped",
            EventKind::ConfigurationReloaded => "configuration_reloaded",
            EventKind::ConfigurationRejected => "configuration_rejected",
            EventKind::ProcessingPaused => "processing_paused",
            EventKind::ProcessingResumed => "processing_resumed",
            EventKind::RecordRepaired => "record_repaired",
            EventKind::ClockCorrected => "clock_corrected",
            EventKind::FilesPruned => "files_pruned",
        }
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How bad an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Not as it should be, and the service can deal with it.
    Warning,
    /// Somebody has to do something.
    Error,
}

impl Severity {
    /// The severity's name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An event as it was read: its words may be those of a newer version, and fields that
/// are not known here are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EventLine {
    /// Version of the format.
    pub v: u32,
    /// RFC 3339, UTC.
    pub time: String,
    /// The job that it is about.
    pub job: Option<String>,
    /// What happened, in the words of [`EventKind::as_str`].
    pub kind: String,
    /// How bad it is, in the words of [`Severity::as_str`].
    pub severity: String,
    /// As [`escape_bytes`] made it.
    pub source_path: Option<String>,
    /// The object's key.
    pub key: Option<String>,
    /// One sentence for people.
    pub message: String,
    /// Why it failed.
    pub error: Option<EventErrorLine>,
}

/// The `error` of an [`EventLine`]; its fields are those of [`EventError`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EventErrorLine {
    /// The class that decides about a retry.
    pub class: String,
    /// S3's word for it.
    pub code: Option<String>,
    /// The status of the answer.
    pub http_status: Option<u16>,
    /// `x-amz-request-id`.
    pub request_id: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl EventLine {
    /// Reads a line of `events.jsonl`; `None` if it is none.
    pub fn parse(line: &[u8]) -> Option<EventLine> {
        serde_json::from_slice(line).ok()
    }
}
