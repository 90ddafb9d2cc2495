//! The readers over whatever kills and power cuts leave, held against a plain reading of it.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What may stand in a file, whole lines or not.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let number = (0_u32..1000).prop_map(|n| [record(n), b"\n".to_vec()].concat());
    let bytes = vec(any::<u8>(), 0..40);
    let nuls = (1_usize..9000).prop_map(|length| vec![0; length]);
    let torn = (0_u32..1000, 0_usize..8).prop_map(|(n, cut)| {
        let whole = record(n);
        whole[..cut.min(whole.len())].to_vec()
    });
    let other = prop::sample::select(vec![
        &b"\n"[..],
        b"[1]\n",
        b"{}\n",
        b"{\"n\":1}{\"n\":2}\n",
        b"{\"n\":\"\xff\"}\n",
        b" {\"n\":1}\n",
        b"{\"a\":{\"b\":[1,2,{}]}}\n",
        b"null\n",
    ]);
    // Around the limit of a line, and of the blocks that are read.
    let long = prop::sample::select(vec![
        8190_usize,
        16_384,
        MAX_LINE - 1,
        MAX_LINE,
        MAX_LINE + 1,
    ])
    .prop_map(|length| {
        let filling = "x".repeat(length.saturating_sub(8));
        format!("{{\"a\":\"{filling}\"}}\n").into_bytes()
    });
    prop_oneof![
        6 => number,
        2 => bytes,
        2 => nuls,
        2 => torn,
        2 => other.prop_map(<[u8]>::to_vec),
        1 => long,
    ]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
}

/// Records and bad lines, read front to back and all at once.
fn plainly(file: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let (mut found, mut bad) = (Vec::new(), 0);
    for line in file
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let rest: Vec<u8> = line.iter().copied().skip_while(|byte| *byte == 0).collect();
        let is_object =
            serde_json::from_slice::<serde_json::Value>(&rest).is_ok_and(|value| value.is_object());
        // White space before a record is nothing that is ever written.
        let is_record = line.len() <= MAX_LINE && rest.starts_with(b"{") && is_object;
        bad += usize::from(!is_record || rest.len() < line.len());
        found.extend(is_record.then_some(rest));
    }
    (found, bad)
}

/// What happens to a followed file.
#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    /// The writer is killed within a line, and starts again.
    Torn(Vec<u8>),
    /// The power goes: the end of the file is zeros. The writer starts again.
    Zeros(u16),
    /// A whole line that is no record.
    Rubbish,
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<u8>().prop_map(Step::Append),
        1 => (0_usize..7).prop_map(|cut| Step::Torn(record(7)[..cut].to_vec())),
        1 => vec(any::<u8>().prop_filter("one line", |byte| *byte != b'\n'), 1..20).prop_map(Step::Torn),
        1 => (1_u16..9000).prop_map(Step::Zeros),
        1 => Just(Step::Rubbish),
        3 => Just(Step::Poll),
    ]
}

/// Runs the steps over a file that a follower reads; what it has read, and what was appended.
fn followed(steps: &[Step], rotation: Rotation) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut log = open(&path, rotation);
    log.append(b"{\"before\":1}").unwrap();
    let (mut follower, ..) = Follower::open(&path, rotation.files, 1, &mut |_| true).unwrap();
    let (mut read, mut appended) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Append(n) => {
                let line = record(u32::from(*n));
                log.append(&line).unwrap();
                appended.push(line);
            }
            Step::Torn(bytes) => {
                append_raw(&path, bytes);
                log = open(&path, rotation);
            }
            Step::Zeros(length) => {
                append_raw(&path, &vec![0; usize::from(*length)]);
                log = open(&path, rotation);
            }
            Step::Rubbish => append_raw(&path, b"rubbish\n"),
            Step::Poll => read.extend(follower.poll().unwrap()),
        }
    }
    read.extend(follower.poll().unwrap());
    (read, appended)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn reading_backwards_finds_what_reading_forwards_finds(
        files in vec(content(), 1..4),
        n in prop_oneof![Just(usize::MAX), 0_usize..20],
    ) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("events.jsonl");
        for (number, file) in (0..).zip(&files) {
            fs::write(numbered(&path, number), file).unwrap();
        }
        let (mut expected, mut bad) = (Vec::new(), 0);
        for file in files.iter().rev() {
            let (found, wrong) = plainly(file);
            expected.extend(found);
            bad += wrong;
        }
        let (found, skipped) = read_last(&path, files.len() as u32, n, &mut |_| true).unwrap();
        let from = expected.len().saturating_sub(n);
        prop_assert_eq!(&found, &expected[from..]);
        prop_assert!(skipped <= bad);
        if n == usize::MAX {
            prop_assert_eq!(skipped, bad);
        }
    }

    #[test]
    fn a_follower_reads_every_record_once_and_nothing_else(steps in vec(step(), 0..60)) {
        // So many files that nothing goes before it is read.
        let (read, appended) = followed(&steps, Rotation { max_size: 40, files: 90 });
        prop_assert_eq!(read, appended);
    }

    #[test]
    fn a_follower_that_is_outrun_keeps_order_and_reads_to_the_end(steps in vec(step(), 0..60)) {
        let (read, appended) = followed(&steps, Rotation { max_size: 40, files: 2 });
        let mut rest = appended.iter();
        for record in &read {
            prop_assert!(rest.any(|known| known == record), "{:?} of {:?}", read, appended);
        }
        prop_assert_eq!(read.last(), appended.last());
    }
}
