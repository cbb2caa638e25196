//! One bit is flipped, anywhere.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use docket_store::{DataDir, RepairOptions, VerifyOptions, open_for_repair, repair, verify};
use docket_tests::{
    figure, rounds, seed,
    victim::{Acknowledged, Outcome},
};
use fastrand::Rng;

use crate::{check, load};

const VOLUME: (&str, u64) = ("volume", 120 * 1024);

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// What a file is, for the choice of where to flip: each kind is as likely, whatever its size.
fn kind(path: &Path) -> &'static str {
    let text = path.to_str().unwrap();
    ["/sled/", "/journal", "/seal", "/clean", "/content/", "/snapshots/", "docket.json"]
        .into_iter()
        .find(|part| text.contains(part))
        .unwrap_or("other")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target) } else { _ = fs::copy(entry.path(), target).unwrap() }
    }
}

#[test]
fn a_flipped_bit_is_found_or_harmless_and_repair_heals_it() {
    let (seed, flips) = (seed(), rounds(16, 1_000));
    let mut rng = Rng::with_seed(seed);
    let whole = tempfile::tempdir().unwrap();
    let acknowledged = load(whole.path(), seed, &[("appends", 900), ("extras", 1), VOLUME]);
    assert!(matches!(check(whole.path(), seed, &acknowledged, &[VOLUME]), Outcome::Ok(_)));
    let without_backup = Acknowledged { backup: 0, ..acknowledged.clone() };
    let mut kinds: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
    let mut all = Vec::new();
    files(&whole.path().join("data"), &mut all);
    for path in all.into_iter().filter(|path| fs::metadata(path).unwrap().len() > 0) {
        kinds.entry(kind(&path)).or_default().push(path);
    }
    assert_eq!(kinds.len(), 8, "{:?}", kinds.keys());
    let names: Vec<&str> = kinds.keys().copied().collect();
    let (mut refused, mut harmless, mut verified, mut mended) = (0, 0, 0, 0);
    for flip in 0..flips {
        let kind = names[flip % names.len()];
        let path = &kinds[kind][rng.usize(0..kinds[kind].len())];
        let copied = tempfile::tempdir().unwrap();
        copy(&whole.path().join("data"), &copied.path().join("data"));
        let hit = copied.path().join(path.strip_prefix(whole.path()).unwrap());
        let mut bytes = fs::read(&hit).unwrap();
        let (offset, bit) = (rng.usize(0..bytes.len()), rng.u8(0..8));
        bytes[offset] ^= 1 << bit;
        fs::write(&hit, bytes).unwrap();
        let place = format!(
            "seed {seed}: bit {bit} of byte {offset} of {}",
            path.strip_prefix(whole.path()).unwrap().display()
        );
        let data = copied.path().join("data");
        // Before anything opens it.
        let opened = DataDir::open(&data);
        let sound = match &opened {
            Ok(data) => verify(data, &VerifyOptions::default(), |_| {}).is_ok_and(|report| report.ok()),
            Err(_) => false,
        };
        verified += usize::from(!sound);
        // Another copy is opened as it is: whatever is served is right, and what is not served is refused.
        let used = tempfile::tempdir().unwrap();
        copy(&data, &used.path().join("data"));
        match check(used.path(), seed, &without_backup, &[VOLUME]) {
            Outcome::Ok(_) => harmless += 1,
            Outcome::Refused(_) => {
                assert!(!sound, "{place}: it is refused, and verification found nothing");
                refused += 1;
            }
            Outcome::Empty => panic!("{place}: it is taken for nothing"),
        }
        // Repair makes it whole; texts come from the backup, the only other copy of them.
        let (opened, _) = open_for_repair(&data, false).unwrap_or_else(|error| panic!("{place}: {error}"));
        let lock = opened.lock().unwrap();
        let options = RepairOptions { backup: Some(whole.path().join("backup")), ..RepairOptions::default() };
        let report = repair(&opened, &lock, &options).unwrap_or_else(|error| panic!("{place}: {error:?}"));
        assert_eq!(report.remaining, [], "{place}");
        drop(lock);
        mended += usize::from(!report.mended.is_empty());
        let after = verify(&opened, &VerifyOptions::default(), |_| {}).unwrap();
        assert!(after.ok(), "{place}: after the repair {:?}", after.findings);
        let outcome = check(copied.path(), seed, &without_backup, &[VOLUME, ("write", u64::MAX / 2)]);
        assert!(matches!(outcome, Outcome::Ok(_)), "{place}: after the repair {outcome:?}");
    }
    figure(format!(
        "seed {seed}: {flips} flipped bits: verification found {verified}; opened as it is {refused} refused, {harmless} served \
         everything right; {mended} mended; 0 wrong values"
    ));
}
