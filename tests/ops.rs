//! The operations that attention and losses are made of. Page: `book/src/tensor.md`.

mod arithmetic;
mod elementwise;
mod largest;
mod rows;
mod sums;

use crate::common::{assert_close, normal, panic_of};
use approx::assert_relative_eq;
use evenkeel::{Mask, Tensor, gradient_check, scaled_dot_product_attention};
use ndarray::{Array2, Axis, array, s, stack};
use proptest::prelude::*;

/// Softmax by its definition, from primitive operations.
fn softmax_composed(x: &Tensor, axis: isize) -> Tensor {
    let exp = x.exp();
    &exp / exp.sum_axis(axis)
}

#[test]
fn gradients_match_finite_differences() {
    let x = normal(&[2, 3, 5], 1);
    gradient_check([&x], |[x]| x.tanh()).unwrap();
    gradient_check([&(&x * 2.0)], |[x]| x.gelu()).unwrap();
    for axis in -3..3 {
        gradient_check([&x], |[x]| x.softmax(axis)).unwrap();
        gradient_check([&x], |[x]| x.log_softmax(axis)).unwrap();
        for other in -3..3 {
            gradient_check([&x], |[x]| x.swap_axes(axis, other)).unwrap();
        }
    }
    gradient_check([&x], |[x]| x.slice_axis(0, 1..2)).unwrap();
    gradient_check([&x], |[x]| x.slice_axis(-1, 1..4)).unwrap();
    let (y, z) = (normal(&[2, 2, 5], 2), normal(&[2, 4, 5], 3));
    gradient_check([&x, &y, &z], |[x, y, z]| Tensor::concat(&[x, y, z, x], 1)).unwrap();
}

#[test]
fn gradients_of_batched_products_match_finite_differences() {
    let shapes: [[&[usize]; 2]; 7] = [
        [&[2, 3], &[3, 5]],
        [&[4, 2, 3], &[3, 5]],
        [&[2, 3], &[4, 3, 5]],
        [&[4, 2, 3], &[4, 3, 5]],
        [&[4, 1, 2, 3], &[7, 3, 5]],
        [&[1, 2, 3], &[4, 3, 5]],
        [&[4, 2, 3], &[1, 3, 5]],
    ];
    for [a, b] in shapes {
        gradient_check([&normal(a, 1), &normal(b, 2)], |[a, b]| a.matmul(b)).unwrap();
    }
}

#[test]
fn tanh_and_gelu_match_the_worked_example() {
    let x = Tensor::new(array![-30.0, -5.0, -1.0, 0.0, 0.5, 3.0]);
    // x·Φ(x) with 40 digits; the tail at -30 is what 1 + erf(x/√2) would lose.
    let want = [
        -1.472014178144615e-196,
        -1.433257859395969e-6,
        -0.15865525393145705,
        0.0,
        0.34573123063700655,
        2.99595030590511,
    ];
    for (got, want) in x.gelu().value().iter().zip(want) {
        assert_relative_eq!(*got, want, max_relative = 1e-13);
    }
    assert_relative_eq!(x.tanh(), Tensor::new(x.value().mapv(f64::tanh)));
    let narrow = Tensor::<f32>::new(array![-1.0, 3.0]).gelu();
    assert_eq!(narrow, Tensor::new(array![-0.158_655_26, 2.995_950_2]));
    // gelu(x) - gelu(-x) = x·(Φ(x) + Φ(-x)) = x
    let x = normal(&[40], 1) * 3.0;
    assert_close("odd part", &(x.gelu() - (-&x).gelu()), &x, 1e-14);
}

