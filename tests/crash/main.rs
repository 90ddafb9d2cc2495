//! Crashes and failing system calls at every step, under `strace`: nothing is lost.
//!
//! `cargo test --test crash -- --nocapture` prints the figures. Of the many calls on the socket
//! a spread is taken; `S3FERRY_CRASH_ALL=1` takes every one. `S3FERRY_CRASH_ONLY` takes
//! one point alone, as its failure names it: `fsync:signal=KILL:3`.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, and in what it stands on, a panic is the failure"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "servers need threads and deadlines need a clock; the product's rule is not theirs"
)]

mod errors;
mod kill;
mod moving;
mod race;
mod replay;
mod scenario;
mod strace;
#[path = "../it/support/mod.rs"]
#[allow(dead_code, reason = "the suites here need a part of it only")]
mod support;
