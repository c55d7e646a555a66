//! Runs every golden case: those in `tests/golden/`, or those in the folder that `EVENKEEL_GOLDEN` names.
//!
//! Each case is a test of its own: `cargo test --test golden constrows` runs those whose name holds that word. A case
//! that no layer here knows fails.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use common::golden::{self, Case};
use evenkeel::{Adam, Float, LayerNorm, Linear, Tensor, cross_entropy};
use libtest_mimic::{Arguments, Failed, Trial};
use ndarray::{Array1, s};

fn main() -> ExitCode {
    let folder = std::env::var_os("EVENKEEL_GOLDEN").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
        PathBuf::from,
    );
    match trials(&folder) {
        Ok(trials) => {
            let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
            println!(
                "{} golden cases ran, from {}\n",
                conclusion.num_passed + conclusion.num_failed,
                folder.display()
            );
            conclusion.exit_code()
        }
        Err(message) => {
            eprintln!("golden: {message}");
            ExitCode::FAILURE
        }
    }
}

fn trials(folder: &PathBuf) -> Result<Vec<Trial>, String> {
    let at_folder = |error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(at_folder)? {
        let path = entry.map_err(at_folder)?.path();
        // META.json tells how the numbers were made; it holds none.
        if path.extension().is_some_and(|ending| ending == "json")
            && path.file_name().is_some_and(|name| name != "META.json")
        {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(format!("{}: expected at least one .json file, found none", folder.display()));
    }
    paths.sort();

    let mut trials = Vec::new();
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for case in golden::read(&path)? {
            trials.push(Trial::test(format!("{stem}::{}", case.name), move || {
                run(&case).map_err(Failed::from)
            }));
        }
    }
    Ok(trials)
}

fn run(case: &Case) -> Result<(), String> {
    match case.dtype.as_str() {
        "float64" => run_as::<f64>(case),
        "float32" => run_as::<f32>(case),
        other => Err(format!("dtype `{other}` is not known")),
    }
}

fn run_as<T: Float>(case: &Case) -> Result<(), String> {
    match case.op.as_str() {
        "LayerNorm" => layer_norm::<T>(case),
        "MLP_training" => mlp_training::<T>(case),
        other => Err(format!("op `{other}` is not known")),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shapes are written as integers"
)]
fn layer_norm<T: Float>(case: &Case) -> Result<(), String> {
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

/// Linear(4, 8), LayerNorm, ReLU, Linear(8, 3), trained with Adam on the whole batch.
fn mlp_training<T: Float>(case: &Case) -> Result<(), String> {
    match case.word("norm")? {
        "layer" => {}
        other => return Err(format!("norm `{other}` is not known")),
    }
    let (x, targets) = (case.parameter::<T>("x")?.detach(), case.classes("target")?);
    let mut l1 = Linear { weight: case.parameter("l1.weight")?, bias: case.parameter("l1.bias")? };
    let mut norm = LayerNorm::<T>::new(l1.bias.shape()).with_eps(1e-5);
    norm.gamma = case.parameter("norm.weight")?;
    norm.beta = case.parameter("norm.bias")?;
    let mut l2 = Linear { weight: case.parameter("l2.weight")?, bias: case.parameter("l2.bias")? };
    let betas = case.numbers("betas")?;
    let mut adam =
        Adam::new(case.number("lr")?).with_betas(betas[0], betas[1]).with_eps(case.number("eps")?);

    let forward = |l1: &Linear<T>, norm: &LayerNorm<T>, l2: &Linear<T>| {
        l2.forward(&norm.forward(&l1.forward(&x)).relu())
    };
    let correct = |logits: &Tensor<T>| {
        T::of(logits.argmax().iter().zip(&targets).filter(|(got, want)| got == want).count() as f64)
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "written as an integer"
    )]
    let steps = case.number("steps")? as usize;
    let (mut losses, mut corrects) = (Vec::new(), Vec::new());
    let mut checked = 0;
    for step in 0..steps {
        let logits = forward(&l1, &norm, &l2);
        let loss = cross_entropy(&logits, &targets);
        losses.push(loss.item());
        corrects.push(correct(&logits));
        let gradients = loss.backward();
        if step == 0 {
            case.check("logits_step0_first5", &Tensor::new(logits.value().slice(s![..5, ..])))?;
            let named = [
                ("grad0.l1.weight", &l1.weight),
                ("grad0.l1.bias", &l1.bias),
                ("grad0.norm.weight", &norm.gamma),
                ("grad0.norm.bias", &norm.beta),
                ("grad0.l2.weight", &l2.weight),
                ("grad0.l2.bias", &l2.bias),
            ];
            for (name, parameter) in named {
                case.check(name, gradients.get(parameter).ok_or("no gradient")?)?;
                checked += 1;
            }
            checked += 1;
        }
        let parameters =
            l1.parameters_mut().into_iter().chain(norm.parameters_mut()).chain(l2.parameters_mut());
        adam.step(parameters, &gradients);
    }

    let logits = forward(&l1, &norm, &l2);
    let scalar = |x: T| Tensor::new(ndarray::arr0(x));
    let outputs = [
        ("loss_per_step", Tensor::new(Array1::from(losses))),
        ("correct_per_step", Tensor::new(Array1::from(corrects))),
        ("final.l1.weight", l1.weight),
        ("final.l1.bias", l1.bias),
        ("final.norm.weight", norm.gamma),
        ("final.norm.bias", norm.beta),
        ("final.l2.weight", l2.weight),
        ("final.l2.bias", l2.bias),
        ("final_logits_eval", logits.clone()),
        ("final_loss_eval", scalar(cross_entropy(&logits, &targets).item())),
        ("final_correct_eval", scalar(correct(&logits))),
    ];
    for (name, got) in outputs {
        case.check(name, &got)?;
        checked += 1;
    }
    let expected = case.outputs.len();
    if checked == expected {
        Ok(())
    } else {
        Err(format!("{checked} of {expected} outputs were compared"))
    }
}
