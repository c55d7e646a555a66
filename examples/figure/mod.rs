//! What the figure programs share: each measures rows, writes them as a CSV, and draws the CSV.
//!
//! | command | what it does |
//! | --- | --- |
//! | `cargo run --example <stem>` | measures, writes `book/src/figures/<stem>.csv` and `<stem>.svg` |
//! | `… -- --redraw` | draws `<stem>.svg` again from the committed `<stem>.csv` |
//! | `… -- --out DIR` | writes to DIR instead; goes with `--redraw` too |
#![allow(dead_code, reason = "each program uses a part of this")]

pub mod drawing;
pub mod iris_network;
pub mod statistics;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, process};

use serde::{Serialize, de::DeserializeOwned};

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One figure: how its rows are measured, and what is made of them. The drawing and the summary see nothing but the
/// rows that were written, so that they are the same whether these were measured just now or read from the book.
pub struct Figure<Row> {
    /// What its page, its program and its files are called.
    pub stem: &'static str,
    /// What was measured, with the seeds: the comment on top of the CSV.
    pub about: fn() -> String,
    pub measure: fn() -> Vec<Row>,
    /// The SVG.
    pub draw: fn(&[Row]) -> Result<String>,
    /// The numbers that the page quotes.
    pub summary: fn(&[Row]) -> String,
}

impl<Row: Serialize + DeserializeOwned> Figure<Row> {
    /// The program: exit code 2 for arguments it does not know, 1 when it fails.
    pub fn main(&self) -> ExitCode {
        let arguments = match Arguments::parse(env::args().skip(1)) {
            Ok(arguments) => arguments,
            Err(message) => {
                eprintln!("{}: {message}", self.stem);
                return ExitCode::from(2);
            }
        };
        match self.run(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {error}", self.stem);
                ExitCode::FAILURE
            }
        }
    }

    fn run(&self, arguments: &Arguments) -> Result<()> {
        let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src/figures");
        let out = arguments.out.as_deref().unwrap_or(&book);
        let (csv_name, svg_name) = (format!("{}.csv", self.stem), format!("{}.svg", self.stem));
        fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;

        let csv = if arguments.redraw {
            let committed = book.join(&csv_name);
            fs::read_to_string(&committed)
                .map_err(|error| format!("{}: {error}", committed.display()))?
        } else {
            let csv = self.csv(&(self.measure)())?;
            replace(&out.join(csv_name), &csv)?;
            csv
        };
        replace(&out.join(svg_name), &self.svg(&csv)?)?;
        println!("{}", (self.summary)(&self.rows(&csv)?));
        Ok(())
    }

    /// The table as text, with its comment.
    pub fn csv(&self, rows: &[Row]) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows {
            writer.serialize(row)?;
        }
        let table = String::from_utf8(writer.into_inner()?)?;
        let about = (self.about)().lines().map(|line| format!("# {line}\n")).collect::<String>();
        Ok(format!("{about}# cargo run --release --example {}\n{table}", self.stem))
    }

    /// The table that the text holds.
    pub fn rows(&self, csv: &str) -> Result<Vec<Row>> {
        let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(csv.as_bytes());
        let rows: std::result::Result<Vec<Row>, _> = reader.deserialize().collect();
        match rows {
            Ok(rows) if rows.is_empty() => Err(format!("{}.csv holds no rows", self.stem).into()),
            Ok(rows) => Ok(rows),
            Err(error) => Err(format!("{}.csv: {error}", self.stem).into()),
        }
    }

    /// What is drawn from the text.
    pub fn svg(&self, csv: &str) -> Result<String> {
        (self.draw)(&self.rows(csv)?)
    }
}

#[derive(Default)]
struct Arguments {
    redraw: bool,
    out: Option<PathBuf>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> std::result::Result<Self, String> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--redraw" => arguments.redraw = true,
                "--out" => {
                    arguments.out = Some(words.next().ok_or("--out needs a directory")?.into());
                }
                _ => {
                    return Err(format!("unknown argument {word}: expected --redraw or --out DIR"));
                }
            }
        }
        Ok(arguments)
    }
}

/// Writes beside the file and renames, so that nobody ever reads half of it.
fn replace(path: &Path, contents: &str) -> Result<()> {
    let unfinished = path.with_added_extension(format!("{}.tmp", process::id()));
    let written = fs::write(&unfinished, contents).and_then(|()| fs::rename(&unfinished, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&unfinished); // may not be there
        format!("{}: {error}", path.display()).into()
    })
}
