//! Attention. Page: `book/src/tensor.md`. The PyTorch cases run in `tests/golden.rs`.

mod mask;
mod nan;

use crate::common::{assert_close, narrow, normal, panic_of, permuted, shuffled};
use approx::assert_relative_eq;
use evenkeel::{
    Linear, Mask, Module, MultiHeadAttention, Tensor, attention_weights, gradient_check, rng,
    scaled_dot_product_attention,
};
use ndarray::{Array2, ArrayD, Axis, IxDyn, array, s};
use proptest::prelude::*;

fn layer(embed_dim: usize, num_heads: usize) -> MultiHeadAttention {
    MultiHeadAttention::new(embed_dim, num_heads, &mut rng(1))
}

/// A mask under which query 1 sees nothing.
fn patchy(queries: usize, keys: usize) -> Mask {
    let allowed = Array2::from_shape_fn((queries, keys), |(i, j)| i != 1 && (i + j) % 3 != 2);
    Mask::Allow(allowed.into_dyn())
}

#[test]
fn matches_the_worked_example() {
    // Scores q·kᵀ/√1 = ln 1, ln 3: weights 1/4, 3/4.
    let (q, k) = (Tensor::new(array![[1.0]]), Tensor::new(array![[0.0], [3f64.ln()]]));
    let weights = attention_weights(&q, &k, &Mask::None, None);
    assert_relative_eq!(weights, Tensor::new(array![[0.25, 0.75]]), epsilon = 1e-15);
    let v = Tensor::new(array![[4.0, 0.0], [0.0, 8.0]]);
    let y = scaled_dot_product_attention(&q, &k, &v, &Mask::None, None);
    assert_relative_eq!(y, Tensor::new(array![[1.0, 6.0]]), epsilon = 1e-14);
    // Four features halve the scores; a scale of 0 makes all alike.
    let wide = |x: &Tensor| x.broadcast_to(&[x.shape()[0], 4]) / 2.0;
    assert_relative_eq!(
        attention_weights(&(wide(&q) * 2.0), &wide(&k), &Mask::None, None),
        weights,
        epsilon = 1e-15
    );
    assert_eq!(attention_weights(&q, &k, &Mask::None, Some(0.0)), Tensor::new(array![[0.5, 0.5]]));
}

