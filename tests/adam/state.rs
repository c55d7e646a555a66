//! What Adam and AdamW remember, share and refuse. Page: `book/src/using_layer_norm.md`.

use super::Optimiser;
use crate::common::{normal, panic_of};
use approx::assert_relative_eq;
use evenkeel::{Adam, AdamW, Moments, Tensor, load, named, save};
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
fn panics_when_a_parameter_cannot_be_moved_and_moves_none_then() {
    let [used, unused] = [array![1.0], array![1.0, 2.0]].map(Tensor::parameter);
    let gradients = used.sum().backward();
    let (constant, result) = (normal(&[3], 1), used.sum());
    let cases: [(&[&Tensor], &str); 5] = [
        (
            &[&used, &unused],
            "no gradient reached parameter 1 of shape [2]: \
             was it used in the forward pass of this loss?",
        ),
        (
            &[&used, &constant],
            "tensor 1 of shape [3] is no parameter: make it with Tensor::parameter",
        ),
        (&[&result], "tensor 0 of shape [] is no parameter: make it with Tensor::parameter"),
        (&[&used, &used], "parameter 1 of shape [1] was given before, as parameter 0"),
        (&[], "expected at least one parameter, got none"),
    ];
    for (given, expected) in cases {
        for (name, mut optimiser) in [
            ("Adam", Box::new(Adam::new(0.1)) as Box<dyn Optimiser>),
            ("AdamW", Box::new(AdamW::new(0.1))),
        ] {
            let mut parameters: Vec<Tensor> = given.iter().copied().cloned().collect();
            let (message, _) = panic_of(|| optimiser.take(&mut parameters, &gradients));
            assert_eq!(message, format!("{name}: {expected}"));
            assert!(parameters.iter().eq(given.iter().copied()), "{name}: {expected}");
        }
    }
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
    second.resume([(&copy, kept.clone())]);
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
    let train = |adam: &mut Adam, w: &mut Tensor| {
        for _ in 0..20 {
            let gradients = loss(w).backward();
            adam.step([&mut *w], &gradients);
        }
    };
    let mut w = Tensor::parameter(normal(&[3, 1], 3).value());
    let mut adam = AdamW::new(0.05);
    train(&mut adam, &mut w);
    let Moments { steps, m, v, .. } = adam.moments(&w).unwrap();
    let mut steps = Tensor::new(ndarray::arr0(*steps as f64));
    let (mut m, mut v) = (m.clone(), v.clone());
    let path = folder.path().join("run.safetensors");
    save(
        &path,
        named([("w", &mut w), ("adam.m", &mut m), ("adam.v", &mut v), ("adam.steps", &mut steps)]),
    )
    .unwrap();

    let mut again = Tensor::parameter(ndarray::Array2::zeros((3, 1)));
    let (mut m, mut v, mut steps) = (normal(&[3, 1], 4), normal(&[3, 1], 5), normal(&[], 6));
    load(
        &path,
        named([
            ("w", &mut again),
            ("adam.m", &mut m),
            ("adam.v", &mut v),
            ("adam.steps", &mut steps),
        ]),
    )
    .unwrap();
    let mut resumed = AdamW::new(0.05);
    resumed.resume([(&again, Moments { steps: steps.item() as u64, m, v, v_max: None })]);
    train(&mut resumed, &mut again);
    train(&mut adam, &mut w);
    assert_eq!(again, w);
}

#[test]
fn resume_refuses_moments_of_another_shape_and_constants() {
    let w = Tensor::parameter(array![1.0, 2.0]);
    let moments = |m: &Tensor| Moments { steps: 1, m: m.clone(), v: m.clone(), v_max: None };
    let (two, three) = (normal(&[2], 1), normal(&[3], 1));
    let refused = |p: &Tensor, m: &Tensor| panic_of(|| Adam::new(0.1).resume([(p, moments(m))])).0;
    assert_eq!(refused(&w, &three), "Adam: expected m of shape [2], got [3]");
    assert_eq!(refused(&two, &two), "Adam: tensor 0 of shape [2] is no parameter");
}

#[test]
fn a_refused_step_leaves_the_counts_and_the_moments() {
    let mut w = Tensor::parameter(array![1.0]);
    let mut unused = Tensor::parameter(array![1.0]);
    let gradients = w.sum().backward();
    let mut adam = Adam::new(0.1);
    adam.step([&mut w], &gradients);
    let (before, moments) = (w.item(), adam.moments(&w).unwrap().clone());
    panic_of(|| adam.step([&mut w, &mut unused], &gradients));
    assert_eq!(w.item(), before);
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
    let (_, file) = panic_of(|| AdamW::new::<f64>(-1.0));
    assert!(file.contains("tests"), "{file}");
}

#[test]
fn two_optimisers_move_two_groups_at_their_own_rates() {
    let (mut slow, mut fast) = (Tensor::parameter(array![0.0]), Tensor::parameter(array![0.0]));
    let (mut adam_slow, mut adam_fast) = (Adam::new(0.001), Adam::new(0.1));
    let gradients = (&slow + &fast).sum().backward();
    adam_slow.step([&mut slow], &gradients);
    adam_fast.step([&mut fast], &gradients);
    assert_relative_eq!(slow.item(), -0.001, epsilon = 1e-9);
    assert_relative_eq!(fast.item(), -0.1, epsilon = 1e-8);
    // One parameter may belong to both: each moves it.
    adam_slow.step([&mut fast], &gradients);
    assert!(fast.item() < -0.1);
}

#[test]
fn an_empty_parameter_is_no_error() {
    let mut w = Tensor::parameter(ndarray::Array2::<f64>::zeros((0, 3)));
    let gradients = w.sum().backward();
    Adam::new(0.1).with_amsgrad(true).step([&mut w], &gradients);
    assert_eq!(w.shape(), [0, 3]);
}

#[test]
fn optimisers_can_move_between_threads() {
    fn holds<T: Send + Sync>() {}
    holds::<Adam>();
    holds::<Adam<f32>>();
}

/// Both optimisers must refuse the same settings, each in its own name.
macro_rules! refuses_what_is_out_of_range {
    ($($optimiser:ident)*) => {$(
        let new = |lr| -> Adam { $optimiser::new(lr) };
        let name = stringify!($optimiser);
        for bad in [-0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let number =
                |what| format!("{name}: expected a finite {what} of at least 0, got {bad}");
            assert_eq!(panic_of(|| new(bad)).0, number("lr"));
            assert_eq!(panic_of(|| new(0.1).set_lr(bad)).0, number("lr"));
            assert_eq!(panic_of(|| new(0.1).with_eps(bad)).0, number("eps"));
            assert_eq!(panic_of(|| new(0.1).with_weight_decay(bad)).0, number("weight_decay"));
        }
        for bad in [-0.1, 1.0, f64::NAN] {
            let beta = |which| format!("{name}: expected {which} in 0 ≤ {which} < 1, got {bad}");
            assert_eq!(panic_of(|| new(0.1).with_betas(bad, 0.9)).0, beta("beta1"));
            assert_eq!(panic_of(|| new(0.1).with_betas(0.9, bad)).0, beta("beta2"));
        }
        // At the edge of the range.
        let _ = new(0.0).with_betas(0.0, 0.0).with_eps(0.0).with_weight_decay(0.0);
    )*};
}

#[test]
fn panics_when_a_setting_is_out_of_range() {
    refuses_what_is_out_of_range!(Adam AdamW);
}
