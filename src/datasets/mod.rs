//! Data to learn from, embedded, so that nothing is fetched, or your own. Page: `book/src/iris.md`.
//!
//! `src/datasets/ORIGIN.md` tells where the numbers come from.

mod digits;
mod iris;
mod table;

use ndarray::{Array1, Array2, Axis};
use rand::Rng;
use rand::seq::SliceRandom;

pub use digits::digits;
pub use iris::iris;
pub use table::TableError;

/// Rows of measurements, and the class of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// One row per example: `[examples, features]`.
    pub features: Array2<f64>,
    /// The class of each row, an index into `class_names`.
    pub targets: Vec<usize>,
    /// What the columns are, with their units.
    pub feature_names: Vec<String>,
    /// What the classes are.
    pub class_names: Vec<String>,
}

impl Dataset {
    /// How many examples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Shuffles the rows and deals them into a training set and a test set of `test_len` rows.
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
    #[must_use]
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

/// Shifts and scales each feature to mean 0 and standard deviation 1 *on the data it was fitted
/// to*: fit it to the training rows and apply it to both, or the test rows leak into the training.
///
/// ```
/// use evenkeel::datasets::{self, Standardizer};
///
/// let iris = datasets::iris();
/// let standardized = Standardizer::fit(&iris.features).apply(&iris.features);
/// assert!(standardized.column(0).sum().abs() < 1e-10);
/// assert!((standardized.column(0).std(0.0) - 1.0).abs() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Standardizer {
    mean: Array1<f64>,
    sd: Array1<f64>,
}

impl Standardizer {
    /// Measures mean and (biased) standard deviation of each column. A constant column gets the
    /// standard deviation 1, so that it becomes 0 and not 0/0.
    ///
    /// # Panics
    /// If there are no rows.
    #[must_use]
    #[track_caller]
    pub fn fit(features: &Array2<f64>) -> Self {
        let Some(mean) = features.mean_axis(Axis(0)) else {
            panic!("Standardizer: expected at least one row, got none")
        };
        let sd = features.std_axis(Axis(0), 0.0).map(|&sd| if sd > 0.0 { sd } else { 1.0 });
        Self { mean, sd }
    }

    /// `(x - mean) / sd`, column by column.
    ///
    /// # Panics
    /// If the number of columns is not that of the fitted rows.
    #[must_use]
    #[track_caller]
    pub fn apply(&self, features: &Array2<f64>) -> Array2<f64> {
        assert!(
            features.ncols() == self.mean.len(),
            "Standardizer: expected {} columns, got {}",
            self.mean.len(),
            features.ncols()
        );
        (features - &self.mean) / &self.sd
    }
}
