//! How the cases of each op are run, and the tests of that.

pub mod adam;
pub mod attention;
pub mod case;
pub mod functional;
pub mod mlp_training;
pub mod norm;
pub mod reader;
