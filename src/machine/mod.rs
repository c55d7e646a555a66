//! The layer below tensors: element types, memory buffers, vector loops and threads.

pub(crate) mod buffer;
pub(crate) mod column_sums;
#[cfg(test)]
pub(crate) mod counted;
mod float;
pub(crate) mod lanes;
pub(crate) mod spread;
pub(crate) mod sums;
pub(crate) mod threads;
pub(crate) mod vectors;

pub use buffer::release_buffers;
pub use float::Float;
