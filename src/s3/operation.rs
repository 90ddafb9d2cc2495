//! What is sent and what comes back: an operation before it is signed, and a good answer.

use std::io::Read;
use std::time::Duration;

use http::HeaderMap;
use s3::command::Command;

use super::checksum::Checksum;
use super::request::UNSIGNED;

/// The SHA-256 of nothing.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A body whose hash and length are known before its first byte is read.
pub trait Body {
    /// Bytes.
    fn length(&self) -> u64;
    /// Lower-case hex; `None` sends it unsigned.
    fn sha256(&self) -> Option<String>;
    /// To be held against what arrives.
    fn checksum(&self) -> Option<&Checksum> {
        None
    }
    /// The same, in base64.
    fn md5(&self) -> Option<&str> {
        None
    }
    /// From its first byte on; called again when the request is repeated.
    fn open(&self) -> Box<dyn Read + '_>;
}

/// What a request may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the answer's body, once its headers are there.
    pub answer_body: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            answer_body: Duration::from_secs(60),
        }
    }
}

/// What an operation sends.
pub(super) struct Operation<'a> {
    pub name: &'static str,
    pub key: &'a str,
    pub command: Command<'a>,
    pub extra: HeaderMap,
    pub query: Vec<(&'static str, String)>,
    pub payload: Payload<'a>,
    pub limits: Limits,
}

impl Operation<'_> {
    /// Whether it may be sent again where it is not known to have arrived: a second
    /// CreateMultipartUpload would begin a second upload.
    pub fn is_idempotent(&self) -> bool {
        !matches!(self.command, Command::InitiateMultipartUpload { .. })
    }
}

pub(super) enum Payload<'a> {
    /// No body and no `Content-Length`: GET, HEAD, DELETE.
    None,
    Bytes(Vec<u8>),
    Stream(&'a dyn Body),
}

/// A good answer.
pub(super) struct Answer {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<String> {
        Some(self.headers.get(name)?.to_str().ok()?.to_owned())
    }
}

impl Payload<'_> {
    /// The hash that is signed, and the length; `None`: no body at all.
    pub fn describe(&self) -> (String, Option<u64>) {
        match self {
            Payload::None => (EMPTY_SHA256.to_owned(), None),
            Payload::Bytes(content) => (
                crate::upload::hash::sha256_hex(content),
                Some(content.len() as u64),
            ),
            Payload::Stream(stream) => (
                stream.sha256().unwrap_or_else(|| UNSIGNED.to_owned()),
                Some(stream.length()),
            ),
        }
    }
}
