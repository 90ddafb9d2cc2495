use super::*;
use crate::record::ledger::{Damage, Fingerprint, Ledger, OpenUpload, SourceFate};

const KEPT: Fingerprint = [1; 16];
const STUCK: Fingerprint = [2; 16];
const TODAY: u32 = 20_000;

fn upload() -> OpenUpload {
    OpenUpload {
        token: "0123456789abcdef".to_owned(),
        job: "job".to_owned(),
        bucket: "bucket".to_owned(),
        key: "large.bin".to_owned(),
        upload_id: "id".to_owned(),
        part_size: 5 << 20,
        source_path: "/data/large.bin".to_owned(),
        size: 11 << 20,
        fingerprint: [3; 16],
        checksum: None,
        device: 0xfd01,
        abort: false,
    }
}

/// A kept file, one that could not be removed, and an open upload.
fn filled(folder: &Folder) -> Vec<u8> {
    let (mut ledger, _) = Ledger::open(&folder.0).unwrap();
    ledger.done(KEPT, TODAY, SourceFate::Kept, None).unwrap();
    ledger
        .done(STUCK, TODAY, SourceFate::NotRemoved, None)
        .unwrap();
    ledger.begin_upload(upload()).unwrap();
    fs::read(folder.0.join("ledger.jsonl")).unwrap()
}

fn opened(folder: &Folder, content: &[u8]) -> (Ledger, Damage) {
    fs::write(folder.0.join("ledger.jsonl"), content).unwrap();
    Ledger::open(&folder.0).unwrap()
}

#[test]
fn every_flipped_bit_is_noticed_and_makes_nothing_up() {
    let folder = Folder::new("ledger-bits");
    let whole = filled(&folder);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            let (ledger, damage) = opened(&folder, &flipped);
            assert_ne!(damage, Damage::default(), "bit {bit} of byte {at}");
            assert!(ledger.remembered() <= 2, "bit {bit} of byte {at}");
            let uploads = ledger.open_uploads();
            assert!(uploads.is_empty() || uploads == [upload()], "byte {at}");
        }
    }
}

#[test]
fn damaged_lines_are_told_once_and_then_gone() {
    let folder = Folder::new("ledger-lines");
    let whole = filled(&folder);
    let mut lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    lines.insert(1, b"{\"v\":1,\"done\":\"garbage\"}\n");
    let (ledger, damage) = opened(&folder, &lines.concat());
    assert_eq!((damage.bad_lines, damage.dropped_bytes), (1, 0));
    assert_eq!(ledger.remembered(), 2);
    drop(ledger);
    let (mut ledger, damage) = Ledger::open(&folder.0).unwrap();
    assert_eq!(damage, Damage::default());
    assert!(ledger.is_done(&KEPT, TODAY, 1) && !ledger.is_not_removed(&KEPT));
    assert!(ledger.is_not_removed(&STUCK));
    assert_eq!(ledger.open_uploads(), [upload()]);
}

#[test]
fn a_record_behind_a_hole_counts() {
    let folder = Folder::new("ledger-hole");
    let mut whole = filled(&folder);
    let line = whole.iter().position(|byte| *byte == b'\n').unwrap();
    whole[..line].fill(0);
    whole[line] = 0;
    let (ledger, damage) = opened(&folder, &whole);
    assert_eq!(damage.bad_lines, 1);
    assert!(ledger.is_not_removed(&STUCK));
    assert_eq!(ledger.remembered(), 1);
}

#[test]
fn a_file_that_is_removed_at_last_is_forgotten() {
    let folder = Folder::new("ledger-removed");
    filled(&folder);
    let (mut ledger, _) = Ledger::open(&folder.0).unwrap();
    ledger.done(STUCK, TODAY, SourceFate::Gone, None).unwrap();
    assert_eq!(ledger.remembered(), 1);
    drop(ledger);
    let (mut ledger, _) = Ledger::open(&folder.0).unwrap();
    assert!(!ledger.is_done(&STUCK, TODAY, 1));
}
