//! What Adam and AdamW remember, share and refuse. Page: `book/src/using_layer_norm.md`.

use crate::common::{normal, panic_of};
use evenkeel::{Adam, AdamW, Moments, Tensor, load, save};
use ndarray::array;

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
fn a_parameter_that_rests_keeps_its_moments() {
    let (mut a, mut b) = (Tensor::parameter(array![1.0]), Tensor::parameter(array![1.0]));
    let mut adam = Adam::new(0.1);
    let gradients = (&a + &b).sum().backward();
    adam.step([&mut a, &mut b], &gradients);
    let resting = adam.moments(&b).unwrap().clone();
    adam.step([&mut a], &gradients);
    assert_eq!(adam.moments(&b), Some(&resting));
    adam.step([&mut b, &mut a], &gradients); // in another order
    assert_ne!(adam.moments(&b), Some(&resting));
}

#[test]
fn a_step_works_in_place_unless_somebody_else_holds_the_numbers() {
    let mut w = Tensor::parameter(array![1.0, 2.0]);
    let gradients = w.square().sum().backward(); // the graph is gone, and with it its hold on w
    let mut adam = Adam::new(0.1);
    let place = w.value().as_ptr();
    adam.step([&mut w], &gradients);
    assert_eq!(w.value().as_ptr(), place);
    let moments = adam.moments(&w).unwrap().m.value().as_ptr();
    adam.step([&mut w], &gradients);
    assert_eq!(adam.moments(&w).unwrap().m.value().as_ptr(), moments);

    let handle = w.clone();
    let before = w.value().to_owned();
    adam.step([&mut w], &gradients);
    assert_ne!(w.value().as_ptr(), handle.value().as_ptr());
    assert_eq!(handle.value(), before);
    assert!(gradients.get(&w).is_some()); // still the same parameter
}

#[test]
fn a_graph_from_before_the_step_still_differentiates_correctly() {
    let mut w = Tensor::parameter(array![3.0]);
    let loss = w.square().sum();
    Adam::new(0.1).step([&mut w], &loss.backward());
    assert!(w.item() < 3.0);
    assert_eq!(loss.backward().get(&w).unwrap().item(), 6.0);
}

#[test]
fn a_resumed_optimiser_goes_on_as_if_it_had_never_stopped() {
    let x = normal(&[20, 3], 1);
    let loss = |w: &Tensor| (x.matmul(w) - 1.0).square().mean();
    let mut w = Tensor::parameter(normal(&[3, 1], 2).value());
    let new = || AdamW::new(0.05).with_amsgrad(true);
    let mut first = new();
    for _ in 0..20 {
        let gradients = loss(&w).backward();
        first.step([&mut w], &gradients);
    }
    let mut copy = Tensor::parameter(w.value());
    let kept = first.moments(&w).unwrap().clone();
    let mut second = new();
    second.resume(first.steps(), [(&copy, kept.clone())]);
    for _ in 0..20 {
        let gradients = loss(&w).backward();
        first.step([&mut w], &gradients);
        let gradients = loss(&copy).backward();
        second.step([&mut copy], &gradients);
    }
    assert_eq!(w, copy);
    assert_eq!(first.moments(&w), second.moments(&copy));
    assert_ne!(second.moments(&copy), Some(&kept)); // what was kept has not moved along
}

#[test]
fn a_training_run_goes_on_from_its_files_as_if_it_had_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (x, y) = (normal(&[20, 3], 1), normal(&[20, 1], 2));
    let loss = |w: &Tensor| (x.matmul(w) - &y).square().mean();
    let train = |adam: &mut AdamW, w: &mut Tensor| {
        for _ in 0..20 {
            let gradients = loss(w).backward();
            adam.step([&mut *w], &gradients);
        }
    };
    let mut w = Tensor::parameter(normal(&[3, 1], 3).value());
    let mut adam = AdamW::new(0.05);
    train(&mut adam, &mut w);
    let steps = Tensor::new(ndarray::arr0(adam.steps() as f64));
    let Moments { m, v, .. } = adam.moments(&w).unwrap();
    let path = folder.path().join("run.safetensors");
    save(&path, [("w", &w), ("adam.m", m), ("adam.v", v), ("adam.steps", &steps)]).unwrap();

    let mut again = Tensor::parameter(ndarray::Array2::zeros((3, 1)));
    let (mut m, mut v, mut steps) = (normal(&[3, 1], 4), normal(&[3, 1], 5), normal(&[], 6));
    let named =
        [("w", &mut again), ("adam.m", &mut m), ("adam.v", &mut v), ("adam.steps", &mut steps)];
    load(&path, named).unwrap();
    let mut resumed = AdamW::new(0.05);
    resumed.resume(steps.item() as u64, [(&again, Moments { m, v, v_max: None })]);
    train(&mut resumed, &mut again);
    train(&mut adam, &mut w);
    assert_eq!(again, w);
}

