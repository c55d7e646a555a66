//! The normalization layers.
//!
//! | layer | statistics over | state | page |
//! | --- | --- | --- | --- |
//! | [`LayerNorm`] | the features of one row: mean and variance | none | `book/src/layer_norm.md` |
//! | [`RMSNorm`] | the features of one row: mean square | none | `book/src/layer_norm.md` |
//! | [`BatchNorm`] | one channel of a batch, all positions | running mean and variance | `book/src/conventions.md` |
//! | [`GroupNorm`] | some channels of one example, all positions | none | `book/src/conventions.md` |
//! | [`InstanceNorm`] | one channel of one example, all positions | none, or as `BatchNorm` | `book/src/conventions.md` |
//!
//! Each layer stands twice: as a textbook writes it, in [`plain`], and as what runs in the graph. The loops of
//! the latter are in `rows.rs` for the first two and in `lines.rs` for the others.

mod batch_norm;
mod channels;
mod far;
mod group_norm;
mod instance_norm;
mod layer_norm;
mod lines;
pub mod plain;
mod planes;
mod rms_norm;
mod rows;
mod running;
mod sets;
mod statistics;

pub use batch_norm::BatchNorm;
pub use group_norm::GroupNorm;
pub use instance_norm::InstanceNorm;
pub use layer_norm::LayerNorm;
pub use rms_norm::RMSNorm;

use ndarray::{Dimension, IntoDimension, IxDyn};

use crate::engine::autograd::Value;
use crate::machine::Float;
use crate::machine::buffer::Buffer;

/// The lengths of the axes that a layer normalizes over.
#[track_caller]
fn normalized_shape(layer: &str, shape: impl IntoDimension) -> Vec<usize> {
    let shape = shape.into_dimension();
    assert!(shape.ndim() > 0, "{layer}: expected a normalized_shape of at least one axis, got []");
    crate::engine::shape::addressable::<f64>(layer, shape.slice());
    shape.slice().to_vec()
}

#[track_caller]
fn checked_eps(layer: &str, eps: f64) -> f64 {
    assert!(
        eps >= 0.0 && eps.is_finite(),
        "{layer}: expected a finite eps of at least 0, got {eps}"
    );
    eps
}

/// What a kernel returned, in the shape it belongs to.
fn array<T: Float>(shape: &[usize], values: impl Into<Buffer<T>>) -> Value<T> {
    Value::new(IxDyn(shape), values)
}
