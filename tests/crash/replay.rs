//! A real ledger, cut at every byte of its tail and with single bits flipped: it loads, says so,
//! and the program comes to the same objects.

use std::path::Path;

use s3ferry::record::ledger::{Damage, Ledger};

use crate::scenario::Scenario;
use crate::strace::{self, Injection};

/// How far from its end the ledger is cut.
const TAIL: usize = 600;
const FLIPS: usize = 500;

#[test]
fn a_ledger_cut_anywhere_in_its_tail_loads_and_says_so() {
    let ledger = real_ledger();
    let from = ledger.len().saturating_sub(TAIL);
    for length in from..=ledger.len() {
        let cut = &ledger[..length];
        let damage = load(cut);
        // Without its newline alone a record is whole.
        let ends_whole = cut.ends_with(b"\n") || ledger[length..].starts_with(b"\n");
        assert_eq!(
            damage.dropped_bytes == 0,
            ends_whole,
            "cut to {length} bytes"
        );
        assert_eq!(damage.bad_lines, 0, "cut to {length} bytes");
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_ledger_is_told() {
    let ledger = real_ledger();
    for (at, bit) in places(&ledger, FLIPS) {
        let damage = load(&flipped(&ledger, at, bit));
        assert!(
            damage != Damage::default(),
            "bit {bit} of byte {at} went unnoticed"
        );
    }
}

#[test]
fn over_a_damaged_ledger_the_program_comes_to_the_same_objects() {
    let _turn = strace::turn();
    if strace::is_missing() {
        return;
    }
    let cases: Vec<u64> = (0..12).collect();
    for failure in strace::two_at_a_time(&cases, |case| over_damage(*case)) {
        failure.unwrap();
    }
}

/// The run before was killed in the large file, whose upload the ledger may then have forgotten.
fn over_damage(case: u64) -> Result<(), String> {
    let scenario = Scenario::new();
    let kill = Injection {
        call: "fsync".to_owned(),
        action: "signal=KILL".to_owned(),
        when: (4 + case / 2).to_string(),
        paths: Vec::new(),
    };
    strace::inject(scenario.folder(), &scenario.config(), &kill);
    let path = scenario.state().join("ledger.jsonl");
    let ledger = std::fs::read(&path).unwrap();
    let (at, bit) = places(&ledger, 12)[case as usize];
    let damaged = match case % 2 {
        0 => flipped(&ledger, at, bit),
        _ => ledger[..at].to_vec(),
    };
    let is_fine = ledger.is_empty() || load(&damaged) == Damage::default();
    std::fs::write(&path, damaged).unwrap();
    let ending = strace::plain(scenario.folder(), &scenario.config());
    if ending.code != Some(0) {
        return Err(scenario.explain(&ending));
    }
    scenario.check_nothing_lost()?;
    scenario.check_end_state()?;
    let told = scenario.events_of("record_repaired");
    if is_fine != told.is_empty() {
        return Err(format!("case {case}: events {told:?}"));
    }
    Ok(())
}

fn real_ledger() -> Vec<u8> {
    let scenario = Scenario::new();
    let ending = strace::plain(scenario.folder(), &scenario.config());
    assert_eq!(ending.code, Some(0), "{}", scenario.explain(&ending));
    std::fs::read(scenario.state().join("ledger.jsonl")).unwrap()
}

/// Loads it, and once more: what was damaged is repaired then.
fn load(ledger: &[u8]) -> Damage {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("ledger.jsonl"), ledger).unwrap();
    let open = |path: &Path| Ledger::open(path).unwrap();
    let (first, damage) = open(folder.path());
    let (second, again) = open(folder.path());
    assert_eq!(again, Damage::default(), "the damage is not repaired");
    assert_eq!(second.remembered(), first.remembered());
    assert_eq!(second.confirmed(), first.confirmed());
    assert_eq!(second.open_uploads(), first.open_uploads());
    damage
}

fn flipped(ledger: &[u8], at: usize, bit: u32) -> Vec<u8> {
    let mut flipped = ledger.to_vec();
    flipped[at] ^= 1 << bit;
    flipped
}

/// Bytes and bits, the same at every run.
fn places(ledger: &[u8], count: usize) -> Vec<(usize, u32)> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 8
    };
    let place = |_| (next() as usize % ledger.len().max(1), next() as u32 % 8);
    (0..count).map(place).collect()
}
