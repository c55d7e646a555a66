//! BatchNorm. Page: `book/src/layer_norm.md`. The PyTorch cases run in `tests/golden.rs`.

mod numerics;
mod panics;
mod running;

use crate::common::{assert_close, normal};
use approx::assert_relative_eq;
use evenkeel::{BatchNorm, Conv2d, Module, Tensor, gradient_check, rng};
use ndarray::{Array, Array1, Axis, Slice, array};
use proptest::prelude::*;

/// Which statistics divide.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Train,
    Eval,
    Untracked,
}
use Mode::{Eval, Train, Untracked};

/// One pass, with a copy of the layer that forgets it.
fn pass(layer: &BatchNorm, mode: Mode, x: &Tensor) -> Tensor {
    match mode {
        Train => layer.clone().forward_train(x),
        Eval => layer.forward(x),
        Untracked => layer.clone().with_tracking(false).forward(x),
    }
}

/// A layer that was trained: nothing in it is 0 or 1.
fn trained(channels: usize, seed: u64) -> BatchNorm {
    let mut layer = BatchNorm::new(channels);
    let numbers = |offset| normal(&[channels], 10 * seed + offset);
    layer.gamma = Tensor::parameter(numbers(1).value());
    layer.beta = Tensor::parameter(numbers(2).value());
    (layer.running_mean, layer.running_var) = (numbers(3), numbers(4).square() + 0.5);
    layer
}

/// BatchNorm from primitive operations, differentiated by the engine.
fn composed(layer: &BatchNorm, mode: Mode, x: &Tensor, eps: f64) -> Tensor {
    let column = |tensor: &Tensor| tensor.reshape(&[tensor.shape()[0], 1]);
    let channels_first = x.swap_axes(0, 1);
    let channels = channels_first.shape()[0];
    let rows = channels_first.reshape(&[channels, x.value().len() / channels]);
    let (mean, var) = if mode == Eval {
        (column(&layer.running_mean), column(&layer.running_var))
    } else {
        let mean = rows.mean_axis(-1);
        let var = (&rows - &mean).square().mean_axis(-1);
        (mean, var)
    };
    let x_hat = (rows - mean) / (var + eps).sqrt();
    let y = column(&layer.gamma) * x_hat + column(&layer.beta);
    y.reshape(channels_first.shape()).swap_axes(0, 1)
}

/// The two batches of one channel whose numbers can be had in the head.
/// Mean 3, biased variance 14/3, unbiased 7; mean 6, 56/3, 28.
fn two_batches() -> [Tensor; 2] {
    [Tensor::new(array![[1.0], [2.0], [6.0]]), Tensor::new(array![[2.0], [4.0], [12.0]])]
}

fn state(layer: &BatchNorm) -> [Tensor; 3] {
    [&layer.running_mean, &layer.running_var, &layer.num_batches_tracked].map(Tensor::clone)
}

fn channel(tensor: &Tensor, channel: usize) -> Vec<f64> {
    tensor.value().index_axis(Axis(1), channel).iter().copied().collect()
}

#[test]
fn matches_the_worked_example() {
    let [x, _] = two_batches();
    let mut layer = BatchNorm::new(1);
    let sd = (14f64 / 3.0 + 1e-5).sqrt();
    let want = Tensor::new(array![[-2.0 / sd], [-1.0 / sd], [3.0 / sd]]);
    assert_relative_eq!(layer.forward_train(&x), want, epsilon = 1e-15);
    // Divided by the root of the biased variance, remembered the unbiased one: 0.9 + 0.1·7.
    assert_relative_eq!(layer.running_var, Tensor::new(array![1.6]), epsilon = 1e-15);
    let sd = (1.6f64 + 1e-5).sqrt();
    let want = Tensor::new(array![[0.7 / sd], [1.7 / sd], [5.7 / sd]]);
    assert_relative_eq!(layer.forward(&x), want, epsilon = 1e-14);
}

#[test]
fn gradient_matches_finite_differences() {
    for shape in [[5, 3].as_slice(), &[2, 3, 5], &[2, 3, 5, 4], &[3, 2, 5, 1, 4], &[1, 2, 7]] {
        let layer = trained(shape[1], 1);
        let (x, gamma, beta) = (normal(shape, 2) * 2.0 + 3.0, &layer.gamma, &layer.beta);
        for mode in [Train, Eval, Untracked] {
            for eps in [1e-5, 0.5] {
                let checked = gradient_check([&x, gamma, beta], |[x, gamma, beta]| {
                    let mut layer = layer.clone().with_eps(eps);
                    (layer.gamma, layer.beta) = (gamma.clone(), beta.clone());
                    pass(&layer, mode, x)
                });
                checked.unwrap_or_else(|error| panic!("{mode:?}, {shape:?}: {error}"));
            }
        }
    }
}

