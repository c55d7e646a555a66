//! The hot loops of LayerNorm and RMSNorm. Page: `book/src/layer_norm.md`.
//!
//! Plain slices in, plain slices out. One set of loops serves both layers: RMSNorm is what is left
//! when no mean is subtracted (`CENTRED` is `false`). Three rules keep them both fast and right:
//!
//! * **Lanes.** A sum over a row is kept as 16 partial sums for `f32` and 8 for `f64`, so that a
//!   processor adds as many numbers at once as it can. Their number does not depend on the machine,
//!   so the result does not either, to the last bit.
//! * **Measured from nearby.** The numbers of a row are taken relative to an `origin`, the mean of
//!   the first few: rows far from zero keep their digits, and one pass over the row finds both mean
//!   and variance. Where that pass cannot be trusted, [`careful`] takes two in `f64`.
//! * **Blocks.** Lanes are added up in `f64` after every block, so that the sum of ten million
//!   numbers is as good as that of a thousand.

use fearless_simd::{Level, Simd, SimdBase, dispatch};

use crate::Float;
use crate::threads;

/// Numbers that the lanes take in before they are added up in `f64`.
const BLOCK: usize = 1024;
/// Rows whose dγ and dβ are added up in the element type before they go into an `f64`.
pub(super) const ROWS: usize = 16;

/// What the forward pass keeps of each row for the backward pass, not a copy of x̂:
/// x̂ = ((x - origin) - shift)·rstd.
#[derive(Clone, Copy, Default)]
pub(crate) struct RowStatistics<T> {
    /// A number in the midst of the row, 0 for RMSNorm.
    pub(super) origin: T,
    /// What lies between it and the mean.
    pub(super) shift: T,
    /// 1/√(var + eps), the reciprocal standard deviation; of RMSNorm 1/√(mean square + eps).
    pub(super) rstd: T,
}

impl<T: Float> RowStatistics<T> {
    #[inline(always)]
    pub(super) fn x_hat(self, x: T) -> T {
        ((x - self.origin) - self.shift) * self.rstd
    }
}

/// 1/√(mean square + eps), or NaN where that is no number to rely on.
///
/// The squares of any `f32` fit into an `f64`. Those of an `f64` above 1e154 do not, and those of one
/// below 1e-146 lose digits: without `eps`, a wrong number would come out and look like a right one.
pub(super) fn reciprocal_root(mean_square: f64, eps: f64) -> f64 {
    let square = mean_square + eps;
    let exact = f64::MIN_POSITIVE / f64::EPSILON; // 1e-292: above it, squares keep their digits
    if square > exact && square < f64::INFINITY { 1.0 / square.sqrt() } else { f64::NAN }
}

// ANCHOR: statistics
/// The statistics of one row in one pass: mean and 1/√(var + eps), with the biased variance.
#[inline(always)]
fn statistics<S: Simd, T: Float, const CENTRED: bool>(
    simd: S,
    row: &[T],
    eps: f64,
) -> RowStatistics<T> {
    let lanes = T::Lanes::<S>::LEN;
    if row.len() < 2 * lanes {
        return careful::<T, CENTRED>(row, eps);
    }
    let n = row.len() as f64;
    let origin = if CENTRED {
        row[..lanes].iter().copied().sum::<T>() / T::of(lanes as f64)
    } else {
        T::zero()
    };
    let (sum, squares) = sums(simd, row, origin);
    let shift = if CENTRED { sum / n } else { 0.0 };
    let mean_square = squares / n;
    let var = mean_square - shift * shift;
    if !trusted::<T>(var, mean_square) {
        return careful::<T, CENTRED>(row, eps);
    }
    RowStatistics { origin, shift: T::of(shift), rstd: T::of(reciprocal_root(var, eps)) }
}
// ANCHOR_END: statistics

/// Whether squares in the element type gave a variance to rely on: they neither overflowed nor lost
/// digits for being tiny, and the origin was near enough that most of them is variance.
#[inline(always)]
pub(super) fn trusted<T: Float>(var: f64, mean_square: f64) -> bool {
    let exact = (T::min_positive_value() / T::epsilon()).wide();
    var > 0.5 * mean_square && mean_square > exact && mean_square < f64::INFINITY
}

