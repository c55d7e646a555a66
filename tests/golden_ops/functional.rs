//! How a `Relu`, `Softmax`, `LogSoftmax` or `CrossEntropy` case is run.

use evenkeel::{CrossEntropy, Float, Reduction, Tensor};

use crate::common::golden::Case;

pub fn run<T: Float>(case: &Case) -> Result<(), String> {
    let x = case.parameter::<T>("x")?;
    let y = match case.op.as_str() {
        "Relu" => x.relu(),
        "Softmax" => x.softmax(axis(case)?),
        "LogSoftmax" => x.log_softmax(axis(case)?),
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

#[expect(clippy::cast_possible_truncation, reason = "written as an integer")]
fn axis(case: &Case) -> Result<isize, String> {
    Ok(case.number("dim")? as isize)
}

fn cross_entropy<T: Float>(case: &Case, x: &Tensor<T>) -> Result<Tensor<T>, String> {
    let mut loss = CrossEntropy::new().with_reduction(match case.word("reduction")? {
        "mean" => Reduction::Mean,
        "sum" => Reduction::Sum,
        "none" => Reduction::None,
        other => return Err(format!("reduction `{other}` is not known")),
    });
    if case.attributes.contains_key("label_smoothing") {
        loss = loss.with_label_smoothing(case.number("label_smoothing")?);
    }
    if case.has_input("class_weight") {
        let weights = case.parameter::<f64>("class_weight")?;
        loss = loss.with_class_weights(weights.value().iter().copied().collect::<Vec<_>>());
    }
    // PyTorch's class for "no class" is -100 unless the case says otherwise; here it is None.
    let ignored = case.number("ignore_index").unwrap_or(-100.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "written as an integer"
    )]
    let class = |&target: &f64| (target != ignored).then_some(target as usize);
    let targets: Vec<Option<usize>> =
        case.parameter::<f64>("target")?.value().iter().map(class).collect();
    Ok(loss.forward(x, &targets))
}
