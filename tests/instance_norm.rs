//! InstanceNorm. Page: `book/src/layer_norm.md`. The PyTorch cases run in `tests/golden.rs`.

mod tracking;

use crate::common::{assert_close, normal, panic_of, permuted, shuffled};
use approx::assert_relative_eq;
use evenkeel::{InstanceNorm, Module, Tensor, gradient_check};
use ndarray::{Array1, Array3, Axis, array};
use proptest::prelude::*;

/// One number per channel, beside an input of this shape.
fn per_channel(x: &Tensor, of: &Tensor) -> Tensor {
    let mut shape = vec![1; of.shape().len() - 1];
    shape[0] = x.shape()[0];
    x.reshape(&shape)
}

/// The layer from primitive operations, differentiated by the engine: with the statistics of each
/// plane, or with those that were remembered.
fn composed(x: &Tensor, gamma: &Tensor, beta: &Tensor, remembered: Option<[&Tensor; 2]>) -> Tensor {
    let x_hat = if let Some([mean, var]) = remembered {
        (x - per_channel(mean, x)) / (per_channel(var, x) + 1e-5).sqrt()
    } else {
        let planes = [x.shape()[0], x.shape()[1], x.shape()[2..].iter().product()];
        let planes = x.reshape(&planes);
        let centred = &planes - planes.mean_axis(-1);
        let var = centred.square().mean_axis(-1);
        (centred / (var + 1e-5).sqrt()).reshape(x.shape())
    };
    per_channel(gamma, x) * x_hat + per_channel(beta, x)
}

fn layer(gamma: &Tensor, beta: &Tensor) -> InstanceNorm {
    let mut layer = InstanceNorm::new(gamma.shape()[0]);
    (layer.gamma, layer.beta) = (gamma.clone(), beta.clone());
    layer
}

/// The layer after it has seen something: at inference it uses what it remembered.
fn tracked(gamma: &Tensor, beta: &Tensor) -> InstanceNorm {
    let mut layer = layer(gamma, beta).with_tracking(true);
    layer.running_mean = normal(gamma.shape(), 7);
    layer.running_var = normal(gamma.shape(), 8).square() + 0.1;
    layer
}

/// Every rank from 3 to 5.
const SHAPES: [&[usize]; 4] = [&[2, 3, 5], &[3, 2, 4, 5], &[1, 4, 3, 2], &[2, 3, 4, 1, 5]];

#[test]
fn matches_the_worked_example() {
    // Planes [1, 2, 6] and [2, 4, 12]: means 3 and 6, variances 14/3 and 56/3.
    let x = Tensor::new(array![[[1.0, 2.0, 6.0], [2.0, 4.0, 12.0]]]);
    let (a, b) = ((14f64 / 3.0 + 1e-5).sqrt(), (56f64 / 3.0 + 1e-5).sqrt());
    let (gamma, beta) = (Tensor::new(array![1.0, -2.0]), Tensor::new(array![0.0, 10.0]));
    let want =
        array![[[-2.0 / a, -1.0 / a, 3.0 / a], [8.0 / b + 10.0, 4.0 / b + 10.0, -12.0 / b + 10.0]]];
    let y = layer(&gamma, &beta).forward(&x);
    assert_relative_eq!(y, Tensor::new(want), epsilon = 1e-14);
}

#[test]
fn by_default_nothing_is_trained_and_nothing_remembered() {
    let x = Tensor::parameter((normal(&[2, 3, 5], 1) + 4.0).value());
    let mut layer = InstanceNorm::new(3);
    assert!(layer.parameters().is_empty());
    let (eval, train) = (layer.forward(&x), layer.forward_train(&x));
    assert_eq!(eval, train);
    let dy = normal(&[2, 3, 5], 2);
    assert_eq!(eval.backward_from(&dy).get(&x), train.backward_from(&dy).get(&x));
    assert_eq!(layer.running_mean, Tensor::new(Array1::zeros(3)));
    assert_eq!(layer.running_var, Tensor::new(Array1::ones(3)));
    assert_eq!(layer.num_batches_tracked.item(), 0.0);
}

#[test]
fn each_plane_gets_mean_zero_and_biased_variance_one() {
    for (seed, shape) in
        [[3, 4, 5].as_slice(), &[5, 3, 4, 3], &[4, 5, 3, 5, 4], &[1, 2, 2]].into_iter().enumerate()
    {
        let x = normal(shape, seed as u64) * 3.0 + 5.0;
        for tracking in [false, true] {
            let mut layer = InstanceNorm::new(shape[1]).with_eps(0.0).with_tracking(tracking);
            let positions = shape[2..].iter().product();
            let y = layer.forward_train(&x).reshape(&[shape[0] * shape[1], positions]);
            for plane in y.value().axis_iter(Axis(0)) {
                let (mean, var) = (plane.mean().unwrap(), plane.var(0.0));
                assert!(mean.abs() < 1e-13 && (var - 1.0).abs() < 1e-12, "{shape:?}: {mean} {var}");
            }
        }
    }
}

