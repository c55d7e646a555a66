//! The hot loops of LayerNorm and RMSNorm. Page: `book/src/layer_norm.md`.
//!
//! Plain slices in, plain slices out. One set of loops serves both layers: RMSNorm is what is left
//! when no mean is subtracted (`CENTRED` is `false`). The sums over a row stand in `statistics.rs`.
//!
//! `dispatch!` compiles what it calls for each kind of vector a processor may have, and picks the
//! widest at run time. All of it must be inlined for that: hence the `#[inline(always)]`. A closure that
//! is handed to a function of the standard library may stay outside and is then compiled without
//! vectors, several times slower: in a kernel, write the loop.

use std::ops::Range;

use fearless_simd::{Simd, SimdBase, dispatch};

use super::far;
use super::statistics::{RowStatistics, statistics, sums_of_g};
use super::sums::{ColumnSums, parts, together};
use crate::machine::buffer::Buffer;
use crate::machine::lanes::{Along, Columns, add_to, each_column, load, store};
use crate::machine::spread::Spread;
use crate::machine::{Float, threads, vectors};

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
    let wide = !CENTRED && size_of_val(gamma) >= WIDE_BYTES;
    let two_rows = size_of_val(x) <= CACHE_BYTES || wide;
    let piece = threads::piece(rows.len(), x.len());
    let pieces = x.chunks((piece * features).max(1)).zip(y.chunks_mut((piece * features).max(1)));
    threads::each(pieces.zip(rows.chunks_mut(piece)), |((x, y), rows)| {
        dispatch!(vectors::level(), simd => {
            forward_rows::<_, _, CENTRED>(simd, x, gamma, beta, eps, y, rows, two_rows);
        });
    });
    (y, rows)
}

/// Two rows at a time pay for inputs up to this size, which come from a cache...
const CACHE_BYTES: usize = 4 << 20;
/// ...and in RMSNorm also for larger ones, if a row fills half of the first cache: a tenth less time at
/// 2048 × 4096. LayerNorm, with more to compute, gains nothing there.
const WIDE_BYTES: usize = 16 << 10;

// ANCHOR: forward
#[expect(clippy::too_many_arguments)] // slices and settings, each once
#[inline(always)]
fn forward_rows<S: Simd, T: Float, const CENTRED: bool>(
    simd: S,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
    y: &mut [T],
    rows: &mut [RowStatistics<T>],
    two_rows: bool,
) {
    let features = gamma.len();
    let nothing =
        Output::<T, CENTRED> { x: &[], gamma, beta, row: RowStatistics::default(), y: &mut [] };
    let mut output = Along::new(nothing, 0..0);
    let mut all_fit = true;
    let slices = x.chunks_exact(features).zip(y.chunks_exact_mut(features));
    for ((x, y), row) in slices.zip(rows.iter_mut()) {
        // The sums over this row, and y of the one before, in one loop.
        *row = statistics::<_, _, CENTRED>(simd, x, eps, &mut output);
        all_fit &= row.fit();
        output.finish(simd);
        output = Along::new(Output { x, gamma, beta, row: *row, y }, 0..features);
        if !two_rows {
            output.finish(simd);
        }
    }
    output.finish(simd);
    if !all_fit {
        careful::<_, CENTRED>(x, gamma, beta, eps, y, rows);
    }
}

/// The forward pass again, in `f64`, for rows where one pass in the element type would not do.
#[cold]
#[inline(never)]
fn careful<T: Float, const CENTRED: bool>(
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
    y: &mut [T],
    rows: &mut [RowStatistics<T>],
) {
    let features = gamma.len();
    let slices = x.chunks_exact(features).zip(y.chunks_exact_mut(features));
    for ((x, y), row) in slices.zip(rows).filter(|(_, row)| !row.fit()) {
        #[cfg(test)]
        crate::machine::taken::note("careful");
        let spread = Spread::of(x.iter().map(|x| x.wide()), eps, CENTRED);
        *row = RowStatistics::from_spread(&spread, eps);
        far::forward((0..features).map(|i| (i, i)), [x, gamma, beta], &spread, eps, y);
    }
}

/// The forward pass of one row: y.
struct Output<'a, T, const CENTRED: bool> {
    x: &'a [T],
    gamma: &'a [T],
    beta: &'a [T],
    row: RowStatistics<T>,
    y: &'a mut [T],
}

impl<S: Simd, T: Float, const CENTRED: bool> Columns<S, T> for Output<'_, T, CENTRED> {
    #[inline(always)]
    fn run<V: SimdBase<S, Element = T>>(&mut self, simd: S, at: Range<usize>) {
        let at = || at.clone();
        let (x, gamma): (V, V) = (load(simd, &self.x[at()]), load(simd, &self.gamma[at()]));
        let y = if CENTRED {
            gamma * self.row.x_hat(x) + load::<_, V>(simd, &self.beta[at()])
        } else {
            gamma * (x * self.row.rstd)
        };
        store(y, &mut self.y[at()]);
    }
}
// ANCHOR_END: forward

