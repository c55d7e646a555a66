//! The largest numbers and their places.

use ndarray::IxDyn;

use crate::engine::autograd::{Value, record};
use crate::engine::{Tensor, shape};
use crate::machine::Float;
use crate::machine::buffer::Buffer;

impl<T: Float> Tensor<T> {
    /// The largest number along one axis. The axis stays with length 1, so that the result
    /// broadcasts against the input. Negative axes count from the end.
    ///
    /// Gradient: `dy` for the largest number (the first, if several are largest), 0 for the other
    /// numbers. A NaN along the axis gives NaN, and the first NaN gets the gradient. 0 and -0 are
    /// equal.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let x = Tensor::parameter(array![[1.0, 5.0, 5.0], [4.0, 0.0, -1.0]]);
    /// let y = x.max_axis(-1);
    /// assert_eq!(y, Tensor::new(array![[5.0], [4.0]]));
    /// let dx = Tensor::new(array![[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]);
    /// assert_eq!(y.sum().backward().get(&x).unwrap(), &dx);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, or its length is 0.
    ///
    /// *PyTorch*: `x.max(axis, keepdim=True).values`, whose gradient goes to the returned index,
    /// the first of several; `x.amax(axis, keepdim=True)` has the same values and divides the
    /// gradient evenly among the largest numbers.
    #[track_caller]
    pub fn max_axis(&self, axis: isize) -> Self {
        let axis = shape::axis("max_axis", axis, self.shape());
        shape::some_along("max_axis", axis, self.shape());
        let places = first_largest(&self.value, axis);

        let numbers = self.as_slice();
        let mut y = Buffer::new(places.len());
        for (y, &place) in y.iter_mut().zip(&places) {
            *y = numbers[place];
        }
        let mut shape = self.shape().to_vec();
        shape[axis] = 1;

        let own = self.value.raw_dim();
        record(Value::new(IxDyn(&shape), y), [self], move |dy, _| {
            let mut dx = Value::full(own.clone(), T::zero());
            let numbers = dx.as_mut_slice();
            for (&place, &d) in places.iter().zip(dy.as_slice()) {
                numbers[place] = d;
            }
            [Some(dx)]
        })
    }

    /// For each row along the last axis, the index of its largest number (the first, if several are
    /// largest): the predicted class, if the rows are logits.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![[0.1, 0.7, 0.2], [3.0, 1.0, 3.0]]).argmax(), [1, 0]);
    /// ```
    ///
    /// # Panics
    /// On a scalar, on rows of length 0, and on NaN, which is neither largest nor smallest.
    ///
    /// *PyTorch*: `x.argmax(-1)`, which takes NaN for the largest.
    #[track_caller]
    pub fn argmax(&self) -> Vec<usize> {
        let last = shape::axis("argmax", -1, self.shape());
        let length = self.shape()[last];
        assert!(
            length > 0,
            "argmax: expected rows of at least one number, got shape {:?}",
            self.shape()
        );
        let mut indices = first_largest(&self.value, last);
        for (row, index) in indices.iter_mut().enumerate() {
            let number = self.as_slice()[*index];
            *index -= row * length;
            assert!(!number.is_nan(), "argmax: row {row} holds NaN at position {index}");
        }
        indices
    }
}

/// For each lane along an axis, the place of its first NaN, or else of its first largest number,
/// among all numbers in row-major order. The axis is not empty.
fn first_largest<T: Float>(value: &Value<T>, axis: usize) -> Vec<usize> {
    let numbers = value.as_slice();
    let length = value.shape()[axis];
    let stride: usize = value.shape()[axis + 1..].iter().product();
    let mut places = Vec::with_capacity(numbers.len() / length);
    // All lanes of a block are searched together, so that numbers are read in the order of memory.
    let mut start = 0;
    while start < numbers.len() {
        let lanes = places.len();
        places.extend(start..start + stride);
        for row in (start..start + length * stride).step_by(stride) {
            for (place, candidate) in places[lanes..].iter_mut().zip(row..) {
                let (largest, number) = (numbers[*place], numbers[candidate]);
                if number > largest || (number.is_nan() && !largest.is_nan()) {
                    *place = candidate;
                }
            }
        }
        start += length * stride;
    }
    places
}
