//! Data to learn from: two sets embedded in the crate, so that nothing is fetched, or your own.
//!
//! `src/datasets/ORIGIN.md` says where the numbers come from.

mod digits;
mod iris;
mod standardizer;
mod table;

use std::fmt;

use ndarray::{Array2, ArrayView1, Axis};
use rand::Rng;
use rand::seq::SliceRandom;

pub use digits::digits;
pub use iris::iris;
pub use standardizer::Standardizer;
pub use table::TableError;

/// Rows of measurements, and the class of each row.
///
/// `{:?}` leaves out the middle of long lists, as `ndarray` does.
///
/// ```
/// use evenkeel::datasets;
///
/// assert!(format!("{:?}", datasets::digits()).len() < 3000); // of 115008 numbers
/// ```
#[derive(Clone, PartialEq)]
#[must_use]
pub struct Dataset {
    /// One row per example: `[examples, features]`.
    pub features: Array2<f64>,
    /// The class of each row, an index into `class_names`.
    pub targets: Vec<usize>,
    /// The names of the columns, with units.
    pub feature_names: Vec<String>,
    /// The names of the classes.
    pub class_names: Vec<String>,
}

impl Dataset {
    /// How many examples there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Shuffles the rows and splits them into a training set and a test set of `test_len` rows.
    ///
    /// ```
    /// use evenkeel::datasets;
    ///
    /// let mut rng = evenkeel::rng(0);
    /// let (train, test) = datasets::iris().split(30, &mut rng);
    /// assert_eq!((train.len(), test.len()), (120, 30));
    /// ```
    ///
    /// # Panics
    /// If there are not at least `test_len` rows.
    #[track_caller]
    pub fn split(&self, test_len: usize, rng: &mut impl Rng) -> (Self, Self) {
        assert!(
            test_len <= self.len(),
            "split: expected at most {} test rows, got {test_len}",
            self.len()
        );
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.shuffle(rng);
        let (test, train) = order.split_at(test_len);
        (self.select(train), self.select(test))
    }

    fn select(&self, rows: &[usize]) -> Self {
        Self {
            features: self.features.select(Axis(0), rows),
            targets: rows.iter().map(|&row| self.targets[row]).collect(),
            ..self.clone()
        }
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `dbg!` prints with `{:#?}`, under which ndarray does not shorten, so both use `{:?}`.
        f.debug_struct("Dataset")
            .field("features", &format_args!("{:?}", self.features))
            .field("targets", &format_args!("{:?}", ArrayView1::from(&self.targets)))
            .field("feature_names", &Names(&self.feature_names))
            .field("class_names", &Names(&self.class_names))
            .finish()
    }
}

/// A list. Of a long one, the first five and the last are printed.
struct Names<'a>(&'a [String]);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first @ .., last] = self.0 else { return f.write_str("[]") };
        if first.len() < 100 {
            return write!(f, "{:?}", self.0);
        }
        let left_out = format_args!("... {} more ...", first.len() - 5);
        f.debug_list().entries(&first[..5]).entry(&left_out).entry(last).finish()
    }
}
