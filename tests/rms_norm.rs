//! RMSNorm. Page: `book/src/layer_norm.md`. The PyTorch cases run in `tests/golden.rs`.

use crate::common::{
    ROWS, all_nan, assert_close, assert_close_relative, assert_panics, long_row, narrow, normal,
    rows, wide,
};
use approx::assert_relative_eq;
use evenkeel::{Adam, Module, RMSNorm, Tensor, gradient_check};
use ndarray::{Array1, Array2, Axis, Slice, array};
use proptest::prelude::*;

/// RMSNorm from primitive operations, differentiated by the engine.
fn composed(x: &Tensor, gamma: &Tensor, eps: f64) -> Tensor {
    let features = gamma.value().len();
    let rows = x.reshape(&[x.value().len() / features, features]);
    let x_hat = &rows / (rows.square().mean_axis(-1) + eps).sqrt();
    (gamma.reshape(&[features]) * x_hat).reshape(x.shape())
}

/// The layer with the given γ.
fn layer(gamma: &Tensor, eps: f64) -> RMSNorm {
    let mut layer = RMSNorm::new(gamma.shape()).with_eps(eps);
    layer.gamma = gamma.clone();
    layer
}

#[test]
fn matches_the_worked_example() {
    // [1, 2, 3, 4]: mean square (1 + 4 + 9 + 16) / 4 = 7.5. γ stands outside of the root.
    let x = Tensor::new(array![[1.0, 2.0, 3.0, 4.0]]);
    let gamma = Tensor::new(array![1.0, -1.0, 10.0, 0.0]);
    let root = (7.5f64 + 1e-6).sqrt();
    let want = Tensor::new(array![[1.0 / root, -2.0 / root, 30.0 / root, 0.0]]);
    assert_relative_eq!(layer(&gamma, 1e-6).forward(&x), want, epsilon = 1e-15);
    let default = RMSNorm::new(4).forward(&x);
    assert_relative_eq!(default, &x / root, epsilon = 1e-15);
}

#[test]
fn the_eps_is_pytorchs_where_it_is_given_pytorchs() {
    // There the default is the machine epsilon of the element type.
    let layer = RMSNorm::new(1).with_eps(f64::EPSILON);
    let y = layer.forward(&Tensor::new(array![1e-8]));
    assert_relative_eq!(y.value()[[0]], 0.557_239_618_210_950_4, epsilon = 1e-15);

    let layer = RMSNorm::<f32>::new(2).with_eps(f32::EPSILON.into());
    let x = Tensor::parameter(array![[0.0, 0.0]]);
    let y = layer.forward(&x);
    assert_eq!(y, Tensor::new(array![[0.0, 0.0]]));
    let gradients = y.sum().backward();
    let slope = 2_896.309_3; // 1/√eps, a half of √2 · 4096
    assert_eq!(gradients.get(&x).unwrap(), &Tensor::new(array![[slope, slope]]));
    assert_eq!(gradients.get(&layer.gamma).unwrap(), &Tensor::new(array![0.0, 0.0]));
}

#[test]
fn gradient_matches_finite_differences() {
    let x = normal(&[2, 3, 5], 1) * 2.0 + 3.0;
    for (seed, normalized_shape) in [[5].as_slice(), &[3, 5], &[2, 3, 5]].into_iter().enumerate() {
        let gamma = normal(normalized_shape, 10 + seed as u64);
        for eps in [0.0, 1e-6, 0.5] {
            gradient_check([&x, &gamma], |[x, gamma]| layer(gamma, eps).forward(x)).unwrap();
        }
    }
}

