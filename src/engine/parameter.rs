//! [`Tensor::assign`]: new numbers for an existing tensor.

use ndarray::{ArrayBase, Data, Dimension};

use crate::engine::autograd::Value;
use crate::engine::{Tensor, shape};
use crate::machine::Float;

impl<T: Float> Tensor<T> {
    /// Gives a constant or a parameter new numbers, from any ndarray array or view of its shape.
    ///
    /// A parameter keeps its identity: optimisers and gradients still know it. (They would not know
    /// a new [`Tensor::parameter`] in its place.) Earlier handles and graphs keep the old numbers.
    ///
    /// ```
    /// use evenkeel::{Adam, Tensor};
    /// use ndarray::array;
    ///
    /// let mut w = Tensor::parameter(array![0.9, -0.9]);
    /// let mut average = Tensor::new(w.value());
    /// let mut adam = Adam::new(0.1);
    /// for _ in 0..20 {
    ///     let loss = (&w - 2.0).square().sum();
    ///     adam.step(&mut w, &loss.backward());
    ///     w.assign(w.value().mapv(|x: f64| x.clamp(-1.0, 1.0))); // a bound that no step may cross
    ///     average.assign(&average.value() * 0.9 + &w.value() * 0.1);
    /// }
    /// assert_eq!(w.value()[0], 1.0);
    /// assert_eq!(adam.moments(&w).unwrap().steps, 20); // nothing was forgotten
    ///
    /// let last = w.detach(); // shares no identity: a constant
    /// w.assign(average.value());
    /// assert!(w.value()[0] < 1.0);
    /// w.assign(last.value()); // and back
    /// assert_eq!(w, last);
    /// ```
    ///
    /// # Panics
    /// If the array has another shape, or if the tensor is the result of an operation: new numbers
    /// would not be what it was computed from.
    ///
    /// *PyTorch*: `w.data.copy_(x)`, which changes the numbers in earlier graphs too.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value)] // as in `new`
    pub fn assign<S, D>(&mut self, array: ArrayBase<S, D>)
    where
        S: Data<Elem = T>,
        D: Dimension,
    {
        assert!(
            self.node.is_none() || self.is_parameter(),
            "assign: expected a constant or a parameter, got the result of an operation, of shape {:?}",
            self.shape()
        );
        shape::exactly("assign", "an array", self.shape(), array.shape());
        self.value = Value::copy_of(&array);
    }
}
