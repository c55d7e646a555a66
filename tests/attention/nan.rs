//! NaN and infinities behind a mask. Page: `book/src/tensor.md`.

use evenkeel::{
    Float, Mask, Module, MultiHeadAttention, Tensor, attention_weights, rng,
    scaled_dot_product_attention,
};
use ndarray::{Array, Array2, ArrayD, Axis, IxDyn, array, s};
use proptest::prelude::*;

use super::patchy;
use crate::common::{close, normal};

/// The same numbers as a parameter, at one position of the last axis but one all `bad`.
fn with<T: Float>(x: &Tensor, position: usize, bad: f64) -> Tensor<T> {
    let mut x = x.value().mapv(T::of);
    let axis = Axis(x.ndim() - 2);
    x.index_axis_mut(axis, position).fill(T::of(bad));
    Tensor::parameter(x)
}

fn wide<T: Float>(x: &Tensor<T>) -> ArrayD<f64> {
    x.value().mapv(Float::wide)
}

/// The result, then the gradients of q, k, v.
fn attend<T: Float>([q, k, v]: [&Tensor<T>; 3], mask: &Mask, dy: &Tensor) -> [ArrayD<f64>; 4] {
    let y = scaled_dot_product_attention(q, k, v, mask, None);
    let gradients = y.backward_from(&Tensor::new(dy.value().mapv(T::of)));
    let [dq, dk, dv] = [q, k, v].map(|x| wide(gradients.get(x).unwrap()));
    [wide(&y), dq, dk, dv]
}

fn all<'a>(numbers: impl IntoIterator<Item = &'a f64>, holds: fn(f64) -> bool) -> bool {
    numbers.into_iter().all(|&x| holds(x))
}

const BAD: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

#[test]
fn a_key_hidden_from_all_is_as_if_it_held_zeros() {
    fn of<T: Float>() {
        let [q, k, v] =
            [(3, 5, 1), (4, 5, 2), (4, 7, 3)].map(|(rows, d, seed)| normal(&[2, 2, rows, d], seed));
        let dy = normal(&[2, 2, 3, 7], 4);
        // Key 2 is hidden: in each of the shapes that say so.
        for shape in [&[4][..], &[3, 4], &[2, 1, 1, 4], &[2, 2, 3, 4]] {
            let last = shape.len() - 1;
            let hidden = Mask::Allow(ArrayD::from_shape_fn(IxDyn(shape), |at| at[last] != 2));
            let run = |bad_k: f64, bad_v: f64| {
                let [q, k, v] = [with(&q, 0, 0.5), with(&k, 2, bad_k), with(&v, 2, bad_v)];
                attend::<T>([&q, &k, &v], &hidden, &dy)
            };
            let want = run(0.0, 0.0);
            for bad in BAD {
                for got in [run(bad, 0.0), run(0.0, bad), run(bad, bad)] {
                    assert_eq!(got, want);
                }
            }
            for gradient in &want[2..] {
                assert!(all(gradient.index_axis(Axis(2), 2), |d| d == 0.0));
            }
        }
    }
    of::<f64>();
    of::<f32>();
}

#[test]
fn what_comes_later_does_not_reach_an_earlier_query_nor_its_gradient() {
    fn of<T: Float>() {
        let [q, k, v] = [(5, 1), (5, 2), (7, 3)].map(|(d, seed)| normal(&[2, 4, d], seed));
        let dy = normal(&[2, 4, 7], 4);
        let mut dy_of_earlier = dy.value().to_owned();
        dy_of_earlier.slice_mut(s![.., 2.., ..]).fill(0.0);
        let dy_of_earlier = Tensor::new(dy_of_earlier);
        let run = |bad_q: f64, bad_k: f64, bad_v: f64, dy: &Tensor| {
            let [q, k, v] = [with(&q, 2, bad_q), with(&k, 2, bad_k), with(&v, 2, bad_v)];
            attend::<T>([&q, &k, &v], &Mask::Causal, dy)
        };
        let earlier = |x: &ArrayD<f64>| x.slice(s![.., ..2, ..]).to_owned();
        let (want, want_of_earlier) = (run(0.0, 0.0, 0.0, &dy), run(0.0, 0.0, 0.0, &dy_of_earlier));
        for bad in BAD {
            for [bad_q, bad_k, bad_v] in
                [[0.0, bad, 0.0], [0.0, 0.0, bad], [0.0, bad, bad], [bad, 0.0, 0.0], [bad; 3]]
            {
                // The loss depends on all of them: queries 0 and 1 feel nothing.
                let [y, dq, ..] = run(bad_q, bad_k, bad_v, &dy);
                assert_eq!(earlier(&y), earlier(&want[0]));
                assert_eq!(earlier(&dq), earlier(&want[1]));
                assert!(!all(y.slice(s![.., 2, ..]), f64::is_finite));
                // It depends on the earlier ones only: no gradient feels anything.
                let [y, gradients @ ..] = run(bad_q, bad_k, bad_v, &dy_of_earlier);
                assert_eq!(earlier(&y), earlier(&want_of_earlier[0]));
                assert_eq!(gradients, want_of_earlier[1..]);
            }
        }
    }
    of::<f64>();
    of::<f32>();
}

