//! The autograd engine and its operations. Page: `book/src/tensor.md`.

mod broadcasting;
mod constructors;
mod printing;
mod random;
mod sizes;

use crate::common::{assert_close, normal, panic_of};
use approx::{assert_relative_eq, assert_relative_ne};
use evenkeel::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm};
use evenkeel::{Conv2d, Linear, MultiHeadAttention, TransformerBlock};
use evenkeel::{Float, Gradients, Tensor, gradient_check};
use ndarray::{Array, Array1, arr0, array};
use proptest::prelude::*;

/// Numbers away from 0, for functions with a kink or a pole there.
fn away_from_zero(shape: &[usize], seed: u64) -> Tensor {
    Tensor::new(normal(shape, seed).value().mapv(|x| x + 0.5 * x.signum()))
}

#[test]
fn gradients_of_the_arithmetic_match_finite_differences() {
    let (a, b) = (normal(&[2, 3, 5], 1), away_from_zero(&[2, 3, 5], 2));
    gradient_check([&a, &b], |[a, b]| a + b).unwrap();
    gradient_check([&a, &b], |[a, b]| a - b).unwrap();
    gradient_check([&a, &b], |[a, b]| a * b).unwrap();
    gradient_check([&a, &b], |[a, b]| a / b).unwrap();
    gradient_check([&a], |[a]| -a).unwrap();
    gradient_check([&a], |[a]| (a + 2.0) * 3.0 - 1.0).unwrap();
    gradient_check([&a], |[a]| 2.0 * a / 7.0).unwrap();
    gradient_check([&a], |[a]| 1.0 + (1.0 - a)).unwrap();
    gradient_check([&b], |[b]| 1.5 / b).unwrap();
}

#[test]
fn operands_may_be_owned_borrowed_or_scalars() {
    fn check<T: Float>(on_the_left: fn(T, &Tensor<T>) -> [Tensor<T>; 8]) {
        let half = T::of(0.5);
        let a = Tensor::new(array![T::of(3.0), T::of(-0.25)]);
        let b = Tensor::new(arr0(half));
        let all = |f: fn(T, T) -> T| Tensor::new(a.value().mapv(|a| f(a, half)));
        for (want, got) in [
            (all(|a, b| a + b), [&a + &b, a.clone() + &b, &a + b.clone(), a.clone() + b.clone()]),
            (all(|a, b| a - b), [&a - &b, a.clone() - &b, &a - b.clone(), a.clone() - b.clone()]),
            (all(|a, b| a * b), [&a * &b, a.clone() * &b, &a * b.clone(), a.clone() * b.clone()]),
            (all(|a, b| a / b), [&a / &b, a.clone() / &b, &a / b.clone(), a.clone() / b.clone()]),
        ] {
            assert_eq!(got, [&want, &want, &want, &want].map(Clone::clone));
        }
        let on_the_right = [&a + half, &a - half, &a * half, &a / half];
        assert_eq!(on_the_right, [&a + &b, &a - &b, &a * &b, &a / &b]);
        let owned = || a.clone();
        assert_eq!([owned() + half, owned() - half, owned() * half, owned() / half], on_the_right);
        let want = [&b + &a, &b - &a, &b * &a, &b / &a];
        assert_eq!(on_the_left(half, &a), [want.clone(), want].concat()[..]);
        assert_eq!([-&a, -a.clone()], [T::zero() - T::one(); 2].map(|minus| &a * minus));
    }
    // Rust has these only for concrete types.
    check::<f64>(|s, a| {
        let owned = || a.clone();
        [s + a, s - a, s * a, s / a, s + owned(), s - owned(), s * owned(), s / owned()]
    });
    check::<f32>(|s, a| {
        let owned = || a.clone();
        [s + a, s - a, s * a, s / a, s + owned(), s - owned(), s * owned(), s / owned()]
    });
}

#[test]
fn gradients_of_the_functions_match_finite_differences() {
    let x = away_from_zero(&[2, 3, 5], 1);
    let positive = Tensor::new(x.value().mapv(f64::abs));
    gradient_check([&x], |[x]| x.exp()).unwrap();
    gradient_check([&positive], |[x]| x.ln()).unwrap();
    gradient_check([&positive], |[x]| x.sqrt()).unwrap();
    gradient_check([&x], |[x]| x.square()).unwrap();
    gradient_check([&x], |[x]| x.relu()).unwrap();
}

#[test]
fn gradients_of_reductions_and_rearrangements_match_finite_differences() {
    let x = normal(&[2, 3, 5], 1);
    gradient_check([&x], |[x]| x.sum()).unwrap();
    gradient_check([&x], |[x]| x.mean()).unwrap();
    for axis in -3..3 {
        gradient_check([&x], |[x]| x.sum_axis(axis)).unwrap();
        gradient_check([&x], |[x]| x.mean_axis(axis)).unwrap();
    }
    gradient_check([&x], |[x]| x.reshape(&[5, 6])).unwrap();
    gradient_check([&x], |[x]| x.transpose()).unwrap();
    gradient_check([&normal(&[2, 3], 1), &normal(&[3, 5], 2)], |[a, b]| a.matmul(b)).unwrap();
    gradient_check([&normal(&[3, 2], 1), &normal(&[3, 5], 2)], |[a, b]| a.transpose().matmul(b))
        .unwrap();
}

