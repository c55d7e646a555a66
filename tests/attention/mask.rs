//! What the axes of a mask mean. Page: `book/src/tensor.md`.

use evenkeel::{
    Mask, MultiHeadAttention, Tensor, attention_weights, rng, scaled_dot_product_attention,
};
use ndarray::{Array, ArrayD, Axis, Dimension, IxDyn, s};
use proptest::prelude::*;

use super::layer;
use crate::common::{assert_close, normal, panic_of};

fn allow<D: Dimension>(allowed: Array<bool, D>) -> Mask {
    Mask::Allow(allowed.into_dyn())
}

fn all_allowed(shape: &[usize]) -> Mask {
    Mask::Allow(ArrayD::from_elem(IxDyn(shape), true))
}

/// Of 4 keys the first `lengths[example]`, shape `[batch, 1, 4]`.
fn padding(lengths: &[usize]) -> Array<bool, ndarray::Ix3> {
    Array::from_shape_fn((lengths.len(), 1, 4), |(example, _, key)| key < lengths[example])
}

fn example(x: &Tensor, at: usize) -> Tensor {
    Tensor::new(x.value().index_axis(Axis(0), at))
}

#[test]
fn a_mask_per_example_is_the_same_for_all_heads_of_the_example() {
    // As many examples as heads, fewer and more: 2 heads.
    for lengths in [&[3, 2][..], &[1], &[2, 4, 3]] {
        let (layer, x) = (layer(6, 2), normal(&[lengths.len(), 4, 6], 1));
        let mask = padding(lengths);
        let (y, weights) = layer.forward_with_weights(&x, &allow(mask.clone()));
        for (at, &length) in lengths.iter().enumerate() {
            let hidden = weights.value();
            let hidden = hidden.slice(s![at, .., .., length..]);
            assert!(hidden.iter().all(|&w| w == 0.0), "example {at} sees its padding");
            // As by itself with its own keys, or cut off before its padding.
            let own = mask.slice(s![at, 0, ..]).to_owned();
            let alone = layer.forward(&example(&x, at), &allow(own));
            assert_close("y", &example(&y, at), &alone, 1e-14);
            let cut = layer.forward(&example(&x, at).slice_axis(0, 0..length), &Mask::None);
            assert_close("cut", &example(&y, at).slice_axis(0, 0..length), &cut, 1e-14);
        }
        // The same said with more axes.
        let examples = lengths.len();
        let per_query = mask.broadcast((examples, 4, 4)).unwrap().to_owned();
        assert_eq!(y, layer.forward(&x, &allow(per_query)));
        let per_head = mask.clone().insert_axis(Axis(1));
        assert_eq!(y, layer.forward(&x, &allow(per_head.clone())));
        let per_head = per_head.broadcast((examples, 2, 4, 4)).unwrap().to_owned();
        assert_eq!(y, layer.forward(&x, &allow(per_head)));
    }
}

#[test]
fn a_mask_of_one_axis_more_than_the_input_is_per_head() {
    let layer = layer(6, 2);
    // Head 0 sees the first three keys, head 1 the last two.
    let own = |head: usize, key: usize| if head == 0 { key < 3 } else { key > 1 };
    let hides_what_it_should = |weights: &Tensor| {
        let shape = weights.shape().to_vec();
        weights.value().indexed_iter().all(|(at, &w)| {
            let at = &at.slice()[shape.len() - 3..];
            (w != 0.0) == own(at[0], at[2])
        })
    };
    let heads = |shape: &[usize]| {
        let axes = shape.len();
        Mask::Allow(ArrayD::from_shape_fn(IxDyn(shape), |at| own(at[axes - 3], at[axes - 1])))
    };
    // An input without a batch, with one, and with two leading axes.
    let cases: [(&[usize], &[usize]); 5] = [
        (&[4, 6], &[2, 1, 4]),
        (&[4, 6], &[2, 4, 4]),
        (&[2, 4, 6], &[1, 2, 1, 4]),
        (&[2, 4, 6], &[2, 2, 4, 4]),
        (&[3, 2, 4, 6], &[1, 1, 2, 1, 4]),
    ];
    for (x, mask) in cases {
        let (_, weights) = layer.forward_with_weights(&normal(x, 1), &heads(mask));
        assert!(hides_what_it_should(&weights), "{x:?} with {mask:?}");
    }
}

