//! [`InstanceNorm`]: each channel of each example by itself.

use ndarray::Array1;

use super::channels;
use super::planes::Planes;
use super::statistics::MeanVar;
use super::{checked_eps, running};
use crate::engine::{Module, Named, Tensor, named, shape};
use crate::machine::Float;

/// Normalizes each channel of each example over its positions, then scales by γ and shifts by β.
///
/// ```text
/// x̂ = (x - μ) / √(σ² + eps)        y = γ·x̂ + β
/// ```
///
/// where `μ` and `σ²` are the mean and the biased variance over the n positions of one channel of
/// one example, and γ and β have one number per channel. With tracking,
/// [`forward_train`](Self::forward_train) also moves a running mean and variance towards the means
/// over the batch of μ and of σ²·n/(n - 1), and [`forward`](Self::forward) normalizes with those.
///
/// # Shapes
/// input `[batch, num_features, ..]`: channels on axis 1, then at least one axis of positions; output
/// the same; γ, β, `running_mean`, `running_var`: `[num_features]`.
///
/// # Defaults
/// `eps` 1e-5, no affine parameters (γ one, β zero, constant), no tracking; with tracking, `momentum`
/// 0.1: as in PyTorch.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::{InstanceNorm, Tensor};
/// use ndarray::array;
///
/// let layer = InstanceNorm::new(2).with_eps(0.0); // two channels, here of two positions each
/// let y = layer.forward(&Tensor::new(array![[[1.0, 3.0], [50.0, 10.0]]]));
/// assert_relative_eq!(y, Tensor::new(array![[[-1.0, 1.0], [1.0, -1.0]]]), epsilon = 1e-15);
/// ```
///
/// # Numerics
/// As [`LayerNorm`](crate::LayerNorm); NaN stays in its channel of its example.
///
/// # Panics
/// [`new`](Self::new), the `with_` methods, [`forward_train`](Self::forward_train) and
/// [`forward`](Self::forward) say when.
///
/// *Differs from PyTorch in*: an input without a batch axis is refused, and so is one with another
/// number of channels (there only with affine parameters); momentum `None` is the plain average over
/// all batches, as in `BatchNorm`.
///
/// Paper: Ulyanov, Vedaldi, Lempitsky, *Instance Normalization: The Missing Ingredient for Fast
/// Stylization*, 2016 (arXiv 1607.08022), equation 4. Page: `book/src/conventions.md`.
///
/// A clone shares its parameters; [`Module::copy`](crate::Module::copy) makes a layer with its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct InstanceNorm<T: Float = f64> {
    num_features: usize,
    eps: f64,
    momentum: Option<f64>,
    tracking: bool,
    /// The scale γ, of shape `[num_features]`.
    pub gamma: Tensor<T>,
    /// The shift β, of shape `[num_features]`.
    pub beta: Tensor<T>,
    /// The mean that [`forward`](Self::forward) uses with tracking, of shape `[num_features]`.
    pub running_mean: Tensor<T>,
    /// The variance that [`forward`](Self::forward) uses with tracking, of shape `[num_features]`.
    pub running_var: Tensor<T>,
    /// How many batches were remembered, of shape `[]`. A tensor, so that it can be saved beside the
    /// others.
    pub num_batches_tracked: Tensor<T>,
}

impl<T: Float> InstanceNorm<T> {
    /// A layer for inputs with `num_features` channels on axis 1.
    ///
    /// # Panics
    /// If there are more channels than memory has addresses.
    #[track_caller]
    pub fn new(num_features: usize) -> Self {
        shape::addressable::<T>("InstanceNorm", &[num_features]);
        let [running_mean, running_var, num_batches_tracked] = running::fresh(num_features);
        Self {
            num_features,
            eps: 1e-5,
            momentum: Some(0.1),
            tracking: false,
            gamma: Tensor::new(Array1::ones(num_features)),
            beta: Tensor::new(Array1::zeros(num_features)),
            running_mean,
            running_var,
            num_batches_tracked,
        }
    }

    /// The number added to the variance under the root; the default is 1e-5.
    ///
    /// # Panics
    /// If it is negative, infinite or NaN.
    #[track_caller]
    pub fn with_eps(mut self, eps: f64) -> Self {
        self.eps = checked_eps("InstanceNorm", eps);
        self
    }

