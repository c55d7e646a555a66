//! [`Mask`]: which keys a query may look at.

use ndarray::{ArrayD, Axis};

use crate::engine::shape;
use crate::ops::pairs::Pairs;

/// Which keys a query may look at.
///
/// # NaN and infinities
/// Without a mask, NaN and infinities spread as in any matrix product: one NaN in a key or a value
/// reaches every query. With a mask, they reach only the queries that may look at them:
///
/// * A key that a query may not look at, and that key's value, have no effect on the query's
///   result, nor on any gradient that flows through the query, whatever numbers they hold.
/// * A query on which the loss does not depend (its upstream gradient is 0 throughout, as after
///   [`slice_axis`](crate::Tensor::slice_axis)) adds nothing to any gradient, whatever its numbers
///   or its result.
///
/// So a padding position that is masked, and cut off before the loss, harms nothing in attention,
/// even if it holds NaN. The results and gradients of the other positions, and the gradients of the
/// parameters of a [`MultiHeadAttention`](crate::MultiHeadAttention), are as if it held zeros; its
/// own gradient is 0. This holds for attention only. Other layers, also those in a
/// [`TransformerBlock`](crate::TransformerBlock), sum the gradients of their parameters over all
/// positions, 0 · NaN among them: fill padding with zeros before them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Mask {
    /// All keys.
    None,
    /// The keys up to the query's own position: query i looks at keys 0 to i.
    Causal,
    /// The keys marked `true`.
    ///
    /// The mask is aligned with the scores at the last axis; an axis of length 1 stretches, any
    /// other must have the same length. In [`MultiHeadAttention`](crate::MultiHeadAttention) and
    /// [`TransformerBlock`](crate::TransformerBlock), whose input is `[.., length, embed_dim]`, the
    /// number of axes says what the mask means (queries and keys are both `length`):
    ///
    /// | axes | shape | the mask is the same for |
    /// | --- | --- | --- |
    /// | 1 | `[keys]` | all queries, sequences and heads |
    /// | 2 | `[queries, keys]` | all sequences and heads |
    /// | as many as the input | `[.., queries, keys]`, most often `[batch, 1, keys]` | all heads |
    /// | one more than the input | `[.., heads, queries, keys]` | nothing: one per head |
    ///
    /// (With a number of axes between 2 and the input's, the mask has the last few of the input's
    /// leading axes.) A matrix is always `[queries, keys]`. A mask of each example's keys is
    /// `[batch, 1, keys]`, with three axes. `[batch, keys]` is refused, except where `batch` is 1
    /// or `length`: there it looks like `[queries, keys]`.
    ///
    /// [`attention_weights`](crate::attention_weights) and
    /// [`scaled_dot_product_attention`](crate::scaled_dot_product_attention) do not know which axis
    /// holds the heads: the mask is `[keys]`, `[queries, keys]`, or has all axes of the scores
    /// `[.., queries, keys]`.
    ///
    /// ```
    /// use evenkeel::{Mask, MultiHeadAttention, Tensor, rng};
    /// use ndarray::{Array, s};
    ///
    /// let attention = MultiHeadAttention::new(4, 2, &mut rng(1));
    /// let x = Tensor::new(Array::from_shape_fn((2, 3, 4), |(_, i, j)| (i * j) as f64));
    ///
    /// // Two sequences, filled up to 3 positions: the second has only 2 of its own.
    /// let lengths = [3, 2];
    /// let keys = Array::from_shape_fn((2, 1, 3), |(example, _, key)| key < lengths[example]);
    /// let (_, weights) = attention.forward_with_weights(&x, &Mask::Allow(keys.into_dyn()));
    /// let last_key = weights.value().slice_move(s![.., .., .., 2]).to_owned(); // [batch, heads, queries]
    /// assert!(last_key.slice(s![0, .., ..]).iter().all(|&weight| weight > 0.0));
    /// assert!(last_key.slice(s![1, .., ..]).iter().all(|&weight| weight == 0.0));
    /// ```
    ///
    /// *PyTorch*: a boolean `attn_mask` of `F.scaled_dot_product_attention` means the same if it
    /// has two axes or all; in `nn.MultiheadAttention` it means the opposite, and the padding
    /// `[batch, keys]` is an argument of its own, `key_padding_mask`.
    Allow(ArrayD<bool>),
}

impl Mask {
    /// The pairs that the mask allows among scores `[.., queries, keys]`; `None` if it allows all.
    #[track_caller]
    pub(super) fn pairs(&self, scores: Vec<usize>) -> Option<Pairs> {
        if let Self::Allow(allowed) = self {
            shape::mask(allowed.shape(), &scores);
        }
        self.checked(scores)
    }

    /// As [`pairs`](Self::pairs), for self-attention by `heads` on an input
    /// `[.., length, features]`.
    #[track_caller]
    pub(super) fn pairs_of_heads(
        &self,
        layer: &str,
        input: &[usize],
        heads: usize,
    ) -> Option<Pairs> {
        let &[ref leading @ .., length, _] = input else { unreachable!("checked by the caller") };
        let scores = [leading, &[heads, length, length]].concat();
        let Self::Allow(allowed) = self else { return self.checked(scores) };
        shape::mask_of_heads(layer, allowed.shape(), input, heads);
        let axes = allowed.ndim();
        if (3..scores.len()).contains(&axes) {
            // The same for all heads: the axis of heads comes before queries and keys.
            let with_heads = allowed.clone().insert_axis(Axis(axes - 2));
            return Some(Pairs::new(with_heads, scores));
        }
        self.checked(scores)
    }

    /// The pairs of a mask whose shape has been checked.
    fn checked(&self, scores: Vec<usize>) -> Option<Pairs> {
        let allowed = match self {
            Self::None => return None,
            Self::Causal => {
                let lengths = &scores[scores.len() - 2..];
                ArrayD::from_shape_fn(lengths, |at| at[1] <= at[0])
            }
            Self::Allow(allowed) => allowed.clone(),
        };
        Some(Pairs::new(allowed, scores))
    }
}
