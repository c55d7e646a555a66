//! Sums over one row: mean and variance, and what the backward pass needs. Page: `book/src/layer_norm.md`.
//!
//! Three rules keep them both fast and right:
//!
//! * **Lanes.** A sum over a row is kept as 16 partial sums for `f32` and 8 for `f64`: see `lanes.rs`.
//! * **Measured from nearby.** The numbers of a row are taken relative to an `origin`, the mean of
//!   the first few: rows far from zero keep their digits, and one pass over the row finds both mean
//!   and variance. Where that pass cannot be trusted, `spread.rs` takes several in `f64`.
//! * **Blocks.** Lanes are added up in `f64` after every 1024 numbers, so that the sum of ten million
//!   is as good as that of a thousand.

use std::ops::{Mul, Sub};

use fearless_simd::{Simd, SimdBase};

use crate::machine::Float;
use crate::machine::lanes::{Along, BLOCK, Columns, load, load_or, total};
use crate::machine::spread::Spread;

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
    /// x̂ of one number, or of as many as there are lanes.
    #[inline(always)]
    pub(super) fn x_hat<X>(self, x: X) -> X
    where
        X: Sub<T, Output = X> + Mul<T, Output = X>,
    {
        ((x - self.origin) - self.shift) * self.rstd
    }

    /// In the element type, with the origin at the mean, so that what it misses is no more than a
    /// rounding. `rstd` is NaN if it does not fit the type: such a row is for `far.rs`. (So is one of
    /// which a distance from the origin overflows. The sums of the backward pass notice.)
    pub(super) fn from_spread(spread: &Spread, eps: f64) -> Self {
        let origin = T::of(spread.mean());
        let shift = T::of(-spread.distance(origin.wide()) / spread.scale);
        Self { origin, shift, rstd: reciprocal_root(spread.var(), eps) }
    }

    /// Whether the fast loops can work with these.
    #[inline(always)]
    pub(super) fn fit(self) -> bool {
        !self.rstd.is_nan()
    }
}

/// 1/√(mean square + eps), or NaN where that is no normal number of the type, or the square none that an
/// `f64` holds to all its digits.
///
/// The squares of any `f32` fit into an `f64`. Those of an `f64` above 1e154 do not, and those of one
/// below 1e-146 lose digits.
#[inline(always)]
pub(super) fn reciprocal_root<T: Float>(mean_square: f64, eps: f64) -> T {
    let square = mean_square + eps;
    let exact = f64::MIN_POSITIVE / f64::EPSILON; // 1e-292: above it, squares keep their digits
    let least = exact.max(T::max_value().wide().powi(-2));
    let most = T::min_positive_value().wide().powi(-2); // infinite for f64
    let root = T::of(1.0 / square.sqrt());
    if (square > least) & (square < most) { root } else { T::nan() }
}

/// Columns by which the sums are ahead of what they take along. So much of it is left to do when they are
/// complete, and keeps the processor busy while lanes are added up, a root taken and a division made.
const LEAD: usize = 128;

// ANCHOR: statistics
/// The statistics of one row in one pass: mean and 1/√(var + eps), with the biased
/// variance. `rstd` is NaN if the numbers ask for more care.
/// `along` is work on as many columns of another row, taken along as far as it goes.
#[inline(always)]
pub(super) fn statistics<S: Simd, T: Float, const CENTRED: bool>(
    simd: S,
    row: &[T],
    eps: f64,
    along: &mut Along<impl Columns<S, T>>,
) -> RowStatistics<T> {
    if row.len() < 2 * T::Lanes::<S>::LEN {
        one_pass::<S, T, T::Block<S>, CENTRED>(simd, row, eps, along)
    } else {
        one_pass::<S, T, T::Lanes<S>, CENTRED>(simd, row, eps, along)
    }
}

#[inline(always)]
fn one_pass<S: Simd, T: Float, V: SimdBase<S, Element = T>, const CENTRED: bool>(
    simd: S,
    row: &[T],
    eps: f64,
    along: &mut Along<impl Columns<S, T>>,
) -> RowStatistics<T> {
    let share = 1.0 / row.len() as f64; // the same for all rows: divided once
    let origin = if CENTRED {
        let first = &row[..row.len().min(V::LEN)];
        T::of(total(load::<_, V>(simd, first)) * (1.0 / first.len() as f64))
    } else {
        T::zero()
    };
    let (sum, squares) = sums::<_, V, CENTRED>(simd, row, origin, along);
    let shift = if CENTRED { sum * share } else { 0.0 };
    let mean_square = squares * share;
    let var = mean_square - shift * shift;
    let rstd = if trusted::<T>(var, mean_square) { reciprocal_root(var, eps) } else { T::nan() };
    RowStatistics { origin, shift: T::of(shift), rstd }
}
// ANCHOR_END: statistics

