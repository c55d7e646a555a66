//! [`Moments`]: what Adam remembers. Page: `book/src/using_layer_norm.md`.

use crate::optimiser::zeros_like;
use crate::{Float, Tensor, shape};

/// What [`Adam`](crate::Adam) remembers of one parameter, in its shape; not corrected for the start at zero.
///
/// ```
/// use evenkeel::{Adam, Tensor};
/// use ndarray::array;
///
/// let mut w = Tensor::parameter(array![5.0]);
/// let mut adam = Adam::new(0.1).with_betas(0.5, 0.75);
/// assert!(adam.moments(&w).is_none());
/// let gradients = (&w * 8.0).sum().backward();
/// adam.step([&mut w], &gradients);
/// let moments = adam.moments(&w).unwrap();
/// assert_eq!((moments.m.item(), moments.v.item()), (0.5 * 8.0, 0.25 * 64.0));
/// assert_eq!(moments.v_max, None);
/// ```
///
/// *PyTorch*: `exp_avg`, `exp_avg_sq` and `max_exp_avg_sq` of `optimizer.state[p]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments<T: Float = f64> {
    /// The running mean of the gradient.
    pub m: Tensor<T>,
    /// The running mean of its square.
    pub v: Tensor<T>,
    /// The largest that each number of `v` has been; `None` without AMSGrad.
    pub v_max: Option<Tensor<T>>,
}

impl<T: Float> Moments<T> {
    pub(crate) fn zeros_like(parameter: &Tensor<T>) -> Self {
        Self { m: zeros_like(parameter), v: zeros_like(parameter), v_max: None }
    }

    /// Refuses moments that are not those of `parameter`.
    #[track_caller]
    pub(crate) fn fit(&self, optimiser: &str, parameter: &Tensor<T>) {
        let own = [("m", Some(&self.m)), ("v", Some(&self.v)), ("v_max", self.v_max.as_ref())];
        for (what, moment) in own {
            if let Some(moment) = moment {
                shape::exactly(optimiser, what, parameter.shape(), moment.shape());
            }
        }
    }
}

/// Raises `v_max` to `v` if that is larger, or NaN, and returns it.
pub(crate) fn raise<T: Float>(v_max: &mut T, v: T) -> T {
    if v > *v_max || v.is_nan() {
        *v_max = v;
    }
    *v_max
}
