//! GroupNorm. Page: `book/src/layer_norm.md`. The PyTorch cases run in `tests/golden.rs`.

use crate::common::{assert_close, normal, panic_of, permuted, shuffled};
use approx::assert_relative_eq;
use evenkeel::{Float, GroupNorm, InstanceNorm, LayerNorm, Module, Tensor, gradient_check};
use ndarray::{Array1, ArrayD, Axis, array};
use proptest::prelude::*;

/// GroupNorm from primitive operations, differentiated by the engine.
fn composed(x: &Tensor, gamma: &Tensor, beta: &Tensor, groups: usize, eps: f64) -> Tensor {
    let rows = x.reshape(&[x.shape()[0], groups, x.value().len() / (x.shape()[0] * groups)]);
    let centred = &rows - rows.mean_axis(-1);
    let var = centred.square().mean_axis(-1);
    let x_hat = (centred / (var + eps).sqrt()).reshape(x.shape());
    let mut per_channel = vec![1; x.shape().len() - 1];
    per_channel[0] = x.shape()[1];
    gamma.reshape(&per_channel) * x_hat + beta.reshape(&per_channel)
}

/// The layer with the given γ and β.
fn layer(groups: usize, gamma: &Tensor, beta: &Tensor, eps: f64) -> GroupNorm {
    let mut layer = GroupNorm::new(groups, gamma.shape()[0]).with_eps(eps);
    (layer.gamma, layer.beta) = (gamma.clone(), beta.clone());
    layer
}

/// Groups and input shape: every rank from 2 to 5, one group and one group per channel among them.
const CASES: [(usize, &[usize]); 6] = [
    (2, &[3, 6]),
    (3, &[2, 6, 5]),
    (1, &[3, 2, 5]),
    (4, &[3, 4, 5]),
    (3, &[2, 6, 4, 5]),
    (2, &[2, 4, 3, 1, 5]),
];

#[test]
fn matches_the_worked_example() {
    // The groups are channels {1, 2} and channels {3, 4}: means 4 and 10, variances
    // (9 + 1 + 1 + 9) / 4 = 5 and (4 + 4 + 64 + 64) / 4 = 34.
    let x = Tensor::new(array![[[1.0, 3.0], [5.0, 7.0], [8.0, 12.0], [2.0, 18.0]]]);
    let gamma = Tensor::new(array![1.0, 2.0, 3.0, -1.0]);
    let beta = Tensor::new(array![0.0, 10.0, 0.0, 0.5]);
    let (a, b) = ((5f64 + 1e-5).sqrt(), (34f64 + 1e-5).sqrt());
    let want = Tensor::new(array![[
        [-3.0 / a, -1.0 / a],
        [2.0 / a + 10.0, 6.0 / a + 10.0],
        [-6.0 / b, 6.0 / b],
        [8.0 / b + 0.5, -8.0 / b + 0.5],
    ]]);
    assert_relative_eq!(layer(2, &gamma, &beta, 1e-5).forward(&x), want, epsilon = 1e-14);
}

#[test]
fn each_group_gets_mean_zero_and_biased_variance_one() {
    let cases: [(usize, &[usize]); 12] = [
        (2, &[1, 2, 3, 4]),
        (3, &[2, 3, 10]),
        (1, &[3, 1, 1, 1, 2]),
        (3, &[2, 6, 4, 2, 2]),
        (32, &[1, 256, 1, 1]),
        (3, &[4, 6, 5]),
        (3, &[4, 12]),
        (3, &[2, 9, 2, 2]),
        (1, &[150, 6]),
        (5, &[2, 5, 5]),
        (1, &[4, 10]),
        (1, &[1, 2, 1]),
    ];
    for (seed, (groups, shape)) in cases.into_iter().enumerate() {
        let x = normal(shape, seed as u64) * 3.0 + 5.0;
        let (gamma, beta) = (normal(&shape[1..2], 20) + 3.0, normal(&shape[1..2], 30));
        let y = layer(groups, &gamma, &beta, 0.0).forward(&x);
        // γ and β belong to channels, the statistics to groups.
        let mut undone = y.value().to_owned();
        for (channel, mut values) in undone.axis_iter_mut(Axis(1)).enumerate() {
            values.mapv_inplace(|y| (y - beta.value()[[channel]]) / gamma.value()[[channel]]);
        }
        let per_group = undone.len() / (shape[0] * groups);
        let rows = Tensor::new(undone).reshape(&[shape[0] * groups, per_group]);
        for row in rows.value().axis_iter(Axis(0)) {
            let (mean, var) = (row.mean().unwrap(), row.var(0.0));
            assert!(mean.abs() < 1e-13 && (var - 1.0).abs() < 1e-12, "{shape:?}: {mean} {var}");
        }
    }
}

