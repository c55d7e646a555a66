//! [`LayerNorm`]: each row to mean 0 and variance 1. Page: `book/src/layer_norm.md`.

use ndarray::{ArrayD, IntoDimension, IxDyn};

use super::{array, checked_eps, normalized_shape, rows};
use crate::engine::autograd::record;
use crate::engine::{Module, Named, Tensor, named, shape};
use crate::machine::Float;

/// Normalizes each row over its features, then scales by γ and shifts by β.
///
/// ```text
/// x̂ = (x - μ) / √(σ² + eps)        y = γ·x̂ + β
/// ```
///
/// where `μ` and `σ²` are the mean and the biased variance (divided by n) of one row, and γ and β
/// are learned and have the shape `normalized_shape`. A row is everything in the last axes, as many
/// as `normalized_shape` has.
///
/// # Shapes
/// input `[.., *normalized_shape]`, output the same; γ, β: `normalized_shape`.
///
/// # Defaults
/// `eps` 1e-5, γ ones, β zeros, both trained: as in Ba, Kiros and Hinton (2016) and in PyTorch.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::{LayerNorm, Tensor};
/// use ndarray::array;
///
/// let layer = LayerNorm::new(4).with_eps(0.0);
/// let y = layer.forward(&Tensor::new(array![[1.0, 2.0, 3.0, 4.0]]));
/// let root = 5f64.sqrt(); // mean 2.5, variance 5/4
/// assert_relative_eq!(
///     y,
///     Tensor::new(array![[-3.0 / root, -1.0 / root, 1.0 / root, 3.0 / root]]),
///     epsilon = 1e-15
/// );
/// ```
///
/// # Numerics
/// A row is measured from an estimate of its mean and summed in the element type. A row that would lose
/// digits that way (an outlier in front, squares out of range) is done in `f64`, scaled if need be. So any row
/// whose result fits the type comes out right: `f32` rows at 1e4, of 1e20, of ±3e38 or, without
/// `eps`, of 1e-39; `f64` rows of 1e200 or 1e-300. A row of equal numbers gives exactly β for any `eps`
/// above 0; with `eps` 0 it is 0/0, NaN. NaN or an infinity anywhere in a row makes that row NaN, and
/// no other.
///
/// *Differs from PyTorch in*: without affine parameters, γ and β are constants here, not absent; of
/// `with_affine` and `with_bias` the last call counts; a negative `eps` is refused.
///
/// Paper: Ba, Kiros, Hinton, *Layer Normalization*, 2016 (arXiv 1607.06450), equations 3 and 4.
/// Page: `book/src/layer_norm.md`.
///
/// A clone shares its parameters; [`Module::copy`](crate::Module::copy) makes a layer with its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct LayerNorm<T: Float = f64> {
    normalized_shape: Vec<usize>,
    eps: f64,
    /// The scale γ, of shape `normalized_shape`.
    pub gamma: Tensor<T>,
    /// The shift β, of shape `normalized_shape`.
    pub beta: Tensor<T>,
}

impl<T: Float> LayerNorm<T> {
    /// A layer that normalizes over the last axes, whose lengths are `normalized_shape`: a number
    /// for one axis, an array or a tuple for several.
    ///
    /// ```
    /// use evenkeel::LayerNorm;
    /// let rows: LayerNorm = LayerNorm::new(8);
    /// assert_eq!(rows.gamma.shape(), [8]);
    /// let images: LayerNorm<f32> = LayerNorm::new([3, 8, 8]);
    /// assert_eq!(images.gamma.shape(), [3, 8, 8]);
    /// ```
    ///
    /// # Panics
    /// If `normalized_shape` has no axis.
    #[track_caller]
    pub fn new(normalized_shape: impl IntoDimension) -> Self {
        let normalized_shape = self::normalized_shape("LayerNorm", normalized_shape);
        Self {
            eps: 1e-5,
            gamma: Tensor::parameter(ArrayD::ones(IxDyn(&normalized_shape))),
            beta: Tensor::parameter(ArrayD::zeros(IxDyn(&normalized_shape))),
            normalized_shape,
        }
    }

    /// The number added to the variance under the root; the default is 1e-5.
    ///
    /// # Panics
    /// If it is negative, infinite or NaN.
    #[track_caller]
    pub fn with_eps(mut self, eps: f64) -> Self {
        self.eps = checked_eps("LayerNorm", eps);
        self
    }

    /// Leaves β out: a constant zero, which adds nothing and is not trained. γ stays as it is.
    ///
    /// ```
    /// use evenkeel::{LayerNorm, Module};
    /// let layer: LayerNorm = LayerNorm::new(8).without_bias();
    /// assert_eq!(layer.parameters().len(), 1);
    /// ```
    pub fn without_bias(mut self) -> Self {
        self.beta = Tensor::zeros(self.beta.shape());
        self
    }

    /// Leaves γ and β out: constants one and zero. The layer only normalizes.
    ///
    /// ```
    /// use evenkeel::{LayerNorm, Module};
    /// let layer: LayerNorm = LayerNorm::new(8).without_affine();
    /// assert!(layer.parameters().is_empty());
    /// ```
    pub fn without_affine(mut self) -> Self {
        self.gamma = Tensor::ones(self.gamma.shape());
        self.without_bias()
    }

    /// The normalized input, in the input's shape.
    ///
    /// # Panics
    /// If the last axes of `x` are not `normalized_shape`, or γ or β were given another shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor<T>) -> Tensor<T> {
        shape::rows_and_features("LayerNorm", &self.normalized_shape, x.shape());
        shape::exactly("LayerNorm", "gamma", &self.normalized_shape, self.gamma.shape());
        shape::exactly("LayerNorm", "beta", &self.normalized_shape, self.beta.shape());

        let inputs = [x, &self.gamma, &self.beta];
        let (y, rows) = rows::forward::<T, true>(inputs.map(Tensor::as_slice), self.eps);

        let [x, gamma] = [x, &self.gamma].map(Tensor::detach);
        let eps = self.eps;
        record(array(x.shape(), y), inputs, move |dy, needs| {
            let slices = [dy.as_slice(), x.as_slice(), gamma.as_slice()];
            let (dx, dgamma, dbeta) = rows::backward::<T, true>(slices, &rows, eps);
            [
                needs[0].then(|| array(x.shape(), dx)),
                needs[1].then(|| array(gamma.shape(), dgamma)),
                needs[2].then(|| array(gamma.shape(), dbeta)),
            ]
        })
    }
}

impl<T: Float> Module<T> for LayerNorm<T> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        named([("gamma", &mut self.gamma), ("beta", &mut self.beta)])
    }
}
