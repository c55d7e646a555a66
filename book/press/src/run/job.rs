//! One run: a folder, the compiler, the program, and the events that the page gets.

use super::block::{Block, Diagnostics, FILE, ReaderLines};
use super::events::Events;
use super::folder::RunFolder;
use super::group::ProcessGroup;
use super::library::RustcCommand;
use super::limits::{CANNOT_START, Role, limited_command, size};
use serde_json::{Value, json};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// How long the compiler may take.
const COMPILER_TIME_LIMIT: Duration = Duration::from_secs(30);
/// How much a program may print, and how much of the compiler's messages is shown.
const MAX_OUTPUT: usize = 512 << 10;
const MAX_MESSAGES: usize = 64 << 10;

/// The name of the compiled program.
const PROGRAM: &str = if cfg!(windows) { "program.exe" } else { "program" };

/// The start of a Rust program's message when an allocation fails.
const OUT_OF_MEMORY: &str = "memory allocation of ";

/// How a run ended.
#[derive(Debug)]
pub struct End {
    /// One word for the page: `ok`, `panic`, `compile`, `crate`, `exit`, `memory`, `time`, …
    kind: &'static str,
    /// The same in a sentence; empty for a run that went well.
    message: String,
    /// The lines of the block that do not compile.
    lines: Vec<usize>,
}

impl End {
    pub fn of(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), lines: Vec::new() }
    }

    pub fn event(&self) -> Value {
        json!({ "end": self.kind, "message": self.message, "lines": self.lines })
    }
}

/// Compiles and executes a block. If the future is dropped, neither a process nor a file is left.
pub async fn run(
    rustc: &RustcCommand,
    block: &Block,
    time_limit: Duration,
    events: &Events,
) -> End {
    match attempt(rustc, block, time_limit, events).await {
        Ok(end) | Err(Failure::Ended(end)) => end,
        Err(Failure::System(error)) => {
            End::of("press", format!("the press could not run it: {error}"))
        }
    }
}

