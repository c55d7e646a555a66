//! How a [`Tensor`] is printed.

use std::fmt;

use crate::engine::Tensor;
use crate::machine::Float;

/// Up to this many numbers, `{:?}` prints all.
const FEW: usize = 64;
/// Of more numbers, `{:?}` prints this many at each end.
const ENDS: usize = 16;

/// The numbers in nested brackets, one pair for each axis; precision works (`{:.3}`). From 500
/// numbers on, `{}` leaves out the middle of each axis, as `ndarray` does; `{:#}` prints all.
///
/// ```
/// # use evenkeel::Tensor; use ndarray::array;
/// assert_eq!(format!("{:.1}", Tensor::new(array![[1.0, 2.0], [3.0, 4.0]])), "[[1.0, 2.0],\n [3.0, 4.0]]");
/// ```
impl<T: Float> fmt::Display for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value(), f)
    }
}

/// The kind (constant, parameter or result), the shape, and the numbers in row-major order;
/// precision works (`{:.3?}`). Of more than 64 numbers, `{:?}` prints the first and the last 16, so
/// that a failing `assert_eq!` can be read; `{:#?}` prints all.
///
/// ```
/// # use evenkeel::Tensor; use ndarray::{Array, array};
/// let w = Tensor::parameter(array![[1.0, 2.5]]);
/// assert_eq!(format!("{w:?}"), "Tensor(parameter, shape [1, 2], [1.0, 2.5])");
/// let x = Tensor::new(Array::from_iter((0..1000).map(f64::from)));
/// assert!(format!("{x:.0?}").contains("14, 15, … 968 more …, 984, 985"));
/// assert!(format!("{x:#?}").contains("499.0, 500.0, 501.0"));
/// ```
impl<T: Float> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.node {
            None => "constant",
            Some(node) if node.is_leaf() => "parameter",
            Some(_) => "result",
        };
        write!(f, "Tensor({kind}, shape {:?}, [", self.shape())?;
        let numbers = self.as_slice();
        if numbers.len() <= FEW || f.alternate() {
            list(numbers, f)?;
        } else {
            list(&numbers[..ENDS], f)?;
            write!(f, ", … {} more …, ", numbers.len() - 2 * ENDS)?;
            list(&numbers[numbers.len() - ENDS..], f)?;
        }
        f.write_str("])")
    }
}

/// One number after the other, each with the precision asked for.
fn list<T: Float>(numbers: &[T], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, number) in numbers.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        fmt::Debug::fmt(number, f)?;
    }
    Ok(())
}