#[test]
fn a_tensor_used_twice_receives_both_gradients() {
    let x = Tensor::parameter(array![3.0]);
    assert_eq!((&x * &x + &x).sum().backward().get(&x).unwrap().item(), 7.0); // 2x + 1
    let y = &x * &x;
    assert_eq!((&y * &y).sum().backward().get(&x).unwrap().item(), 108.0); // d(x⁴)/dx = 4x³
    assert_eq!((&x + &x).sum().backward().get(&x).unwrap().item(), 2.0);
}

#[test]
fn calling_backward_again_gives_the_same_gradients() {
    let x = Tensor::parameter(normal(&[2, 3], 1).value());
    let loss = LayerNorm::new(3).forward(&x).square().mean();
    assert_eq!(loss.backward().get(&x), loss.backward().get(&x));
}

#[test]
fn constants_leave_no_graph_behind() {
    let y = (normal(&[2, 3], 1).exp() + 1.0).matmul(&normal(&[3, 2], 2));
    assert!(!y.is_parameter());
    assert!(format!("{y:?}").starts_with("Tensor(constant, shape [2, 2]"));
}

#[test]
fn a_chain_of_a_million_operations_runs_backward_and_is_dropped() {
    let x = Tensor::parameter(array![1.0]);
    let mut y = x.clone();
    for _ in 0..1_000_000 {
        y = y + 1.0;
    }
    assert_eq!(y.item(), 1_000_001.0);
    assert_eq!(y.sum().backward().get(&x).unwrap().item(), 1.0);
    drop(y);
}

#[test]
fn a_graph_that_doubles_at_each_step_is_walked_once_per_node() {
    // 2⁶⁴ paths lead from y to x; a walk along paths would never end.
    let x = Tensor::parameter(array![1.0]);
    let mut y = x.clone();
    for _ in 0..64 {
        y = &y + &y;
    }
    assert_eq!(y.sum().backward().get(&x).unwrap().item(), 2f64.powi(64));
}

#[test]
fn tensors_and_layers_can_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<Tensor<f32>>();
    check::<Tensor<f64>>();
    check::<Gradients>();
    check::<(LayerNorm, RMSNorm, BatchNorm, GroupNorm, InstanceNorm)>();
    check::<(Linear, Conv2d, MultiHeadAttention, TransformerBlock)>();
    check::<evenkeel::Adam>();

    let x = Tensor::parameter(array![2.0]);
    let dx = std::thread::scope(|scope| {
        let gradients = scope.spawn(|| x.square().sum().backward()).join().unwrap();
        gradients.get(&x).unwrap().item()
    });
    assert_eq!(dx, 4.0);
}

#[test]
fn f32_and_f64_work_alike() {
    let x = Tensor::<f32>::parameter(array![[1.0, 2.0], [3.0, 4.0]]);
    let y = 0.5 * &x - 1.0 / &x;
    assert_eq!(y.value()[[1, 1]], 1.75);
    assert_relative_eq!(
        y.sum().backward().get(&x).unwrap(),
        &Tensor::new(array![[1.5, 0.75], [0.5 + 1.0 / 9.0, 0.5625]])
    );
}

#[test]
fn approx_refuses_other_shapes_and_nan() {
    let x = Tensor::new(array![1.0, 2.0]);
    assert_relative_eq!(x, &x + 1e-17);
    assert_relative_ne!(x, &x + 1e-6);
    assert_relative_ne!(x, x.reshape(&[2, 1]));
    let nan = Tensor::new(array![1.0, f64::NAN]);
    assert_relative_ne!(nan, nan);
    assert_ne!(nan, nan);
}

