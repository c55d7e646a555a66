//! Stretching an array to a larger shape.

use ndarray::IxDyn;

use crate::engine::autograd::{Value, record};
use crate::engine::{Tensor, shape};
use crate::machine::{Float, sums};

impl<T: Float> Tensor<T> {
    /// This tensor repeated until it has the given shape, by NumPy's rules: aligned at the last
    /// axis, axes of length 1 stretch, missing leading axes are added.
    ///
    /// Gradient: the sum of `dy` over the stretched axes, because each number is used in every
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

/// Sums `dy` over the stretched axes, back to `shape`. Neighbouring stretched axes are summed
/// together, the last axes first.
fn sum_to<T: Float>(dy: &Value<T>, shape: &[usize]) -> Value<T> {
    let lengths = dy.shape();
    let missing = lengths.len() - shape.len();
    let stretched = |axis: usize| axis < missing || shape[axis - missing] != lengths[axis];
    let mut sums = dy.clone();
    let (mut end, mut inner) = (lengths.len(), 1); // axes left, and the length of those behind
    while end > 0 {
        let same = |axis: &usize| stretched(*axis) == stretched(end - 1);
        let start = (0..end).rev().take_while(same).last().expect("end - 1 at least");
        let n: usize = lengths[start..end].iter().product();
        if stretched(start) {
            let outer: usize = lengths[..start].iter().product();
            let y = sums::sum_axis(sums.as_slice(), [outer, n, inner], 1.0);
            sums = Value::new(IxDyn(&[outer, inner]), y);
        } else {
            inner *= n;
        }
        end = start;
    }
    sums.reshaped(shape)
}
