//! Panics that a test expects, and the count of those that it does not.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use evenkeel::exercises;

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
    static LAST: Cell<(String, String)> = const { Cell::new((String::new(), String::new())) };
    static SEEN: Cell<usize> = const { Cell::new(0) };
}

/// Sees to it that panics are written down from now on.
///
/// The hook runs in the thread that panics, so tests in other threads do not disturb this. All tests share it, and
/// there is no other beside that of the exercises. That one is made to come first: two threads that put hooks in
/// place at the same time may lose one, and a panic in between meets neither. So a test of an answer that panics
/// calls this too.
pub fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let _ = exercises::layer_norm_by_hand().verdict(|row| row);
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            SEEN.set(SEEN.get() + 1);
            if EXPECTED.get() {
                let message = info.payload_as_str().unwrap_or_default().to_owned();
                let file = info.location().map(|location| location.file().to_owned());
                LAST.set((message, file.unwrap_or_default()));
            } else {
                usual(info);
            }
        }));
    });
}

/// How many panics there were in this thread, those among them that somebody caught.
pub fn seen() -> usize {
    watch();
    SEEN.get()
}

/// Runs `code`, which must panic; returns the message and the file it was blamed on.
pub fn panic_of<R>(code: impl FnOnce() -> R) -> (String, String) {
    watch();
    EXPECTED.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| drop(code())));
    EXPECTED.set(false);
    assert!(result.is_err(), "this must panic");
    LAST.take()
}

/// Runs `code`, which must panic with this message and blame the file that calls this function.
#[track_caller]
pub fn assert_panics<R>(expected: &str, code: impl FnOnce() -> R) {
    let (message, file) = panic_of(code);
    assert_eq!(message, expected);
    assert_eq!(file, Location::caller().file(), "{expected}");
}