#[test]
fn gradient_matches_finite_differences() {
    for (groups, shape) in CASES {
        let (x, channels) = (normal(shape, 1) * 2.0 + 3.0, &shape[1..2]);
        for eps in [1e-5, 0.5] {
            let inputs = [&x, &normal(channels, 2), &normal(channels, 3)];
            let forward =
                |[x, gamma, beta]: [&Tensor; 3]| layer(groups, gamma, beta, eps).forward(x);
            gradient_check(inputs, forward).unwrap();
        }
    }
}

#[test]
fn closed_form_matches_composition() {
    for (groups, shape) in CASES {
        let of_channels = |seed| Tensor::parameter(normal(&shape[1..2], seed).value());
        let (gamma, beta, dy) = (of_channels(2), of_channels(3), normal(shape, 4));
        for offset in [0.0, 100.0] {
            let x = Tensor::parameter((normal(shape, 1) + offset).value());
            let fused = layer(groups, &gamma, &beta, 1e-5).forward(&x);
            let built = composed(&x, &gamma, &beta, groups, 1e-5);
            assert_close("y", &fused, &built, 1e-10);
            let (fused, built) = (fused.backward_from(&dy), built.backward_from(&dy));
            for (name, of) in [("dx", &x), ("dgamma", &gamma), ("dbeta", &beta)] {
                assert_close(name, fused.get(of).unwrap(), built.get(of).unwrap(), 1e-10);
            }
        }
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    for (mut layer, expected) in [
        (GroupNorm::new(2, 4), 2),
        (GroupNorm::new(2, 4).without_bias(), 1),
        (GroupNorm::new(2, 4).without_affine(), 0),
    ] {
        assert_eq!((layer.parameters().len(), layer.parameters_mut().len()), (expected, expected));
        let x = Tensor::parameter(normal(&[3, 4, 5], 1).value());
        let gradients = layer.forward(&x).backward_from(&normal(&[3, 4, 5], 2));
        assert_eq!(gradients.len(), expected + 1);
        for parameter in &layer.parameters() {
            assert!(gradients.get(parameter).unwrap().value().iter().all(|d| *d != 0.0));
        }
    }
}

#[test]
fn one_group_without_parameters_is_layer_norm_and_one_per_channel_instance_norm() {
    for shape in [[3, 4, 5, 1].as_slice(), &[2, 4, 3], &[2, 4, 3, 2, 5]] {
        let (x, dy) = (Tensor::parameter((normal(shape, 1) + 7.0).value()), normal(shape, 2));
        let group = |groups| GroupNorm::new(groups, 4).without_affine().forward(&x);
        let layer = LayerNorm::new(&shape[1..]).without_affine();
        let pairs = [(group(1), layer.forward(&x)), (group(4), InstanceNorm::new(4).forward(&x))];
        for (got, want) in pairs {
            assert_close("y", &got, &want, 1e-13);
            let (got, want) = (got.backward_from(&dy), want.backward_from(&dy));
            assert_close("dx", got.get(&x).unwrap(), want.get(&x).unwrap(), 1e-13);
        }
    }
}

#[test]
fn nan_and_infinity_stay_in_their_group() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for at in [[0, 0], [1, 2], [1, 3]] {
            let mut numbers = normal(&[2, 4], 1).value().to_owned();
            numbers[at.as_slice()] = bad;
            let (x, layer) = (Tensor::parameter(numbers), GroupNorm::new(2, 4));
            let y = layer.forward(&x);
            let gradients = y.backward_from(&normal(&[2, 4], 2));
            let [dx, dgamma, dbeta] =
                [&x, &layer.gamma, &layer.beta].map(|of| gradients.get(of).unwrap().value());
            for (index, y) in y.value().indexed_iter() {
                let inside = index[0] == at[0] && index[1] / 2 == at[1] / 2;
                assert_eq!((y.is_nan(), y.is_finite()), (inside, !inside), "{bad} at {at:?}");
                assert_eq!(dx[&index].is_nan(), inside, "{bad} at {at:?}");
            }
            for (channel, dgamma) in dgamma.iter().enumerate() {
                assert_eq!(dgamma.is_nan(), channel / 2 == at[1] / 2, "{bad} at {at:?}");
            }
            assert!(dbeta.iter().all(|dbeta| dbeta.is_finite()));
        }
    }
}

