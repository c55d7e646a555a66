//! The numbers of Adam and AdamW, and the warm-up. Page: `book/src/using_layer_norm.md`.

mod state;
mod steps;

use crate::common::{assert_close, normal};
use approx::assert_relative_eq;
use evenkeel::{Adam, AdamW, Float, Gradients, Moments, Tensor, warmup};
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
    // One counter that every parameter moves gives 0.100, 0.074, 0.064, …
    let mut parameters: Vec<Tensor> = (0..6).map(|_| Tensor::parameter(array![0.0])).collect();
    let loss = parameters.iter().map(|p| p * 1.0).reduce(|a, b| a + b).unwrap().sum();
    Adam::new(0.1).step(&mut parameters, &loss.backward());
    for parameter in &parameters {
        assert_relative_eq!(parameter.item(), -0.1, epsilon = 1e-8);
    }
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

trait Optimiser {
    fn take(&mut self, parameters: &mut [Tensor], gradients: &Gradients);
}

impl Optimiser for Adam {
    fn take(&mut self, parameters: &mut [Tensor], gradients: &Gradients) {
        self.step(parameters, gradients);
    }
}

/// Where one step with the gradient `g` leads from [1, -2], the start of every row in the table of
/// PyTorch's edge cases, with lr 0.1.
fn from_one_and_minus_two(mut optimiser: impl Optimiser, g: [f64; 2]) -> Vec<f64> {
    let mut w = [Tensor::parameter(array![1.0, -2.0])];
    let gradients = loss_with_gradient(&w[0], &Tensor::new(ndarray::arr1(&g))).backward();
    optimiser.take(&mut w, &gradients);
    w[0].value().iter().copied().collect()
}

fn assert_near(got: &[f64], want: [f64; 2]) {
    assert_eq!(got.len(), 2);
    for (got, want) in got.iter().zip(want) {
        assert!(got == &want || (got - want).abs() < 1e-12, "expected {want}, got {got}");
    }
}

#[test]
fn weight_decay_goes_through_the_gradient_in_adam_and_past_it_in_adam_w() {
    let zero = [0.0, 0.0];
    // L2: the gradient is 0.1·p, and Adam's first step is lr·sign of it.
    let l2 = from_one_and_minus_two(Adam::new(0.1).with_weight_decay(0.1), zero);
    assert!((l2[0] - 0.9).abs() < 1e-7 && (l2[1] + 1.9).abs() < 1e-7, "{l2:?}");
    // Decoupled: p·(1 - 0.1·0.1).
    assert_near(
        &from_one_and_minus_two(AdamW::new(0.1).with_weight_decay(0.1), zero),
        [0.99, -1.98],
    );
    // The default of AdamW is 0.01: p·(1 - 0.1·0.01). The default of Adam is 0.
    assert_near(&from_one_and_minus_two(AdamW::new(0.1), zero), [0.999, -1.998]);
    assert_near(&from_one_and_minus_two(Adam::new(0.1), zero), [1.0, -2.0]);
}

#[test]
fn the_first_step_is_lr_unless_the_gradient_is_as_small_as_eps() {
    let step = |g: f64| 0.1 * g / (g + 1e-8);
    for g in [1e-3, 1e-10] {
        let want = [1.0 - step(g), -2.0 + step(g)];
        assert_near(&from_one_and_minus_two(Adam::new(0.1), [g, -g]), want);
    }
}

#[test]
fn nan_and_infinity_in_a_gradient_reach_only_their_own_number() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for got in [
            from_one_and_minus_two(Adam::new(0.1), [bad, 1.0]),
            from_one_and_minus_two(Adam::new(0.1).with_amsgrad(true), [bad, 1.0]),
            from_one_and_minus_two(AdamW::new(0.1).with_weight_decay(0.0), [bad, 1.0]),
        ] {
            assert!(got[0].is_nan());
            assert!((got[1] + 2.1).abs() < 1e-7);
        }
    }
    for (bad, remembered) in [(f64::NAN, f64::NAN), (f64::NEG_INFINITY, f64::INFINITY)] {
        let mut w = Tensor::parameter(array![1.0, -2.0]);
        let mut adam = Adam::new(0.1).with_amsgrad(true);
        let gradients = loss_with_gradient(&w, &Tensor::new(array![bad, 1.0])).backward();
        adam.step([&mut w], &gradients);
        let Moments { m, v, v_max, .. } = adam.moments(&w).unwrap();
        assert_close("m", m, &Tensor::new(array![bad, 0.1]), 1e-15);
        for v in [v, v_max.as_ref().unwrap()] {
            assert_close("v", v, &Tensor::new(array![remembered, 0.001]), 1e-15);
        }
    }
}

