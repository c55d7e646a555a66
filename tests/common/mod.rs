//! What the tests share.
#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

pub mod golden;

use evenkeel::Tensor;
use ndarray::{ArrayD, Dimension, IxDyn};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Numbers from N(0, 1), the same for the same seed.
pub fn normal(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Tensor::new(ArrayD::from_shape_simple_fn(IxDyn(shape), || StandardNormal.sample(&mut rng)))
}

/// Whether `|got - want| <= tolerance · max(1, largest |want|)` holds everywhere, as `tests/golden/README.md` says it.
/// The shape is compared first; NaN is close only to NaN; the message names the worst place.
pub fn close(what: &str, got: &ArrayD<f64>, want: &ArrayD<f64>, tolerance: f64) -> Result<(), String> {
    if got.shape() != want.shape() {
        return Err(format!("{what}: expected shape {:?}, got {:?}", want.shape(), got.shape()));
    }
    let size = want.iter().filter(|want| want.is_finite()).fold(1.0, |size: f64, want| size.max(want.abs()));
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
    if let Err(message) = close(what, &got.value().to_owned(), &want.value().to_owned(), tolerance) {
        panic!("{message}");
    }
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
