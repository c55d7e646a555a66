//! `use evenkeel::prelude::*;`: what a program of the book needs, in one line.
//!
//! ```
//! use evenkeel::prelude::*;
//!
//! let y = LayerNorm::new(3).with_eps(0.0).forward(&array![[1.0, 2.0, 3.0]].into());
//! assert_relative_eq!(y, array![[-1.5f64.sqrt(), 0.0, 1.5f64.sqrt()]].into(), epsilon = 1e-15);
//! ```

pub use approx::assert_relative_eq;
pub use ndarray::array;

pub use crate::engine::{Gradients, Module, Named, SeededRng, Tensor, gradient_check, named, rng};
pub use crate::nn::{
    Conv2d, CrossEntropy, Linear, Mask, MultiHeadAttention, NormPlacement, TransformerBlock,
    cross_entropy, load, mse, save,
};
pub use crate::norm::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm, plain};
pub use crate::optim::{Adam, AdamW, Sgd, warmup};
