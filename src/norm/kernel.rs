//! The hot loops of LayerNorm and RMSNorm. Page: `book/src/layer_norm.md`.
//!
//! Plain slices in, plain slices out. One set of loops serves both layers: RMSNorm is what is left
//! when no mean is subtracted (`CENTRED` is `false`). The sums over a row stand in `statistics.rs`.
//!
//! `dispatch!` compiles what it calls for each kind of vector a processor may have, and picks the
//! widest at run time. All of it must be inlined for that: hence the `#[inline(always)]`.

use std::ops::Range;

use fearless_simd::{Simd, SimdBase, dispatch};

use super::statistics::{RowStatistics, statistics, sums_of_g};
use crate::lanes::{load, store};
use crate::recycle::Buffer;
use crate::{Float, threads, vectors};

/// Rows whose dγ and dβ are added up in the element type before they go into an `f64`.
pub(super) const ROWS: usize = 16;

/// y = γ·x̂ + β for each row of `x`; `beta` is empty for RMSNorm. `gamma.len()` is the length of a row.
pub(crate) fn forward<T: Float, const CENTRED: bool>(
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
) -> (Buffer<T>, Vec<RowStatistics<T>>) {
    let features = gamma.len();
    let mut y = Buffer::new(x.len());
    let mut rows = vec![RowStatistics::default(); x.len() / features.max(1)];
    let piece = threads::piece(rows.len(), x.len());
    let pieces = x.chunks((piece * features).max(1)).zip(y.chunks_mut((piece * features).max(1)));
    threads::each(pieces.zip(rows.chunks_mut(piece)), |((x, y), rows)| {
        dispatch!(vectors::level(), simd => {
            forward_rows::<_, _, CENTRED>(simd, x, gamma, beta, eps, y, rows);
        });
    });
    (y, rows)
}

// ANCHOR: forward
#[inline(always)]
fn forward_rows<S: Simd, T: Float, const CENTRED: bool>(
    simd: S,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
    y: &mut [T],
    rows: &mut [RowStatistics<T>],
) {
    let features = gamma.len();
    let slices = x.chunks_exact(features).zip(y.chunks_exact_mut(features));
    for ((x, y), row) in slices.zip(rows) {
        *row = statistics::<_, _, CENTRED>(simd, x, eps);
        let row = *row; // in registers for the loop
        if CENTRED {
            for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                *y = *gamma * row.x_hat(*x) + *beta;
            }
        } else {
            for ((y, x), gamma) in y.iter_mut().zip(x).zip(gamma) {
                *y = *gamma * (*x * row.rstd);
            }
        }
    }
}
// ANCHOR_END: forward

/// dx, dγ, dβ from the upstream gradient `dy`; dβ is empty for RMSNorm.
pub(crate) fn backward<T: Float, const CENTRED: bool>(
    dy: &[T],
    x: &[T],
    gamma: &[T],
    rows: &[RowStatistics<T>],
) -> (Buffer<T>, Vec<T>, Vec<T>) {
    let features = gamma.len();
    let mut dx = Buffer::new(x.len());
    let piece = threads::piece(rows.len(), x.len());
    let numbers = (piece * features).max(1);
    let pieces = dy.chunks(numbers).zip(x.chunks(numbers)).zip(rows.chunks(piece));
    let parts = threads::each(pieces.zip(dx.chunks_mut(numbers)), |(((dy, x), rows), dx)| {
        let mut dgamma = vec![0.0; features];
        let mut dbeta = vec![0.0; if CENTRED { features } else { 0 }];
        dispatch!(vectors::level(), simd => {
            backward_rows::<_, _, CENTRED>(
                simd, dy, x, gamma, rows, dx, &mut dgamma, &mut dbeta,
            );
        });
        (dgamma, dbeta)
    });
    let (mut dgamma, mut dbeta) = (vec![0.0; features], vec![0.0; features]);
    for (dgamma_part, dbeta_part) in &parts {
        add(&mut dgamma, dgamma_part);
        add(&mut dbeta, dbeta_part);
    }
    let narrow = |sums: Vec<f64>| sums.into_iter().map(T::of).collect();
    (dx, narrow(dgamma), narrow(dbeta))
}

