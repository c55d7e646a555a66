//! The autograd engine and its operations. Page: `book/src/tensor.md`.

mod common;

use approx::{assert_relative_eq, assert_relative_ne};
use common::{assert_close, normal, panic_of};
use evenkeel::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm};
use evenkeel::{Conv2d, Linear, MultiHeadAttention, TransformerBlock};
use evenkeel::{Gradients, Tensor, gradient_check};
use ndarray::{Array, Array1, array};
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
fn gradients_of_broadcast_operands_match_finite_differences() {
    let full = normal(&[2, 3, 5], 1);
    for (seed, shape) in [[5].as_slice(), &[3, 5], &[3, 1], &[2, 1, 5], &[1, 1, 1], &[1], &[]]
        .into_iter()
        .enumerate()
    {
        let part = away_from_zero(shape, 10 + seed as u64);
        gradient_check([&full, &part], |[full, part]| full * part).unwrap();
        gradient_check([&full, &part], |[full, part]| full / part).unwrap();
        gradient_check([&part, &full], |[part, full]| part - full).unwrap();
        gradient_check([&part], |[part]| part.broadcast_to(&[2, 3, 5])).unwrap();
    }
    // Both stretch.
    gradient_check([&normal(&[3, 1], 1), &normal(&[1, 5], 2)], |[column, row]| column * row)
        .unwrap();
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

    /// NumPy's rules: the same result as stretching both by hand, the shape from either side, and gradients in the
    /// operands' own shapes.
    #[test]
    fn broadcasting_follows_numpy(
        lengths in prop::collection::vec(1..5usize, 0..4),
        a_ones in prop::array::uniform3(any::<bool>()),
        b_ones in prop::array::uniform3(any::<bool>()),
        a_missing in 0..3usize,
    ) {
        let shrink = |ones: [bool; 3], missing: usize| -> Vec<usize> {
            let kept = lengths.iter().zip(ones).map(|(&length, one)| if one { 1 } else { length });
            kept.skip(missing).collect()
        };
        let (a, b) = (shrink(a_ones, a_missing), shrink(b_ones, 0));
        let (a, b) = (Tensor::parameter(normal(&a, 1).value()), Tensor::parameter(normal(&b, 2).value()));
        let y = &a * &b;
        prop_assert_eq!(&y, &(&b * &a));
        let (wide_a, wide_b) = (a.broadcast_to(y.shape()), b.broadcast_to(y.shape()));
        prop_assert_eq!(&y, &(wide_a * wide_b));
        // A second opinion on the shape: ndarray's own broadcasting.
        let by_ndarray = &a.value() * &b.value();
        prop_assert_eq!(y.value(), by_ndarray.view());
        let gradients = y.sum().backward();
        prop_assert_eq!(gradients.get(&a).unwrap().shape(), a.shape());
        prop_assert_eq!(gradients.get(&b).unwrap().shape(), b.shape());
    }

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
fn a_shape_error_names_the_axis_of_the_longer_operand() {
    let (message, _) = panic_of(|| normal(&[2, 3, 5], 1) + normal(&[4, 5], 1));
    assert_eq!(
        message,
        "add: shapes [2, 3, 5] and [4, 5] do not broadcast: axis 1 is 3 in one and 4 in the other"
    );
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
