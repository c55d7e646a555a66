//! Stretching an array to a larger shape. Page: `book/src/tensor.md`.

use ndarray::{Axis, CowArray};

use crate::autograd::{Value, record};
use crate::{Float, Tensor, shape};

impl<T: Float> Tensor<T> {
    /// This tensor repeated until it has the given shape, by NumPy's rules: aligned at the last
    /// axis, axes of length 1 stretch, missing leading axes are added.
    ///
    /// Its gradient is the sum over the stretched axes, since each number was used once in every
    /// copy.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// use ndarray::array;
    ///
    /// let bias = Tensor::parameter(array![1.0, 2.0]);
    /// let rows = bias.broadcast_to(&[3, 2]);
    /// assert_eq!(rows, Tensor::new(array![[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]));
    /// assert_eq!(rows.sum().backward().get(&bias).unwrap(), &Tensor::new(array![3.0, 3.0]));
    /// ```
    ///
    /// # Panics
    /// If the shape does not stretch to the other, or the other has more values than memory has
    /// addresses.
    ///
    /// *PyTorch*: `x.expand(shape)`.
    #[must_use]
    #[track_caller]
    pub fn broadcast_to(&self, shape: &[usize]) -> Self {
        shape::broadcast_to(self.shape(), shape);
        shape::addressable::<T>("broadcast_to", shape);
        if self.shape() == shape {
            return self.clone();
        }
        let y = Value::copy_of(&self.value().broadcast(shape).expect("checked above"));
        let own = self.shape().to_vec();
        record(y, [self], move |dy, _| [Some(sum_to(dy, &own))])
    }
}

/// Sums `dy` down to `shape`, from which it was stretched.
fn sum_to<T: Float>(dy: &Value<T>, shape: &[usize]) -> Value<T> {
    let mut dx = CowArray::from(dy.view());
    for _ in 0..dy.shape().len() - shape.len() {
        dx = dx.sum_axis(Axis(0)).into();
    }
    for (axis, &length) in shape.iter().enumerate() {
        if length == 1 && dx.shape()[axis] != 1 {
            dx = dx.sum_axis(Axis(axis)).insert_axis(Axis(axis)).into();
        }
    }
    dx.into_owned().into()
}
