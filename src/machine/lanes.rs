//! Sums of contiguous numbers. Page: `book/src/speed.md`.
//!
//! A sum is kept as 16 partial sums for `f32` and 8 for `f64`, in the vector registers of the
//! processor, which adds several numbers at once. The number of partial sums is the same on every
//! machine, and so is the result, to the last bit.
//!
//! Loops without a sum need none of this: the compiler vectorizes them itself.

use std::ops::{Mul, Sub};

use fearless_simd::{Simd, SimdBase};

use crate::machine::Float;

/// After this many numbers the partial sums are added to an `f64`, so that a sum of ten million
/// numbers is as accurate as a sum of a thousand.
pub(crate) const CHUNK: usize = 1024;

// ANCHOR: sum
/// The sum of `numbers`. It starts from -0, because x + -0 is x even if x is 0 or -0.
#[inline(always)]
pub(crate) fn sum<S: Simd, T: Float>(simd: S, numbers: &[T]) -> f64 {
    let (lanes, zero) = (T::Lanes::<S>::LEN, T::Lanes::<S>::splat(simd, T::neg_zero()));
    let mut sum = -0.0;
    for chunk in numbers.chunks(CHUNK) {
        // Four vectors of partial sums: adding a vector takes longer than loading the next.
        let mut sums = [zero; 4];
        let mut fours = chunk.chunks_exact(4 * lanes);
        for four in &mut fours {
            for (sum, numbers) in sums.iter_mut().zip(four.chunks_exact(lanes)) {
                *sum += load(simd, numbers);
            }
        }
        for numbers in fours.remainder().chunks_exact(lanes) {
            sums[0] += load(simd, numbers);
        }
        let rest = fours.remainder().chunks_exact(lanes).remainder();
        sum += rest.iter().fold(-0.0, |sum, x| sum + x.wide());
        sum += total((sums[0] + sums[1]) + (sums[2] + sums[3]));
    }
    sum
}
// ANCHOR_END: sum

// ANCHOR: sums
/// Two sums over slices of one length, in `f64`: `sums!(simd, [x, dy] => (dy, x * dy))` is Σ dy
/// and Σ x·dy. After the arrow, a slice's name means a vector of its numbers, or one of them:
/// the last numbers, too few for a vector, are added one by one.
macro_rules! sums {
    ($simd:expr, [$first:ident $(, $more:ident)*] => $terms:expr) => {{
        use $crate::machine::lanes::{CHUNK, load, total, width, zero};
        let length = $first.len();
        $(let $more = &$more[..length];)*
        let (mut a, mut b) = (0.0, 0.0);
        for start in (0..length).step_by(CHUNK) {
            let end = length.min(start + CHUNK);
            let mut lanes = (zero($simd, $first), zero($simd, $first));
            let count = width($simd, $first);
            let whole = end - (end - start) % count;
            for at in (start..whole).step_by(count) {
                let $first = load($simd, &$first[at..at + count]);
                $(let $more = load($simd, &$more[at..at + count]);)*
                let terms = $terms;
                lanes = (lanes.0 + terms.0, lanes.1 + terms.1);
            }
            a += total(lanes.0);
            b += total(lanes.1);
            for at in whole..end {
                let $first = $first[at];
                $(let $more = $more[at];)*
                let terms = $terms;
                (a, b) = (a + terms.0.wide(), b + terms.1.wide());
            }
        }
        (a, b)
    }};
}
// ANCHOR_END: sums
pub(crate) use sums;

/// One number or a vector of numbers. A formula for `Number` takes either.
pub(crate) trait Number<T>:
    Copy + Mul<Output = Self> + Sub<T, Output = Self> + Mul<T, Output = Self>
{
}

impl<T, X: Copy + Mul<Output = X> + Sub<T, Output = X> + Mul<T, Output = X>> Number<T> for X {}

/// A vector of `numbers`, one for each lane.
#[inline(always)]
pub(crate) fn load<S: Simd, T: Float>(simd: S, numbers: &[T]) -> T::Lanes<S> {
    T::Lanes::<S>::from_slice(simd, numbers)
}

/// The number of lanes for numbers like these.
#[inline(always)]
pub(crate) fn width<S: Simd, T: Float>(_: S, _: &[T]) -> usize {
    T::Lanes::<S>::LEN
}

/// 0 in all lanes.
#[inline(always)]
pub(crate) fn zero<S: Simd, T: Float>(simd: S, _: &[T]) -> T::Lanes<S> {
    T::Lanes::<S>::splat(simd, T::zero())
}

/// The sum of all lanes. Halves are added to halves, in the same order on every machine.
#[inline(always)]
pub(crate) fn total<S: Simd, V: SimdBase<S, Element: Float>>(lanes: V) -> f64 {
    let mut sums = [0.0; 16];
    sums.iter_mut().zip(lanes.as_slice()).for_each(|(sum, lane)| *sum = lane.wide());
    let mut half = V::LEN / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}
