//! Makes a fingerprint of the code that folds events into views. A snapshot written by other code is ignored.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let folders = [here.join("src"), here.join("../core/src")];
    let mut files = Vec::new();
    for folder in &folders {
        println!("cargo:rerun-if-changed={}", folder.display());
        collect(folder, &mut files);
    }
    files.sort();
    // FNV-1a, 64 bits: it tells two builds apart and need not withstand anybody.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for file in files {
        println!("cargo:rerun-if-changed={}", file.display());
        for byte in fs::read(&file).unwrap_or_default() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    println!("cargo:rustc-env=DOCKET_VIEWS_FINGERPRINT={hash:016x}");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}
