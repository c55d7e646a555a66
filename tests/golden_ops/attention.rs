//! How a `ScaledDotProductAttention`, `MultiheadAttention` or `TransformerEncoderLayer` case is run.

use evenkeel::{
    Float, LayerNorm, Linear, Mask, MultiHeadAttention, NormPlacement, Tensor, TransformerBlock,
    rng, scaled_dot_product_attention,
};

use super::case::Case;

/// An output's name, and the tensor whose gradient it is.
type Leaf<T> = (String, Tensor<T>);

pub fn run<T: Float>(case: &Case) -> Result<(), String> {
    let mask = if case.flag("causal")? { Mask::Causal } else { Mask::None };
    match case.op.as_str() {
        "ScaledDotProductAttention" => {
            let [q, k, v] = ["q", "k", "v"].map(|name| case.parameter::<T>(name));
            let (q, k, v) = (q?, k?, v?);
            let y = scaled_dot_product_attention(&q, &k, &v, &mask, Some(case.number("scale")?));
            compare(case, &y, None, &[("dq".into(), q), ("dk".into(), k), ("dv".into(), v)])
        }
        "MultiheadAttention" => {
            let x = case.parameter::<T>("x")?;
            let layer = attention(case, "", case.integer("embed_dim")?)?;
            if case.flag("bias")? != case.has_input("in_proj_bias") {
                return Err("attribute `bias` does not agree with the inputs".into());
            }
            let (y, weights) = layer.forward_with_weights(&x, &mask);
            let mut leaves = attention_leaves("", &layer);
            leaves.push(("dx".into(), x));
            compare(case, &y, Some(&weights), &leaves)
        }
        "TransformerEncoderLayer" => {
            let x = case.parameter::<T>("x")?;
            let block = block(case)?;
            let y = block.forward(&x, &mask);
            let mut leaves = attention_leaves("self_attn.", &block.self_attn);
            for (name, linear) in [("linear1", block.linear1), ("linear2", block.linear2)] {
                leaves.push((format!("d_{name}.weight"), linear.weight));
                leaves.push((format!("d_{name}.bias"), linear.bias));
            }
            for (name, norm) in [("norm1", block.norm1), ("norm2", block.norm2)] {
                leaves.push((format!("d_{name}.weight"), norm.gamma));
                leaves.push((format!("d_{name}.bias"), norm.beta));
            }
            leaves.push(("dx".into(), x));
            compare(case, &y, None, &leaves)
        }
        other => Err(format!("op `{other}` is not known")),
    }
}

fn compare<T: Float>(
    case: &Case,
    y: &Tensor<T>,
    attn: Option<&Tensor<T>>,
    leaves: &[Leaf<T>],
) -> Result<(), String> {
    let gradients = y.backward_from(&case.parameter("dy")?);
    for name in case.output_names() {
        let got = match name {
            "y" => y,
            "attn" => attn.ok_or("no weights to compare with `attn`")?,
            _ => {
                let leaf = leaves.iter().find(|(leaf, _)| leaf == name);
                let (_, leaf) = leaf.ok_or_else(|| format!("output `{name}` is not known"))?;
                gradients.get(leaf).ok_or_else(|| format!("`{name}`: no gradient"))?
            }
        };
        case.check(name, got)?;
    }
    Ok(())
}

/// The layer with the parameters of the case, whose names begin with `prefix`.
fn attention<T: Float>(
    case: &Case,
    prefix: &str,
    embed_dim: usize,
) -> Result<MultiHeadAttention<T>, String> {
    let rng = &mut rng(0);
    let bias = case.has_input(&format!("{prefix}in_proj_bias"));
    let heads = case.integer("num_heads")?;
    let mut layer = MultiHeadAttention::new(embed_dim, heads, rng);
    if !bias {
        layer = layer.without_bias();
    }
    layer.in_proj_weight = case.parameter(&format!("{prefix}in_proj_weight"))?;
    layer.out_proj.weight = case.parameter(&format!("{prefix}out_proj.weight"))?;
    if bias {
        layer.in_proj_bias = case.parameter(&format!("{prefix}in_proj_bias"))?;
        layer.out_proj.bias = case.parameter(&format!("{prefix}out_proj.bias"))?;
    }
    Ok(layer)
}

fn attention_leaves<T: Float>(prefix: &str, layer: &MultiHeadAttention<T>) -> Vec<Leaf<T>> {
    let named = [
        ("in_proj_weight", &layer.in_proj_weight),
        ("in_proj_bias", &layer.in_proj_bias),
        ("out_proj.weight", &layer.out_proj.weight),
        ("out_proj.bias", &layer.out_proj.bias),
    ];
    named.map(|(name, tensor)| (format!("d_{prefix}{name}"), tensor.clone())).into()
}

fn block<T: Float>(case: &Case) -> Result<TransformerBlock<T>, String> {
    let activation = case.word("activation")?;
    if activation != "relu" || case.number("dropout")? != 0.0 {
        return Err("only ReLU without dropout is known".into());
    }
    let placement = if case.flag("norm_first")? { NormPlacement::Pre } else { NormPlacement::Post };
    let (d, hidden) = (case.integer("d_model")?, case.integer("dim_feedforward")?);
    let heads = case.integer("num_heads")?;
    let rng = &mut rng(0);
    let mut block = TransformerBlock::new(d, heads, hidden, placement, rng);
    block.self_attn = attention(case, "self_attn.", d)?;
    let linear = |name: &str| -> Result<Linear<T>, String> {
        let weight = case.parameter(&format!("{name}.weight"))?;
        Ok(Linear { weight, bias: case.parameter(&format!("{name}.bias"))? })
    };
    let norm = |name: &str| -> Result<LayerNorm<T>, String> {
        let mut norm = LayerNorm::new(d).with_eps(case.number("eps")?);
        norm.gamma = case.parameter(&format!("{name}.weight"))?;
        norm.beta = case.parameter(&format!("{name}.bias"))?;
        Ok(norm)
    };
    (block.linear1, block.linear2) = (linear("linear1")?, linear("linear2")?);
    (block.norm1, block.norm2) = (norm("norm1")?, norm("norm2")?);
    Ok(block)
}
