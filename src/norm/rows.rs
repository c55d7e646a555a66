//! The loops of LayerNorm and RMSNorm. Page: `book/src/speed.md`.
//!
//! Plain slices in, plain slices out. RMSNorm is what is left when no mean is subtracted (`CENTRED` is
//! `false`). `dispatch!` compiles what it calls for each kind of vector a processor may have, and picks the
//! widest at run time. That needs `#[inline(always)]`, and no closures in the loops, which may stay outside of these copies.

use fearless_simd::{Simd, dispatch};

use super::far;
use super::statistics::{MeanVar, Statistics, reciprocal_root, trusted};
use crate::machine::buffer::Buffer;
use crate::machine::column_sums::ColumnSums;
use crate::machine::lanes::{load, sums, total, width};
use crate::machine::spread::Spread;
use crate::machine::{Float, threads, vectors};

/// y = γ·x̂ + β for each row of `x`, and the statistics of the rows; `beta` is empty for RMSNorm.
pub(super) fn forward<T: Float, const CENTRED: bool>(
    [x, gamma, beta]: [&[T]; 3],
    eps: f64,
) -> (Buffer<T>, Vec<Statistics<T>>) {
    let n = gamma.len();
    let mut y = Buffer::new(x.len());
    let mut rows = vec![Statistics::default(); x.len() / n.max(1)];
    let piece = threads::piece(rows.len(), x.len());
    let numbers = (piece * n).max(1);
    let pieces = x.chunks(numbers).zip(y.chunks_mut(numbers)).zip(rows.chunks_mut(piece));
    threads::each(pieces, |((x, y), rows)| {
        dispatch!(vectors::level(), simd => {
            forward_rows::<_, _, CENTRED>(simd, [x, gamma, beta], eps, y, rows);
        });
    });
    (y, rows)
}

// ANCHOR: one_pass
/// The statistics of a row in one pass; `rstd` is NaN if the numbers ask for more care.
#[inline(always)]
fn one_pass<S: Simd, T: Float, const CENTRED: bool>(simd: S, row: &[T], eps: f64) -> Statistics<T> {
    let share = 1.0 / row.len() as f64; // the same for all rows: divided once
    let origin = if CENTRED { estimate(simd, row) } else { T::zero() };
    let (sum, squares) = if CENTRED {
        sums!(simd, [row] => (row - origin, (row - origin) * (row - origin)))
    } else {
        sums!(simd, [row] => (row, row * row))
    };
    let (shift, mean_square) = (if CENTRED { sum * share } else { 0.0 }, squares * share);
    let var = mean_square - shift * shift;
    let rstd = if trusted::<T>(var, mean_square) { reciprocal_root(var, eps) } else { T::nan() };
    Statistics { origin, shift: T::of(shift), rstd }
}

/// The mean of the first numbers of a row, to measure all others from.
#[inline(always)]
fn estimate<S: Simd, T: Float>(simd: S, row: &[T]) -> T {
    let count = row.len().min(width(simd, row));
    let sum = if count == width(simd, row) {
        total(load(simd, &row[..count]))
    } else {
        row.iter().fold(0.0, |sum, x| sum + x.wide())
    };
    T::of(sum * (1.0 / count as f64))
}
// ANCHOR_END: one_pass

// ANCHOR: forward
#[inline(always)]
fn forward_rows<S: Simd, T: Float, const CENTRED: bool>(
    simd: S,
    [x, gamma, beta]: [&[T]; 3],
    eps: f64,
    y: &mut [T],
    rows: &mut [Statistics<T>],
) {
    let n = gamma.len();
    for ((x, y), row) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)).zip(rows) {
        *row = one_pass::<_, _, CENTRED>(simd, x, eps);
        if row.fit() {
            write_y::<_, CENTRED>(x, gamma, beta, *row, y);
        } else {
            *row = far_forward::<_, CENTRED>([x, gamma, beta], eps, y);
        }
    }
}

/// y of one row.
#[inline(always)]
fn write_y<T: Float, const CENTRED: bool>(
    x: &[T],
    gamma: &[T],
    beta: &[T],
    row: Statistics<T>,
    y: &mut [T],
) {
    // All of one length, so that nothing is checked within the loop.
    let n = y.len();
    let (x, gamma, beta) = (&x[..n], &gamma[..n], &beta[..if CENTRED { n } else { 0 }]);
    for i in 0..n {
        let x_hat = row.x_hat::<_, CENTRED>(x[i]);
        y[i] = if CENTRED { gamma[i] * x_hat + beta[i] } else { gamma[i] * x_hat };
    }
}
// ANCHOR_END: forward

/// The forward pass of one row in `f64`, where one pass in the element type would not do.
#[cold]
#[inline(never)]
fn far_forward<T: Float, const CENTRED: bool>(
    [x, gamma, beta]: [&[T]; 3],
    eps: f64,
    y: &mut [T],
) -> Statistics<T> {
    #[cfg(test)]
    crate::machine::counted::count("careful");
    let spread = Spread::of(x.iter().map(|x| x.wide()), eps, CENTRED);
    far::forward((0..x.len()).map(|i| (i, i)), [x, gamma, beta], &spread, eps, y);
    MeanVar::from(spread).rounded(eps)
}

