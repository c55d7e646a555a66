//! What the modules of `main.rs` share.

pub mod panics;

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel::{Float, Tensor, rng};
use ndarray::{ArrayD, Axis, IxDyn};
pub use panics::{assert_panics, panic_of};
use proptest::prelude::{Just, Strategy};

pub use crate::close::close;

/// The folder of the whole project.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A text of the project, by its path from the root on.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Numbers from N(0, 1), the same for the same seed.
pub fn normal(shape: &[usize], seed: u64) -> Tensor {
    Tensor::randn(shape, &mut rng(seed))
}

/// The same numbers, each rounded to `f32`.
pub fn narrow(tensor: &Tensor) -> Tensor<f32> {
    Tensor::new(tensor.value().mapv(f32::of))
}

/// The same numbers as `f64`.
pub fn wide(tensor: &Tensor<f32>) -> Tensor {
    Tensor::new(tensor.value().mapv(Float::wide))
}

/// The rows along the last axis.
pub fn rows(tensor: &Tensor) -> Vec<Vec<f64>> {
    tensor.value().rows().into_iter().map(|row| row.to_vec()).collect()
}

pub fn all_nan(numbers: &[f64]) -> bool {
    numbers.iter().all(|x| x.is_nan())
}

/// Inputs and the shapes to normalize them over: lengths that all differ, then PyTorch's samples.
pub const ROWS: [(&[usize], &[usize]); 12] = [
    (&[2, 3, 5], &[5]),
    (&[2, 3, 5], &[3, 5]),
    (&[2, 3, 5], &[2, 3, 5]),
    (&[1, 2, 3], &[1, 2, 3]),
    (&[2, 2, 3], &[2, 3]),
    (&[1], &[1]),
    (&[1, 2], &[2]),
    (&[0, 1], &[1]),
    (&[0, 5], &[5]),
    (&[4, 5, 5], &[5]),
    (&[128, 5, 5], &[5]),
    (&[4, 2, 2, 5], &[2, 2, 5]),
];

/// 9.4 million numbers spread evenly over 0..10, in the shape of PyTorch's own test of long rows.
/// Their sum is near 4.7e7, where the numbers that an `f32` can hold are 4 apart.
pub fn long_row() -> Tensor<f32> {
    let number = |i: u32| (i.wrapping_mul(0x9E37_79B1) >> 8) as f32 * (10.0 / (1 << 24) as f32);
    let numbers = (0..256 * 256 * 144).map(number).collect();
    Tensor::from_vec(&[256, 256, 144], numbers).unwrap()
}

/// Panics unless [`close`].
#[track_caller]
pub fn assert_close(what: &str, got: &Tensor, want: &Tensor, tolerance: f64) {
    if let Err(message) = close(what, &got.value().to_owned(), &want.value().to_owned(), tolerance)
    {
        panic!("{message}");
    }
}

/// A permutation of `0..length`.
pub fn shuffled(length: usize) -> impl Strategy<Value = Vec<usize>> {
    Just((0..length).collect::<Vec<_>>()).prop_shuffle()
}

/// The positions along one axis in another order.
pub fn permuted(x: &Tensor, axis: usize, order: &[usize]) -> Tensor {
    Tensor::new(x.value().select(Axis(axis), order))
}

/// Panics unless `got` is [`close`] to `want`, measured by the largest `want` even if that is tiny.
#[track_caller]
pub fn assert_close_relative(what: &str, got: &Tensor<f32>, want: &Tensor, tolerance: f64) {
    let size = want.value().fold(0.0, |size: f64, want| size.max(want.abs()));
    assert_close(what, &(wide(got) / size), &(want / size), tolerance);
}

#[test]
fn close_refuses_shapes_nan_and_errors() {
    let one = ArrayD::from_elem(IxDyn(&[2]), 1.0);
    assert!(close("same", &one, &one, 0.0).is_ok());
    assert!(
        close("shape", &one, &ArrayD::ones(IxDyn(&[2, 1])), 1.0)
            .unwrap_err()
            .contains("expected shape [2, 1]")
    );
    assert!(close("nan", &ArrayD::from_elem(IxDyn(&[2]), f64::NAN), &one, 1e300).is_err());
    assert!(close("inf", &ArrayD::from_elem(IxDyn(&[2]), f64::INFINITY), &one, 1e300).is_err());
    let mut off = one.clone();
    off[1] += 1e-6;
    assert!(close("off", &off, &one, 1e-7).unwrap_err().contains("worst at [1]"));
}
