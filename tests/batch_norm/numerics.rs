//! BatchNorm where numbers are equal, far from zero, or none. Page: `book/src/layer_norm.md`.

use approx::assert_relative_eq;
use evenkeel::{BatchNorm, Tensor};
use ndarray::{Array, array};

use super::Mode::Train;
use super::{channel, composed, pass, state, trained, two_batches};
use crate::common::{all_nan, assert_close, narrow, normal, wide};

#[test]
fn equal_numbers_give_exactly_beta_and_with_eps_zero_nan() {
    for number in [0.0, 2.0, 0.1, 12345.678, -1e30] {
        let x = Tensor::new(Array::from_elem((7, 2, 3), number));
        let layer = trained(2, 1).with_eps(1e-12);
        let y = pass(&layer, Train, &x);
        for c in 0..2 {
            assert!(channel(&y, c).iter().all(|y| *y == layer.beta.value()[[c]]), "{number}: {y}");
        }
        let x32 = narrow(&x);
        let y = BatchNorm::new(2).with_eps(1e-12).forward_train(&x32);
        assert!(y.value().iter().all(|y| *y == 0.0), "{number}: {y}");
    }
    // Only the channel without variance: 0/0. PyTorch refuses an eps of 0 in training.
    let mut layer = BatchNorm::new(2).with_eps(0.0);
    let y = layer.forward_train(&Tensor::new(array![[3.0, 1.0], [3.0, 2.0]]));
    assert!(all_nan(&channel(&y, 0)));
    assert_eq!(channel(&y, 1), [-1.0, 1.0]);
    assert_relative_eq!(layer.running_var, Tensor::new(array![0.9, 0.95]), epsilon = 1e-15);
}

#[test]
fn a_running_variance_of_zero_leaves_eps_under_the_root() {
    let [x, _] = two_batches();
    let mut layer = BatchNorm::new(1);
    layer.running_var = Tensor::new(array![0.0]);
    assert_relative_eq!(layer.forward(&x), &x * 1e5f64.sqrt(), epsilon = 1e-10); // 316.2278·x
}

#[test]
fn channels_far_from_zero_keep_their_digits_in_f32() {
    for seed in 0..5 {
        let x = narrow(&(normal(&[64, 3, 4, 4], seed) + 1e4));
        let (mut layer, mut layer64) = (BatchNorm::new(3), BatchNorm::new(3));
        let y = layer.forward_train(&x);
        let want = composed(&layer64, Train, &wide(&x), 1e-5);
        assert_close("y", &wide(&y), &want, 5e-7); // x̂ is as large as 4
        let _ = layer64.forward_train(&wide(&x));
        assert_close("running_var", &wide(&layer.running_var), &layer64.running_var, 1e-7);
    }
}

#[test]
fn nan_and_infinity_stay_in_their_channel() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for place in [[0, 0], [1, 0]] {
            let mut x = array![[1.0, 1.0], [2.0, 2.0]];
            x[place] = bad;
            let x = Tensor::parameter(x);
            let mut layer = BatchNorm::new(2);
            let y = layer.forward_train(&x);
            let gradients = y.backward_from(&normal(&[2, 2], 1));
            let dx = gradients.get(&x).unwrap();
            for of in [&y, dx] {
                assert!(all_nan(&channel(of, 0)), "{bad}: {of}");
                assert!(channel(of, 1).iter().all(|x| x.is_finite()), "{bad}: {of}");
            }
            let root = 0.5 / (0.25f64 + 1e-5).sqrt();
            assert_relative_eq!(channel(&y, 1).as_slice(), [-root, root].as_slice());
            // What is remembered is spoilt, for good, and so is what comes of it.
            let [mean, var, n] = state(&layer);
            assert!(!mean.value()[[0]].is_finite() && var.value()[[0]].is_nan());
            assert_relative_eq!(mean.value()[[1]], 0.15, epsilon = 1e-15);
            assert_relative_eq!(var.value()[[1]], 0.95, epsilon = 1e-15);
            assert_eq!(n.item(), 1.0);
            let y = layer.forward(&Tensor::new(array![[1.0, 1.0]]));
            assert!(all_nan(&channel(&y, 0)) && channel(&y, 1)[0].is_finite(), "{y}");
            // At inference with good running values, a bad number spoils its own result only.
            let y = trained(2, 1).forward(&x);
            assert_eq!(y.value().map(|y| y.is_finite()), x.value().map(|x| x.is_finite()));
        }
    }
}
