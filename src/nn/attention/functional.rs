//! Attention without projections or heads.

use super::Mask;
use crate::engine::{Tensor, shape};
use crate::machine::Float;
use crate::ops::pairs::Pairs;

/// The attention weights `softmax(q·kᵀ · scale)`: one row per query, each summing to 1.
///
/// A key that the mask excludes gets exactly 0, whatever its score; a query that may look at no key
/// gets a row of zeros.
///
/// # Shapes
/// `q` `[.., queries, d]`, `k` `[.., keys, d]` with the same leading axes; the scores and the
/// weights `[.., queries, keys]`. The mask has the shape `[keys]`, `[queries, keys]`, or as many
/// axes as the scores, each of full length or of length 1: see [`Mask::Allow`].
///
/// # Defaults
/// `scale` is 1/√d if it is `None`: a dot product of d pairs of numbers from N(0, 1) has the
/// variance d, and softmax of large scores has almost no gradient.
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
/// let second = Mask::Allow(array![false, true].into_dyn()); // [keys]: for all queries
/// assert_eq!(attention_weights(&q, &q, &second, None), Tensor::new(array![[0.0, 1.0], [0.0, 1.0]]));
/// ```
///
/// # Numerics
/// The products `q·kᵀ` are computed in the tensors' type and scaled afterwards. A product beyond
/// the range of the type (3.4·10³⁸ in `f32`) is infinite. A query that may look at +∞ gets a row of
/// NaN, even if the scaled product would be in range: scale `q` beforehand where that may happen.
/// Softmax itself does not overflow. For NaN see [`Mask`]; [`matmul`](Tensor::matmul) of these
/// weights with values no longer knows the mask, and 0 · NaN is NaN.
///
/// # Panics
/// If the shapes or the mask do not fit, or `scale` is not finite as a number of the tensors' type.
///
/// *PyTorch*: `(q @ k.mT * scale).softmax(-1)`; a query that may look at no key is NaN there, and
/// zeros in `F.scaled_dot_product_attention`. Page: `book/src/tensor.md`.
#[track_caller]
pub fn attention_weights<T: Float>(
    q: &Tensor<T>,
    k: &Tensor<T>,
    mask: &Mask,
    scale: Option<f64>,
) -> Tensor<T> {
    let pairs = mask.pairs(shape::attention(q.shape(), k.shape()));
    weights(q, k, pairs.as_ref(), scale)
}

/// For each query, the mean of the values, weighted by the query's attention to their keys.
///
/// ```text
/// attention(q, k, v) = softmax(q·kᵀ / √d)·v
/// ```
///
/// For the scale and the numerics see [`attention_weights`], for masks [`Mask`].
///
/// # Shapes
/// `q` `[.., queries, d]`, `k` `[.., keys, d]`, `v` `[.., keys, features]` with the same leading
/// axes; the result `[.., queries, features]`. The mask has the shape `[keys]`, `[queries, keys]`,
/// or as many axes as the scores `[.., queries, keys]`, each of full length or of length 1.
///
/// ```
/// use evenkeel::{Mask, Tensor, scaled_dot_product_attention};
/// use ndarray::array;
///
/// let q = Tensor::new(array![[1.0], [1.0]]);
/// let v = Tensor::new(array![[2.0, 0.0], [4.0, 8.0]]);
/// let y = scaled_dot_product_attention(&q, &q, &v, &Mask::Causal, None);
/// assert_eq!(y, Tensor::new(array![[2.0, 0.0], [3.0, 4.0]])); // itself; the mean of both
///
/// // What is hidden has no say, even if it is not a number.
/// let v = Tensor::new(array![[2.0, 0.0], [f64::NAN, 8.0]]);
/// let first = Mask::Allow(array![true, false].into_dyn());
/// let y = scaled_dot_product_attention(&q, &q, &v, &first, None);
/// assert_eq!(y, Tensor::new(array![[2.0, 0.0], [2.0, 0.0]]));
/// ```
///
/// # Panics
/// If the shapes or the mask do not fit, or `scale` is not finite as a number of the tensors' type.
///
/// *PyTorch*: `F.scaled_dot_product_attention(q, k, v, is_causal=…, scale=…)`, where NaN in a hidden
/// value reaches every query. Paper: Vaswani et al., *Attention Is All You Need*, 2017 (arXiv
/// 1706.03762), equation 1. Page: `book/src/tensor.md`.
// ANCHOR: attention
#[track_caller]
pub fn scaled_dot_product_attention<T: Float>(
    q: &Tensor<T>,
    k: &Tensor<T>,
    v: &Tensor<T>,
    mask: &Mask,
    scale: Option<f64>,
) -> Tensor<T> {
    let pairs = mask.pairs(shape::attention(q.shape(), k.shape()));
    shape::attention_values(k.shape(), v.shape());
    gather(&weights(q, k, pairs.as_ref(), scale), v, pairs.as_ref())
}

#[track_caller]
pub(super) fn weights<T: Float>(
    q: &Tensor<T>,
    k: &Tensor<T>,
    pairs: Option<&Pairs>,
    scale: Option<f64>,
) -> Tensor<T> {
    let d = k.shape()[k.shape().len() - 1];
    let wanted = scale.unwrap_or_else(|| 1.0 / (d as f64).sqrt());
    let scale = T::of(wanted);
    assert!(
        scale.is_finite(),
        "attention: expected a finite scale, got {wanted:?}{}",
        if wanted.is_finite() { ", which is infinite in f32" } else { "" }
    );
    match pairs {
        None => (q.matmul(&k.transpose()) * scale).softmax(-1),
        Some(pairs) => (pairs.scores(q, k) * scale).softmax_where(pairs),
    }
}

pub(super) fn gather<T: Float>(
    weights: &Tensor<T>,
    v: &Tensor<T>,
    pairs: Option<&Pairs>,
) -> Tensor<T> {
    match pairs {
        None => weights.matmul(v),
        Some(pairs) => pairs.gather(weights, v),
    }
}
// ANCHOR_END: attention
