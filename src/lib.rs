//! Normalization layers with their gradients, as a book that runs.
//!
//! This crate is what the book *Even Keel* is about, and what every block of the book runs against:
//! a small reverse-mode autograd engine on `ndarray`, normalization layers with closed-form
//! gradients, and what is needed to train a network with them.
//!
//! ```
//! use evenkeel::prelude::*;
//!
//! let x = Tensor::new(array![[1.0, 2.0, 3.0, 4.0]]);                    // a constant
//! let mut w = Tensor::parameter(array![[0.1], [0.2], [0.3], [0.4]]);    // a trainable leaf
//! let mut ln = LayerNorm::new(4);
//!
//! let loss = ln.forward(&x).matmul(&w).sum();
//! let gradients = loss.backward();                                      // no zero_grad, no hidden state
//! assert_eq!(gradients[&w].shape(), [4, 1]);
//!
//! Adam::new(0.01).step((&mut w, &mut ln), &gradients);
//! assert!(w.value()[[0, 0]] > 0.1 && w.value()[[3, 0]] < 0.4);          // moved against the gradient
//! ```
//!
//! # The rooms, in reading order
//!
//! Each knows those below it in this list's last column, and no other.
//!
//! | room | what is in it | knows |
//! | --- | --- | --- |
//! | `engine` | [`Tensor`], the graph and [`Tensor::backward`], [`Gradients`], every shape rule and message, [`Module`], [`rng()`], [`gradient_check()`] | `machine` |
//! | `ops` | one function per operation, with its derivative | `engine` |
//! | `norm` | [`LayerNorm`], [`RMSNorm`], [`BatchNorm`], [`GroupNorm`], [`InstanceNorm`], and their loops | `engine` |
//! | `nn` | [`Linear`], [`cross_entropy`], [`MultiHeadAttention`], [`TransformerBlock`], [`Conv2d`]; [`save()`] and [`load()`]: safetensors files, to PyTorch and back | `ops`, `norm` |
//! | `optim` | [`Sgd`], [`Adam`], [`AdamW`], [`warmup()`] | `engine` |
//! | [`datasets`] | Iris and digits, embedded, and tables of your own | |
//! | [`exercises`] | what judges the answers to the book's exercises | `norm` |
//! | `machine` | element types, memory buffers, vectors, threads: no tensors | |
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

pub mod datasets;
mod engine;
pub mod exercises;
#[cfg(test)]
mod loops;
mod machine;
mod nn;
mod norm;
mod ops;
mod optim;
#[cfg(all(debug_assertions, not(test)))]
#[doc(hidden)]
pub mod precompiled;
pub mod prelude;

pub use engine::{
    GradientMismatch, Gradients, Module, Named, SeededRng, Tensor, WrongLength, gradient_check,
    named, rng,
};
pub use machine::{Float, release_buffers};
pub use nn::{
    Conv2d, CrossEntropy, Linear, LoadError, Mask, MultiHeadAttention, NormPlacement, Reduction,
    SaveError, TransformerBlock, attention_weights, cross_entropy, load, mse, save,
    scaled_dot_product_attention,
};
/// [`RMSNorm`] by the name that Rust's naming rules would give it.
pub use norm::RMSNorm as RmsNorm;
pub use norm::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm, plain};
pub use optim::{Adam, AdamW, Moments, Sgd, warmup};
/// The crate whose generators the layers take, in the version they take: 0.9.
pub use rand;
