//! Which panics reach the hook of the program. A process of its own: the hook is everybody's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::sync::{Arc, Mutex};

#[test]
fn panics_of_sleds_threads_are_kept_from_the_programs_hook_and_all_others_reach_it() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    std::panic::set_hook(Box::new(move |panic| told.lock().unwrap().push(panic.payload_as_str().unwrap().to_owned())));
    docket_store::log_panics_of_sled();
    let on = |name: &str, words: &'static str| {
        let thread = std::thread::Builder::new().name(name.to_owned());
        assert!(thread.spawn(move || std::panic::panic_any(words)).unwrap().join().is_err());
    };
    on("sled-io-3", "sled's");
    on("docket-views", "ours");
    on("tokio-runtime-worker", "somebody's");
    // Not held while it is compared: a panic would wait for it in the hook.
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen, ["ours", "somebody's"]);
}