#[test]
fn gradient_matches_finite_differences() {
    let (q, k, v) = (normal(&[2, 3, 5], 1), normal(&[2, 4, 5], 2), normal(&[2, 4, 7], 3));
    for mask in [Mask::None, Mask::Causal, patchy(3, 4)] {
        for scale in [None, Some(-0.7)] {
            let attend =
                |[q, k, v]: [&Tensor; 3]| scaled_dot_product_attention(q, k, v, &mask, scale);
            gradient_check([&q, &k, &v], attend).unwrap();
            gradient_check([&q, &k], |[q, k]| attention_weights(q, k, &mask, scale)).unwrap();
        }
    }
    let x = normal(&[2, 3, 6], 1);
    let parameters = [normal(&[18, 6], 2), normal(&[18], 3), normal(&[6, 6], 4), normal(&[6], 5)];
    let [w, b, w_out, b_out] = parameters.each_ref();
    for (num_heads, mask) in [(1, Mask::None), (2, Mask::Causal), (3, patchy(3, 3))] {
        let attend = |[x, w, b, w_out, b_out]: [&Tensor; 5]| {
            let mut layer = layer(6, num_heads);
            (layer.in_proj_weight, layer.in_proj_bias) = (w.clone(), b.clone());
            layer.out_proj = Linear { weight: w_out.clone(), bias: b_out.clone() };
            layer.forward(x, &mask)
        };
        gradient_check([&x, w, b, w_out, b_out], attend).unwrap();
        let weights = |[x, w]: [&Tensor; 2]| {
            let mut layer = layer(6, num_heads);
            layer.in_proj_weight = w.clone();
            layer.forward_with_weights(x, &mask).1
        };
        gradient_check([&x, w], weights).unwrap();
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    for (bias, expected) in [(true, 4), (false, 2)] {
        let mut layer = layer(6, 2);
        if !bias {
            layer = layer.without_bias();
        }
        assert_eq!((layer.parameters().len(), layer.parameters_mut().len()), (expected, expected));
        let gradients =
            layer.forward(&normal(&[2, 3, 6], 1), &Mask::Causal).square().sum().backward();
        assert_eq!(gradients.len(), expected);
        for (position, parameter) in layer.parameters().into_iter().enumerate() {
            let gradient = gradients[&parameter].value();
            // The bias of the keys adds the same to all scores of a query: softmax does not feel it.
            let keys = if position == 1 && bias { 6..12 } else { 0..0 };
            for (at, d) in gradient.iter().enumerate() {
                assert_eq!(
                    d.abs() < 1e-12,
                    keys.contains(&at),
                    "parameter {position}, number {at}: {d}"
                );
            }
        }
    }
}

#[test]
fn heads_work_side_by_side_on_their_own_features() {
    let (layer, x) = (layer(6, 3), normal(&[2, 4, 6], 1));
    let (y, weights) = layer.forward_with_weights(&x, &Mask::Causal);
    assert_eq!(weights.shape(), [2, 3, 4, 4]);
    assert_eq!(y, layer.forward(&x, &Mask::Causal));
    let rows = |part: usize, head: usize| {
        let first = part * 6 + head * 2;
        let weight = layer.in_proj_weight.slice_axis(0, first..first + 2);
        x.matmul(&weight.transpose()) + layer.in_proj_bias.slice_axis(0, first..first + 2)
    };
    let heads: Vec<Tensor> = (0..3)
        .map(|head| {
            let (q, k, v) = (rows(0, head), rows(1, head), rows(2, head));
            let own = attention_weights(&q, &k, &Mask::Causal, Some(1.0 / 2f64.sqrt()));
            let got = weights.slice_axis(1, head..head + 1).reshape(&[2, 4, 4]);
            assert_close("weights", &got, &own, 1e-14);
            own.matmul(&v)
        })
        .collect();
    let together = Tensor::concat(&heads.iter().collect::<Vec<_>>(), -1);
    assert_close("y", &y, &layer.out_proj.forward(&together), 1e-14);
}

#[test]
fn a_sequence_without_a_batch_is_a_batch_of_one() {
    let (layer, x) = (layer(6, 2), normal(&[4, 6], 1));
    let batch = layer.forward(&x.reshape(&[1, 1, 4, 6]), &Mask::Causal);
    assert_close("y", &layer.forward(&x, &Mask::Causal), &batch.reshape(&[4, 6]), 1e-15);
    assert_eq!(layer.forward(&normal(&[0, 4, 6], 1), &Mask::None).shape(), [0, 4, 6]);
    assert_eq!(layer.forward(&normal(&[2, 0, 6], 1), &Mask::Causal).shape(), [2, 0, 6]);
}

#[test]
fn a_query_that_sees_nothing_gathers_zeros() {
    let (q, k, v) = (normal(&[2, 3, 5], 1), normal(&[2, 4, 5], 2), normal(&[2, 4, 7], 3));
    let weights = attention_weights(&q, &k, &patchy(3, 4), None);
    for (i, row) in weights.value().index_axis(Axis(0), 0).axis_iter(Axis(0)).enumerate() {
        assert_relative_eq!(row.sum(), if i == 1 { 0.0 } else { 1.0 }, epsilon = 1e-15);
    }
    let y = scaled_dot_product_attention(&q, &k, &v, &patchy(3, 4), None);
    assert!(y.value().slice(s![.., 1, ..]).iter().all(|y| *y == 0.0));
    assert!(y.value().iter().all(|y| y.is_finite()));
    // Behind the heads, their bias is all that is left.
    let mut layer = layer(6, 2);
    layer.out_proj.bias = normal(&[6], 4);
    let y = layer.forward(&normal(&[3, 6], 1), &patchy(3, 3));
    assert_eq!(y.slice_axis(0, 1..2).reshape(&[6]), layer.out_proj.bias);
    // No key at all is the same.
    let (k, v) = (normal(&[2, 0, 5], 2), normal(&[2, 0, 7], 3));
    let y = scaled_dot_product_attention(&q, &k, &v, &Mask::None, None);
    assert_eq!(y, normal(&[2, 3, 7], 1) * 0.0);
}

#[test]
fn masks_that_say_the_same_give_the_same() {
    let (q, k) = (normal(&[2, 2, 3, 5], 1), normal(&[2, 2, 4, 5], 2));
    let causal = ArrayD::from_shape_fn(IxDyn(&[3, 4]), |at| at[1] <= at[0]);
    let got = attention_weights(&q, &k, &Mask::Allow(causal), None);
    assert_eq!(got, attention_weights(&q, &k, &Mask::Causal, None));
    let all = ArrayD::from_elem(IxDyn(&[2, 1, 1, 4]), true);
    let got = attention_weights(&q, &k, &Mask::Allow(all), None);
    assert_eq!(got, attention_weights(&q, &k, &Mask::None, None));
}

#[test]
fn an_excluded_score_has_no_say_even_if_it_is_nan() {
    let q = Tensor::new(array![[1.0], [1.0]]);
    let k = Tensor::new(array![[0.0], [f64::NAN]]);
    let weights = attention_weights(&q, &k, &Mask::Causal, None);
    assert_eq!(weights.value().slice(s![0, ..]).to_vec(), [1.0, 0.0]);
    assert!(weights.value().slice(s![1, ..]).iter().all(|w| w.is_nan()));
}

#[test]
fn a_product_beyond_the_range_of_the_type_is_infinite_whatever_the_scale() {
    let (q, k) = (Tensor::<f32>::new(array![[1e20]]), Tensor::new(array![[1e20], [0.0]]));
    let weights = attention_weights(&q, &k, &Mask::None, Some(1e-40)); // 10⁴⁰, though times 10⁻⁴⁰
    assert!(weights.value().iter().all(|w| w.is_nan()));
    let weights = attention_weights(&(&q * 1e-20), &k, &Mask::None, Some(1e-20)); // scaled before
    let want = 1.0 / (1.0 + (-1f32).exp());
    assert_relative_eq!(weights, Tensor::new(array![[want, 1.0 - want]]), epsilon = 1e-6);
    // Hidden, it has no say.
    let second = Mask::Allow(array![false, true].into_dyn());
    let weights = attention_weights(&q, &k, &second, None);
    assert_eq!(weights, Tensor::new(array![[0.0, 1.0]]));
}

#[test]
fn starts_with_the_variance_of_glorot() {
    let layer = layer(64, 8);
    for weight in [&layer.in_proj_weight, &layer.out_proj.weight] {
        assert!((weight.value().var(0.0) * 64.0 - 1.0).abs() < 0.1); // 4 standard errors of 4096 draws
    }
    assert!(layer.in_proj_bias.value().iter().all(|b| *b == 0.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_causal_position_does_not_feel_what_comes_after_it(
        length in 2..6usize, at in 0..5usize, seed in 0..1000u64,
    ) {
        let at = at % (length - 1);
        let (layer, x) = (layer(6, 2), normal(&[length, 6], seed));
        let mut other = normal(&[length, 6], seed + 1).value().to_owned();
        other.slice_mut(s![..=at, ..]).assign(&x.value().slice(s![..=at, ..]));
        let (y, y_other) = (layer.forward(&x, &Mask::Causal), layer.forward(&Tensor::new(other), &Mask::Causal));
        prop_assert_eq!(y.slice_axis(0, 0..at + 1), y_other.slice_axis(0, 0..at + 1));
        prop_assert_ne!(y, y_other);
    }

    #[test]
    fn without_a_mask_permuting_the_positions_permutes_the_result(
        order in (1..7usize).prop_flat_map(shuffled), seed in 0..1000u64,
    ) {
        let layer = layer(6, 3);
        let run = |x: &Tensor, dy: &Tensor| {
            let x = Tensor::parameter(x.value());
            let y = layer.forward(&x, &Mask::None);
            let gradients = y.backward_from(dy);
            let of = |x: &Tensor| gradients.get(x).unwrap().clone();
            let of_parameters: Vec<Tensor> = layer.parameters().iter().map(of).collect();
            (y, of(&x), of_parameters)
        };
        let (x, dy) = (normal(&[2, order.len(), 6], seed), normal(&[2, order.len(), 6], seed + 1));
        let (y, dx, of_parameters) = run(&x, &dy);
        let moved = run(&permuted(&x, 1, &order), &permuted(&dy, 1, &order));
        assert_close("y", &moved.0, &permuted(&y, 1, &order), 1e-13);
        assert_close("dx", &moved.1, &permuted(&dx, 1, &order), 1e-13);
        for (moved, stayed) in moved.2.iter().zip(&of_parameters) {
            assert_close("gradient of a parameter", moved, stayed, 1e-13);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_at_the_line_of_the_caller() {
    let (q, v) = (normal(&[2, 3, 5], 1), normal(&[2, 4, 7], 3));
    let k = normal(&[2, 4, 5], 2);
    let mut bare = layer(4, 2);
    bare.in_proj_weight = normal(&[4, 4], 1);
    let mut biased = layer(4, 2);
    biased.out_proj.bias = normal(&[1], 1);
    let (mut short, mut square) = (layer(4, 2), layer(4, 2));
    short.in_proj_bias = normal(&[4], 1);
    square.out_proj.weight = normal(&[1, 4], 1);
    let expected_shapes =
        "attention: expected queries [.., queries, d] and keys [.., keys, d], d at least 1, got";
    let mask = Mask::Allow(ArrayD::from_elem(IxDyn(&[3, 3]), true));
    let attend = |q: &Tensor, k: &Tensor, v: &Tensor| {
        scaled_dot_product_attention(q, k, v, &Mask::None, None)
    };
    let cases = [
        (panic_of(|| layer(5, 2)), "MultiHeadAttention: expected an embed_dim that num_heads divides, both at least 1, got embed_dim 5 and num_heads 2".to_owned()),
        (panic_of(|| layer(4, 0)), "MultiHeadAttention: expected an embed_dim that num_heads divides, both at least 1, got embed_dim 4 and num_heads 0".into()),
        (panic_of(|| layer(0, 1)), "MultiHeadAttention: expected an embed_dim that num_heads divides, both at least 1, got embed_dim 0 and num_heads 1".into()),
        (panic_of(|| layer(4, 2).forward(&normal(&[2, 3, 6], 1), &Mask::None)), "MultiHeadAttention: expected an input of shape [.., length, 4], got [2, 3, 6]".into()),
        (panic_of(|| layer(4, 2).forward(&normal(&[4], 1), &Mask::None)), "MultiHeadAttention: expected an input of shape [.., length, 4], got [4]".into()),
        (panic_of(|| bare.forward(&normal(&[3, 4], 1), &Mask::None)), "MultiHeadAttention: expected in_proj_weight of shape [12, 4], got [4, 4]".into()),
        (panic_of(|| layer(4, 2).forward(&normal(&[4, 4], 1), &mask)), "MultiHeadAttention: expected a mask that stretches to [4, 4], the same for all heads, or one with 3 axes that stretches to [2, 4, 4], got [3, 3]".into()),
        (panic_of(|| attend(&q, &normal(&[2, 4, 6], 1), &v)), format!("{expected_shapes} [2, 3, 5] and [2, 4, 6]")),
        (panic_of(|| attend(&q, &normal(&[1, 4, 5], 1), &v)), format!("{expected_shapes} [2, 3, 5] and [1, 4, 5]")),
        (panic_of(|| attend(&normal(&[2, 3, 0], 1), &normal(&[2, 4, 0], 1), &v)), format!("{expected_shapes} [2, 3, 0] and [2, 4, 0]")),
        (panic_of(|| attend(&normal(&[5], 1), &normal(&[5], 1), &v)), format!("{expected_shapes} [5] and [5]")),
        (panic_of(|| attend(&q, &k, &normal(&[2, 3, 7], 1))), "attention: expected values [.., keys, features] beside keys [2, 4, 5], got [2, 3, 7]".into()),
        (panic_of(|| attention_weights(&q, &k, &Mask::None, Some(f64::NAN))), "attention: expected a finite scale, got NaN".into()),
        (panic_of(|| attention_weights(&narrow(&q), &narrow(&k), &Mask::Causal, Some(-1e300))), "attention: expected a finite scale, got -1e300, which is infinite in f32".into()),
        (panic_of(|| biased.forward(&normal(&[3, 4], 1), &Mask::None)), "MultiHeadAttention: expected out_proj.bias of shape [4], got [1]".into()),
        (panic_of(|| short.forward(&normal(&[3, 4], 1), &Mask::None)), "MultiHeadAttention: expected in_proj_bias of shape [12], got [4]".into()),
        (panic_of(|| square.forward(&normal(&[3, 4], 1), &Mask::None)), "MultiHeadAttention: expected out_proj.weight of shape [4, 4], got [1, 4]".into()),
    ];
    for ((message, file), expected) in cases {
        assert_eq!(message, expected);
        assert!(file.ends_with("tests/attention.rs"), "{expected}: blamed on {file}");
    }
    assert_eq!(layer(1, 1).forward(&normal(&[3, 1], 1), &Mask::None).shape(), [3, 1]); // the smallest
}
