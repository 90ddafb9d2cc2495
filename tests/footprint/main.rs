//! What the program costs a box, for the table in README: `cross/footprint.sh` runs this once for
//! each target. These are measurements, not checks, and take minutes: `cargo test` leaves them out.
//!
//! `S3FERRY_WEED` names SeaweedFS's `weed`, `S3FERRY_BIN` the binary, and `S3FERRY_RUNNER` the
//! emulator of one that is for another processor. QEMU has to put the program's memory at
//! [`resident::EMULATED`], so that it can be told from QEMU's own.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, and in what it stands on, a panic is the failure"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "servers need threads and deadlines need a clock; the product's rule is not theirs"
)]

mod instructions;
mod memory;
mod peers;
mod resident;
mod writes;

#[allow(dead_code, reason = "shared with the suite that uses all of it")]
#[path = "../interop/bucket.rs"]
mod bucket;
#[allow(dead_code, reason = "shared with the suite that uses all of it")]
#[path = "../interop/weed.rs"]
mod weed;

#[allow(dead_code, reason = "shared with the suite that uses all of it")]
#[path = "../it/support/mod.rs"]
mod support;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::json;

use bucket::Bucket;
use support::agent::Agent;
use support::files::Content;
use weed::Weed;

const MIB: u64 = 1 << 20;

/// An agent that sends to `bucket` over TLS, with no log to write.
fn agent(weed: &Weed, bucket: &Bucket) -> Agent {
    Agent::with_endpoint(&weed.https())
        .with(json!({ "log": { "level": "off" } }))
        .with_job(json!({ "bucket": bucket.name, "tls_options": { "ca_file": weed.ca_file() } }))
}

/// Blocks that all differ, written at the disk's speed.
fn write_large(path: &Path, mebibytes: u64) {
    let mut block = Content::new(MIB, 7).bytes();
    let mut file = File::create(path).unwrap();
    for number in 0..mebibytes {
        block[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&block).unwrap();
    }
}

/// A line that `cross/footprint.sh` looks for.
fn figure(name: &str, value: impl std::fmt::Display) {
    println!("\nfigure {name}: {value}");
}
