//! The trait of all views.

use docket_core::event::Commit;

/// A read model that can be thrown away and built again from the log.
pub trait Projection: Default {
    /// Called in log order, once for each commit.
    fn apply(&mut self, commit: &Commit);
}
