//! s3ferry carries the files of a directory to Amazon S3, from small Linux appliances.
//!
//! The map of the house, in reading order: a configuration becomes an agent, whose passes walk a
//! folder, name what they find, upload it and record it.
//!
//! ```text
//! config ─► agent ─► scan ─► filter ─► naming ─► upload ─► record
//!            │      (source folder)   (object key)  │   (history, events, ledger)
//!            └── waits: next due pass, or a signal  └── s3 (protocol) ─► transport (ureq)
//! ```
//!
//! `ARCHITECTURE.md` tells the rest.

pub mod cli;

pub mod config;

pub mod agent;
pub mod pass;
pub mod processing_state;
pub mod progress;
pub mod retry;
pub mod status;
pub mod windows;

pub mod naming;
pub mod source;

pub mod credentials;
pub mod s3;
pub mod transport;
pub mod upload;

pub mod record;

pub mod clock;
pub mod logging;
pub mod os;
pub mod text;
