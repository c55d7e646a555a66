//! [`MultiHeadAttention`]: each position looks at the others. Page: `book/src/tensor.md`.

use ndarray::ArrayD;
use rand::Rng;

use crate::{Float, Linear, Tensor, init, shape};

/// Which keys a query may look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All of them.
    None,
    /// Those at its own position and before: query i looks at keys 0 to i.
    Causal,
    /// Those marked `true`; the array broadcasts to the scores, `[.., queries, keys]`.
    ///
    /// *PyTorch*: a boolean `attn_mask` of `F.scaled_dot_product_attention` means the same; in
    /// `nn.MultiheadAttention` it means the opposite.
    Allow(ArrayD<bool>),
}

/// How much each query looks at each key: `softmax(q·kᵀ · scale)`, each row summing to 1.
///
/// `q` has shape `[.., queries, d]`, `k` `[.., keys, d]`, the result `[.., queries, keys]`. `scale`
/// is 1/√d if it is `None`: the products of d pairs of numbers from N(0, 1) have the variance d,
/// and softmax of large numbers has hardly a gradient.
///
/// A key that the mask excludes gets exactly 0, whatever its score; a query that may look at no key
/// gets a row of zeros.
///
/// ```
/// use evenkeel::{Mask, Tensor, attention_weights};
/// use ndarray::array;
///
/// let q = Tensor::new(array![[1.0], [1.0]]);
/// let weights = attention_weights(&q, &q, &Mask::None, None);
/// assert_eq!(weights, Tensor::new(array![[0.5, 0.5], [0.5, 0.5]]));
/// let causal = attention_weights(&q, &q, &Mask::Causal, None);
/// assert_eq!(causal, Tensor::new(array![[1.0, 0.0], [0.5, 0.5]]));
/// ```
///
/// # Panics
/// If the shapes do not fit, or `scale` is not finite.
///
/// *PyTorch*: `(q @ k.mT * scale).softmax(-1)`; a query that may look at no key is NaN there, and
/// zeros in `F.scaled_dot_product_attention`. Page: `book/src/tensor.md`.
#[must_use]
#[track_caller]
pub fn attention_weights<T: Float>(
    q: &Tensor<T>,
    k: &Tensor<T>,
    mask: &Mask,
    scale: Option<f64>,
) -> Tensor<T> {
    let (queries, keys, d) = shape::attention(q.shape(), k.shape());
    let scale = scale.unwrap_or_else(|| 1.0 / (d as f64).sqrt());
    assert!(scale.is_finite(), "attention: expected a finite scale, got {scale}");

    let scores = q.matmul(&k.transpose()) * T::of(scale); // [.., queries, keys]
    match mask {
        Mask::None => scores.softmax(-1),
        Mask::Causal => {
            let before = ArrayD::from_shape_fn(vec![queries, keys], |at| at[1] <= at[0]);
            scores.softmax_where(&before)
        }
        Mask::Allow(allowed) => {
            shape::mask(allowed.shape(), scores.shape());
            scores.softmax_where(allowed)
        }
    }
}

