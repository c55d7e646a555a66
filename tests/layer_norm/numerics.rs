//! LayerNorm where numbers are equal, far from zero, huge, tiny, many or none. Page:
//! `book/src/layer_norm.md`.

use approx::assert_relative_eq;
use evenkeel::{Float, LayerNorm, Tensor};
use ndarray::{Array1, Array2, array};

use super::composed;
use crate::common::{all_nan, assert_close_relative, long_row, narrow, normal, rows, wide};

#[test]
fn a_constant_row_gives_beta_and_nothing_else() {
    fn check<T: Float>(number: f64, features: usize) {
        let x = Tensor::new(Array2::from_elem((1, features), T::of(number)));
        for eps in [1e-12, 1e-6] {
            let y = LayerNorm::new(features).with_eps(eps).forward(&x);
            assert!(y.value().iter().all(|y| *y == T::zero()), "{number} × {features}: {y}");
        }
    }
    for number in [0.0, 2.0, 14.0, 0.1, 12345.678, -1e30] {
        for features in [1, 2, 7, 768] {
            check::<f32>(number, features);
            check::<f64>(number, features);
        }
    }
}

#[test]
fn the_gradient_of_a_constant_row_is_finite_unless_eps_is_zero() {
    let x = Tensor::parameter(array![[2.0, 2.0, 2.0]]);
    let dy = Tensor::new(array![[1.0, 2.0, 4.0]]); // mean 7/3
    for eps in [1e-5, 0.0] {
        let layer = LayerNorm::new(3).with_eps(eps);
        let y = layer.forward(&x);
        let gradients = y.backward_from(&dy);
        let [dx, dgamma, dbeta] =
            [&x, &layer.gamma, &layer.beta].map(|of| gradients.get(of).unwrap());
        if eps > 0.0 {
            let want = array![[-4.0, -1.0, 5.0]] / (3.0 * eps.sqrt());
            assert_relative_eq!(dx, &Tensor::new(want), max_relative = 1e-14);
            assert_eq!(dgamma, &Tensor::new(array![0.0, 0.0, 0.0]));
        } else {
            assert!([&y, dx, dgamma].iter().all(|of| all_nan(&rows(of)[0])));
        }
        assert_eq!(dbeta, &Tensor::new(array![1.0, 2.0, 4.0]));
    }
}

#[test]
fn rows_far_from_zero_keep_their_digits_in_f32() {
    let mut worst = 0.0f64;
    for seed in 0..5 {
        let x = narrow(&(normal(&[4, 768], seed) + 1e4));
        let want = LayerNorm::new(768).forward(&wide(&x));
        let got = LayerNorm::new(768).forward(&x);
        for (got, want) in got.value().iter().zip(want.value()) {
            worst = worst.max((got.wide() - want).abs());
        }
    }
    assert!(worst < 2e-6, "x̂ is off by {worst:e}");
}

#[test]
fn huge_and_tiny_rows_are_normalized_in_f32() {
    // Their squares, 1e40 and 1e-40, are no f32 numbers.
    // At 1e-20 the default eps is all that counts: y = γ·(x - μ)/√eps.
    for scale in [1e20, 1e-20] {
        for eps in [0.0, 1e-5] {
            let parameter = |shape: &[usize], seed, scale: f64| {
                let x = narrow(&(normal(shape, seed) * scale));
                (Tensor::parameter(x.value()), Tensor::parameter(wide(&x).value()))
            };
            let (x, x64) = parameter(&[3, 32], 1, scale);
            let (gamma, gamma64) = parameter(&[32], 2, 1.0);
            let (dy, dy64) = parameter(&[3, 32], 3, 1.0);
            let mut layer = LayerNorm::new(32).with_eps(eps).without_bias();
            layer.gamma = gamma;
            let zero = Tensor::new(Array1::zeros(32));
            let (y, want) = (layer.forward(&x), composed(&x64, &gamma64, &zero, eps));
            assert_close_relative("y", &y, &want, 1e-6);
            let (got, want) = (y.backward_from(&dy), want.backward_from(&dy64));
            for (name, of, of64) in [("dx", &x, &x64), ("dgamma", &layer.gamma, &gamma64)] {
                let (got, want) = (got.get(of).unwrap(), want.get(of64).unwrap());
                assert_close_relative(name, got, want, 1e-6);
            }
        }
    }
}

#[test]
fn a_row_of_9_million_numbers_keeps_its_digits_in_f32() {
    let x = long_row();
    let y = LayerNorm::new(x.shape()).forward(&x);
    let x = x.value().to_slice().unwrap();
    let mean = x.iter().map(|&x| x.wide()).sum::<f64>() / x.len() as f64;
    let var = x.iter().map(|&x| (x.wide() - mean).powi(2)).sum::<f64>() / x.len() as f64;
    let root = (var + 1e-5).sqrt();
    let errors = x.iter().zip(y.value().to_slice().unwrap());
    let errors = errors.map(|(x, y)| (y.wide() - (x.wide() - mean) / root).abs());
    let worst = errors.fold(0.0, f64::max);
    assert!(worst < 1e-6, "y is off by {worst:e}");
}

#[test]
fn nan_and_infinity_stay_in_their_row() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let x = Tensor::parameter(array![[1.0, bad], [1.0, 2.0]]);
        let layer = LayerNorm::new(2);
        let y = layer.forward(&x);
        let gradients = y.backward_from(&Tensor::new(array![[1.0, 2.0], [1.0, 2.0]]));
        let (y, dx) = (rows(&y), rows(gradients.get(&x).unwrap()));
        assert!(all_nan(&y[0]) && all_nan(&dx[0]), "{bad}: {y:?} {dx:?}");
        let x_hat = 0.5 / (0.25f64 + 1e-5).sqrt();
        assert_relative_eq!(y[1].as_slice(), [-x_hat, x_hat].as_slice());
        // (dy - 1.5 - x̂·(mean of dy·x̂)) / sd, where dy - 1.5 is ∓0.5 and that mean x̂/2.
        let d = (0.5 - x_hat * x_hat / 2.0) * 2.0 * x_hat;
        assert_relative_eq!(dx[1].as_slice(), [-d, d].as_slice(), max_relative = 1e-10);
        // γ meets every row; β, which is only added, does not meet x.
        assert!(all_nan(&rows(gradients.get(&layer.gamma).unwrap())[0]));
        assert_eq!(gradients.get(&layer.beta).unwrap(), &Tensor::new(array![2.0, 4.0]));
    }
}

/// The lanes that a row leaves empty must not bring in a 0·∞.
#[test]
fn a_row_of_equal_numbers_near_the_largest_has_a_gradient() {
    let x = Tensor::parameter(Array2::from_elem((2, 37), 3e37_f32));
    let dy = Tensor::new(Array2::from_shape_fn((2, 37), |(i, j)| ((i * 5 + j * 7) % 11) as f32));
    let gradients = LayerNorm::new(37).forward(&x).backward_from(&dy);
    let dx = gradients.get(&x).unwrap();
    assert!(dx.value().iter().all(|dx| dx.is_finite()), "{dx}");
    assert!(dx.value()[[0, 1]] != 0.0);
}
