//! Counts the loops that a unit test runs.
//!
//! The loops return the same numbers, at different speeds, so results do not show which loop ran.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! { static COUNTS: RefCell<BTreeMap<&'static str, usize>> = RefCell::default(); }

/// Counts a run of the loop `name` on this thread.
pub(crate) fn count(name: &'static str) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(name).or_default() += 1);
}

/// How often `work` ran each loop, on this thread.
pub(crate) fn during(work: impl FnOnce()) -> BTreeMap<&'static str, usize> {
    COUNTS.take();
    work();
    COUNTS.take()
}
