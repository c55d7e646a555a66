//! Which loops a unit test has gone through.
//!
//! All of them give the same numbers, only not at the same speed.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! { static TAKEN: RefCell<BTreeMap<&'static str, usize>> = RefCell::default(); }

/// Notes that this thread went through the loop of that name.
pub(crate) fn note(name: &'static str) {
    TAKEN.with_borrow_mut(|taken| *taken.entry(name).or_default() += 1);
}

/// How often `work` went through each loop, on one thread.
pub(crate) fn during(work: impl FnOnce()) -> BTreeMap<&'static str, usize> {
    TAKEN.take();
    work();
    TAKEN.take()
}
