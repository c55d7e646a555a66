//! `mdbook test book`: runs the Rust blocks of the pages with Cargo.
//!
//! mdBook itself runs a bare `rustdoc --test` on each page, which cannot see the crate. Cargo can:
//! `src/book.rs` makes each page the documentation of a module, and the name of each test has the page and
//! the line of its block.

use crate::{Problem, Problems, Source, page};
use mdbook_preprocessor::book::Book;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// Why the blocks did not all pass.
#[derive(Debug)]
pub enum Failed {
    /// These blocks failed, or were never run.
    Blocks(Problems),
    /// Cargo failed before it ran a block.
    Cargo(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocks(problems) => problems.fmt(f),
            Self::Cargo(why) => write!(f, "cargo test --doc --package evenkeel: {why}"),
        }
    }
}

impl std::error::Error for Failed {}

/// Runs the blocks of every page; `root` is the book's folder, inside the workspace.
pub fn run(root: &Path, source: &Source, book: &Book) -> Result<(), Failed> {
    let expected: Vec<(String, usize)> = book
        .chapters()
        .filter_map(|chapter| Some((source.label_of(chapter)?, page::use_blocks(&chapter.content))))
        .flat_map(|(label, lines)| lines.into_iter().map(move |line| (label.clone(), line)))
        .collect();
    if expected.is_empty() {
        return Ok(());
    }
    let mut command = cargo(root);
    command.args(["test", "--doc", "--package", "evenkeel", "book::"]);
    // Cargo hides what a passing block prints, and so whether an exercise is solved.
    let states = std::env::temp_dir().join(format!("evenkeel-exercises-{}", std::process::id()));
    command.env("EVENKEEL_EXERCISES", &states);
    let cannot_run = |error: io::Error| Failed::Cargo(format!("cannot be run: {error}"));
    let mut cargo = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot_run)?;
    let errors = cargo.stderr.take().map(|pipe| std::thread::spawn(move || echo(pipe)));
    let output = cargo.stdout.take().map(echo).unwrap_or_default();
    let errors = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
    let status = cargo.wait().map_err(cannot_run)?;
    if let Ok(reports) = fs::read_to_string(&states) {
        drop(fs::remove_file(&states));
        eprint!("{}", exercise_states(&reports));
    }
    verdict(status.success(), &expected, &output, &errors)
}

/// The state of each exercise, sorted by name.
fn exercise_states(reports: &str) -> String {
    let states: BTreeSet<&str> = reports.lines().collect();
    states.iter().map(|state| format!("exercise {state}\n")).collect()
}

/// Copies Cargo's output to stderr, since stdout belongs to mdBook, and returns it.
fn echo(pipe: impl Read) -> String {
    let mut kept = String::new();
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        kept.push_str(&line);
        kept.push('\n');
    }
    kept
}

fn verdict(
    success: bool,
    expected: &[(String, usize)],
    output: &str,
    errors: &str,
) -> Result<(), Failed> {
    let failures = failures(output);
    if !failures.is_empty() {
        let list = failures.into_iter().map(|((file, line), why)| Problem {
            file,
            line,
            what: format!("this block failed: {why}"),
        });
        return Problems::refuse(list.collect()).map_err(Failed::Blocks);
    }
    if !success {
        let lines: Vec<&str> = errors.lines().chain(output.lines()).collect();
        let Some(at) = lines.iter().position(|line| line.starts_with("error")) else {
            return Err(Failed::Cargo("failed before a block ran: its output stands above".into()));
        };
        let place = lines.get(at + 1).and_then(|line| line.trim().strip_prefix("--> "));
        let place = place.map(|place| format!(" at {place}")).unwrap_or_default();
        return Err(Failed::Cargo(format!("failed before a block ran: {}{place}", lines[at])));
    }
    let ran: BTreeSet<_> =
        output.lines().filter_map(|line| test_name(line.strip_prefix("test ")?)).collect();
    let silent = expected.iter().filter(|block| !ran.contains(block)).map(|(file, line)| Problem {
        file: file.clone(),
        line: *line,
        what:
            "this block was not run: expected its page among the modules of src/book.rs, got none"
                .into(),
    });
    Problems::refuse(silent.collect()).map_err(Failed::Blocks)
}

/// The failed blocks, each with the first message about it.
fn failures(output: &str) -> BTreeMap<(String, usize), String> {
    let mut found = BTreeMap::new();
    let mut section: Option<((String, usize), Vec<&str>)> = None;
    let mut close = |section: &mut Option<((String, usize), Vec<&str>)>| {
        if let Some((block, lines)) = section.take() {
            found.insert(block, reason(&lines));
        }
    };
    for line in output.lines() {
        if let Some(name) =
            line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            close(&mut section);
            section = test_name(name).map(|block| (block, Vec::new()));
        } else if line == "failures:" || line.starts_with("test result:") {
            close(&mut section);
        } else if let Some((_, lines)) = &mut section {
            lines.push(line);
        }
    }
    close(&mut section);
    // A test that failed without output is still in the list.
    for line in output.lines().filter(|line| line.ends_with(" ... FAILED")) {
        if let Some(block) = line.strip_prefix("test ").and_then(test_name) {
            found.entry(block).or_insert_with(|| "its output stands above".into());
        }
    }
    found
}