#[test]
fn an_infinite_parameter_does_not_become_nan_by_a_weight_decay_of_zero() {
    let mut w = Tensor::parameter(array![f64::INFINITY]);
    let gradients = w.sum().backward();
    Adam::new(0.1).step([&mut w], &gradients);
    AdamW::new(0.1).with_weight_decay(0.0).step([&mut w], &gradients);
    assert_eq!(w.item(), f64::INFINITY);
}

#[test]
fn a_gradient_of_zero_moves_nothing_unless_eps_is_zero_too() {
    assert_near(&from_one_and_minus_two(Adam::new(0.1), [0.0, 0.0]), [1.0, -2.0]);
    for no_eps in [
        from_one_and_minus_two(Adam::new(0.1).with_eps(0.0), [0.0, 1.0]),
        from_one_and_minus_two(AdamW::new(0.1).with_weight_decay(0.0).with_eps(0.0), [0.0, 1.0]),
    ] {
        assert!(no_eps[0].is_nan()); // 0/0, as in PyTorch
        assert!((no_eps[1] + 2.1).abs() < 1e-12);
    }
}

/// The first step of size 1 for the gradient `g`.
fn first_step<T: Float>(g: f64, eps: f64) -> f64 {
    let mut w = Tensor::<T>::parameter(array![T::zero()]);
    let gradients = (&w * T::of(g)).sum().backward();
    Adam::new(1.0).with_eps(eps).step([&mut w], &gradients);
    -w.item().wide()
}

#[test]
fn a_gradient_whose_square_overflows_moves_nothing_from_then_on() {
    let mut w = Tensor::<f32>::parameter(array![1.0, 1.0]);
    let mut adam = Adam::new(0.1);
    for g in [1e21, 1.0, 1.0] {
        let gradients = (&w * Tensor::new(array![g, 1e18])).sum().backward();
        adam.step([&mut w], &gradients);
    }
    assert_eq!(w.value()[0], 1.0);
    assert!((w.value()[1] - 0.7).abs() < 1e-6);
    for (at_most, above, step) in [
        (5.8e20, 5.9e20, first_step::<f32> as fn(f64, f64) -> f64),
        (4.2e155, 4.3e155, first_step::<f64>),
    ] {
        assert_relative_eq!(step(at_most, 1e-8), 1.0, epsilon = 1e-6);
        assert_eq!(step(above, 1e-8), 0.0);
    }
}

#[test]
fn an_f32_gradient_whose_square_vanishes_moves_by_itself_over_eps() {
    // 1e-24², times 0.001, is no f32: v is 0, and eps alone keeps the step finite.
    let mut w = Tensor::<f32>::parameter(array![0.0]);
    let gradients = (&w * 1e-24).sum().backward();
    let mut adam = Adam::new(0.1);
    adam.step([&mut w], &gradients);
    assert_eq!(adam.moments(&w).unwrap().v.item(), 0.0);
    assert_relative_eq!(w.item(), -0.1 * 1e-24 / 1e-8, max_relative = 1e-6);
    // An eps that f32 rounds to 0 does not.
    assert_eq!(first_step::<f32>(1e-24, 1e-50), f64::INFINITY);
}

#[test]
fn an_eps_of_1e_10_outweighs_squares_that_vanish() {
    for exponent in -36..20 {
        let g = f64::from(10f32.powi(exponent));
        for eps in [1e-10, 1e-8] {
            let want = g / (g + f64::from(eps as f32));
            assert_relative_eq!(first_step::<f32>(g, eps), want, max_relative = 1e-6);
        }
    }
    // Without: right as long as the square has all its digits, infinite where it has none.
    assert_relative_eq!(first_step::<f32>(3.5e-18, 0.0), 1.0, epsilon = 1e-6);
    assert!(first_step::<f32>(1e-21, 0.0) > 0.5);
    assert_eq!(first_step::<f32>(8e-22, 0.0), f64::INFINITY);
    assert_relative_eq!(first_step::<f64>(1.5e-153, 0.0), 1.0, epsilon = 1e-12);
    assert_eq!(first_step::<f64>(4.9e-161, 0.0), f64::INFINITY);
}

#[test]
fn with_betas_of_zero_every_step_has_the_size_of_lr() {
    let mut w = Tensor::parameter(array![5.0]);
    let mut adam = Adam::new(0.25).with_betas(0.0, 0.0).with_eps(0.0);
    for (g, want) in [(3.0, 4.75), (-0.001, 5.0), (1e9, 4.75)] {
        let gradients = (&w * g).sum().backward();
        adam.step([&mut w], &gradients);
        assert_eq!(w.item(), want);
    }
}

