//! Plain gradient descent, momentum and Nesterov's form. Page: `book/src/using_layer_norm.md`.

use crate::common::{normal, panic_of};
use approx::assert_relative_eq;
use evenkeel::{Sgd, Tensor, warmup};
use ndarray::array;

/// The path of w under loss w², gradient 2w, from 1.
fn path(mut sgd: Sgd, steps: usize) -> Vec<f64> {
    let mut w = Tensor::parameter(array![1.0]);
    let mut path = Vec::new();
    for _ in 0..steps {
        let gradients = w.square().sum().backward();
        sgd.step([&mut w], &gradients);
        path.push(w.item());
    }
    path
}

#[test]
fn matches_the_worked_example() {
    // Plain: w - 0.1·2w = 0.8·w.
    assert_relative_eq!(path(Sgd::new(0.1), 3)[..], [0.8, 0.64, 0.512], epsilon = 1e-15);
    // Momentum 0.5: u = 2, 0.5·2 + 1.6 = 2.6, 0.5·2.6 + 1.08 = 2.38.
    let momentum = path(Sgd::new(0.1).with_momentum(0.5), 3);
    assert_relative_eq!(momentum[..], [0.8, 0.54, 0.302], epsilon = 1e-15);
    // Nesterov: u = 2, step 2 + 0.5·2 = 3; then g = 1.4, u = 0.5·2 + 1.4 = 2.4, step 1.4 + 1.2.
    let nesterov = path(Sgd::new(0.1).with_momentum(0.5).with_nesterov(true), 2);
    assert_relative_eq!(nesterov[..], [0.7, 0.44], epsilon = 1e-15);
    // Weight decay 1: g = 2w + w.
    let decayed = path(Sgd::new(0.1).with_weight_decay(1.0), 2);
    assert_relative_eq!(decayed[..], [0.7, 0.49], epsilon = 1e-15);
    // Maximize: w + 0.1·2w. The decay still shrinks: g = -2w + w.
    assert_relative_eq!(path(Sgd::new(0.1).with_maximize(true), 1)[..], [1.2], epsilon = 1e-15);
    let both = path(Sgd::new(0.1).with_maximize(true).with_weight_decay(1.0), 1);
    assert_relative_eq!(both[..], [1.1], epsilon = 1e-15);
}

#[test]
fn without_momentum_nothing_is_remembered_and_nesterov_is_plain_descent() {
    let mut w = Tensor::parameter(array![1.0]);
    let mut sgd = Sgd::new(0.1);
    let gradients = w.square().sum().backward();
    sgd.step([&mut w], &gradients);
    assert!(sgd.velocity(&w).is_none());
    assert_eq!(path(Sgd::new(0.1).with_nesterov(true), 3), path(Sgd::new(0.1), 3));
}

#[test]
fn a_constant_gradient_moves_in_the_long_run_as_far_as_the_formula_says() {
    let mut w = Tensor::parameter(array![0.0]);
    let mut sgd = Sgd::new(0.01).with_momentum(0.9);
    let gradients = w.sum().backward();
    for _ in 0..300 {
        sgd.step([&mut w], &gradients);
    }
    let before = w.item();
    sgd.step([&mut w], &gradients);
    assert_relative_eq!(before - w.item(), 0.01 / (1.0 - 0.9), epsilon = 1e-12);
}

#[test]
fn momentum_lowers_a_least_squares_loss_further_than_plain_descent() {
    let (x, y) = (normal(&[20, 3], 1), normal(&[20, 1], 2));
    let loss = |w: &Tensor| (x.matmul(w) - &y).square().mean();
    let train = |mut sgd: Sgd| {
        let mut w = Tensor::parameter(normal(&[3, 1], 3).value());
        for step in 0..30 {
            sgd.set_lr(0.02 * warmup(step, 5));
            let gradients = loss(&w).backward();
            sgd.step([&mut w], &gradients);
        }
        loss(&w).item()
    };
    let start = loss(&normal(&[3, 1], 3)).item();
    let (plain, momentum) = (train(Sgd::new(0.0)), train(Sgd::new(0.0).with_momentum(0.9)));
    assert!(momentum < plain && plain < start, "{momentum} {plain} {start}");
}

#[test]
fn works_in_f32_and_moves_only_the_number_that_is_nan() {
    let mut w = Tensor::<f32>::parameter(array![1.0, 1.0]);
    let gradients = (&w * Tensor::new(array![f32::NAN, 1.0])).sum().backward();
    Sgd::new(0.5).with_momentum(0.9).step([&mut w], &gradients);
    assert!(w.value()[0].is_nan());
    assert_eq!(w.value()[1], 0.5);
}

#[test]
fn an_infinite_parameter_does_not_become_nan_by_a_weight_decay_of_zero() {
    let mut w = Tensor::parameter(array![f64::INFINITY]);
    let gradients = w.sum().backward();
    Sgd::new(0.5).step([&mut w], &gradients);
    assert_eq!(w.item(), f64::INFINITY);
}

