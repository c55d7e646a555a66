//! [`Dataset::from_csv`]: a table from a file. Page: `book/src/iris.md`.

use std::collections::BTreeSet;
use std::io::{self, Read};

use csv::{ReaderBuilder, StringRecord, Trim};
use ndarray::Array2;
use thiserror::Error;

use super::Dataset;

/// Why a table did not become a [`Dataset`]. Lines and columns are counted from 1.
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
    #[error("line 1: expected a header of at least two columns, got {got}")]
    Header {
        /// How many columns there are.
        got: usize,
    },
    /// There is nothing after the first line.
    #[error("expected at least one row after the header, got none")]
    NoRows,
    /// A line has more or fewer fields than the header.
    #[error("line {line}: expected {expected} fields, got {got}")]
    Fields {
        /// The line.
        line: usize,
        /// As many as the header has.
        expected: usize,
        /// As many as the line has.
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
        /// What stands there.
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

impl Dataset {
    /// Reads a table of comma-separated values: a header, then one example per line, the class in
    /// the last column and numbers in all others.
    ///
    /// The classes are numbered in alphabetical order. Spaces around a field do not count.
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
    /// A file is `Dataset::from_csv(std::fs::File::open(path)?)`.
    ///
    /// # Errors
    /// [`TableError`], with the line and the column: a row of another length, a feature that is no
    /// finite number (a missing value is none either), a row without a class, no rows.
    pub fn from_csv(mut source: impl Read) -> Result<Self, TableError> {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes)?;
        let text = str::from_utf8(&bytes)
            .map_err(|error| TableError::NotText { line: line_at(&bytes, error.valid_up_to()) })?;
        let text = text.trim_start_matches('\u{feff}').as_bytes();

        let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(text);
        let header = reader.headers().map_err(io::Error::from)?.clone();
        let Some(classes_at) = header.len().checked_sub(1).filter(|&at| at > 0) else {
            return Err(TableError::Header { got: header.len() });
        };

        let (mut features, mut classes) = (Vec::new(), Vec::new());
        let mut row = StringRecord::new();
        loop {
            let start = reader.position().byte() as usize;
            if !reader.read_record(&mut row).map_err(io::Error::from)? {
                break;
            }
            let line = || line_at(text, start); // counted only for a message
            if row.len() != header.len() {
                let (expected, got) = (header.len(), row.len());
                return Err(TableError::Fields { line: line(), expected, got });
            }
            let name = |at: usize| header[at].to_owned();
            for (at, field) in row.iter().enumerate().take(classes_at) {
                let number = field.parse().ok().filter(|x: &f64| x.is_finite());
                features.push(number.ok_or_else(|| TableError::Number {
                    line: line(),
                    column: at + 1,
                    name: name(at),
                    got: field.to_owned(),
                })?);
            }
            if row[classes_at].is_empty() {
                let (column, name) = (header.len(), name(classes_at));
                return Err(TableError::NoClass { line: line(), column, name });
            }
            classes.push(row[classes_at].to_owned());
        }
        if classes.is_empty() {
            return Err(TableError::NoRows);
        }

        let class_names: Vec<String> =
            classes.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        let target = |class| class_names.binary_search(class).expect("collected from these");
        Ok(Self {
            features: Array2::from_shape_vec((classes.len(), classes_at), features)
                .expect("as many numbers in each row"),
            targets: classes.iter().map(target).collect(),
            feature_names: header.iter().take(classes_at).map(str::to_owned).collect(),
            class_names,
        })
    }
}

/// The line, counted from 1, of the first byte from `start` on that ends no line.
fn line_at(text: &[u8], start: usize) -> usize {
    let ends = text[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + text[..start + ends].iter().filter(|&&byte| byte == b'\n').count()
}
