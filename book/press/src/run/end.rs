//! How a run ended.

use super::limits::{Role, size};
use super::report::Report;
use serde_json::{Value, json};
use std::process::ExitStatus;

/// How a run ended.
#[derive(Debug)]
pub struct End {
    /// One word for the page: `ok`, `panic`, `compile`, `crate`, `exit`, `memory`, `time`, …
    kind: &'static str,
    /// The same in a sentence; empty for a run that went well.
    message: String,
    /// The lines of the block that do not compile.
    pub lines: Vec<usize>,
    /// What the check of an exercise said.
    pub report: Option<Report>,
}

impl End {
    pub fn of(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), lines: Vec::new(), report: None }
    }

    pub fn event(&self) -> Value {
        let mut event = json!({ "end": self.kind, "message": self.message, "lines": self.lines });
        if let Some(report) = &self.report {
            event["verdict"] = report.verdict.into();
            event["exercise"] = report.exercise.as_str().into();
        }
        event
    }

    /// How the program ended, by its status and what it wrote to stderr.
    pub fn of_program(status: ExitStatus, clues: Clues) -> Self {
        let memory = size(Role::Program.memory());
        match (status.code(), signal(status)) {
            (Some(0), _) => Self::of("ok", ""),
            (Some(101), _) => Self::of("panic", "panicked"),
            (Some(126), _) if clues.cannot_start.is_some() => {
                Self::of("press", clues.cannot_start.unwrap_or_default())
            }
            (Some(code), _) => Self::of("exit", format!("ended with exit code {code}")),
            (_, Some(Signal::Abort)) if clues.out_of_memory => Self::of(
                "memory",
                format!("asked for more memory than the {memory} that a run may have"),
            ),
            (_, Some(Signal::Abort)) if clues.stack_overflow => {
                Self::of("stack", "its stack overflowed")
            }
            (_, Some(Signal::System)) => {
                Self::of("process", "ended: it tried to start another process, which a run may not")
            }
            (_, Some(Signal::File)) => {
                let max = size(Role::Program.file());
                Self::of("file", format!("ended: it wrote a file of more than {max}"))
            }
            _ => Self::of("signal", format!("ended: {status}")),
        }
    }
}

/// What a program's stderr shows about how it ended.
#[derive(Default)]
pub struct Clues {
    pub out_of_memory: bool,
    pub stack_overflow: bool,
    pub cannot_start: Option<String>,
}

/// The signals that show which limit was reached.
#[cfg_attr(not(unix), allow(dead_code, reason = "there are no signals"))]
enum Signal {
    Abort,
    System,
    File,
    Other,
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<Signal> {
    use rustix::process::Signal as Unix;
    use std::os::unix::process::ExitStatusExt;
    let number = status.signal()?;
    let is = |signal: Unix| signal.as_raw() == number;
    Some(match () {
        () if is(Unix::ABORT) => Signal::Abort,
        () if is(Unix::SYS) => Signal::System,
        () if is(Unix::XFSZ) => Signal::File,
        () => Signal::Other,
    })
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<Signal> {
    None
}