#[test]
fn gradient_matches_finite_differences() {
    for shape in SHAPES {
        let (gamma, beta) = (normal(&shape[1..2], 2), normal(&shape[1..2], 3));
        let inputs = [&(normal(shape, 1) * 2.0 + 3.0), &gamma, &beta];
        gradient_check(inputs, |[x, gamma, beta]| layer(gamma, beta).forward(x)).unwrap();
        gradient_check(inputs, |[x, gamma, beta]| tracked(gamma, beta).forward(x)).unwrap();
        gradient_check(inputs, |[x, gamma, beta]| tracked(gamma, beta).forward_train(x)).unwrap();
    }
}

#[test]
fn closed_form_matches_composition() {
    for shape in SHAPES {
        let of_channels = |seed| Tensor::parameter(normal(&shape[1..2], seed).value());
        let (gamma, beta, dy) = (of_channels(2), of_channels(3), normal(shape, 4));
        let mut remembers = tracked(&gamma, &beta);
        let (mean, var) = (remembers.running_mean.clone(), remembers.running_var.clone());
        for offset in [0.0, 100.0] {
            let x = Tensor::parameter((normal(shape, 1) + offset).value());
            let own = composed(&x, &gamma, &beta, None);
            let pairs = [
                (layer(&gamma, &beta).forward(&x), own.clone()),
                (remembers.forward(&x), composed(&x, &gamma, &beta, Some([&mean, &var]))),
                (remembers.forward_train(&x), own),
            ];
            (remembers.running_mean, remembers.running_var) = (mean.clone(), var.clone());
            for (fused, built) in pairs {
                assert_close("y", &fused, &built, 1e-10);
                let (fused, built) = (fused.backward_from(&dy), built.backward_from(&dy));
                for (name, of) in [("dx", &x), ("dgamma", &gamma), ("dbeta", &beta)] {
                    assert_close(name, fused.get(of).unwrap(), built.get(of).unwrap(), 1e-10);
                }
            }
        }
    }
}

#[test]
fn every_parameter_receives_a_gradient_and_what_is_remembered_none() {
    for tracking in [false, true] {
        let mut layer = InstanceNorm::new(3).with_affine().with_tracking(tracking);
        let trained = layer.parameters();
        assert_eq!((trained.len(), layer.parameters_mut().len()), (2, 2));
        layer.running_mean = Tensor::parameter(layer.running_mean.value());
        layer.running_var = Tensor::parameter(layer.running_var.value());
        let x = Tensor::parameter(normal(&[2, 3, 5], 1).value());
        for y in [layer.forward(&x), layer.forward_train(&x)] {
            let gradients = y.backward_from(&normal(&[2, 3, 5], 2));
            assert_eq!(gradients.len(), 3); // γ, β and the input
            for parameter in &trained {
                assert!(gradients.get(parameter).unwrap().value().iter().all(|d| *d != 0.0));
            }
        }
    }
}

#[test]
fn a_plane_of_equal_numbers_gives_beta() {
    for number in [0.0, 0.1, 12345.678, -1e30f64] {
        let x = Tensor::new(Array3::from_elem((2, 3, 7), number));
        let mut layer = InstanceNorm::new(3).with_eps(1e-12);
        layer.beta = Tensor::new(array![0.5, -1.0, 3.0]);
        let want = layer.beta.reshape(&[3, 1]).broadcast_to(x.shape());
        assert_eq!(layer.forward(&x), want, "{number}");
    }
}

#[test]
fn nan_and_infinity_stay_in_their_plane_and_their_channel() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for at in [[1, 0, 0], [0, 2, 4]] {
            let mut numbers = normal(&[2, 3, 5], 1).value().to_owned();
            numbers[at.as_slice()] = bad;
            let x = Tensor::parameter(numbers);
            let mut layer = InstanceNorm::new(3).with_tracking(true);
            let y = layer.forward_train(&x);
            let dx = y.backward_from(&normal(&[2, 3, 5], 2)).get(&x).unwrap().clone();
            for (index, y) in y.value().indexed_iter() {
                let inside = (index[0], index[1]) == (at[0], at[1]);
                assert_eq!((y.is_nan(), y.is_finite()), (inside, !inside), "{bad}: {x}");
                assert_eq!(dx.value()[&index].is_nan(), inside, "{bad}: {dx}");
            }
            for (channel, var) in layer.running_var.value().iter().enumerate() {
                let mean = layer.running_mean.value()[channel];
                assert_eq!(
                    (mean.is_finite(), var.is_finite()),
                    (channel != at[1], channel != at[1])
                );
            }
        }
    }
}

