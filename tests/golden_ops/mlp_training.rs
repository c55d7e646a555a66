//! How an `MLP_training` case is run.

use evenkeel::{Adam, Float, LayerNorm, Linear, Tensor, cross_entropy};
use ndarray::{Array1, s};

use crate::common::golden::Case;

/// Linear(4, 8), LayerNorm, ReLU, Linear(8, 3), trained with Adam on the whole batch.
pub fn run<T: Float>(case: &Case) -> Result<(), String> {
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
