//! What BatchNorm remembers of its batches. Page: `book/src/layer_norm.md`.

use approx::assert_relative_eq;
use evenkeel::{Adam, BatchNorm, Tensor};

use super::Mode::{Eval, Train};
use super::{pass, state, trained, two_batches};
use crate::common::normal;

#[test]
fn the_momentum_is_the_weight_of_the_new_batch() {
    for (momentum, means, vars) in [
        (Some(0.1), [0.3, 0.87], [1.6, 4.24]),
        (Some(0.0), [0.0, 0.0], [1.0, 1.0]),
        (Some(1.0), [3.0, 6.0], [7.0, 28.0]),
        (None, [3.0, 4.5], [7.0, 17.5]), // the plain average
    ] {
        let mut layer = BatchNorm::new(1).with_momentum(momentum);
        for (seen, x) in (1..).zip(two_batches()) {
            let y = layer.forward_train(&x);
            // The result does not depend on what was remembered.
            assert_eq!(y, BatchNorm::new(1).forward_train(&x));
            let [mean, var, n] = state(&layer).map(|tensor| tensor.value().sum());
            assert_relative_eq!(mean, means[seen - 1], epsilon = 1e-15);
            assert_relative_eq!(var, vars[seen - 1], epsilon = 1e-15);
            assert_eq!(n, seen as f64);
        }
        layer.reset_running_stats();
        assert_eq!(state(&layer), state(&BatchNorm::new(1)));
        let _ = layer.forward_train(&two_batches()[0]); // the average starts anew, too
        assert_relative_eq!(layer.running_mean.value()[[0]], means[0], epsilon = 1e-15);
    }
}

#[test]
fn forward_leaves_the_running_values_alone() {
    let [x, _] = two_batches();
    let layer = BatchNorm::new(1);
    let y = layer.forward(&x);
    assert_relative_eq!(y, x / (1f64 + 1e-5).sqrt(), epsilon = 1e-15);
    assert_eq!(state(&layer), state(&BatchNorm::new(1)));

    let (layer, x) = (trained(3, 1), Tensor::parameter(normal(&[4, 3, 2], 1).value()));
    let [(y, gradient), again] = [(), ()].map(|()| {
        let y = layer.forward(&x);
        let gradient = y.square().sum().backward().get(&x).unwrap().clone();
        (y, gradient)
    });
    assert_eq!((y, gradient), again);
    assert_eq!(state(&layer), state(&trained(3, 1)));
}

#[test]
fn without_tracking_both_passes_use_the_batch_and_remember_nothing() {
    let mut layer = trained(3, 1).with_tracking(false);
    let before = state(&layer);
    let (x, dy) = (Tensor::parameter(normal(&[4, 3, 2], 1).value()), normal(&[4, 3, 2], 2));
    let (train, eval) = (layer.forward_train(&x), layer.forward(&x));
    assert_eq!(train, eval);
    assert_eq!(train, trained(3, 1).forward_train(&x));
    assert_eq!(train.backward_from(&dy).get(&x), eval.backward_from(&dy).get(&x));
    assert_eq!(state(&layer), before);
}

#[test]
fn the_running_values_receive_no_gradient() {
    let mut layer = trained(3, 1);
    layer.running_mean = Tensor::parameter(layer.running_mean.value());
    layer.running_var = Tensor::parameter(layer.running_var.value());
    let gradients = layer.forward(&normal(&[4, 3], 1)).square().sum().backward();
    assert_eq!(gradients.len(), 2);
}

#[test]
fn an_old_graph_and_a_clone_keep_their_numbers_when_the_layer_moves() {
    for mode in [Train, Eval] {
        let mut layer = trained(3, 1);
        let copy = layer.clone();
        let x = Tensor::parameter(normal(&[4, 3], 2).value());
        let y = if mode == Train { layer.forward_train(&x) } else { layer.forward(&x) };
        let loss = y.square().sum();
        let before = loss.backward();
        Adam::new(0.5).step(&mut layer, &before);
        let _ = layer.forward_train(&(&x * 3.0 + 1.0));
        assert_ne!(pass(&layer, mode, &x), y);
        assert_eq!(pass(&copy, mode, &x), y);
        assert_eq!(state(&copy), state(&trained(3, 1)));
        for of in [&x, &layer.gamma, &layer.beta] {
            assert_eq!(loss.backward().get(of).unwrap(), before.get(of).unwrap());
        }
    }
}
