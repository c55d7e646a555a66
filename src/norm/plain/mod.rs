//! Each layer as a textbook writes it: the formulas, in two passes, on `ndarray`'s arrays.
//!
//! These are the specification of the layers: a test holds [`LayerNorm`](crate::LayerNorm) and the others
//! to them, outputs and gradients. They have no graph, no vectors and no threads, and the numbers are `f64`. The
//! names are those of the formulas: `dy` is the gradient of the loss with respect to the output, `g` that
//! with respect to `x_hat`.
//!
//! | function | one mean for | shape of `x` |
//! | --- | --- | --- |
//! | [`layer_norm`] | each row | `[B, n]` |
//! | [`rms_norm`] | each row, and no mean is subtracted | `[B, n]` |
//! | [`batch_norm_train`], [`batch_norm`] | each column | `[B, n]` |
//! | [`group_norm`] | each group of channels of each example | `[B, C, P]` |
//!
//! An image of shape `[B, C, H, W]` is `[B, C, P]` with the `P = H·W` pixels as positions. For BatchNorm it
//! is `[B·P, C]`: each pixel is a row. InstanceNorm is GroupNorm with as many groups as channels.

mod batch_norm;
mod group_norm;
mod layer_norm;
mod rms_norm;

pub use batch_norm::{
    Running, batch_norm, batch_norm_backward, batch_norm_train, batch_norm_train_backward,
};
pub use group_norm::{group_norm, group_norm_backward};
pub use layer_norm::{layer_norm, layer_norm_backward};
pub use rms_norm::{rms_norm, rms_norm_backward};
