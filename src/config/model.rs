//! The validated configuration: what the rest of the program works with.
//!
//! Everything here has been checked. A value of these types needs no further
//! validation, and no JSON type reaches beyond this module's parent.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use time::OffsetDateTime;

mod network;

pub use network::*;

use crate::naming::Template;
use crate::source::filter::Filter;

mod credentials;

pub use credentials::*;

/// A whole configuration file.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// Where lock, ledger, history, events and status live.
    pub state_dir: PathBuf,
    /// Where `state_dir` does not outlive a restart of the machine.
    pub state_copy: Option<StateCopy>,
    pub log: LogOptions,
    pub history: Rotation,
    pub events: Rotation,
    /// How many events `s3ferry events` prints when `-n` is not given.
    pub events_shown: usize,
    /// For placeholders and tables; records are always in UTC.
    pub time_zone: TimeZone,
    /// At least one; names are unique.
    pub jobs: Vec<Job>,
    /// What is allowed but unwise, each with its place; for the log.
    pub warnings: Vec<String>,
    /// For problems that only the disk can tell.
    pub places: Places,
}

/// Where a value stands in the file; a value left out: where its object begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// `jobs[0].source_path`
    pub field: String,
}

/// The places of all folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    pub state_dir: Place,
    pub state_copy: Place,
    /// One for each of `Config::jobs`, in the same order.
    pub jobs: Vec<JobPlaces>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPlaces {
    pub source_path: Place,
    /// Of `after_upload`.
    pub after_upload: Place,
    pub tls: TlsPlaces,
    /// Of `object.object_lock.retain_until`.
    pub retain_until: Place,
}

/// The places of the files in `tls_options`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPlaces {
    pub ca_file: Place,
    pub client_certificate: Place,
    pub client_key: Place,
}

impl Config {
    /// The places of a job of this configuration.
    pub fn places_of(&self, job: &Job) -> &JobPlaces {
        let index = self.jobs.iter().position(|known| known.name == job.name);
        &self.places.jobs[index.unwrap_or_default()]
    }
}

#[derive(Debug, Clone)]
pub struct LogOptions {
    pub level: log::LevelFilter,
    /// `None`: standard error only.
    pub file: Option<PathBuf>,
    pub rotation: Rotation,
}

/// A rotating file: `max_size` bytes each, `files` of them in all (at least 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    pub max_size: u64,
    pub files: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeZone {
    Utc,
    Local,
}

/// One source, one destination, one schedule.
#[derive(Debug, Clone)]
pub struct Job {
    pub name: String,
    /// `processing_state` in the file; `pause` and `resume` override it at run time.
    pub enabled: bool,
    pub destination: Destination,
    /// Put before every key as it stands; may be empty.
    pub prefix: String,
    pub source_path: PathBuf,
    pub recursive: bool,
    pub follow_symlinks: bool,
    /// `None`: every file.
    pub filter: Option<Filter>,
    /// `None`: the name is kept.
    pub change_filename: Option<Template>,
    pub interval: Duration,
    /// How long size and mtime must have stood still.
    pub settle: Duration,
    pub order: Order,
    /// When sending is allowed; empty: always.
    pub windows: Vec<Window>,
    /// With less than this free on the source's disk, sending is allowed outside of them as well.
    pub windows_override: Option<FreeSpace>,
    pub after_upload: AfterUpload,
    /// What is uploaded and kept goes, oldest first, until so much of the source's disk is free.
    pub prune: Option<FreeSpace>,
    pub credentials: CredentialSource,
    pub proxy: ProxyChoice,
    pub tls: TlsOptions,
    pub object: ObjectOptions,
    pub transfer: TransferOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Oldest,
    Newest,
    Name,
    Smallest,
}

/// Room on a file system that its users may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreeSpace {
    /// 1 to 99, of the whole file system.
    Percent(u8),
    Bytes(u64),
}

/// A durable copy of the state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateCopy {
    pub dir: PathBuf,
    /// At least so long between two copies.
    pub interval: Duration,
}

/// Minutes after midnight, in the configured time zone; `from > to` spans midnight,
/// `from == to` is the whole day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from: u16,
    pub to: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterUpload {
    Keep,
    Delete,
    MoveTo(PathBuf),
}

/// A string that does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The value itself, for the one place that signs or sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What every object gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectOptions {
    pub storage_class: Option<String>,
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub server_side_encryption: Option<String>,
    pub kms_key_id: Option<String>,
    /// With `aws:kms` only; `None`: as the bucket has it.
    pub bucket_key: Option<bool>,
    /// Over TLS only, and never with `server_side_encryption`.
    pub customer_key: Option<CustomerKey>,
    /// At most 10; key ≤ 128, value ≤ 256 characters.
    pub tags: BTreeMap<String, String>,
    /// Names in lower case, without `x-amz-meta-`; 2 KB in all.
    pub metadata: BTreeMap<String, String>,
    /// `None` is `auto`: from the extension.
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub acl: Option<String>,
    pub object_lock: ObjectLock,
    /// Twelve digits.
    pub expected_bucket_owner: Option<String>,
    pub if_exists: IfExists,
}

/// The key of SSE-C. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerKey([u8; 32]);

impl CustomerKey {
    pub fn new(key: [u8; 32]) -> Self {
        CustomerKey(key)
    }

    /// The key itself, for the one place that sends it.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey(…)")
    }
}

/// What protects an object from being deleted or overwritten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectLock {
    pub retention: Option<Retention>,
    pub legal_hold: bool,
}

impl ObjectLock {
    /// Whether S3 demands a checksum or a `Content-MD5` with every body.
    pub fn is_set(&self) -> bool {
        self.retention.is_some() || self.legal_hold
    }

    /// Where the configuration names a date.
    pub fn retained_until(&self) -> Option<OffsetDateTime> {
        match self.retention?.until {
            RetainUntil::Date(date) => Some(date),
            RetainUntil::For(_) => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub mode: RetentionMode,
    pub until: RetainUntil,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionMode {
    /// Who has `s3:BypassGovernanceRetention` may still delete.
    Governance,
    /// Nobody may, until the date.
    Compliance,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetainUntil {
    Date(OffsetDateTime),
    /// From the beginning of the upload on.
    For(Duration),
}

/// What becomes of a file whose key has an object with other bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IfExists {
    /// The object is replaced, or gets another version.
    #[default]
    Overwrite,
    /// The file is passed over and stays.
    Skip,
    /// The file stays, and somebody has to see to it.
    Fail,
    /// The file gets another key: `name-1.ext`.
    Rename,
}

/// A checksum of S3's that goes with every body as a plain header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha256,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferOptions {
    /// Bytes; a larger file goes up in parts. At most 5 GiB.
    pub multipart_threshold: u64,
    /// Bytes, 5 MiB to 5 GiB; `None` is `auto`.
    pub part_size: Option<u64>,
    /// SHA-256 of the payload in the signature; false only over TLS.
    pub signed_payload: bool,
    /// Never `auto`: that has been decided.
    pub checksum: Option<ChecksumAlgorithm>,
    pub verify: Verify,
    /// Bytes per second.
    pub bandwidth_limit: Option<u64>,
    /// Bytes per second; slower than this is a failure.
    pub minimum_rate: u64,
}

/// When the object is asked for with a HEAD after its upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Only where S3's answer does not prove it.
    Auto,
    Always,
    Never,
}
