//! [`RMSNorm`]: each row to root mean square 1.

use ndarray::{ArrayD, IntoDimension, IxDyn};

use super::{array, checked_eps, normalized_shape, rows};
use crate::engine::autograd::record;
use crate::engine::{Module, Named, Tensor, named, shape};
use crate::machine::Float;

/// Divides each row by its root mean square, then scales by γ. No mean is subtracted, nothing is
/// shifted.
///
/// ```text
/// x̂ = x / √(mean of x² + eps)        y = γ·x̂
/// ```
///
/// where the mean runs over one row, and γ is learned and has the shape `normalized_shape`. A row is
/// everything in the last axes, as many as `normalized_shape` has.
///
/// # Shapes
/// input `[.., *normalized_shape]`, output the same; γ: `normalized_shape`.
///
/// # Defaults
/// `eps` 1e-6, as in LLaMA (Touvron et al. 2023); γ ones, trained. The paper has no `eps`.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::{RMSNorm, Tensor};
/// use ndarray::array;
///
/// let layer = RMSNorm::new(4).with_eps(0.0);
/// let y = layer.forward(&Tensor::new(array![[1.0, 2.0, 3.0, 4.0]]));
/// let root = 7.5f64.sqrt(); // (1 + 4 + 9 + 16) / 4
/// assert_relative_eq!(
///     y,
///     Tensor::new(array![[1.0 / root, 2.0 / root, 3.0 / root, 4.0 / root]]),
///     epsilon = 1e-15
/// );
/// ```
///
/// # Numerics
/// A row whose squares leave the range of the element type is summed in `f64`, scaled where it must
/// be, so that any row whose result fits the type comes out right: an `f32` row of 1e20 or of 1e-39,
/// an `f64` row of 1e200. A row of zeros gives zeros for any `eps` above 0; with `eps` 0 it is 0/0, NaN.
/// NaN or an infinity anywhere in a row makes that row NaN, and no other.
///
/// # Panics
/// [`new`](Self::new), [`with_eps`](Self::with_eps) and [`forward`](Self::forward) say when.
///
/// *Differs from PyTorch in*: the default `eps`, there the machine epsilon of the element type
/// (`with_eps(f32::EPSILON.into())` is the same); without affine parameters, γ is a constant here,
/// not absent; a negative `eps` is refused; beside an infinity, PyTorch gives zeros.
///
/// Paper: Zhang, Sennrich, *Root Mean Square Layer Normalization*, 2019 (arXiv 1910.07467),
/// equation 4. Page: `book/src/layer_norm.md`.
///
/// A clone shares its parameters; [`Module::copy`](crate::Module::copy) makes a layer with its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct RMSNorm<T: Float = f64> {
    normalized_shape: Vec<usize>,
    eps: f64,
    /// The scale γ, of shape `normalized_shape`.
    pub gamma: Tensor<T>,
}

impl<T: Float> RMSNorm<T> {
    /// A layer that normalizes over the last axes, whose lengths are `normalized_shape`: a number
    /// for one axis, an array or a tuple for several.
    ///
    /// ```
    /// use evenkeel::RMSNorm;
    /// let layer: RMSNorm<f32> = RMSNorm::new(8);
    /// assert_eq!(layer.gamma.shape(), [8]);
    /// ```
    ///
    /// # Panics
    /// If `normalized_shape` has no axis.
    #[track_caller]
    pub fn new(normalized_shape: impl IntoDimension) -> Self {
        let normalized_shape = self::normalized_shape("RMSNorm", normalized_shape);
        let gamma = Tensor::parameter(ArrayD::ones(IxDyn(&normalized_shape)));
        Self { normalized_shape, eps: 1e-6, gamma }
    }

    /// The number added to the mean square under the root; the default is 1e-6.
    ///
    /// # Panics
    /// If it is negative, infinite or NaN.
    #[track_caller]
    pub fn with_eps(mut self, eps: f64) -> Self {
        self.eps = checked_eps("RMSNorm", eps);
        self
    }

    /// Leaves γ out: a constant one. The layer only normalizes.
    ///
    /// ```
    /// use evenkeel::{Module, RMSNorm};
    /// let layer: RMSNorm = RMSNorm::new(8).without_affine();
    /// assert!(layer.parameters().is_empty());
    /// ```
    pub fn without_affine(mut self) -> Self {
        self.gamma = Tensor::ones(self.gamma.shape());
        self
    }

    /// The normalized input, in the input's shape.
    ///
    /// # Panics
    /// If the last axes of `x` are not `normalized_shape`, or γ was given another shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor<T>) -> Tensor<T> {
        shape::rows_and_features("RMSNorm", &self.normalized_shape, x.shape());
        shape::exactly("RMSNorm", "gamma", &self.normalized_shape, self.gamma.shape());

        let slices = [x.as_slice(), self.gamma.as_slice(), &[]];
        let (y, rows) = rows::forward::<T, false>(slices, self.eps);

        let inputs = [x, &self.gamma];
        let [x, gamma] = inputs.map(Tensor::detach);
        let eps = self.eps;
        record(array(x.shape(), y), inputs, move |dy, needs| {
            let slices = [dy.as_slice(), x.as_slice(), gamma.as_slice()];
            let (dx, dgamma, _) = rows::backward::<T, false>(slices, &rows, eps);
            [needs[0].then(|| array(x.shape(), dx)), needs[1].then(|| array(gamma.shape(), dgamma))]
        })
    }
}

impl<T: Float> Module<T> for RMSNorm<T> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        named([("gamma", &mut self.gamma)])
    }
}