#[test]
fn a_query_that_may_look_at_nothing_is_not_felt_whatever_comes_back_to_it() {
    fn of<T: Float>() {
        let [q, k, v] =
            [(3, 5, 1), (4, 5, 2), (4, 7, 3)].map(|(rows, d, seed)| normal(&[2, rows, d], seed));
        let run = |bad: f64| {
            let q = with(&q, 1, bad);
            let dy = with::<f64>(&normal(&[2, 3, 7], 4), 1, bad);
            attend::<T>([&q, &with(&k, 0, 0.5), &with(&v, 0, 0.5)], &patchy(3, 4), &dy)
        };
        let want = run(0.0);
        for bad in BAD {
            assert_eq!(run(bad), want);
        }
    }
    of::<f64>();
    of::<f32>();
}

#[test]
fn an_excluded_pair_has_no_weight_and_no_gradient_in_any_row() {
    fn of<T: Float>() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let t = |x: Array2<f64>| Tensor::parameter(x.mapv(T::of));
        // Queries: a number, NaN, and one whose score for its only key is -∞.
        let (q, k) = (t(array![[1.0], [nan], [inf]]), t(array![[0.0], [-1.0], [nan]]));
        let allowed = array![[true, true, false], [true, false, false], [false, true, false]];
        let mask = Mask::Allow(allowed.clone().into_dyn());
        let y = attention_weights(&q, &k, &mask, None);
        let weights = wide(&y);
        for ((at, &allowed), &weight) in allowed.indexed_iter().zip(&weights) {
            match at {
                _ if !allowed => assert_eq!(weight, 0.0, "{at:?}"),
                (0, _) => assert!(weight > 0.0 && weight < 1.0),
                _ => assert!(weight.is_nan(), "{at:?}"),
            }
        }
        // softmax(0, -1): a = 1/(1 + 1/e). The gradient of its scores is a·(1 - a)·(2 - 4) and back.
        for bad in BAD {
            let dy = t(array![[2.0, 4.0, bad], [0.0, bad, bad], [bad, 0.0, bad]]).detach();
            let gradients = y.backward_from(&dy);
            let [dq, dk] = [&q, &k].map(|x| wide(gradients.get(x).unwrap()));
            let a = 1.0 / (1.0 + (-1f64).exp());
            let ds = a * (1.0 - a) * -2.0;
            let near = |got: f64, want: f64| (got - want).abs() < 1e-6;
            assert!(near(dq[[0, 0]], ds * 0.0 - -ds), "{dq}");
            assert!(near(dk[[0, 0]], ds) && near(dk[[1, 0]], -ds), "{dk}");
            assert_eq!((dq[[1, 0]], dq[[2, 0]], dk[[2, 0]]), (0.0, 0.0, 0.0));
        }
    }
    of::<f64>();
    of::<f32>();
}

#[test]
fn what_a_query_may_look_at_reaches_it() {
    let [q, k, v] =
        [(3, 5, 1), (4, 5, 2), (4, 7, 3)].map(|(rows, d, seed)| normal(&[2, rows, d], seed));
    let second = Mask::Allow(
        array![[true, true, true, true], [true, true, false, true], [false; 4]].into_dyn(),
    );
    for bad in BAD {
        // Without a mask: NaN in a value is in that feature of every query, in a key in all of them.
        let mut bad_v = v.value().to_owned();
        bad_v[[0, 2, 6]] = bad;
        let bad_v = Tensor::new(bad_v);
        let y = scaled_dot_product_attention(&q, &k, &bad_v, &Mask::None, None);
        assert!(all(y.value().slice(s![0, .., 6]), |y| !y.is_finite()));
        assert!(all(y.value().slice(s![0, .., ..6]), f64::is_finite));
        assert!(all(y.value().slice(s![1, .., ..]), f64::is_finite));
        // Behind one, of the queries that may look at it.
        let y = scaled_dot_product_attention(&q, &k, &bad_v, &second, None);
        assert!(!y.value()[[0, 0, 6]].is_finite());
        assert!(all(y.value().slice(s![0, 1.., 6]), f64::is_finite));
        assert!(all(y.value().slice(s![0, .., ..6]), f64::is_finite));
        let bad_k: Tensor = with(&k, 2, f64::NAN);
        let y = scaled_dot_product_attention(&q, &bad_k, &v, &Mask::None, None);
        assert!(all(y.value(), f64::is_nan));
        let y = scaled_dot_product_attention(&q, &bad_k, &v, &second, None);
        assert!(all(y.value().slice(s![.., 0, ..]), f64::is_nan));
        assert!(all(y.value().slice(s![.., 1.., ..]), f64::is_finite));
    }
    // A weight of 0 that is not excluded is a number like any other: 0 · NaN is NaN.
    let (q, k) = (Tensor::new(array![[1.0]]), Tensor::new(array![[0.0], [-1e4]]));
    let v = Tensor::new(array![[1.0], [f64::NAN]]);
    for mask in [Mask::None, Mask::Allow(array![true, true].into_dyn())] {
        assert_eq!(attention_weights(&q, &k, &mask, None).value()[[0, 1]], 0.0);
        assert!(scaled_dot_product_attention(&q, &k, &v, &mask, None).item().is_nan());
    }
}

