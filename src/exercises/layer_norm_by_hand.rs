//! Exercise: LayerNorm by hand.

use std::fmt;

use ndarray::ArrayView1;

use super::Exercise;
use super::judge::{Case, Output, judge};
use crate::engine::Tensor;
use crate::norm::LayerNorm;

/// LayerNorm of a row of four numbers, in plain arithmetic and without ε.
///
/// Checked on \[1, 2, 3, 4\], which the page shows, and on rows that it does not show. An ε of
/// ordinary size is accepted.
///
/// ```
/// use evenkeel::exercises::{Verdict, layer_norm_by_hand};
///
/// // Right for the row of the page, and only for that.
/// let constant = |_| [-1.3416407865, -0.4472135955, 0.4472135955, 1.3416407865];
/// let Verdict::Wrong(why) = layer_norm_by_hand().verdict(constant) else { panic!() };
/// assert!(why.starts_with("your answer is the same for different inputs: "));
/// ```
#[track_caller]
pub fn layer_norm_by_hand() -> Exercise<fn([f64; 4]) -> [f64; 4]> {
    Exercise::new("layer_norm_by_hand", |answer| {
        let cases = [
            Row([1.0, 2.0, 3.0, 4.0]),
            Row([4.0, -1.0, 7.0, 3.0]),
            Row([-20.0, -20.5, -26.0, -21.0]),
        ];
        judge(&cases, [&ROW], |row| [tensor(answer(row.0))])
    })
}

struct Row([f64; 4]);

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Case for Row {}

impl Row {
    fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / 4.0
    }

    /// The deviations from the mean.
    fn centred(&self) -> Tensor {
        tensor(self.0) - self.mean()
    }

    /// The sum of the squared deviations.
    fn squares(&self) -> f64 {
        self.centred().square().sum().item()
    }

    fn sd(&self) -> f64 {
        (self.squares() / 4.0).sqrt()
    }
}

static ROW: Output<Row> = Output {
    name: "answer",
    right: |row| LayerNorm::new(4).with_eps(0.0).forward(&tensor(row.0)),
    mistakes: &[
        ("returns the row as it came", |row| tensor(row.0)),
        ("is centred, but not divided by anything", Row::centred),
        ("has the wrong sign: it subtracts the row from the mean", |row| -row.centred() / row.sd()),
        ("lacks a parenthesis: only the mean is divided, as in x - mean / sd", |row| {
            tensor(row.0) - row.mean() / row.sd()
        }),
        ("multiplies by the standard deviation where it should divide", |row| {
            row.centred() * row.sd()
        }),
        ("scales from 0 to 1 by the smallest and the largest number (min-max)", |row| {
            let (least, most) = (
                row.0.into_iter().fold(f64::MAX, f64::min),
                row.0.into_iter().fold(f64::MIN, f64::max),
            );
            (tensor(row.0) - least) / (most - least)
        }),
        ("is a softmax: eˣ over the sum of eˣ", |row| tensor(row.0).softmax(0)),
        ("divides the row by its length, the root of the sum of its squares (L2)", |row| {
            tensor(row.0) / tensor(row.0).square().sum().sqrt()
        }),
        ("divides the squares by n - 1 = 3, not by n = 4", |row| {
            row.centred() / (row.squares() / 3.0).sqrt()
        }),
        ("divides by the variance, not by its root", |row| row.centred() / (row.squares() / 4.0)),
        ("divides by the root of the sum of the squares, not of their mean", |row| {
            row.centred() / row.squares().sqrt()
        }),
        ("divides by the mean of the absolute deviations, not by the standard deviation", |row| {
            let absolute: f64 = row.centred().value().iter().map(|x| x.abs()).sum();
            row.centred() / (absolute / 4.0)
        }),
        ("divides by the standard deviation without subtracting the mean", |row| {
            tensor(row.0) / (row.squares() / 4.0).sqrt()
        }),
        ("divides by the root of the mean of x², not of (x - mean)²", |row| {
            row.centred() / tensor(row.0).square().mean().sqrt()
        }),
        ("never subtracts the mean: it divides by the root of the mean of x²", |row| {
            tensor(row.0) / tensor(row.0).square().mean().sqrt()
        }),
    ],
};

fn tensor(row: [f64; 4]) -> Tensor {
    Tensor::new(ArrayView1::from(&row))
}
