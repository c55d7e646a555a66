//! [`Mask`]: which keys a query may look at.

use ndarray::{ArrayD, Axis};

use crate::engine::shape;
use crate::ops::pairs::Pairs;

/// Which keys a query may look at.
///
/// # NaN and infinities
/// Without a mask they spread as in any product of matrices: one NaN in a key or a value reaches
/// every query. With one, they reach the queries that may look at them, and no other:
///
/// * A key that a query may not look at, and its value, have no part in what the query gathers, nor
///   in any gradient that flows through it, whatever they hold.
/// * A query that the loss does not depend on (its upstream gradient is 0 throughout, as
///   [`slice_axis`](crate::Tensor::slice_axis) leaves it) adds nothing to any gradient, whatever it
///   holds or gathered.
///
/// So a position of padding that is hidden from the others and cut off before the loss harms
/// nothing in attention even if it holds NaN: results and gradients of the other positions, and the
/// gradients of the parameters of a [`MultiHeadAttention`](crate::MultiHeadAttention), are as if it
/// held zeros, and its own gradient is 0. This holds of attention only. Other layers sum the
/// gradients of their parameters over all positions, 0 · NaN among them: before them, and in a
/// [`TransformerBlock`](crate::TransformerBlock), which contains them, fill padding with zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Mask {
    /// All of them.
    None,
    /// Those at its own position and before: query i looks at keys 0 to i.
    Causal,
    /// Those marked `true`.
    ///
    /// The array is aligned with its partner at the last axis; an axis of length 1 stretches, any
    /// other must have the same length. In [`MultiHeadAttention`](crate::MultiHeadAttention) and
    /// [`TransformerBlock`](crate::TransformerBlock), whose input is `[.., length, embed_dim]`, its
    /// number of axes says what it means (queries and keys are both `length`):
    ///
    /// | axes | shape | the mask is the same for |
    /// | --- | --- | --- |
    /// | 1 | `[keys]` | all queries, sequences and heads |
    /// | 2 | `[queries, keys]` | all sequences and heads |
    /// | as many as the input | `[.., queries, keys]`, most often `[batch, 1, keys]` | all heads |
    /// | one more than the input | `[.., heads, queries, keys]` | nothing: one per head |
    ///
    /// (Between 2 and those of the input it has some of the input's leading axes, the last ones.) A
    /// matrix is always `[queries, keys]`. A mask of each example's keys is `[batch, 1, keys]`, with
    /// three axes; `[batch, keys]` is refused, but where `batch` is 1 or `length` it cannot be told
    /// from a matrix of queries and keys.
    ///
    /// [`attention_weights`](crate::attention_weights) and
    /// [`scaled_dot_product_attention`](crate::scaled_dot_product_attention) do not know which axis is
    /// of heads: the mask is `[keys]`, `[queries, keys]`, or has all axes of the scores
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
    /// *PyTorch*: a boolean `attn_mask` of `F.scaled_dot_product_attention` means the same where it
    /// has two axes or all; in `nn.MultiheadAttention` it means the opposite, and the padding
    /// `[batch, keys]` is an argument of its own, `key_padding_mask`.
    Allow(ArrayD<bool>),
}

impl Mask {
    /// The pairs it allows among scores `[.., queries, keys]`; `None` if that is all.
    #[track_caller]
    pub(super) fn pairs(&self, scores: Vec<usize>) -> Option<Pairs> {
        if let Self::Allow(allowed) = self {
            shape::mask(allowed.shape(), &scores);
        }
        self.checked(scores)
    }

    /// As [`pairs`](Self::pairs), of self-attention by `heads` on an input `[.., length, features]`.
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
            // The same for all heads: their axis stands before queries and keys.
            let with_heads = allowed.clone().insert_axis(Axis(axes - 2));
            return Some(Pairs::new(with_heads, scores));
        }
        self.checked(scores)
    }

    /// The pairs of a mask that fits.
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
