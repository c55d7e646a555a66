//! The widest vectors of the machine. Page: `book/src/speed.md`.

use fearless_simd::Level;

/// What `dispatch!` compiles a kernel for and then picks: the best that this machine has.
#[cfg(not(test))]
pub(crate) fn level() -> Level {
    Level::new()
}

#[cfg(test)]
pub(crate) use forced::{level, with};

/// A test can ask for narrower vectors.
#[cfg(test)]
mod forced {
    use std::cell::Cell;

    use super::Level;

    thread_local! { static ASKED_FOR: Cell<Option<Level>> = const { Cell::new(None) } }

    pub(crate) fn level() -> Level {
        ASKED_FOR.get().unwrap_or_else(Level::new)
    }

    /// What `work` returns with vectors of that width.
    pub(crate) fn with<R>(level: Level, work: impl FnOnce() -> R) -> R {
        ASKED_FOR.set(Some(level));
        let result = work();
        ASKED_FOR.set(None);
        result
    }
}
