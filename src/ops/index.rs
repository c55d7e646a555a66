//! The number at a position.

use std::ops::Index;

use crate::engine::{Tensor, shape};
use crate::machine::Float;

/// The number at a position, one index per axis: `x[[0, 1]]`, as in `ndarray`. No index counts from
/// the end; no gradient flows back.
///
/// ```
/// # use evenkeel::Tensor; use ndarray::array;
/// let x = Tensor::new(array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
/// assert_eq!(x[[1, 0]], 4.0);
/// assert_eq!(x.sum()[[]], 21.0);
/// ```
///
/// # Panics
/// If the tensor has another number of axes, or an axis has no such position.
///
/// *PyTorch*: `x[1, 0].item()`.
impl<T: Float, const N: usize> Index<[usize; N]> for Tensor<T> {
    type Output = T;

    #[track_caller]
    fn index(&self, position: [usize; N]) -> &T {
        &self[position.as_slice()]
    }
}

/// The number at a position of a vector: `x[2]`.
///
/// ```
/// # use evenkeel::Tensor; use ndarray::array;
/// assert_eq!(Tensor::new(array![1.0, 2.0, 3.0])[2], 3.0);
/// ```
///
/// # Panics
/// If the tensor has not one axis, or no such position.
///
/// *PyTorch*: `x[2].item()`.
impl<T: Float> Index<usize> for Tensor<T> {
    type Output = T;

    #[track_caller]
    fn index(&self, position: usize) -> &T {
        &self[[position].as_slice()]
    }
}

/// The number at a position, for a rank not known at compile time.
///
/// ```
/// # use evenkeel::Tensor; use ndarray::array;
/// let x = Tensor::new(array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
/// let corner: Vec<usize> = x.shape().iter().map(|length| length - 1).collect();
/// assert_eq!(x[corner.as_slice()], 6.0);
/// ```
///
/// # Panics
/// If the tensor has another number of axes, or an axis has no such position.
impl<T: Float> Index<&[usize]> for Tensor<T> {
    type Output = T;

    #[track_caller]
    fn index(&self, position: &[usize]) -> &T {
        &self.as_slice()[shape::position(position, self.shape())]
    }
}