    /// The weight of the new batch in the running values; the default is 0.1. With `None` they are
    /// the plain average over all batches.
    ///
    /// # Panics
    /// If it is not within 0..=1.
    #[track_caller]
    pub fn with_momentum(mut self, momentum: impl Into<Option<f64>>) -> Self {
        self.momentum = running::checked_momentum("InstanceNorm", momentum.into());
        self
    }

    /// With γ and β that are trained. They start as ones and zeros, or as they are.
    ///
    /// ```
    /// use evenkeel::{InstanceNorm, Module};
    /// let layer: InstanceNorm = InstanceNorm::new(8);
    /// assert!(layer.parameters().is_empty());
    /// assert_eq!(layer.with_affine().parameters().len(), 2);
    /// ```
    pub fn with_affine(mut self) -> Self {
        self.gamma = self.gamma.trainable();
        self.beta = self.beta.trainable();
        self
    }

    /// With `true`, training remembers, and [`forward`](Self::forward) uses what it remembered. The
    /// default is `false`.
    pub fn with_tracking(mut self, tracking: bool) -> Self {
        self.tracking = tracking;
        self
    }

    /// The input normalized with its own statistics; with tracking, the running values move.
    ///
    /// # Panics
    /// If axis 1 of `x` is not `num_features` long, if there is no axis of positions or only one
    /// position, or if γ, β or the running values were given another shape.
    #[track_caller]
    pub fn forward_train(&mut self, x: &Tensor<T>) -> Tensor<T> {
        let planes = self.planes(x, Some(1));
        let statistics = self.own_statistics(x, &planes);
        if self.tracking && !x.as_slice().is_empty() {
            let examples = statistics.chunks_exact(self.num_features);
            let weight = 1.0 / examples.len() as f64;
            let mut batch = vec![MeanVar { origin: 0.0, shift: 0.0, var: 0.0 }; self.num_features];
            for example in examples {
                for (batch, &own) in batch.iter_mut().zip(example) {
                    let own = running::unbiased(own, planes.positions);
                    batch.origin += weight * own.mean();
                    batch.var += weight * own.var;
                }
            }
            running::update(
                &mut self.running_mean,
                &mut self.running_var,
                &mut self.num_batches_tracked,
                self.momentum,
                &batch,
            );
        }
        channels::normalize(x, &self.gamma, &self.beta, planes, statistics, true, self.eps)
    }

    /// The input normalized: with tracking by the running values, else by its own statistics.
    ///
    /// # Panics
    /// If axis 1 of `x` is not `num_features` long, if there is no axis of positions, if γ, β or the
    /// running values were given another shape, or if a running variance is negative; without
    /// tracking, if there is only one position.
    #[track_caller]
    pub fn forward(&self, x: &Tensor<T>) -> Tensor<T> {
        let (planes, statistics) = if self.tracking {
            let remembered =
                running::statistics("InstanceNorm", &self.running_mean, &self.running_var);
            (self.planes(x, None), remembered)
        } else {
            let planes = self.planes(x, Some(1));
            (planes, self.own_statistics(x, &planes))
        };
        let of_x = !self.tracking;
        channels::normalize(x, &self.gamma, &self.beta, planes, statistics, of_x, self.eps)
    }

    #[track_caller]
    fn planes(&self, x: &Tensor<T>, group: Option<usize>) -> Planes {
        let own = [
            ("gamma", &self.gamma),
            ("beta", &self.beta),
            ("running_mean", &self.running_mean),
            ("running_var", &self.running_var),
        ];
        Planes::of("InstanceNorm", x, [self.num_features, 1], group, &own)
    }

    #[track_caller]
    fn own_statistics(&self, x: &Tensor<T>, planes: &Planes) -> Vec<MeanVar> {
        shape::more_than_one("InstanceNorm", "position", planes.positions, x.shape());
        channels::statistics(x.as_slice(), planes)
    }

    /// Forgets what was remembered: running mean 0, variance 1, no batch.
    pub fn reset_running_stats(&mut self) {
        [self.running_mean, self.running_var, self.num_batches_tracked] =
            running::fresh(self.num_features);
    }
}

impl<T: Float> Module<T> for InstanceNorm<T> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        named([
            ("gamma", &mut self.gamma),
            ("beta", &mut self.beta),
            ("running_mean", &mut self.running_mean),
            ("running_var", &mut self.running_var),
            ("num_batches_tracked", &mut self.num_batches_tracked),
        ])
    }
}
