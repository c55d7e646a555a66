//! Sums and means. Page: `book/src/tensor.md`.

use fearless_simd::dispatch;
use ndarray::{Axis, arr0};

use crate::autograd::{Value, record};
use crate::{Float, Tensor, lanes, shape, threads, vectors};

impl<T: Float> Tensor<T> {
    /// The sum of all numbers, a scalar (shape `[]`). Gradient: `dy` for each.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![[1.0, 2.0], [3.0, 4.0]]).sum().item(), 10.0);
    /// ```
    #[must_use]
    pub fn sum(&self) -> Self {
        let numbers = self.as_slice();
        let pieces = numbers.chunks(threads::piece(numbers.len(), numbers.len()));
        let mut sums = vec![0.0; pieces.len()];
        threads::each(pieces.zip(&mut sums), |(piece, sum)| {
            *sum = dispatch!(vectors::level(), simd => lanes::sum(simd, piece));
        });
        let y = arr0(T::of(sums.into_iter().sum())).into_dyn();
        let shape = self.value.raw_dim();
        record(y, [self], move |dy, _| [Some(Value::full(shape.clone(), dy.as_slice()[0]))])
    }

    /// The mean of all numbers, a scalar (shape `[]`); NaN for an empty tensor.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![[1.0, 2.0], [3.0, 4.0]]).mean().item(), 2.5);
    /// ```
    #[must_use]
    pub fn mean(&self) -> Self {
        self.sum() / T::of(self.value.len() as f64)
    }

    /// The sum along one axis, which stays with length 1, so that the result broadcasts against
    /// what was summed. Negative axes count from the end.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let x = Tensor::new(array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    /// assert_eq!(x.sum_axis(-1), Tensor::new(array![[6.0], [15.0]]));
    /// assert_eq!(x.sum_axis(0), Tensor::new(array![[5.0, 7.0, 9.0]]));
    /// ```
    ///
    /// # Panics
    /// If there is no such axis.
    ///
    /// *PyTorch*: `x.sum(axis, keepdim=True)`.
    #[must_use]
    #[track_caller]
    pub fn sum_axis(&self, axis: isize) -> Self {
        let axis = Axis(shape::axis("sum_axis", axis, self.shape()));
        let y = self.value().sum_axis(axis).insert_axis(axis);
        let shape = self.value.raw_dim();
        record(y, [self], move |dy, _| {
            let dy = dy.view();
            [Some(Value::copy_of(&dy.broadcast(shape.clone()).expect("the axis has length 1")))]
        })
    }

    /// The mean along one axis, which stays with length 1. Negative axes count from the end.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let x = Tensor::new(array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    /// let centred = &x - x.mean_axis(-1);
    /// assert_eq!(centred, Tensor::new(array![[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]]));
    /// ```
    ///
    /// # Panics
    /// If there is no such axis.
    ///
    /// *PyTorch*: `x.mean(axis, keepdim=True)`.
    #[must_use]
    #[track_caller]
    pub fn mean_axis(&self, axis: isize) -> Self {
        let length = self.shape()[shape::axis("mean_axis", axis, self.shape())];
        self.sum_axis(axis) / T::of(length as f64)
    }
}