// ANCHOR: backward
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the inputs and outputs of one formula")]
fn backward_rows<S: Simd, T: Float, const CENTRED: bool>(
    simd: S,
    dy: &[T],
    x: &[T],
    gamma: &[T],
    rows: &[RowStatistics<T>],
    dx: &mut [T],
    dgamma: &mut [f64],
    dbeta: &mut [f64],
) {
    let features = gamma.len();
    let share = 1.0 / features as f64;
    let mut dgamma_of_rows = vec![T::zero(); features];
    let mut dbeta_of_rows = vec![T::zero(); dbeta.len()];
    let slices = dy.chunks_exact(features).zip(x.chunks_exact(features)).zip(rows);
    for (number, (((dy, x), &row), dx)) in slices.zip(dx.chunks_exact_mut(features)).enumerate() {
        // The means over the row of g = γ·dy, the gradient of x̂, and of g·x̂.
        let (sum_g, sum_g_x_hat) = sums_of_g(simd, dy, x, gamma, row);
        let means = (T::of(sum_g * share), T::of(sum_g_x_hat * share));
        let (whole, n) = (T::Lanes::<S>::LEN, T::Block::<S>::LEN);
        let mut at = 0;
        while at + whole <= features {
            columns::<_, T::Lanes<S>, CENTRED>(
                simd,
                at..at + whole,
                dy,
                x,
                gamma,
                row,
                means,
                dx,
                &mut dgamma_of_rows,
                &mut dbeta_of_rows,
            );
            at += whole;
        }
        while at < features {
            let end = features.min(at + n);
            columns::<_, T::Block<S>, CENTRED>(
                simd,
                at..end,
                dy,
                x,
                gamma,
                row,
                means,
                dx,
                &mut dgamma_of_rows,
                &mut dbeta_of_rows,
            );
            at = end;
        }
        if number % ROWS == ROWS - 1 || number == rows.len() - 1 {
            flush(&mut dgamma_of_rows, dgamma);
            flush(&mut dbeta_of_rows, dbeta);
        }
    }
}

/// Some neighbouring columns of one row: dx, and what the row adds to dγ and dβ.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the inputs and outputs of one formula")]
fn columns<S: Simd, V: SimdBase<S, Element: Float>, const CENTRED: bool>(
    simd: S,
    at: Range<usize>,
    dy: &[V::Element],
    x: &[V::Element],
    gamma: &[V::Element],
    row: RowStatistics<V::Element>,
    (mean_g, mean_g_x_hat): (V::Element, V::Element),
    dx: &mut [V::Element],
    dgamma: &mut [V::Element],
    dbeta: &mut [V::Element],
) {
    let at = || at.clone();
    let (dy, gamma): (V, V) = (load(simd, &dy[at()]), load(simd, &gamma[at()]));
    let x_hat = row.x_hat(load::<_, V>(simd, &x[at()]));
    let g = if CENTRED { gamma * dy - mean_g } else { gamma * dy };
    store((g - x_hat * mean_g_x_hat) * row.rstd, &mut dx[at()]);
    store(load::<_, V>(simd, &dgamma[at()]) + dy * x_hat, &mut dgamma[at()]);
    if CENTRED {
        store(load::<_, V>(simd, &dbeta[at()]) + dy, &mut dbeta[at()]);
    }
}
// ANCHOR_END: backward

/// Moves the sums over some rows into the sums over all of them.
#[inline(always)]
pub(super) fn flush<T: Float>(part: &mut [T], sums: &mut [f64]) {
    for (sum, part) in sums.iter_mut().zip(part) {
        *sum += part.wide();
        *part = T::zero();
    }
}

/// Adds the sums of one piece to those of the pieces before it.
pub(super) fn add(sums: &mut [f64], part: &[f64]) {
    sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
}
