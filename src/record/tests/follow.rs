use std::time::{Duration, UNIX_EPOCH};

use super::*;

#[test]
fn a_follower_goes_on_exactly_behind_the_last_records() {
    let folder = Folder::new("follow");
    let mut log = open(&folder.log(), TIGHT);
    (0..5).for_each(|number| log.append(&record(number)).unwrap());
    let (mut follower, last, bad) = Follower::open(&folder.log(), 3, 2, &mut |_| true).unwrap();
    assert_eq!((last, bad), (records(3..5), 0));
    let mut check = |written: std::ops::Range<u32>, expected: &[u32]| {
        written.for_each(|number| log.append(&record(number)).unwrap());
        assert_eq!(follower.poll().unwrap(), records(expected.iter().copied()));
    };
    check(0..0, &[]);
    check(5..6, &[5]);
    check(6..7, &[6]);
    check(0..6, &[0, 1, 2, 3, 4, 5]);
    check(0..1, &[0]);
    // More rotations than there are files: 10 is in the file that is still open here, and
    // what is gone is gone.
    check(10..30, &[10, 25, 26, 27, 28, 29]);
    check(30..31, &[30]);
}

#[test]
fn a_follower_waits_for_the_file_and_for_whole_lines() {
    let folder = Folder::new("early");
    let (mut follower, last, _) = Follower::open(&folder.log(), 3, 9, &mut |_| true).unwrap();
    assert_eq!(last, records([]));
    let mut check = |bytes: &[u8], expected: &[u32]| {
        append_raw(&folder.log(), bytes);
        let found = follower.poll().unwrap();
        assert_eq!(found, records(expected.iter().copied()), "{bytes:?}");
    };
    check(b"", &[]);
    check(b"{\"n\":1}\n{\"n\":", &[1]);
    check(b"2", &[]);
    check(b"}\n", &[2]);
    fs::write(folder.log(), b"").unwrap();
    check(b"{\"n\":3}\n", &[3]);
    fs::remove_file(folder.log()).unwrap();
    check(b"{\"n\":4}\n", &[4]);
}

#[test]
fn a_follower_of_a_torn_file_sees_what_is_written_after_the_repair() {
    let folder = Folder::new("torn-follow");
    append_raw(&folder.log(), b"{\"n\":1}\n{\"torn\":\"record");
    let (mut follower, last, bad) = Follower::open(&folder.log(), 3, 9, &mut |_| true).unwrap();
    assert_eq!((last, bad), (records([1]), 0));
    open(&folder.log(), ROOMY).append(&record(2)).unwrap();
    assert_eq!(follower.poll().unwrap(), records([2]));
}

#[test]
fn older_files_are_not_followed_when_the_newest_is_deleted() {
    let folder = Folder::new("stop");
    let mut log = open(&folder.log(), TIGHT);
    (0..7).for_each(|number| log.append(&record(number)).unwrap());
    for (number, age) in [(0, 0), (1, 60), (2, 120)] {
        let file = fs::File::open(numbered(&folder.log(), number)).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(1000 - age);
        file.set_modified(time).unwrap();
    }
    let mut follower = Follower::open(&folder.log(), 3, 0, &mut |_| true)
        .unwrap()
        .0;
    fs::remove_file(folder.log()).unwrap();
    log.append(&record(7)).unwrap();
    assert_eq!(follower.poll().unwrap(), records([7]));
}
