//! Operands of different shapes. Page: `book/src/tensor.md`.

use evenkeel::{Tensor, gradient_check};
use ndarray::{ArrayD, Dimension};
use proptest::prelude::*;

use super::away_from_zero;
use crate::common::{assert_close, normal, panic_of};

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
fn a_shape_error_names_the_axis_of_the_longer_operand() {
    let (message, _) = panic_of(|| normal(&[2, 3, 5], 1) + normal(&[4, 5], 1));
    assert_eq!(
        message,
        "add: shapes [2, 3, 5] and [4, 5] do not broadcast: axis 1 is 3 in one and 4 in the other"
    );
}

/// Two shapes that broadcast: those of a larger one, each without some of the leading axes and with
/// length 1 in place of some others.
fn two_shapes() -> impl Strategy<Value = [Vec<usize>; 2]> {
    let lengths = prop::collection::vec(0..5usize, 0..4);
    let ones = prop::array::uniform2(prop::array::uniform3(any::<bool>()));
    (lengths, ones, prop::array::uniform2(0..3usize)).prop_map(|(lengths, ones, missing)| {
        [0, 1].map(|operand| {
            let stretches = lengths.iter().zip(ones[operand]);
            let shape = stretches.map(|(&length, one)| if one { 1 } else { length });
            shape.skip(missing[operand]).collect()
        })
    })
}

/// Each number of `dy` added to the number of the operand that it was stretched from.
fn summed_over_what_was_stretched(dy: &Tensor, shape: &[usize]) -> Tensor {
    let mut sums = ArrayD::zeros(shape);
    let added = dy.shape().len() - shape.len();
    for (index, d) in dy.value().indexed_iter() {
        let at = index.slice()[added..].iter().zip(shape);
        let at: Vec<usize> = at.map(|(&at, &length)| if length == 1 { 0 } else { at }).collect();
        sums[at.as_slice()] += d;
    }
    Tensor::new(sums)
}

const OPERATIONS: [fn(&Tensor, &Tensor) -> Tensor; 4] =
    [|a, b| a + b, |a, b| a - b, |a, b| a * b, |a, b| a / b];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn broadcasting_follows_numpy(shapes in two_shapes(), seed in 0..1000u64) {
        let (a, b) = (normal(&shapes[0], seed), away_from_zero(&shapes[1], seed + 1));
        prop_assert_eq!(&a + &b, &b + &a);
        prop_assert_eq!(&a * &b, &b * &a);
        // A second opinion on the shape: ndarray's own broadcasting.
        let (x, y) = (a.value(), b.value());
        let by_ndarray = [&x + &y, &x - &y, &x * &y, &x / &y];
        for (operation, by_ndarray) in OPERATIONS.into_iter().zip(by_ndarray) {
            let y = operation(&a, &b);
            prop_assert_eq!(y.value(), by_ndarray.view());
            let explicit = operation(&a.broadcast_to(y.shape()), &b.broadcast_to(y.shape()));
            prop_assert_eq!(y, explicit);
        }
    }

    #[test]
    fn the_gradient_of_a_stretched_operand_is_summed_over_its_copies(
        shapes in two_shapes(), seed in 0..1000u64,
    ) {
        let parameter = |x: &Tensor| Tensor::parameter(x.value());
        let a = parameter(&normal(&shapes[0], seed));
        let b = parameter(&away_from_zero(&shapes[1], seed + 1));
        for operation in OPERATIONS {
            let y = operation(&a, &b);
            let dy = normal(y.shape(), seed + 2);
            // The same numbers where nothing stretches: each copy has a gradient of its own.
            let copies = [&a, &b].map(|x| parameter(&x.broadcast_to(y.shape())));
            let of_copies = operation(&copies[0], &copies[1]).backward_from(&dy);
            let got = y.backward_from(&dy);
            for (x, copies) in [&a, &b].into_iter().zip(&copies) {
                let want = of_copies.get(copies).unwrap();
                let want = summed_over_what_was_stretched(want, x.shape());
                assert_close("gradient", got.get(x).unwrap(), &want, 1e-14);
            }
        }
    }
}