#[test]
fn leading_axes_of_a_mask_are_those_of_the_input() {
    // 3 × 2 sequences; the inner leading axis has its own padding, then the outer one.
    let (layer, x) = (layer(6, 2), normal(&[3, 2, 4, 6], 1));
    let inner = layer.forward(&x, &allow(padding(&[3, 2])));
    let outer = layer.forward(&x, &allow(padding(&[3, 2, 1]).insert_axis(Axis(1))));
    for (i, j) in (0..3).flat_map(|i| (0..2).map(move |j| (i, j))) {
        let one = |x: &Tensor| example(&example(x, i), j);
        let cut = |length: usize| layer.forward(&one(&x).slice_axis(0, 0..length), &Mask::None);
        let (of_inner, of_outer) = ([3, 2][j], [3, 2, 1][i]);
        assert_close("inner", &one(&inner).slice_axis(0, 0..of_inner), &cut(of_inner), 1e-14);
        assert_close("outer", &one(&outer).slice_axis(0, 0..of_outer), &cut(of_outer), 1e-14);
    }
    // A third leading axis changes nothing.
    let deep = |y: &Tensor| y.reshape(&[&[1], y.shape()].concat());
    let y = layer
        .forward(&deep(&x), &allow(padding(&[3, 2, 1]).insert_axis(Axis(1)).insert_axis(Axis(0))));
    assert_eq!(y, deep(&outer));
}

#[test]
fn masks_without_leading_axes_are_for_all_sequences_and_heads() {
    let (layer, x) = (layer(6, 2), normal(&[2, 4, 6], 1));
    let keys = Array::from(vec![true, true, false, true]);
    let y = layer.forward(&x, &allow(keys.clone()));
    for shape in [&[1, 4][..], &[4, 4], &[1, 1, 4], &[2, 4, 4], &[1, 1, 1, 4], &[2, 2, 4, 4]] {
        let wide = keys.broadcast(IxDyn(shape)).unwrap().to_owned();
        assert_eq!(y, layer.forward(&x, &allow(wide)), "{shape:?}");
    }
    for shape in [&[][..], &[1], &[1, 1], &[1, 1, 1], &[1, 1, 1, 1]] {
        assert_eq!(layer.forward(&x, &Mask::None), layer.forward(&x, &all_allowed(shape)));
    }
    // As many examples as positions: a matrix is queries by keys all the same.
    let x = normal(&[4, 4, 6], 1);
    let causal = Array::from_shape_fn((4, 4), |(query, key)| key <= query);
    assert_eq!(layer.forward(&x, &allow(causal)), layer.forward(&x, &Mask::Causal));
}

#[test]
fn an_empty_batch_or_sequence_takes_a_mask() {
    let layer = layer(6, 2);
    for (x, mask) in [
        (&[0, 4, 6], &[4][..]),
        (&[0, 4, 6], &[1, 1, 4]),
        (&[0, 4, 6], &[0, 1, 4]),
        (&[0, 4, 6], &[1, 2, 1, 4]),
        (&[2, 0, 6], &[0]),
        (&[2, 0, 6], &[2, 1, 1]),
    ] {
        let x = Tensor::parameter(normal(x, 1).value());
        let y = layer.forward(&x, &all_allowed(mask));
        assert_eq!(y.shape(), x.shape());
        assert_eq!(y.sum().backward().get(&x).unwrap().shape(), x.shape());
    }
}

#[test]
fn without_heads_a_mask_has_two_axes_or_all() {
    let (q, k, v) = (normal(&[2, 3, 5], 1), normal(&[2, 4, 5], 2), normal(&[2, 4, 7], 3));
    let mask = padding(&[3, 2]);
    let y = scaled_dot_product_attention(&q, &k, &v, &allow(mask.clone()), None);
    for (at, length) in [(0, 3), (1, 2)] {
        let [k, v] = [&k, &v].map(|x| example(x, at).slice_axis(0, 0..length));
        let cut = scaled_dot_product_attention(&example(&q, at), &k, &v, &Mask::None, None);
        assert_close("y", &example(&y, at), &cut, 1e-14);
    }
    for shape in [&[][..], &[4], &[1, 4], &[3, 1], &[3, 4], &[1, 3, 4], &[2, 1, 1]] {
        assert_eq!(
            attention_weights(&q, &k, &all_allowed(shape), None),
            attention_weights(&q, &k, &Mask::None, None)
        );
    }
    // As many examples as heads: the third axis from the end could be either.
    let [q, k] = [&q, &k]
        .map(|x| x.reshape(&[1, 2, x.shape()[1], 5]).broadcast_to(&[2, 2, x.shape()[1], 5]));
    let of_example = mask.clone().insert_axis(Axis(1));
    let weights = attention_weights(&q, &k, &allow(of_example), None);
    assert!(weights.value().slice(s![0, .., .., 3..]).iter().all(|&w| w == 0.0));
    assert!(weights.value().slice(s![1, .., .., 2..]).iter().all(|&w| w == 0.0));
    let of_head = mask.clone().insert_axis(Axis(0));
    let weights = attention_weights(&q, &k, &allow(of_head), None);
    assert!(weights.value().slice(s![.., 0, .., 3..]).iter().all(|&w| w == 0.0));
    assert!(weights.value().slice(s![.., 0, .., 2]).iter().all(|&w| w != 0.0));
    assert!(weights.value().slice(s![.., 1, .., 2..]).iter().all(|&w| w == 0.0));
}

