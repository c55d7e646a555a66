//! New numbers for a tensor that is there. Page: `book/src/tensor.md`.

use crate::common::{assert_panics, normal};
use evenkeel::{Adam, AdamW, Float, LayerNorm, Module, Sgd, Tensor};
use ndarray::{Array2, array};

/// The path of a parameter under 100 steps of Adam, with something done to it after each.
fn path<T: Float>(after: impl Fn(&mut Tensor<T>)) -> Vec<Tensor<T>> {
    let x = Tensor::new(normal(&[20, 3], 1).value().mapv(T::of));
    let mut w = Tensor::parameter(normal(&[3, 2], 2).value().mapv(T::of));
    let mut adam = Adam::new(0.05).with_amsgrad(true);
    let mut path = Vec::new();
    for _ in 0..100 {
        let gradients = (x.matmul(&w) - T::one()).square().mean().backward();
        adam.step([&mut w], &gradients);
        after(&mut w);
        path.push(w.detach());
    }
    path
}

#[test]
fn a_bound_that_is_never_met_changes_no_bit() {
    fn check<T: Float>() {
        let bound = T::of(1e3);
        let clamped = path::<T>(|w| w.assign(w.value().mapv(|x| x.max(-bound).min(bound))));
        assert_eq!(clamped, path(|_| {}));
        let replaced = path::<T>(|w| *w = Tensor::parameter(w.value()));
        assert_ne!(clamped, replaced, "a new parameter is a stranger to the optimiser");
    }
    check::<f64>();
    check::<f32>();
}

#[test]
fn a_bound_that_is_met_is_kept_and_the_memory_too() {
    let mut w = Tensor::parameter(array![0.0, 0.0]);
    let gradients = (&w * Tensor::new(array![1.0, -2.0])).sum().backward();
    let (mut adam, mut adam_w) = (Adam::new(0.1), AdamW::new(0.1));
    let mut sgd = Sgd::new(0.1).with_momentum(0.5);
    for step in 1..=5 {
        adam.step([&mut w], &gradients);
        adam_w.step([&mut w], &gradients);
        sgd.step([&mut w], &gradients);
        w.assign(w.value().mapv(|x: f64| x.clamp(-0.25, 0.25)));
        assert_eq!(adam.moments(&w).unwrap().steps, step);
        assert_eq!(adam_w.moments(&w).unwrap().steps, step);
    }
    assert_eq!(w, Tensor::new(array![-0.25, 0.25]));
    assert_eq!(sgd.velocity(&w), Some(&Tensor::new(array![1.9375, -3.875]))); // 2·(1 - 0.5⁵)
}

#[test]
fn handles_and_graphs_from_before_keep_the_old_numbers() {
    let mut w = Tensor::parameter(array![3.0]);
    let (handle, loss) = (w.clone(), w.square().sum());
    w.assign(array![5.0]);
    assert_eq!((w.item(), handle.item()), (5.0, 3.0));
    let gradients = loss.backward();
    assert_eq!((gradients[&w].item(), gradients[&handle].item()), (6.0, 6.0)); // one parameter
    assert_eq!(w.square().sum().backward()[&handle].item(), 10.0);
}

#[test]
fn takes_arrays_and_views_of_any_layout_and_keeps_the_kind() {
    let mut w = Tensor::parameter(Array2::zeros((2, 3)));
    let columns = array![[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]];
    w.assign(columns.t());
    assert_eq!(w, Tensor::new(array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]));
    assert!(w.is_parameter());
    w.assign(columns.reversed_axes());
    assert_eq!(w.value()[[1, 0]], 4.0);

    let mut constant = Tensor::<f32>::new(ndarray::arr0(1.0));
    constant.assign(ndarray::arr0(2.0));
    assert_eq!(constant.item(), 2.0);
    assert!(!constant.is_parameter());
    let mut empty = Tensor::<f64>::parameter(Array2::zeros((0, 3)));
    empty.assign(Array2::zeros((0, 3)));
    let mut layer: LayerNorm = LayerNorm::new(2);
    layer.gamma.assign(array![2.0, 3.0]);
    assert_eq!(layer.parameters().len(), 2);
}

#[test]
fn refuses_another_shape_and_the_result_of_an_operation() {
    let mut w = Tensor::parameter(array![[1.0, 2.0]]);
    assert_panics("assign: expected an array of shape [1, 2], got [2]", || {
        w.assign(array![1.0, 2.0]);
    });
    assert_panics("assign: expected an array of shape [1, 2], got [2, 1]", || {
        w.assign(array![[1.0], [2.0]]);
    });
    let mut result = w.square();
    assert_panics(
        "assign: expected a constant or a parameter, got the result of an operation, of shape [1, 2]",
        || result.assign(array![[1.0, 2.0]]),
    );
    assert_eq!((&w, &result), (&Tensor::new(array![[1.0, 2.0]]), &Tensor::new(array![[1.0, 4.0]])));
    // A result of constants has no graph: it is a constant.
    let mut of_constants = w.detach().square();
    of_constants.assign(array![[0.0, 0.0]]);
}
