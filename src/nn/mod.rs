//! Linear layers, convolution, attention and losses; saving and loading tensors.

mod attention;
mod block;
mod conv;
mod linear;
mod loss;
mod save;

pub use attention::{Mask, MultiHeadAttention, attention_weights, scaled_dot_product_attention};
pub use block::{NormPlacement, TransformerBlock};
pub use conv::Conv2d;
pub use linear::Linear;
pub use loss::{CrossEntropy, Reduction, cross_entropy, mse};
pub use save::{LoadError, SaveError, load, save};
