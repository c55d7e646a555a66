//! What InstanceNorm remembers, and when it uses that. Page: `book/src/layer_norm.md`.

use approx::assert_relative_eq;
use evenkeel::{InstanceNorm, Module, Tensor};
use ndarray::{Array1, ArrayD, Axis, array};

use super::{SHAPES, per_channel};
use crate::common::{assert_close, normal, panic_of};

#[test]
fn remembers_the_means_over_the_batch_of_mean_and_unbiased_variance() {
    // Planes by example: [1, 2, 6] and [4, 4, 4]: means 3 and 4, unbiased variances 7 and 0.
    let first = Tensor::new(array![[[1.0, 2.0, 6.0]], [[4.0, 4.0, 4.0]]]);
    let second = Tensor::new(array![[[2.0, 4.0, 12.0]], [[0.0, 0.0, 3.0]]]); // 6, 1; 28, 3
    let after = |momentum: Option<f64>| {
        let mut layer = InstanceNorm::new(1).with_tracking(true).with_momentum(momentum);
        let mut seen = Vec::new();
        for x in [&first, &second] {
            let _ = layer.forward_train(x);
            seen.extend([layer.running_mean.item(), layer.running_var.item()]);
        }
        assert_eq!(layer.num_batches_tracked.item(), 2.0);
        layer.reset_running_stats();
        assert_eq!((layer.running_mean.item(), layer.running_var.item()), (0.0, 1.0));
        assert_eq!(layer.num_batches_tracked.item(), 0.0);
        seen
    };
    let cases = [
        (Some(1.0), [3.5, 3.5, 3.5, 15.5]),
        (Some(0.0), [0.0, 1.0, 0.0, 1.0]),
        // 0.9·0 + 0.1·3.5 and 0.9·1 + 0.1·3.5, then 0.9·0.35 + 0.1·3.5 and 0.9·1.25 + 0.1·15.5.
        (Some(0.1), [0.35, 1.25, 0.665, 2.675]),
        (None, [3.5, 3.5, 3.5, 9.5]),
    ];
    for (momentum, want) in cases {
        assert_relative_eq!(after(momentum)[..], want, epsilon = 1e-14);
    }
    let x = normal(&[4, 3, 2, 5], 1) * 3.0 + 5.0;
    let mut layer = InstanceNorm::new(3).with_tracking(true).with_momentum(1.0);
    let _ = layer.forward_train(&x);
    let planes = x.reshape(&[4, 3, 10]);
    let over_batch = |x: &ArrayD<f64>| Tensor::new(x.mean_axis(Axis(0)).unwrap());
    let (mean, var) = (planes.value().mean_axis(Axis(2)), planes.value().var_axis(Axis(2), 1.0));
    assert_close("mean", &layer.running_mean, &over_batch(&mean.unwrap()), 1e-14);
    assert_close("var", &layer.running_var, &over_batch(&var), 1e-13);
}

#[test]
fn after_tracking_k_standard_deviations_added_to_channel_k_move_its_mean_to_k() {
    for shape in SHAPES {
        let x = normal(shape, 1) * 3.0 + 5.0;
        let mut layer =
            InstanceNorm::new(shape[1]).with_tracking(true).with_momentum(1.0).with_eps(0.0);
        let _ = layer.forward_train(&x);
        let k = Tensor::new(Array1::from_iter((0..shape[1]).map(|k| k as f64)));
        let y = layer.forward(&(&x + per_channel(&(layer.running_var.sqrt() * &k), &x)));
        for (k, channel) in y.value().axis_iter(Axis(1)).enumerate() {
            assert_relative_eq!(channel.mean().unwrap(), k as f64, epsilon = 1e-13);
        }
    }
}

#[test]
fn one_position_is_refused_in_training_and_fine_with_what_was_remembered() {
    for shape in [[2, 3, 1].as_slice(), &[2, 3, 1, 1], &[1, 3, 1], &[0, 3, 1]] {
        let x = normal(shape, 1);
        let expected = format!(
            "InstanceNorm: expected more than one position to take a variance of, \
             got an input of shape {shape:?}"
        );
        for tracking in [false, true] {
            let mut layer = InstanceNorm::new(3).with_tracking(tracking);
            assert_eq!(panic_of(|| layer.forward_train(&x)).0, expected);
            assert_eq!(layer.num_batches_tracked.item(), 0.0);
            if tracking {
                // Nothing seen: mean 0, variance 1.
                assert_close("y", &layer.forward(&x), &(&x / (1f64 + 1e-5).sqrt()), 1e-15);
            } else {
                assert_eq!(panic_of(|| layer.forward(&x)).0, expected);
            }
        }
    }
}

#[test]
fn empty_inputs_give_empty_results_and_are_not_remembered() {
    for shape in [[0, 3, 4].as_slice(), &[2, 3, 0], &[2, 3, 4, 0], &[0, 3, 2, 2]] {
        let x = Tensor::parameter(normal(shape, 1).value());
        for tracking in [false, true] {
            let mut layer = InstanceNorm::new(3).with_affine().with_tracking(tracking);
            for y in [layer.forward_train(&x), layer.forward(&x)] {
                assert_eq!(y.shape(), shape);
                let gradients = y.sum().backward();
                assert_eq!(gradients.get(&x).unwrap().shape(), shape);
                for parameter in &layer.parameters() {
                    assert_eq!(gradients.get(parameter).unwrap(), &Tensor::new(Array1::zeros(3)));
                }
            }
            assert_eq!(layer.running_var, Tensor::new(Array1::ones(3)));
            assert_eq!(layer.num_batches_tracked.item(), 0.0);
        }
    }
}

/// The default is a tenth of the new batch, as in PyTorch.
#[test]
fn the_default_momentum_is_a_tenth() {
    let mut layer = InstanceNorm::new(1).with_tracking(true);
    let _ = layer.forward_train(&Tensor::new(array![[[1.0, 3.0]]])); // mean 2, unbiased variance 2
    assert_relative_eq!(layer.running_mean, Tensor::new(array![0.2]), epsilon = 1e-15);
    assert_relative_eq!(layer.running_var, Tensor::new(array![1.1]), epsilon = 1e-15);
}
