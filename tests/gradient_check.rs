//! The check itself: what it must refuse, and how closely it sees. Page: `book/src/tensor.md`.

use crate::common::normal;
use evenkeel::{LayerNorm, Tensor, gradient_check};
use ndarray::array;

#[test]
fn accepts_a_right_gradient_far_below_its_tolerance() {
    let x = normal(&[2, 3, 5], 1);
    let worst = gradient_check([&x], |[x]| LayerNorm::new(5).forward(x)).unwrap();
    assert!(worst < 1e-8, "{worst:e}");
}

#[test]
fn names_the_place_of_a_wrong_gradient() {
    let (a, b) = (normal(&[2], 1), Tensor::new(array![[1.0, 2.0], [3.0, -4.0]]));
    // b² with one factor taken as a constant: half the gradient; worst, relative to itself, wherever |2b| >= 1.
    let wrong = gradient_check([&a, &b], |[a, b]| a + b * b.detach()).unwrap_err();
    assert_eq!(wrong.input, 1);
    assert_eq!(wrong.shape, [2, 2]);
    assert!((wrong.error - 0.5).abs() < 1e-6);
    assert!((wrong.backward / wrong.difference - 0.5).abs() < 1e-6);
}

#[test]
fn sees_the_statistics_taken_as_constants() {
    // The seed's LayerNorm computes mean and variance outside the graph; so does this one.
    let detached = |[x]: [&Tensor; 1]| {
        let centred = x - x.mean_axis(-1).detach();
        let var = centred.square().mean_axis(-1).detach();
        centred / (var + 1e-5).sqrt()
    };
    assert!(gradient_check([&normal(&[2, 5], 1)], detached).unwrap_err().error > 0.1);
}

#[test]
fn sees_an_error_of_one_part_in_a_million() {
    let x = normal(&[4], 1);
    // y = x, but the gradient is 1 + 1e-6.
    let slightly_off = |[x]: [&Tensor; 1]| x * (1.0 + 1e-6) - x.detach() * 1e-6;
    assert!(gradient_check([&x], slightly_off).is_err());
}

#[test]
fn refuses_nan() {
    let mismatch = gradient_check([&Tensor::new(array![-1.0])], |[x]| x.sqrt()).unwrap_err();
    assert!(mismatch.error.is_infinite());
}

#[test]
fn misses_no_input_that_backward_forgot() {
    let x = normal(&[3], 1);
    let forgotten = gradient_check([&x, &x], |[a, b]| a + b.detach()).unwrap_err();
    assert_eq!((forgotten.input, forgotten.backward), (1, 0.0));
}

#[test]
fn sees_a_wrong_gradient_however_small() {
    let x = normal(&[2, 3], 1);
    for scale in [1e-300, 1e-100, 1e-20, 1e-8, 1e8, 1e100] {
        assert!(gradient_check([&x], |[x]| x.square() * scale).is_ok(), "{scale}");
        let half = gradient_check([&x], |[x]| x * x.detach() * scale).unwrap_err();
        assert!((half.error - 0.5).abs() < 1e-3, "{scale}: {half}");
    }
    // Beside something larger that does not depend on x, and beside outputs that are larger.
    let half = |[x]: [&Tensor; 1]| x * x.detach() * 1e-7 + 1.0;
    assert!(gradient_check([&x], half).is_err());
    let large = Tensor::new(array![[1e6, -2e6, 3e6]]);
    let beside = |[x]: [&Tensor; 1]| Tensor::concat(&[&(x * x.detach() * 1e-8), &large], 0);
    assert!(gradient_check([&x], beside).is_err());
}

#[test]
fn accepts_a_right_gradient_near_the_edge_of_a_domain() {
    for x in [1e-3, 1e-6, 1e-9, 1e-15, 1e-100] {
        let x = Tensor::new(array![x, 2.0 * x]);
        for (name, checked) in [
            ("ln", gradient_check([&x], |[x]| x.ln())),
            ("sqrt", gradient_check([&x], |[x]| x.sqrt())),
            ("1/x", gradient_check([&x], |[x]| 1.0 / x)),
            ("relu", gradient_check([&x], |[x]| x.relu())),
        ] {
            assert!(checked.is_ok(), "{name}: {}", checked.unwrap_err());
        }
        // And refuses a wrong one there.
        assert!(gradient_check([&x], |[x]| x.ln() * 2.0 - x.detach().ln()).is_err());
        assert!(gradient_check([&x], |[x]| x.relu() * 2.0 - x.detach().relu()).is_err());
    }
}

#[test]
fn refuses_a_kink_and_an_edge_at_the_input() {
    let zero = Tensor::new(array![0.0]);
    assert!(gradient_check([&zero], |[x]| x.relu()).is_err());
    assert!(gradient_check([&zero], |[x]| x.sqrt()).is_err());
    assert!(gradient_check([&zero], |[x]| x * 0.0).is_ok()); // a gradient of 0 is no edge
}

/// A gradient that is wrong in one of its numbers, wherever that is.
#[test]
fn the_worst_number_is_the_one_that_is_told() {
    let x = Tensor::new(array![1.0, 2.0, 3.0]);
    for place in 0..3 {
        let wrong = Tensor::new(ndarray::Array1::from_shape_fn(3, |i| f64::from(i == place)));
        let partly = |[x]: [&Tensor; 1]| x * x.detach() * &wrong + x.square() * (1.0 - &wrong);
        let mismatch = gradient_check([&x], partly).unwrap_err();
        assert_eq!((mismatch.input, mismatch.index), (0, vec![place]));
    }
}

#[test]
fn a_large_input_gets_a_step_of_its_size() {
    for x in [1e8, -1e8, 1e12, -1e12] {
        let x = Tensor::new(array![x]);
        gradient_check([&x], |[x]| x.square()).unwrap();
        assert!(gradient_check([&x], |[x]| x * x.detach()).is_err());
        // A gradient of 1/2 for 1, which is small beside the output, but what one expects of it over x.
        assert!(gradient_check([&x], |[x]| x * 0.5 + x.detach() * 0.5).is_err());
    }
}

/// In steps so small that the output does not feel them, no gradient is right.
#[test]
fn an_output_that_swallows_small_steps_hides_no_wrong_gradient() {
    let x = Tensor::new(array![0.7]);
    for scale in [1.0, 1e-20, 1e-200] {
        assert!(gradient_check([&x], |[x]| (x + 1e4) * scale).is_ok(), "{scale}");
        assert!(
            gradient_check([&x], |[x]| (x.detach() + x * 0.0 + 1e4) * scale).is_err(),
            "{scale}"
        );
    }
}

/// x - x + 1, with a gradient of 1 for a numerator that never changes.
#[test]
fn a_gradient_of_what_the_input_does_not_reach_is_measured_by_the_outputs() {
    let x = Tensor::new(array![0.7]);
    for scale in [1.0, 1e-15, 1e-200] {
        let wrong = gradient_check([&x], |[x]| (x - x.detach() + 1.0) * scale);
        assert!(wrong.is_err(), "{scale}: {wrong:?}");
    }
}