#[test]
fn a_learning_rate_of_zero_moves_nothing_but_remembers() {
    let mut w = Tensor::parameter(array![1.0, -2.0]);
    let mut adam = AdamW::new(0.0);
    let gradients = w.square().sum().backward();
    adam.step([&mut w], &gradients);
    assert_eq!(w, Tensor::new(array![1.0, -2.0]));
    let moments = adam.moments(&w).unwrap();
    assert_eq!(moments.steps, 1);
    assert_relative_eq!(moments.m, Tensor::new(array![0.2, -0.4]));
}

#[test]
fn amsgrad_divides_by_the_largest_v_so_far() {
    // With beta1 0 and beta2 0.5 by hand: v = 50, 25.5, 13.25; v_max stays 50.
    let (mut plain, mut largest) = (Tensor::parameter(array![0.0]), Tensor::parameter(array![0.0]));
    let mut adam = Adam::new(1.0).with_betas(0.0, 0.5).with_eps(0.0);
    let mut amsgrad = adam.clone().with_amsgrad(true);
    let (mut by_hand_plain, mut by_hand_largest) = (0.0, 0.0);
    for (t, (g, v)) in [(10.0, 50.0), (1.0, 25.5), (1.0, 13.25)].into_iter().enumerate() {
        let gradients = ((&plain + &largest) * g).sum().backward();
        adam.step([&mut plain], &gradients);
        amsgrad.step([&mut largest], &gradients);
        let correction: f64 = 1.0 - 0.5f64.powi(t as i32 + 1);
        by_hand_plain -= g / (v / correction).sqrt();
        by_hand_largest -= g / (50.0 / correction).sqrt();
    }
    assert_relative_eq!(plain.item(), by_hand_plain, epsilon = 1e-14);
    assert_relative_eq!(largest.item(), by_hand_largest, epsilon = 1e-14);
    assert_eq!(amsgrad.moments(&largest).unwrap().v_max, Some(Tensor::new(array![50.0])));
    assert_eq!(adam.moments(&plain).unwrap().v_max, None);
}

#[test]
fn maximize_climbs_where_minimize_descends() {
    let up = from_one_and_minus_two(Adam::new(0.1).with_maximize(true), [0.5, -0.5]);
    let down = from_one_and_minus_two(Adam::new(0.1), [-0.5, 0.5]);
    assert_eq!(up, down);
    // The weight decay still shrinks.
    let adam_w = AdamW::new(0.1).with_weight_decay(0.1).with_maximize(true);
    assert_near(&from_one_and_minus_two(adam_w, [0.0, 0.0]), [0.99, -1.98]);
    let adam = Adam::new(0.1).with_weight_decay(0.1).with_maximize(true);
    assert!(from_one_and_minus_two(adam, [0.0, 0.0])[0] < 1.0);
}

#[test]
fn two_hundred_steps_lower_or_raise_a_loss_in_each_configuration() {
    let train = |optimiser: &mut dyn Optimiser, transposed: bool| {
        let (w, b, x) = (normal(&[10, 5], 1), normal(&[10], 2), normal(&[5], 3));
        // A parameter made from an array in column order trains as well as any other.
        let w = if transposed {
            Tensor::parameter(w.transpose().value().reversed_axes())
        } else {
            Tensor::parameter(w.value())
        };
        let mut parameters = [w, Tensor::parameter(b.value())];
        let x = x.reshape(&[5, 1]);
        let loss = |p: &[Tensor]| (p[0].matmul(&x) + p[1].reshape(&[10, 1])).square().sum();
        let before = loss(&parameters).item();
        for _ in 0..200 {
            let gradients = loss(&parameters).backward();
            optimiser.take(&mut parameters, &gradients);
        }
        (before, loss(&parameters).item())
    };
    for amsgrad in [false, true] {
        for decay in [0.0, 0.1] {
            for maximize in [false, true] {
                for transposed in [false, true] {
                    let adam = Adam::new(0.01).with_weight_decay(decay);
                    let adam_w = AdamW::new(0.01).with_weight_decay(decay);
                    for optimiser in [
                        &mut adam.with_amsgrad(amsgrad).with_maximize(maximize)
                            as &mut dyn Optimiser,
                        &mut adam_w.with_amsgrad(amsgrad).with_maximize(maximize),
                    ] {
                        let (before, after) = train(optimiser, transposed);
                        assert_eq!(after > before, maximize, "{before} to {after}");
                    }
                }
            }
        }
    }
}

#[test]
fn warmup_rises_in_a_straight_line_and_stays_at_one() {
    assert_eq!([0, 1, 2, 3, 4, 1000].map(|step| warmup(step, 4)), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    assert_eq!([0, 1].map(|step| warmup(step, 0)), [1.0, 1.0]);
    assert_eq!(warmup(usize::MAX, usize::MAX), 1.0);
    let mut adam: Adam = AdamW::new(0.5);
    adam.set_lr(0.5 * warmup(0, 4));
    assert_eq!(adam.lr(), 0.125);
}
