//! Panics of sled: it panics on some damage, and whoever asks it is guarded and goes on with the journal. Such a panic is a line
//! of the program's log, and no backtrace beside an answer that is right.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook},
};

use crate::codec::brief;

thread_local! {
    /// True while this thread asks sled.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does what asks sled; a panic in it is its message.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let before = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    done.map_err(|payload| message(&*payload))
}

/// Makes the panics of sled that this crate catches, and those of sled's own threads, a warning in the log of the program, with
/// place and message. Every other panic goes to the hook that was there before. For the start of a program.
pub fn log_panics_of_sled() {
    let before = take_hook();
    set_hook(Box::new(move |panic| {
        if GUARDED.get() || is_of_sled(panic) {
            let at = panic.location().map(ToString::to_string).unwrap_or_default();
            let message = message(panic.payload());
            tracing::warn!(at, message, "sled gave up: its journal answers, and the database is made again");
        } else {
            before(panic);
        }
    }));
}

fn is_of_sled(panic: &PanicHookInfo<'_>) -> bool {
    let thread = std::thread::current();
    thread.name().is_some_and(|name| name.starts_with("sled-"))
        || panic.location().is_some_and(|location| is_source_of_sled(location.file()))
}

/// True for a file of sled's sources: `…/sled-0.34.7/src/…`, wherever the package manager keeps it.
fn is_source_of_sled(file: &str) -> bool {
    let mut parts = file.split(['/', '\\']).peekable();
    while let Some(part) = parts.next() {
        let package =
            part == "sled" || part.strip_prefix("sled-").is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
        if package && parts.peek() == Some(&"src") {
            return true;
        }
    }
    false
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    brief(text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without words"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_given_back_with_its_words_and_the_thread_is_no_longer_guarded() {
        let inner = guarded(|| {
            assert!(GUARDED.get());
            assert_eq!(guarded(|| 7), Ok(7));
            assert!(GUARDED.get(), "the outer one still is");
            std::panic::panic_any("a page that is not there")
        });
        assert_eq!(inner, Err::<(), _>("a page that is not there".into()));
        assert!(!GUARDED.get());
    }

    #[test]
    fn only_sources_of_sled_are_taken_for_them() {
        for file in ["/r/src/index.crates.io-19/sled-0.34.7/src/pagecache/mod.rs", "vendor/sled/src/tree.rs"] {
            assert!(is_source_of_sled(file), "{file}");
        }
        for file in [
            "store/src/sled_log.rs",
            "data/sled/conf",
            "/r/unsled-1.0/src/lib.rs",
            "/r/sled-tools/src/lib.rs",
            "sled-0.34.7/tests/x.rs",
        ] {
            assert!(!is_source_of_sled(file), "{file}");
        }
    }
}