#[test]
fn closed_form_matches_composition() {
    for (seed, (shape, normalized_shape)) in (0..).step_by(3).zip(ROWS) {
        for (scale, eps) in [(1.0, 1e-6), (1.0, 0.5), (1000.0, 1e-6)] {
            let x = Tensor::parameter((normal(shape, seed) * scale).value());
            let gamma = Tensor::parameter(normal(normalized_shape, seed + 1).value());
            let (fused, built) = (layer(&gamma, eps).forward(&x), composed(&x, &gamma, eps));
            assert_close("y", &fused, &built, 1e-10);
            let dy = normal(shape, seed + 2);
            let (fused, built) = (fused.backward_from(&dy), built.backward_from(&dy));
            for (name, of) in [("dx", &x), ("dgamma", &gamma)] {
                assert_close(name, fused.get(of).unwrap(), built.get(of).unwrap(), 1e-10);
            }
        }
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    // γ and no other: the layer has no bias.
    for (layer, expected) in [(RMSNorm::new(4), 1), (RMSNorm::new(4).without_affine(), 0)] {
        assert_eq!(layer.parameters().len(), expected);
        let x = Tensor::parameter(normal(&[3, 4], 1).value());
        let gradients = layer.forward(&x).backward_from(&normal(&[3, 4], 2));
        assert_eq!(gradients.len(), expected + 1);
        for parameter in &layer.parameters() {
            assert!(gradients.get(parameter).unwrap().value().iter().all(|d| *d != 0.0));
        }
    }
}

#[test]
fn without_affine_parameters_gamma_is_one() {
    let x = Tensor::parameter(normal(&[2, 3, 5], 1).value());
    let dy = normal(&[2, 3, 5], 2);
    let [(y, dx), (plain_y, plain_dx)] =
        [RMSNorm::new([3, 5]), RMSNorm::new([3, 5]).without_affine()].map(|layer| {
            let y = layer.forward(&x);
            let dx = y.backward_from(&dy).get(&x).unwrap().clone();
            (y, dx)
        });
    assert_eq!((y, dx), (plain_y, plain_dx));
}

#[test]
fn a_row_of_zeros_gives_zeros_and_with_eps_zero_nan() {
    let x = Tensor::parameter(array![[0.0, 0.0], [3.0, 4.0]]);
    let y = RMSNorm::new(2).forward(&x);
    assert_eq!(rows(&y)[0], [0.0, 0.0]);

    let layer = RMSNorm::new(2).with_eps(0.0);
    let y = layer.forward(&x);
    assert!(all_nan(&rows(&y)[0]));
    assert_relative_eq!(rows(&y)[1][0], 3.0 / 12.5f64.sqrt(), epsilon = 1e-15);
    let gradients = y.sum().backward();
    assert!(all_nan(&rows(gradients.get(&x).unwrap())[0]));
    assert!(all_nan(&rows(gradients.get(&layer.gamma).unwrap())[0]));
}

#[test]
fn huge_and_tiny_rows_are_normalized_in_f32() {
    // Their squares, 1e40 and 1e-40, are no f32 numbers.
    // At 1e-20 the default eps is all that counts: y = γ·x/√eps.
    for scale in [1e20, 1e-20] {
        for eps in [0.0, 1e-6] {
            let x = Tensor::parameter(narrow(&(normal(&[3, 32], 1) * scale)).value());
            let mut layer = RMSNorm::new(32).with_eps(eps);
            layer.gamma = Tensor::parameter(narrow(&normal(&[32], 2)).value());
            let dy = narrow(&normal(&[3, 32], 3));
            let y = layer.forward(&x);
            let gradients = y.backward_from(&dy);

            let (x64, gamma64) = (
                Tensor::parameter(wide(&x).value()),
                Tensor::parameter(wide(&layer.gamma).value()),
            );
            let want = composed(&x64, &gamma64, eps);
            let wanted = want.backward_from(&wide(&dy));
            assert_close_relative("y", &y, &want, 1e-6);
            for (name, got, want) in [("dx", &x, &x64), ("dgamma", &layer.gamma, &gamma64)] {
                let (got, want) = (gradients.get(got).unwrap(), wanted.get(want).unwrap());
                assert_close_relative(name, got, want, 1e-6);
            }
        }
    }
}

#[test]
fn a_row_of_9_million_numbers_keeps_its_digits_in_f32() {
    let x = long_row();
    let y = RMSNorm::new(x.shape()).forward(&x);
    let x = x.value().to_slice().unwrap();
    let squares: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let root = (squares / x.len() as f64 + 1e-6).sqrt();
    let errors = x.iter().zip(y.value().to_slice().unwrap());
    let errors = errors.map(|(&x, &y)| (f64::from(y) - f64::from(x) / root).abs());
    let worst = errors.fold(0.0, f64::max);
    assert!(worst < 1e-6, "y is off by {worst:e}");
}

#[test]
fn rows_far_from_zero_keep_their_digits_in_f32() {
    let x = narrow(&(normal(&[4, 768], 1) + 1e4));
    let want = composed(&wide(&x), &Tensor::new(Array1::ones(768)), 1e-6);
    assert_close("y", &wide(&RMSNorm::new(768).forward(&x)), &want, 1e-7);
}

#[test]
fn nan_and_infinity_stay_in_their_row() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let x = Tensor::parameter(array![[0.5, bad], [1.0, 2.0]]);
        let layer = RMSNorm::new(2).with_eps(0.0);
        let y = layer.forward(&x);
        let gradients = y.backward_from(&Tensor::new(array![[1.0, 2.0], [1.0, -3.0]]));
        let (y, dx) = (rows(&y), rows(gradients.get(&x).unwrap()));
        assert!(all_nan(&y[0]) && all_nan(&dx[0]), "{bad}: {y:?} {dx:?}");
        assert_relative_eq!(y[1].as_slice(), [0.4f64.sqrt(), 1.6f64.sqrt()].as_slice());
        // (dy - x̂·(mean of dy·x̂)) / √2.5, where that mean is -√2.5.
        assert_relative_eq!(
            dx[1].as_slice(),
            [2.0 / 2.5f64.sqrt(), -1.0 / 2.5f64.sqrt()].as_slice()
        );
        assert!(all_nan(&rows(gradients.get(&layer.gamma).unwrap())[0]));
    }
}