#[test]
fn the_memory_layout_of_the_input_does_not_matter() {
    let last = normal(&[2, 5, 3], 1); // channels last
    let mut view = last.value();
    view.swap_axes(1, 2);
    assert!(!view.is_standard_layout());
    let (x, same) = (Tensor::new(view), last.swap_axes(1, 2));
    let mut layer = InstanceNorm::new(3).with_tracking(true);
    let mut other = layer.clone();
    assert_eq!(layer.forward_train(&x), other.forward_train(&same));
    assert_eq!(layer.running_var, other.running_var);
    assert_eq!(layer.forward(&x), other.forward(&same));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_plane_does_not_see_the_others(
        examples in (1..5usize).prop_flat_map(shuffled), channels in 1..4usize,
        positions in 2..6usize, seed in 0..1000u64,
    ) {
        let x = normal(&[examples.len(), channels, positions], seed);
        let layer = layer(&normal(&[channels], seed + 1), &normal(&[channels], seed + 2));
        let y = layer.forward(&x);
        prop_assert_eq!(layer.forward(&permuted(&x, 0, &examples)), permuted(&y, 0, &examples));
        for example in 0..examples.len() {
            let of = |x: &Tensor| x.slice_axis(0, example..example + 1);
            prop_assert_eq!(layer.forward(&of(&x)), of(&y));
        }
    }

    #[test]
    fn permuting_the_positions_permutes_the_result(
        order in (2..9usize).prop_flat_map(shuffled), seed in 0..1000u64,
    ) {
        let (layer, x) = (InstanceNorm::new(2), normal(&[3, 2, order.len()], seed));
        let got = layer.forward(&permuted(&x, 2, &order));
        assert_close("y", &got, &permuted(&layer.forward(&x), 2, &order), 1e-13);
    }

    #[test]
    fn a_scale_and_a_shift_of_each_plane_change_nothing(
        positions in 5..9usize, seed in 0..1000u64,
        scale in 0.01..100.0f64, shift in -100.0..100.0f64,
    ) {
        let layer = InstanceNorm::new(2).with_eps(0.0);
        let x = normal(&[3, 2, positions], seed);
        let scales = (normal(&[3, 2, 1], seed + 1) / 4.0).exp() * scale;
        let shifts = normal(&[3, 2, 1], seed + 2) * scale * shift;
        let y = layer.forward(&x);
        assert_close("y", &layer.forward(&(&x * &scales + shifts)), &y, 1e-12);
        assert_close("-y", &layer.forward(&(-&x * scales)), &-y, 1e-13);
    }
}

#[test]
fn panics_when_something_does_not_fit() {
    let x = normal(&[2, 3, 5], 1);
    let forward = |affine, tracking, shape: &[usize]| {
        let layer = InstanceNorm::new(3).with_tracking(tracking);
        let layer = if affine { layer.with_affine() } else { layer };
        let train = panic_of(|| layer.clone().forward_train(&normal(shape, 1)));
        assert_eq!(train, panic_of(|| layer.forward(&normal(shape, 1))));
        train
    };
    let with = |change: fn(&mut InstanceNorm)| {
        let mut layer = InstanceNorm::new(3).with_tracking(true);
        change(&mut layer);
        panic_of(|| layer.forward(&x))
    };
    let input = "expected an input of shape [batch, 3, positions, ..], got";
    let cases = [
        (forward(false, false, &[3, 2]), format!("{input} [3, 2]")), // no batch is no batch of one
        (forward(true, true, &[2, 3]), format!("{input} [2, 3]")),   // nor one without positions
        (forward(true, true, &[3]), format!("{input} [3]")),
        (forward(true, false, &[2, 4, 5]), format!("{input} [2, 4, 5]")),
        (forward(false, false, &[2, 4, 5]), format!("{input} [2, 4, 5]")),
        (forward(false, true, &[2, 5, 3]), format!("{input} [2, 5, 3]")),
        (with(|l| l.gamma = normal(&[2], 1)), "expected gamma of shape [3], got [2]".into()),
        (with(|l| l.beta = normal(&[3, 1], 1)), "expected beta of shape [3], got [3, 1]".into()),
        (
            with(|l| l.running_mean = normal(&[4], 1)),
            "expected running_mean of shape [3], got [4]".into(),
        ),
        (
            with(|l| l.running_var = normal(&[2], 1).square()),
            "expected running_var of shape [3], got [2]".into(),
        ),
        (
            with(|l| l.running_var = Tensor::new(array![1.0, -0.5, 1.0])),
            "expected a running_var of at least 0, got -0.5 in channel 1".into(),
        ),
    ];
    for ((message, file), expected) in cases {
        assert_eq!(message, format!("InstanceNorm: {expected}"));
        assert!(file.ends_with("tests/instance_norm.rs"), "{expected}: blamed on {file}");
    }
    let new = InstanceNorm::<f64>::new;
    for eps in [-1e-5, f64::NAN, f64::INFINITY] {
        let expected = format!("InstanceNorm: expected a finite eps of at least 0, got {eps}");
        assert_eq!(panic_of(|| new(3).with_eps(eps)).0, expected);
    }
    for momentum in [-1.0, 2.0, f64::NAN] {
        let expected = format!("InstanceNorm: expected a momentum within 0..=1, got {momentum}");
        assert_eq!(panic_of(|| new(3).with_momentum(momentum)).0, expected);
    }
}
