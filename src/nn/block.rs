//! [`TransformerBlock`]: attention and a feed-forward network, each with a norm.

use rand::Rng;

use super::{Linear, Mask, MultiHeadAttention};
use crate::engine::{Module, Named, Tensor, named, shape};
use crate::machine::Float;
use crate::norm::LayerNorm;

/// Where a block normalizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlacement {
    /// Before each sublayer: `x + sublayer(norm(x))`. The sum that goes from block to block is
    /// never normalized.
    Pre,
    /// After each sum: `norm(x + sublayer(x))`.
    Post,
}

/// One block of a transformer encoder, in pre-norm or post-norm order.
///
/// ```text
/// pre-norm:   x = x + attention(norm1(x))       x = x + feed_forward(norm2(x))
/// post-norm:  x = norm1(x + attention(x))       x = norm2(x + feed_forward(x))
///
/// feed_forward(x) = linear2(relu(linear1(x)))
/// ```
///
/// # Shapes
/// input `[.., length, embed_dim]`, output the same. The mask is that of [`MultiHeadAttention`].
/// With at most as many axes as the input it is the same for all heads: `[batch, 1, length]` masks
/// the padding of each example. With one axis more, `[.., num_heads, length, length]`, each head
/// has its own: see [`Mask::Allow`].
///
/// # Defaults
/// those of [`MultiHeadAttention`], [`LayerNorm`] and [`Linear`].
///
/// ```
/// use evenkeel::{Mask, NormPlacement, Tensor, TransformerBlock};
/// use ndarray::Array;
///
/// let mut rng = evenkeel::rng(1);
/// let mut block = TransformerBlock::new(4, 2, 16, NormPlacement::Pre, &mut rng);
/// let x = Tensor::new(Array::from_shape_fn((1, 3, 4), |(_, i, j)| (i * j) as f64));
/// assert_eq!(block.forward(&x, &Mask::None).shape(), [1, 3, 4]);
///
/// // A pre-norm block whose branches end in zeros lets everything pass as it is.
/// let zeros = |w: &Tensor| Tensor::parameter(Array::zeros(w.value().raw_dim()));
/// block.self_attn.out_proj.weight = zeros(&block.self_attn.out_proj.weight);
/// block.linear2.weight = zeros(&block.linear2.weight);
/// assert_eq!(block.forward(&x, &Mask::None), x);
/// ```
///
/// # Numerics
/// A mask keeps NaN in hidden positions out of the results of other positions. But the gradients of
/// the parameters of the norms and of the feed-forward network are sums over all positions, masked
/// or not: NaN in padding makes these gradients NaN. Fill padding with zeros.
///
/// *Differs from PyTorch in*: the placement has no default (`norm_first` there, post-norm by
/// default); there is no dropout; the initial values. Names and layouts of the parameters are those
/// of `nn.TransformerEncoderLayer`; the norms' γ and β are `weight` and `bias` there.
///
/// Papers: Vaswani et al., *Attention Is All You Need*, 2017 (arXiv 1706.03762), section 3.1, for
/// post-norm; Xiong et al., *On Layer Normalization in the Transformer Architecture*, 2020 (arXiv
/// 2002.04745), for both orders. Page: `book/src/tensor.md`.
///
/// A clone shares its parameters; [`Module::copy`](crate::Module::copy) makes a layer with its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct TransformerBlock<T: Float = f64> {
    embed_dim: usize,
    placement: NormPlacement,
    /// The first sublayer.
    pub self_attn: MultiHeadAttention<T>,
    /// The second sublayer, into the hidden features.
    pub linear1: Linear<T>,
    /// The second sublayer, out of the hidden features.
    pub linear2: Linear<T>,
    /// The norm of the first sublayer.
    pub norm1: LayerNorm<T>,
    /// The norm of the second sublayer.
    pub norm2: LayerNorm<T>,
}

impl<T: Float> TransformerBlock<T> {
    /// A block with random weights from `rng`; `hidden` is the width of the feed-forward network
    /// (four times `embed_dim` in the paper).
    ///
    /// # Panics
    /// If the heads do not divide `embed_dim`, or a number is 0.
    #[track_caller]
    pub fn new(
        embed_dim: usize,
        num_heads: usize,
        hidden: usize,
        placement: NormPlacement,
        rng: &mut impl Rng,
    ) -> Self {
        Self {
            embed_dim,
            placement,
            self_attn: MultiHeadAttention::new(embed_dim, num_heads, rng),
            linear1: Linear::new(embed_dim, hidden, rng),
            linear2: Linear::new(hidden, embed_dim, rng),
            norm1: LayerNorm::new(embed_dim),
            norm2: LayerNorm::new(embed_dim),
        }
    }

    /// Applies the block to `x`. The mask says which positions may look at which, in the shapes of
    /// [`Mask::Allow`].
    ///
    /// ```
    /// use evenkeel::{Mask, NormPlacement, Tensor, TransformerBlock, rng};
    /// use ndarray::Array;
    ///
    /// let block = TransformerBlock::new(4, 2, 16, NormPlacement::Pre, &mut rng(1));
    /// let x = Tensor::new(Array::from_shape_fn((2, 3, 4), |(b, i, j)| (b + i * j) as f64));
    ///
    /// // The second example has two positions; its third is padding.
    /// let lengths = [3, 2];
    /// let keys = Array::from_shape_fn((2, 1, 3), |(example, _, key)| key < lengths[example]);
    /// let y = block.forward(&x, &Mask::Allow(keys.into_dyn()));
    /// let second = |x: &Tensor| x.slice_axis(0, 1..2).slice_axis(1, 0..2);
    /// approx::assert_relative_eq!(
    ///     second(&y),
    ///     block.forward(&second(&x), &Mask::None), // as if it were not there
    ///     epsilon = 1e-12
    /// );
    /// ```
    ///
    /// # Panics
    /// If `x` is not of shape `[.., length, embed_dim]`, or the mask does not fit.
    // ANCHOR: forward
    #[track_caller]
    pub fn forward(&self, x: &Tensor<T>, mask: &Mask) -> Tensor<T> {
        shape::positions("TransformerBlock", self.embed_dim, x.shape());
        match self.placement {
            NormPlacement::Pre => {
                let x = x + self.self_attn.forward(&self.norm1.forward(x), mask);
                &x + self.feed_forward(&self.norm2.forward(&x))
            }
            NormPlacement::Post => {
                let x = self.norm1.forward(&(x + self.self_attn.forward(x, mask)));
                self.norm2.forward(&(&x + self.feed_forward(&x)))
            }
        }
    }

    #[track_caller]
    fn feed_forward(&self, x: &Tensor<T>) -> Tensor<T> {
        self.linear2.forward(&self.linear1.forward(x).relu())
    }
    // ANCHOR_END: forward
}

impl<T: Float> Module<T> for TransformerBlock<T> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        named([
            ("self_attn", &mut self.self_attn),
            ("linear1", &mut self.linear1),
            ("linear2", &mut self.linear2),
            ("norm1", &mut self.norm1),
            ("norm2", &mut self.norm2),
        ])
    }
}
