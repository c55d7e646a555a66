//! The press: builds, serves and watches the book, draws its figures and checks it. For its commands see
//! `cargo book --help`.

mod assets;
mod check;
mod exercises;
mod figures;
mod guard;
mod interrupt;
mod new;
mod render;
mod run;
mod serve;
mod site;
mod temporary;
mod watch;
mod workers;
mod workspace;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use workspace::Workspace;

/// Builds, serves and checks the book, and draws its figures.
///
/// Without a command: serve.
#[derive(Parser)]
#[command(name = "cargo book", bin_name = "cargo book", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
    /// The folder of book.toml, if not this workspace's `book`
    #[arg(long, value_name = "DIR", global = true)]
    book: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
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
        /// Write nothing: compare what is committed with what is measured and drawn now
        #[arg(long)]
        check: bool,
    },
    /// Check links, anchors, text alternatives and figures, and that nothing is left to write
    Check,
    /// Write the skeleton of a page: its text, its figure's program and test, and its lines in the lists
    NewPage {
        /// What its files are called, in snake_case
        stem: String,
        /// Its title [default: that of its draft in SUMMARY.md, or the stem in words]
        #[arg(long)]
        title: Option<String>,
    },
    /// Write the skeleton of an exercise: its check, its tests, its block, and its lines in the lists
    NewExercise {
        /// What it is called, in snake_case
        name: String,
        /// The page that its block is added to, and that the list of exercises leads to [default: print both]
        #[arg(long, value_name = "STEM")]
        page: Option<String>,
    },
}

#[derive(Args, Default)]
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
    /// How long a block may run before it is stopped [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    run_seconds: Option<u64>,
    /// Show the blocks without a Run button
    #[arg(long)]
    no_run: bool,
}

impl Serve {
    /// `cargo book --port 4000 serve` means the same as `cargo book serve --port 4000`.
    fn or(&self, before: &Self) -> serve::Settings {
        let seconds = self.run_seconds.or(before.run_seconds).unwrap_or(10);
        serve::Settings {
            port: self.port.or(before.port).unwrap_or(3000),
            open: (self.open || before.open || serve::desktop())
                && !self.no_open
                && !before.no_open,
            time_limit: (!self.no_run && !before.no_run).then(|| Duration::from_secs(seconds)),
        }
    }
}

fn main() -> ExitCode {
    if let Some(code) = run::run_as_helper() {
        return code;
    }
    let Cli { command, serve, book } = Cli::parse();
    let done = Workspace::find(book).and_then(|workspace| carry_out(&workspace, command, &serve));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in render::lines(&error) {
                eprintln!("error: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn carry_out(workspace: &Workspace, command: Option<Command>, before: &Serve) -> Result<()> {
    let command = command.unwrap_or(Command::Serve(Serve::default()));
    // A press that serves has more to end.
    if !matches!(command, Command::Serve(_)) {
        interrupt::at_interrupt(|| {
            temporary::remove_all();
            std::process::exit(interrupt::INTERRUPTED);
        })?;
    }
    match command {
        Command::Serve(after) => serve::run(workspace, &after.or(before)),
        Command::Build { dest_dir } => {
            let own = dest_dir.is_none();
            let dest = dest_dir.unwrap_or_else(|| workspace.book.join("book"));
            render::build(&workspace.book, &dest, own)?;
            println!("The pages are in {}: open index.html", dest.display());
            Ok(())
        }
        Command::Figures { names, check: true } => figures::check(workspace, &names),
        Command::Figures { names, check: false } => figures::draw(workspace, &names),
        Command::Check => check::run(workspace),
        Command::NewPage { stem, title } => new::page(workspace, &stem, title.as_deref()),
        Command::NewExercise { name, page } => new::exercise(workspace, &name, page.as_deref()),
    }
}
