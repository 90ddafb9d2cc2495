//! What went wrong with a request, and of which kind it is: the one table.
//!
//! The kind decides what happens next; nothing else looks at codes or statuses.

use std::fmt;
use std::io;
use std::time::Duration;

use super::answer::{self, ErrorAnswer};
use crate::transport::Stage;

mod network;

pub use network::NETWORK_HINTS;

/// What a failure means for the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The network or the server's connection: the same again after a while.
    Connection,
    /// The server cannot at the moment: the same again after a while.
    Temporary,
    /// The server wants less of it: the same again, and slower.
    Throttled,
    /// The keys are refused: nothing works until they are replaced.
    Credentials,
    /// The clocks are too far apart: sign again with the right time.
    Clock,
    /// Permission, bucket, region or a setting: nothing works until somebody changes something.
    Blocked,
    /// Only this file: the next one may work.
    ThisFile,
    /// A signal ended the wait.
    Stopped,
}

impl Class {
    /// As it stands in events.
    pub fn name(self) -> &'static str {
        match self {
            Class::Connection => "connection",
            Class::Temporary => "temporary",
            Class::Throttled => "throttled",
            Class::Credentials => "credentials",
            Class::Clock => "clock",
            Class::Blocked => "blocked",
            Class::ThisFile => "this_file",
            Class::Stopped => "stopped",
        }
    }

    /// Whether the same request can work later without anybody doing anything.
    pub fn is_temporary(self) -> bool {
        matches!(
            self,
            Class::Connection | Class::Temporary | Class::Throttled | Class::Clock
        )
    }
}

