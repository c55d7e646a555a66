//! Numbers side by side in the vector registers of the processor. Page: `book/src/speed.md`.
//!
//! What sums up runs through 16 partial sums for `f32` and 8 for `f64`, so that a processor adds as
//! many numbers at once as it can. How many there are does not depend on the machine, so the result
//! does not either, to the last bit.

use std::ops::Range;

use fearless_simd::{Simd, SimdBase};

use crate::machine::Float;

/// Numbers that the lanes take in before they are added up in `f64`, so that the sum of ten million is as
/// good as that of a thousand.
pub(crate) const BLOCK: usize = 1024;

// ANCHOR: each_column
/// The body of a loop over columns that lie side by side, for as many at once as `V` has lanes.
pub(crate) trait Columns<S: Simd, T: Float> {
    /// Works on the columns `at`: `V::LEN` of them, or fewer at the end of a row.
    fn run<V: SimdBase<S, Element = T>>(&mut self, simd: S, at: Range<usize>);
}

/// No work.
impl<S: Simd, T: Float> Columns<S, T> for () {
    #[inline(always)]
    fn run<V: SimdBase<S, Element = T>>(&mut self, _: S, _: Range<usize>) {}
}

/// Runs `body` on all these columns: the widest vectors first, then narrower ones for the rest.
#[inline(always)]
pub(crate) fn each_column<S: Simd, T: Float>(
    simd: S,
    columns: Range<usize>,
    body: &mut impl Columns<S, T>,
) {
    let (wide, narrow) = (T::Lanes::<S>::LEN, T::Block::<S>::LEN);
    let Range { start: mut at, end } = columns;
    // Four at a time: the loop itself costs less.
    while at + 4 * wide <= end {
        for start in [at, at + wide, at + 2 * wide, at + 3 * wide] {
            body.run::<T::Lanes<S>>(simd, start..start + wide);
        }
        at += 4 * wide;
    }
    while at + wide <= end {
        body.run::<T::Lanes<S>>(simd, at..at + wide);
        at += wide;
    }
    while at + narrow <= end {
        body.run::<T::Block<S>>(simd, at..at + narrow);
        at += narrow;
    }
    if at < end {
        body.run::<T::Block<S>>(simd, at..end);
    }
}
// ANCHOR_END: each_column

/// A loop over columns that another loop takes along, a few columns at a time.
pub(crate) struct Along<B> {
    body: B,
    columns: Range<usize>,
}

impl<B> Along<B> {
    /// All these columns are still to do.
    pub(crate) fn new(body: B, columns: Range<usize>) -> Self {
        Self { body, columns }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.columns.is_empty()
    }

    /// Works on the next `V::LEN` columns.
    #[inline(always)]
    pub(crate) fn next<S: Simd, V: SimdBase<S, Element: Float>>(&mut self, simd: S)
    where
        B: Columns<S, V::Element>,
    {
        let start = self.columns.start;
        self.columns.start += V::LEN;
        self.body.run::<V>(simd, start..self.columns.start);
    }

    /// Works on what is left.
    #[inline(always)]
    pub(crate) fn finish<S: Simd, T: Float>(&mut self, simd: S)
    where
        B: Columns<S, T>,
    {
        each_column(simd, self.columns.clone(), &mut self.body);
        self.columns.start = self.columns.end;
    }
}

/// As many numbers as there are lanes; if the slice is shorter, 0 in the others.
#[inline(always)]
pub(crate) fn load<S: Simd, V: SimdBase<S, Element: Float>>(simd: S, numbers: &[V::Element]) -> V {
    load_or(simd, numbers, V::Element::default())
}

/// As many numbers as there are lanes; if the slice is shorter, `filler` in the others.
#[inline(always)]
pub(crate) fn load_or<S: Simd, V: SimdBase<S, Element: Float>>(
    simd: S,
    numbers: &[V::Element],
    filler: V::Element,
) -> V {
    if numbers.len() == V::LEN {
        return V::from_slice(simd, numbers);
    }
    let mut lanes = V::splat(simd, filler);
    lanes.as_mut_slice()[..numbers.len()].copy_from_slice(numbers);
    lanes
}

/// Writes the lanes, or as many as the slice holds.
#[inline(always)]
pub(crate) fn store<S: Simd, V: SimdBase<S>>(lanes: V, numbers: &mut [V::Element]) {
    if numbers.len() == V::LEN {
        lanes.store_slice(numbers);
    } else {
        numbers.copy_from_slice(&lanes.as_slice()[..numbers.len()]);
    }
}

/// Adds the lanes to the numbers of a slice.
#[inline(always)]
pub(crate) fn add_to<S: Simd, V: SimdBase<S, Element: Float>>(
    lanes: V,
    simd: S,
    sums: &mut [V::Element],
) {
    store(load::<_, V>(simd, sums) + lanes, sums);
}

/// The sum of all lanes, in one order on every machine.
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
                *sum += T::Lanes::<S>::from_slice(simd, numbers);
            }
        }
        for rest in fours.remainder().chunks(lanes) {
            sums[0] += load_or::<_, T::Lanes<S>>(simd, rest, T::neg_zero());
        }
        sum += total((sums[0] + sums[1]) + (sums[2] + sums[3]));
    }
    sum
}
// ANCHOR_END: sum
