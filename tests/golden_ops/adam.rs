//! How an `Adam` or `AdamW` case is run.

use std::collections::HashMap;

use evenkeel::{Adam, AdamW, Float, Gradients, Moments, Tensor};

use super::case::Case;

/// What an output is called, and the output.
type Found<T> = HashMap<String, Tensor<T>>;

pub fn run<T: Float>(case: &Case) -> Result<(), String> {
    let (lr, eps, decay) = (case.number("lr")?, case.number("eps")?, case.number("weight_decay")?);
    let (beta1, beta2) = (case.number("beta1")?, case.number("beta2")?);
    let (amsgrad, maximize) = (case.flag("amsgrad")?, case.flag("maximize")?);
    let steps = case.integer("steps")?;

    let mut parameters = Vec::new();
    while case.has_input(&format!("p{}", parameters.len())) {
        parameters.push(case.parameter::<T>(&format!("p{}", parameters.len()))?);
    }
    let mut found = Found::new();
    match case.op.as_str() {
        "Adam" => {
            let mut adam = Adam::new(lr).with_betas(beta1, beta2).with_eps(eps);
            adam = adam.with_weight_decay(decay).with_amsgrad(amsgrad).with_maximize(maximize);
            train(case, steps, &mut parameters, &mut found, |p, g| adam.step(p, g))?;
            state(&parameters, &mut found, |p| adam.moments(p))?;
        }
        "AdamW" => {
            let mut adam = AdamW::new(lr).with_betas(beta1, beta2).with_eps(eps);
            adam = adam.with_weight_decay(decay).with_amsgrad(amsgrad).with_maximize(maximize);
            train(case, steps, &mut parameters, &mut found, |p, g| adam.step(p, g))?;
            state(&parameters, &mut found, |p| adam.moments(p))?;
        }
        other => return Err(format!("optimiser `{other}` is not known")),
    }
    for name in case.output_names() {
        let got = found.get(name).ok_or_else(|| format!("output `{name}` is not known"))?;
        case.check(name, got)?;
    }
    Ok(())
}

/// Steps with the gradients `g0_0`, `g1_0`, … and notes the parameters after each as `p0_0`, ….
fn train<T: Float>(
    case: &Case,
    steps: usize,
    parameters: &mut [Tensor<T>],
    found: &mut Found<T>,
    mut step: impl FnMut(&mut [Tensor<T>], &Gradients<T>),
) -> Result<(), String> {
    for number in 0..steps {
        let mut losses = Vec::new();
        for (i, p) in parameters.iter().enumerate() {
            let g = case.parameter::<T>(&format!("g{i}_{number}"))?.detach();
            losses.push((p * g).sum()); // its gradient is g
        }
        let loss = losses.into_iter().reduce(|a, b| a + b).ok_or("no parameter")?;
        step(parameters, &loss.backward());
        for (i, p) in parameters.iter().enumerate() {
            found.insert(format!("p{i}_{number}"), Tensor::new(p.value()));
        }
    }
    Ok(())
}

/// Notes the moments as `m0`, `v0`, `vmax0`, ….
fn state<'a, T: Float>(
    parameters: &[Tensor<T>],
    found: &mut Found<T>,
    moments: impl Fn(&Tensor<T>) -> Option<&'a Moments<T>>,
) -> Result<(), String> {
    for (i, p) in parameters.iter().enumerate() {
        let Moments { m, v, v_max, .. } = moments(p).ok_or("a parameter without moments")?.clone();
        found.extend([(format!("m{i}"), m), (format!("v{i}"), v)]);
        found.extend(v_max.map(|v_max| (format!("vmax{i}"), v_max)));
    }
    Ok(())
}
