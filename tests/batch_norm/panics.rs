//! What BatchNorm refuses. Page: `book/src/layer_norm.md`.

use evenkeel::{BatchNorm, Tensor};
use ndarray::{Array, array};

use super::{state, trained};
use crate::common::{assert_panics, normal};

#[test]
fn panics_when_a_channel_has_one_value_in_training() {
    for shape in [[1, 3].as_slice(), &[1, 3, 1], &[1, 3, 1, 1], &[1, 10, 1]] {
        let expected = format!(
            "BatchNorm: expected more than one value per channel to take a variance of, \
             got an input of shape {shape:?}"
        );
        let mut layer = trained(shape[1], 1);
        let x = normal(shape, 1);
        assert_panics(&expected, || layer.forward_train(&x));
        assert_eq!(state(&layer), state(&trained(shape[1], 1))); // nothing was remembered
        assert_panics(&expected, || layer.with_tracking(false).forward(&x));
    }
}

#[test]
fn panics_when_the_channels_differ() {
    for (shape, got) in [(&[2, 3][..], "[2, 3]"), (&[2, 3, 4], "[2, 3, 4]"), (&[4], "[4]")] {
        let expected = format!("BatchNorm: expected an input of shape [batch, 4, ..], got {got}");
        let mut plain = BatchNorm::new(4).without_affine().with_tracking(false);
        assert_panics(&expected, || BatchNorm::new(4).forward(&normal(shape, 1)));
        assert_panics(&expected, || BatchNorm::new(4).forward_train(&normal(shape, 1)));
        assert_panics(&expected, || plain.forward_train(&normal(shape, 1)));
    }
}

#[test]
fn panics_when_a_tensor_of_the_layer_has_another_shape() {
    let x = normal(&[2, 10], 1);
    for of in ["gamma", "beta", "running_mean", "running_var"] {
        for length in [9, 11, 1] {
            let mut layer = BatchNorm::new(10);
            let tensor = match of {
                "gamma" => &mut layer.gamma,
                "beta" => &mut layer.beta,
                "running_mean" => &mut layer.running_mean,
                _ => &mut layer.running_var,
            };
            *tensor = Tensor::new(Array::ones(length));
            let expected = format!("BatchNorm: expected {of} of shape [10], got [{length}]");
            assert_panics(&expected, || layer.forward(&x));
            assert_panics(&expected, || layer.forward_train(&x));
        }
    }
}

#[test]
fn panics_when_a_running_variance_is_negative() {
    let mut layer = BatchNorm::new(3);
    layer.running_var = Tensor::new(array![1.0, -0.5, -1.0]);
    let expected = "BatchNorm: expected a running_var of at least 0, got -0.5 in channel 1";
    assert_panics(expected, || layer.forward(&normal(&[2, 3], 1)));
}

#[test]
fn panics_when_eps_or_momentum_is_out_of_range() {
    for eps in [-1.0, -1e-5, f64::NAN, f64::INFINITY] {
        let expected = format!("BatchNorm: expected a finite eps of at least 0, got {eps}");
        assert_panics(&expected, || BatchNorm::<f64>::new(4).with_eps(eps));
    }
    for momentum in [2.0, -1.0, -1.2, 1.000_001, f64::NAN] {
        let expected = format!("BatchNorm: expected a momentum within 0..=1, got {momentum}");
        assert_panics(&expected, || BatchNorm::<f64>::new(4).with_momentum(momentum));
    }
}
