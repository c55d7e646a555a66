//! The command that a stock mdBook runs: `book.toml` names it.

use evenkeel_preprocessor::EvenKeel;
use mdbook_preprocessor::{Preprocessor, errors::Result, parse_input};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["supports", "html" | "test" | "markdown"] => ExitCode::SUCCESS,
        ["supports", _] => ExitCode::FAILURE,
        [] => match answer() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!(
                "error: this command is run by mdBook: expected `supports RENDERER` or nothing, got {arguments:?}"
            );
            ExitCode::FAILURE
        }
    }
}

/// Reads the book from stdin, and writes the book or its problems to stdout.
fn answer() -> Result<()> {
    let (context, book) = parse_input(io::stdin())?;
    let mut stdout = io::stdout().lock();
    match EvenKeel.run(&context, book) {
        Ok(book) => serde_json::to_writer(&mut stdout, &book)?,
        Err(problems) => {
            // If this command failed, mdBook's last line would be "exited unsuccessfully", which helps
            // nobody. mdBook also refuses a JSON string in place of a book, and quotes the string: then its
            // last line names the page and the line.
            eprintln!("{problems}");
            serde_json::to_writer(&mut stdout, &problems.to_string().replace('\n', "; "))?;
        }
    }
    Ok(stdout.flush()?)
}