#[test]
fn a_group_of_equal_numbers_gives_beta() {
    fn check<T: Float>(number: f64) {
        let layer = GroupNorm::new(2, 4).with_eps(1e-12);
        let x = Tensor::new(ArrayD::from_elem(vec![3, 4, 7], T::of(number)));
        assert!(layer.forward(&x).value().iter().all(|y| *y == T::zero()), "{number}");
    }
    for number in [0.0, 2.0, 0.1, 12345.678, -1e30] {
        check::<f32>(number);
        check::<f64>(number);
    }
    // Without eps that is 0/0.
    let y = GroupNorm::new(1, 2).with_eps(0.0).forward(&Tensor::new(array![[3.0, 3.0]]));
    assert!(y.value().iter().all(|y: &f64| y.is_nan()));
}

#[test]
fn a_group_of_one_value_gives_beta_in_a_batch_of_any_size() {
    for shape in [[1, 3].as_slice(), &[2, 3], &[1, 3, 1], &[1, 3, 1, 1]] {
        let x = Tensor::parameter(normal(shape, 1).value());
        let beta = Tensor::new(array![1.0, -2.0, 0.5]);
        let y = layer(3, &normal(&[3], 2), &beta, 1e-5).forward(&x);
        let mut stretched = vec![1; shape.len() - 1];
        stretched[0] = 3;
        assert_eq!(y, beta.reshape(&stretched).broadcast_to(shape));
        assert_eq!(y.backward_from(&normal(shape, 3)).get(&x).unwrap(), &(&x * 0.0));
    }
}

#[test]
fn empty_batches_and_no_positions_give_empty_results_and_gradients_of_zero() {
    for shape in [[0, 4].as_slice(), &[0, 4, 2], &[0, 4, 2, 2], &[2, 4, 0], &[2, 4, 3, 0]] {
        let layer = GroupNorm::new(2, 4);
        let x = Tensor::parameter(normal(shape, 1).value());
        let y = layer.forward(&x);
        assert_eq!(y.shape(), shape);
        let gradients = y.sum().backward();
        assert_eq!(gradients.get(&x).unwrap().shape(), shape);
        for parameter in &layer.parameters() {
            assert_eq!(gradients.get(parameter).unwrap(), &Tensor::new(Array1::zeros(4)));
        }
    }
}

#[test]
fn millions_of_f32_values_are_summed_without_loss() {
    // A sum in f32 keeps 24 bits: with 4.7 million terms, only 2 of them are left of each term.
    let x = ArrayD::from_shape_vec(
        vec![1, 2, 2_359_296],
        (0..4_718_592u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 2e6 + 3.0)
            .collect(),
    );
    let x = Tensor::<f32>::new(x.unwrap());
    let y = GroupNorm::new(1, 2).forward(&x);

    let (mut sum, mut squares) = (0.0, 0.0);
    for x in x.value().iter() {
        sum += x.wide();
        squares += x.wide() * x.wide();
    }
    // In f64, E[x²] - E[x]² is good enough here: it loses 2 of its 16 digits.
    let mean = sum / 4_718_592.0;
    let sd = (squares / 4_718_592.0 - mean * mean + 1e-5).sqrt();
    let mut worst = 0.0f64;
    for (x, y) in x.value().iter().zip(y.value().iter()) {
        worst = worst.max((y.wide() - (x.wide() - mean) / sd).abs());
    }
    assert!(worst < 5e-7, "y is off by {worst:e}"); // PyTorch asks for 1e-5
}