/// What [`MultiHeadAttention`] gives for x with `bad` at position 3 of example 0 and at positions 2
/// and 3 of example 1, if the loss depends on the first two positions: these, and all gradients.
fn padded<T: Float>(bad: f64, mask: &Mask, with_weights: bool) -> Vec<ArrayD<f64>> {
    let mut layer = MultiHeadAttention::<T>::new(6, 2, &mut rng(1));
    let bias = |n, seed| Tensor::parameter(normal(&[n], seed).value().mapv(T::of));
    (layer.in_proj_bias, layer.out_proj.bias) = (bias(18, 5), bias(6, 6));
    let mut x = normal(&[2, 4, 6], 1).value().mapv(T::of);
    x.slice_mut(s![0, 3.., ..]).fill(T::of(bad));
    x.slice_mut(s![1, 2.., ..]).fill(T::of(bad));
    let x = Tensor::parameter(x);
    let (y, weights) = layer.forward_with_weights(&x, mask);
    let used = [y.slice_axis(1, 0..2), weights.slice_axis(2, 0..2)];
    let of = |seed: u64, y: &Tensor<T>| {
        (y * Tensor::new(normal(y.shape(), seed).value().mapv(T::of))).sum()
    };
    let loss = of(2, &used[0]);
    let loss = if with_weights { loss + of(3, &used[1]) } else { loss };
    let gradients = loss.backward();
    let leaves = [vec![x], layer.parameters()].concat();
    let gradients = leaves.iter().map(|leaf| &gradients[leaf]);
    used.iter().chain(gradients).map(wide).collect()
}

#[test]
fn padding_with_nan_that_is_hidden_and_not_used_is_as_if_it_held_zeros() {
    fn of<T: Float>() {
        let lengths = [3, 2];
        let keys = Array::from_shape_fn((2, 1, 4), |(example, _, key)| key < lengths[example]);
        let causal = Array2::from_shape_fn((4, 4), |(query, key)| key <= query);
        let both = &keys & &causal.insert_axis(Axis(0));
        for mask in [Mask::Allow(keys.into_dyn()), Mask::Allow(both.into_dyn()), Mask::Causal] {
            for with_weights in [false, true] {
                let want = padded::<T>(0.0, &mask, with_weights);
                assert!(want.iter().all(|numbers| all(numbers, f64::is_finite)));
                let dx = &want[2];
                let of_padding = [dx.slice(s![0, 3, ..]), dx.slice(s![1, 2, ..])];
                assert!(of_padding.iter().all(|d| all(d, |d| d == 0.0)));
                for bad in BAD {
                    assert_eq!(padded::<T>(bad, &mask, with_weights), want);
                }
            }
        }
        // Without a mask it reaches everything.
        for numbers in &padded::<T>(f64::NAN, &Mask::None, false)[..2] {
            assert!(all(numbers, f64::is_nan));
        }
    }
    of::<f64>();
    of::<f32>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_mask_that_allows_all_is_no_mask_whatever_the_numbers(
        bad in prop::collection::vec((0..4usize, 0..8usize, 0..3usize), 0..4), seed in 0..1000u64,
    ) {
        let mut numbers = [(2, 3), (4, 3), (4, 5), (2, 5)]
            .map(|(rows, features)| normal(&[2, rows, features], seed + rows as u64).value().to_owned());
        for (which, at, kind) in bad {
            // In q and k only NaN: where an infinite score leaves softmax without a gradient, a pullback
            // meets 0 · ∞, and behind a mask that is 0.
            let of_first = numbers[which].len() / 2;
            let bad = if which < 2 { f64::NAN } else { BAD[kind] };
            *numbers[which].iter_mut().nth(at % of_first).unwrap() = bad;
        }
        let [q, k, v] = [0, 1, 2].map(|at| Tensor::parameter(numbers[at].view()));
        let dy = Tensor::new(numbers[3].view());
        let all = Mask::Allow(ArrayD::from_elem(IxDyn(&[2, 2, 4]), true));
        let want = attend([&q, &k, &v], &Mask::None, &dy);
        for (got, want) in attend([&q, &k, &v], &all, &dy).iter().zip(&want) {
            prop_assert_eq!(close("number", got, want, 1e-14), Ok(()));
        }
    }
}
