//! Normalization layers with their gradients, as a book that runs.
//!
//! This crate is what the book *Even Keel* is about, and what every block of the book runs against:
//! a small reverse-mode autograd engine on `ndarray`, normalization layers with closed-form
//! gradients, and what is needed to train a network with them.
//!
//! ```
//! use evenkeel::{Adam, LayerNorm, Tensor};
//! use ndarray::array;
//!
//! let x = Tensor::new(array![[1.0, 2.0, 3.0, 4.0]]);                    // a constant
//! let mut w = Tensor::parameter(array![[0.1], [0.2], [0.3], [0.4]]);    // a trainable leaf
//! let mut ln = LayerNorm::new(4);
//!
//! let loss = ln.forward(&x).matmul(&w).sum();
//! let gradients = loss.backward();                                      // no zero_grad, no hidden state
//! assert_eq!(gradients.get(&w).unwrap().shape(), [4, 1]);
//!
//! Adam::new(0.01).step([&mut w].into_iter().chain(ln.parameters_mut()), &gradients);
//! assert!(w.value()[[0, 0]] > 0.1 && w.value()[[3, 0]] < 0.4);          // moved against the gradient
//! ```
//!
//! # The modules, in reading order
//!
//! 1. `tensor` and `autograd`: [`Tensor`], the graph, [`Tensor::backward`]. An evening's start.
//!    `constructors` and `random`: tensors from shapes, from numbers, and from [`rng()`]; `print`:
//!    what they look like. `gradients`: [`Gradients`], what `backward` returns, added up and clipped.
//! 2. `shape`: every shape rule and every shape message.
//! 3. `ops`: one function per operation, with its derivative.
//! 4. `norm`: [`LayerNorm`] and [`RMSNorm`], with their loops in `norm/kernel.rs`; [`BatchNorm`],
//!    [`GroupNorm`] and [`InstanceNorm`], with theirs in `norm/channels.rs`; the sums that all of
//!    them need in `norm/statistics.rs`.
//! 5. [`Linear`], [`cross_entropy`]: the rest of a network; [`MultiHeadAttention`],
//!    [`TransformerBlock`] and [`Conv2d`] for larger ones. [`Module`]: what names its tensors.
//! 6. [`Sgd`], [`Adam`], [`AdamW`], [`warmup()`]: training it. What they share stands in `optimiser`.
//! 7. [`gradient_check()`]: central differences against `backward`.
//! 8. [`save()`] and [`load()`]: safetensors files, to PyTorch and back.
//! 9. [`datasets`]: Iris and digits, embedded, and tables of your own.
//! 10. [`exercises`]: what judges the answers to the book's exercises.
//! 11. Beneath it all: `storage` (shared numbers), `recycle` (their memory, used again), `threads`,
//!     `vectors`, `lanes` (numbers side by side in them).
//!
//! Shapes that do not fit panic at the line of *your* code that put them together, and say what was
//! expected. Data from outside gives a `Result`.
//!
//! Layers with random first values take a generator: [`rng()`], whose numbers are the same on every
//! machine, or any other of `rand` 0.9, which is [`evenkeel::rand`](rand). A generator of another
//! version of `rand` has other traits and does not fit.

#![forbid(unsafe_code)]

#[cfg(doctest)]
mod book;

mod adam;
mod adam_w;
mod attention;
mod autograd;
mod block;
mod constructors;
mod conv;
pub mod datasets;
pub mod exercises;
mod float;
mod gradient_check;
mod gradients;
mod init;
#[cfg(all(debug_assertions, not(test)))]
#[doc(hidden)]
pub mod instances;
mod lanes;
mod linear;
mod loss;
mod module;
mod moments;
mod norm;
mod ops;
mod optimiser;
mod print;
mod random;
mod recycle;
mod save;
mod save_error;
mod schedule;
mod sgd;
mod shape;
mod spread;
mod storage;
mod sums;
#[cfg(test)]
mod taken;
mod tensor;
mod tensor_parameter;
mod threads;
mod vectors;

pub use adam::Adam;
pub use adam_w::AdamW;
pub use attention::{Mask, MultiHeadAttention, attention_weights, scaled_dot_product_attention};
pub use block::{NormPlacement, TransformerBlock};
pub use conv::Conv2d;
pub use float::Float;
pub use gradient_check::{GradientMismatch, gradient_check};
pub use gradients::Gradients;
pub use linear::Linear;
pub use loss::{CrossEntropy, Reduction, cross_entropy, mse};
pub use module::{Module, named};
pub use moments::Moments;
/// [`RMSNorm`] by the name that Rust's naming rules would give it.
pub use norm::RMSNorm as RmsNorm;
pub use norm::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm};
/// The crate whose generators the layers take, in the version they take: 0.9.
pub use rand;
pub use random::{SeededRng, rng};
pub use recycle::release_buffers;
pub use save::{load, save};
pub use save_error::{LoadError, SaveError};
pub use schedule::warmup;
pub use sgd::Sgd;
pub use tensor::{Tensor, WrongLength};
