//! The program from the outside: its real binary against a real S3 server.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, and in what it stands on, a panic is the failure"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "servers need threads and deadlines need a clock; the product's rule is not theirs"
)]

mod announcements;
mod bandwidth;
mod certificates;
mod check_cures;
mod check_places;
mod check_requests;
mod clock;
mod configuration;
mod credentials;
mod cures;
mod destinations;
mod doctor;
mod faults;
mod faults_of_answers;
mod flash;
mod flash_systems;
mod harness;
mod hostile;
mod if_exists;
mod leftovers;
mod loop_and_signals;
mod main_job;
mod many_files;
mod mended;
mod moving;
mod objects;
mod output;
mod permissions;
mod proxies;
mod readme;
mod records;
mod retention;
mod retries;
mod room;
mod stages;
mod stalls;
mod standing;
mod state_dir;
mod supervisor;
mod support;
mod tls;