#[test]
fn gradient_matches_finite_differences_on_pytorchs_own_case() {
    // One of the running variances is 0, so that eps alone is left under the root.
    let count = |n| Array::from_iter((0..n).map(f64::from));
    let x = Tensor::new(count(120)).reshape(&[4, 5, 6]);
    let (gamma, beta) = (Tensor::new(count(5) + 1.0), Tensor::new(count(5)));
    for mode in [Train, Eval] {
        let checked = gradient_check([&x, &gamma, &beta], |[x, gamma, beta]| {
            let mut layer = BatchNorm::new(5).with_eps(1e-4);
            (layer.gamma, layer.beta) = (gamma.clone(), beta.clone());
            layer.running_mean = Tensor::new(1.0 - count(5));
            layer.running_var = Tensor::new(2.0 * count(5));
            pass(&layer, mode, x)
        });
        checked.unwrap();
    }
}

#[test]
fn closed_form_matches_composition() {
    for shape in [
        [3, 1].as_slice(), // PyTorch's samples and module inputs, then lengths that all differ
        &[2, 1],
        &[5, 5, 5],
        &[3, 2, 4],
        &[3, 2, 3, 4],
        &[1, 2, 3],
        &[4, 10],
        &[4, 5, 3],
        &[4, 9, 1, 1],
        &[4, 1, 9, 9],
        &[2, 3, 6, 6],
        &[2, 3, 4, 4, 4],
        &[7, 3],
        &[2, 3, 5, 1, 4],
    ] {
        for (mode, offset) in [(Train, 0.0), (Train, 100.0), (Eval, 0.0), (Untracked, 0.0)] {
            let layer = trained(shape[1], 1).with_eps(0.6);
            let x = Tensor::parameter((normal(shape, 2) + offset).value());
            let (fused, built) = (pass(&layer, mode, &x), composed(&layer, mode, &x, 0.6));
            assert_close(&format!("y, {mode:?}, {shape:?}"), &fused, &built, 1e-10);
            let dy = normal(shape, 3);
            let (fused, built) = (fused.backward_from(&dy), built.backward_from(&dy));
            for (name, of) in [("dx", &x), ("dgamma", &layer.gamma), ("dbeta", &layer.beta)] {
                let name = format!("{name}, {mode:?}, {shape:?}");
                assert_close(&name, fused.get(of).unwrap(), built.get(of).unwrap(), 1e-10);
            }
        }
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    for (layer, expected) in [
        (BatchNorm::new(3), 2),
        (BatchNorm::new(3).without_bias(), 1),
        (BatchNorm::new(3).without_affine(), 0),
    ] {
        assert_eq!(layer.parameters().len(), expected);
        for (mode, shape) in [(Train, &[5, 3][..]), (Eval, &[4, 3, 2]), (Untracked, &[4, 3, 2])] {
            let (x, dy) = (Tensor::parameter(normal(shape, 1).value()), normal(shape, 2));
            let (y, both) = (pass(&layer, mode, &x), pass(&BatchNorm::new(3), mode, &x));
            let gradients = y.backward_from(&dy);
            assert_eq!(gradients.len(), expected + 1);
            // Without parameters γ is one and β zero.
            assert_eq!((&y, gradients.get(&x)), (&both, both.backward_from(&dy).get(&x)));
            for parameter in &layer.parameters() {
                assert!(gradients.get(parameter).unwrap().value().iter().all(|d| *d != 0.0));
            }
        }
    }
}

#[test]
fn empty_batches_give_empty_results_and_are_not_remembered() {
    for shape in [[0, 3].as_slice(), &[0, 3, 4], &[2, 3, 0], &[0, 3, 2, 2], &[2, 0], &[0, 0]] {
        let mut layer = BatchNorm::new(shape[1]);
        for mode in [Train, Eval, Untracked] {
            let x = Tensor::parameter(normal(shape, 1).value());
            let y = pass(&layer, mode, &x);
            assert_eq!(y.shape(), shape);
            let gradients = y.sum().backward();
            assert_eq!(gradients.get(&x).unwrap().shape(), shape);
            let zeros = Tensor::new(Array1::zeros(shape[1]));
            assert_eq!(gradients.get(&layer.gamma).unwrap(), &zeros);
            assert_eq!(gradients.get(&layer.beta).unwrap(), &zeros);
        }
        let _ = layer.forward_train(&normal(shape, 1));
        let [mean, var, _] = state(&BatchNorm::new(shape[1]));
        assert_eq!(state(&layer)[..2], [mean, var]);
        // Without a channel there is nothing to remember; a batch it is all the same.
        let counted = if shape == [2, 0] { 1.0 } else { 0.0 };
        assert_eq!(layer.num_batches_tracked.item(), counted, "{shape:?}");
    }
}

#[test]
fn several_positions_make_a_batch_of_one_enough() {
    let y = BatchNorm::new(1).with_eps(0.0).forward_train(&Tensor::new(array![[[1.0, 2.0]]]));
    assert_eq!(y, Tensor::new(array![[[-1.0, 1.0]]]));
    // At inference one value will do.
    let y = BatchNorm::new(3).forward(&Tensor::new(Array::ones((1, 3))));
    assert_relative_eq!(y, Tensor::new(Array::from_elem((1, 3), 0.999_995)), epsilon = 1e-10);
}

#[test]
fn the_memory_layout_of_input_and_gradient_does_not_matter() {
    // Channels last, as images often stand in memory, and every second example.
    let (x, dy) = (normal(&[6, 5, 4, 3], 1), normal(&[6, 5, 4, 3], 2));
    let channels_last = |x: &Tensor| {
        let view = x.value().permuted_axes([0, 3, 1, 2].as_slice());
        let view = view.slice_axis(Axis(0), Slice::new(0, None, 2));
        (Tensor::parameter(view.view()), Tensor::parameter(view.as_standard_layout()))
    };
    let ((x, x_standard), (dy, dy_standard)) = (channels_last(&x), channels_last(&dy));
    for mode in [Train, Eval] {
        let (y, want) = (pass(&trained(3, 1), mode, &x), pass(&trained(3, 1), mode, &x_standard));
        assert_eq!(y, want);
        let (got, want) = (y.backward_from(&dy), want.backward_from(&dy_standard));
        assert_eq!(got.get(&x).unwrap(), want.get(&x_standard).unwrap());
    }
}

#[test]
fn a_convolution_can_swallow_the_batch_norm_after_it() {
    let mut conv = Conv2d::new(3, 4, [3, 2], &mut rng(1));
    conv.bias = normal(&[4], 2);
    let (norm, images) = (trained(4, 3), normal(&[2, 3, 5, 6], 4));
    let want = norm.forward(&conv.forward(&images));

    let scale = &norm.gamma / (&norm.running_var + 1e-5).sqrt();
    conv.weight = conv.weight * scale.reshape(&[4, 1, 1, 1]);
    conv.bias = (conv.bias - &norm.running_mean) * scale + &norm.beta;
    assert_close("y", &conv.forward(&images), &want, 1e-14);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn scaling_and_shifting_a_channel_changes_nothing(
        moved in 0..3usize, scale in 0.01..100.0f64, shift in -100.0..100.0f64, seed in 0..1000u64,
    ) {
        let mut layer = trained(3, seed).with_eps(0.0);
        let x = normal(&[5, 3, 2], seed);
        let mut other = x.value().to_owned();
        other.index_axis_mut(Axis(1), moved).mapv_inplace(|x| scale * x + shift);
        let (y, got) = (pass(&layer, Train, &x), layer.forward_train(&Tensor::new(other)));
        // The shift rounds x by 1e-14, and a hundredth of the channel may be no larger than 0.01.
        assert_close("y", &got, &y, 1e-10);
        for c in (0..3).filter(|c| *c != moved) {
            prop_assert_eq!(channel(&got, c), channel(&y, c));
        }
    }

    #[test]
    fn at_inference_an_example_does_not_see_the_others(batch in 1..8usize, seed in 0..1000u64) {
        let layer = trained(3, seed);
        let x = normal(&[batch, 3, 2], seed);
        let together = layer.forward(&x);
        for i in 0..batch {
            let alone = layer.forward(&x.slice_axis(0, i..i + 1));
            prop_assert_eq!(alone, together.slice_axis(0, i..i + 1));
        }
    }

    #[test]
    fn permuting_the_examples_permutes_the_result(
        order in Just((0..7).collect::<Vec<usize>>()).prop_shuffle(), seed in 0..1000u64,
    ) {
        let x = normal(&[7, 3, 2], seed);
        let permuted = |x: &Tensor| Tensor::new(x.value().select(Axis(0), &order));
        let (mut one, mut other) = (trained(3, seed), trained(3, seed));
        prop_assert_eq!(one.forward(&permuted(&x)), permuted(&one.forward(&x)));
        // The sums run in another order.
        let (y, want) = (one.forward_train(&permuted(&x)), permuted(&other.forward_train(&x)));
        assert_close("y", &y, &want, 1e-12);
        assert_close("running_mean", &one.running_mean, &other.running_mean, 1e-14);
        assert_close("running_var", &one.running_var, &other.running_var, 1e-14);
    }

    #[test]
    fn permuting_the_channels_permutes_the_result(
        order in Just((0..5).collect::<Vec<usize>>()).prop_shuffle(), seed in 0..1000u64,
    ) {
        let permuted = |x: &Tensor, axis| Tensor::new(x.value().select(Axis(axis), &order));
        let (x, layer) = (normal(&[4, 5, 2], seed), trained(5, seed));
        let mut other = layer.clone();
        let BatchNorm { gamma, beta, running_mean, running_var, .. } = &mut other;
        for tensor in [gamma, beta, running_mean, running_var] {
            *tensor = permuted(tensor, 0);
        }
        for mode in [Train, Eval] {
            let y = pass(&other, mode, &permuted(&x, 1));
            prop_assert_eq!(y, permuted(&pass(&layer, mode, &x), 1));
        }
    }
}
