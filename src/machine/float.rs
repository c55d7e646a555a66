//! The two element types a [`Tensor`](crate::Tensor) can hold.

use std::fmt::{Debug, Display, LowerExp};
use std::iter::Sum;

use ndarray::{LinalgScalar, ScalarOperand};
use num_traits::NumAssign;

pub(crate) mod sealed {
    use fearless_simd::{Simd, SimdBase, SimdFloatElement, f32x16, f64x8};

    use crate::machine::buffer::Pooled;

    /// The part of `Float` that only this crate uses.
    pub trait Sealed: SimdFloatElement + Pooled {
        /// A vector of 16 `f32` or 8 `f64`, on every machine.
        type Lanes<S: Simd>: SimdBase<S, Element = Self>;
    }

    impl Sealed for f32 {
        type Lanes<S: Simd> = f32x16<S>;
    }

    impl Sealed for f64 {
        type Lanes<S: Simd> = f64x8<S>;
    }
}

/// An element type: `f32` or `f64` (the trait is sealed).
///
/// ```
/// use evenkeel::Float;
/// assert_eq!(f32::of(0.5), 0.5_f32);
/// assert_eq!(0.5_f32.wide(), 0.5_f64);
/// ```
pub trait Float:
    num_traits::Float
    + NumAssign
    + LinalgScalar
    + ScalarOperand
    + Sum
    + Debug
    + Display
    + LowerExp
    + Default
    + Send
    + Sync
    + sealed::Sealed
{
    /// The value of this type nearest to `x`.
    fn of(x: f64) -> Self;

    /// This value as `f64`, exactly.
    fn wide(self) -> f64;
}

impl Float for f64 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
}

impl Float for f32 {
    // `of` rounds to the nearest f32.
    #[expect(clippy::cast_possible_truncation)]
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
}