#[test]
fn a_step_works_in_place_unless_somebody_else_holds_the_numbers() {
    let mut w = Tensor::parameter(array![1.0, 2.0]);
    let gradients = w.sum().backward();
    let mut sgd = Sgd::new(0.5);
    let place = w.value().as_ptr();
    sgd.step([&mut w], &gradients);
    assert_eq!(w.value().as_ptr(), place);
    let handle = w.clone();
    sgd.step([&mut w], &gradients);
    assert_eq!(handle, Tensor::new(array![0.5, 1.5]));
    assert_eq!(w, Tensor::new(array![0.0, 1.0]));
}

#[test]
fn a_resumed_optimiser_goes_on_as_if_it_had_never_stopped() {
    let mut w = Tensor::parameter(array![1.0, -2.0]);
    let mut first = Sgd::new(0.1).with_momentum(0.9);
    let gradients = w.square().sum().backward();
    first.step([&mut w], &gradients);
    let mut copy = Tensor::parameter(w.value());
    let mut second = Sgd::new(0.1).with_momentum(0.9);
    second.resume([(&copy, first.velocity(&w).unwrap().clone())]);
    let gradients = (&w * &copy).sum().backward();
    first.step([&mut w], &gradients);
    second.step([&mut copy], &gradients);
    assert_eq!(w, copy);
    let message = panic_of(|| second.resume([(&copy, normal(&[3], 1))])).0;
    assert_eq!(message, "Sgd: expected a velocity of shape [2], got [3]");
    let twice = [1, 2].map(|seed| (&copy, normal(&[2], seed)));
    let message = panic_of(|| second.resume(twice)).0;
    assert_eq!(message, "Sgd: parameter 1 of shape [2] was given before, at position 0");
}

#[test]
fn a_parameter_that_joins_late_or_rests_has_a_velocity_of_its_own() {
    let [mut early, mut late] = [(); 2].map(|()| Tensor::parameter(array![0.0]));
    let gradients = (&early + &late).sum().backward();
    let mut sgd = Sgd::new(0.1).with_momentum(0.5);
    for _ in 0..3 {
        sgd.step([&mut early], &gradients);
    }
    for _ in 0..2 {
        sgd.step([&mut late], &gradients);
    }
    assert_eq!([&early, &late].map(|w| sgd.velocity(w).unwrap().item()), [1.75, 1.5]);
    assert_relative_eq!(late.item(), -0.1 * (1.0 + 1.5), epsilon = 1e-15);
}

#[test]
fn refuses_what_it_cannot_move_and_moves_nothing_then() {
    let (mut w, mut unused) = (Tensor::parameter(array![1.0]), Tensor::parameter(array![1.0, 2.0]));
    let gradients = w.sum().backward();
    let mut again = w.clone();
    let mut sgd = Sgd::new(0.1).with_momentum(0.9);
    let mut refused =
        |parameters: &mut [&mut Tensor]| panic_of(|| sgd.step(parameters, &gradients)).0;
    assert_eq!(
        refused(&mut [&mut w, &mut unused]),
        "Sgd: no gradient reached parameter 1 of shape [2]: was it used in the forward pass of this loss?"
    );
    assert_eq!(
        refused(&mut [&mut w, &mut normal(&[3], 1)]),
        "Sgd: tensor 1 of shape [3] is no parameter: make it with Tensor::parameter"
    );
    assert_eq!(
        refused(&mut [&mut w, &mut again]),
        "Sgd: parameter 1 of shape [1] was given before, as parameter 0"
    );
    assert_eq!(refused(&mut []), "Sgd: expected at least one parameter, got none");
    assert_eq!(w.item(), 1.0);
    assert!(sgd.velocity(&w).is_none());
}

#[test]
fn panics_when_a_setting_is_out_of_range() {
    let refused = |make: fn() -> Sgd| panic_of(make).0;
    assert_eq!(refused(|| Sgd::new(-1.0)), "Sgd: expected a finite lr of at least 0, got -1");
    assert_eq!(refused(|| Sgd::new(f64::NAN)), "Sgd: expected a finite lr of at least 0, got NaN");
    for momentum in [-0.1, 1.0, 2.0, f64::NAN] {
        assert_eq!(
            panic_of(|| Sgd::<f64>::new(0.1).with_momentum(momentum)).0,
            format!("Sgd: expected momentum in 0 ≤ momentum < 1, got {momentum}")
        );
    }
    assert_eq!(
        refused(|| Sgd::new(0.1).with_weight_decay(-0.1)),
        "Sgd: expected a finite weight_decay of at least 0, got -0.1"
    );
    let (message, file) = panic_of(|| Sgd::<f64>::new(0.1).set_lr(f64::INFINITY));
    assert_eq!(message, "Sgd: expected a finite lr of at least 0, got inf");
    assert!(file.contains("tests"), "{file}");
}

#[test]
fn can_move_between_threads() {
    fn holds<T: Send + Sync>() {}
    holds::<Sgd>();
}

#[test]
fn the_learning_rate_can_be_read_and_set() {
    let mut sgd: Sgd = Sgd::new(0.5);
    assert_eq!(sgd.lr(), 0.5);
    sgd.set_lr(0.25);
    assert_eq!(sgd.lr(), 0.25);
}
