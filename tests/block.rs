//! The transformer block in its two orders. Page: `book/src/tensor.md`. The PyTorch cases run in
//! `tests/golden.rs`.

use crate::common::{assert_close, normal, panic_of};
use evenkeel::{Adam, Mask, Module, NormPlacement, Tensor, TransformerBlock, gradient_check, rng};
use ndarray::{Array, ArrayD, Axis, IxDyn, s};

const BOTH: [NormPlacement; 2] = [NormPlacement::Pre, NormPlacement::Post];

/// 6 features, 2 heads, 5 hidden features.
fn block(placement: NormPlacement) -> TransformerBlock {
    TransformerBlock::new(6, 2, 5, placement, &mut rng(1))
}

#[test]
fn the_two_orders_are_those_of_the_text() {
    let x = normal(&[2, 3, 6], 1);
    for placement in BOTH {
        let block = block(placement);
        let attention = |x: &Tensor| block.self_attn.forward(x, &Mask::Causal);
        let feed_forward = |x: &Tensor| block.linear2.forward(&block.linear1.forward(x).relu());
        let want = match placement {
            NormPlacement::Pre => {
                let x = &x + attention(&block.norm1.forward(&x));
                &x + feed_forward(&block.norm2.forward(&x))
            }
            NormPlacement::Post => {
                let x = block.norm1.forward(&(&x + attention(&x)));
                block.norm2.forward(&(&x + feed_forward(&x)))
            }
        };
        assert_close("y", &block.forward(&x, &Mask::Causal), &want, 1e-14);
    }
}

