//! The loops of BatchNorm, GroupNorm and InstanceNorm. Page: `book/src/speed.md`.
//!
//! A *line* is what a loop runs along: a plane, in which all numbers have the coefficients of one channel, or a
//! row of a matrix, in which each number has those of its own. Two functions drive the loops, over sums and over
//! results; what they compute of each number is one of four formulas.

use fearless_simd::dispatch;

use super::planes::Planes;
use crate::machine::column_sums::ColumnSums;
use crate::machine::lanes::{Number, sums};
use crate::machine::{Float, threads, vectors};

/// What a number adds to two sums. The first coefficient is the origin.
pub(super) trait Terms<T, const K: usize>: Copy + Sync + Send {
    fn of<X: Number<T>>(x: X, dy: X, coefficients: [T; K]) -> (X, X);
}

// ANCHOR: formulas
/// For mean and variance: d = x - origin, and d².
#[derive(Clone, Copy)]
pub(super) struct Deviation;

impl<T: Float> Terms<T, 1> for Deviation {
    #[inline(always)]
    fn of<X: Number<T>>(x: X, _: X, [origin]: [T; 1]) -> (X, X) {
        (x - origin, (x - origin) * (x - origin))
    }
}

/// For dβ and dγ: dy, and dy·(x - origin)·rstd.
#[derive(Clone, Copy)]
pub(super) struct Upstream;

impl<T: Float> Terms<T, 2> for Upstream {
    #[inline(always)]
    fn of<X: Number<T>>(x: X, dy: X, [origin, rstd]: [T; 2]) -> (X, X) {
        (dy, dy * ((x - origin) * rstd))
    }
}

/// y = γ·x̂ + β, with scale = γ·rstd and offset = β - shift·scale.
#[inline(always)]
pub(super) fn y<T: Float>(x: T, _: T, [origin, scale, offset]: [T; 3]) -> T {
    (x - origin) * scale + offset
}

/// dx = rstd·(γ·dy - mean_g - x̂·mean_g_x_hat), with slope = rstd·mean_g_x_hat and
/// base = mean_g - shift·slope.
#[inline(always)]
pub(super) fn dx<T: Float>(x: T, dy: T, [origin, rstd, gamma, slope, base]: [T; 5]) -> T {
    (gamma * dy - base - (x - origin) * slope) * rstd
}
// ANCHOR_END: formulas

/// Sums of both terms: of each plane; of columns, down each column.
pub(super) fn sums_of<T: Float, F: Terms<T, K>, const K: usize>(
    planes: &Planes,
    [x, dy]: [&[T]; 2],
    coefficients: [&[T]; K],
    _: F,
) -> Vec<(f64, f64)> {
    let length = planes.line();
    let (piece, numbers) = planes.piece();
    let pieces = x.chunks(numbers).zip(dy.chunks(numbers));
    if planes.are_columns() {
        let mut sums = ColumnSums::new(pieces.len(), [length; 2]);
        threads::each(pieces.zip(&mut sums), |((x, dy), sums)| {
            dispatch!(vectors::level(), _simd => {
                for (x, dy) in x.chunks_exact(length).zip(dy.chunks_exact(length)) {
                    let [a, b] = sums.next_row();
                    add_row::<_, F, K>([x, dy], coefficients, a, b);
                }
            });
        });
        let [a, b] = ColumnSums::total(sums, [length; 2]);
        return a.into_iter().zip(b).collect();
    }
    let mut sums = vec![(0.0, 0.0); planes.batch * planes.channels];
    threads::each(pieces.zip(sums.chunks_mut(piece)).enumerate(), |(number, ((x, dy), sums))| {
        dispatch!(vectors::level(), simd => {
            let slices = x.chunks_exact(length).zip(dy.chunks_exact(length));
            for (plane, ((x, dy), sum)) in slices.zip(sums).enumerate() {
                let coefficients = at(coefficients, (number * piece + plane) % coefficients[0].len());
                *sum = sums!(simd, [x, dy] => F::of(x, dy, coefficients));
            }
        });
    });
    sums
}

/// Adds both terms of each number of a row to the sums of its column.
#[inline(always)]
fn add_row<T: Float, F: Terms<T, K>, const K: usize>(
    [x, dy]: [&[T]; 2],
    coefficients: [&[T]; K],
    a: &mut [T],
    b: &mut [T],
) {
    let n = x.len();
    let (dy, a, b, coefficients) = (&dy[..n], &mut a[..n], &mut b[..n], cut(coefficients, n));
    for i in 0..n {
        let terms = F::of(x[i], dy[i], at(coefficients, i));
        a[i] += terms.0;
        b[i] += terms.1;
    }
}

/// Writes the formula's value for each number.
pub(super) fn map<T: Float, const K: usize>(
    planes: &Planes,
    [x, dy]: [&[T]; 2],
    coefficients: [&[T]; K],
    result: &mut [T],
    formula: impl Fn(T, T, [T; K]) -> T + Copy + Sync + Send,
) {
    let length = planes.line();
    let (piece, numbers) = planes.piece();
    let pieces = x.chunks(numbers).zip(dy.chunks(numbers)).zip(result.chunks_mut(numbers));
    threads::each(pieces.enumerate(), |(number, ((x, dy), result))| {
        dispatch!(vectors::level(), _simd => {
            let slices = x.chunks_exact(length).zip(dy.chunks_exact(length));
            let slices = slices.zip(result.chunks_exact_mut(length));
            for (plane, ((x, dy), result)) in slices.enumerate() {
                if planes.are_columns() {
                    write_row([x, dy], coefficients, result, formula);
                } else {
                    let slot = (number * piece + plane) % coefficients[0].len();
                    write_plane([x, dy], at(coefficients, slot), result, formula);
                }
            }
        });
    });
}

#[inline(always)]
fn write_row<T: Float, const K: usize>(
    [x, dy]: [&[T]; 2],
    coefficients: [&[T]; K],
    result: &mut [T],
    formula: impl Fn(T, T, [T; K]) -> T,
) {
    let n = result.len();
    let (x, dy, coefficients) = (&x[..n], &dy[..n], cut(coefficients, n));
    for i in 0..n {
        result[i] = formula(x[i], dy[i], at(coefficients, i));
    }
}

#[inline(always)]
fn write_plane<T: Float, const K: usize>(
    [x, dy]: [&[T]; 2],
    coefficients: [T; K],
    result: &mut [T],
    formula: impl Fn(T, T, [T; K]) -> T,
) {
    let n = result.len();
    let (x, dy) = (&x[..n], &dy[..n]);
    for i in 0..n {
        result[i] = formula(x[i], dy[i], coefficients);
    }
}

/// One of each of the coefficients.
#[inline(always)]
fn at<T: Float, const K: usize>(coefficients: [&[T]; K], number: usize) -> [T; K] {
    let mut at = [T::zero(); K];
    for k in 0..K {
        at[k] = coefficients[k][number];
    }
    at
}

/// Slices of this length, so that nothing needs to be checked within a loop.
#[inline(always)]
fn cut<T, const K: usize>(mut slices: [&[T]; K], length: usize) -> [&[T]; K] {
    for slice in &mut slices {
        *slice = &slice[..length];
    }
    slices
}
