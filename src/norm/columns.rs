//! BatchNorm of a matrix, all channels side by side. Page: `book/src/speed.md`.
//!
//! One row holds one number of each channel. So every loop runs along a row, over per-channel arrays
//! that stay near the processor, and what it sums up goes into an `f64` after a few rows.

use std::ops::Range;

use fearless_simd::{Simd, SimdBase, dispatch};

use super::statistics::RowStatistics;
use super::sums::{ColumnSums, parts, together};
use crate::machine::lanes::{Columns, add_to, each_column, load, store};
use crate::machine::{Float, threads, vectors};

/// The statistics of all channels, one array for each number.
struct Channels<T> {
    origin: Vec<T>,
    shift: Vec<T>,
    rstd: Vec<T>,
}

impl<T: Float> Channels<T> {
    fn of(channels: &[RowStatistics<T>]) -> Self {
        Self {
            origin: channels.iter().map(|c| c.origin).collect(),
            shift: channels.iter().map(|c| c.shift).collect(),
            rstd: channels.iter().map(|c| c.rstd).collect(),
        }
    }
}

/// How many numbers of a matrix with so many columns make a piece of work.
fn piece(numbers: usize, columns: usize) -> usize {
    threads::piece(numbers / columns, numbers) * columns
}

/// Σ (x - origin) and Σ (x - origin)² of each channel.
pub(super) fn sums<T: Float>(x: &[T], origin: &[T]) -> Vec<(f64, f64)> {
    #[cfg(test)]
    crate::machine::taken::note("columns");
    let columns = origin.len();
    let two = [columns, columns];
    let pieces = x.chunks(piece(x.len(), columns));
    let (mut parts, part) = parts(pieces.len(), two);
    threads::each(pieces.zip(parts.chunks_mut(part)), |(x, part)| {
        let mut sums = ColumnSums::new(part, two);
        dispatch!(vectors::level(), simd => {
            for x in x.chunks_exact(columns) {
                let [a, b] = sums.next_row();
                each_column(simd, 0..columns, &mut Deviations { x, origin, a, b });
            }
            sums.flush();
        });
    });
    let [a, b] = together(&parts, two);
    a.into_iter().zip(b).collect()
}

/// One row of x: adds x - origin and its square to the sums.
struct Deviations<'a, T> {
    x: &'a [T],
    origin: &'a [T],
    a: &'a mut [T],
    b: &'a mut [T],
}

impl<S: Simd, T: Float> Columns<S, T> for Deviations<'_, T> {
    #[inline(always)]
    fn run<V: SimdBase<S, Element = T>>(&mut self, simd: S, at: Range<usize>) {
        let at = || at.clone();
        let d = load::<_, V>(simd, &self.x[at()]) - load::<_, V>(simd, &self.origin[at()]);
        add_to(d, simd, &mut self.a[at()]);
        add_to(d * d, simd, &mut self.b[at()]);
    }
}

/// y = γ·x̂ + β.
pub(super) fn forward<T: Float>(
    x: &[T],
    gamma: &[T],
    beta: &[T],
    channels: &[RowStatistics<T>],
    y: &mut [T],
) {
    #[cfg(test)]
    crate::machine::taken::note("columns");
    let columns = gamma.len();
    let Channels { origin, shift, rstd } = &Channels::of(channels);
    let scale: Vec<T> = gamma.iter().zip(rstd).map(|(&gamma, &rstd)| gamma * rstd).collect();
    let offset = beta.iter().zip(shift).zip(&scale);
    let offset: Vec<T> = offset.map(|((&beta, &shift), &scale)| beta - shift * scale).collect();
    let numbers = piece(x.len(), columns.max(1));
    threads::each(x.chunks(numbers).zip(y.chunks_mut(numbers)), |(x, y)| {
        dispatch!(vectors::level(), simd => {
            for (x, y) in x.chunks_exact(columns).zip(y.chunks_exact_mut(columns)) {
                let mut row = Forward { x, origin, scale: &scale, offset: &offset, y };
                each_column(simd, 0..columns, &mut row);
            }
        });
    });
}

/// One row of x: writes y.
struct Forward<'a, T> {
    x: &'a [T],
    origin: &'a [T],
    scale: &'a [T],
    offset: &'a [T],
    y: &'a mut [T],
}

impl<S: Simd, T: Float> Columns<S, T> for Forward<'_, T> {
    #[inline(always)]
    fn run<V: SimdBase<S, Element = T>>(&mut self, simd: S, at: Range<usize>) {
        let at = || at.clone();
        let d = load::<_, V>(simd, &self.x[at()]) - load::<_, V>(simd, &self.origin[at()]);
        let scaled = d * load::<_, V>(simd, &self.scale[at()]);
        store(scaled + load::<_, V>(simd, &self.offset[at()]), &mut self.y[at()]);
    }
}

