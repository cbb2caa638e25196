//! Nothing but a place for the tests in `tests/`: they need several crates at once, or the workspace itself.
