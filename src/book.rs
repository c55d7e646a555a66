//! One line per page of the book, and one for the README: every Rust block of a page is a doctest
//! of this crate.
//!
//! `cargo test --doc layer_norm` runs one page's blocks (and the doc examples of the layer).

#[doc = include_str!("../book/src/introduction.md")]
mod introduction {}

#[doc = include_str!("../book/src/layer_norm.md")]
mod layer_norm {}

#[doc = include_str!("../book/src/using_layer_norm.md")]
mod using_layer_norm {}

#[doc = include_str!("../book/src/iris.md")]
mod iris {}

#[doc = include_str!("../book/src/tensor.md")]
mod tensor {}

#[doc = include_str!("../book/src/conventions.md")]
mod conventions {}

#[doc = include_str!("../book/src/speed.md")]
mod speed {}

#[doc = include_str!("../book/src/exercises.md")]
mod exercises {}

#[doc = include_str!("../book/src/running_code.md")]
mod running_code {}

#[doc = include_str!("../README.md")]
mod readme {}
