//! The hot loops, plain slices in and plain slices out. Page: `book/src/layer_norm.md`.
//!
//! Sums run in `f64` whatever the element type, and the statistics of a row stay in `f64`. For
//! `f32` that is what keeps the digits of rows that lie far from zero: with 768 numbers from N(1e4,
//! 1), storing the mean as an `f32` alone moves x̂ by up to 5e-4, because the numbers around 1e4
//! that an `f32` can hold are 0.001 apart.

use crate::Float;

/// What the forward pass keeps of each row for the backward pass: two numbers, not a copy of x̂.
#[derive(Clone, Copy)]
pub(crate) struct RowStatistics {
    mean: f64,
    /// 1/√(var + eps), the reciprocal standard deviation.
    rstd: f64,
}

// ANCHOR: statistics
/// Mean and 1/√(var + eps) of a row, with the biased variance (divided by n).
fn statistics<T: Float>(row: &[T], eps: f64) -> RowStatistics {
    let n = row.len() as f64;
    // Measured from the first number, a row of equal numbers is a row of exact zeros, and a row far
    // from the origin loses none of its digits to its offset.
    let origin = row[0].wide();
    let shift = row.iter().map(|x| x.wide() - origin).sum::<f64>() / n;
    let mean = origin + shift;
    let var = row.iter().map(|x| ((x.wide() - origin) - shift).powi(2)).sum::<f64>() / n;
    RowStatistics { mean, rstd: 1.0 / (var + eps).sqrt() }
}
// ANCHOR_END: statistics

// ANCHOR: forward
/// y = γ·x̂ + β for each row of `x`. All slices row-major; `gamma.len()` is the length of a row.
pub(crate) fn layer_norm<T: Float>(
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
) -> (Vec<T>, Vec<RowStatistics>) {
    let features = gamma.len();
    let mut y = Vec::with_capacity(x.len()); // (rows, features)
    let mut rows = Vec::new(); // (rows)
    for x in x.chunks_exact(features.max(1)) {
        let row = statistics(x, eps);
        for ((x, gamma), beta) in x.iter().zip(gamma).zip(beta) {
            let x_hat = (x.wide() - row.mean) * row.rstd;
            y.push(T::of(gamma.wide() * x_hat + beta.wide()));
        }
        rows.push(row);
    }
    (y, rows)
}
// ANCHOR_END: forward

// ANCHOR: backward
/// dx, dγ, dβ from the upstream gradient `dy`, in one pass over the rows.
pub(crate) fn layer_norm_backward<T: Float>(
    dy: &[T],
    x: &[T],
    gamma: &[T],
    rows: &[RowStatistics],
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let features = gamma.len();
    let n = features as f64;
    let mut dx = Vec::with_capacity(x.len()); // (rows, features)
    let mut dgamma = vec![0.0; features]; // (features)
    let mut dbeta = vec![0.0; features]; // (features)
    for ((dy, x), row) in
        dy.chunks_exact(features.max(1)).zip(x.chunks_exact(features.max(1))).zip(rows)
    {
        let x_hat = |x: &T| (x.wide() - row.mean) * row.rstd;
        let (mut mean_g, mut mean_g_x_hat) = (0.0, 0.0);
        for j in 0..features {
            let g = gamma[j].wide() * dy[j].wide(); // the gradient of x̂
            mean_g += g / n;
            mean_g_x_hat += g * x_hat(&x[j]) / n;
            dgamma[j] += dy[j].wide() * x_hat(&x[j]);
            dbeta[j] += dy[j].wide();
        }
        for j in 0..features {
            let g = gamma[j].wide() * dy[j].wide();
            dx.push(T::of(row.rstd * (g - mean_g - x_hat(&x[j]) * mean_g_x_hat)));
        }
    }
    let narrow = |sums: Vec<f64>| sums.into_iter().map(T::of).collect();
    (dx, narrow(dgamma), narrow(dbeta))
}
// ANCHOR_END: backward
