use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::*;

#[test]
fn records_come_back_oldest_first_across_rotated_files() {
    fn check(written: u32, n: usize, expected: impl IntoIterator<Item = u32>) {
        let folder = Folder::new("rotation");
        let mut log = open(&folder.log(), TIGHT);
        for number in 0..written {
            log.append(&record(number)).unwrap();
        }
        let found = read_last(&folder.log(), 3, n, &mut |_| true).unwrap();
        assert_eq!(found, (records(expected), 0), "the last {n} of {written}");
        for number in 0..4 {
            let size = fs::metadata(numbered(&folder.log(), number)).map(|file| file.len());
            assert!(
                size.unwrap_or(0) <= 26 * u64::from(number < 3),
                "size of file {number}"
            );
        }
    }
    check(0, 9, []);
    check(3, 9, 0..3);
    check(4, 9, 0..4);
    check(9, 9, 0..9);
    check(10, 9, 3..10);
    check(11, 99, 3..11);
    check(12, usize::MAX, 6..12);
    check(9, 4, 5..9);
    check(9, 1, 8..9);
    check(9, 0, []);
}

#[test]
fn only_records_that_are_wanted_count() {
    let folder = Folder::new("keep");
    let mut log = open(&folder.log(), TIGHT);
    (0..9).for_each(|number| log.append(&record(number)).unwrap());
    let even = &mut |line: &[u8]| (line[5] - b'0').is_multiple_of(2);
    let found = read_last(&folder.log(), 3, 2, even).unwrap();
    assert_eq!(found, (records([6, 8]), 0));
}

#[test]
fn a_record_larger_than_a_file_gets_a_file_of_its_own() {
    let folder = Folder::new("large");
    let mut log = open(
        &folder.log(),
        Rotation {
            max_size: 1,
            files: 2,
        },
    );
    (0..3).for_each(|number| log.append(&record(number)).unwrap());
    assert_eq!(all(&folder.log()), (records(1..3), 0));
}

#[test]
fn a_single_file_starts_anew_and_leftovers_of_more_files_go() {
    let folder = Folder::new("fewer");
    let mut log = open(&folder.log(), Rotation { files: 4, ..TIGHT });
    (0..10).for_each(|number| log.append(&record(number)).unwrap());
    assert!(numbered(&folder.log(), 3).exists());
    let mut log = open(
        &folder.log(),
        Rotation {
            max_size: 1,
            files: 1,
        },
    );
    log.append(&record(7)).unwrap();
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    assert_eq!(all(&folder.log()), (records([7]), 0));
}

#[test]
fn a_rotation_that_a_cut_left_half_done_loses_nothing() {
    let folder = Folder::new("gap");
    let rotation = Rotation { files: 4, ..TIGHT };
    let mut log = open(&folder.log(), rotation);
    (0..9).for_each(|number| log.append(&record(number)).unwrap());
    // The cut came after `.2` had become `.3`, and `.1` had become `.2`.
    for number in [2, 1] {
        let from = numbered(&folder.log(), number);
        fs::rename(from, numbered(&folder.log(), number + 1)).unwrap();
    }
    let found = |n| read_last(&folder.log(), 4, n, &mut |_| true).unwrap();
    assert_eq!(found(99), (records(0..9), 0));
    open(&folder.log(), rotation).append(&record(9)).unwrap();
    assert_eq!(found(99), (records(0..10), 0));
}

#[test]
fn a_file_that_was_renamed_while_files_were_opened_counts_once() {
    let folder = Folder::new("twice");
    append_raw(&folder.log(), b"{\"n\":1}\n");
    let (mut follower, _, _) = Follower::open(&folder.log(), 3, 0, &mut |_| true).unwrap();
    fs::remove_file(folder.log()).unwrap();
    append_raw(&folder.log(), b"{\"n\":2}\n");
    // Under two names at once, as the opener sees it.
    fs::hard_link(folder.log(), numbered(&folder.log(), 1)).unwrap();
    assert_eq!(all(&folder.log()), (records([2]), 0));
    assert_eq!(follower.poll().unwrap(), records([2]));
}

