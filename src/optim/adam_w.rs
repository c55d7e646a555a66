//! [`AdamW`]: Adam whose weight decay is decoupled. Page: `book/src/conventions.md`.

use super::Adam;
use super::adam::Decay;
use crate::machine::Float;

/// [`Adam`] with *decoupled* weight decay: each step first shrinks every parameter by the factor
/// `1 - lr·λ`, whatever its gradient.
///
/// ```text
/// p = (1 - lr·λ)·p - lr·m̂ / (√v̂ + eps)
/// ```
///
/// where `m̂` and `v̂` are those of [`Adam`], without `λ`, the weight decay. In `Adam`, `λ·p` is
/// added to the gradient and then divided by `√v̂`, so elements with large gradients hardly decay;
/// here all elements decay alike.
///
/// # Defaults
/// `λ` 0.01: PyTorch's. (The paper tunes it for each task.) Betas 0.9 and 0.999, `eps` 1e-8, as in
/// [`Adam`].
///
/// ```
/// use evenkeel::{AdamW, Tensor};
/// use ndarray::array;
///
/// let mut w = Tensor::parameter(array![1.0, -2.0]);
/// let gradients = (&w * 0.0).sum().backward();
/// AdamW::new(0.1).with_weight_decay(0.5).step(&mut w, &gradients);
/// assert_eq!(w, Tensor::new(array![0.95, -1.9])); // 1 - 0.1·0.5 of each
/// ```
///
/// LayerNorm's γ and every bias are usually not decayed: give them an optimiser of their own, with
/// weight decay 0.
///
/// *Differs from PyTorch in*: the same points as [`Adam`].
///
/// Paper: Loshchilov, Hutter, *Decoupled Weight Decay Regularization*, 2019 (arXiv 1711.05101),
/// algorithm 2. There the schedule scales the decay, but the learning rate does not; here, as in
/// PyTorch, `lr` is the product of both. Page: `book/src/using_layer_norm.md`.
#[derive(Clone, Copy, Debug)]
pub enum AdamW {}

impl AdamW {
    /// An [`Adam`] with decoupled weight decay and the learning rate `lr`. It has all settings of
    /// [`Adam`].
    ///
    /// # Panics
    /// If `lr` is negative, infinite or NaN.
    #[expect(clippy::new_ret_no_self)] // a name for one setting of `Adam`
    #[track_caller]
    pub fn new<T: Float>(lr: f64) -> Adam<T> {
        Adam::decaying(Decay::Decoupled(0.01), lr)
    }
}
