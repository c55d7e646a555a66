//! The press: builds, serves and watches the book, draws its figures and checks it. `cargo book --help` lists it all.

mod check;
mod figures;
mod render;
mod serve;
mod watch;
mod workspace;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use evenkeel_preprocessor::Problems;
use std::path::PathBuf;
use std::process::ExitCode;
use workspace::Workspace;

/// Builds, serves and checks the book, and draws its figures.
///
/// Without a command: serve.
#[derive(Parser)]
#[command(name = "cargo book", bin_name = "cargo book", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Do>,
    #[command(flatten)]
    serve: Serve,
    /// The folder of book.toml, if not this workspace's `book`
    #[arg(long, value_name = "DIR", global = true)]
    book: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Do {
    /// Serve the book on this machine and reload its pages when a file is saved
    Serve(Serve),
    /// Write static pages that open without a server and without a network
    Build {
        /// Where to write them [default: the folder `mdbook build book` uses, book/book]
        #[arg(long, value_name = "DIR")]
        dest_dir: Option<PathBuf>,
    },
    /// Draw the figures anew: each runs its experiment, writes its numbers (CSV) and its picture (SVG)
    Figures {
        /// Which ones, as their examples are called [default: all]
        names: Vec<String>,
        /// Only compare the committed pictures with the committed numbers
        #[arg(long)]
        check: bool,
    },
    /// Check links, anchors, text alternatives and figures
    Check,
}

#[derive(Args)]
struct Serve {
    /// The port on 127.0.0.1; 0 takes any free one [default: 3000]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Open the browser [default: where there is a desktop]
    #[arg(long, overrides_with = "no_open")]
    open: bool,
    /// Do not open the browser
    #[arg(long)]
    no_open: bool,
}

fn main() -> ExitCode {
    let Cli { command, serve, book } = Cli::parse();
    let done = Workspace::find(book).and_then(|workspace| run(&workspace, command, &serve));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in lines(&error) {
                eprintln!("error: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(workspace: &Workspace, command: Option<Do>, before: &Serve) -> Result<()> {
    match command.unwrap_or(Do::Serve(Serve { port: None, open: false, no_open: false })) {
        Do::Serve(after) => {
            // `cargo book --port 4000 serve` means the same as `cargo book serve --port 4000`.
            let port = after.port.or(before.port).unwrap_or(3000);
            let open = after.open || before.open || serve::desktop();
            serve::run(workspace, port, open && !after.no_open && !before.no_open)
        }
        Do::Build { dest_dir } => {
            let dest = dest_dir.unwrap_or_else(|| workspace.book.join("book"));
            render::build(&workspace.book, &dest)?;
            println!("The pages are in {}: open index.html", dest.display());
            Ok(())
        }
        Do::Figures { names, check: true } => figures::check(workspace, &names),
        Do::Figures { names, check: false } => figures::draw(workspace, &names),
        Do::Check => check::run(workspace),
    }
}

/// An error as the reader sees it: each problem of the pages on a line, anything else on one.
fn lines(error: &anyhow::Error) -> Vec<String> {
    match error.downcast_ref::<Problems>() {
        Some(problems) => problems.iter().map(ToString::to_string).collect(),
        None => vec![format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")],
    }
}