/// Σ dy and Σ dy·x̂ of each channel.
pub(super) fn sums_of_dy<T: Float>(
    dy: &[T],
    x: &[T],
    channels: &[RowStatistics<T>],
) -> Vec<(f64, f64)> {
    #[cfg(test)]
    crate::machine::taken::note("columns");
    let columns = channels.len();
    let Channels { origin, shift, rstd } = &Channels::of(channels);
    let two = [columns, columns];
    let numbers = piece(x.len(), columns.max(1));
    let pieces = dy.chunks(numbers).zip(x.chunks(numbers));
    let (mut parts, part) = parts(pieces.len(), two);
    threads::each(pieces.zip(parts.chunks_mut(part)), |((dy, x), part)| {
        let mut sums = ColumnSums::new(part, two);
        dispatch!(vectors::level(), simd => {
            for (dy, x) in dy.chunks_exact(columns).zip(x.chunks_exact(columns)) {
                let [a, b] = sums.next_row();
                each_column(simd, 0..columns, &mut Upstream { dy, x, origin, rstd, a, b });
            }
            sums.flush();
        });
    });
    let [sums_dy, sums_dy_x_hat] = together(&parts, two);
    let both = sums_dy.into_iter().zip(sums_dy_x_hat).zip(shift.iter().zip(rstd));
    // x̂ = (x - origin)·rstd - shift·rstd
    both.map(|((dy, dy_x_hat), (shift, rstd))| (dy, dy_x_hat - shift.wide() * rstd.wide() * dy))
        .collect()
}

/// One row of dy and x: adds dy and dy·(x - origin)·rstd to the sums.
struct Upstream<'a, T> {
    dy: &'a [T],
    x: &'a [T],
    origin: &'a [T],
    rstd: &'a [T],
    a: &'a mut [T],
    b: &'a mut [T],
}

impl<S: Simd, T: Float> Columns<S, T> for Upstream<'_, T> {
    #[inline(always)]
    fn run<V: SimdBase<S, Element = T>>(&mut self, simd: S, at: Range<usize>) {
        let at = || at.clone();
        let dy = load::<_, V>(simd, &self.dy[at()]);
        let d = load::<_, V>(simd, &self.x[at()]) - load::<_, V>(simd, &self.origin[at()]);
        add_to(dy, simd, &mut self.a[at()]);
        add_to(dy * (d * load::<_, V>(simd, &self.rstd[at()])), simd, &mut self.b[at()]);
    }
}

/// dx, with the means over each channel of g = γ·dy and of g·x̂.
pub(super) fn dx<T: Float>(
    dy: &[T],
    x: &[T],
    gamma: &[T],
    channels: &[RowStatistics<T>],
    means: &[(T, T)],
    dx: &mut [T],
) {
    #[cfg(test)]
    crate::machine::taken::note("columns");
    let columns = gamma.len();
    let Channels { origin, shift, rstd } = &Channels::of(channels);
    // dx = rstd·(γ·dy - mean_g - x̂·mean_g_x̂), with what belongs to a channel taken together.
    let slope = means.iter().zip(rstd).map(|(&(_, mean_g_x_hat), &rstd)| rstd * mean_g_x_hat);
    let slope: Vec<T> = slope.collect();
    let base = means.iter().zip(shift).zip(&slope);
    let base: Vec<T> =
        base.map(|((&(mean_g, _), &shift), &slope)| mean_g - shift * slope).collect();
    let numbers = piece(x.len(), columns.max(1));
    let pieces = dy.chunks(numbers).zip(x.chunks(numbers)).zip(dx.chunks_mut(numbers));
    threads::each(pieces, |((dy, x), dx)| {
        dispatch!(vectors::level(), simd => {
            let rows = dy.chunks_exact(columns).zip(x.chunks_exact(columns));
            for ((dy, x), dx) in rows.zip(dx.chunks_exact_mut(columns)) {
                let (slope, base) = (&slope[..], &base[..]);
                each_column(simd, 0..columns, &mut Backward { dy, x, gamma, origin, rstd, slope, base, dx });
            }
        });
    });
}

/// One row of dy and x: writes dx.
struct Backward<'a, T> {
    dy: &'a [T],
    x: &'a [T],
    gamma: &'a [T],
    origin: &'a [T],
    rstd: &'a [T],
    slope: &'a [T],
    base: &'a [T],
    dx: &'a mut [T],
}

impl<S: Simd, T: Float> Columns<S, T> for Backward<'_, T> {
    #[inline(always)]
    fn run<V: SimdBase<S, Element = T>>(&mut self, simd: S, at: Range<usize>) {
        let at = || at.clone();
        let d = load::<_, V>(simd, &self.x[at()]) - load::<_, V>(simd, &self.origin[at()]);
        let along = d * load::<_, V>(simd, &self.slope[at()]);
        let g = load::<_, V>(simd, &self.gamma[at()]) * load::<_, V>(simd, &self.dy[at()]);
        let rest = (g - load::<_, V>(simd, &self.base[at()])) - along;
        store(rest * load::<_, V>(simd, &self.rstd[at()]), &mut self.dx[at()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_work_is_cut_between_rows_into_as_many_pieces_as_any() {
        assert_eq!(piece(99 * 1000, 1000), 99 * 1000);
        assert_eq!(piece(100 * 1000, 1000), 7 * 1000); // 100 rows in sixteenths, rounded up
        assert_eq!(piece(0, 3), 3);
    }
}
