//! BatchNorm of a matrix, all channels side by side. Page: `book/src/conventions.md`.
//!
//! One row holds one number of each channel. So every loop runs along a row, over per-channel arrays
//! that stay near the processor, and what it sums up goes into an `f64` after a few rows.

use fearless_simd::dispatch;

use super::kernel::{ROWS, add, flush};
use super::statistics::RowStatistics;
use crate::{Float, threads, vectors};

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
    let columns = origin.len();
    let pieces = threads::each(x.chunks(piece(x.len(), columns)), |x| {
        let mut sums = vec![0.0; columns];
        let mut squares = vec![0.0; columns];
        dispatch!(vectors::level(), _simd => {
            let (mut a, mut b) = (vec![T::zero(); columns], vec![T::zero(); columns]);
            for rows in x.chunks(ROWS * columns) {
                for x in rows.chunks_exact(columns) {
                    for (((a, b), &x), &origin) in a.iter_mut().zip(&mut b).zip(x).zip(origin) {
                        let d = x - origin;
                        *a += d;
                        *b += d * d;
                    }
                }
                flush(&mut a, &mut sums);
                flush(&mut b, &mut squares);
            }
        });
        (sums, squares)
    });
    together(&pieces, columns)
}

/// Adds up what the pieces found, in their order, a pair for each channel.
fn together(pieces: &[(Vec<f64>, Vec<f64>)], columns: usize) -> Vec<(f64, f64)> {
    let (mut a, mut b) = (vec![0.0; columns], vec![0.0; columns]);
    for (a_part, b_part) in pieces {
        add(&mut a, a_part);
        add(&mut b, b_part);
    }
    a.into_iter().zip(b).collect()
}

/// y = γ·x̂ + β.
pub(super) fn forward<T: Float>(
    x: &[T],
    gamma: &[T],
    beta: &[T],
    channels: &[RowStatistics<T>],
    y: &mut [T],
) {
    let columns = gamma.len();
    let Channels { origin, shift, rstd } = &Channels::of(channels);
    let scale: Vec<T> = gamma.iter().zip(rstd).map(|(&gamma, &rstd)| gamma * rstd).collect();
    let numbers = piece(x.len(), columns.max(1)).max(1);
    threads::each(x.chunks(numbers).zip(y.chunks_mut(numbers)), |(x, y)| {
        dispatch!(vectors::level(), _simd => {
            for (x, y) in x.chunks_exact(columns).zip(y.chunks_exact_mut(columns)) {
                let channels = origin.iter().zip(shift).zip(&scale).zip(beta);
                for ((y, &x), (((&origin, &shift), &scale), &beta)) in
                    y.iter_mut().zip(x).zip(channels)
                {
                    *y = ((x - origin) - shift) * scale + beta;
                }
            }
        });
    });
}

/// Σ dy and Σ dy·x̂ of each channel.
pub(super) fn sums_of_dy<T: Float>(
    dy: &[T],
    x: &[T],
    channels: &[RowStatistics<T>],
) -> Vec<(f64, f64)> {
    let columns = channels.len();
    let Channels { origin, shift, rstd } = &Channels::of(channels);
    let numbers = piece(x.len(), columns.max(1)).max(1);
    let pieces = threads::each(dy.chunks(numbers).zip(x.chunks(numbers)), |(dy, x)| {
        let mut sums = vec![0.0; columns];
        let mut sums_x_hat = vec![0.0; columns];
        dispatch!(vectors::level(), _simd => {
            let (mut a, mut b) = (vec![T::zero(); columns], vec![T::zero(); columns]);
            for (dy, x) in dy.chunks(ROWS * columns).zip(x.chunks(ROWS * columns)) {
                for (dy, x) in dy.chunks_exact(columns).zip(x.chunks_exact(columns)) {
                    add_row(dy, x, origin, shift, rstd, &mut a, &mut b);
                }
                flush(&mut a, &mut sums);
                flush(&mut b, &mut sums_x_hat);
            }
        });
        (sums, sums_x_hat)
    });
    together(&pieces, columns)
}

/// Adds dy and dy·x̂ of one row to `a` and `b`.
#[inline(always)]
fn add_row<T: Float>(
    dy: &[T],
    x: &[T],
    origin: &[T],
    shift: &[T],
    rstd: &[T],
    a: &mut [T],
    b: &mut [T],
) {
    let columns = x.len();
    let [dy, origin, shift, rstd] = [dy, origin, shift, rstd].map(|s| &s[..columns]);
    let (a, b) = (&mut a[..columns], &mut b[..columns]);
    for j in 0..columns {
        a[j] += dy[j];
        b[j] += dy[j] * (((x[j] - origin[j]) - shift[j]) * rstd[j]);
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
    let columns = gamma.len();
    let Channels { origin, shift, rstd } = &Channels::of(channels);
    let (mean_g, mean_g_x_hat): (Vec<T>, Vec<T>) = means.iter().copied().unzip();
    let numbers = piece(x.len(), columns.max(1)).max(1);
    let pieces = dy.chunks(numbers).zip(x.chunks(numbers)).zip(dx.chunks_mut(numbers));
    threads::each(pieces, |((dy, x), dx)| {
        dispatch!(vectors::level(), _simd => {
            let rows = dy.chunks_exact(columns).zip(x.chunks_exact(columns));
            for ((dy, x), dx) in rows.zip(dx.chunks_exact_mut(columns)) {
                // One length that the compiler knows of: nothing to check inside of the loop.
                let ([dy, x], gamma, dx) = ([dy, x].map(|s| &s[..columns]), &gamma[..columns], &mut dx[..columns]);
                let [origin, shift, rstd] = [origin, shift, rstd].map(|s| &s[..columns]);
                let [mean_g, mean_g_x_hat] = [&mean_g, &mean_g_x_hat].map(|s| &s[..columns]);
                for j in 0..columns {
                    let x_hat = ((x[j] - origin[j]) - shift[j]) * rstd[j];
                    dx[j] = rstd[j] * (gamma[j] * dy[j] - mean_g[j] - x_hat * mean_g_x_hat[j]);
                }
            }
        });
    });
}