#[test]
fn the_memory_layout_of_input_and_gradient_does_not_matter() {
    let layer = GroupNorm::new(2, 6);
    let (x, dy) = (normal(&[5, 3, 6], 1), normal(&[5, 3, 6], 2)); // channels last
    let view = |x: &Tensor| {
        let mut view = x.value().into_owned();
        view.swap_axes(1, 2);
        assert!(!view.is_standard_layout());
        view
    };
    let strided = Tensor::parameter(view(&x));
    let contiguous = Tensor::parameter(x.swap_axes(1, 2).value());
    let (got, want) = (layer.forward(&strided), layer.forward(&contiguous));
    assert_eq!(got, want);
    let want = want.backward_from(&dy.swap_axes(1, 2));
    let want = want.get(&contiguous).unwrap();
    assert_eq!(got.backward_from(&Tensor::new(view(&dy))).get(&strided).unwrap(), want);
    // A gradient that comes back through an exchange of axes.
    assert_eq!(got.swap_axes(1, 2).backward_from(&dy).get(&strided).unwrap(), want);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_example_does_not_see_the_others(
        order in (1..6usize).prop_flat_map(shuffled), groups in 1..4usize, per_group in 1..4usize,
        positions in 1..6usize, seed in 0..1000u64,
    ) {
        let channels = groups * per_group;
        let (gamma, beta) = (normal(&[channels], seed + 1), normal(&[channels], seed + 2));
        let layer = layer(groups, &gamma, &beta, 1e-5);
        let x = normal(&[order.len(), channels, positions], seed);
        let together = layer.forward(&x);
        for (i, &from) in order.iter().enumerate() {
            let alone = layer.forward(&x.slice_axis(0, from..from + 1));
            prop_assert_eq!(alone, together.slice_axis(0, from..from + 1));
            let moved = layer.forward(&permuted(&x, 0, &order)).slice_axis(0, i..i + 1);
            prop_assert_eq!(moved, together.slice_axis(0, from..from + 1));
        }
    }

    #[test]
    fn permuting_the_positions_permutes_the_result(
        order in (2..9usize).prop_flat_map(shuffled), groups in 1..4usize, seed in 0..1000u64,
    ) {
        let layer = GroupNorm::new(groups, 2 * groups);
        let x = normal(&[3, 2 * groups, order.len()], seed);
        let got = layer.forward(&permuted(&x, 2, &order));
        assert_close("y", &got, &permuted(&layer.forward(&x), 2, &order), 1e-13);
    }

    #[test]
    fn a_scale_and_a_shift_of_each_group_change_nothing(
        groups in 1..4usize, positions in 3..6usize, seed in 0..1000u64,
        scale in 0.01..100.0f64, shift in -100.0..100.0f64,
    ) {
        // y(s·x + t, s²·eps) = y(x, eps); with eps 0, each group may have an s and a t of its own.
        let layer = GroupNorm::new(groups, 2 * groups).without_affine().with_eps(0.0);
        let x = normal(&[3, groups, 2 * positions], seed);
        let scales = (normal(&[3, groups, 1], seed + 1) / 4.0).exp() * scale;
        let shifts = normal(&[3, groups, 1], seed + 2) * scale * shift;
        let in_channels = |x: &Tensor| x.reshape(&[3, 2 * groups, positions]);
        let y = layer.forward(&in_channels(&x));
        assert_close("y", &layer.forward(&in_channels(&(&x * &scales + shifts))), &y, 1e-12);
        assert_close("-y", &layer.forward(&in_channels(&(-&x * scales))), &-y, 1e-13);
    }
}

#[test]
fn panics_when_something_does_not_fit() {
    for (groups, channels) in [(3, 2), (2, 3), (10, 1), (4, 6), (2, 7), (3, 10), (0, 4), (1, 0)] {
        let (message, file) = panic_of(|| GroupNorm::<f64>::new(groups, channels));
        let expected = format!(
            "GroupNorm: expected num_channels to be divisible by num_groups, both at least 1, \
             got {channels} channels and {groups} groups"
        );
        assert_eq!(message, expected);
        assert!(file.ends_with("tests/group_norm.rs"), "{expected}: blamed on {file}");
    }
    let forward = |shape: &[usize]| panic_of(|| GroupNorm::new(2, 4).forward(&normal(shape, 1)));
    let with = |gamma: &[usize], beta: &[usize]| {
        panic_of(|| {
            let mut layer = GroupNorm::new(2, 4);
            (layer.gamma, layer.beta) = (normal(gamma, 1), normal(beta, 2));
            layer.forward(&normal(&[2, 4], 3))
        })
    };
    let cases = [
        (forward(&[2, 6, 3]), "expected an input of shape [batch, 4, ..], got [2, 6, 3]"),
        (forward(&[2, 3, 4]), "expected an input of shape [batch, 4, ..], got [2, 3, 4]"),
        (forward(&[4]), "expected an input of shape [batch, 4, ..], got [4]"),
        (forward(&[]), "expected an input of shape [batch, 4, ..], got []"),
        (with(&[2], &[4]), "expected gamma of shape [4], got [2]"),
        (with(&[4], &[4, 1]), "expected beta of shape [4], got [4, 1]"),
    ];
    for ((message, file), expected) in cases {
        assert_eq!(message, format!("GroupNorm: {expected}"));
        assert!(file.ends_with("tests/group_norm.rs"), "{expected}: blamed on {file}");
    }
    for eps in [-1e-5, f64::NAN, f64::INFINITY] {
        let (message, _) = panic_of(|| GroupNorm::<f64>::new(2, 4).with_eps(eps));
        assert_eq!(message, format!("GroupNorm: expected a finite eps of at least 0, got {eps}"));
    }
}
