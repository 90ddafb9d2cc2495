//! The S3 protocol: typed operations, the seam between rust-s3 and ureq, errors by kind, the clock.
//!
//! rust-s3 says what a request is (URL, headers, signature), ureq sends it. Nothing here decides
//! what to do about a failure: a [`Failure`] carries its [`Class`], and the layers above ask it.

mod advice;
pub(crate) mod answer;
pub mod checksum;
mod client;
mod completion;
pub(crate) mod failure;
mod headers;
mod operation;
mod operations;
mod probe;
mod region;
mod request;
mod retention;
pub(crate) mod signing_key;
pub(crate) mod skew;

pub use answer::{PartInfo, UploadInfo};
pub use client::Client;
pub use completion::{Completion, SentPart};
pub use failure::{Class, Failure, HINTS, NETWORK_HINTS, by_status, from_transport};
pub use headers::CreateOptions;
pub use operation::{Body, Limits};
pub use operations::{ObjectInfo, Receipt, UploadId};
pub use probe::Probe;
pub use retention::past_for_sure;

/// Everything but RFC 3986's unreserved characters: rust-s3 writes an upload id as it stands, and
/// a `+` in it would break the signature.
const QUERY_VALUE: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
