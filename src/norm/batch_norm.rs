//! [`BatchNorm`]: each channel to mean 0 and variance 1, over the batch.

use ndarray::Array1;

use super::channels;
use super::planes::Planes;
use super::statistics::MeanVar;
use super::{checked_eps, running};
use crate::engine::{Module, Named, Tensor, named, shape};
use crate::machine::Float;

/// Normalizes each channel over the batch and all positions, then scales by γ and shifts by β; at
/// inference with what training remembered of the batches.
///
/// ```text
/// x̂ = (x - μ) / √(σ² + eps)        y = γ·x̂ + β
///
/// running_mean = (1 - momentum)·running_mean + momentum·μ
/// running_var  = (1 - momentum)·running_var  + momentum·σ²·n/(n - 1)
/// ```
///
/// where `μ` and `σ²` are the mean and the biased variance of the n values that one channel has in
/// the batch, and γ, β and the running values have one number per channel. In
/// [`forward_train`](Self::forward_train), μ and σ² are those of the batch, and the running values
/// move. In [`forward`](Self::forward), they are the running values, and nothing moves. What is
/// remembered is the *unbiased* variance; what divides in training is the biased one.
///
/// # Shapes
/// input `[batch, num_features, ..]`: channels on axis 1, then any number of axes of positions;
/// output the same; γ, β, `running_mean`, `running_var`: `[num_features]`.
///
/// # Defaults
/// `eps` 1e-5, `momentum` 0.1, γ ones, β zeros, both trained, running mean 0 and variance 1: as in
/// PyTorch. (The paper keeps a moving average, and leaves its weight open.)
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::{BatchNorm, Tensor};
/// use ndarray::array;
///
/// let mut layer = BatchNorm::new(1).with_eps(0.0);
/// let x = Tensor::new(array![[1.0], [2.0], [6.0]]); // mean 3, variance (4 + 1 + 9) / 3
/// let y = layer.forward_train(&x);
/// let root = (14f64 / 3.0).sqrt();
/// assert_relative_eq!(
///     y,
///     Tensor::new(array![[-2.0 / root], [-1.0 / root], [3.0 / root]]),
///     epsilon = 1e-15
/// );
///
/// // 0.9·0 + 0.1·3, and 0.9·1 + 0.1·7, for the unbiased variance is 14 / 2.
/// assert_relative_eq!(layer.running_mean, Tensor::new(array![0.3]));
/// assert_relative_eq!(layer.running_var, Tensor::new(array![1.6]));
/// let alone = layer.forward(&Tensor::new(array![[0.3]])); // at inference a batch of one will do
/// assert_relative_eq!(alone, Tensor::new(array![[0.0]]), epsilon = 1e-15);
/// ```
///
/// # Numerics
/// Sums are taken as in [`LayerNorm`](crate::LayerNorm), and any channel whose result fits the type
/// comes out right; running values are rounded to the element type. A channel of equal numbers gives
/// exactly β for any `eps` above 0; with `eps` 0 it is NaN. In training, NaN or an infinity makes its
/// channel NaN in the output, and NaN or infinite in what is remembered, and no other; at inference it
/// spoils its own result only. `f32` counts batches up to 2²⁴, which matters to a cumulative average
/// only, and holds variances up to 3e38: above, what is remembered is infinite, and inference gives
/// NaN.
///
/// # Panics
/// [`new`](Self::new), the `with_` methods, [`forward_train`](Self::forward_train) and
/// [`forward`](Self::forward) say when.
///
/// *Differs from PyTorch in*: the mode stands in the name of the method, not in the layer; one type
/// serves every rank; a momentum outside of 0..=1 and a negative `eps` are refused, an `eps` of 0 is
/// not; an empty batch is not counted. `momentum` is the weight of the new batch, as there; in Keras
/// and ONNX it is the weight of the old value.
///
/// Paper: Ioffe, Szegedy, *Batch Normalization*, 2015 (arXiv 1502.03167), algorithms 1 and 2. Page:
/// `book/src/conventions.md`.
///
/// A clone shares its parameters; [`Module::copy`](crate::Module::copy) makes a layer with its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct BatchNorm<T: Float = f64> {
    num_features: usize,
    eps: f64,
    momentum: Option<f64>,
    tracking: bool,
    /// The scale γ, of shape `[num_features]`.
    pub gamma: Tensor<T>,
    /// The shift β, of shape `[num_features]`.
    pub beta: Tensor<T>,
    /// The mean that [`forward`](Self::forward) uses, of shape `[num_features]`.
    pub running_mean: Tensor<T>,
    /// The variance that [`forward`](Self::forward) uses, of shape `[num_features]`.
    pub running_var: Tensor<T>,
    /// How many batches were remembered, of shape `[]`. A tensor, so that it can be saved beside the
    /// others.
    pub num_batches_tracked: Tensor<T>,
}

