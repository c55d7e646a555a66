//! Sums along one axis, accurate for many numbers and without overflow of partial sums.
//!
//! An array is treated as `[outer, n, inner]` and summed along `n`. If `inner` is 1, the numbers of
//! one sum are contiguous: see [`lanes::sum`]. Otherwise each sum is over a column: 8 rows at a
//! time are added pairwise in the element type, and their sum is added to an `f64`. So a number
//! goes through three roundings in `f32`, even in a sum of ten million.
//!
//! The order of the additions depends on the shape alone, not on the threads or the vectors.

use std::array;

use fearless_simd::dispatch;

use crate::machine::buffer::Buffer;
use crate::machine::threads::{self, MANY, PIECES};
use crate::machine::{Float, lanes, vectors};

/// Number of rows added in the element type.
const ROWS: usize = 8;
/// Number of columns summed at a time: their sums stay in the L1 cache.
const TILE: usize = 1024;
/// Narrow rows are joined into rows of up to this width.
const JOINED: usize = 64;
/// Rows shorter than this are summed without vectors.
const SHORT: usize = 32;

/// The sums of `x` along the second of its three axes, each divided by `divisor`.
pub(crate) fn sum_axis<T: Float>(x: &[T], shape: [usize; 3], divisor: f64) -> Buffer<T> {
    let [outer, n, inner] = shape;
    let mut y = Buffer::new(outer * inner);
    if n == 0 {
        y.fill(T::of(0.0 / divisor)); // not -0, from which the other sums start
        return y;
    }
    if inner == 1 && n < MANY {
        let piece = threads::piece(outer, x.len());
        threads::each(x.chunks(piece * n).zip(y.chunks_mut(piece)), |(x, y)| {
            dispatch!(vectors::level(), simd => {
                for (x, y) in x.chunks_exact(n).zip(y) {
                    let sum = if n < SHORT { one_by_one(x) } else { lanes::sum(simd, x) };
                    *y = T::of(sum / divisor);
                }
            });
        });
    } else if inner == 1 {
        for (x, y) in x.chunks_exact(n).zip(y.iter_mut()) {
            *y = T::of(long_row(x) / divisor);
        }
    } else if inner > 1 && (outer >= PIECES || n * inner < MANY) {
        let piece = threads::piece(outer, x.len());
        let blocks = x.chunks(piece * n * inner).zip(y.chunks_mut(piece * inner));
        threads::each(blocks, |(x, y)| {
            let mut sums = vec![0.0; inner];
            for (x, y) in x.chunks_exact(n * inner).zip(y.chunks_exact_mut(inner)) {
                sums.fill(-0.0);
                columns(x, inner, &mut sums);
                write(y, &sums, divisor);
            }
        });
    } else if inner > 1 {
        for (x, y) in x.chunks_exact(n * inner).zip(y.chunks_exact_mut(inner)) {
            write(y, &many_columns(x, inner), divisor);
        }
    }
    for (place, y) in y.iter_mut().enumerate() {
        if !y.is_finite() {
            *y = careful(x, [place / inner * n * inner + place % inner, n, inner], divisor);
        }
    }
    y
}

fn write<T: Float>(y: &mut [T], sums: &[f64], divisor: f64) {
    y.iter_mut().zip(sums).for_each(|(y, sum)| *y = T::of(sum / divisor));
}

fn one_by_one<T: Float>(x: &[T]) -> f64 {
    x.iter().fold(-0.0, |sum, x| sum + x.wide())
}

/// The sum of a row long enough for several threads.
fn long_row<T: Float>(x: &[T]) -> f64 {
    let pieces = x.chunks(threads::piece(x.len(), x.len()));
    let mut sums = vec![0.0; pieces.len()];
    threads::each(pieces.zip(&mut sums), |(piece, sum)| {
        *sum = dispatch!(vectors::level(), simd => lanes::sum(simd, piece));
    });
    one_by_one(&sums)
}

/// The column sums of a matrix large enough for several threads. Each thread takes some of the
/// columns, or some of the rows if there are fewer than `TILE` columns.
fn many_columns<T: Float>(x: &[T], inner: usize) -> Vec<f64> {
    let n = x.len() / inner;
    let mut sums = vec![-0.0; inner];
    if inner >= TILE {
        threads::each(sums.chunks_mut(inner.div_ceil(PIECES)).enumerate(), |(piece, sums)| {
            columns(&x[piece * inner.div_ceil(PIECES)..], inner, sums);
        });
        return sums;
    }
    let pieces = x.chunks(threads::piece(n, x.len()) * inner);
    let mut parts = vec![-0.0; pieces.len() * inner];
    threads::each(pieces.zip(parts.chunks_mut(inner)), |(x, sums)| columns(x, inner, sums));
    for part in parts.chunks_exact(inner) {
        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    sums
}

/// Adds the rows of `x`, which start `stride` numbers apart, to at most `stride` sums.
fn columns<T: Float>(x: &[T], stride: usize, sums: &mut [f64]) {
    let side_by_side = JOINED / stride; // 0 for wide rows
    if side_by_side < 2 {
        for (tile, sums) in sums.chunks_mut(TILE).enumerate() {
            dispatch!(vectors::level(), _simd => tile_of(&x[tile * TILE..], stride, sums));
        }
        return;
    }
    let joined = side_by_side * stride;
    let (whole, rest) = x.split_at(x.len() - x.len() % joined);
    let mut joined_sums = vec![-0.0; joined];
    dispatch!(vectors::level(), _simd => tile_of(whole, joined, &mut joined_sums));
    for row in joined_sums.chunks_exact(stride) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    for row in rest.chunks_exact(stride) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x.wide());
    }
}

// ANCHOR: columns
/// Adds the rows of `x`, which start `stride` numbers apart, to `sums`.
#[inline(always)]
fn tile_of<T: Float>(x: &[T], stride: usize, sums: &mut [f64]) {
    let width = sums.len();
    for rows in x.chunks(ROWS * stride) {
        if rows.len() < (ROWS - 1) * stride + width {
            for row in rows.chunks(stride).filter(|row| row.len() >= width) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x.wide());
            }
            continue;
        }
        let [a, b, c, d, e, f, g, h]: [&[T]; ROWS] =
            array::from_fn(|row| &rows[row * stride..][..width]);
        for i in 0..width {
            let sum = ((a[i] + b[i]) + (c[i] + d[i])) + ((e[i] + f[i]) + (g[i] + h[i]));
            sums[i] += sum.wide();
        }
    }
}
// ANCHOR_END: columns

/// Computes one sum again in `f64`, of `n` numbers, `step` apart, from `first` on. An addition in
/// the element type overflowed, but the result may fit.
#[cold]
fn careful<T: Float>(x: &[T], [first, n, step]: [usize; 3], divisor: f64) -> T {
    // A power of two so small that even the sum of all numbers in a full memory cannot overflow.
    let scale = 2f64.powi(-64);
    let numbers = x[first..].iter().step_by(step).take(n);
    let sum = numbers.fold(-0.0, |sum, x| sum + x.wide() * scale);
    T::of(sum / divisor / scale)
}