/// Whether squares in the element type gave a variance to rely on: they neither overflowed (then `var`
/// is infinite or NaN) nor lost digits for being tiny, and the origin was so near that the subtraction
/// cost two bits at most.
#[inline(always)]
pub(super) fn trusted<T: Float>(var: f64, mean_square: f64) -> bool {
    let exact = (T::min_positive_value() / T::epsilon()).wide();
    var > 0.25 * mean_square && mean_square > exact
}

/// Σ (x - origin) and Σ (x - origin)²; without `CENTRED`, the origin is 0 and the first sum too.
/// `along` runs in the same loop, [`LEAD`] columns behind, and is left to be finished.
#[inline(always)]
pub(super) fn sums<S: Simd, V: SimdBase<S, Element: Float>, const CENTRED: bool>(
    simd: S,
    row: &[V::Element],
    origin: V::Element,
    along: &mut Along<impl Columns<S, V::Element>>,
) -> (f64, f64) {
    let zero = V::splat(simd, V::Element::default());
    // Columns to add up before `along` sets in.
    let mut lead = if along.is_done() { row.len() } else { LEAD };
    let (mut sum, mut squares) = (0.0, 0.0);
    for block in row.chunks(BLOCK) {
        let mut lanes = (zero, zero);
        let (whole, rest) = block.split_at(block.len() - block.len() % V::LEN);
        let (alone, together) = whole.split_at(lead.min(whole.len()));
        lead -= alone.len();
        for x in alone.chunks_exact(V::LEN) {
            lanes = add_deviation::<_, V, CENTRED>(lanes, origin, V::from_slice(simd, x));
        }
        for x in together.chunks_exact(V::LEN) {
            lanes = add_deviation::<_, V, CENTRED>(lanes, origin, V::from_slice(simd, x));
            along.next::<S, V>(simd);
        }
        if !rest.is_empty() {
            lanes = add_deviation::<_, V, CENTRED>(lanes, origin, load_or(simd, rest, origin));
        }
        if CENTRED {
            sum += total(lanes.0);
        }
        squares += total(lanes.1);
    }
    (sum, squares)
}

/// Adds x - origin and its square. A function and not a closure, which may stay outside of the copy of
/// this loop for the wide vectors, and then costs a call for each addition.
#[inline(always)]
fn add_deviation<S: Simd, V: SimdBase<S, Element: Float>, const CENTRED: bool>(
    (sum, squares): (V, V),
    origin: V::Element,
    x: V,
) -> (V, V) {
    let d = if CENTRED { x - origin } else { x };
    (if CENTRED { sum + d } else { sum }, squares + d * d)
}

/// Σ g and Σ g·x̂ over one row, with g = γ·dy.
#[inline(always)]
pub(super) fn sums_of_g<S: Simd, T: Float>(
    simd: S,
    dy: &[T],
    x: &[T],
    gamma: &[T],
    row: RowStatistics<T>,
) -> (f64, f64) {
    if dy.len() < 2 * T::Lanes::<S>::LEN {
        sums_of_g_in::<S, T::Block<S>>(simd, dy, x, gamma, row)
    } else {
        sums_of_g_in::<S, T::Lanes<S>>(simd, dy, x, gamma, row)
    }
}

#[inline(always)]
fn sums_of_g_in<S: Simd, V: SimdBase<S, Element: Float>>(
    simd: S,
    dy: &[V::Element],
    x: &[V::Element],
    gamma: &[V::Element],
    row: RowStatistics<V::Element>,
) -> (f64, f64) {
    let (x, gamma) = (&x[..dy.len()], &gamma[..dy.len()]);
    let zero = V::splat(simd, V::Element::default());
    let (mut sum, mut sum_x_hat) = (0.0, 0.0);
    for ((dy, x), gamma) in dy.chunks(BLOCK).zip(x.chunks(BLOCK)).zip(gamma.chunks(BLOCK)) {
        let mut sums = (zero, zero);
        let whole = dy.len() - dy.len() % V::LEN;
        for start in (0..whole).step_by(V::LEN) {
            let at = start..start + V::LEN;
            add(simd, &mut sums, &dy[at.clone()], &x[at.clone()], &gamma[at], row);
        }
        if whole < dy.len() {
            add(simd, &mut sums, &dy[whole..], &x[whole..], &gamma[whole..], row);
        }
        sum += total(sums.0);
        sum_x_hat += total(sums.1);
    }
    (sum, sum_x_hat)
}

/// Adds g and g·x̂ of some neighbouring numbers of a row to the lanes they fall into.
#[inline(always)]
fn add<S: Simd, V: SimdBase<S, Element: Float>>(
    simd: S,
    sums: &mut (V, V),
    dy: &[V::Element],
    x: &[V::Element],
    gamma: &[V::Element],
    row: RowStatistics<V::Element>,
) {
    let (dy, gamma): (V, V) = (load(simd, dy), load(simd, gamma));
    // With the origin, x̂ of an empty lane stays small; with 0 it may be infinite, and g·x̂ is 0·∞ then.
    let x: V = load_or(simd, x, row.origin);
    let g = gamma * dy;
    *sums = (sums.0 + g, sums.1 + g * row.x_hat(x));
}
