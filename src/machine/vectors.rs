//! The widest vector instructions of the machine. Page: `book/src/speed.md`.

use fearless_simd::Level;

/// The widest vector instructions of this machine. `dispatch!` picks the kernel compiled for them.
#[cfg(not(test))]
pub(crate) fn level() -> Level {
    Level::new()
}

#[cfg(test)]
pub(crate) use forced::{level, with};

/// Lets a test ask for narrower vectors.
#[cfg(test)]
mod forced {
    use std::cell::Cell;

    use super::Level;

    thread_local! { static ASKED_FOR: Cell<Option<Level>> = const { Cell::new(None) } }

    pub(crate) fn level() -> Level {
        ASKED_FOR.get().unwrap_or_else(Level::new)
    }

    /// The result of `work` with the vectors of `level`.
    pub(crate) fn with<R>(level: Level, work: impl FnOnce() -> R) -> R {
        ASKED_FOR.set(Some(level));
        let result = work();
        ASKED_FOR.set(None);
        result
    }
}
