//! Adam. Page: `book/src/using_layer_norm.md`.

mod common;

use approx::assert_relative_eq;
use common::{normal, panic_of};
use evenkeel::{Adam, Tensor};
use ndarray::array;

/// A loss with the given gradient for `w`.
fn loss_with_gradient(w: &Tensor, gradient: &Tensor) -> Tensor {
    (w * gradient).sum()
}

#[test]
fn matches_the_worked_example() {
    // First step: m̂ = g and v̂ = g², so p moves by lr·g/(|g| + eps), whatever the size of g.
    let mut w = Tensor::parameter(array![1.0, -2.0, 0.5]);
    let g = Tensor::new(array![1e-3, -1e-3, 40.0]);
    let mut adam = Adam::new(0.1);
    let gradients = loss_with_gradient(&w, &g).backward();
    adam.step([&mut w], &gradients);
    let step = |g: f64| 0.1 * g / (g.abs() + 1e-8);
    let want = array![1.0 - step(1e-3), -2.0 - step(-1e-3), 0.5 - step(40.0)];
    assert_relative_eq!(w, Tensor::new(want), epsilon = 1e-15);

    // Second step with gradient 0, by hand: m = 0.9·0.1·g, v = 0.999·0.001·g².
    let before = w.value()[[2]];
    let gradients = loss_with_gradient(&w, &Tensor::new(array![0.0, 0.0, 0.0])).backward();
    adam.step([&mut w], &gradients);
    let m_hat = 0.9 * 0.1 * 40.0 / (1.0 - 0.9f64.powi(2));
    let v_hat = 0.999 * 0.001 * 1600.0 / (1.0 - 0.999f64.powi(2));
    assert_relative_eq!(
        w.value()[[2]],
        before - 0.1 * m_hat / (v_hat.sqrt() + 1e-8),
        epsilon = 1e-14
    );
}

#[test]
fn the_first_step_of_every_parameter_has_the_size_of_lr() {
    // One step counter per optimiser. A counter per parameter gives 0.100, 0.074, 0.064, …
    let mut parameters: Vec<Tensor> = (0..6).map(|_| Tensor::parameter(array![0.0])).collect();
    let loss = parameters.iter().map(|p| p * 1.0).reduce(|a, b| a + b).unwrap().sum();
    Adam::new(0.1).step(&mut parameters, &loss.backward());
    for parameter in &parameters {
        assert_relative_eq!(parameter.item(), -0.1, epsilon = 1e-8);
    }
}

#[test]
fn a_step_gives_new_numbers_and_leaves_old_handles_alone() {
    let mut w = Tensor::parameter(array![1.0]);
    let handle = w.clone();
    let loss = w.square().sum();
    Adam::new(0.1).step([&mut w], &loss.backward());
    assert_eq!(handle.item(), 1.0);
    assert!(w.item() < 1.0);
    assert!(w.is_parameter());
}

#[test]
fn two_hundred_steps_lower_a_least_squares_loss() {
    let (x, y) = (normal(&[20, 3], 1), normal(&[20, 1], 2));
    let mut w = Tensor::parameter(normal(&[3, 1], 3).value());
    let mut b = Tensor::parameter(array![0.0]);
    let mut adam = Adam::new(0.05);
    let loss = |w: &Tensor, b: &Tensor| (x.matmul(w) + b - &y).square().mean();
    let before = loss(&w, &b).item();
    for _ in 0..200 {
        let gradients = loss(&w, &b).backward();
        adam.step([&mut w, &mut b], &gradients);
    }
    assert!(loss(&w, &b).item() < 0.5 * before);
}

#[test]
#[should_panic(expected = "Adam: no gradient reached parameter 1 of shape [2]")]
fn panics_when_a_parameter_has_no_gradient() {
    let (mut used, mut unused) =
        (Tensor::parameter(array![1.0]), Tensor::parameter(array![1.0, 2.0]));
    let gradients = used.sum().backward();
    Adam::new(0.1).step([&mut used, &mut unused], &gradients);
}

#[test]
fn a_refused_step_moves_nothing() {
    let (mut used, mut unused) =
        (Tensor::parameter(array![1.0]), Tensor::parameter(array![1.0, 2.0]));
    let gradients = used.sum().backward();
    let mut adam = Adam::new(0.1);
    panic_of(|| adam.step([&mut used, &mut unused], &gradients));
    assert_eq!(used.item(), 1.0);
}

#[test]
#[should_panic(expected = "Adam: tensor 0 of shape [1] is no parameter")]
fn panics_when_given_a_constant() {
    let w = Tensor::parameter(array![1.0]);
    let gradients = w.sum().backward();
    Adam::new(0.1).step([&mut Tensor::new(array![1.0])], &gradients);
}

#[test]
#[should_panic(expected = "Adam: parameter 1 of shape [1] was given before, at position 0")]
fn panics_when_a_parameter_is_given_twice() {
    let mut w = Tensor::parameter(array![1.0]);
    let mut again = w.clone();
    let gradients = w.sum().backward();
    Adam::new(0.1).step([&mut w, &mut again], &gradients);
}

#[test]
fn panics_when_a_setting_is_out_of_range() {
    let refused = |make: fn() -> Adam| {
        *std::panic::catch_unwind(make).unwrap_err().downcast::<String>().unwrap()
    };
    assert_eq!(refused(|| Adam::new(-1.0)), "Adam: expected a finite lr of at least 0, got -1");
    assert_eq!(
        refused(|| Adam::new(f64::NAN)),
        "Adam: expected a finite lr of at least 0, got NaN"
    );
    assert_eq!(
        refused(|| Adam::new(0.1).with_betas(1.0, 0.9)),
        "Adam: expected beta1 in 0 ≤ beta1 < 1, got 1"
    );
    assert_eq!(
        refused(|| Adam::new(0.1).with_betas(0.9, -0.1)),
        "Adam: expected beta2 in 0 ≤ beta2 < 1, got -0.1"
    );
    assert_eq!(
        refused(|| Adam::new(0.1).with_eps(-1e-8)),
        "Adam: expected a finite eps of at least 0, got -0.00000001"
    );
}
