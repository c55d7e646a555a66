//! [`TransformerBlock`]: attention and a small network, with norms. Page: `book/src/tensor.md`.

use rand::Rng;

use crate::{Float, LayerNorm, Linear, Mask, MultiHeadAttention, Tensor, shape};

/// Where a block normalizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlacement {
    /// Before each sublayer, on its branch: `x + sublayer(norm(x))`. What flows from block to block
    /// is never normalized.
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
/// input `[.., length, embed_dim]`, output the same.
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
/// *Differs from PyTorch in*: the placement is said, not defaulted (`norm_first`, post-norm there);
/// there is no dropout; initial values. Names and layouts of the parameters are those of
/// `nn.TransformerEncoderLayer`; the norms' γ and β are `weight` and `bias` there.
///
/// Papers: Vaswani et al., *Attention Is All You Need*, 2017 (arXiv 1706.03762), section 3.1, for
/// post-norm; Xiong et al., *On Layer Normalization in the Transformer Architecture*, 2020 (arXiv
/// 2002.04745), for both. Page: `book/src/tensor.md`.
#[derive(Clone, Debug)]
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
    #[must_use]
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

    /// What the block makes of `x`; the mask says which positions see which.
    ///
    /// # Panics
    /// If `x` is not of shape `[.., length, embed_dim]`, or the mask does not fit.
    // ANCHOR: forward
    #[must_use]
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

    /// What is trained: `self_attn`, `linear1`, `linear2`, `norm1`, `norm2`.
    #[must_use]
    pub fn parameters(&self) -> Vec<&Tensor<T>> {
        let Self { embed_dim: _, placement: _, self_attn, linear1, linear2, norm1, norm2 } = self;
        [
            self_attn.parameters(),
            linear1.parameters(),
            linear2.parameters(),
            norm1.parameters(),
            norm2.parameters(),
        ]
        .concat()
    }

    /// What is trained, in the order of [`parameters`](Self::parameters), for an optimiser's
    /// `step`.
    #[must_use]
    pub fn parameters_mut(&mut self) -> Vec<&mut Tensor<T>> {
        let Self { embed_dim: _, placement: _, self_attn, linear1, linear2, norm1, norm2 } = self;
        let parts = [
            self_attn.parameters_mut(),
            linear1.parameters_mut(),
            linear2.parameters_mut(),
            norm1.parameters_mut(),
            norm2.parameters_mut(),
        ];
        parts.into_iter().flatten().collect()
    }
}
