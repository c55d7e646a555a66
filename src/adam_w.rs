//! [`AdamW`]: Adam with a weight decay of its own. Page: `book/src/using_layer_norm.md`.

use crate::{Adam, Float, Gradients, Moments, Tensor};

/// [`Adam`] with *decoupled* weight decay: each step first shrinks every parameter by the factor
/// `1 - lr·λ`, whatever its gradient.
///
/// ```text
/// p = (1 - lr·λ)·p - lr·m̂ / (√v̂ + eps)
/// ```
///
/// where `m̂` and `v̂` are those of [`Adam`] and know nothing of `λ`, the weight decay. In `Adam`, `λ·p`
/// is added to the gradient and then divided by `√v̂`, so numbers with large gradients hardly decay;
/// here all decay alike.
///
/// # Defaults
/// `λ` 0.01: PyTorch's. (The paper's own experiments choose it anew for each task.) Betas 0.9 and
/// 0.999, `eps` 1e-8, as in [`Adam`].
///
/// ```
/// use evenkeel::{AdamW, Tensor};
/// use ndarray::array;
///
/// let mut w = Tensor::parameter(array![1.0, -2.0]);
/// let gradients = (&w * 0.0).sum().backward();
/// AdamW::new(0.1).with_weight_decay(0.5).step([&mut w], &gradients);
/// assert_eq!(w, Tensor::new(array![0.95, -1.9])); // 1 - 0.1·0.5 of each
/// ```
///
/// LayerNorm's γ and every bias are usually not decayed: give them to an optimiser of their own,
/// with weight decay 0.
///
/// *Differs from PyTorch in*: what [`Adam`] differs in.
///
/// Paper: Loshchilov, Hutter, *Decoupled Weight Decay Regularization*, 2019 (arXiv 1711.05101),
/// algorithm 2. There a schedule scales the decay and the learning rate does not; here, as in
/// PyTorch, both are in `lr`. Page: `book/src/using_layer_norm.md`.
#[derive(Clone, Debug)]
pub struct AdamW<T: Float = f64>(Adam<T>);

impl<T: Float> AdamW<T> {
    /// An optimiser with the learning rate `lr`.
    ///
    /// # Panics
    /// If `lr` is negative, infinite or NaN.
    #[must_use]
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        let mut adam = Adam::named("AdamW", lr).with_weight_decay(0.01);
        adam.decoupled = true;
        Self(adam)
    }

    /// As [`Adam::with_betas`]; the default is (0.9, 0.999).
    ///
    /// # Panics
    /// If either is outside 0 ≤ β < 1.
    #[must_use]
    #[track_caller]
    pub fn with_betas(self, beta1: f64, beta2: f64) -> Self {
        Self(self.0.with_betas(beta1, beta2))
    }

    /// As [`Adam::with_eps`]; the default is 1e-8.
    ///
    /// # Panics
    /// If it is negative, infinite or NaN.
    #[must_use]
    #[track_caller]
    pub fn with_eps(self, eps: f64) -> Self {
        Self(self.0.with_eps(eps))
    }

    /// The weight decay `λ`; the default is 0.01.
    ///
    /// # Panics
    /// If it is negative, infinite or NaN.
    #[must_use]
    #[track_caller]
    pub fn with_weight_decay(self, weight_decay: f64) -> Self {
        Self(self.0.with_weight_decay(weight_decay))
    }

    /// As [`Adam::with_amsgrad`]; the default is `false`.
    #[must_use]
    pub fn with_amsgrad(self, amsgrad: bool) -> Self {
        Self(self.0.with_amsgrad(amsgrad))
    }

    /// As [`Adam::with_maximize`]; the default is `false`.
    #[must_use]
    pub fn with_maximize(self, maximize: bool) -> Self {
        Self(self.0.with_maximize(maximize))
    }

    /// The learning rate of the next step.
    #[must_use]
    pub fn lr(&self) -> f64 {
        self.0.lr()
    }

    /// As [`Adam::set_lr`].
    ///
    /// # Panics
    /// If `lr` is negative, infinite or NaN.
    #[track_caller]
    pub fn set_lr(&mut self, lr: f64) {
        self.0.set_lr(lr);
    }

    /// What is remembered of a parameter, its count of steps among it; `None` before its first step.
    #[must_use]
    pub fn moments(&self, parameter: &Tensor<T>) -> Option<&Moments<T>> {
        self.0.moments(parameter)
    }

    /// As [`Adam::resume`].
    ///
    /// # Panics
    /// If a tensor is no parameter or was given before, or its moments are of another shape.
    #[track_caller]
    pub fn resume<'a>(&mut self, moments: impl IntoIterator<Item = (&'a Tensor<T>, Moments<T>)>) {
        self.0.resume(moments);
    }

    /// Gives every parameter its next value, as [`Adam::step`].
    ///
    /// # Panics
    /// As [`Adam::step`].
    #[track_caller]
    pub fn step<'a>(
        &mut self,
        parameters: impl IntoIterator<Item = &'a mut Tensor<T>>,
        gradients: &Gradients<T>,
    ) {
        self.0.step(parameters, gradients);
    }
}