/// Why a run ended early.
enum Failure {
    Ended(End),
    System(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

async fn attempt(
    rustc: &RustcCommand,
    block: &Block,
    time_limit: Duration,
    events: &Events,
) -> Result<End, Failure> {
    // Declared first, so dropped last: the processes that write into it have ended then.
    let folder = RunFolder::new()?;
    let (source, lines) = block.source();
    std::fs::write(folder.path().join(FILE), source)?;
    events.send(&json!({ "state": "compiling" }));
    let diagnostics = compile(rustc, &folder, lines).await?;
    if !diagnostics.text.is_empty() {
        events.send(&json!({ "compiler": diagnostics.text }));
    }
    if diagnostics.errors > 0 {
        let errors = match diagnostics.errors {
            1 => "one error".to_owned(),
            n => format!("{n} errors"),
        };
        return Ok(End {
            lines: diagnostics.lines,
            ..End::of("compile", format!("does not compile: {errors}"))
        });
    }
    events.send(&json!({ "state": "running" }));
    execute(&folder, lines, time_limit, events).await
}

/// Compiles the block's file to the program, in the folder.
async fn compile(
    rustc: &RustcCommand,
    folder: &RunFolder,
    lines: ReaderLines,
) -> Result<Diagnostics, Failure> {
    let mut compiler = limited_command(Role::Compiler, &rustc.path);
    compiler
        .args([FILE, "--crate-type=bin", "--error-format=json", "-o", PROGRAM])
        // As in a doctest: a reader also runs half-finished code.
        .arg("-Aunused")
        // Linking debug info takes a fifth of the time of the linker, and a panic names its line without
        // it.
        .arg("-Cstrip=debuginfo")
        // The program runs once, so the linker need not optimise it.
        .args(cfg!(target_os = "linux").then_some("-Clink-arg=-Wl,-O0"))
        .args(&rustc.arguments)
        .current_dir(folder.path())
        // For the linker's temporary files.
        .envs(["TMPDIR", "TMP", "TEMP"].map(|name| (name, folder.path())))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut group = ProcessGroup::spawn(&mut compiler)?;
    let mut errors = group.child.stderr.take();
    let mut messages = Vec::new();
    let compiled = async {
        if let Some(errors) = &mut errors {
            errors.take(MAX_OUTPUT as u64).read_to_end(&mut messages).await?;
        }
        // Closing the pipe ends a compiler that prints more than the limit.
        errors = None;
        group.child.wait().await
    };
    let Ok(status) = timeout(COMPILER_TIME_LIMIT, compiled).await else {
        let seconds = COMPILER_TIME_LIMIT.as_secs();
        return Err(Failure::Ended(End::of(
            "time",
            format!("stopped: the compiler took more than {seconds} s"),
        )));
    };
    let status = status?;
    let messages = String::from_utf8_lossy(&messages);
    if messages.starts_with(CANNOT_START) {
        return Err(Failure::Ended(End::of("press", messages.trim())));
    }
    if !status.success() && messages.lines().any(|line| line.starts_with(OUT_OF_MEMORY)) {
        let memory = size(Role::Compiler.memory());
        let why = format!("the compiler asked for more memory than the {memory} that it may have");
        return Err(Failure::Ended(End::of("memory", why)));
    }
    let mut found = Diagnostics::read(&messages, lines);
    if !status.success() && found.errors == 0 {
        found.errors = 1;
        if found.text.is_empty() {
            found.text = format!("the compiler ended with {status} and said nothing\n");
        }
    }
    if found.text.len() > MAX_MESSAGES {
        found.text.truncate(found.text.floor_char_boundary(MAX_MESSAGES));
        found.text.push_str("\n… and more\n");
    }
    Ok(found)
}

/// Executes the program of the folder, in an empty folder inside it.
async fn execute(
    folder: &RunFolder,
    lines: ReaderLines,
    time_limit: Duration,
    events: &Events,
) -> Result<End, Failure> {
    let work = folder.path().join("files");
    std::fs::create_dir(&work)?;
    let mut program = limited_command(Role::Program, folder.path().join(PROGRAM));
    program.envs(["TMPDIR", "TMP", "TEMP", "HOME"].map(|name| (name, &work)));
    program.current_dir(&work).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = ProcessGroup::spawn(&mut program)?;
    let (mut stdout, mut stderr) = (group.child.stdout.take(), group.child.stderr.take());
    let (mut out, mut err) = (Decoder::default(), Decoder::default());
    let mut bytes_left = MAX_OUTPUT;
    let mut error_output =
        ErrorOutput { lines, out_of_memory: false, stack_overflow: false, cannot_start: None };
    let mut status = None;
    let end = tokio::time::sleep(time_limit);
    tokio::pin!(end);
    while status.is_none() || stdout.is_some() || stderr.is_some() {
        tokio::select! {
            // In this order, so that what was printed before a panic is shown before it.
            biased;
            () = &mut end => {
                let seconds = time_limit.as_secs();
                return Err(Failure::Ended(End::of(
                    "time",
                    format!(
                        "stopped after {seconds} s: `cargo book --run-seconds {}` allows more",
                        seconds * 6
                    ),
                )));
            }
            read = chunk(&mut stdout), if stdout.is_some() => {
                let read = read?;
                bytes_left = bytes_left.checked_sub(read.len()).ok_or_else(too_much)?;
                let text = out.decode(&read);
                if !text.is_empty() {
                    events.send(&json!({ "out": text }));
                }
            }
            read = chunk(&mut stderr), if stderr.is_some() => {
                let read = read?;
                bytes_left = bytes_left.checked_sub(read.len()).ok_or_else(too_much)?;
                let text = error_output.whole_lines(&mut err, &read);
                if !text.is_empty() {
                    events.send(&json!({ "err": text }));
                }
            }
            ended = group.child.wait(), if status.is_none() => {
                status = Some(ended?);
                // If a program can start others, they end here, and the pipes close.
                group.kill();
            }
        }
    }
    Ok(error_output.end(status.unwrap_or_default()))
}

fn too_much() -> Failure {
    let max = MAX_OUTPUT >> 10;
    Failure::Ended(End::of("output", format!("stopped: it printed more than {max} KiB")))
}

/// The next bytes; at the end of the pipe there are none, and it is closed.
async fn chunk(pipe: &mut Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 16 << 10];
    let read = match pipe {
        Some(open) => open.read(&mut bytes).await?,
        None => 0,
    };
    if read == 0 {
        *pipe = None;
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// Turns bytes into text as they arrive: a character may be split between two reads.
#[derive(Default)]
struct Decoder {
    incomplete: Vec<u8>,
    /// The start of a line that has no end yet.
    line: String,
}

impl Decoder {
    /// The text of these bytes; no bytes mean the end. Invalid UTF-8 becomes �.
    fn decode(&mut self, bytes: &[u8]) -> String {
        self.incomplete.extend_from_slice(bytes);
        let last = self.incomplete.utf8_chunks().last().map_or(&b""[..], |chunk| chunk.invalid());
        // An error without a length is a character whose end may still come.
        let is_cut = std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
        let held = if is_cut && !bytes.is_empty() { last.len() } else { 0 };
        let rest = self.incomplete.split_off(self.incomplete.len() - held);
        let text = String::from_utf8_lossy(&self.incomplete).into_owned();
        self.incomplete = rest;
        text
    }
}

/// What the program's stderr shows about how it ended.
struct ErrorOutput {
    lines: ReaderLines,
    out_of_memory: bool,
    stack_overflow: bool,
    cannot_start: Option<String>,
}

impl ErrorOutput {
    /// The whole lines so far, with the reader's line numbers. A line longer than `LONG` is passed on in
    /// pieces.
    fn whole_lines(&mut self, decoder: &mut Decoder, bytes: &[u8]) -> String {
        const LONG: usize = 4 << 10;
        let more = decoder.decode(bytes);
        decoder.line.push_str(&more);
        let mut out = String::new();
        while let Some(at) = decoder.line.find('\n') {
            let line: String = decoder.line.drain(..=at).collect();
            self.note_cause(&line);
            if let Some(line) = self.lines.stderr_line(line.trim_end_matches('\n')) {
                out.push_str(&line);
                out.push('\n');
            }
        }
        if bytes.is_empty() || decoder.line.len() > LONG {
            out.push_str(&std::mem::take(&mut decoder.line));
        }
        out
    }

    fn note_cause(&mut self, line: &str) {
        self.out_of_memory |= line.starts_with(OUT_OF_MEMORY);
        self.stack_overflow |= line.contains("has overflowed its stack");
        if line.starts_with(CANNOT_START) {
            self.cannot_start = Some(line.trim().to_owned());
        }
    }

    fn end(self, status: ExitStatus) -> End {
        let memory = size(Role::Program.memory());
        match (status.code(), signal(status)) {
            (Some(0), _) => End::of("ok", ""),
            (Some(101), _) => End::of("panic", "panicked"),
            (Some(126), _) if self.cannot_start.is_some() => {
                End::of("press", self.cannot_start.unwrap_or_default())
            }
            (Some(code), _) => End::of("exit", format!("ended with exit code {code}")),
            (_, Some(Signal::Abort)) if self.out_of_memory => End::of(
                "memory",
                format!("asked for more memory than the {memory} that a run may have"),
            ),
            (_, Some(Signal::Abort)) if self.stack_overflow => {
                End::of("stack", "its stack overflowed")
            }
            (_, Some(Signal::System)) => {
                End::of("process", "ended: it tried to start another process, which a run may not")
            }
            (_, Some(Signal::File)) => {
                let max = size(Role::Program.file());
                End::of("file", format!("ended: it wrote a file of more than {max}"))
            }
            _ => End::of("signal", format!("ended: {status}")),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: &[&[u8]]) -> String {
        let mut decoder = Decoder::default();
        let all: String = pieces.iter().map(|piece| decoder.decode(piece)).collect();
        all + &decoder.decode(b"")
    }

    #[test]
    fn a_character_that_is_cut_in_two_is_one() {
        assert_eq!(text(&[b"a\xc3", b"\xa9b"]), "aéb");
        assert_eq!(text(&[b"\xf0\x9f", b"\x8e", b"\x89"]), "🎉");
        assert_eq!(text(&[b"\xff a\xc3", b"\xa9"]), "\u{fffd} aé");
    }

    #[test]
    fn what_is_no_text_is_marked_and_nothing_is_lost() {
        assert_eq!(text(&[b"\xff\xfeok"]), "\u{fffd}\u{fffd}ok");
        assert_eq!(text(&[b"end\xc3"]), "end\u{fffd}");
        assert_eq!(text(&[b"\xc3", b"x"]), "\u{fffd}x");
        assert_eq!(text(&[b"", b"a"]), "a");
    }

    #[test]
    fn a_line_without_an_end_is_passed_on() {
        let lines = Block { code: "x\n".into(), ..Block::default() }.source().1;
        let mut error_output =
            ErrorOutput { lines, out_of_memory: false, stack_overflow: false, cannot_start: None };
        let mut decoder = Decoder::default();
        assert_eq!(error_output.whole_lines(&mut decoder, b"one\ntwo"), "one\n");
        assert_eq!(error_output.whole_lines(&mut decoder, b" and"), "");
        assert_eq!(error_output.whole_lines(&mut decoder, &[b'x'; 5000]).len(), 5007);
        assert_eq!(error_output.whole_lines(&mut decoder, b"end"), "");
        assert_eq!(error_output.whole_lines(&mut decoder, b""), "end");
    }
}
