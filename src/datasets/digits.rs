//! Handwritten digits.

use super::Dataset;

/// 1797 handwritten digits, each an image of 8 × 8 pixels from 0 (paper) to 16 (ink), row by row.
///
/// Three pixels, numbers 0, 32 and 39, are 0 in *every* image, so that division by their standard
/// deviation is 0/0. [`Standardizer`](super::Standardizer) leaves them 0; a BatchNorm needs its
/// `eps`.
///
/// ```
/// use evenkeel::datasets;
///
/// let digits = datasets::digits();
/// assert_eq!(digits.features.dim(), (1797, 64));
/// assert_eq!(digits.class_names[digits.targets[0]], "0");
/// let image = digits.features.row(0).to_shape((8, 8)).unwrap().map(|&ink| ink > 7.0);
/// let dark = |row: usize| image.row(row).map(|&ink| if ink { '#' } else { '.' });
/// let drawn: Vec<String> = (0..8).map(|row| dark(row).iter().collect()).collect();
/// assert_eq!(drawn, [
///     "...##...",
///     "..####..",
///     "..#..##.",
///     "..#..##.",
///     "..#..##.",
///     "..#..#..",
///     "..#.##..",
///     "...##...", // a zero
/// ]);
/// ```
///
/// E. Alpaydin, C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning
/// Repository, 1998: its test part, as scikit-learn ships it. Page: `book/src/iris.md`.
pub fn digits() -> Dataset {
    // The file is part of this crate, and `tests/datasets.rs` reads every row of it.
    Dataset::from_csv(include_bytes!("digits.csv").as_slice()).expect("a whole table")
}