/// Σ (x - origin) and Σ (x - origin)².
#[inline(always)]
pub(super) fn sums<S: Simd, T: Float>(simd: S, row: &[T], origin: T) -> (f64, f64) {
    let lanes = T::Lanes::<S>::LEN;
    let [zero, origin] = [T::zero(), origin].map(|x| T::Lanes::<S>::splat(simd, x));
    let (mut sum, mut squares) = (0.0, 0.0);
    for block in row.chunks(BLOCK) {
        let [mut a, mut b, mut a2, mut b2] = [zero; 4];
        let mut pairs = block.chunks_exact(2 * lanes);
        for pair in &mut pairs {
            let d = T::Lanes::<S>::from_slice(simd, &pair[..lanes]) - origin;
            let d2 = T::Lanes::<S>::from_slice(simd, &pair[lanes..]) - origin;
            (a, b) = (a + d, b + d * d);
            (a2, b2) = (a2 + d2, b2 + d2 * d2);
        }
        for rest in pairs.remainder().chunks(lanes) {
            let d = padded(rest, origin) - origin;
            (a, b) = (a + d, b + d * d);
        }
        sum += total(a + a2);
        squares += total(b + b2);
    }
    (sum, squares)
}

/// The numbers of a row that do not fill all lanes; the other lanes keep what `filler` holds.
#[inline(always)]
fn padded<S: Simd, V: SimdBase<S>>(rest: &[V::Element], filler: V) -> V {
    let mut lanes = filler;
    lanes.as_mut_slice()[..rest.len()].copy_from_slice(rest);
    lanes
}

/// The sum of all lanes, in one order on every machine.
#[inline(always)]
fn total<S: Simd, V: SimdBase<S, Element: Float>>(lanes: V) -> f64 {
    let mut wide = [0.0; 16];
    wide.iter_mut().zip(lanes.as_slice()).for_each(|(wide, lane)| *wide = lane.wide());
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            wide[lane] += wide[lane + half];
        }
    }
    wide[0]
}

// ANCHOR: careful
/// The statistics of one row in two passes, all in `f64`: for narrow rows, and for those where one
/// pass in the element type would not do.
fn careful<T: Float, const CENTRED: bool>(row: &[T], eps: f64) -> RowStatistics<T> {
    let n = row.len() as f64;
    // Measured from the first number, a row of equal numbers is a row of exact zeros.
    let origin = if CENTRED { row[0] } else { T::zero() };
    let from_origin = |x: &T| x.wide() - origin.wide();
    let shift = if CENTRED { row.iter().map(from_origin).sum::<f64>() / n } else { 0.0 };
    let var = row.iter().map(|x| (from_origin(x) - shift).powi(2)).sum::<f64>() / n;
    RowStatistics { origin, shift: T::of(shift), rstd: T::of(reciprocal_root(var, eps)) }
}
// ANCHOR_END: careful

