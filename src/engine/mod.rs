//! Tensors and the graph that computes their gradients: the part to read first.

pub(crate) mod autograd;
mod constructors;
mod gradient_check;
mod gradients;
pub(crate) mod init;
mod module;
mod parameter;
mod print;
mod random;
pub(crate) mod shape;
mod tensor;
mod value;

pub use gradient_check::{GradientMismatch, gradient_check};
pub use gradients::Gradients;
pub use module::{Module, Named, named};
pub use random::{SeededRng, rng};
pub use tensor::{Tensor, WrongLength};