/// dx, dγ, dβ from the upstream gradient `dy`; dβ is empty for RMSNorm.
pub(super) fn backward<T: Float, const CENTRED: bool>(
    [dy, x, gamma]: [&[T]; 3],
    rows: &[Statistics<T>],
    eps: f64,
) -> (Buffer<T>, Vec<T>, Vec<T>) {
    let n = gamma.len();
    let columns = [n, if CENTRED { n } else { 0 }];
    let mut dx = Buffer::new(x.len());
    let piece = threads::piece(rows.len(), x.len());
    let numbers = (piece * n).max(1);
    let pieces = dy.chunks(numbers).zip(x.chunks(numbers)).zip(rows.chunks(piece));
    let mut sums = ColumnSums::new(pieces.len(), columns);
    let pieces = pieces.zip(dx.chunks_mut(numbers)).zip(&mut sums);
    threads::each(pieces, |((((dy, x), rows), dx), sums)| {
        dispatch!(vectors::level(), simd => {
            backward_rows::<_, _, CENTRED>(simd, [dy, x, gamma], rows, eps, dx, sums);
        });
    });
    let [mut dgamma, mut dbeta] = ColumnSums::total(sums, columns);
    if dgamma.iter().chain(&dbeta).any(|sum| !sum.is_finite()) {
        [dgamma, dbeta] = far_sums::<_, CENTRED>([dy, x, gamma], eps);
    }
    let rounded = |sums: Vec<f64>| sums.into_iter().map(T::of).collect();
    (dx, rounded(dgamma), rounded(dbeta))
}

// ANCHOR: backward
#[inline(always)]
fn backward_rows<S: Simd, T: Float, const CENTRED: bool>(
    simd: S,
    [dy, x, gamma]: [&[T]; 3],
    rows: &[Statistics<T>],
    eps: f64,
    dx: &mut [T],
    sums: &mut ColumnSums<T>,
) {
    let n = gamma.len();
    let share = 1.0 / n as f64;
    let slices = dy.chunks_exact(n).zip(x.chunks_exact(n)).zip(rows);
    for (((dy, x), &row), dx) in slices.zip(dx.chunks_exact_mut(n)) {
        // g = γ·dy is the gradient of x̂. (RMSNorm has no use for Σ g.)
        let (sum_g, sum_g_x_hat) = sums!(simd, [x, dy, gamma] => {
            let g = gamma * dy;
            (g, g * row.x_hat::<_, CENTRED>(x))
        });
        let finite = (!CENTRED || sum_g.is_finite()) && sum_g_x_hat.is_finite();
        if !(row.fit() && finite) {
            far_backward::<_, CENTRED>([dy, x, gamma], eps, dx, |i, a, b| sums.add(i, [a, b]));
            continue;
        }
        let means = (T::of(sum_g * share), T::of(sum_g_x_hat * share));
        let [dgamma, dbeta] = sums.next_row();
        write_dx::<_, CENTRED>(dy, x, gamma, row, means, dx, dgamma, dbeta);
    }
}

/// dx of one row, and what the row adds to dγ and dβ.
// Slices one by one, so that the compiler knows that they do not overlap.
#[expect(clippy::too_many_arguments)]
#[inline(always)]
fn write_dx<T: Float, const CENTRED: bool>(
    dy: &[T],
    x: &[T],
    gamma: &[T],
    row: Statistics<T>,
    (mean_g, mean_g_x_hat): (T, T),
    dx: &mut [T],
    dgamma: &mut [T],
    dbeta: &mut [T],
) {
    let n = dx.len();
    let (dy, x, gamma) = (&dy[..n], &x[..n], &gamma[..n]);
    let (dgamma, dbeta) = (&mut dgamma[..n], &mut dbeta[..if CENTRED { n } else { 0 }]);
    for i in 0..n {
        let x_hat = row.x_hat::<_, CENTRED>(x[i]);
        let g = if CENTRED { gamma[i] * dy[i] - mean_g } else { gamma[i] * dy[i] };
        dx[i] = (g - x_hat * mean_g_x_hat) * row.rstd;
        dgamma[i] += dy[i] * x_hat;
        if CENTRED {
            dbeta[i] += dy[i];
        }
    }
}
// ANCHOR_END: backward

/// The backward pass of one row in `f64`.
#[cold]
#[inline(never)]
fn far_backward<T: Float, const CENTRED: bool>(
    [dy, x, gamma]: [&[T]; 3],
    eps: f64,
    dx: &mut [T],
    add: impl FnMut(usize, f64, f64),
) {
    let spread = Spread::of(x.iter().map(|x| x.wide()), eps, CENTRED);
    let places = (0..x.len()).map(|i| (i, i));
    far::backward(places, [dy, x, gamma], &spread, eps, [CENTRED, true], dx, add);
}

/// dγ and dβ again, for sums over rows that are infinite or NaN: in the element type, sixteen
/// of the largest numbers are infinite, while all together may be 0.
#[cold]
#[inline(never)]
fn far_sums<T: Float, const CENTRED: bool>(slices: [&[T]; 3], eps: f64) -> [Vec<f64>; 2] {
    let [dy, x, gamma] = slices;
    let n = gamma.len();
    let mut sums = [vec![0.0; n], vec![0.0; n]];
    let mut dx = vec![T::zero(); n];
    let down = 2f64.powi(-64); // so that sums of f64 fit too
    for (dy, x) in dy.chunks_exact(n).zip(x.chunks_exact(n)) {
        far_backward::<_, CENTRED>([dy, x, gamma], eps, &mut dx, |i, a, b| {
            sums[0][i] += a * down;
            sums[1][i] += b * down;
        });
    }
    sums.map(|sums| sums.into_iter().map(|sum| sum / down).collect())
}