/// A request that did not work.
#[derive(Debug, Clone)]
pub struct Failure {
    pub class: Class,
    /// S3's name of the operation: `PutObject`.
    pub operation: &'static str,
    /// S3's error code, or a name of ours for what the transport reports.
    pub code: Option<String>,
    pub http_status: Option<u16>,
    pub request_id: Option<String>,
    /// One line, without secrets.
    pub message: String,
    /// What the user can do, by the table.
    pub hint: Option<&'static str>,
    /// The same, by the settings of the job, where these make a difference.
    pub advice: Option<String>,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
    /// `<Region>` or `x-amz-bucket-region`.
    pub region: Option<String>,
    /// Where the request ended; `None` before it began.
    pub stage: Option<Stage>,
    /// The exchange failed on a connection from the pool, which the server may have closed long
    /// before.
    pub on_reused_connection: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        match (&self.code, self.http_status) {
            (Some(code), Some(status)) => write!(f, "{code} (HTTP {status})")?,
            (Some(code), None) => f.write_str(code)?,
            (None, Some(status)) => write!(f, "HTTP {status}")?,
            (None, None) => {}
        }
        if !self.message.is_empty() {
            let separator = if self.code.is_some() || self.http_status.is_some() {
                ": "
            } else {
                ""
            };
            write!(f, "{separator}{}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// A failure of our own making, before or after the exchange.
    pub fn new(class: Class, operation: &'static str, message: impl Into<String>) -> Failure {
        Failure {
            class,
            operation,
            code: None,
            http_status: None,
            request_id: None,
            message: message.into(),
            hint: None,
            advice: None,
            retry_after: None,
            region: None,
            stage: None,
            on_reused_connection: false,
        }
    }

    /// A failure of our own making that stands in the table.
    pub fn named(code: &str, operation: &'static str, message: impl Into<String>) -> Failure {
        let known = HINTS.iter().find(|(name, ..)| *name == code);
        let (class, hint) = known.map_or((Class::ThisFile, None), |(_, class, hint)| {
            (*class, Some(*hint))
        });
        Failure {
            code: Some(code.to_owned()),
            hint,
            ..Failure::new(class, operation, message)
        }
    }

    /// Whether a fresh connection deserves a try before anything is called a failure.
    pub fn is_stale_connection(&self) -> bool {
        self.on_reused_connection
            && (self.has_code("ConnectionReset") || self.has_code("ConnectionClosed"))
    }

    /// What the user can do.
    pub fn cure(&self) -> Option<&str> {
        self.advice.as_deref().or(self.hint)
    }

    /// The store knows the request, but not what it asks for.
    pub fn is_not_implemented(&self) -> bool {
        self.has_code("NotImplemented") || self.http_status == Some(501)
    }

    pub fn has_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

const CLOCK: &str =
    "set the clock, for example with NTP; s3ferry signs with the server's time meanwhile";
const REGION: &str = "set `region`, or the region in `host`, to the bucket's own";
const REDIRECT: &str = "redirects are not followed: write into `host` or `endpoint` where the store really is, with `https://` if it wants TLS, or set `region` to the bucket's own";
pub(super) const PERMISSION: &str = "allow `s3:PutObject` on this bucket and prefix to the key, and check bucket policy and encryption key";
const KEYS: &str =
    "check `access_key` and `secret_key`; the key may be deleted, inactive or mistyped";
const EXPIRED: &str = "renew the session token";
const BUCKET: &str = "create the bucket, or correct its name in `host` or `bucket`";
pub(super) const SETTING: &str =
    "the store does not accept a setting under `object`; correct or remove it";
pub(super) const NOT_S3: &str = "correct `host` or `endpoint`, or `port`: no S3 answers there; or see what answers in its place, such as a proxy or the log-in page of a network";
const TOO_LARGE: &str = "the file is larger than the store takes";
const LONG_KEY: &str = "shorten `prefix` or `change_filename`: a key has at most 1,024 bytes";
const EXISTS: &str =
    "rename the file, remove the object, or set `object.if_exists` to `rename` or `overwrite`";
const KMS: &str =
    "enable the key, correct `kms_key_id`, and allow `kms:GenerateDataKey` and `kms:Decrypt` on it";
const RETENTION: &str =
    "set `object.object_lock.retain_until` to a date that is to come, or `retain_for` in its stead";
const LATER: &str = "nothing to do: s3ferry tries again by itself";

/// S3's error codes, see
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>, with those of other
/// stores. A code that is not here is judged by its HTTP status.
pub const HINTS: &[(&str, Class, &str)] = &[
    ("InternalError", Class::Temporary, LATER),
    ("ServiceUnavailable", Class::Throttled, LATER),
    ("SlowDown", Class::Throttled, LATER),
    ("TooManyRequests", Class::Throttled, LATER),
    ("Throttling", Class::Throttled, LATER),
    ("ThrottlingException", Class::Throttled, LATER),
    ("RequestLimitExceeded", Class::Throttled, LATER),
    ("RequestTimeout", Class::Temporary, LATER),
    ("RequestTimeoutException", Class::Temporary, LATER),
    ("PriorRequestNotComplete", Class::Temporary, LATER),
    ("RequestCanceled", Class::Temporary, LATER),
    ("OperationAborted", Class::Temporary, LATER),
    ("ConditionalRequestConflict", Class::Temporary, LATER),
    ("IncompleteBody", Class::Temporary, LATER),
    ("BadDigest", Class::Temporary, LATER),
    ("XAmzContentSHA256Mismatch", Class::Temporary, LATER),
    ("NoSuchUpload", Class::Temporary, LATER),
    ("InvalidPart", Class::Temporary, LATER),
    ("InvalidPartOrder", Class::Temporary, LATER),
    ("EntityTooSmall", Class::Temporary, LATER),
    ("RequestTimeTooSkewed", Class::Clock, CLOCK),
    ("RequestExpired", Class::Clock, CLOCK),
    ("ExpiredToken", Class::Credentials, EXPIRED),
    ("TokenRefreshRequired", Class::Credentials, EXPIRED),
    ("InvalidToken", Class::Credentials, EXPIRED),
    ("InvalidAccessKeyId", Class::Credentials, KEYS),
    ("SignatureDoesNotMatch", Class::Credentials, KEYS),
    ("InvalidSecurity", Class::Credentials, KEYS),
    ("NotSignedUp", Class::Credentials, KEYS),
    ("AccessDenied", Class::Blocked, PERMISSION),
    ("AllAccessDisabled", Class::Blocked, PERMISSION),
    ("AccountProblem", Class::Blocked, PERMISSION),
    ("NoSuchBucket", Class::Blocked, BUCKET),
    ("InvalidBucketName", Class::Blocked, BUCKET),
    ("PermanentRedirect", Class::Blocked, REGION),
    ("TemporaryRedirect", Class::Temporary, LATER),
    ("AuthorizationHeaderMalformed", Class::Blocked, REGION),
    ("IllegalLocationConstraintException", Class::Blocked, REGION),
    ("InvalidStorageClass", Class::Blocked, SETTING),
    ("InvalidEncryptionAlgorithmError", Class::Blocked, SETTING),
    ("AccessControlListNotSupported", Class::Blocked, SETTING),
    ("InvalidTag", Class::Blocked, SETTING),
    ("MetadataTooLarge", Class::Blocked, SETTING),
    ("NotImplemented", Class::Blocked, SETTING),
    ("InvalidRequest", Class::Blocked, SETTING),
    ("InvalidArgument", Class::Blocked, SETTING),
    ("KMS.DisabledException", Class::Blocked, KMS),
    ("KMS.NotFoundException", Class::Blocked, KMS),
    ("KMS.KMSInvalidStateException", Class::Blocked, KMS),
    (
        "QuotaExceeded",
        Class::Blocked,
        "make room in the bucket, or raise its quota",
    ),
    ("RetainUntilPassed", Class::Blocked, RETENTION),
    ("NotS3", Class::Blocked, NOT_S3),
    ("ObjectExists", Class::ThisFile, EXISTS),
    ("PreconditionFailed", Class::ThisFile, EXISTS),
    ("EntityTooLarge", Class::ThisFile, TOO_LARGE),
    ("KeyTooLongError", Class::ThisFile, LONG_KEY),
];

/// What a status means whose answer has no code that is known.
pub fn by_status(status: u16) -> (Class, Option<&'static str>) {
    match status {
        408 | 409 | 425 | 500 | 502 | 504 => (Class::Temporary, Some(LATER)),
        429 | 503 => (Class::Throttled, Some(LATER)),
        300..=399 => (Class::Blocked, Some(REDIRECT)),
        401 | 403 => (Class::Blocked, Some(PERMISSION)),
        404 => (Class::Blocked, Some(BUCKET)),
        405 | 501 => (Class::Blocked, Some(SETTING)),
        413 => (Class::ThisFile, Some(TOO_LARGE)),
        400..=499 => (Class::ThisFile, None),
        _ => (Class::Temporary, Some(LATER)),
    }
}

/// An answer that says no. A 200 that carries an `<Error>`, or nothing that S3 would say, counts
/// as a 500.
pub fn from_answer(
    operation: &'static str,
    status: u16,
    headers: &http::HeaderMap,
    body: &[u8],
) -> Failure {
    if let Some(code) = network::in_disguise(status, body) {
        return Failure {
            http_status: Some(status),
            stage: Some(Stage::Exchange),
            ..named(
                operation,
                code,
                "the answer is about the connection, not about the request",
            )
        };
    }
    if let Some(kind) = network::web_page(status, headers, body) {
        let message = format!("a web page ({kind}) came in place of an answer of S3's");
        return Failure {
            http_status: Some(status),
            stage: Some(Stage::Exchange),
            ..Failure::named("NotS3", operation, message)
        };
    }
    let ErrorAnswer {
        code,
        message,
        request_id,
        region,
    } = answer::error(body).unwrap_or_default();
    let known = HINTS.iter().find(|(name, ..)| *name == code);
    let judged = if status < 300 { 500 } else { status };
    let (class, hint) = match known {
        Some((_, class, hint)) => (*class, Some(*hint)),
        None => by_status(judged),
    };
    let header = |name: &str| Some(bounded(headers.get(name)?.to_str().ok()?, WORD_LIMIT));
    let word = |text: String| Some(bounded(&text, WORD_LIMIT)).filter(|word| !word.is_empty());
    let region = header("x-amz-bucket-region").or_else(|| word(region));
    let mut message = match (message.is_empty(), status) {
        (false, _) => one_line(&message),
        (true, 200..=299) => "the answer is not one that S3 gives".to_owned(),
        (true, 300..=399) => match header("location") {
            Some(place) => format!("the server points to `{place}`"),
            None => String::new(),
        },
        (true, _) => String::new(),
    };
    if let (Some(region), Some(REGION | REDIRECT)) = (&region, hint) {
        let separator = if message.is_empty() { "" } else { "; " };
        message = format!("{message}{separator}the bucket is in `{region}`");
    }
    Failure {
        class,
        operation,
        code: word(code),
        http_status: Some(status),
        request_id: word(request_id).or_else(|| header("x-amz-request-id")),
        message,
        hint,
        advice: None,
        retry_after: header("retry-after")
            .and_then(|value| value.trim().parse().ok())
            .map(Duration::from_secs),
        region,
        stage: Some(Stage::Exchange),
        on_reused_connection: false,
    }
}

/// A transport error, with the fault named and the cure beside it.
pub fn from_transport(operation: &'static str, error: &io::Error) -> Failure {
    let (code, text) = network::judge(error);
    let text = text.unwrap_or_else(|| innermost(error));
    named(operation, code, &text)
}

/// A failure by one of the transport's own names.
fn named(operation: &'static str, code: &str, text: &str) -> Failure {
    let (class, hint) = network::known(code);
    Failure {
        code: Some(code.to_owned()),
        hint,
        ..Failure::new(class, operation, one_line(text))
    }
}

fn innermost(error: &io::Error) -> String {
    match error.get_ref() {
        Some(inner) => match inner.downcast_ref::<io::Error>() {
            Some(nested) => innermost(nested),
            None => inner.to_string(),
        },
        None => error.to_string(),
    }
}

/// The longest sentence and the longest word that are taken over from a server, in characters: a
/// code of a megabyte would be an event that no file of events takes.
const LINE_LIMIT: usize = 300;
const WORD_LIMIT: usize = 100;

/// What a server says ends up in events and logs, with more behind it: one line of bounded length,
/// no control bytes, no full stop.
pub(crate) fn one_line(text: &str) -> String {
    bounded(text.trim_end().trim_end_matches('.'), LINE_LIMIT)
}

pub(crate) fn bounded(text: &str, limit: usize) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(limit)
        .collect();
    if text.chars().nth(limit).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests;
