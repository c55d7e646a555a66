//! The losses and their options. Page: `book/src/iris.md`. The PyTorch cases run in `tests/golden.rs`.

use crate::common::{assert_close, normal, panic_of};
use approx::assert_relative_eq;
use evenkeel::{CrossEntropy, Reduction, Tensor, cross_entropy, gradient_check, mse};
use ndarray::{Array2, array, s};
use proptest::prelude::*;

const TARGETS: [Option<usize>; 5] = [Some(0), Some(2), None, Some(1), Some(2)];
const REDUCTIONS: [Reduction; 3] = [Reduction::Mean, Reduction::Sum, Reduction::None];

/// Every mix of the options.
fn every_loss() -> Vec<CrossEntropy> {
    let mut losses = Vec::new();
    for reduction in REDUCTIONS {
        for smoothing in [0.0, 0.1, 1.0] {
            let loss = CrossEntropy::new().with_reduction(reduction);
            let loss = loss.with_label_smoothing(smoothing);
            losses.push(loss.clone().with_class_weights([0.5, 2.0, 1.25]));
            losses.push(loss);
        }
    }
    losses
}

/// The loss of the rows in [`TARGETS`] that have a class, from log-softmax and primitive operations.
fn composed(logits: &Tensor, smoothing: f64, weights: [f64; 3], reduction: Reduction) -> Tensor {
    let mut wanted = Array2::zeros((5, 3)); // q
    let mut total = 0.0;
    for (row, target) in TARGETS.iter().enumerate() {
        if let Some(target) = *target {
            for class in 0..3 {
                let onehot = if class == target { 1.0 } else { 0.0 };
                wanted[[row, class]] =
                    weights[class] * ((1.0 - smoothing) * onehot + smoothing / 3.0);
            }
            total += weights[target];
        }
    }
    let rows = (-logits.log_softmax(-1) * Tensor::new(wanted)).sum_axis(-1).reshape(&[5]);
    match reduction {
        Reduction::Mean => rows.sum() / total,
        Reduction::Sum => rows.sum(),
        Reduction::None => rows,
    }
}

#[test]
fn gradient_matches_finite_differences() {
    for loss in every_loss() {
        gradient_check([&normal(&[5, 3], 1)], |[logits]| loss.forward(logits, &TARGETS)).unwrap();
    }
    gradient_check([&normal(&[2, 3, 5], 1), &normal(&[2, 3, 5], 2)], |[y, t]| mse(y, t)).unwrap();
}

#[test]
fn closed_form_matches_composition() {
    let logits = Tensor::parameter((normal(&[5, 3], 1) * 3.0).value());
    for reduction in REDUCTIONS {
        for smoothing in [0.0, 0.1, 1.0] {
            let loss = CrossEntropy::new().with_reduction(reduction);
            let loss = loss.with_label_smoothing(smoothing);
            let weights = [0.5, 2.0, 1.25];
            let pairs = [
                (loss.clone(), composed(&logits, smoothing, [1.0; 3], reduction)),
                (
                    loss.with_class_weights(weights),
                    composed(&logits, smoothing, weights, reduction),
                ),
            ];
            for (loss, built) in pairs {
                let fused = loss.forward(&logits, &TARGETS);
                assert_close("loss", &fused, &built, 1e-10);
                let dy = normal(fused.shape(), 2);
                let (fused, built) = (fused.backward_from(&dy), built.backward_from(&dy));
                let (fused, built) = (fused.get(&logits).unwrap(), built.get(&logits).unwrap());
                assert_close("dz", fused, built, 1e-10);
            }
        }
    }
}

#[test]
fn the_function_is_the_mean_without_options() {
    let logits = normal(&[5, 3], 1);
    let loss = cross_entropy(&logits, &[0, 2, 1, 1, 0]);
    assert_eq!(loss, CrossEntropy::new().forward(&logits, &[0, 2, 1, 1, 0]));
    let each = CrossEntropy::new().with_reduction(Reduction::None);
    let each = each.forward(&logits, &[0, 2, 1, 1, 0]);
    assert_eq!(each.shape(), [5]);
    assert_relative_eq!(each.mean(), loss, epsilon = 1e-15);
}

