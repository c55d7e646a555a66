//! [`Dataset::from_csv`]: a table from a file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use csv::{ReaderBuilder, StringRecord};
use ndarray::Array2;
use thiserror::Error;

use super::Dataset;

/// Why a table did not become a [`Dataset`]. Lines and columns are counted from 1; a line ends with
/// `\n`, `\r\n` or `\r`.
#[derive(Debug, Error)]
pub enum TableError {
    /// The bytes could not be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// The bytes are no text.
    #[error("line {line}: expected text in UTF-8, got other bytes")]
    NotText {
        /// The line.
        line: usize,
    },
    /// The first line does not name at least one feature and the class.
    #[error("line {line}: expected a header of at least two columns, got {got}")]
    Header {
        /// The line.
        line: usize,
        /// How many columns there are.
        got: usize,
    },
    /// The first line is no header: where a feature's name should be, there is a number.
    #[error(
        "line {line}, column {column}: expected a header that names the columns, got the number {got}"
    )]
    NoHeader {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
        /// The field.
        got: String,
    },
    /// A quote that opens after a space, or is not closed in its line.
    #[error(
        "line {line}, column {column}: expected a quote to open right after the comma and to close \
         in its line"
    )]
    Quote {
        /// The line where the quote opens.
        line: usize,
        /// The column.
        column: usize,
    },
    /// There is nothing after the first line.
    #[error("expected at least one row after the header, got none")]
    NoRows,
    /// A line has more or fewer fields than the header.
    #[error("line {line}: expected {expected} fields, got {got}")]
    Fields {
        /// The line.
        line: usize,
        /// The number of fields of the header.
        expected: usize,
        /// The number of fields of the line.
        got: usize,
    },
    /// A feature is no number, or NaN, or infinite.
    #[error("line {line}, column {column} ({name}): expected a finite number, got {got:?}")]
    Number {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
        /// The column's name.
        name: String,
        /// The field.
        got: String,
    },
    /// The class of a row is empty.
    #[error("line {line}, column {column} ({name}): expected a class, got nothing")]
    NoClass {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
        /// The column's name.
        name: String,
    },
}

/// Read after the table as a line of its own, to detect a quote that is open at the end: such a
/// quote contains this line. It holds no quote itself, which would close the open one.
const SENTINEL: &str = "\n.";

impl Dataset {
    /// Reads a table of comma-separated values: a header, then one example per line, the class in
    /// the last column and numbers in all others.
    ///
    /// The classes are numbered in alphabetical order, or, if all of them are finite numbers, in
    /// numeric order: `2` before `10`. Their names stay as written: `1`, `01` and `1.0` are three
    /// classes, in the order of number and then text. Spaces around a field do not count. A field
    /// may be quoted; quotes may hold commas, but no end of a line.
    ///
    /// ```
    /// use evenkeel::datasets::Dataset;
    /// use ndarray::array;
    ///
    /// let table = "length,width,kind\n2.5,1,petal\n5,3.5,sepal\n1.5,0.5,petal\n";
    /// let data = Dataset::from_csv(table.as_bytes())?;
    /// assert_eq!(data.features, array![[2.5, 1.0], [5.0, 3.5], [1.5, 0.5]]);
    /// assert_eq!(data.targets, [0, 1, 0]);
    /// assert_eq!(data.feature_names, ["length", "width"]);
    /// assert_eq!(data.class_names, ["petal", "sepal"]);
    ///
    /// let error = Dataset::from_csv("length,kind\n2.5,petal\n?,sepal\n".as_bytes()).unwrap_err();
    /// assert_eq!(error.to_string(), "line 3, column 1 (length): expected a finite number, got \"?\"");
    /// # Ok::<(), evenkeel::datasets::TableError>(())
    /// ```
    ///
    /// A file is `Dataset::from_csv(std::fs::File::open(path)?)`. A file without a header is
    /// refused, since its first example would be taken for the header; give it one:
    ///
    /// ```
    /// use std::io::Read;
    /// use evenkeel::datasets::Dataset;
    ///
    /// let file = "5.1,3.5,setosa\n7.0,3.2,versicolor\n".as_bytes(); // or a `File`
    /// let data = Dataset::from_csv("length,width,kind\n".as_bytes().chain(file))?;
    /// assert_eq!(data.len(), 2);
    ///
    /// let error = Dataset::from_csv(file).unwrap_err().to_string();
    /// assert!(error.ends_with("expected a header that names the columns, got the number 5.1"));
    /// # Ok::<(), evenkeel::datasets::TableError>(())
    /// ```
    ///
    /// # Errors
    /// [`TableError`], with the line and the column: a header in which a feature's name is a finite
    /// number, a row of another length, a feature that is missing or no finite number, a row
    /// without a class, no rows, a quote that does not close in its line.
    pub fn from_csv(mut source: impl Read) -> Result<Self, TableError> {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes)?;
        let mut text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            TableError::NotText { line: line_at(error.as_bytes(), valid) }
        })?;
        text += SENTINEL;
        let mut records = Records::new(text.trim_start_matches('\u{feff}'));

        let mut header = StringRecord::new();
        let line = records.next(&mut header)?.unwrap_or(1);
        let Some(classes_at) = header.len().checked_sub(1).filter(|&at| at > 0) else {
            return Err(TableError::Header { line, got: header.len() });
        };
        if let Some(at) = (0..classes_at).find(|&at| finite(&header[at]).is_some()) {
            let (column, got) = (at + 1, header[at].to_owned());
            return Err(TableError::NoHeader { line, column, got });
        }

        let (mut features, mut classes) = (Vec::new(), Vec::new());
        let mut row = StringRecord::new();
        while let Some(line) = records.next(&mut row)? {
            if row.len() != header.len() {
                let (expected, got) = (header.len(), row.len());
                return Err(TableError::Fields { line, expected, got });
            }
            let name = |at: usize| header[at].to_owned();
            for (at, field) in row.iter().enumerate().take(classes_at) {
                features.push(finite(field).ok_or_else(|| TableError::Number {
                    line,
                    column: at + 1,
                    name: name(at),
                    got: field.to_owned(),
                })?);
            }
            if row[classes_at].is_empty() {
                let (column, name) = (header.len(), name(classes_at));
                return Err(TableError::NoClass { line, column, name });
            }
            classes.push(row[classes_at].to_owned());
        }
        if classes.is_empty() {
            return Err(TableError::NoRows);
        }

        let class_names = in_order(classes.iter().map(String::as_str).collect());
        let numbers: BTreeMap<&str, usize> =
            class_names.iter().enumerate().map(|(number, &name)| (name, number)).collect();
        Ok(Self {
            features: Array2::from_shape_vec((classes.len(), classes_at), features)
                .expect("as many numbers in each row"),
            targets: classes.iter().map(|class| numbers[class.as_str()]).collect(),
            feature_names: header.iter().take(classes_at).map(str::to_owned).collect(),
            class_names: class_names.into_iter().map(str::to_owned).collect(),
        })
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|x: &f64| x.is_finite())
}