/// dx, dγ, dβ from the upstream gradient `dy`; dβ is of no use for RMSNorm.
pub(crate) fn backward<T: Float, const CENTRED: bool>(
    dy: &[T],
    x: &[T],
    gamma: &[T],
    rows: &[RowStatistics<T>],
    eps: f64,
) -> (Buffer<T>, Vec<T>, Vec<T>) {
    let features = gamma.len();
    let mut dx = Buffer::new(x.len());
    let piece = threads::piece(rows.len(), x.len());
    let numbers = (piece * features).max(1);
    let pieces = dy.chunks(numbers).zip(x.chunks(numbers)).zip(rows.chunks(piece));
    // RMSNorm has no β.
    let columns = [features, if CENTRED { features } else { 0 }];
    let (mut parts, part) = parts(pieces.len(), columns);
    let pieces = pieces.zip(dx.chunks_mut(numbers)).zip(parts.chunks_mut(part));
    threads::each(pieces, |((((dy, x), rows), dx), part)| {
        let mut sums = ColumnSums::new(part, columns);
        dispatch!(vectors::level(), simd => {
            backward_rows::<_, _, CENTRED>(simd, dy, x, gamma, rows, eps, dx, &mut sums);
        });
    });
    let [mut dgamma, mut dbeta] = together(&parts, columns);
    if dgamma.iter().chain(&dbeta).any(|sum| !sum.is_finite()) {
        [dgamma, dbeta] = far_sums::<_, CENTRED>(dy, x, gamma, eps);
    }
    let narrow = |sums: Vec<f64>| sums.into_iter().map(T::of).collect();
    (dx, narrow(dgamma), narrow(dbeta))
}

// ANCHOR: backward
#[expect(clippy::too_many_arguments)] // slices and settings, each once
#[inline(always)]
fn backward_rows<S: Simd, T: Float, const CENTRED: bool>(
    simd: S,
    dy: &[T],
    x: &[T],
    gamma: &[T],
    rows: &[RowStatistics<T>],
    eps: f64,
    dx: &mut [T],
    sums: &mut ColumnSums<'_, T>,
) {
    let features = gamma.len();
    let share = 1.0 / features as f64;
    let slices = dy.chunks_exact(features).zip(x.chunks_exact(features)).zip(rows);
    for (((dy, x), &row), dx) in slices.zip(dx.chunks_exact_mut(features)) {
        // The means over the row of g = γ·dy, the gradient of x̂, and of g·x̂.
        let (sum_g, sum_g_x_hat) = sums_of_g(simd, dy, x, gamma, row);
        // RMSNorm needs no Σ g, which is then not even computed.
        let finite = (!CENTRED || sum_g.is_finite()) && sum_g_x_hat.is_finite();
        if !(row.fit() && finite) {
            far_backward::<_, CENTRED>(dy, x, gamma, eps, dx, |i, a, b| sums.add(i, [a, b]));
            continue;
        }
        let (mean_g, mean_g_x_hat) = (T::of(sum_g * share), T::of(sum_g_x_hat * share));
        let [dgamma, dbeta] = sums.next_row();
        let mut row =
            Row::<T, CENTRED> { dy, x, gamma, row, mean_g, mean_g_x_hat, dx, dgamma, dbeta };
        each_column(simd, 0..features, &mut row);
    }
    sums.flush();
}

/// The backward pass of a row that does not fit the loops.
#[cold]
#[inline(never)]
fn far_backward<T: Float, const CENTRED: bool>(
    dy: &[T],
    x: &[T],
    gamma: &[T],
    eps: f64,
    dx: &mut [T],
    add: impl FnMut(usize, f64, f64),
) {
    let spread = Spread::of(x.iter().map(|x| x.wide()), eps, CENTRED);
    let places = (0..x.len()).map(|i| (i, i));
    let terms = far::Terms { mean: CENTRED, square: true };
    far::backward(places, [dy, x, gamma], &spread, eps, terms, dx, add);
}

/// dγ and dβ again, for sums over rows that are infinite or NaN: in the element type, sixteen
/// of the largest numbers are infinite, while all together may be 0.
#[cold]
#[inline(never)]
fn far_sums<T: Float, const CENTRED: bool>(
    dy: &[T],
    x: &[T],
    gamma: &[T],
    eps: f64,
) -> [Vec<f64>; 2] {
    let features = gamma.len();
    let mut sums = [vec![0.0; features], vec![0.0; features]];
    let mut dx = vec![T::zero(); features];
    let down = 2f64.powi(-64); // so that sums of f64 fit too
    for (dy, x) in dy.chunks_exact(features).zip(x.chunks_exact(features)) {
        far_backward::<_, CENTRED>(dy, x, gamma, eps, &mut dx, |i, a, b| {
            sums[0][i] += a * down;
            sums[1][i] += b * down;
        });
    }
    sums.map(|sums| sums.into_iter().map(|sum| sum / down).collect())
}

/// The backward pass of one row: dx, and what the row adds to dγ and dβ.
struct Row<'a, T, const CENTRED: bool> {
    dy: &'a [T],
    x: &'a [T],
    gamma: &'a [T],
    row: RowStatistics<T>,
    mean_g: T,
    mean_g_x_hat: T,
    dx: &'a mut [T],
    dgamma: &'a mut [T],
    dbeta: &'a mut [T],
}

impl<S: Simd, T: Float, const CENTRED: bool> Columns<S, T> for Row<'_, T, CENTRED> {
    #[inline(always)]
    fn run<V: SimdBase<S, Element = T>>(&mut self, simd: S, at: Range<usize>) {
        let at = || at.clone();
        let (dy, x, gamma): (V, V, V) =
            (load(simd, &self.dy[at()]), load(simd, &self.x[at()]), load(simd, &self.gamma[at()]));
        let x_hat = self.row.x_hat(x);
        let g = if CENTRED { gamma * dy - self.mean_g } else { gamma * dy };
        store((g - x_hat * self.mean_g_x_hat) * self.row.rstd, &mut self.dx[at()]);
        add_to(dy * x_hat, simd, &mut self.dgamma[at()]);
        if CENTRED {
            add_to(dy, simd, &mut self.dbeta[at()]);
        }
    }
}
// ANCHOR_END: backward