#[test]
fn gradient_matches_finite_differences() {
    let x = normal(&[2, 3, 6], 1);
    for placement in BOTH {
        let fixed = block(placement);
        let inputs = [
            &x,
            &fixed.self_attn.in_proj_weight,
            &fixed.self_attn.in_proj_bias,
            &fixed.self_attn.out_proj.weight,
            &fixed.self_attn.out_proj.bias,
            &fixed.linear1.weight,
            &fixed.linear1.bias,
            &fixed.linear2.weight,
            &fixed.linear2.bias,
            &fixed.norm1.gamma,
            &fixed.norm1.beta,
            &fixed.norm2.gamma,
            &fixed.norm2.beta,
        ];
        let forward = |inputs: [&Tensor; 13]| {
            let [x, w, b, w_out, b_out, w1, b1, w2, b2, gamma1, beta1, gamma2, beta2] = inputs;
            let mut block = fixed.clone();
            (block.self_attn.in_proj_weight, block.self_attn.in_proj_bias) = (w.clone(), b.clone());
            let out = &mut block.self_attn.out_proj;
            (out.weight, out.bias) = (w_out.clone(), b_out.clone());
            (block.linear1.weight, block.linear1.bias) = (w1.clone(), b1.clone());
            (block.linear2.weight, block.linear2.bias) = (w2.clone(), b2.clone());
            (block.norm1.gamma, block.norm1.beta) = (gamma1.clone(), beta1.clone());
            (block.norm2.gamma, block.norm2.beta) = (gamma2.clone(), beta2.clone());
            block.forward(x, &Mask::Causal)
        };
        gradient_check(inputs, forward).unwrap();
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    for placement in BOTH {
        let mut block = block(placement);
        let y = block.forward(&normal(&[2, 3, 6], 1), &Mask::None);
        let gradients = y.backward_from(&normal(&[2, 3, 6], 2));
        assert_eq!((block.parameters().len(), gradients.len()), (12, 12));
        for parameter in &block.parameters() {
            assert!(gradients.get(parameter).unwrap().value().iter().any(|d| *d != 0.0));
        }
        let mut adam = Adam::new(0.01);
        let before: Vec<Tensor> = block.parameters();
        adam.step(&mut block, &gradients);
        for (before, after) in before.into_iter().zip(block.parameters()) {
            assert_ne!(before, after);
        }
    }
}

#[test]
fn branches_that_end_in_zeros_leave_a_pre_norm_block_the_identity() {
    let x = normal(&[2, 3, 6], 1);
    for placement in BOTH {
        let mut block = block(placement);
        block.self_attn.out_proj.weight = Tensor::parameter(Array::zeros((6, 6)));
        block.linear2.weight = Tensor::parameter(Array::zeros((6, 5)));
        let y = block.forward(&x, &Mask::None);
        match placement {
            NormPlacement::Pre => assert_eq!(y, x),
            NormPlacement::Post => assert_close("y", &y, &block.norm1.forward(&x), 1e-4),
        }
    }
}

#[test]
fn post_norm_ends_in_rows_of_mean_zero_and_pre_norm_does_not() {
    let x = normal(&[2, 3, 6], 1) + 5.0;
    for placement in BOTH {
        let y = block(placement).forward(&x, &Mask::None);
        let largest_mean =
            y.value().mean_axis(Axis(2)).unwrap().mapv(f64::abs).into_iter().fold(0.0, f64::max);
        assert_eq!(largest_mean < 1e-12, placement == NormPlacement::Post);
    }
}

#[test]
fn an_empty_batch_passes_through() {
    for placement in BOTH {
        assert_eq!(
            block(placement).forward(&normal(&[0, 3, 6], 1), &Mask::Causal).shape(),
            [0, 3, 6]
        );
    }
}

#[test]
fn a_mask_per_example_hides_its_padding_from_all_heads() {
    // As many examples as heads: 2. Of 4 positions the first has 3, the second 2.
    let (x, lengths) = (normal(&[2, 4, 6], 1), [3, 2]);
    let keys = Array::from_shape_fn((2, 1, 4), |(example, _, key)| key < lengths[example]);
    let per_head = keys.clone().insert_axis(Axis(1)).into_dyn();
    let mask = Mask::Allow(keys.into_dyn());
    for placement in BOTH {
        let block = block(placement);
        let y = block.forward(&x, &mask);
        assert_eq!(y, block.forward(&x, &Mask::Allow(per_head.clone())));
        for (example, length) in lengths.into_iter().enumerate() {
            let cut = |x: &Tensor| x.slice_axis(0, example..example + 1).slice_axis(1, 0..length);
            assert_close("y", &cut(&y), &block.forward(&cut(&x), &Mask::None), 1e-13);
        }
    }
}

#[test]
fn nan_behind_a_mask_stays_where_it_is() {
    // Position 3 is hidden, and sees nothing itself.
    let mask = Mask::Allow(Array::from_shape_fn((4, 4), |(i, j)| i < 3 && j < 3).into_dyn());
    let dy = normal(&[2, 4, 6], 2);
    for placement in BOTH {
        let block = block(placement);
        let run = |padding: f64, mask: &Mask| {
            let mut x = normal(&[2, 4, 6], 1).value().to_owned();
            x.slice_mut(s![.., 3, ..]).fill(padding);
            let x = Tensor::parameter(x);
            let y = block.forward(&x, mask);
            let gradients = y.backward_from(&dy);
            (y.slice_axis(1, 0..3), gradients.get(&x).unwrap().slice_axis(1, 0..3))
        };
        let want = run(0.0, &mask);
        for bad in [f64::NAN, f64::INFINITY] {
            assert_eq!(run(bad, &mask), want); // result and gradient of the other positions
            assert_eq!(run(bad, &Mask::Causal).0, run(0.0, &Mask::Causal).0);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_at_the_line_of_the_caller() {
    let new = |d, heads, hidden| {
        TransformerBlock::<f64>::new(d, heads, hidden, NormPlacement::Pre, &mut rng(1))
    };
    let forward = |placement| block(placement).forward(&normal(&[2, 3, 5], 1), &Mask::None);
    let matrix = Mask::Allow(ArrayD::from_elem(IxDyn(&[2, 3]), true)); // [batch, keys]
    let cases = [
        (
            panic_of(|| new(5, 2, 8)),
            "MultiHeadAttention: expected an embed_dim that num_heads divides, both at least 1, got embed_dim 5 and num_heads 2",
        ),
        (panic_of(|| new(4, 2, 0)), "Linear: expected at least one input feature, got 0"),
        (
            panic_of(|| forward(NormPlacement::Pre)),
            "TransformerBlock: expected an input of shape [.., length, 6], got [2, 3, 5]",
        ),
        (
            panic_of(|| block(NormPlacement::Pre).forward(&normal(&[2, 3, 6], 1), &matrix)),
            "MultiHeadAttention: expected a mask that stretches to [2, 3, 3], the same for all heads (per example: [2, 1, 3]), or one with 4 axes that stretches to [2, 2, 3, 3], got [2, 3]",
        ),
        (
            panic_of(|| forward(NormPlacement::Post)),
            "TransformerBlock: expected an input of shape [.., length, 6], got [2, 3, 5]",
        ),
    ];
    for ((message, file), expected) in cases {
        assert_eq!(message, expected);
        assert!(file.ends_with("tests/block.rs"), "{expected}: blamed on {file}");
    }
}