/// `src/../book/src/layer_norm.md - book::layer_norm (line 16)` as a page and a line.
fn test_name(name: &str) -> Option<(String, usize)> {
    let (path, rest) = name.split_once(" - ")?;
    let line = rest.split_once("(line ")?.1.split(')').next()?.parse().ok()?;
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split(['/', '\\']) {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some((parts.join("/"), line))
}

/// One line of rustdoc's output for a block: the panic's message, or the compiler's first error.
fn reason(lines: &[&str]) -> String {
    let text = match lines.iter().position(|line| line.contains("panicked at")) {
        // The line names a place in a temporary file, so it is left out; the message follows.
        Some(at) => lines[at + 1..]
            .iter()
            .map(|line| line.trim())
            .take_while(|line| {
                !line.is_empty()
                    && !line.starts_with("note:")
                    && !line.starts_with("stack backtrace")
            })
            .take(4)
            .collect::<Vec<_>>()
            .join(", "),
        // A wrong exercise prints its diagnosis and nothing else.
        None => lines
            .iter()
            .find(|line| line.starts_with("error"))
            .or_else(|| lines[after_stderr(lines)..].iter().find(|line| !line.trim().is_empty()))
            .or_else(|| lines.iter().find(|line| !line.trim().is_empty()))
            .unwrap_or(&"")
            .trim()
            .to_owned(),
    };
    if text.is_empty() { "its output stands above".into() } else { text }
}

/// The first line that a block wrote to stderr.
fn after_stderr(lines: &[&str]) -> usize {
    lines.iter().position(|line| *line == "stderr:").map_or(lines.len(), |at| at + 1)
}

/// A Cargo command in the workspace at `root`, as if typed there: without the variables that `cargo run`
/// sets for the program it runs.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let own = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
            .iter()
            .any(|start| own.starts_with(start))
        {
            command.env_remove(&name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC: &str = "
running 2 tests
test src/../book/src/iris.md - book::iris (line 4) ... ok
test src/../book/src/layer_norm.md - book::layer_norm (line 16) ... FAILED

failures:

---- src/../book/src/layer_norm.md - book::layer_norm (line 16) stdout ----
Test executable failed (exit status: 101).

stderr:

thread 'main' (71) panicked at doctest_bundle_2024.rs:9:1:
assertion `left == right` failed
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    src/../book/src/layer_norm.md - book::layer_norm (line 16)

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
";

    fn message(success: bool, expected: &[(&str, usize)], output: &str, errors: &str) -> String {
        let expected: Vec<_> =
            expected.iter().map(|(file, line)| ((*file).to_owned(), *line)).collect();
        verdict(success, &expected, output, errors)
            .map_or_else(|why| why.to_string(), |()| String::new())
    }

    #[test]
    fn a_block_that_panics_names_its_page_and_line() {
        assert_eq!(
            message(false, &[("book/src/layer_norm.md", 16)], PANIC, ""),
            "book/src/layer_norm.md:16: this block failed: assertion `left == right` failed, left: 1, right: 2"
        );
    }

    #[test]
    fn a_wrong_exercise_shows_its_diagnosis() {
        let output = "
---- src/../book/src/layer_norm.md - book::layer_norm (line 571) stdout ----
Test executable failed (exit status: 101).

stdout:
what the reader printed

stderr:
your dγ sums over the features: shape (2, 1), expected (5,)



failures:
    src/../book/src/layer_norm.md - book::layer_norm (line 571)
";
        assert_eq!(
            message(false, &[("book/src/layer_norm.md", 571)], output, ""),
            "book/src/layer_norm.md:571: this block failed: your dγ sums over the features: shape (2, 1), expected (5,)"
        );
    }

    #[test]
    fn the_states_of_the_exercises_are_listed_by_name() {
        assert_eq!(
            exercise_states("b: solved\na: not solved yet: todo!() at line 2\n"),
            "exercise a: not solved yet: todo!() at line 2\nexercise b: solved\n"
        );
    }

    #[test]
    fn a_block_that_does_not_compile_names_its_page_and_line() {
        let output = "
---- src/../book/src/iris.md - book::iris (line 7) stdout ----
error[E0425]: cannot find value `nothing` in this scope
 --> src/../book/src/iris.md:8:1

error: aborting due to 1 previous error

failures:
    src/../book/src/iris.md - book::iris (line 7)
";
        assert_eq!(
            message(false, &[("book/src/iris.md", 7)], output, ""),
            "book/src/iris.md:7: this block failed: error[E0425]: cannot find value `nothing` in this scope"
        );
    }

    #[test]
    fn a_crate_that_does_not_compile_says_so() {
        let errors =
            "   Compiling evenkeel\nerror[E0308]: mismatched types\n --> src/lib.rs:7:24\n";
        assert_eq!(
            message(false, &[("book/src/iris.md", 7)], "", errors),
            "cargo test --doc --package evenkeel: failed before a block ran: error[E0308]: mismatched types at src/lib.rs:7:24"
        );
    }

    #[test]
    fn a_block_that_was_never_run_is_a_failure() {
        let output = "test src/../book/src/iris.md - book::iris (line 4) - should panic ... ok\n";
        assert_eq!(message(true, &[("book/src/iris.md", 4)], output, ""), "");
        assert!(
            message(true, &[("book/src/tensor.md", 9)], output, "")
                .starts_with("book/src/tensor.md:9: this block was not run: ")
        );
    }

    #[test]
    fn a_failure_without_output_is_still_one() {
        let output = "test src/../book/src/iris.md - book::iris (line 4) ... FAILED\n";
        assert_eq!(
            message(false, &[], output, ""),
            "book/src/iris.md:4: this block failed: its output stands above"
        );
    }
}