/// y = γ·x̂ + β for each row of `x`; `beta` is empty for RMSNorm. `gamma.len()` is the length of a row.
pub(crate) fn forward<T: Float, const CENTRED: bool>(
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
) -> (Vec<T>, Vec<RowStatistics<T>>) {
    let features = gamma.len();
    let mut y = T::pool().take(x.len());
    let mut rows = vec![RowStatistics::default(); x.len() / features.max(1)];
    let piece = threads::piece(rows.len(), x.len());
    let pieces = x.chunks((piece * features).max(1)).zip(y.chunks_mut((piece * features).max(1)));
    threads::each(pieces.zip(rows.chunks_mut(piece)), |((x, y), rows)| {
        dispatch!(Level::new(), simd => {
            forward_rows::<_, _, CENTRED>(simd, x, gamma, beta, eps, y, rows)
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
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let features = gamma.len();
    let mut dx = T::pool().take(x.len());
    let piece = threads::piece(rows.len(), x.len());
    let numbers = (piece * features).max(1);
    let pieces = dy.chunks(numbers).zip(x.chunks(numbers)).zip(rows.chunks(piece));
    let parts = threads::each(pieces.zip(dx.chunks_mut(numbers)), |(((dy, x), rows), dx)| {
        let mut dgamma = vec![0.0; features];
        let mut dbeta = vec![0.0; if CENTRED { features } else { 0 }];
        dispatch!(Level::new(), simd => {
            backward_rows::<_, _, CENTRED>(
                simd, dy, x, gamma, rows, dx, &mut dgamma, &mut dbeta,
            )
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
    let n = features as f64;
    let mut dgamma_of_rows = vec![T::zero(); features];
    let mut dbeta_of_rows = vec![T::zero(); dbeta.len()];
    let slices = dy.chunks_exact(features).zip(x.chunks_exact(features)).zip(rows);
    for (number, (((dy, x), &row), dx)) in slices.zip(dx.chunks_exact_mut(features)).enumerate() {
        // The means over the row of g = γ·dy, the gradient of x̂, and of g·x̂.
        let (sum_g, sum_g_x_hat) = sums_of_g(simd, dy, x, gamma, row);
        let mean_g = if CENTRED { T::of(sum_g / n) } else { T::zero() };
        let mean_g_x_hat = T::of(sum_g_x_hat / n);
        for (((dx, &dy), &x), &gamma) in dx.iter_mut().zip(dy).zip(x).zip(gamma) {
            *dx = row.rstd * (gamma * dy - mean_g - row.x_hat(x) * mean_g_x_hat);
        }
        for ((dgamma, &dy), &x) in dgamma_of_rows.iter_mut().zip(dy).zip(x) {
            *dgamma += dy * row.x_hat(x);
        }
        dbeta_of_rows.iter_mut().zip(dy).for_each(|(dbeta, &dy)| *dbeta += dy);
        if number % ROWS == ROWS - 1 || number == rows.len() - 1 {
            flush(&mut dgamma_of_rows, dgamma);
            flush(&mut dbeta_of_rows, dbeta);
        }
    }
}
// ANCHOR_END: backward

/// Σ g and Σ g·x̂ over one row, with g = γ·dy.
#[inline(always)]
pub(super) fn sums_of_g<S: Simd, T: Float>(
    simd: S,
    dy: &[T],
    x: &[T],
    gamma: &[T],
    row: RowStatistics<T>,
) -> (f64, f64) {
    let lanes = T::Lanes::<S>::LEN;
    if dy.len() < 2 * lanes {
        let g = |j: usize| gamma[j].wide() * dy[j].wide();
        let x_hat = |j: usize| row.x_hat(x[j]).wide();
        return (0..dy.len()).fold((0.0, 0.0), |(a, b), j| (a + g(j), b + g(j) * x_hat(j)));
    }
    let [zero, origin, shift, rstd] =
        [T::zero(), row.origin, row.shift, row.rstd].map(|x| T::Lanes::<S>::splat(simd, x));
    let (mut sum, mut sum_x_hat) = (0.0, 0.0);
    for ((dy, x), gamma) in dy.chunks(BLOCK).zip(x.chunks(BLOCK)).zip(gamma.chunks(BLOCK)) {
        let (mut a, mut b) = (zero, zero);
        let mut add = |dy: T::Lanes<S>, x: T::Lanes<S>, gamma: T::Lanes<S>| {
            let g = gamma * dy;
            (a, b) = (a + g, b + g * (((x - origin) - shift) * rstd));
        };
        let load = |slice: &[T]| T::Lanes::<S>::from_slice(simd, slice);
        let (dys, xs, gammas) =
            (dy.chunks_exact(lanes), x.chunks_exact(lanes), gamma.chunks_exact(lanes));
        let rest = (dys.remainder(), xs.remainder(), gammas.remainder());
        for ((dy, x), gamma) in dys.zip(xs).zip(gammas) {
            add(load(dy), load(x), load(gamma));
        }
        if !rest.0.is_empty() {
            add(padded(rest.0, zero), padded(rest.1, origin), padded(rest.2, zero));
        }
        sum += total(a);
        sum_x_hat += total(b);
    }
    (sum, sum_x_hat)
}

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
