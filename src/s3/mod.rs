//! The S3 protocol: typed operations, the seam between rust-s3 and ureq, errors by kind, the clock.
//!
//! rust-s3 says what a request is (URL, headers, signature), ureq sends it. Nothing here decides
//! what to do about a failure: a [`Failure`] carries its [`Class`], and the layers above ask it.

mod answer;
mod client;
mod failure;
mod operations;
mod request;
mod signing_key;
mod skew;

pub use answer::{PartInfo, UploadInfo};
pub use client::{Body, Client, Limits};
pub use failure::{Class, Failure, HINTS, by_status, from_transport};
pub use operations::{CreateOptions, ObjectInfo, Receipt, UploadId};
