//! Each parameter counts its own steps. Page: `book/src/using_layer_norm.md`.

use crate::common::{normal, panic_of};
use approx::assert_relative_eq;
use evenkeel::{Adam, AdamW, Float, Moments, Tensor};
use ndarray::array;
use proptest::prelude::*;

/// The steps, in units of lr, of a parameter that joins after `rest` steps of another one, both
/// with a gradient of `g` all the time.
fn late_steps<T: Float>(mut adam: Adam<T>, rest: usize, g: f64) -> Vec<f64> {
    let [mut early, mut late] = [(); 2].map(|()| Tensor::parameter(array![T::zero()]));
    let gradients = ((&early + &late) * T::of(g)).sum().backward();
    for _ in 0..rest {
        adam.step([&mut early], &gradients);
    }
    let mut steps = Vec::new();
    for _ in 0..20 {
        let before = late.item();
        adam.step([&mut early, &mut late], &gradients);
        steps.push((before - late.item()).wide() / adam.lr());
    }
    assert_eq!(adam.moments(&early).unwrap().steps, rest as u64 + 20);
    assert_eq!(adam.moments(&late).unwrap().steps, 20);
    steps
}

#[test]
fn a_parameter_that_joins_late_takes_steps_of_lr_from_its_first_on() {
    // One count for all corrects it as if it had taken 1000 steps: 251 to 433 % of lr.
    for rest in [0, 1, 10, 1000] {
        for g in [1e-3, 1.0, 1e3] {
            for amsgrad in [false, true] {
                let adam: Adam = Adam::new(0.01).with_amsgrad(amsgrad);
                for step in late_steps(adam, rest, g) {
                    assert_relative_eq!(step, 1.0, epsilon = 2e-5); // eps is 1e-5 of the smallest g
                }
                let adam: Adam<f32> = Adam::new(0.01).with_amsgrad(amsgrad);
                for step in late_steps(adam, rest, g) {
                    assert_relative_eq!(step, 1.0, epsilon = 1e-4);
                }
            }
        }
    }
}

#[test]
fn adam_w_counts_by_parameter_too() {
    let [mut early, mut late] = [(); 2].map(|()| Tensor::parameter(array![1.0]));
    let gradients = (&early + &late).sum().backward();
    let mut adam_w = AdamW::new(0.01).with_weight_decay(0.5);
    for _ in 0..1000 {
        adam_w.step([&mut early], &gradients);
    }
    adam_w.step([&mut late], &gradients);
    assert_relative_eq!(late.item(), 1.0 - 0.01 * 0.5 - 0.01, epsilon = 1e-9);
    assert_eq!(adam_w.moments(&early).unwrap().steps, 1000);
    assert_eq!(adam_w.moments(&late).unwrap().steps, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the others do, and however long it rests: the same bits as alone.
    #[test]
    fn parameters_that_share_an_optimiser_go_as_if_each_had_its_own(
        turns in prop::collection::vec((any::<bool>(), any::<bool>(), -3.0..3.0), 1..40),
        amsgrad in any::<bool>(),
    ) {
        let new = || Adam::new(0.1).with_weight_decay(0.01).with_amsgrad(amsgrad);
        let start = [normal(&[2, 3], 1), normal(&[5], 2)];
        let mut shared = start.each_ref().map(|w| Tensor::parameter(w.value()));
        let mut alone = start.each_ref().map(|w| Tensor::parameter(w.value()));
        let (mut one, mut two) = (new(), [new(), new()]);
        for (first, second, g) in turns {
            let moves = [first, second];
            let loss = |p: &[Tensor; 2]| -> Tensor { (p[0].square().sum() + p[1].sum()) * g };
            let (of_shared, of_alone) = (loss(&shared).backward(), loss(&alone).backward());
            let moved = shared.iter_mut().zip(moves).filter(|(_, moves)| *moves);
            let moved: Vec<_> = moved.map(|(p, _)| p).collect();
            if first || second {
                one.step(moved, &of_shared);
            }
            for ((p, adam), moves) in alone.iter_mut().zip(&mut two).zip(moves) {
                if moves {
                    adam.step([p], &of_alone);
                }
            }
        }
        for ((a, b), own) in shared.iter().zip(&alone).zip(&two) {
            prop_assert_eq!(a, b);
            prop_assert_eq!(one.moments(a), own.moments(b));
        }
    }
}

#[test]
fn resume_brings_back_the_count_of_each_parameter() {
    let new = || Adam::new(0.1).with_amsgrad(true);
    let mut w = [normal(&[3], 1), normal(&[2], 2)].map(|w| Tensor::parameter(w.value()));
    let mut first = new();
    let turn = |adam: &mut Adam, w: &mut [Tensor; 2], both: bool| {
        let gradients = (w[0].square().sum() + w[1].square().sum()).backward();
        adam.step(w.iter_mut().take(if both { 2 } else { 1 }).collect::<Vec<_>>(), &gradients);
    };
    for step in 0..30 {
        turn(&mut first, &mut w, step >= 25);
    }
    let mut copies = w.each_ref().map(|w| Tensor::parameter(w.value()));
    let mut second = new();
    second.resume(copies.iter().zip(w.each_ref().map(|w| first.moments(w).unwrap().clone())));
    assert_eq!(copies.each_ref().map(|w| second.moments(w).unwrap().steps), [30, 5]);
    for _ in 0..10 {
        turn(&mut first, &mut w, true);
        turn(&mut second, &mut copies, true);
    }
    assert_eq!(copies, w);
}

#[test]
fn resume_forgets_what_is_not_given_and_refuses_what_is_given_twice() {
    let mut w = [array![1.0], array![2.0]].map(Tensor::parameter);
    let gradients = (&w[0] + &w[1]).sum().backward();
    let mut adam = Adam::new(0.1);
    adam.step(&mut w, &gradients);
    let moments = |adam: &Adam, i: usize| adam.moments(&w[i]).unwrap().clone();
    let twice = [(&w[0], moments(&adam, 0)), (&w[0], moments(&adam, 1))];
    let (message, file) = panic_of(|| adam.resume(twice));
    assert_eq!(message, "Adam: parameter 1 of shape [1] was given before, at position 0");
    assert!(file.contains("tests"), "{file}");
    assert_eq!(moments(&adam, 1).steps, 1, "a refused resume changes nothing");
    adam.resume([(&w[0], moments(&adam, 0))]);
    assert!(adam.moments(&w[1]).is_none());
}

#[test]
fn a_count_from_a_damaged_file_does_not_start_again_at_zero() {
    let mut w = Tensor::parameter(array![1.0]);
    let gradients = w.sum().backward();
    let mut adam = Adam::new(0.1);
    let (m, v) = (Tensor::new(array![1.0]), Tensor::new(array![1.0]));
    adam.resume([(&w, Moments { steps: u64::MAX, m, v, v_max: None })]);
    adam.step([&mut w], &gradients);
    assert_relative_eq!(w.item(), 0.9, epsilon = 1e-8);
}