#[test]
fn resume_refuses_moments_of_another_shape_and_constants() {
    let w = Tensor::parameter(array![1.0, 2.0]);
    let moments = |m: &Tensor| Moments { m: m.clone(), v: m.clone(), v_max: None };
    let (two, three) = (normal(&[2], 1), normal(&[3], 1));
    let refused =
        |p: &Tensor, m: &Tensor| panic_of(|| Adam::new(0.1).resume(1, [(p, moments(m))])).0;
    assert_eq!(refused(&w, &three), "Adam: expected m of shape [2], got [3]");
    assert_eq!(refused(&two, &two), "Adam: tensor 0 of shape [2] is no parameter");
}

#[test]
fn a_refused_step_leaves_the_counter_and_the_moments() {
    let mut w = Tensor::parameter(array![1.0]);
    let mut unused = Tensor::parameter(array![1.0]);
    let gradients = w.sum().backward();
    let mut adam = Adam::new(0.1);
    adam.step([&mut w], &gradients);
    let (before, moments) = (w.item(), adam.moments(&w).unwrap().clone());
    panic_of(|| adam.step([&mut w, &mut unused], &gradients));
    assert_eq!((adam.steps(), w.item()), (1, before));
    assert_eq!(adam.moments(&w), Some(&moments));
    assert!(adam.moments(&unused).is_none());
}

#[test]
fn a_refused_step_is_blamed_on_the_line_that_asked_for_it() {
    let mut w = Tensor::parameter(array![1.0]);
    let mut unused = Tensor::parameter(array![1.0]);
    let gradients = w.sum().backward();
    let (message, file) = panic_of(|| AdamW::new(0.1).step([&mut w, &mut unused], &gradients));
    assert!(
        message.starts_with("AdamW: no gradient reached parameter 1 of shape [1]"),
        "{message}"
    );
    assert!(file.contains("tests"), "{file}");
    let (_, file) = panic_of(|| AdamW::<f64>::new(-1.0));
    assert!(file.contains("tests"), "{file}");
}

#[test]
#[should_panic(expected = "Adam: expected at least one parameter, got none")]
fn panics_without_parameters() {
    let w = Tensor::parameter(array![1.0]);
    Adam::new(0.1).step([], &w.sum().backward());
}

#[test]
#[should_panic(expected = "AdamW: tensor 0 of shape [] is no parameter")]
fn panics_when_given_the_result_of_an_operation() {
    let w = Tensor::parameter(array![1.0]);
    let mut sum = w.sum();
    let gradients = sum.backward();
    AdamW::new(0.1).step([&mut sum], &gradients);
}

#[test]
fn optimisers_can_move_between_threads() {
    fn holds<T: Send + Sync>() {}
    holds::<Adam>();
    holds::<AdamW<f32>>();
}

#[test]
fn panics_when_a_setting_is_out_of_range() {
    let refused = |make: fn() -> Adam| panic_of(make).0;
    let number =
        |name: &str, got: &str| format!("Adam: expected a finite {name} of at least 0, got {got}");
    assert_eq!(refused(|| Adam::new(-1.0)), number("lr", "-1"));
    assert_eq!(refused(|| Adam::new(f64::NAN)), number("lr", "NaN"));
    assert_eq!(refused(|| Adam::new(f64::INFINITY)), number("lr", "inf"));
    assert_eq!(refused(|| Adam::new(0.1).with_eps(-1e-8)), number("eps", "-0.00000001"));
    assert_eq!(refused(|| Adam::new(0.1).with_eps(f64::NAN)), number("eps", "NaN"));
    let decay = |got| number("weight_decay", got);
    assert_eq!(refused(|| Adam::new(0.1).with_weight_decay(-0.1)), decay("-0.1"));
    assert_eq!(refused(|| Adam::new(0.1).with_weight_decay(f64::NAN)), decay("NaN"));
    assert_eq!(panic_of(|| Adam::<f64>::new(0.1).set_lr(-0.5)).0, number("lr", "-0.5"));

    let beta =
        |name: &str, got: &str| format!("Adam: expected {name} in 0 ≤ {name} < 1, got {got}");
    assert_eq!(refused(|| Adam::new(0.1).with_betas(1.0, 0.9)), beta("beta1", "1"));
    assert_eq!(refused(|| Adam::new(0.1).with_betas(-0.1, 0.9)), beta("beta1", "-0.1"));
    assert_eq!(refused(|| Adam::new(0.1).with_betas(0.9, 1.0)), beta("beta2", "1"));
    assert_eq!(refused(|| Adam::new(0.1).with_betas(0.9, f64::NAN)), beta("beta2", "NaN"));

    let refused = |make: fn() -> AdamW| panic_of(make).0;
    assert_eq!(refused(|| AdamW::new(-1.0)), number("lr", "-1").replace("Adam", "AdamW"));
    assert_eq!(
        refused(|| AdamW::new(0.1).with_betas(0.9, 1.0)),
        beta("beta2", "1").replace("Adam", "AdamW")
    );
    assert_eq!(
        refused(|| AdamW::new(0.1).with_weight_decay(-0.1)),
        decay("-0.1").replace("Adam", "AdamW")
    );
    // At the edge of the range.
    let _: Adam = Adam::new(0.0).with_betas(0.0, 0.0).with_eps(0.0).with_weight_decay(0.0);
}
