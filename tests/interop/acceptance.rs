//! The promises in figures, for the binary that ships: `S3FERRY_BIN` must name it.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::json;

use crate::support::agent::{Agent, Output};
use crate::support::files::Content;
use crate::support::server::{BUCKET, Request, S3Options, S3Server};
use crate::weed::Weed;

const MIB: u64 = 1 << 20;

fn has_release_binary() -> bool {
    std::env::var_os("S3FERRY_BIN").is_some_and(|path| !path.is_empty())
}

fn print_figures(what: &str, bytes: u64, done: &Output) {
    let seconds = done.took.as_secs_f64();
    println!(
        "{what}: {seconds:.1} s, {:.0} MiB/s, CPU {:.2} s, peak RSS {:.2} MB, threads {}",
        bytes as f64 / MIB as f64 / seconds,
        done.cpu.as_secs_f64(),
        done.peak_rss as f64 / 1e6,
        done.max_threads,
    );
}

/// Blocks that all differ, much faster than [`Content`] for so many of them.
fn write_two_gib(path: &Path) -> u64 {
    let mut block = Content::new(MIB, 7).bytes();
    let mut file = File::create(path).unwrap();
    for number in 0..2048_u64 {
        block[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&block).unwrap();
    }
    2048 * MIB
}

#[test]
fn two_gib_go_up_in_less_than_8_mb_of_memory() {
    let Some(weed) = Weed::shared().filter(|_| has_release_binary()) else {
        return;
    };
    let bucket = weed.bucket("acceptance");
    let agent = Agent::with_endpoint(&weed.http()).with_job(json!({ "bucket": bucket.name }));
    let path = agent.source_file("two-gib.bin");
    let size = write_two_gib(&path);
    let done = agent.once().expect_code(0);
    print_figures("2 GiB in one file", size, &done);
    assert!(bucket.has_same("two-gib.bin", &path));
    assert!(done.peak_rss < 8_000_000, "{} bytes", done.peak_rss);
    assert_eq!(done.max_threads, 1);
}

#[test]
fn a_thousand_small_files_are_a_thousand_puts_on_one_connection() {
    if !has_release_binary() {
        return;
    }
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server);
    let (count, size) = (1000, 10 * 1024);
    for n in 0..count {
        agent.write_file(format!("{n:04}.bin"), size, n);
    }
    let done = agent.once().expect_code(0);
    print_figures("1,000 files of 10 KiB", count * size, &done);
    let requests = server.requests();
    assert_eq!(requests.len() as u64, count);
    assert!(requests.iter().all(Request::is_put_object));
    assert_eq!(server.connections(), 1);
    for n in 0..count {
        let object = server.object(BUCKET, &format!("{n:04}.bin"));
        assert_eq!(object, Some(Content::new(size, n).bytes()), "{n}");
    }
    assert_eq!(done.max_threads, 1);
    assert!(done.peak_rss < 8_000_000, "{} bytes", done.peak_rss);
}