#[test]
fn relu_tanh_and_gelu_keep_nan_and_infinity() {
    let x = Tensor::parameter(array![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0]);
    let y = x.relu();
    assert!(y.value()[[0]].is_nan());
    assert_eq!(y.value().as_slice().unwrap()[1..], [f64::INFINITY, 0.0, 0.0, 0.0]);
    assert!(y.value()[[4]].is_sign_negative(), "relu(-0) is -0, as in PyTorch");
    let want = Tensor::new(array![1.0, 1.0, 0.0, 0.0, 0.0]);
    assert_eq!(y.sum().backward().get(&x).unwrap(), &want);

    let y = x.tanh();
    assert!(y.value()[[0]].is_nan());
    assert_eq!(y.value().as_slice().unwrap()[1..], [1.0, -1.0, 0.0, 0.0]);
    let y = x.gelu();
    assert!(y.value()[[0]].is_nan() && y.value()[[2]].is_nan());
    assert_eq!(y.value()[[1]], f64::INFINITY);
}

#[test]
fn closed_form_matches_composition() {
    let dy = normal(&[2, 3, 5], 4);
    for axis in 0..3 {
        let x = Tensor::parameter(normal(&[2, 3, 5], 1).value());
        let pairs = [
            (x.softmax(axis), softmax_composed(&x, axis)),
            (x.log_softmax(axis), softmax_composed(&x, axis).ln()),
        ];
        for (fused, built) in pairs {
            assert_close("y", &fused, &built, 1e-10);
            let (fused, built) = (fused.backward_from(&dy), built.backward_from(&dy));
            assert_close("dx", fused.get(&x).unwrap(), built.get(&x).unwrap(), 1e-10);
        }
    }
}

#[test]
fn softmax_treats_infinities_and_nan_row_by_row() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let x = Tensor::parameter(array![
        [-inf, 0.0, 0.0],
        [-inf, -inf, -inf],
        [inf, 0.0, 0.0],
        [nan, 0.0, -inf],
        [1e4, 1e4 + 1.0, -1e300],
    ]);
    for y in [x.softmax(-1), x.log_softmax(-1).exp()] {
        let y_values = y.value();
        assert_eq!(y_values.slice(s![0, ..]).to_vec(), [0.0, 0.5, 0.5]);
        assert!(y_values.slice(s![1..4, ..]).iter().all(|y| y.is_nan()));
        assert_relative_eq!(y_values[[4, 1]], 0.7310585786300049, epsilon = 1e-12);
        assert_eq!(y_values[[4, 2]], 0.0);
        let dx = y.backward_from(&normal(&[5, 3], 1));
        let dx = dx.get(&x).unwrap().value();
        assert!(dx.slice(s![0, ..]).iter().chain(dx.slice(s![4, ..])).all(|d| d.is_finite()));
        assert!(dx.slice(s![1..4, ..]).iter().all(|d| d.is_nan()));
    }
    assert_eq!(x.log_softmax(-1).value()[[0, 0]], -inf);
}

#[test]
fn softmax_of_f32_sums_in_f64() {
    let x = Tensor::<f32>::new(Array2::from_elem((1, 1_000_000), 0.25));
    assert_eq!(x.softmax(-1).value()[[0, 7]], 1e-6);
    assert_eq!(x.log_softmax(-1).value()[[0, 7]], -(1e6f32.ln()));
}

#[test]
fn empty_tensors_pass_through() {
    for shape in [[0, 3], [2, 0]] {
        let x = Tensor::parameter(normal(&shape, 1).value());
        for axis in 0..2 {
            for y in [x.softmax(axis), x.log_softmax(axis)] {
                assert_eq!(y.shape(), shape);
                assert_eq!(y.sum().backward().get(&x).unwrap().shape(), shape);
            }
        }
        for y in [x.tanh(), x.gelu(), x.swap_axes(0, 1), Tensor::concat(&[&x, &x], 1)] {
            assert_eq!(y.sum().backward().get(&x).unwrap().shape(), shape);
        }
        assert_eq!(x.slice_axis(1, 0..0).shape(), [shape[0], 0]);
    }
    // No batch, no rows, no columns; and nothing to sum over, which gives zeros.
    let shapes = [([0, 2, 3], [0, 3, 5]), ([4, 0, 3], [4, 3, 5]), ([4, 2, 3], [4, 3, 0])];
    for (a, b) in shapes {
        let (a, b) =
            (Tensor::parameter(normal(&a, 1).value()), Tensor::parameter(normal(&b, 2).value()));
        let y = a.matmul(&b);
        assert_eq!(y.shape(), [a.shape()[0], a.shape()[1], b.shape()[2]]);
        let gradients = y.sum().backward();
        assert_eq!(gradients.get(&a).unwrap(), &(&a * 0.0));
        assert_eq!(gradients.get(&b).unwrap(), &(&b * 0.0));
    }
    let y = normal(&[4, 2, 0], 1).matmul(&normal(&[4, 0, 5], 2));
    assert_eq!(y, normal(&[4, 2, 5], 3) * 0.0);
}

