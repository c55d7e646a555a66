//! Sums, means and variances.

use std::iter::StepBy;
use std::ops::Range;

use ndarray::IxDyn;

use crate::engine::autograd::{Value, record};
use crate::engine::{Tensor, shape};
use crate::machine::spread::Spread;
use crate::machine::{Float, sums};

impl<T: Float> Tensor<T> {
    /// The sum of all numbers, a scalar (shape `[]`). Gradient: `dy` for each number.
    ///
    /// Accurate to the last digits for ten million `f32`, and even if partial sums overflow the
    /// type.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![[1.0, 2.0], [3.0, 4.0]]).sum().item(), 10.0);
    /// ```
    pub fn sum(&self) -> Self {
        total(self, 1.0)
    }

    /// The mean of all numbers, a scalar (shape `[]`); NaN for an empty tensor.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![[1.0, 2.0], [3.0, 4.0]]).mean().item(), 2.5);
    /// ```
    pub fn mean(&self) -> Self {
        total(self, self.value.len() as f64)
    }

    /// The sum along one axis. The axis stays with length 1, so that the result broadcasts against
    /// the input. Negative axes count from the end.
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
    #[track_caller]
    pub fn sum_axis(&self, axis: isize) -> Self {
        along(self, shape::axis("sum_axis", axis, self.shape()), 1.0)
    }

    /// The mean along one axis. The axis stays with length 1. Negative axes count from the end.
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
    #[track_caller]
    pub fn mean_axis(&self, axis: isize) -> Self {
        let axis = shape::axis("mean_axis", axis, self.shape());
        along(self, axis, self.shape()[axis] as f64)
    }

    /// The biased variance along one axis, the mean of `(x - mean)²`; the axis stays with length 1.
    /// Negative axes count from the end. Gradient: `dy · 2/n · (x - mean)`.
    ///
    /// Accurate for numbers of any mean and any size, as long as the result fits the type; exactly
    /// 0 for equal numbers; NaN along an axis of length 0.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let x = Tensor::new(array![[1.0, 2.0, 3.0, 4.0]]);
    /// assert_eq!(x.var_axis(-1), Tensor::new(array![[1.25]])); // (2.25 + 0.25 + 0.25 + 2.25) / 4
    /// ```
    ///
    /// # Panics
    /// If there is no such axis.
    ///
    /// *PyTorch*: `x.var(axis, correction=0, keepdim=True)`; its default, `correction=1`, divides by
    /// n - 1.
    #[track_caller]
    pub fn var_axis(&self, axis: isize) -> Self {
        let axis = shape::axis("var_axis", axis, self.shape());
        let split = AxisSplit::of(self.shape(), axis);
        let spreads: Vec<Option<Spread>> =
            split.each().map(|places| split.spread(self.as_slice(), places)).collect();
        let var = |spread: &Option<Spread>| T::of(spread.map_or(f64::NAN, |spread| spread.var()));
        let y: Vec<T> = spreads.iter().map(var).collect();
        let mut summed = self.shape().to_vec();
        summed[axis] = 1;
        let x = self.value.clone();
        record(Value::new(IxDyn(&summed), y), [self], move |dy, _| {
            let mut dx = Value::full(x.raw_dim(), T::zero());
            let numbers = dx.as_mut_slice();
            for ((places, spread), dy) in split.each().zip(&spreads).zip(dy.as_slice()) {
                let Some(spread) = spread else { continue };
                let slope = 2.0 * dy.wide() / split.n as f64;
                for at in places {
                    let distance = spread.distance(x.as_slice()[at].wide());
                    numbers[at] = T::of(slope * distance / spread.scale);
                }
            }
            [Some(dx)]
        })
    }
}

/// The sum of all numbers, divided by `divisor`.
fn total<T: Float>(x: &Tensor<T>, divisor: f64) -> Tensor<T> {
    let y = sums::sum_axis(x.as_slice(), [1, x.value.len(), 1], divisor);
    let shape = x.value.raw_dim();
    record(Value::new(IxDyn(&[]), y), [x], move |dy, _| {
        [Some(Value::full(shape.clone(), T::of(dy.as_slice()[0].wide() / divisor)))]
    })
}

/// The sums along one axis, divided by `divisor`.
fn along<T: Float>(x: &Tensor<T>, axis: usize, divisor: f64) -> Tensor<T> {
    let AxisSplit { outer, n, inner } = AxisSplit::of(x.shape(), axis);
    let y = sums::sum_axis(x.as_slice(), [outer, n, inner], divisor);
    let mut summed = x.shape().to_vec();
    summed[axis] = 1;
    let shape = x.value.raw_dim();
    record(Value::new(IxDyn(&summed), y), [x], move |dy, _| {
        let dy = dy.map(|d| T::of(d.wide() / divisor));
        [Some(Value::copy_of(&dy.view().broadcast(shape.clone()).expect("the axis has length 1")))]
    })
}

/// An array as `[outer, n, inner]`. A lane is the `n` numbers along the middle axis.
#[derive(Clone, Copy)]
struct AxisSplit {
    outer: usize,
    n: usize,
    inner: usize,
}

impl AxisSplit {
    fn of(lengths: &[usize], axis: usize) -> Self {
        let [outer, inner] =
            [&lengths[..axis], &lengths[axis + 1..]].map(|axes| axes.iter().product());
        Self { outer, n: lengths[axis], inner }
    }

    /// The places of the numbers of each lane.
    fn each(self) -> impl Iterator<Item = StepBy<Range<usize>>> {
        let Self { outer, n, inner } = self;
        let firsts = (0..outer).flat_map(move |o| (0..inner).map(move |i| o * n * inner + i));
        firsts.map(move |first| (first..first + n * inner).step_by(inner))
    }

    /// Mean and variance of one lane; `None` for an empty lane.
    fn spread<T: Float>(self, x: &[T], places: StepBy<Range<usize>>) -> Option<Spread> {
        (self.n > 0).then(|| Spread::of(places.map(|at| x[at].wide()), 0.0, true))
    }
}