impl<T: Float> BatchNorm<T> {
    /// A layer for inputs with `num_features` channels on axis 1.
    ///
    /// ```
    /// use evenkeel::BatchNorm;
    /// let layer: BatchNorm<f32> = BatchNorm::new(8);
    /// assert_eq!(layer.running_var.shape(), [8]);
    /// ```
    ///
    /// # Panics
    /// If there are more channels than memory has addresses.
    #[track_caller]
    pub fn new(num_features: usize) -> Self {
        shape::addressable::<T>("BatchNorm", &[num_features]);
        let [running_mean, running_var, num_batches_tracked] = running::fresh(num_features);
        Self {
            num_features,
            eps: 1e-5,
            momentum: Some(0.1),
            tracking: true,
            gamma: Tensor::parameter(Array1::ones(num_features)),
            beta: Tensor::parameter(Array1::zeros(num_features)),
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
        self.eps = checked_eps("BatchNorm", eps);
        self
    }

    /// The weight of the new batch in the running values; the default is 0.1. With `None` they are
    /// the plain average over all batches.
    ///
    /// ```
    /// use evenkeel::{BatchNorm, Tensor};
    /// use ndarray::array;
    ///
    /// let mut layer = BatchNorm::new(1).with_momentum(None);
    /// let _ = layer.forward_train(&Tensor::new(array![[1.0], [2.0], [6.0]])); // mean 3
    /// let _ = layer.forward_train(&Tensor::new(array![[2.0], [4.0], [12.0]])); // mean 6
    /// assert_eq!(layer.running_mean.item(), 4.5);
    /// ```
    ///
    /// # Panics
    /// If it is not within 0..=1.
    #[track_caller]
    pub fn with_momentum(mut self, momentum: impl Into<Option<f64>>) -> Self {
        self.momentum = running::checked_momentum("BatchNorm", momentum.into());
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
    /// use evenkeel::{BatchNorm, Module};
    /// let layer: BatchNorm = BatchNorm::new(8).without_affine();
    /// assert!(layer.parameters().is_empty());
    /// ```
    pub fn without_affine(mut self) -> Self {
        self.gamma = Tensor::ones(self.gamma.shape());
        self.without_bias()
    }

    /// With `false`, nothing is remembered, and [`forward`](Self::forward) uses the batch too. The
    /// default is `true`.
    ///
    /// ```
    /// use evenkeel::{BatchNorm, Tensor};
    /// use ndarray::array;
    ///
    /// let mut layer = BatchNorm::new(1).with_tracking(false);
    /// let x = Tensor::new(array![[1.0], [2.0], [6.0]]);
    /// assert_eq!(layer.forward_train(&x), layer.forward(&x));
    /// assert_eq!(layer.running_mean.item(), 0.0);
    /// ```
    pub fn with_tracking(mut self, tracking: bool) -> Self {
        self.tracking = tracking;
        self
    }

    /// The input normalized with its own statistics, which the running values then move towards.
    ///
    /// An empty batch gives an empty result and is not remembered.
    ///
    /// # Panics
    /// If axis 1 of `x` is not `num_features` long, if a channel has only one value (it would always
    /// become β), or if γ, β or the running values were given another shape.
    #[track_caller]
    pub fn forward_train(&mut self, x: &Tensor<T>) -> Tensor<T> {
        let planes = self.planes(x);
        let batch = self.batch_statistics(x, &planes);
        let n = planes.values_per_set();
        if self.tracking && n > 0 {
            let batch: Vec<_> = batch.iter().map(|&batch| running::unbiased(batch, n)).collect();
            running::update(
                &mut self.running_mean,
                &mut self.running_var,
                &mut self.num_batches_tracked,
                self.momentum,
                &batch,
            );
        }
        channels::normalize(x, &self.gamma, &self.beta, planes, batch, true, self.eps)
    }

    /// The input normalized with the running values: an example's result does not depend on the
    /// others in its batch, and a batch of one will do.
    ///
    /// # Panics
    /// If axis 1 of `x` is not `num_features` long, if γ, β or the running values were given another
    /// shape, or if a running variance is negative; without tracking, if a channel has only one
    /// value.
    #[track_caller]
    pub fn forward(&self, x: &Tensor<T>) -> Tensor<T> {
        let planes = self.planes(x);
        let statistics = if self.tracking {
            running::statistics("BatchNorm", &self.running_mean, &self.running_var)
        } else {
            self.batch_statistics(x, &planes)
        };
        let of_x = !self.tracking;
        channels::normalize(x, &self.gamma, &self.beta, planes, statistics, of_x, self.eps)
    }

    #[track_caller]
    fn planes(&self, x: &Tensor<T>) -> Planes {
        let own = [
            ("gamma", &self.gamma),
            ("beta", &self.beta),
            ("running_mean", &self.running_mean),
            ("running_var", &self.running_var),
        ];
        Planes::of("BatchNorm", x, [self.num_features, 0], None, &own)
    }

    #[track_caller]
    fn batch_statistics(&self, x: &Tensor<T>, planes: &Planes) -> Vec<MeanVar> {
        shape::more_than_one("BatchNorm", "value per channel", planes.values_per_set(), x.shape());
        channels::statistics(x.as_slice(), planes)
    }

    /// Forgets what was remembered: running mean 0, variance 1, no batch.
    ///
    /// ```
    /// use evenkeel::{BatchNorm, Tensor};
    /// use ndarray::array;
    ///
    /// let mut layer = BatchNorm::new(1);
    /// let _ = layer.forward_train(&Tensor::new(array![[1.0], [2.0], [6.0]]));
    /// layer.reset_running_stats();
    /// assert_eq!(layer.num_batches_tracked.item(), 0.0);
    /// assert_eq!(layer.running_var.item(), 1.0);
    /// ```
    pub fn reset_running_stats(&mut self) {
        [self.running_mean, self.running_var, self.num_batches_tracked] =
            running::fresh(self.num_features);
    }
}

impl<T: Float> Module<T> for BatchNorm<T> {
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