#[test]
fn a_row_without_a_class_is_as_if_it_were_not_there() {
    let without = normal(&[5, 3], 1).value().select(ndarray::Axis(0), &[0, 1, 3, 4]);
    let mut with = normal(&[5, 3], 1).value().to_owned();
    with.slice_mut(s![2, ..]).fill(f64::NAN); // whatever it holds
    let with = Tensor::parameter(with);
    for loss in every_loss() {
        let got = loss.forward(&with, &TARGETS);
        let want = loss.forward(&Tensor::new(without.clone()), &[0, 2, 1, 2]);
        assert_close("loss", &got.sum(), &want.sum(), 1e-15);
        let gradients = got.sum().backward();
        let dz = gradients.get(&with).unwrap().value();
        assert!(dz.iter().all(|d| d.is_finite()));
        assert!(dz.slice(s![2, ..]).iter().all(|d| *d == 0.0));
    }
    let each = CrossEntropy::new().with_reduction(Reduction::None).forward(&with, &TARGETS);
    assert_eq!(each.value()[[2]], 0.0);
}

#[test]
fn infinite_and_missing_numbers_stay_in_their_rows() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let logits =
        Tensor::parameter(array![[-inf, 0.0], [-inf, 0.0], [nan, 0.0], [inf, 0.0], [1e3, 0.0]]);
    let loss = CrossEntropy::new().with_reduction(Reduction::None);
    let each = loss.forward(&logits, &[0, 1, 0, 0, 1]);
    assert_eq!(each.value()[[0]], inf); // the class has probability 0
    assert_eq!(each.value()[[1]], 0.0); // the class has probability 1
    assert!(each.value()[[2]].is_nan() && each.value()[[3]].is_nan());
    assert_eq!(each.value()[[4]], 1000.0);
    let dz = each.sum().backward();
    let dz = dz.get(&logits).unwrap().value();
    assert_eq!(dz.slice(s![0, ..]).to_vec(), [-1.0, 1.0]);
    assert_eq!(dz.slice(s![1, ..]).to_vec(), [0.0, 0.0]);
    assert_eq!(dz.slice(s![4, ..]).to_vec(), [1.0, -1.0]);
    // Smoothing wants a little of the impossible class.
    let smooth = loss.with_label_smoothing(0.1).forward(&logits, &[0, 1, 0, 0, 1]);
    assert_eq!(smooth.value()[[1]], inf);
}

#[test]
fn with_one_class_nothing_is_in_doubt() {
    // ln exp(z) - z = 0 for the only class, softmax(z) - onehot = 1 - 1 = 0.
    let logits = Tensor::parameter(array![[2.0], [-1e3], [f64::NAN], [1e300]]);
    let targets = [Some(0), Some(0), None, Some(0)];
    for reduction in REDUCTIONS {
        let loss = CrossEntropy::new().with_reduction(reduction);
        let smooth = loss.clone().with_label_smoothing(0.5);
        let weighted = smooth.clone().with_class_weights([3.0]);
        for loss in [loss, smooth, weighted] {
            let y = loss.forward(&logits, &targets);
            assert_eq!(y, y.detach() * 0.0);
            assert_eq!(y.shape(), if reduction == Reduction::None { &[4][..] } else { &[] });
            let dz = y.backward_from(&normal(y.shape(), 1));
            assert_eq!(dz.get(&logits).unwrap(), &Tensor::new(Array2::zeros((4, 1))));
        }
    }
    assert_eq!(cross_entropy(&Tensor::<f32>::new(array![[-7.5]]), &[0]).item(), 0.0);
    let (message, _) = panic_of(|| cross_entropy(&normal(&[2, 1], 1), &[0, 1]));
    assert_eq!(message, "cross_entropy: target 1 of row 1 is no class: expected 0 to 0");
}

#[test]
fn a_large_f32_batch_is_summed_in_f64() {
    let logits =
        Tensor::<f32>::new(Array2::from_shape_fn((200_000, 2), |(i, j)| ((i + j) % 7) as f32));
    let targets: Vec<usize> = (0..200_000).map(|i| i % 2).collect();
    let wide = Tensor::new(logits.value().mapv(f64::from));
    let (got, want) = (cross_entropy(&logits, &targets), cross_entropy(&wide, &targets));
    assert_relative_eq!(f64::from(got.item()), want.item(), max_relative = 1e-7);
}

#[test]
fn an_empty_batch_sums_to_zero_and_has_no_mean() {
    let logits = Tensor::parameter(Array2::<f64>::zeros((0, 3)));
    let none: [usize; 0] = [];
    for (reduction, shape) in [(Reduction::Sum, &[][..]), (Reduction::None, &[0])] {
        let loss = CrossEntropy::new().with_reduction(reduction).forward(&logits, &none);
        assert_eq!(loss.shape(), shape);
        assert_eq!(loss.sum().item(), 0.0);
        assert_eq!(loss.sum().backward().get(&logits).unwrap().shape(), [0, 3]);
    }
    let nothing = CrossEntropy::new().with_reduction(Reduction::Sum);
    assert_eq!(nothing.forward(&normal(&[2, 3], 1), &[None, None]).item(), 0.0);
}

