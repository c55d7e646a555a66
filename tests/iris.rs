//! The pieces of the Iris network, Linear and cross-entropy; the data have `tests/datasets.rs`. Page: `book/src/iris.md`.

use crate::common::{normal, panic_of};
use approx::assert_relative_eq;
use evenkeel::{Linear, Module, Tensor, cross_entropy, gradient_check, rng};
use ndarray::array;

#[test]
fn linear_gradient_matches_finite_differences() {
    let (x, weight, bias) = (normal(&[2, 3], 1), normal(&[5, 3], 2), normal(&[5], 3));
    let forward = |[x, weight, bias]: [&Tensor; 3]| {
        Linear { weight: weight.clone(), bias: bias.clone() }.forward(x)
    };
    gradient_check([&x, &weight, &bias], forward).unwrap();
}

#[test]
fn linear_maps_each_row_whatever_axes_stand_before_it() {
    let layer: Linear = Linear::new(5, 4, &mut rng(1));
    let x = normal(&[2, 3, 5], 1);
    let rows = layer.forward(&x.reshape(&[6, 5]));
    assert_eq!(layer.forward(&x), rows.reshape(&[2, 3, 4]));
    assert_eq!(
        layer.forward(&x.slice_axis(0, 0..1).slice_axis(1, 0..1).reshape(&[5])).shape(),
        [4]
    );
    assert_eq!(layer.forward(&normal(&[0, 3, 5], 1)).shape(), [0, 3, 4]);
    let forward = |[x, weight, bias]: [&Tensor; 3]| {
        Linear { weight: weight.clone(), bias: bias.clone() }.forward(x)
    };
    for x in [normal(&[2, 3, 5], 1), normal(&[5], 1)] {
        gradient_check([&x, &layer.weight, &layer.bias], forward).unwrap();
    }
}

#[test]
fn every_parameter_of_linear_receives_a_gradient() {
    for (bias, expected) in [(true, 2), (false, 1)] {
        let mut layer: Linear = Linear::new(3, 4, &mut rng(1));
        if !bias {
            layer = layer.without_bias();
        }
        let gradients = layer.forward(&normal(&[2, 3], 1)).square().sum().backward();
        assert_eq!((layer.parameters().len(), layer.parameters_mut().len()), (expected, expected));
        assert_eq!(gradients.len(), expected);
        for parameter in &layer.parameters() {
            assert!(gradients.get(parameter).unwrap().value().iter().all(|d| *d != 0.0));
        }
    }
}

#[test]
fn linear_starts_with_the_variance_of_he() {
    let layer: Linear = Linear::new(50, 400, &mut rng(1));
    assert_eq!(layer.weight.shape(), [400, 50]);
    // 20,000 draws: the standard error of the variance is 1 % of it.
    assert!((layer.weight.value().var(0.0) / (2.0 / 50.0) - 1.0).abs() < 0.04);
    assert!(layer.weight.value().mean().unwrap().abs() < 0.006);
    assert!(layer.bias.value().iter().all(|b| *b == 0.0));
}

#[test]
fn cross_entropy_matches_the_worked_example() {
    // softmax([0, ln 3]) = [1/4, 3/4]
    let logits = Tensor::parameter(array![[0.0, 3f64.ln()], [0.0, 3f64.ln()]]);
    let loss = cross_entropy(&logits, &[0, 1]);
    assert_relative_eq!(loss.item(), -(0.25f64.ln() + 0.75f64.ln()) / 2.0, epsilon = 1e-15);
    let want = Tensor::new(array![[-0.375, 0.375], [0.125, -0.125]]);
    assert_relative_eq!(loss.backward().get(&logits).unwrap(), &want, epsilon = 1e-15);
}

#[test]
fn cross_entropy_gradient_matches_finite_differences() {
    gradient_check([&normal(&[5, 3], 1)], |[logits]| cross_entropy(logits, &[0, 2, 1, 1, 0]))
        .unwrap();
}

#[test]
fn cross_entropy_does_not_overflow() {
    let loss = |logits: [[f32; 2]; 1], target| {
        cross_entropy(&Tensor::new(ndarray::arr2(&logits)), &[target]).item()
    };
    assert_eq!(loss([[1e4, 0.0]], 1), 1e4);
    assert_eq!(loss([[1e4, 0.0]], 0), 0.0);
    assert_eq!(loss([[f32::NEG_INFINITY, 0.0]], 0), f32::INFINITY);
}

#[test]
fn cross_entropy_refuses_what_does_not_fit() {
    let refused =
        |logits: &Tensor, targets: &[usize]| panic_of(|| cross_entropy(logits, targets)).0;
    let logits = normal(&[2, 3], 1);
    assert_eq!(
        refused(&logits, &[0, 3]),
        "cross_entropy: target 3 of row 1 is no class: expected 0 to 2"
    );
    assert_eq!(refused(&logits, &[0]), "cross_entropy: expected 2 targets, one per row, got 1");
    assert_eq!(
        refused(&normal(&[3], 1), &[0]),
        "cross_entropy: expected logits of shape [batch, classes], got [3]"
    );
    assert_eq!(
        refused(&normal(&[0, 3], 1), &[]),
        "cross_entropy: expected at least one row, got logits of shape [0, 3]"
    );
}

#[test]
fn linear_refuses_what_does_not_fit() {
    let layer: Linear = Linear::new(3, 4, &mut rng(1));
    let with = |weight: &[usize], bias: &[usize]| Linear {
        weight: normal(weight, 1),
        bias: normal(bias, 1),
    };
    let x = normal(&[2, 3], 1);
    let cases = [
        (
            panic_of(|| layer.forward(&normal(&[2, 5], 1))),
            "Linear: expected an input of shape [.., 3], got [2, 5]",
        ),
        (
            panic_of(|| layer.forward(&normal(&[], 1))),
            "Linear: expected an input of shape [.., 3], got [], which has too few axes",
        ),
        (
            panic_of(|| with(&[3], &[4]).forward(&x)),
            "Linear: expected a weight of shape [out_features, in_features], got [3]",
        ),
        (
            panic_of(|| with(&[4, 3], &[3]).forward(&x)),
            "Linear: expected a bias of shape [4], got [3]",
        ),
        (
            panic_of(|| Linear::<f64>::new(0, 4, &mut rng(1))),
            "Linear: expected at least one input feature, got 0",
        ),
    ];
    for ((message, file), expected) in cases {
        assert_eq!(message, expected);
        assert!(file.ends_with("tests/iris.rs"), "{expected}: blamed on {file}");
    }
}
