//! What the figure programs share. Each draws the figures of one page: measures rows, writes them as a CSV, and draws
//! the CSV.
//!
//! | command | what it does |
//! | --- | --- |
//! | `cargo run --example <stem>` | measures, writes `book/src/figures/<name>.csv` and `<name>.svg` of each figure |
//! | `… -- --redraw` | draws each `<name>.svg` again from the committed `<name>.csv` |
//! | `… -- --out DIR` | writes to DIR instead; goes with `--redraw` too |
//! | `… -- --what` | prints what is measured: `numbers`, the same everywhere, or `times` |

pub mod drawing;
pub mod iris_network;
pub mod statistics;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fmt, fs, process};

use serde::{Serialize, de::DeserializeOwned};

/// A result whose error is a message.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What a figure measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measures {
    /// The same numbers in every run, to the last byte of the table: `cargo book check` measures them again.
    Numbers,
    /// Times, which differ in every run: `cargo book check` only draws their table again.
    Times,
}

impl fmt::Display for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Numbers => "numbers",
            Self::Times => "times",
        })
    }
}

/// One figure: how its rows are measured, drawn and summarized. The drawing and the summary see only the rows
/// of the table, so they are the same for rows measured just now and for rows read from the book.
pub struct Figure<Row> {
    /// The name of its page and its program.
    pub stem: &'static str,
    /// The name of its files: the stem, alone or with more behind it.
    pub name: &'static str,
    /// Numbers or times.
    pub measures: Measures,
    /// What was measured, with the seeds: the comment on top of the CSV.
    pub about: fn() -> String,
    /// The measurement itself.
    pub measure: fn() -> Vec<Row>,
    /// The SVG.
    pub draw: fn(&[Row]) -> Result<String>,
    /// The numbers that the page quotes.
    pub summary: fn(&[Row]) -> String,
}

/// Runs the program of these figures, all of one page. The exit code is 2 for unknown arguments, 1 for another failure.
pub fn main(figures: &[&dyn Drawn]) -> ExitCode {
    let stem = figures[0].stem();
    let arguments = match Arguments::parse(env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{stem}: {message}");
            return ExitCode::from(2);
        }
    };
    if arguments.what {
        println!("{}", figures[0].measures());
        return ExitCode::SUCCESS;
    }
    for figure in figures {
        if let Err(error) = figure.run(&arguments) {
            eprintln!("{stem}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// A figure of any rows.
pub trait Drawn {
    /// The name of its page.
    fn stem(&self) -> &'static str;
    /// Numbers or times.
    fn measures(&self) -> Measures;
    /// Does what the arguments say.
    ///
    /// # Errors
    /// If a file cannot be read or written, or a picture not be drawn.
    fn run(&self, arguments: &Arguments) -> Result<()>;
}

impl<Row: Serialize + DeserializeOwned> Drawn for Figure<Row> {
    fn stem(&self) -> &'static str {
        self.stem
    }

    fn measures(&self) -> Measures {
        self.measures
    }

    fn run(&self, arguments: &Arguments) -> Result<()> {
        let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book/src/figures");
        let out = arguments.out.as_deref().unwrap_or(&book);
        let (csv_name, svg_name) = (format!("{}.csv", self.name), format!("{}.svg", self.name));
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
}

impl<Row: Serialize + DeserializeOwned> Figure<Row> {
    /// The table as text, with its comment. No number has more than six digits, because later digits depend
    /// on the width of the vectors of the machine.
    pub fn csv(&self, rows: &[Row]) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows {
            writer.serialize(row)?;
        }
        let full = writer.into_inner()?;
        let mut writer = csv::Writer::from_writer(Vec::new());
        for record in csv::ReaderBuilder::new().has_headers(false).from_reader(&*full).records() {
            writer.write_record(record?.iter().map(six_digits))?;
        }
        let table = String::from_utf8(writer.into_inner()?)?;
        let about = (self.about)().lines().map(|line| format!("# {line}\n")).collect::<String>();
        Ok(format!("{about}# cargo run --release --example {}\n{table}", self.stem))
    }

    /// The rows in the text of a table.
    pub fn rows(&self, csv: &str) -> Result<Vec<Row>> {
        let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(csv.as_bytes());
        let rows: std::result::Result<Vec<Row>, _> = reader.deserialize().collect();
        match rows {
            Ok(rows) if rows.is_empty() => Err(format!("{}.csv holds no rows", self.name).into()),
            Ok(rows) => Ok(rows),
            Err(error) => Err(format!("{}.csv: {error}", self.name).into()),
        }
    }

    /// The picture of the table in a text.
    pub fn svg(&self, csv: &str) -> Result<String> {
        (self.draw)(&self.rows(csv)?)
    }
}

/// A fraction rounded to six digits, as many as a figure can show. Whole numbers and words stay as they are.
fn six_digits(field: &str) -> String {
    let mantissa = field.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.trim_start_matches(['-', '0', '.']).matches(|c: char| c.is_ascii_digit());
    match field.parse::<f64>() {
        Ok(number) if field.contains('.') && digits.count() > 6 => {
            let short: f64 = format!("{number:.5e}").parse().expect("a number, as just written");
            format!("{short:?}")
        }
        _ => field.to_owned(),
    }
}

/// What a program is asked to do.
#[derive(Default)]
pub struct Arguments {
    what: bool,
    redraw: bool,
    out: Option<PathBuf>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> std::result::Result<Self, String> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--what" => arguments.what = true,
                "--redraw" => arguments.redraw = true,
                "--out" => {
                    arguments.out = Some(words.next().ok_or("--out needs a directory")?.into());
                }
                _ => {
                    return Err(format!(
                        "unknown argument {word}: expected --what, --redraw or --out DIR"
                    ));
                }
            }
        }
        Ok(arguments)
    }
}

/// Writes a new file and renames it, so that nobody ever reads half of it.
fn replace(path: &Path, contents: &str) -> Result<()> {
    let unfinished = path.with_added_extension(format!("{}.tmp", process::id()));
    let written = fs::write(&unfinished, contents).and_then(|()| fs::rename(&unfinished, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&unfinished); // may not be there
        format!("{}: {error}", path.display()).into()
    })
}