#[test]
fn empty_batches_and_empty_rows_give_empty_results() {
    for shape in [[0, 3], [2, 0]] {
        let layer = RMSNorm::new(shape[1]);
        let x = Tensor::parameter(Array2::<f64>::zeros((shape[0], shape[1])));
        let y = layer.forward(&x);
        assert_eq!(y.shape(), shape);
        let gradients = y.sum().backward();
        assert_eq!(gradients.get(&x).unwrap().shape(), shape);
        assert_eq!(gradients.get(&layer.gamma).unwrap(), &Tensor::new(Array1::zeros(shape[1])));
    }
}

#[test]
fn the_memory_layout_of_the_input_does_not_matter() {
    let x = normal(&[6, 4], 1);
    let matrix = x.value().into_dimensionality::<ndarray::Ix2>().unwrap();
    let every_second = matrix.slice_axis(Axis(0), Slice::new(0, None, 2));
    for view in [matrix.t(), every_second, matrix.broadcast([6, 4]).unwrap()] {
        let layer = RMSNorm::new(view.shape()[1]);
        let want = layer.forward(&Tensor::new(view.as_standard_layout()));
        assert_eq!(layer.forward(&Tensor::new(view)), want);
    }
}

#[test]
fn an_old_graph_and_a_clone_keep_their_numbers_when_the_parameters_move() {
    let mut layer = RMSNorm::new(3);
    let copy = layer.clone();
    let x = normal(&[2, 3], 1);
    let y = layer.forward(&x);
    let loss = y.square().sum();
    let before = loss.backward().get(&layer.gamma).unwrap().clone();
    Adam::new(0.5).step(&mut layer, &loss.backward());
    assert_ne!(layer.forward(&x), y);
    assert_eq!(copy.forward(&x), y);
    assert_eq!(loss.backward().get(&layer.gamma).unwrap(), &before);
}

