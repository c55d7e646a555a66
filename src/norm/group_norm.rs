//! [`GroupNorm`]: each group of channels to mean 0 and variance 1.

use ndarray::Array1;

use super::channels;
use super::checked_eps;
use super::planes::Planes;
use crate::engine::{Module, Named, Tensor, named, shape};
use crate::machine::Float;

/// Normalizes each group of neighbouring channels of each example over all positions, then scales
/// and shifts each channel.
///
/// ```text
/// x̂ = (x - μ) / √(σ² + eps)        y = γ·x̂ + β
/// ```
///
/// where `μ` and `σ²` are the mean and the biased variance of one group of one example, and γ and β
/// have one number per channel. One group is LayerNorm over channels and positions with another γ
/// and β; as many groups as channels is [`InstanceNorm`](crate::InstanceNorm).
///
/// # Shapes
/// input `[batch, num_channels, ..]`: channels on axis 1, then any number of axes of positions;
/// output the same; γ, β: `[num_channels]`.
///
/// # Defaults
/// `eps` 1e-5, γ ones, β zeros, both trained: as in Wu and He (2018), section 3.3, and in PyTorch.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::{GroupNorm, Tensor};
/// use ndarray::array;
///
/// let layer = GroupNorm::new(2, 4).with_eps(0.0); // two groups of two channels
/// let y = layer.forward(&Tensor::new(array![[1.0, 3.0, 10.0, 50.0]]));
/// assert_relative_eq!(y, Tensor::new(array![[-1.0, 1.0, -1.0, 1.0]]), epsilon = 1e-15);
/// ```
///
/// # Numerics
/// As [`LayerNorm`](crate::LayerNorm); NaN stays in its group.
///
/// # Panics
/// [`new`](Self::new), [`with_eps`](Self::with_eps) and [`forward`](Self::forward) say when.
///
/// *Differs from PyTorch in*: a group of one value gives β in a batch of any size (there a batch of
/// one is refused); an input without positions gives an empty result; a negative `eps` is refused.
///
/// Paper: Wu, He, *Group Normalization*, 2018 (arXiv 1803.08494), equations 1 to 7. Page:
/// `book/src/conventions.md`.
///
/// A clone shares its parameters; [`Module::copy`](crate::Module::copy) makes a layer with its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct GroupNorm<T: Float = f64> {
    channels_per_group: usize,
    num_channels: usize,
    eps: f64,
    /// The scale γ, of shape `[num_channels]`.
    pub gamma: Tensor<T>,
    /// The shift β, of shape `[num_channels]`.
    pub beta: Tensor<T>,
}

impl<T: Float> GroupNorm<T> {
    /// A layer for inputs with `num_channels` channels on axis 1, in `num_groups` groups.
    ///
    /// # Panics
    /// If there is no channel, more of them than memory has addresses, or `num_groups` does not divide
    /// `num_channels`.
    #[track_caller]
    pub fn new(num_groups: usize, num_channels: usize) -> Self {
        assert!(
            num_channels > 0 && num_groups > 0 && num_channels.is_multiple_of(num_groups),
            "GroupNorm: expected num_channels to be divisible by num_groups, both at least 1, got {num_channels} channels and {num_groups} groups"
        );
        shape::addressable::<T>("GroupNorm", &[num_channels]);
        Self {
            channels_per_group: num_channels / num_groups,
            num_channels,
            eps: 1e-5,
            gamma: Tensor::parameter(Array1::ones(num_channels)),
            beta: Tensor::parameter(Array1::zeros(num_channels)),
        }
    }

    /// The number added to the variance under the root; the default is 1e-5.
    ///
    /// # Panics
    /// If it is negative, infinite or NaN.
    #[track_caller]
    pub fn with_eps(mut self, eps: f64) -> Self {
        self.eps = checked_eps("GroupNorm", eps);
        self
    }

    /// Leaves β out: a constant zero, which adds nothing and is not trained. γ stays as it is.
    pub fn without_bias(mut self) -> Self {
        self.beta = Tensor::zeros(self.beta.shape());
        self
    }

    /// Leaves γ and β out: constants one and zero. The layer only normalizes.
    ///
    /// ```
    /// use evenkeel::{GroupNorm, Module};
    /// let layer: GroupNorm = GroupNorm::new(2, 8).without_affine();
    /// assert!(layer.parameters().is_empty());
    /// ```
    pub fn without_affine(mut self) -> Self {
        self.gamma = Tensor::ones(self.gamma.shape());
        self.without_bias()
    }

    /// The normalized input, in the input's shape.
    ///
    /// # Panics
    /// If axis 1 of `x` is not `num_channels` long, or γ or β were given another shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor<T>) -> Tensor<T> {
        let own = [("gamma", &self.gamma), ("beta", &self.beta)];
        let group = Some(self.channels_per_group);
        let planes = Planes::of("GroupNorm", x, [self.num_channels, 0], group, &own);
        let statistics = channels::statistics(x.as_slice(), &planes);
        channels::normalize(x, &self.gamma, &self.beta, planes, statistics, true, self.eps)
    }
}

impl<T: Float> Module<T> for GroupNorm<T> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        named([("gamma", &mut self.gamma), ("beta", &mut self.beta)])
    }
}