#[test]
fn mse_matches_the_worked_example() {
    let (y, t) =
        (Tensor::parameter(array![[1.0, 2.0, 4.0]]), Tensor::parameter(array![[1.0, 0.0, 1.0]]));
    let loss = mse(&y, &t);
    assert_relative_eq!(loss.item(), 13.0 / 3.0); // (0 + 4 + 9) / 3
    let gradients = loss.backward();
    let want = Tensor::new(array![[0.0, 4.0 / 3.0, 2.0]]);
    assert_relative_eq!(gradients.get(&y).unwrap(), &want, epsilon = 1e-15);
    assert_relative_eq!(gradients.get(&t).unwrap(), &-want, epsilon = 1e-15);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn cross_entropy_does_not_feel_a_shift_and_its_gradient_sums_to_zero(
        seed in 0..1000u64, size in 0.1..100f64, shift in -1e3..1e3f64, smoothing in 0.0..1f64,
    ) {
        let logits = Tensor::parameter((normal(&[5, 3], seed) * size).value());
        let loss = CrossEntropy::new().with_label_smoothing(smoothing);
        let y = loss.forward(&logits, &TARGETS);
        assert_close("shifted", &loss.forward(&(&logits + shift), &TARGETS), &y, 1e-12);
        let dz = y.backward();
        for sum in dz.get(&logits).unwrap().value().sum_axis(ndarray::Axis(1)) {
            prop_assert!(sum.abs() < 1e-15);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_at_the_line_of_the_caller() {
    let logits = normal(&[2, 3], 1);
    let new = CrossEntropy::new;
    let none: [usize; 0] = [];
    let cases = [
        (
            panic_of(|| new().with_label_smoothing(1.5)),
            "CrossEntropy: expected a label smoothing from 0 to 1, got 1.5",
        ),
        (
            panic_of(|| new().with_label_smoothing(f64::NAN)),
            "CrossEntropy: expected a label smoothing from 0 to 1, got NaN",
        ),
        (
            panic_of(|| new().with_class_weights([1.0, -1.0])),
            "CrossEntropy: expected a finite weight of at least 0 for class 1, got -1",
        ),
        (
            panic_of(|| new().with_class_weights([f64::NAN])),
            "CrossEntropy: expected a finite weight of at least 0 for class 0, got NaN",
        ),
        (
            panic_of(|| new().with_class_weights([1.0; 2]).forward(&logits, &[0, 1])),
            "cross_entropy: expected 3 class weights, one per class, got 2",
        ),
        (
            panic_of(|| new().forward(&logits, &[Some(1), Some(3)])),
            "cross_entropy: target 3 of row 1 is no class: expected 0 to 2",
        ),
        (
            panic_of(|| new().forward(&logits, &[1])),
            "cross_entropy: expected 2 targets, one per row, got 1",
        ),
        (
            panic_of(|| new().forward(&normal(&[2, 3, 5], 1), &[1, 1])),
            "cross_entropy: expected logits of shape [batch, classes], got [2, 3, 5]",
        ),
        (
            panic_of(|| new().forward(&normal(&[5, 0], 1), &[0; 5])),
            "cross_entropy: expected logits with at least one class, got shape [5, 0]",
        ),
        (
            panic_of(|| new().forward(&normal(&[0, 3], 1), &none)),
            "cross_entropy: expected at least one row, got logits of shape [0, 3]",
        ),
        (
            panic_of(|| new().forward(&logits, &[None, None])),
            "cross_entropy: expected a row whose class has a weight above 0, got none in 2",
        ),
        (
            panic_of(|| new().with_class_weights([0.0, 1.0, 1.0]).forward(&logits, &[0, 0])),
            "cross_entropy: expected a row whose class has a weight above 0, got none in 2",
        ),
        (
            panic_of(|| cross_entropy(&logits, &[1, 3])),
            "cross_entropy: target 3 of row 1 is no class: expected 0 to 2",
        ),
        (
            panic_of(|| mse(&logits, &normal(&[2, 1], 1))),
            "mse: expected a target of shape [2, 3], got [2, 1]",
        ),
        (
            panic_of(|| mse(&normal(&[0, 3], 1), &normal(&[0, 3], 1))),
            "mse: expected at least one number, got shape [0, 3]",
        ),
    ];
    for ((message, file), expected) in cases {
        assert_eq!(message, expected);
        assert!(file.ends_with("tests/loss.rs"), "{expected}: blamed on {file}");
    }
}
