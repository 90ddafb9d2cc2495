//! The service files and packages, on the init systems that they are for.
//!
//! Each test boots a small machine in namespaces of its own (`boot.sh`): BusyBox init, OpenRC or
//! systemd as process 1, with the real program, its service file, and an S3 server outside of it.
//! procd is not to be had in Debian; `procd` holds its script against a stand-in that says so.
//!
//! `S3FERRY_SERVICE_ROOT=$(tests/service/root.sh) cargo test --test service`, as root. Without the
//! variable the tests say so and pass. `S3FERRY_BIN` names the binary under test, `S3FERRY_DIST` the
//! folder of `cross/build.sh` whose ARM binaries are packaged and installed, too.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, and in what it stands on, a panic is the failure"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "servers need threads and deadlines need a clock; the product's rule is not theirs"
)]

mod busybox;
mod foreign;
mod machine;
mod openrc;
mod packages;
mod procd;
mod systemd;

#[allow(
    dead_code,
    reason = "shared with the larger suite, which uses all of it"
)]
#[path = "../it/support/mod.rs"]
mod support;
