//! Runs a reader's code and catches its panic, silently.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// A panic that was caught.
pub(super) struct Panic {
    pub(super) message: String,
    at: Option<(String, u32)>,
}

impl Panic {
    /// The place of the panic: a line of the reader's block, which begins below `start`, or a file
    /// and a line. (The line numbers of rustdoc and rustc also count the code that they wrap around
    /// a block.)
    pub(super) fn place(&self, start: &Location<'_>) -> String {
        match &self.at {
            Some((file, line)) if file == start.file() && *line > start.line() => {
                format!("line {}", line - start.line())
            }
            Some((file, line)) => format!("{file}:{line}"),
            None => "an unknown line".into(),
        }
    }
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Runs `code`. If it panics, nothing is printed and the panic is returned.
///
/// The panic hook is silent in this thread only; panics in other threads go to the previous hook.
pub(super) fn attempt<R>(code: impl FnOnce() -> R) -> Result<R, Panic> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info| {
            if !SILENT.get() {
                return previous(info);
            }
            let message = info.payload_as_str().unwrap_or("no message").to_owned();
            let at = info.location().map(|at| (at.file().to_owned(), at.line()));
            LAST.set(Some(Panic { message, at }));
        }));
    });
    let before = SILENT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(code));
    SILENT.set(before);
    let unknown = || Panic { message: "no message".into(), at: None };
    result.map_err(|_| LAST.take().unwrap_or_else(unknown))
}
