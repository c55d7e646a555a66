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
    RowStatistics { mean, rstd: reciprocal_root(var, eps) }
}
// ANCHOR_END: statistics

/// 1/√(mean square + eps), or NaN where that is no number to rely on.
///
/// The squares of any `f32` fit into an `f64`. Those of an `f64` above 1e154 do not, and those of one
/// below 1e-146 lose digits: without `eps`, a wrong number would come out and look like a right one.
pub(super) fn reciprocal_root(mean_square: f64, eps: f64) -> f64 {
    let square = mean_square + eps;
    let exact = f64::MIN_POSITIVE / f64::EPSILON; // 1e-292: above it, squares keep their digits
    if square > exact && square < f64::INFINITY { 1.0 / square.sqrt() } else { f64::NAN }
}

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

/// y = γ·x / √(mean of x² + eps) for each row of `x`, and the 1/√(…) of each row.
pub(crate) fn rms_norm<T: Float>(x: &[T], gamma: &[T], eps: f64) -> (Vec<T>, Vec<f64>) {
    let features = gamma.len();
    let mut y = Vec::with_capacity(x.len()); // (rows, features)
    let mut rows = Vec::new(); // (rows)
    for x in x.chunks_exact(features.max(1)) {
        let mean_square = x.iter().map(|x| x.wide().powi(2)).sum::<f64>() / features as f64;
        let rrms = reciprocal_root(mean_square, eps);
        y.extend(x.iter().zip(gamma).map(|(x, gamma)| T::of(gamma.wide() * (x.wide() * rrms))));
        rows.push(rrms);
    }
    (y, rows)
}

/// dx, dγ from the upstream gradient `dy`; `rows` holds the 1/√(…) of each row.
pub(crate) fn rms_norm_backward<T: Float>(
    dy: &[T],
    x: &[T],
    gamma: &[T],
    rows: &[f64],
) -> (Vec<T>, Vec<T>) {
    let features = gamma.len();
    let mut dx = Vec::with_capacity(x.len()); // (rows, features)
    let mut dgamma = vec![0.0; features]; // (features)
    for ((dy, x), &rrms) in
        dy.chunks_exact(features.max(1)).zip(x.chunks_exact(features.max(1))).zip(rows)
    {
        let x_hat = |j: usize| x[j].wide() * rrms;
        let g = |j: usize| gamma[j].wide() * dy[j].wide(); // the gradient of x̂
        let mean_g_x_hat = (0..features).map(|j| g(j) * x_hat(j)).sum::<f64>() / features as f64;
        for (j, dgamma) in dgamma.iter_mut().enumerate() {
            *dgamma += dy[j].wide() * x_hat(j);
            dx.push(T::of(rrms * (g(j) - x_hat(j) * mean_g_x_hat)));
        }
    }
    (dx, dgamma.into_iter().map(T::of).collect())
}
