//! [`MultiHeadAttention`]: each position looks at the others.

use rand::Rng;

use super::Linear;
use crate::engine::{Module, Named, Tensor, init, named, shape};
use crate::machine::Float;
use crate::ops::pairs;
use crate::ops::pairs::Pairs;

mod functional;
mod mask;

pub use functional::{attention_weights, scaled_dot_product_attention};
use functional::{gather, weights};
pub use mask::Mask;

/// `x·wᵀ + b`. With a mask, positions on which the loss does not depend add nothing to the gradient
/// of `w`.
#[track_caller]
fn project<T: Float>(
    x: &Tensor<T>,
    w: &Tensor<T>,
    b: &Tensor<T>,
    pairs: Option<&Pairs>,
) -> Tensor<T> {
    let y = match pairs {
        None => x.matmul(&w.transpose()),
        Some(_) => pairs::rows_by_matrix(x, &w.transpose()),
    };
    y + b
}

/// Self-attention by several heads, each on its own slice of the features.
///
/// ```text
/// [q k v] = x·W_inᵀ + b_in        y = [head₁ .. headₕ]·W_outᵀ + b_out
/// headₕ = softmax(qₕ·kₕᵀ / √d)·vₕ
/// ```
///
/// where `W_in`, shape `[3·embed_dim, embed_dim]`, holds the rows for q, for k and for v one after
/// the other; head h takes the columns `h·d..(h+1)·d` of each, with `d = embed_dim / num_heads`;
/// `W_out` has shape `[embed_dim, embed_dim]`.
///
/// # Shapes
/// input `[.., length, embed_dim]`, output the same; the weights of all heads
/// `[.., num_heads, length, length]`. A mask with at most as many axes as the input is the same for
/// all heads: `[length]` (keys), `[length, length]` (queries, keys), `[batch, 1, length]` (the keys
/// of each example), `[batch, length, length]`. With one axis more, as the weights, each head has
/// its own: see [`Mask::Allow`].
///
/// # Defaults
/// all weights from N(0, 1/`embed_dim`), the variance that keeps the size of activations through a
/// square matrix (Glorot and Bengio 2010, equation 12); biases zeros.
///
/// ```
/// use evenkeel::{Mask, MultiHeadAttention, Tensor};
/// use ndarray::Array;
///
/// let mut rng = evenkeel::rng(1);
/// let attention = MultiHeadAttention::new(4, 2, &mut rng);
/// let x = Tensor::new(Array::from_shape_fn((1, 3, 4), |(_, i, j)| (i * j) as f64));
/// let (y, weights) = attention.forward_with_weights(&x, &Mask::Causal);
/// assert_eq!((y.shape(), weights.shape()), ([1, 3, 4].as_slice(), [1, 2, 3, 3].as_slice()));
/// assert_eq!(weights.value()[[0, 0, 0, 0]], 1.0); // the first position sees only itself
/// ```
///
/// *Differs from PyTorch in*: it is self-attention only, with the batch first; the weights are
/// given for each head, where `nn.MultiheadAttention` averages over them; the initial values of the
/// projections (there uniform). Names and layouts of the parameters are the same.
///
/// Paper: Vaswani et al., *Attention Is All You Need*, 2017 (arXiv 1706.03762), section 3.2. Page:
/// `book/src/tensor.md`.
///
/// A clone shares its parameters; [`Module::copy`](crate::Module::copy) makes a layer with its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct MultiHeadAttention<T: Float = f64> {
    embed_dim: usize,
    num_heads: usize,
    /// `W_in`, of shape `[3·embed_dim, embed_dim]`: the rows for q, k and v.
    pub in_proj_weight: Tensor<T>,
    /// `b_in`, of shape `[3·embed_dim]`.
    pub in_proj_bias: Tensor<T>,
    /// `W_out` and `b_out`.
    pub out_proj: Linear<T>,
}