#[test]
fn prints_its_numbers_with_the_precision_asked_for() {
    assert_eq!(format!("{:.2}", Tensor::new(array![[1.0, 0.125]])), "[[1.00, 0.12]]");
    assert_eq!(
        format!("{:?}", Tensor::parameter(array![1.0, 2.0])),
        "Tensor(parameter, shape [2], [1.0, 2.0])"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn sums_do_not_depend_on_the_order_of_the_axes(rows in 1..6usize, columns in 1..6usize, seed in 0..100u64) {
        let x = normal(&[rows, columns], seed);
        assert_close("sum", &x.sum_axis(0).sum_axis(1).reshape(&[]), &x.sum(), 1e-12);
        assert_close("sum", &x.sum_axis(1).sum_axis(0).reshape(&[]), &x.sum(), 1e-12);
    }
}

#[test]
fn wrong_shapes_are_refused_at_the_line_of_the_caller() {
    let (a, b) = (normal(&[2, 3], 1), normal(&[4, 5], 2));
    let cases: Vec<((String, String), &str)> = vec![
        (
            panic_of(|| &a + &b),
            "add: shapes [2, 3] and [4, 5] do not broadcast: axis 0 is 2 in one and 4 in the other",
        ),
        (
            panic_of(|| a.clone() * b.clone()),
            "mul: shapes [2, 3] and [4, 5] do not broadcast: axis 0 is 2 in one and 4 in the other",
        ),
        (
            panic_of(|| &a - b.clone()),
            "sub: shapes [2, 3] and [4, 5] do not broadcast: axis 0 is 2 in one and 4 in the other",
        ),
        (
            panic_of(|| a.clone() / &b),
            "div: shapes [2, 3] and [4, 5] do not broadcast: axis 0 is 2 in one and 4 in the other",
        ),
        (panic_of(|| a.broadcast_to(&[3])), "broadcast_to: shape [2, 3] does not stretch to [3]"),
        (
            panic_of(|| a.matmul(&b)),
            "matmul: expected [.., m, k] by [.., k, n], got [2, 3] by [4, 5]: the inner lengths 3 and 4 differ",
        ),
        (
            panic_of(|| a.matmul(&normal(&[3], 1))),
            "matmul: expected two matrices, [.., m, k] by [.., k, n], got [2, 3] by [3]",
        ),
        (panic_of(|| a.reshape(&[7])), "reshape: [2, 3] holds 6 values, [7] would hold 7"),
        (
            panic_of(|| a.sum_axis(2)),
            "sum_axis: axis 2 is out of range for shape [2, 3]: expected -2 to 1",
        ),
        (
            panic_of(|| a.mean_axis(-3)),
            "mean_axis: axis -3 is out of range for shape [2, 3]: expected -2 to 1",
        ),
        (
            panic_of(|| normal(&[3], 1).transpose()),
            "transpose: axis -2 is out of range for shape [3]: expected -1 to 0",
        ),
        (panic_of(|| a.item()), "item: expected a tensor with one value, got shape [2, 3]"),
        (
            panic_of(|| Tensor::new(array![[1.0, f64::NAN]]).argmax()),
            "argmax: row 0 holds NaN at position 1",
        ),
        (
            panic_of(|| Tensor::parameter(a.value()).backward()),
            "backward: expected a tensor with one value, got shape [2, 3]: reduce it with sum() or mean(), or give its gradient to backward_from()",
        ),
        (
            panic_of(|| a.sum().backward()),
            "backward: this tensor was computed from constants only: make the leaf you differentiate by with Tensor::parameter",
        ),
        (
            panic_of(|| a.backward_from(&b)),
            "backward_from: expected an upstream gradient of shape [2, 3], got [4, 5]",
        ),
        (
            panic_of(|| LayerNorm::new(3).forward(&b)),
            "LayerNorm: expected an input of shape [.., 3], got [4, 5]",
        ),
    ];
    for ((message, file), expected) in cases {
        assert_eq!(message, expected);
        assert!(file.ends_with("tests/tensor.rs"), "{expected}: blamed on {file}");
    }
}

#[test]
fn any_memory_layout_becomes_row_major() {
    let matrix = Array::from_shape_fn((3, 4), |(i, j)| (10 * i + j) as f64);
    let x = Tensor::new(matrix.t());
    assert_eq!(x.reshape(&[12]), Tensor::new(matrix.t().iter().copied().collect::<Array1<f64>>()));
    let w = Tensor::parameter(matrix.t());
    let dw = w.transpose().matmul(&normal(&[4, 2], 1)).sum().backward();
    assert_eq!(dw.get(&w).unwrap().shape(), [4, 3]);
}

#[test]
fn tensors_can_be_compared_with_a_tolerance_as_numbers_are() {
    let (a, b) = (Tensor::new(array![1.0, 2.0]), Tensor::new(array![1.0, 2.0 + 1e-9]));
    assert!(
        approx::abs_diff_eq!(a, b, epsilon = 1e-8) && approx::abs_diff_ne!(a, b, epsilon = 1e-10)
    );
    assert!(
        approx::relative_eq!(a, b, epsilon = 1e-8) && approx::relative_ne!(a, b, epsilon = 1e-10)
    );
    let last_place = Tensor::new(array![1.0 + f64::EPSILON, 2.0]);
    assert!(approx::relative_eq!(a * 8.0, last_place * 8.0)); // by default one rounding
    let a = Tensor::new(array![1.0]);
    for other in [Tensor::new(array![[1.0]]), Tensor::new(array![1.0, 1.0])] {
        assert!(approx::abs_diff_ne!(a, other, epsilon = 1.0));
    }
    let nan = Tensor::new(array![f64::NAN]);
    assert!(approx::abs_diff_ne!(nan, nan, epsilon = 1.0));
}
