//! The two element types a [`Tensor`](crate::Tensor) can hold. Page: `book/src/tensor.md`.

use std::fmt::{Debug, Display, LowerExp};
use std::iter::Sum;

use ndarray::{LinalgScalar, ScalarOperand};
use num_traits::NumAssign;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// An element type: `f32` or `f64`, and no other (the trait is sealed).
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
    /// The nearest value of this type to `x`.
    fn of(x: f64) -> Self;

    /// This value as `f64`, exactly.
    fn wide(self) -> f64;
}

impl Float for f64 {
    fn of(x: f64) -> Self {
        x
    }

    fn wide(self) -> f64 {
        self
    }
}

impl Float for f32 {
    // Rounding to the nearest f32 is what `of` promises.
    #[expect(clippy::cast_possible_truncation)]
    fn of(x: f64) -> Self {
        x as f32
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }
}