#[test]
fn a_shift_changes_the_result() {
    // No mean is subtracted: what LayerNorm is blind to, RMSNorm sees.
    let layer = RMSNorm::new(2).with_eps(0.0);
    let x = Tensor::new(array![1.0, -1.0]);
    assert_eq!(layer.forward(&x), x);
    let shifted = layer.forward(&(x + 1.0)); // of [2, 0], whose mean square is 2
    assert_relative_eq!(shifted, Tensor::new(array![2f64.sqrt(), 0.0]), epsilon = 1e-15);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn scaling_a_row_changes_nothing_but_the_weight_of_eps(
        row in prop::collection::vec(-10.0..10.0f64, 1..20), scale in 0.01..100.0f64,
    ) {
        let x = Tensor::new(Array1::from(row));
        // y(s·x, s²·eps) = y(x, eps), exactly; with one eps for both it holds only far above eps.
        let scaled = RMSNorm::new(x.shape()).with_eps(1e-6 * scale * scale).forward(&(&x * scale));
        assert_close("y", &scaled, &RMSNorm::new(x.shape()).forward(&x), 1e-14);
    }

    #[test]
    fn a_negative_scale_flips_the_sign(row in prop::collection::vec(-10.0..10.0f64, 1..20)) {
        let x = Tensor::new(Array1::from(row));
        let layer = RMSNorm::new(x.shape());
        prop_assert_eq!(layer.forward(&-&x), -layer.forward(&x));
    }

    #[test]
    fn a_row_does_not_see_the_others(
        rows in prop::collection::vec(prop::array::uniform5(-10.0..10.0f64), 1..8),
    ) {
        let layer = RMSNorm::new(5);
        let together = layer.forward(&Tensor::new(Array2::from(rows.clone())));
        for (together, row) in together.value().axis_iter(Axis(0)).zip(rows) {
            let alone = layer.forward(&Tensor::new(Array1::from(row.to_vec())));
            prop_assert_eq!(together, alone.value());
        }
    }

    #[test]
    fn permuting_the_features_permutes_the_result(
        order in Just((0..9).collect::<Vec<usize>>()).prop_shuffle(), seed in 0..1000u64,
    ) {
        let x = normal(&[2, 9], seed);
        let permuted = |x: &Tensor| Tensor::new(x.value().select(Axis(1), &order));
        let layer = RMSNorm::new(9);
        assert_close("y", &layer.forward(&permuted(&x)), &permuted(&layer.forward(&x)), 1e-14);
    }
}

#[test]
fn panics_when_the_input_does_not_end_in_the_normalized_shape() {
    let forward = |normalized_shape: &[usize], input: &[usize]| {
        let _ = RMSNorm::new(normalized_shape).forward(&normal(input, 1));
    };
    for (normalized_shape, input, expected) in [
        (&[4][..], &[2, 3][..], "[.., 4], got [2, 3]"),
        (&[2], &[1, 2, 3], "[.., 2], got [1, 2, 3]"),
        (&[2, 2], &[2, 2, 3], "[.., 2, 2], got [2, 2, 3]"),
        (&[2, 3], &[3], "[.., 2, 3], got [3], which has too few axes"),
        (&[1], &[], "[.., 1], got [], which has too few axes"),
    ] {
        let expected = format!("RMSNorm: expected an input of shape {expected}");
        assert_panics(&expected, || forward(normalized_shape, input));
    }
}

#[test]
fn panics_when_gamma_has_another_shape() {
    let mut layer = RMSNorm::new([2, 3]);
    let x = normal(&[1, 2, 3], 1);
    for (shape, expected) in [(&[1, 2, 3][..], "[1, 2, 3]"), (&[6], "[6]"), (&[3, 2], "[3, 2]")] {
        layer.gamma = normal(shape, 1);
        let expected = format!("RMSNorm: expected gamma of shape [2, 3], got {expected}");
        assert_panics(&expected, || layer.forward(&x));
    }
}

#[test]
fn panics_when_normalized_shape_is_empty() {
    let expected = "RMSNorm: expected a normalized_shape of at least one axis, got []";
    assert_panics(expected, || RMSNorm::<f64>::new([0usize; 0].as_slice()));
}

#[test]
fn panics_when_eps_is_out_of_range() {
    for eps in [-1e-6, -0.5, f64::NAN, f64::INFINITY] {
        let expected = format!("RMSNorm: expected a finite eps of at least 0, got {eps}");
        assert_panics(&expected, || RMSNorm::<f64>::new(4).with_eps(eps));
    }
}
