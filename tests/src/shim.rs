//! The C shim that stands between the victim and the disk (`shim/shim.c`).

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The shim, compiled into this directory; once a process, with the system's C compiler. `None`, with a printed word, where
/// there is none.
pub fn library(dir: &str) -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(|| build(dir)).as_deref()
}

fn build(dir: &str) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim/shim.c");
    let target = Path::new(dir).join(format!("shim-{}.so", std::process::id()));
    let built = Command::new("cc")
        .args(["-O1", "-fPIC", "-shared", "-Wall", "-Werror", "-o"])
        .arg(&target)
        .arg(&source)
        .args(["-ldl", "-lpthread"])
        .status();
    match built {
        Ok(status) if status.success() => Some(target),
        Ok(_) => panic!("the shim does not compile"),
        Err(error) => {
            crate::figure(format!("skipped, no C compiler: {error}"));
            None
        }
    }
}

/// What the shim is to do beside recording.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The number of the call that fails, its errno, and how: `once`, `short` or `full`; `kill` or `torn` end the process.
    pub fail: Option<(u64, i32, &'static str)>,
    /// Answer syncs without doing them.
    pub ignore_sync: bool,
}

/// Puts the shim in front of a command.
pub fn shimmed(command: &mut Command, library: &Path, root: &Path, trace: &Path, faults: &Faults) {
    command.env("LD_PRELOAD", library).env("DOCKET_SHIM_ROOT", root).env("DOCKET_SHIM_TRACE", trace);
    if let Some((call, errno, how)) = faults.fail {
        command.env("DOCKET_SHIM_FAIL", format!("{call}:{errno}:{how}"));
    }
    if faults.ignore_sync {
        command.env("DOCKET_SHIM_IGNORE_SYNC", "1");
    }
}
