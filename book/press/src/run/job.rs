//! One run: a folder, the compiler, the program, and the events that the page gets.

use super::block::{Block, Source};
use super::diagnostics::Diagnostics;
use super::end::End;
use super::events::Events;
use super::folder::RunFolder;
use super::group::ProcessGroup;
use super::library::RustcCommand;
use super::limits::{CANNOT_START, Role, limited_command, size};
use super::lines::{FILE, ReaderLines};
use super::output::{Decoder, ErrorOutput, OUT_OF_MEMORY};
use super::report::{self, ReportFile};
use serde_json::json;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::time::timeout;

/// How long the compiler may take.
const COMPILER_TIME_LIMIT: Duration = Duration::from_secs(30);
/// How much a program may print, and how much of the compiler's messages is read: in JSON, each repeats the
/// lines that it is about, however long they are.
const MAX_OUTPUT: usize = 512 << 10;
const MAX_MESSAGES: u64 = 8 << 20;

/// The name of the compiled program.
const PROGRAM: &str = if cfg!(windows) { "program.exe" } else { "program" };

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
    let source = block.source();
    std::fs::write(folder.path().join(FILE), &source.text)?;
    events.send(&json!({ "state": "compiling" }));
    let found = compile(rustc, &folder, &source).await?;
    if !found.text.is_empty() {
        events.send(&json!({ "compiler": found.text }));
    }
    if found.errors > 0 {
        let errors = match found.errors {
            n if found.is_cut => format!("at least {n} errors"),
            1 => "one error".to_owned(),
            n => format!("{n} errors"),
        };
        let mut end = End::of("compile", format!("does not compile: {errors}"));
        end.lines = found.lines;
        return Ok(end);
    }
    events.send(&json!({ "state": "running" }));
    execute(&folder, &source.lines, time_limit, events).await
}

/// Compiles the block's file to the program, in the folder.
async fn compile<'a>(
    rustc: &RustcCommand,
    folder: &RunFolder,
    source: &'a Source,
) -> Result<Diagnostics<'a>, Failure> {
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
    let mut found = Diagnostics::new(source);
    let compiled = async {
        if let Some(errors) = group.child.stderr.take() {
            let mut errors = BufReader::new(errors.take(MAX_MESSAGES));
            let mut line = Vec::new();
            while errors.read_until(b'\n', &mut line).await? > 0 {
                found.read(&String::from_utf8_lossy(&line));
                line.clear();
            }
            found.is_cut = errors.get_ref().limit() == 0;
        }
        if found.is_cut {
            group.kill();
        }
        group.child.wait().await
    };
    let status = match timeout(COMPILER_TIME_LIMIT, compiled).await {
        Ok(status) => status?,
        Err(_) if found.errors > 0 => {
            found.is_cut = true;
            ExitStatus::default()
        }
        Err(_) => {
            let seconds = COMPILER_TIME_LIMIT.as_secs();
            return Err(Failure::Ended(End::of(
                "time",
                format!("stopped: the compiler took more than {seconds} s"),
            )));
        }
    };
    if found.plain.starts_with(CANNOT_START) {
        return Err(Failure::Ended(End::of("press", found.plain.trim())));
    }
    if !status.success() && found.plain.lines().any(|line| line.starts_with(OUT_OF_MEMORY)) {
        let memory = size(Role::Compiler.memory());
        let why = format!("the compiler asked for more memory than the {memory} that it may have");
        return Err(Failure::Ended(End::of("memory", why)));
    }
    found.finish();
    if !status.success() && found.errors == 0 {
        found.errors = 1;
        if found.text.is_empty() {
            found.text = format!("the compiler ended with {status} and said nothing\n");
        }
    }
    Ok(found)
}

/// Executes the program of the folder, in an empty folder inside it.
async fn execute(
    folder: &RunFolder,
    lines: &ReaderLines,
    time_limit: Duration,
    events: &Events,
) -> Result<End, Failure> {
    let work = folder.path().join("files");
    std::fs::create_dir(&work)?;
    let mut program = limited_command(Role::Program, folder.path().join(PROGRAM));
    program.envs(["TMPDIR", "TMP", "TEMP", "HOME"].map(|name| (name, &work)));
    let mut reports = ReportFile::create(folder.path())?;
    program.env(report::VARIABLE, &reports.path);
    program.current_dir(&work).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = ProcessGroup::spawn(&mut program)?;
    let (mut stdout, mut stderr) = (group.child.stdout.take(), group.child.stderr.take());
    let (mut out, mut err) = (Decoder::default(), ErrorOutput::new(lines));
    let mut bytes_left = MAX_OUTPUT;
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
                let text = err.whole_lines(&read);
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
    let mut end = End::of_program(status.unwrap_or_default(), err.clues);
    end.report = reports.read()?;
    Ok(end)
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
