//! How a `Relu`, `Softmax`, `LogSoftmax` or `CrossEntropy` case is run.

use evenkeel::{CrossEntropy, Float, Reduction, Tensor};

use super::case::Case;

pub fn run<T: Float>(case: &Case) -> Result<(), String> {
    let x = case.parameter::<T>("x")?;
    let y = match case.op.as_str() {
        "Relu" => x.relu(),
        "Softmax" => x.softmax(case.axis("dim")?),
        "LogSoftmax" => x.log_softmax(case.axis("dim")?),
        "CrossEntropy" => cross_entropy(case, &x)?,
        other => return Err(format!("op `{other}` is not known")),
    };
    let gradients = y.backward_from(&case.parameter("dy")?);
    for name in case.output_names() {
        match name {
            "y" => case.check("y", &y)?,
            "dx" => case.check("dx", gradients.get(&x).ok_or("`dx`: no gradient")?)?,
            other => return Err(format!("output `{other}` is not known")),
        }
    }
    Ok(())
}

fn cross_entropy<T: Float>(case: &Case, x: &Tensor<T>) -> Result<Tensor<T>, String> {
    let mut loss = CrossEntropy::new().with_reduction(match case.word("reduction")? {
        "mean" => Reduction::Mean,
        "sum" => Reduction::Sum,
        "none" => Reduction::None,
        other => return Err(format!("reduction `{other}` is not known")),
    });
    if let Some(smoothing) = case.optional_number("label_smoothing")? {
        loss = loss.with_label_smoothing(smoothing);
    }
    let weighted = case.has_input("class_weight");
    if case.optional_flag("class_weight")?.is_some_and(|said| said != weighted) {
        return Err("attribute `class_weight` does not agree with the inputs".into());
    }
    if weighted {
        let weights = case.parameter::<f64>("class_weight")?;
        loss = loss.with_class_weights(weights.value().iter().copied().collect::<Vec<_>>());
    }
    // PyTorch's class for "no class" is -100 unless the case says otherwise; here it is None.
    let ignored = case.optional_number("ignore_index")?.unwrap_or(-100.0);
    Ok(loss.forward(x, &case.classes("target", Some(ignored))?))
}