impl<T: Float> MultiHeadAttention<T> {
    /// A layer with random weights from `rng` and biases of zeros.
    ///
    /// # Panics
    /// If there is no head or no feature, the heads do not divide the features, or the weights are
    /// more than memory has addresses.
    #[track_caller]
    pub fn new(embed_dim: usize, num_heads: usize, rng: &mut impl Rng) -> Self {
        assert!(
            num_heads > 0 && embed_dim > 0 && embed_dim.is_multiple_of(num_heads),
            "MultiHeadAttention: expected an embed_dim that num_heads divides, both at least 1, got embed_dim {embed_dim} and num_heads {num_heads}"
        );
        shape::addressable::<T>("MultiHeadAttention", &[3, embed_dim, embed_dim]);
        let variance = 1.0 / embed_dim as f64;
        Self {
            embed_dim,
            num_heads,
            in_proj_weight: init::normal(&[3 * embed_dim, embed_dim], variance, rng),
            in_proj_bias: Tensor::zeros([3 * embed_dim]).trainable(),
            out_proj: Linear {
                weight: init::normal(&[embed_dim, embed_dim], variance, rng),
                bias: Tensor::zeros([embed_dim]).trainable(),
            },
        }
    }

    /// Leaves both biases out: they become constant zeros, which are not trained.
    ///
    /// ```
    /// # use evenkeel::{Module, MultiHeadAttention};
    /// let mut rng = evenkeel::rng(1);
    /// let attention: MultiHeadAttention = MultiHeadAttention::new(4, 2, &mut rng).without_bias();
    /// assert_eq!(attention.parameters().len(), 2);
    /// ```
    pub fn without_bias(mut self) -> Self {
        self.in_proj_bias = Tensor::zeros(self.in_proj_bias.shape());
        self.out_proj = self.out_proj.without_bias();
        self
    }

    /// Applies attention to `x`: each position looks at those that the mask allows.
    ///
    /// # Panics
    /// If the last axis of `x` is not `embed_dim`, if `x` has no axis of positions before it, if
    /// the mask does not fit, or if a parameter was given another shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor<T>, mask: &Mask) -> Tensor<T> {
        self.forward_with_weights(x, mask).0
    }

    /// As [`forward`](Self::forward), with the weights of each head,
    /// `[.., num_heads, length, length]`.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    // ANCHOR: forward
    #[track_caller]
    pub fn forward_with_weights(&self, x: &Tensor<T>, mask: &Mask) -> (Tensor<T>, Tensor<T>) {
        let (layer, d) = ("MultiHeadAttention", self.embed_dim);
        shape::positions(layer, d, x.shape());
        shape::exactly(layer, "in_proj_weight", &[3 * d, d], self.in_proj_weight.shape());
        shape::exactly(layer, "in_proj_bias", &[3 * d], self.in_proj_bias.shape());
        shape::exactly(layer, "out_proj.weight", &[d, d], self.out_proj.weight.shape());
        shape::exactly(layer, "out_proj.bias", &[d], self.out_proj.bias.shape());
        let pairs = mask.pairs_of_heads(layer, x.shape(), self.num_heads);
        let pairs = pairs.as_ref();

        let qkv = project(x, &self.in_proj_weight, &self.in_proj_bias, pairs);
        let q = self.split(&qkv.slice_axis(-1, 0..d)); // [.., num_heads, length, d / num_heads]
        let k = self.split(&qkv.slice_axis(-1, d..2 * d));
        let v = self.split(&qkv.slice_axis(-1, 2 * d..3 * d));
        let weights = weights(&q, &k, pairs, None);
        let heads = gather(&weights, &v, pairs).swap_axes(-3, -2).reshape(x.shape());
        (project(&heads, &self.out_proj.weight, &self.out_proj.bias, pairs), weights)
    }
    // ANCHOR_END: forward

    /// `[.., length, embed_dim]` to `[.., num_heads, length, embed_dim / num_heads]`.
    fn split(&self, x: &Tensor<T>) -> Tensor<T> {
        let leading = &x.shape()[..x.shape().len() - 1];
        let split = [leading, &[self.num_heads, self.embed_dim / self.num_heads]].concat();
        x.reshape(&split).swap_axes(-3, -2)
    }
}

impl<T: Float> Module<T> for MultiHeadAttention<T> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        named([
            ("in_proj_weight", &mut self.in_proj_weight),
            ("in_proj_bias", &mut self.in_proj_bias),
            ("out_proj", &mut self.out_proj),
        ])
    }
}