/// For each query a mean of the values, weighted by how much the query looks at their keys.
///
/// ```text
/// attention(q, k, v) = softmax(q·kᵀ / √d)·v
/// ```
///
/// where `q` has shape `[.., queries, d]`, `k` `[.., keys, d]`, `v` `[.., keys, features]`, and the
/// result `[.., queries, features]`. [`attention_weights`] tells of the mask and the scale.
///
/// ```
/// use evenkeel::{Mask, Tensor, scaled_dot_product_attention};
/// use ndarray::array;
///
/// let q = Tensor::new(array![[1.0], [1.0]]);
/// let v = Tensor::new(array![[2.0, 0.0], [4.0, 8.0]]);
/// let y = scaled_dot_product_attention(&q, &q, &v, &Mask::Causal, None);
/// assert_eq!(y, Tensor::new(array![[2.0, 0.0], [3.0, 4.0]])); // itself; the mean of both
/// ```
///
/// # Panics
/// If the shapes do not fit, or `scale` is not finite.
///
/// *PyTorch*: `F.scaled_dot_product_attention(q, k, v, is_causal=…, scale=…)`. Paper: Vaswani et
/// al., *Attention Is All You Need*, 2017 (arXiv 1706.03762), equation 1. Page:
/// `book/src/tensor.md`.
// ANCHOR: attention
#[must_use]
#[track_caller]
pub fn scaled_dot_product_attention<T: Float>(
    q: &Tensor<T>,
    k: &Tensor<T>,
    v: &Tensor<T>,
    mask: &Mask,
    scale: Option<f64>,
) -> Tensor<T> {
    let weights = attention_weights(q, k, mask, scale);
    shape::attention_values(k.shape(), v.shape());
    weights.matmul(v)
}
// ANCHOR_END: attention

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
/// `[.., num_heads, length, length]`.
///
/// # Defaults
/// all weights from N(0, 1/`embed_dim`), the variance that keeps the size of what goes through a
/// square map (Glorot and Bengio 2010, equation 12); biases zeros.
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
#[derive(Clone, Debug)]
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
    #[must_use]
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
            in_proj_bias: init::zeros(3 * embed_dim, true),
            out_proj: Linear {
                weight: init::normal(&[embed_dim, embed_dim], variance, rng),
                bias: init::zeros(embed_dim, true),
            },
        }
    }

    /// With `false`, both biases are constant zeros: nothing is added and nothing trained. The
    /// default is `true`.
    ///
    /// ```
    /// # use evenkeel::MultiHeadAttention;
    /// let mut rng = evenkeel::rng(1);
    /// let attention: MultiHeadAttention = MultiHeadAttention::new(4, 2, &mut rng).with_bias(false);
    /// assert_eq!(attention.parameters().len(), 2);
    /// ```
    #[must_use]
    pub fn with_bias(mut self, bias: bool) -> Self {
        self.in_proj_bias = init::zeros(self.in_proj_bias.shape()[0], bias);
        self.out_proj = self.out_proj.with_bias(bias);
        self
    }

    /// What each position gathers from the positions that the mask lets it see.
    ///
    /// # Panics
    /// If the last axis of `x` is not `embed_dim`, if `x` has no axis of positions before it, if
    /// the mask does not fit, or if a parameter was given another shape.
    #[must_use]
    #[track_caller]
    pub fn forward(&self, x: &Tensor<T>, mask: &Mask) -> Tensor<T> {
        self.forward_with_weights(x, mask).0
    }

    /// As [`forward`](Self::forward), and the weights of each head,
    /// `[.., num_heads, length, length]`.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    // ANCHOR: forward
    #[must_use]
    #[track_caller]
    pub fn forward_with_weights(&self, x: &Tensor<T>, mask: &Mask) -> (Tensor<T>, Tensor<T>) {
        let (layer, d) = ("MultiHeadAttention", self.embed_dim);
        shape::positions(layer, d, x.shape());
        shape::exactly(layer, "in_proj_weight", &[3 * d, d], self.in_proj_weight.shape());
        shape::exactly(layer, "in_proj_bias", &[3 * d], self.in_proj_bias.shape());
        shape::exactly(layer, "out_proj.weight", &[d, d], self.out_proj.weight.shape());

        let qkv = x.matmul(&self.in_proj_weight.transpose()) + &self.in_proj_bias;
        let q = self.split(&qkv.slice_axis(-1, 0..d)); // [.., num_heads, length, d / num_heads]
        let k = self.split(&qkv.slice_axis(-1, d..2 * d));
        let v = self.split(&qkv.slice_axis(-1, 2 * d..3 * d));
        let weights = attention_weights(&q, &k, mask, None);
        let heads = weights.matmul(&v).swap_axes(-3, -2).reshape(x.shape());
        (self.out_proj.forward(&heads), weights)
    }
    // ANCHOR_END: forward

    /// `[.., length, embed_dim]` to `[.., num_heads, length, embed_dim / num_heads]`.
    fn split(&self, x: &Tensor<T>) -> Tensor<T> {
        let leading = &x.shape()[..x.shape().len() - 1];
        let split = [leading, &[self.num_heads, self.embed_dim / self.num_heads]].concat();
        x.reshape(&split).swap_axes(-3, -2)
    }

    /// What is trained: `in_proj_weight`, `in_proj_bias`, then weight and bias of `out_proj`.
    #[must_use]
    pub fn parameters(&self) -> Vec<&Tensor<T>> {
        let own = init::trained([&self.in_proj_weight, &self.in_proj_bias]);
        [own, self.out_proj.parameters()].concat()
    }

    /// What is trained, in the order of [`parameters`](Self::parameters), for an optimiser's
    /// `step`.
    #[must_use]
    pub fn parameters_mut(&mut self) -> Vec<&mut Tensor<T>> {
        let own = init::trained_mut([&mut self.in_proj_weight, &mut self.in_proj_bias]);
        own.into_iter().chain(self.out_proj.parameters_mut()).collect()
    }
}