#[test]
fn files_are_for_owner_and_group() {
    let folder = Folder::new("mode");
    open(&folder.log(), ROOMY);
    let mode = fs::metadata(folder.log()).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn a_line_that_is_no_record_is_not_written() {
    let folder = Folder::new("refused");
    let mut log = open(&folder.log(), ROOMY);
    for line in [b"{}\n{}".to_vec(), vec![b' '; MAX_LINE + 1]] {
        let error = log.append(&line).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    assert_eq!(fs::metadata(folder.log()).unwrap().len(), 0);
}

#[test]
fn a_torn_tail_is_repaired_and_whole_records_stay() {
    /// `before` and a torn `tail`; `kept` says whether the tail is a record after all.
    fn check(tail: &[u8], kept: bool) {
        let folder = Folder::new("torn");
        append_raw(&folder.log(), b"{\"n\":1}\n{\"n\":2}\n");
        append_raw(&folder.log(), tail);
        let (mut log, repair) = JsonLines::open(&folder.log(), ROOMY).unwrap();
        let dropped = if kept { 0 } else { tail.len() as u64 };
        assert_eq!(repair, Repair { dropped }, "{} bytes", tail.len());
        log.append(&record(3)).unwrap();
        let mut expected = records(1..3);
        expected.extend(kept.then(|| tail.to_vec()));
        expected.push(record(3));
        assert_eq!(all(&folder.log()), (expected, 0), "{} bytes", tail.len());
    }
    check(b"", false);
    check(b"{", false);
    check(b"{\"n\":3", false);
    check(b"{\"n\":9}", true);
    check(b"{\"n\":\"\xff\"}", false);
    check(b"[1]", false);
    check(b"\0\0\0\0", false);
    check(b"{\"n\":3\0\0\0\0", false);
    check(b"\0\0\0\0{\"n\":9}", false);
    check(&[0; 3 * MAX_LINE], false);
    check(&[b'x'; MAX_LINE + 1], false);
}

#[test]
fn a_cut_at_any_byte_costs_only_the_line_that_was_cut() {
    let lines = [
        "{\"n\":1}",
        "{\"n\":22,\"s\":\"é\\\\\"}",
        "{\"n\":333,\"s\":{\"t\":[1,2]}}",
    ];
    let image = lines.join("\n") + "\n";
    for cut in lines[0].len() + 1..=image.len() {
        for hole in [0, 1, 5000] {
            let folder = Folder::new("cut");
            append_raw(&folder.log(), &image.as_bytes()[..cut]);
            append_raw(&folder.log(), &vec![0; hole]);
            // A reader copes with it as it is, too.
            let whole = lines.iter().scan(0, |end, line| {
                *end += line.len() + 1;
                // Without a hole behind it, a record needs no newline.
                Some((*line, *end - usize::from(hole == 0) <= cut))
            });
            let mut expected: Vec<_> = whole
                .filter(|(_, whole)| *whole)
                .map(|(line, _)| line.as_bytes().to_vec())
                .collect();
            assert_eq!(all(&folder.log()).0, expected, "read at {cut} with {hole}");
            open(&folder.log(), ROOMY).append(&record(4)).unwrap();
            expected.push(record(4));
            assert_eq!(
                all(&folder.log()),
                (expected, 0),
                "repaired at {cut} with {hole}"
            );
        }
    }
}

#[test]
fn lines_that_are_no_records_are_skipped_and_counted() {
    fn check(lines: &[&[u8]], bad: usize) {
        let folder = Folder::new("bad");
        append_raw(&folder.log(), b"{\"n\":1}\n");
        append_raw(&folder.log(), &lines.join(&b'\n'));
        append_raw(&folder.log(), b"\n{\"n\":2}\n");
        assert_eq!(all(&folder.log()), (records(1..3), bad), "{bad} bad lines");
        let mut follower = Follower::open(&folder.log(), 1, 0, &mut |_| true)
            .unwrap()
            .0;
        fs::rename(folder.log(), numbered(&folder.log(), 1)).unwrap();
        fs::copy(numbered(&folder.log(), 1), folder.log()).unwrap();
        assert_eq!(
            follower.poll().unwrap(),
            records(1..3),
            "followed, {bad} bad lines"
        );
    }
    let huge = [
        b"{\"s\":\"".to_vec(),
        vec![b'x'; 3 * MAX_LINE],
        b"\"}".to_vec(),
    ]
    .concat();
    let hole = vec![0; 20_000];
    check(&[], 0);
    check(&[b"", b"", b""], 0);
    check(
        &[
            b"garbage",
            b"{\"n\":",
            b"12",
            b"\"{}\"",
            b"[{}]",
            b"{}}",
            b"{\"s\":\"\xff\"}",
        ],
        7,
    );
    check(&[&hole], 1);
    check(&[&hole, b"x", &hole], 3);
    check(&[&huge], 1);
    check(&[&huge, &huge, b"x"], 3);
}

#[test]
fn the_longest_record_is_read_and_one_byte_more_is_not() {
    fn check(length: usize, found: usize) {
        let folder = Folder::new("longest");
        let line = [
            b"{\"s\":\"".to_vec(),
            vec![b'x'; length - 8],
            b"\"}\n".to_vec(),
        ]
        .concat();
        append_raw(&folder.log(), &line.repeat(2));
        let (lines, bad) = all(&folder.log());
        assert_eq!((lines.len(), bad), (found, 2 - found), "{length} bytes");
        assert!(lines.iter().all(|line| line.len() == length));
    }
    check(8 * 1024 - 1, 2);
    check(8 * 1024, 2);
    check(MAX_LINE, 2);
    check(MAX_LINE + 1, 0);
}

#[test]
fn a_record_behind_a_hole_is_good() {
    let folder = Folder::new("hole");
    append_raw(&folder.log(), b"{\"n\":1}\n{\"n\":\0\0\n\0\0\0{\"n\":3}\n");
    assert_eq!(all(&folder.log()), (records([1, 3]), 2));
}

#[test]
fn a_rotation_during_a_reading_hides_and_doubles_nothing() {
    let folder = Folder::new("meanwhile");
    let mut log = open(&folder.log(), TIGHT);
    (0..9).for_each(|number| log.append(&record(number)).unwrap());
    let mut next = 9;
    let found = read_last(&folder.log(), 3, usize::MAX, &mut |_| {
        // A file is gone after each second record that is read.
        log.append(&record(next)).unwrap();
        next += 1;
        true
    });
    assert_eq!(found.unwrap(), (records(0..9), 0));
}

#[test]
fn files_that_are_missing_or_not_readable_are_told_apart() {
    let folder = Folder::new("missing");
    assert_eq!(all(&folder.log()), (Vec::new(), 0));
    fs::create_dir(folder.log()).unwrap();
    assert!(read_last(&folder.log(), 3, 1, &mut |_| true).is_err());
    assert!(JsonLines::open(&folder.log(), ROOMY).is_err());
    assert!(JsonLines::open(&folder.0.join("no/such"), ROOMY).is_err());
}

#[test]
fn after_a_full_disk_the_file_is_opened_anew() {
    let folder = Folder::new("full");
    symlink("/dev/full", folder.log()).unwrap();
    let mut log = open(&folder.log(), ROOMY);
    for _ in 0..2 {
        let error = log.append(&record(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        log.sync().unwrap();
    }
    fs::remove_file(folder.log()).unwrap();
    log.append(&record(2)).unwrap();
    log.sync().unwrap();
    assert_eq!(all(&folder.log()), (records([2]), 0));
}

/// Run by itself, this does nothing: it is the process of the test below, in which no
/// file can have more than 1,024 bytes, and a write beyond that is cut short.
#[test]
fn short_writes_under_a_file_size_limit() {
    let Some(path) = std::env::var_os("S3FERRY_TEST_SHORT_WRITE") else {
        return;
    };
    let mut log = open(Path::new(&path), ROOMY);
    let long = [b"{\"s\":\"".to_vec(), vec![b'x'; 700], b"\"}".to_vec()].concat();
    log.append(&long).unwrap();
    assert_eq!(
        log.append(&long).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    assert_eq!(
        fs::metadata(&path).unwrap().len(),
        709,
        "no half line is left"
    );
    log.append(&record(1)).unwrap();
}

#[test]
fn a_write_that_is_cut_short_leaves_no_half_line() {
    let folder = Folder::new("short");
    let status = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 2; exec \"$0\" short_writes_under",
        ])
        .arg(std::env::current_exe().unwrap())
        .env("S3FERRY_TEST_SHORT_WRITE", folder.log())
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success());
    let (lines, bad) = all(&folder.log());
    assert_eq!((lines.len(), lines.last(), bad), (2, Some(&record(1)), 0));
}

#[test]
fn a_deleted_file_is_created_again() {
    let folder = Folder::new("deleted");
    let mut log = open(&folder.log(), ROOMY);
    log.append(&record(1)).unwrap();
    fs::remove_file(folder.log()).unwrap();
    log.append(&record(2)).unwrap();
    log.sync().unwrap();
    assert_eq!(all(&folder.log()), (records([2]), 0));
}
