//! [`SaveError`] and [`LoadError`].

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why tensors were not saved.
#[derive(Debug, Error)]
pub enum SaveError {
    /// The file could not be written. An existing file is unchanged.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Two tensors have the same name.
    #[error("two tensors are called `{name}`")]
    GivenTwice {
        /// The name.
        name: String,
    },
    /// A tensor is called `__metadata__`, a name that safetensors reserves.
    #[error("no tensor can be called `__metadata__` in a safetensors file")]
    Reserved,
}

/// Why tensors were not loaded. No tensor has changed.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file is cut off, damaged, or of another kind.
    #[error("{}: not a whole safetensors file: {reason}", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The names in the file are not those of the module.
    #[error("{}: missing {missing:?}, not asked for {unexpected:?}", path.display())]
    Names {
        /// The file.
        path: PathBuf,
        /// In the module and not in the file, in alphabetical order.
        missing: Vec<String>,
        /// In the file and not in the module, in alphabetical order.
        unexpected: Vec<String>,
    },
    /// A tensor in the file has another shape.
    #[error("{}: `{name}`: expected shape {expected:?}, got {got:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// The shape it is to be loaded into.
        expected: Vec<usize>,
        /// The shape in the file.
        got: Vec<usize>,
    },
    /// A tensor in the file has another element type.
    #[error("{}: `{name}`: expected element type {expected}, got {got}", path.display())]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// `F32` or `F64`, as safetensors calls them.
        expected: String,
        /// The type in the file.
        got: String,
    },
    /// Two tensors of the module have the same name.
    #[error("two tensors are called `{name}`")]
    GivenTwice {
        /// The name.
        name: String,
    },
}