#[test]
fn slices_and_concat_undo_each_other() {
    let x = normal(&[2, 3, 5], 1);
    for axis in 0..3 {
        let parts: Vec<Tensor> =
            (0..x.shape()[axis]).map(|at| x.slice_axis(axis as isize, at..at + 1)).collect();
        assert_eq!(Tensor::concat(&parts.iter().collect::<Vec<_>>(), axis as isize), x);
    }
    assert_eq!(x.slice_axis(1, 0..3), x);
    assert_eq!(Tensor::concat(&[&x], -1), x);
    assert_eq!(x.swap_axes(0, 2).swap_axes(0, 2), x);
    assert_eq!(x.swap_axes(-1, -2), x.transpose());
}

#[test]
fn wrong_shapes_are_refused_at_the_line_of_the_caller() {
    let a = normal(&[2, 3, 5], 1);
    let cases = [
        (
            panic_of(|| a.softmax(3)),
            "softmax: axis 3 is out of range for shape [2, 3, 5]: expected -3 to 2",
        ),
        (
            panic_of(|| a.log_softmax(-4)),
            "log_softmax: axis -4 is out of range for shape [2, 3, 5]: expected -3 to 2",
        ),
        (
            panic_of(|| a.swap_axes(0, 3)),
            "swap_axes: axis 3 is out of range for shape [2, 3, 5]: expected -3 to 2",
        ),
        (
            panic_of(|| a.slice_axis(5, 0..1)),
            "slice_axis: axis 5 is out of range for shape [2, 3, 5]: expected -3 to 2",
        ),
        (
            panic_of(|| a.slice_axis(1, 2..4)),
            "slice_axis: 2..4 is no range within 0..3, axis 1 of shape [2, 3, 5]",
        ),
        #[expect(clippy::reversed_empty_ranges, reason = "that is the mistake")]
        (
            panic_of(|| a.slice_axis(1, 2..1)),
            "slice_axis: 2..1 is no range within 0..3, axis 1 of shape [2, 3, 5]",
        ),
        (
            panic_of(|| Tensor::<f64>::concat(&[], 0)),
            "concat: expected at least one tensor, got none",
        ),
        (
            panic_of(|| Tensor::concat(&[&a], 3)),
            "concat: axis 3 is out of range for shape [2, 3, 5]: expected -3 to 2",
        ),
        (
            panic_of(|| Tensor::concat(&[&a, &a, &normal(&[2, 4, 5], 1)], 0)),
            "concat: shapes [2, 3, 5] and [2, 4, 5] differ in more than axis 0",
        ),
        (
            panic_of(|| Tensor::concat(&[&a, &normal(&[3, 5], 1)], 0)),
            "concat: shapes [2, 3, 5] and [3, 5] differ in more than axis 0",
        ),
        (
            panic_of(|| a.matmul(&normal(&[2, 3, 5], 1))),
            "matmul: expected [.., m, k] by [.., k, n], got [2, 3, 5] by [2, 3, 5]: the inner lengths 5 and 3 differ",
        ),
        (
            panic_of(|| a.matmul(&normal(&[4, 5, 2], 1))),
            "matmul, leading axes: shapes [2] and [4] do not broadcast: axis 0 is 2 in one and 4 in the other",
        ),
        (
            panic_of(|| normal(&[5], 1).matmul(&a)),
            "matmul: expected two matrices, [.., m, k] by [.., k, n], got [5] by [2, 3, 5]",
        ),
    ];
    for ((message, file), expected) in cases {
        assert_eq!(message, expected);
        assert!(file.ends_with("tests/ops.rs"), "{expected}: blamed on {file}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn rows_of_softmax_sum_to_one_and_do_not_feel_a_shift(
        rows in 1..5usize, classes in 1..9usize, seed in 0..1000u64, size in 0.1..300f64, shift in -1e3..1e3f64,
    ) {
        let x: Tensor = normal(&[rows, classes], seed) * size;
        let y = x.softmax(-1);
        for sum in y.value().sum_axis(Axis(1)) {
            prop_assert!((sum - 1.0).abs() < 1e-14);
        }
        prop_assert!(y.value().iter().all(|p| (0.0..=1.0).contains(p)));
            assert_close("shifted", &(&x + shift).softmax(-1), &y, 1e-12);
        assert_close("log", &x.log_softmax(-1).exp(), &y, 1e-12);
        // The other axis is the same thing, transposed.
        prop_assert_eq!(x.transpose().softmax(0), y.transpose());
    }

    #[test]
    fn a_batched_product_is_a_loop_of_products(
        lengths in prop::array::uniform3(1..5usize),
        outer in 1..4usize, inner in 1..4usize,
        a_stretches in prop::array::uniform2(any::<bool>()), b_stretches in any::<bool>(), b_axes in 0..3usize,
        seed in 0..1000u64,
    ) {
        let [m, k, n] = lengths;
        let or_one = |length: usize, stretched: bool| if stretched { 1 } else { length };
        let a = normal(&[or_one(outer, a_stretches[0]), or_one(inner, a_stretches[1]), m, k], seed);
        let b_shape = [or_one(outer, b_stretches), inner, k, n];
        let b = normal(&b_shape[2 - b_axes..], seed + 1);
        let y = a.matmul(&b);
        let wide = |x: &Tensor| {
            let lead = [y.shape()[0], y.shape()[1]];
            x.broadcast_to(&[lead.as_slice(), &x.shape()[x.shape().len() - 2..]].concat())
        };
        let (a, b) = (wide(&a), wide(&b));
        for i in 0..y.shape()[0] {
            for j in 0..y.shape()[1] {
                let matrix = |x: &Tensor| Tensor::new(x.value().slice(s![i, j, .., ..]));
                assert_close("matrix", &matrix(&a).matmul(&matrix(&b)), &matrix(&y), 1e-14);
            }
        }
    }

    #[test]
    fn concat_is_what_ndarray_says(parts in 1..6usize, rows in 0..4usize, seed in 0..100u64) {
        let tensors: Vec<Tensor> = (0..parts).map(|part| normal(&[rows, 2], seed + part as u64)).collect();
        let joined = Tensor::concat(&tensors.iter().map(|t| t.reshape(&[1, rows, 2])).collect::<Vec<_>>().iter().collect::<Vec<_>>(), 0);
        let views: Vec<_> = tensors.iter().map(Tensor::value).collect();
        prop_assert_eq!(joined.value(), stack(Axis(0), &views).unwrap());
    }
}

/// Memory that is used again holds what was in it: here NaN.
#[test]
fn products_do_not_read_what_stood_in_their_memory() {
    let n = 150; // large enough for the memory to be kept
    let one = Tensor::parameter(Array2::from_elem((n, n), 1.0));
    let leave_nan = || (0..4).for_each(|_| drop(&one * f64::NAN));
    let all = |tensor: &Tensor, number: f64| tensor.value().iter().all(|&x| x == number);
    leave_nan();
    let y = one.matmul(&one);
    assert!(all(&y, n as f64));
    leave_nan();
    assert!(all(&y.backward_from(&one.detach())[&one], 2.0 * n as f64));
    leave_nan();
    assert!(all(&Tensor::new(Array2::zeros((n * n, 0))).sum_axis(1), 0.0));
    leave_nan();
    let y = scaled_dot_product_attention(&one, &one, &one, &Mask::Causal, None);
    assert!(y.value().iter().all(|y| (y - 1.0).abs() < 1e-13));
    leave_nan();
    let gradients = y.sum().backward();
    assert!((gradients[&one].sum().item() - (n * n) as f64).abs() < 1e-8);
}
