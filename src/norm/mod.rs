//! The normalization layers.
//!
//! | layer | statistics over | state | page |
//! | --- | --- | --- | --- |
//! | [`LayerNorm`] | the features of one row | none | `book/src/layer_norm.md` |

mod kernel;
mod layer_norm;

pub use layer_norm::LayerNorm;
