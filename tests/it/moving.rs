//! Moves onto another file system: copies, in fact.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::support::agent::Agent;
use crate::support::files::{holds_content, set_age};
use crate::support::server::{S3Options, S3Server};

/// A folder that is not on the temporary files' disk; `None` where there is none.
fn elsewhere() -> Option<TempDir> {
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    let (other, own) = (Path::new("/dev/shm"), std::env::temp_dir());
    let differs = device(other).is_some() && device(other) != device(&own);
    (!crate::support::lacks("a second file system at /dev/shm", differs))
        .then(|| TempDir::new_in(other).unwrap())
}

#[test]
fn no_file_that_was_moved_before_is_touched_by_the_copy_of_another() {
    let Some(elsewhere) = elsewhere() else { return };
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({
        "order": "smallest",
        // The test server has no room for a key as long as such a name.
        "change_filename": "<size>",
        "after_upload": { "move_to": elsewhere.path() },
    }));
    // What a copy may be called while it is under way, and names at the limit of a file system.
    let names = ["a.partial", "a.new", "a.tmp", "a", &"n".repeat(255)];
    for (number, name) in (1..).zip(names) {
        agent.write_file(name, 1000 * number, number);
    }
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(agent.source_file("a"), mode).unwrap();
    agent.once().expect_code(0);
    for (number, name) in (1..).zip(names) {
        let path = elsewhere.path().join(name);
        assert!(holds_content(&path, 1000 * number, number), "{name}");
    }
    let copy = std::fs::metadata(elsewhere.path().join("a")).unwrap();
    assert_eq!(copy.mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 5);
}

#[test]
fn a_file_of_the_same_name_but_another_content_or_time_gets_a_number() {
    let Some(elsewhere) = elsewhere() else { return };
    let server = S3Server::start(S3Options::default());
    let agent = Agent::new(&server).with_job(json!({
        "after_upload": { "move_to": elsewhere.path() },
    }));
    // Another content of the same size and time; the same content at another time.
    for (seed, age) in [(1, 3600), (2, 3600), (2, 7200)] {
        let path = agent.write_file("a", 5000, seed);
        set_age(&path, Duration::from_secs(age));
        agent.once().expect_code(0);
    }
    for (name, seed) in [("a", 1), ("a.1", 2), ("a.2", 2)] {
        assert!(
            holds_content(&elsewhere.path().join(name), 5000, seed),
            "{name}"
        );
    }
}