#[test]
fn a_mask_that_does_not_fit_is_refused_with_the_shapes_that_would() {
    let (q, k) = (normal(&[3, 2, 3, 5], 1), normal(&[3, 2, 4, 5], 2));
    let of_scores =
        |mask: &[usize]| panic_of(|| attention_weights(&q, &k, &all_allowed(mask), None));
    let of_values = |mask: &[usize]| {
        panic_of(|| scaled_dot_product_attention(&q, &k, &k, &all_allowed(mask), None))
    };
    let functional = "attention: expected a mask of shape [keys], [queries, keys] or with all 4 axes of the scores [3, 2, 3, 4], of length 1 where all share it, got";
    let x = normal(&[3, 4, 6], 1);
    let of_layer = |mask: &[usize]| panic_of(|| layer(6, 2).forward(&x, &all_allowed(mask)));
    let of_layers = "MultiHeadAttention: expected a mask that stretches to [3, 4, 4], the same for all heads (per example: [3, 1, 4]), or one with 4 axes that stretches to [3, 2, 4, 4], got";
    let single =
        |mask: &[usize]| panic_of(|| layer(6, 2).forward(&normal(&[4, 6], 1), &all_allowed(mask)));
    let of_single = "MultiHeadAttention: expected a mask that stretches to [4, 4], the same for all heads, or one with 3 axes that stretches to [2, 4, 4], got";
    let cases = [
        (of_scores(&[2, 1, 4]), format!("{functional} [2, 1, 4]")),
        (of_scores(&[1, 1, 4]), format!("{functional} [1, 1, 4]")),
        (of_values(&[2, 3, 4]), format!("{functional} [2, 3, 4]")),
        (of_scores(&[3, 4, 1, 4]), format!("{functional} [3, 4, 1, 4]")),
        (of_scores(&[1, 3, 2, 3, 4]), format!("{functional} [1, 3, 2, 3, 4]")),
        (of_scores(&[3]), format!("{functional} [3]")),
        (of_layer(&[3, 4]), format!("{of_layers} [3, 4]")), // [batch, keys]
        (of_layer(&[2, 1, 4]), format!("{of_layers} [2, 1, 4]")), // [heads, 1, keys]
        (of_layer(&[3, 1, 2, 4]), format!("{of_layers} [3, 1, 2, 4]")),
        (of_layer(&[1, 3, 2, 4, 4]), format!("{of_layers} [1, 3, 2, 4, 4]")),
        (single(&[2, 4]), format!("{of_single} [2, 4]")),
        (single(&[4, 1, 4]), format!("{of_single} [4, 1, 4]")),
        (single(&[1, 2, 4, 4]), format!("{of_single} [1, 2, 4, 4]")),
    ];
    for ((message, file), expected) in cases {
        assert_eq!(message, expected);
        assert!(file.ends_with("tests/attention/mask.rs"), "{expected}: blamed on {file}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_example_feels_another_ones_numbers_or_its_own_padding(
        batch in 1..4usize, heads in 1..4usize, lengths in prop::array::uniform3(1..5usize),
        seed in 0..1000u64,
    ) {
        let mut rng = rng(seed);
        let layer = MultiHeadAttention::new(2 * heads, heads, &mut rng);
        let lengths = &lengths[..batch];
        let (x, other) = (normal(&[batch, 4, 2 * heads], seed), normal(&[batch, 4, 2 * heads], seed + 1));
        let mask = allow(padding(lengths));
        let y = layer.forward(&x, &mask);
        for (at, &length) in lengths.iter().enumerate() {
            let mut changed = other.value().to_owned();
            let kept = s![at, ..length, ..];
            changed.slice_mut(kept).assign(&x.value().slice(kept));
            let y_changed = layer.forward(&Tensor::new(changed), &mask);
            let (y, y_changed) = (y.value(), y_changed.value());
            prop_assert_eq!(y.slice(kept), y_changed.slice(kept));
        }
    }
}
