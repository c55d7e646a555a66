//! One run: a folder, the compiler, the program, and what the page is told of them.

use super::block::{Block, Diagnostics, FILE, Lines};
use super::library::Line;
use super::limits::{CANNOT_START, Group, Role, command};
use super::teller::Teller;
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

/// How long the compiler may take.
const COMPILER_PATIENCE: Duration = Duration::from_secs(30);
/// How much a program may print, and how much of the compiler's messages is shown.
const MOST_OUTPUT: usize = 512 << 10;
const MOST_MESSAGES: usize = 64 << 10;

/// What the compiler makes of the block's file.
const PROGRAM: &str = if cfg!(windows) { "program.exe" } else { "program" };

/// How a Rust program begins what it says when an allocation fails.
const OUT_OF_MEMORY: &str = "memory allocation of ";

/// How a run ended.
#[derive(Debug)]
pub struct End {
    /// One word for the page: `ok`, `panic`, `compile`, `crate`, `exit`, `memory`, `time`, …
    kind: &'static str,
    /// The same in a sentence; nothing to say of a run that went well.
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

/// Compiles and executes a block. Dropped before its end, it leaves neither a process nor a file.
pub async fn run(line: &Line, block: &Block, patience: Duration, teller: &Teller) -> End {
    match attempt(line, block, patience, teller).await {
        Ok(end) | Err(Broken::Ended(end)) => end,
        Err(Broken::System(error)) => {
            End::of("press", format!("the press could not run it: {error}"))
        }
    }
}

/// Why a run did not come to its end.
enum Broken {
    Ended(End),
    System(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

async fn attempt(
    line: &Line,
    block: &Block,
    patience: Duration,
    teller: &Teller,
) -> Result<End, Broken> {
    // Dropped last, when the processes that write into it have ended.
    let folder = tempfile::Builder::new().prefix("evenkeel-run-").tempdir()?;
    let (source, lines) = block.source();
    std::fs::write(folder.path().join(FILE), source)?;
    teller.tell(&json!({ "state": "compiling" }));
    let diagnostics = compile(line, &folder, lines).await?;
    if !diagnostics.text.is_empty() {
        teller.tell(&json!({ "compiler": diagnostics.text }));
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
    teller.tell(&json!({ "state": "running" }));
    execute(&folder, lines, patience, teller).await
}

/// Compiles the block's file in the folder to the program.
async fn compile(line: &Line, folder: &TempDir, lines: Lines) -> Result<Diagnostics, Broken> {
    let mut rustc = command(Role::Compiler, &line.rustc);
    rustc
        .args([FILE, "--crate-type=bin", "--error-format=json", "-o", PROGRAM])
        // As in a doctest: half-finished code is what a reader tries.
        .arg("-Aunused")
        // The crates' tables of lines take a fifth of the time to link, and a panic names its line without them.
        .arg("-Cstrip=debuginfo")
        // Nor is the program worth the linker's care: it runs once.
        .args(cfg!(target_os = "linux").then_some("-Clink-arg=-Wl,-O0"))
        .args(&line.arguments)
        .current_dir(folder)
        // The linker's own files.
        .env("TMPDIR", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut group = Group::spawn(&mut rustc)?;
    let mut errors = group.child.stderr.take();
    let mut said = Vec::new();
    let compiled = async {
        if let Some(errors) = &mut errors {
            errors.take(MOST_OUTPUT as u64).read_to_end(&mut said).await?;
        }
        // Reading no further ends a compiler that says more than anyone reads.
        errors = None;
        group.child.wait().await
    };
    let Ok(status) = timeout(COMPILER_PATIENCE, compiled).await else {
        let seconds = COMPILER_PATIENCE.as_secs();
        return Err(Broken::Ended(End::of(
            "time",
            format!("stopped: the compiler took more than {seconds} s"),
        )));
    };
    let status = status?;
    let said = String::from_utf8_lossy(&said);
    if said.starts_with(CANNOT_START) {
        return Err(Broken::Ended(End::of("press", said.trim())));
    }
    if !status.success() && said.lines().any(|line| line.starts_with(OUT_OF_MEMORY)) {
        let memory = Role::Compiler.memory() >> 30;
        let why =
            format!("the compiler asked for more memory than the {memory} GiB that it may have");
        return Err(Broken::Ended(End::of("memory", why)));
    }
    let mut found = Diagnostics::read(&said, lines);
    if !status.success() && found.errors == 0 {
        found.errors = 1;
        if found.text.is_empty() {
            found.text = format!("the compiler ended with {status} and said nothing\n");
        }
    }
    if found.text.len() > MOST_MESSAGES {
        found.text.truncate(found.text.floor_char_boundary(MOST_MESSAGES));
        found.text.push_str("\n… and more\n");
    }
    Ok(found)
}

/// Executes the program of the folder, in an empty folder inside it.
async fn execute(
    folder: &TempDir,
    lines: Lines,
    patience: Duration,
    teller: &Teller,
) -> Result<End, Broken> {
    let own = folder.path().join("files");
    std::fs::create_dir(&own)?;
    let mut program = command(Role::Program, folder.path().join(PROGRAM));
    environment(&mut program, &own);
    program.current_dir(&own).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::spawn(&mut program)?;
    let (mut stdout, mut stderr) = (group.child.stdout.take(), group.child.stderr.take());
    let (mut out, mut err) = (Text::default(), Text::default());
    let mut room = MOST_OUTPUT;
    let mut said = Said { lines, out_of_memory: false, stack_overflow: false, cannot_start: None };
    let mut status = None;
    let end = tokio::time::sleep(patience);
    tokio::pin!(end);
    while status.is_none() || stdout.is_some() || stderr.is_some() {
        tokio::select! {
            // In this order: what was printed before a panic stands before it.
            biased;
            () = &mut end => {
                let seconds = patience.as_secs();
                return Err(Broken::Ended(End::of(
                    "time",
                    format!(
                        "stopped after {seconds} s: `cargo book --run-seconds {}` allows more",
                        seconds * 6
                    ),
                )));
            }
            read = chunk(&mut stdout), if stdout.is_some() => {
                let read = read?;
                room = room.checked_sub(read.len()).ok_or_else(too_much)?;
                let text = out.take(&read);
                if !text.is_empty() {
                    teller.tell(&json!({ "out": text }));
                }
            }
            read = chunk(&mut stderr), if stderr.is_some() => {
                let read = read?;
                room = room.checked_sub(read.len()).ok_or_else(too_much)?;
                let text = said.by_lines(&mut err, &read);
                if !text.is_empty() {
                    teller.tell(&json!({ "err": text }));
                }
            }
            ended = group.child.wait(), if status.is_none() => {
                status = Some(ended?);
                // Where a program can start others, they end with it, and the pipes close.
                group.kill();
            }
        }
    }
    Ok(said.end(status.unwrap_or_default()))
}

fn too_much() -> Broken {
    let most = MOST_OUTPUT >> 10;
    Broken::Ended(End::of("output", format!("stopped: it printed more than {most} KiB")))
}

/// What a program has of an environment: how to find libraries, and its folder for all that it writes.
fn environment(program: &mut Command, folder: &Path) {
    for name in ["PATH", "LD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "SYSTEMROOT", "TZ"] {
        if let Some(value) = std::env::var_os(name) {
            program.env(name, value);
        }
    }
    for name in ["TMPDIR", "TMP", "TEMP", "HOME"] {
        program.env(name, folder);
    }
}

/// The next bytes; at the end none, and the pipe is closed.
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

/// Bytes that become text as they come: a character may be cut in two.
#[derive(Default)]
struct Text {
    cut: Vec<u8>,
    /// What is not yet a whole line.
    line: String,
}

impl Text {
    /// The text of these bytes; no bytes is the end. What is no UTF-8 becomes �.
    fn take(&mut self, bytes: &[u8]) -> String {
        self.cut.extend_from_slice(bytes);
        let last = self.cut.utf8_chunks().last().map_or(&b""[..], |chunk| chunk.invalid());
        // An error without a length is a character whose end may still come.
        let is_cut = std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
        let held = if is_cut && !bytes.is_empty() { last.len() } else { 0 };
        let rest = self.cut.split_off(self.cut.len() - held);
        let text = String::from_utf8_lossy(&self.cut).into_owned();
        self.cut = rest;
        text
    }
}

/// What the program said to stderr, as far as it tells how it ended.
struct Said {
    lines: Lines,
    out_of_memory: bool,
    stack_overflow: bool,
    cannot_start: Option<String>,
}

impl Said {
    /// The whole lines so far, as the reader is told them. A line without an end in sight is passed on in pieces.
    fn by_lines(&mut self, text: &mut Text, bytes: &[u8]) -> String {
        const LONG: usize = 4 << 10;
        let more = text.take(bytes);
        text.line.push_str(&more);
        let mut out = String::new();
        while let Some(at) = text.line.find('\n') {
            let line: String = text.line.drain(..=at).collect();
            self.note(&line);
            if let Some(told) = self.lines.told(line.trim_end_matches('\n')) {
                out.push_str(&told);
                out.push('\n');
            }
        }
        if bytes.is_empty() || text.line.len() > LONG {
            out.push_str(&std::mem::take(&mut text.line));
        }
        out
    }

    fn note(&mut self, line: &str) {
        self.out_of_memory |= line.starts_with(OUT_OF_MEMORY);
        self.stack_overflow |= line.contains("has overflowed its stack");
        if line.starts_with(CANNOT_START) {
            self.cannot_start = Some(line.trim().to_owned());
        }
    }

    fn end(self, status: ExitStatus) -> End {
        let memory = Role::Program.memory() >> 30;
        match (status.code(), signal(status)) {
            (Some(0), _) => End::of("ok", ""),
            (Some(101), _) => End::of("panic", "panicked"),
            (Some(126), _) if self.cannot_start.is_some() => {
                End::of("press", self.cannot_start.unwrap_or_default())
            }
            (Some(code), _) => End::of("exit", format!("ended with exit code {code}")),
            (_, Some(Signal::Abort)) if self.out_of_memory => End::of(
                "memory",
                format!("asked for more memory than the {memory} GiB that a run may have"),
            ),
            (_, Some(Signal::Abort)) if self.stack_overflow => {
                End::of("stack", "its stack overflowed")
            }
            (_, Some(Signal::System)) => {
                End::of("process", "ended: it tried to start another process, which a run may not")
            }
            (_, Some(Signal::File)) => {
                let most = Role::Program.file() >> 20;
                End::of("file", format!("ended: it wrote a file of more than {most} MiB"))
            }
            _ => End::of("signal", format!("ended: {status}")),
        }
    }
}

/// The signals that say which limit was met.
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
        let mut text = Text::default();
        let all: String = pieces.iter().map(|piece| text.take(piece)).collect();
        all + &text.take(b"")
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
        let mut said =
            Said { lines, out_of_memory: false, stack_overflow: false, cannot_start: None };
        let mut text = Text::default();
        assert_eq!(said.by_lines(&mut text, b"one\ntwo"), "one\n");
        assert_eq!(said.by_lines(&mut text, b" and"), "");
        assert_eq!(said.by_lines(&mut text, &[b'x'; 5000]).len(), 5007);
        assert_eq!(said.by_lines(&mut text, b"end"), "");
        assert_eq!(said.by_lines(&mut text, b""), "end");
    }
}
