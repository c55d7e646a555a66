//! The same numbers in another shape, or with axes exchanged.

use crate::engine::autograd::{Value, record};
use crate::engine::{Tensor, shape};
use crate::machine::Float;

impl<T: Float> Tensor<T> {
    /// The same numbers, in the same row-major order, in another shape. Gradient: `dy` in the old
    /// shape.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let x = Tensor::new(array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    /// assert_eq!(x.reshape(&[3, 2]), Tensor::new(array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]));
    /// ```
    ///
    /// # Panics
    /// If the new shape holds another number of values, or the product of its lengths, those of 0
    /// left out, is above `isize::MAX`.
    #[track_caller]
    pub fn reshape(&self, shape: &[usize]) -> Self {
        shape::reshape(self.shape(), shape);
        if self.shape() == shape {
            return self.clone();
        }
        let y = self.value.reshaped(shape);
        let own = self.shape().to_vec();
        record(y, [self], move |dy, _| [Some(dy.reshaped(&own))])
    }

    /// Rows and columns exchanged: the last two axes swapped. Gradient: `dy` with the two axes
    /// swapped back.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let x = Tensor::new(array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    /// assert_eq!(x.transpose(), Tensor::new(array![[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]));
    /// ```
    ///
    /// # Panics
    /// With fewer than two axes.
    ///
    /// *PyTorch*: `x.mT`.
    #[track_caller]
    pub fn transpose(&self) -> Self {
        let rows = shape::axis("transpose", -2, self.shape());
        swapped(self, rows, rows + 1)
    }

    /// Short for [`transpose`](Self::transpose), as in `ndarray`.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let (x, w) = (Tensor::new(array![[1.0, 2.0]]), Tensor::new(array![[3.0, 4.0]]));
    /// assert_eq!(x.matmul(&w.t()).item(), 11.0);
    /// ```
    ///
    /// # Panics
    /// With fewer than two axes.
    ///
    /// *PyTorch*: `x.mT`; `x.t()` and `x.T` for a matrix.
    #[track_caller]
    pub fn t(&self) -> Self {
        let rows = shape::axis("t", -2, self.shape());
        swapped(self, rows, rows + 1)
    }

    /// Two axes exchanged; negative axes count from the end. Gradient: `dy` with the two axes
    /// swapped back.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::Array;
    /// let x = Tensor::new(Array::<f64, _>::zeros((2, 3, 5)));
    /// assert_eq!(x.swap_axes(0, -1).shape(), [5, 3, 2]);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis.
    ///
    /// *PyTorch*: `x.transpose(a, b)`.
    #[track_caller]
    pub fn swap_axes(&self, a: isize, b: isize) -> Self {
        let a = shape::axis("swap_axes", a, self.shape());
        let b = shape::axis("swap_axes", b, self.shape());
        swapped(self, a, b)
    }
}

fn swapped<T: Float>(x: &Tensor<T>, a: usize, b: usize) -> Tensor<T> {
    let swap = move |value: &Value<T>| {
        let mut view = value.view();
        view.swap_axes(a, b);
        Value::copy_of(&view)
    };
    record(swap(&x.value), [x], move |dy, _| [Some(swap(dy))])
}
