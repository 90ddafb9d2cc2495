//! The program against a server that it shares no code with: SeaweedFS, on this machine.
//!
//! `S3FERRY_WEED` names its `weed` binary; without it there is nothing to run against, and the
//! tests say so and pass. `S3FERRY_BIN` names the s3ferry binary under test, and without it the
//! tests take the one that Cargo built; the acceptance figures hold for the release build only.
//! curl reads the objects back, which signs by itself; aws-cli (`S3FERRY_AWS`) does where it has to be
//! AWS's own reading, and LocalStack (`S3FERRY_LOCALSTACK`) has AWS's semantics.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, and in what it stands on, a panic is the failure"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "servers need threads and deadlines need a clock; the product's rule is not theirs"
)]

mod acceptance;
mod aws_cli;
mod bucket;
mod encryption;
mod interruptions;
mod localstack;
mod objects;
mod properties;
mod refusals;
mod weed;

#[allow(
    dead_code,
    reason = "shared with the larger suite, which uses all of it"
)]
#[path = "../it/support/mod.rs"]
mod support;
