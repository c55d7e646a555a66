//! What the tests share.
#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

pub mod golden;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Once;

use evenkeel::{Float, Tensor};
use ndarray::{ArrayD, Axis, Dimension, IxDyn};
use proptest::prelude::{Just, Strategy};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Numbers from N(0, 1), the same for the same seed.
pub fn normal(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Tensor::new(ArrayD::from_shape_simple_fn(IxDyn(shape), || StandardNormal.sample(&mut rng)))
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

/// Whether `|got - want| <= tolerance · max(1, largest |want|)` holds everywhere, as `tests/golden/README.md` says it.
/// The shape is compared first; NaN is close only to NaN; the message names the worst place.
pub fn close(
    what: &str,
    got: &ArrayD<f64>,
    want: &ArrayD<f64>,
    tolerance: f64,
) -> Result<(), String> {
    if got.shape() != want.shape() {
        return Err(format!("{what}: expected shape {:?}, got {:?}", want.shape(), got.shape()));
    }
    let size = want
        .iter()
        .filter(|want| want.is_finite())
        .fold(1.0, |size: f64, want| size.max(want.abs()));
    let error = |got: f64, want: f64| {
        if got == want || (got.is_nan() && want.is_nan()) {
            0.0
        } else {
            let error = (got - want).abs() / size;
            if error.is_nan() { f64::INFINITY } else { error }
        }
    };
    let worst = want.indexed_iter().map(|(index, &want)| (error(got[&index], want), index));
    let worst = worst.max_by(|(a, _), (b, _)| a.total_cmp(b));
    match worst {
        Some((error, index)) if error > tolerance => Err(format!(
            "{what}: worst at {:?}: expected {:e}, got {:e}, error {error:.1e}, tolerated {tolerance:.0e}",
            index.slice(),
            want[&index],
            got[&index]
        )),
        _ => Ok(()),
    }
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

/// Runs `code`, which must panic with this message and blame the file that calls this function.
#[track_caller]
pub fn assert_panics<R>(expected: &str, code: impl FnOnce() -> R) {
    let (message, file) = panic_of(code);
    assert_eq!(message, expected);
    assert_eq!(file, Location::caller().file(), "{expected}");
}

/// Runs `code`, which must panic; returns the message and the file it was blamed on.
pub fn panic_of<R>(code: impl FnOnce() -> R) -> (String, String) {
    // The hook runs in the thread that panics, so tests in other threads do not disturb this.
    thread_local! { static EXPECTED: Cell<bool> = const { Cell::new(false) } }
    thread_local! { static FOUND: Cell<(String, String)> = const { Cell::new((String::new(), String::new())) } }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if EXPECTED.get() {
                let message = info.payload_as_str().unwrap_or_default().to_owned();
                FOUND.set((
                    message,
                    info.location().map(|location| location.file().to_owned()).unwrap_or_default(),
                ));
            } else {
                default(info);
            }
        }));
    });
    EXPECTED.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| drop(code())));
    EXPECTED.set(false);
    assert!(result.is_err(), "this must panic");
    FOUND.take()
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