/// By number if all names are numbers, else in alphabetical order, which is that of the set.
fn in_order(names: BTreeSet<&str>) -> Vec<&str> {
    let numbers: Option<Vec<(f64, &str)>> =
        names.iter().map(|name| finite(name).map(|number| (number, *name))).collect();
    let Some(mut numbers) = numbers else { return names.into_iter().collect() };
    numbers.sort_by(|a, b| a.partial_cmp(b).expect("finite"));
    numbers.into_iter().map(|(_, name)| name).collect()
}

/// The records of a text that ends with [`SENTINEL`], without the sentinel.
struct Records<'a> {
    text: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    /// The first byte of the last record read, and the line of that record.
    begin: usize,
    line: usize,
}

impl<'a> Records<'a> {
    fn new(text: &'a str) -> Self {
        let text = text.as_bytes();
        let reader = ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text);
        Self { text, reader, begin: 0, line: 1 }
    }

    /// Reads the next record, without the spaces around its fields, and returns its line.
    fn next(&mut self, record: &mut StringRecord) -> Result<Option<usize>, TableError> {
        // The reader stops somewhere among the line ends before the next record.
        let stop = self.reader.position().byte() as usize;
        let ends = self.text[stop..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let begin = stop + ends.count();
        self.line += line_ends(&self.text[self.begin..begin]);
        self.begin = begin;
        if begin + SENTINEL.trim_start().len() == self.text.len() {
            return Ok(None);
        }
        self.reader.read_record(record).map_err(io::Error::from)?;
        // An open quote contains the text up to the next quote, or the rest. After a space a quote
        // is a letter of an unquoted field.
        let open = |field: &str| {
            field.contains(['\r', '\n']) || {
                let letters = field.trim_start();
                letters.len() < field.len() && letters.starts_with('"')
            }
        };
        if let Some(at) = record.iter().position(open) {
            return Err(TableError::Quote { line: self.line, column: at + 1 });
        }
        record.trim();
        Ok(Some(self.line))
    }
}

/// The line, counted from 1, of a byte that ends no line.
fn line_at(text: &[u8], at: usize) -> usize {
    1 + line_ends(&text[..at])
}

/// The number of line ends; `\r\n` is one.
fn line_ends(text: &[u8]) -> usize {
    let lone = |at: usize| text[at] == b'\r' && text.get(at + 1) != Some(&b'\n');
    (0..text.len()).filter(|&at| text[at] == b'\n' || lone(at)).count()
}
