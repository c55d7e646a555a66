//! LayerNorm. Page: `book/src/layer_norm.md`. The PyTorch cases run in `tests/golden.rs`.

mod extremes;
mod numerics;
mod sweep;

use crate::common::{ROWS, assert_close, assert_panics, normal};
use approx::assert_relative_eq;
use evenkeel::{LayerNorm, Module, Tensor, gradient_check};
use ndarray::{Array1, Array2, Axis, Slice, array};
use proptest::prelude::*;

/// LayerNorm from primitive operations, differentiated by the engine.
fn composed(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Tensor {
    let features = gamma.value().len();
    let rows = x.reshape(&[x.value().len() / features, features]);
    let centred = &rows - rows.mean_axis(-1);
    let x_hat = &centred / (centred.square().mean_axis(-1) + eps).sqrt();
    let y = gamma.reshape(&[features]) * x_hat + beta.reshape(&[features]);
    y.reshape(x.shape())
}

/// The layer with the given γ and β.
fn layer(gamma: &Tensor, beta: &Tensor, eps: f64) -> LayerNorm {
    let mut layer = LayerNorm::new(gamma.shape()).with_eps(eps);
    (layer.gamma, layer.beta) = (gamma.clone(), beta.clone());
    layer
}

#[test]
fn matches_the_worked_example() {
    // [1, 2, 3, 4]: mean 2.5, variance (2.25 + 0.25 + 0.25 + 2.25) / 4 = 1.25.
    let x = Tensor::new(array![[1.0, 2.0, 3.0, 4.0]]);
    let sd = (1.25f64 + 1e-5).sqrt();
    let want = array![[-1.5 / sd, -0.5 / sd, 0.5 / sd, 1.5 / sd]];
    assert_relative_eq!(LayerNorm::new(4).forward(&x), Tensor::new(want), epsilon = 1e-15);
}

#[test]
fn each_row_gets_mean_zero_and_biased_variance_one() {
    for (seed, shape) in
        [[4, 9].as_slice(), &[2, 3, 5], &[2, 3, 2, 4], &[2, 1, 3, 4, 5]].into_iter().enumerate()
    {
        for axes in 1..shape.len() {
            let normalized_shape = &shape[shape.len() - axes..];
            let x = normal(shape, seed as u64) * 3.0 + 5.0;
            let y = LayerNorm::new(normalized_shape).with_eps(0.0).forward(&x);
            let features: usize = normalized_shape.iter().product();
            let rows = y.reshape(&[x.value().len() / features, features]);
            for row in rows.value().axis_iter(Axis(0)) {
                assert!(row.mean().unwrap().abs() < 1e-14);
                assert!((row.var(0.0) - 1.0).abs() < 1e-13);
            }
        }
    }
}

#[test]
fn gamma_and_beta_become_the_scale_and_the_mean() {
    let (gamma, beta) =
        (Tensor::new(Array1::from_elem(7, -1.5)), Tensor::new(Array1::from_elem(7, 0.25)));
    let y = layer(&gamma, &beta, 0.0).forward(&normal(&[3, 7], 1));
    for row in y.value().axis_iter(Axis(0)) {
        assert!((row.mean().unwrap() - 0.25).abs() < 1e-14);
        assert!((row.var(0.0) - 2.25).abs() < 1e-13);
    }
}

#[test]
fn gradient_matches_finite_differences() {
    let x = normal(&[2, 3, 5], 1) * 2.0 + 3.0;
    for (seed, normalized_shape) in [[5].as_slice(), &[3, 5], &[2, 3, 5]].into_iter().enumerate() {
        let (gamma, beta) = (
            normal(normalized_shape, 10 + seed as u64),
            normal(normalized_shape, 20 + seed as u64),
        );
        for eps in [1e-5, 0.5] {
            let checked = gradient_check([&x, &gamma, &beta], |[x, gamma, beta]| {
                layer(gamma, beta, eps).forward(x)
            });
            checked.unwrap();
        }
    }
}

#[test]
fn closed_form_matches_composition() {
    for (seed, (shape, normalized_shape)) in (0..).step_by(4).zip(ROWS) {
        for (offset, eps) in [(0.0, 1e-5), (100.0, 1e-5), (0.0, 0.5)] {
            let x = Tensor::parameter((normal(shape, seed) + offset).value());
            let [gamma, beta] =
                [1, 2].map(|i| Tensor::parameter(normal(normalized_shape, seed + i).value()));
            let (fused, built) =
                (layer(&gamma, &beta, eps).forward(&x), composed(&x, &gamma, &beta, eps));
            assert_close("y", &fused, &built, 1e-10);
            let dy = normal(shape, seed + 3);
            let (fused, built) = (fused.backward_from(&dy), built.backward_from(&dy));
            for (name, of) in [("dx", &x), ("dgamma", &gamma), ("dbeta", &beta)] {
                assert_close(name, fused.get(of).unwrap(), built.get(of).unwrap(), 1e-10);
            }
        }
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    let x = normal(&[3, 4], 1);
    for (layer, expected) in [
        (LayerNorm::new(4), 2),
        (LayerNorm::new(4).without_bias(), 1),
        (LayerNorm::new(4).without_affine(), 0),
    ] {
        assert_eq!(layer.parameters().len(), expected);
        let x = Tensor::parameter(x.value());
        let (y, both) = (layer.forward(&x), LayerNorm::new(4).forward(&x));
        let gradients = y.square().sum().backward();
        assert_eq!(gradients.len(), expected + 1);
        // Without parameters γ is one and β zero.
        assert_eq!((&y, gradients.get(&x)), (&both, both.square().sum().backward().get(&x)));
        for parameter in &layer.parameters() {
            assert!(gradients.get(parameter).unwrap().value().iter().all(|d| *d != 0.0));
        }
    }
}

#[test]
fn a_constant_input_still_gives_the_parameters_their_gradients() {
    let layer = LayerNorm::new(4);
    let gradients = layer.forward(&normal(&[3, 4], 1)).sum().backward();
    assert_eq!(gradients.len(), 2);
    assert_eq!(gradients.get(&layer.beta).unwrap(), &Tensor::new(array![3.0, 3.0, 3.0, 3.0]));
}

#[test]
fn an_upstream_of_ones_is_blind_to_the_input() {
    // Why every gradient test here uses a random upstream: y has a constant mean, so Σy does not depend on x.
    let x = Tensor::parameter(normal(&[3, 5], 1).value());
    let gradients = LayerNorm::new(5).forward(&x).sum().backward();
    assert_close("dx", gradients.get(&x).unwrap(), &Tensor::new(Array2::zeros((3, 5))), 1e-15);
}

#[test]
fn empty_batches_and_empty_rows_give_empty_results() {
    for shape in [[0, 3], [2, 0]] {
        let layer = LayerNorm::new(shape[1]);
        let x = Tensor::parameter(Array2::<f64>::zeros((shape[0], shape[1])));
        let y = layer.forward(&x);
        assert_eq!(y.shape(), shape);
        let gradients = y.sum().backward();
        assert_eq!(gradients.get(&x).unwrap().shape(), shape);
        assert_eq!(gradients.get(&layer.gamma).unwrap(), &Tensor::new(Array1::zeros(shape[1])));
        assert_eq!(gradients.get(&layer.beta).unwrap(), &Tensor::new(Array1::zeros(shape[1])));
    }
}

#[test]
fn one_feature_normalizes_to_zero() {
    let x = Tensor::parameter(array![[3.0], [-7.0]]);
    let layer = LayerNorm::new(1);
    let y = layer.forward(&x);
    assert_eq!(y, Tensor::new(array![[0.0], [0.0]]));
    let gradients = y.backward_from(&Tensor::new(array![[2.0], [3.0]]));
    assert_eq!(gradients.get(&x).unwrap(), &Tensor::new(array![[0.0], [0.0]]));
    assert_eq!(gradients.get(&layer.gamma).unwrap(), &Tensor::new(array![0.0]));
    assert_eq!(gradients.get(&layer.beta).unwrap(), &Tensor::new(array![5.0]));
}

#[test]
fn the_memory_layout_of_the_input_does_not_matter() {
    let x = normal(&[6, 4], 1);
    let matrix = x.value().into_dimensionality::<ndarray::Ix2>().unwrap();
    let transposed = matrix.t();
    let want = LayerNorm::new(6).forward(&Tensor::new(transposed.as_standard_layout()));
    assert_eq!(LayerNorm::new(6).forward(&Tensor::new(transposed)), want);
    let every_second = matrix.slice_axis(Axis(0), Slice::new(0, None, 2));
    let want = LayerNorm::new(4).forward(&Tensor::new(every_second.to_owned()));
    assert_eq!(LayerNorm::new(4).forward(&Tensor::new(every_second)), want);
}

#[test]
fn an_old_graph_and_a_clone_keep_their_numbers_when_the_parameters_move() {
    let mut layer = LayerNorm::new(3);
    let copy = layer.clone();
    let x = normal(&[2, 3], 1);
    let y = layer.forward(&x);
    let loss = y.square().sum();
    let before = loss.backward().get(&layer.gamma).unwrap().clone();
    evenkeel::Adam::new(0.5).step(&mut layer, &loss.backward());
    assert_ne!(layer.forward(&x), y);
    assert_eq!(copy.forward(&x), y);
    assert_eq!(loss.backward().get(&layer.gamma).unwrap(), &before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn shifting_a_row_changes_nothing(row in prop::collection::vec(-10.0..10.0f64, 2..20), shift in -100.0..100.0f64) {
        let x = Tensor::new(Array1::from(row));
        let layer = LayerNorm::new(x.shape());
        // The shift rounds x by 1e-14; where the row is nearly constant, 1/√eps ≈ 316 scales that up.
        assert_close("y", &layer.forward(&(&x + shift)), &layer.forward(&x), 1e-10);
    }

    #[test]
    fn scaling_a_row_changes_nothing_but_the_weight_of_eps(
        row in prop::collection::vec(-10.0..10.0f64, 2..20),
        scale in 0.01..100.0f64,
    ) {
        let x = Tensor::new(Array1::from(row));
        // y(s·x, s²·eps) = y(x, eps), exactly; with one eps for both it holds only while var is far above eps.
        let scaled = LayerNorm::new(x.shape()).with_eps(1e-5 * scale * scale).forward(&(&x * scale));
        assert_close("y", &scaled, &LayerNorm::new(x.shape()).forward(&x), 1e-10);
    }

    #[test]
    fn a_negative_scale_flips_the_sign(row in prop::collection::vec(-10.0..10.0f64, 2..20)) {
        let x = Tensor::new(Array1::from(row));
        let layer = LayerNorm::new(x.shape());
        assert_close("y", &layer.forward(&-&x), &-layer.forward(&x), 1e-12);
    }

    #[test]
    fn a_row_does_not_see_the_others(rows in prop::collection::vec(prop::array::uniform5(-10.0..10.0f64), 1..8)) {
        let layer = LayerNorm::new(5);
        let together = layer.forward(&Tensor::new(Array2::from(rows.clone())));
        for (together, row) in together.value().axis_iter(Axis(0)).zip(rows) {
            let alone = layer.forward(&Tensor::new(Array1::from(row.to_vec())));
            prop_assert_eq!(together, alone.value());
        }
    }

    #[test]
    fn permuting_the_features_permutes_the_result(row in prop::collection::vec(-10.0..10.0f64, 2..20)) {
        let layer = LayerNorm::new(row.len());
        let forward = layer.forward(&Tensor::new(Array1::from(row.clone())));
        let backward = layer.forward(&Tensor::new(row.into_iter().rev().collect::<Array1<f64>>()));
        let reversed = backward.value().slice_axis(Axis(0), Slice::new(0, None, -1)).to_owned();
        assert_close("y", &Tensor::new(reversed), &forward, 1e-12);
    }
}

#[test]
fn panics_when_the_input_does_not_end_in_the_normalized_shape() {
    let forward = |normalized_shape: &[usize], input: &[usize]| {
        let _ = LayerNorm::new(normalized_shape).forward(&normal(input, 1));
    };
    for (normalized_shape, input, expected) in [
        (&[4][..], &[2, 3][..], "[.., 4], got [2, 3]"),
        (&[10], &[2, 3], "[.., 10], got [2, 3]"),
        (&[2], &[1, 2, 3], "[.., 2], got [1, 2, 3]"),
        (&[2, 2], &[2, 2, 3], "[.., 2, 2], got [2, 2, 3]"),
        (&[2, 3], &[3], "[.., 2, 3], got [3], which has too few axes"),
        (&[3, 4], &[4], "[.., 3, 4], got [4], which has too few axes"),
        (&[1], &[], "[.., 1], got [], which has too few axes"),
    ] {
        let expected = format!("LayerNorm: expected an input of shape {expected}");
        assert_panics(&expected, || forward(normalized_shape, input));
    }
}

#[test]
fn panics_when_gamma_or_beta_has_another_shape() {
    let x = normal(&[1, 2, 3], 1);
    for (shape, got) in [(&[1, 2, 3][..], "[1, 2, 3]"), (&[6], "[6]"), (&[3, 2], "[3, 2]")] {
        let (mut scaled, mut shifted) = (LayerNorm::new([2, 3]), LayerNorm::new([2, 3]));
        (scaled.gamma, shifted.beta) = (normal(shape, 1), normal(shape, 1));
        for (layer, of) in [(scaled, "gamma"), (shifted, "beta")] {
            let expected = format!("LayerNorm: expected {of} of shape [2, 3], got {got}");
            assert_panics(&expected, || layer.forward(&x));
        }
    }
}

#[test]
fn panics_when_normalized_shape_is_empty() {
    let expected = "LayerNorm: expected a normalized_shape of at least one axis, got []";
    assert_panics(expected, || LayerNorm::<f64>::new([0usize; 0].as_slice()));
}

#[test]
fn panics_when_eps_is_out_of_range() {
    for eps in [-1e-5, -0.5, f64::NAN, f64::INFINITY] {
        let expected = format!("LayerNorm: expected a finite eps of at least 0, got {eps}");
        assert_panics(&expected, || LayerNorm::<f64>::new(4).with_eps(eps));
    }
}
