//! The same numbers in another arrangement. Page: `book/src/tensor.md`.

use ndarray::IxDyn;

use crate::autograd::{Value, record};
use crate::tensor::standard;
use crate::{Float, Tensor, shape};

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
    /// If the new shape holds another number of values.
    #[must_use]
    #[track_caller]
    pub fn reshape(&self, shape: &[usize]) -> Self {
        shape::reshape(self.shape(), shape);
        let y = reshaped(&self.value, shape);
        let own = self.shape().to_vec();
        record(y, [self], move |dy, _| [Some(reshaped(dy, &own))])
    }

    /// Rows and columns exchanged: the last two axes swapped. Gradient: `dy` with the same two
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
    #[must_use]
    #[track_caller]
    pub fn transpose(&self) -> Self {
        let rows = shape::axis("transpose", -2, self.shape());
        let swapped = move |value: &Value<T>| {
            let mut view = value.view();
            view.swap_axes(rows, rows + 1);
            standard(view.to_owned())
        };
        record(swapped(&self.value), [self], move |dy, _| [Some(swapped(dy))])
    }
}

fn reshaped<T: Float>(value: &Value<T>, shape: &[usize]) -> Value<T> {
    value.clone().into_shape_with_order(IxDyn(shape)).expect("as many values, in standard layout")
}
