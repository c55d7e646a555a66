//! How a `LayerNorm` case is run.

use evenkeel::{Float, LayerNorm};

use crate::common::golden::Case;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shapes are written as integers"
)]
pub fn run<T: Float>(case: &Case) -> Result<(), String> {
    let normalized_shape: Vec<usize> =
        case.numbers("normalized_shape")?.iter().map(|&n| n as usize).collect();
    let layer = LayerNorm::<T>::new(normalized_shape.as_slice()).with_eps(case.number("eps")?);
    let mut layer = match case.word("affine")? {
        "both" => layer,
        "weight" => layer.with_bias(false),
        "none" => layer.with_affine(false),
        other => return Err(format!("affine `{other}` is not known")),
    };
    if case.has_input("gamma") {
        layer.gamma = case.parameter("gamma")?;
    }
    if case.has_input("beta") {
        layer.beta = case.parameter("beta")?;
    }
    let x = case.parameter::<T>("x")?;
    let y = layer.forward(&x);
    let gradients = y.backward_from(&case.parameter("dy")?);
    for name in case.output_names() {
        let of = match name {
            "y" => {
                case.check("y", &y)?;
                continue;
            }
            "dx" => &x,
            "dgamma" => &layer.gamma,
            "dbeta" => &layer.beta,
            other => return Err(format!("output `{other}` is not known")),
        };
        case.check(name, gradients.get(of).ok_or_else(|| format!("`{name}`: no gradient"))?)?;
    }
    Ok(())
}
