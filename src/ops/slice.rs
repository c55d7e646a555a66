//! Parts of a tensor, and tensors joined.

use std::ops::Range;

use ndarray::{Axis, Slice, concatenate};

use crate::engine::autograd::{Value, record};
use crate::engine::{Tensor, shape};
use crate::machine::Float;

impl<T: Float> Tensor<T> {
    /// The positions `range` along one axis; negative axes count from the end. Gradient: `dy` at
    /// these positions, 0 at the others.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let x = Tensor::new(array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    /// assert_eq!(x.slice_axis(-1, 1..3), Tensor::new(array![[2.0, 3.0], [5.0, 6.0]]));
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or the range runs backwards or past its end.
    ///
    /// *PyTorch*: `x.narrow(axis, start, length)`; `x[:, 1:3]`, which shortens a range that is too
    /// long without an error.
    #[track_caller]
    pub fn slice_axis(&self, axis: isize, range: Range<usize>) -> Self {
        let axis = shape::axis("slice_axis", axis, self.shape());
        shape::slice(axis, &range, self.shape());
        let (axis, slice) = (Axis(axis), Slice::from(range));
        let y = Value::copy_of(&self.value().slice_axis(axis, slice));
        let shape = self.value.raw_dim();
        record(y, [self], move |dy, _| {
            let mut dx = Value::full(shape.clone(), T::zero());
            dx.view_mut().slice_axis_mut(axis, slice).assign(&dy.view());
            [Some(dx)]
        })
    }

    /// The tensors joined along one axis; negative axes count from the end. Gradient: for each
    /// tensor its part of `dy`.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let (a, b) = (Tensor::new(array![[1.0], [2.0]]), Tensor::new(array![[3.0, 4.0], [5.0, 6.0]]));
    /// assert_eq!(Tensor::concat(&[&a, &b], -1), Tensor::new(array![[1.0, 3.0, 4.0], [2.0, 5.0, 6.0]]));
    /// ```
    ///
    /// # Panics
    /// Without any tensor, if there is no such axis, if the shapes differ in another axis, or if the
    /// result has more values than memory has addresses.
    ///
    /// *PyTorch*: `torch.cat(tensors, axis)`.
    #[track_caller]
    pub fn concat(tensors: &[&Self], axis: isize) -> Self {
        let Some((first, others)) = tensors.split_first() else {
            panic!("concat: expected at least one tensor, got none")
        };
        let axis = shape::axis("concat", axis, first.shape());
        let mut shape = first.shape().to_vec();
        for other in others {
            shape::concat(axis, first.shape(), other.shape());
            shape[axis] = shape[axis].saturating_add(other.shape()[axis]);
        }
        shape::addressable::<T>("concat", &shape);
        join(tensors, Axis(axis))
    }
}

/// Joins by halves, so that each number is copied about log₂ n times, not n times.
fn join<T: Float>(tensors: &[&Tensor<T>], axis: Axis) -> Tensor<T> {
    if let [one] = tensors {
        return (*one).clone();
    }
    let (left, right) = tensors.split_at(tensors.len() / 2);
    let (a, b) = (join(left, axis), join(right, axis));
    let y = concatenate(axis, &[a.value(), b.value()]).expect("checked to fit");
    let boundary = a.shape()[axis.0];
    record(y, [&a, &b], move |dy, [da, db]| {
        let part = |slice| Value::copy_of(&dy.view().slice_axis(axis, slice));
        [da.then(|| part(Slice::from(..boundary))), db.then(|| part(Slice::from(boundary..)))]
    })
}
