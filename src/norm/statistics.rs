//! Mean and variance of a row, a channel or a group. Page: `book/src/speed.md`.
//!
//! One pass finds both: numbers are measured from an `origin` near their mean, so that those far from zero keep
//! their digits. Where one pass in the element type can't be trusted, `machine/spread.rs` takes several in `f64`.

use crate::machine::Float;
use crate::machine::lanes::Number;
use crate::machine::spread::Spread;

/// Mean and biased variance in `f64`; the mean is `origin + shift`.
#[derive(Clone, Copy, Default)]
pub(super) struct MeanVar {
    pub origin: f64,
    pub shift: f64,
    pub var: f64,
}

impl From<Spread> for MeanVar {
    fn from(spread: Spread) -> Self {
        let origin = spread.mean();
        Self { origin, shift: -spread.distance(origin) / spread.scale, var: spread.var() }
    }
}

impl MeanVar {
    pub fn mean(&self) -> f64 {
        self.origin + self.shift
    }

    /// In the element type, with the origin at the mean, so that the shift is no more than a rounding.
    pub fn rounded<T: Float>(self, eps: f64) -> Statistics<T> {
        let origin = T::of(self.mean());
        let shift = T::of((self.origin - origin.wide()) + self.shift);
        Statistics { origin, shift, rstd: reciprocal_root(self.var, eps) }
    }
}

/// What the forward pass keeps for the backward pass, in place of a copy of x̂:
/// x̂ = ((x - origin) - shift)·rstd.
#[derive(Clone, Copy, Default)]
pub(super) struct Statistics<T> {
    /// An estimate of the mean; 0 for RMSNorm.
    pub origin: T,
    /// The mean minus the origin.
    pub shift: T,
    /// 1/√(var + eps), the reciprocal standard deviation; for RMSNorm 1/√(mean square + eps).
    pub rstd: T,
}

impl<T: Float> Statistics<T> {
    /// x̂ of one number, or of as many as there are lanes.
    #[inline(always)]
    pub fn x_hat<X: Number<T>, const CENTRED: bool>(self, x: X) -> X {
        if CENTRED { ((x - self.origin) - self.shift) * self.rstd } else { x * self.rstd }
    }

    /// Whether the fast loops can use these. (They notice by themselves if a distance overflows.)
    #[inline(always)]
    pub fn fit(self) -> bool {
        !self.rstd.is_nan()
    }
}

/// Whether squares in the element type gave a variance to rely on. They neither overflowed (then `var` is
/// infinite or NaN) nor lost digits for being tiny, and the origin was so near to the mean that the
/// subtraction cost two bits at most.
#[inline(always)]
pub(super) fn trusted<T: Float>(var: f64, mean_square: f64) -> bool {
    let exact = (T::min_positive_value() / T::epsilon()).wide();
    var > 0.25 * mean_square && mean_square > exact
}

/// 1/√(mean square + eps). NaN where that is outside of the normal numbers of the type, or the sum outside
/// of the range in which an `f64` holds a square with all its digits: below 1e-292. (The squares of any `f32`
/// are within that range.)
#[inline(always)]
pub(super) fn reciprocal_root<T: Float>(mean_square: f64, eps: f64) -> T {
    let square = mean_square + eps;
    let exact = f64::MIN_POSITIVE / f64::EPSILON;
    let least = exact.max(T::max_value().wide().powi(-2));
    let most = T::min_positive_value().wide().powi(-2); // infinite for f64
    let root = T::of(1.0 / square.sqrt());
    if (square > least) & (square < most) { root } else { T::nan() }
}
