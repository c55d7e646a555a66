//! [`Standardizer`]: features to mean 0 and standard deviation 1.

use ndarray::{Array1, Array2, ArrayView1};

/// Shifts and scales each feature to mean 0 and standard deviation 1 *on the data it was fitted
/// to*. Fit it to the training rows and apply it to training and test rows, or the test rows leak
/// into the training.
///
/// Small differences between large numbers keep their digits, and numbers of any size are accepted:
/// the computation uses the distances from the first row, scaled by a power of two near their
/// range.
///
/// ```
/// use evenkeel::datasets::{self, Standardizer};
///
/// let iris = datasets::iris();
/// let standardized = Standardizer::fit(&iris.features).apply(&iris.features);
/// assert!(standardized.column(0).sum().abs() < 1e-10);
/// assert!((standardized.column(0).std(0.0) - 1.0).abs() < 1e-12);
/// ```
///
/// Page: `book/src/iris.md`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Standardizer {
    /// For each column: the factor that scales it, a power of two.
    scale: Array1<f64>,
    /// The column's first number, scaled.
    origin: Array1<f64>,
    /// The mean of the scaled distances from the first number.
    shift: Array1<f64>,
    /// The standard deviation of these distances.
    sd: Array1<f64>,
}

impl Standardizer {
    /// Measures mean and (biased) standard deviation of each column, `[examples, features]`. A
    /// constant column gets the standard deviation 1, so that it becomes 0 and not 0/0. A column
    /// with a number that is not finite becomes NaN.
    ///
    /// # Panics
    /// If there are no rows.
    #[track_caller]
    pub fn fit(features: &Array2<f64>) -> Self {
        assert!(features.nrows() > 0, "Standardizer: expected at least one row, got none");
        let columns: Vec<[f64; 4]> =
            features.columns().into_iter().map(|column| measure(&column)).collect();
        let all = |part: usize| columns.iter().map(|column| column[part]).collect();
        Self { scale: all(0), origin: all(1), shift: all(2), sd: all(3) }
    }

    /// `(x - mean) / sd`, column by column; the shape `[rows, features]` stays.
    ///
    /// # Panics
    /// If the number of columns is not that of the fitted rows.
    #[track_caller]
    pub fn apply(&self, features: &Array2<f64>) -> Array2<f64> {
        assert!(
            features.ncols() == self.sd.len(),
            "Standardizer: expected {} columns, got {}",
            self.sd.len(),
            features.ncols()
        );
        (features * &self.scale - &self.origin - &self.shift) / &self.sd
    }
}

/// Scale, origin, shift and standard deviation of a column that is not empty.
fn measure(column: &ArrayView1<f64>) -> [f64; 4] {
    let first = column[0];
    if column.iter().all(|&x| x == first) {
        return [1.0, first, 0.0, 1.0];
    }
    let ends = |(low, high): (f64, f64), &x: &f64| (low.min(x), high.max(x));
    let (low, high) = column.iter().fold((first, first), ends);
    // Scaling by a power of two is exact. It brings the range of the numbers to 1 to 2, or as low
    // as 2⁻⁵¹ where the factor reaches its limit. A range that overflows is at most twice the
    // largest number, so that its factor fits, too.
    let exponent = (((high - low).to_bits() >> 52) & 0x7ff) as i32;
    let scale = libm::ldexp(1.0, 1023 - exponent);
    let origin = first * scale;
    let mean = |numbers: &Array1<f64>| numbers.sum() / numbers.len() as f64;

    let distances = column.mapv(|x| x * scale - origin);
    let shift = mean(&distances);
    let rest = distances - shift;
    let correction = mean(&rest); // the rounding error of the first mean
    let sd = (mean(&rest.mapv(|x| x * x)) - correction * correction).sqrt();
    [scale, origin, shift + correction, sd]
}
