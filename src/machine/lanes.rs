//! Sums of numbers that lie side by side. Page: `book/src/speed.md`.
//!
//! A sum is kept as 16 partial sums for `f32` and 8 for `f64`, in the vector registers of the processor, so
//! that it adds as many numbers at once as it can. How many there are does not depend on the machine, so the
//! result does not either, to the last bit.
//!
//! Loops that add nothing up need none of this: the compiler turns them into vectors by itself.

use std::ops::{Mul, Sub};

use fearless_simd::{Simd, SimdBase};

use crate::machine::Float;

/// Numbers that the partial sums take in before they are added up in `f64`, so that the sum of ten
/// million is as good as that of a thousand.
pub(crate) const BLOCK: usize = 1024;

// ANCHOR: sum
/// The sum of some numbers. It starts from -0, to which 0 and -0 can be added without a change.
#[inline(always)]
pub(crate) fn sum<S: Simd, T: Float>(simd: S, numbers: &[T]) -> f64 {
    let (lanes, zero) = (T::Lanes::<S>::LEN, T::Lanes::<S>::splat(simd, T::neg_zero()));
    let mut sum = -0.0;
    for block in numbers.chunks(BLOCK) {
        // Four sets of lanes: an addition takes longer than loading the numbers for the next.
        let mut sums = [zero; 4];
        let mut fours = block.chunks_exact(4 * lanes);
        for four in &mut fours {
            for (sum, numbers) in sums.iter_mut().zip(four.chunks_exact(lanes)) {
                *sum += load(simd, numbers);
            }
        }
        for rest in fours.remainder().chunks(lanes) {
            sums[0] += load_part(simd, rest, T::neg_zero());
        }
        sum += total((sums[0] + sums[1]) + (sums[2] + sums[3]));
    }
    sum
}
// ANCHOR_END: sum

// ANCHOR: sums
/// Two sums over slices of one length: `sums!(simd, [x or 0.0, dy] => (dy, x * dy))` is Σ dy and Σ x·dy, in
/// `f64`. Behind the arrow, a slice's name stands for a vector of its numbers. What stands behind `or` fills up
/// the last vector of the first slice; the others are filled up with 0.
macro_rules! sums {
    ($simd:expr, [$first:ident or $filler:expr $(, $more:ident)*] => $terms:expr) => {{
        use $crate::machine::lanes::{BLOCK, load, load_part, total, width, zero};
        let filler = $filler;
        let length = $first.len();
        $(let $more = &$more[..length];)*
        let (mut a, mut b) = (0.0, 0.0);
        for start in (0..length).step_by(BLOCK) {
            let end = length.min(start + BLOCK);
            let mut lanes = (zero($simd, filler), zero($simd, filler));
            let count = width($simd, filler);
            let whole = end - (end - start) % count;
            for at in (start..whole).step_by(count) {
                let $first = load($simd, &$first[at..at + count]);
                $(let $more = load($simd, &$more[at..at + count]);)*
                let terms = $terms;
                lanes = (lanes.0 + terms.0, lanes.1 + terms.1);
            }
            if whole < end {
                let $first = load_part($simd, &$first[whole..end], filler);
                $(let $more = load_part($simd, &$more[whole..end], T::zero());)*
                let terms = $terms;
                lanes = (lanes.0 + terms.0, lanes.1 + terms.1);
            }
            a += total(lanes.0);
            b += total(lanes.1);
        }
        (a, b)
    }};
}
// ANCHOR_END: sums
pub(crate) use sums;

/// One number, or as many side by side as there are lanes: what a formula is written for.
pub(crate) trait Number<T>:
    Copy + Mul<Output = Self> + Sub<T, Output = Self> + Mul<T, Output = Self>
{
}

impl<T, X: Copy + Mul<Output = X> + Sub<T, Output = X> + Mul<T, Output = X>> Number<T> for X {}

/// As many numbers as there are lanes.
#[inline(always)]
pub(crate) fn load<S: Simd, T: Float>(simd: S, numbers: &[T]) -> T::Lanes<S> {
    T::Lanes::<S>::from_slice(simd, numbers)
}

/// Fewer numbers than there are lanes, or as many; `filler` in the others.
#[inline(always)]
pub(crate) fn load_part<S: Simd, T: Float>(simd: S, numbers: &[T], filler: T) -> T::Lanes<S> {
    let mut lanes = T::Lanes::<S>::splat(simd, filler);
    // In parts of known lengths: a copy of any length is a call of the C library.
    let (mut at, mut part) = (0, T::Lanes::<S>::LEN);
    while part > 0 {
        if numbers.len() & part != 0 {
            lanes.as_mut_slice()[at..at + part].copy_from_slice(&numbers[at..at + part]);
            at += part;
        }
        part /= 2;
    }
    lanes
}

/// How many lanes there are for numbers of this type.
#[inline(always)]
pub(crate) fn width<S: Simd, T: Float>(_: S, _: T) -> usize {
    T::Lanes::<S>::LEN
}

/// 0 in all lanes.
#[inline(always)]
pub(crate) fn zero<S: Simd, T: Float>(simd: S, _: T) -> T::Lanes<S> {
    T::Lanes::<S>::splat(simd, T::zero())
}

/// The sum of all lanes, halves onto halves: in one order on every machine.
#[inline(always)]
pub(crate) fn total<S: Simd, V: SimdBase<S, Element: Float>>(lanes: V) -> f64 {
    let mut wide = [0.0; 16];
    wide.iter_mut().zip(lanes.as_slice()).for_each(|(wide, lane)| *wide = lane.wide());
    let mut half = V::LEN / 2;
    while half > 0 {
        for lane in 0..half {
            wide[lane] += wide[lane + half];
        }
        half /= 2;
    }
    wide[0]
}
