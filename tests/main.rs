//! The tests, a module for each stem: `cargo test layer_norm` runs those of one. They are one program, since each
//! program would compile the generic code of the crate and link it once more.
//!
//! Two are programs of their own: `golden.rs` makes a test of every case that it finds, and `memory.rs` counts the
//! bytes of its whole process.

mod close;
mod common;

mod adam;
mod attention;
mod batch_norm;
mod block;
mod book;
mod conv;
mod datasets;
mod exercises;
mod figures;
mod gradient_check;
mod gradients;
mod group_norm;
mod instance_norm;
mod iris;
mod layer_norm;
mod loss;
mod module;
mod ops;
mod plain;
mod rms_norm;
mod save;
mod sgd;
mod tensor;
