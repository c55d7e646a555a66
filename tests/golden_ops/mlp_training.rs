//! How an `MLP_training` case is run.

use evenkeel::{
    Adam, AdamW, BatchNorm, Float, Gradients, LayerNorm, Linear, Module, Named, RMSNorm, Sgd,
    Tensor, cross_entropy, named,
};
use ndarray::{Array1, Axis, Slice, arr0};

use super::case::Case;

/// Linear(4, 8), a norm or none, ReLU, Linear(8, 3), trained with the case's optimiser on its batches.
pub fn run<T: Float>(case: &Case) -> Result<(), String> {
    let x = case.parameter::<T>("x")?.detach();
    let species = case.classes("target", None)?.into_iter().flatten().collect::<Vec<_>>();
    let (mut network, mut optimiser) = (Network::of(case)?, Optimiser::of(case)?);
    said_in_words(case, "net", "-> relu ->")?;
    said_in_words(case, "loss", "cross entropy, mean")?;
    said_in_words(case, "loss_per_step", "before the step's update")?;
    let batches = batches(case, case.integer("steps")?, species.len())?;
    let unstable = case.optional_words("unstable_outputs")?.unwrap_or_default();
    let check = |name: &str, got: &Tensor<T>| compare(case, &unstable, name, got);

    let (mut losses, mut corrects) = (Vec::new(), Vec::new());
    for (step, rows) in batches.iter().enumerate() {
        let targets: Vec<usize> = rows.iter().map(|&row| species[row]).collect();
        let logits = network.forward_train(&Tensor::new(x.value().select(Axis(0), rows)));
        let loss = cross_entropy(&logits, &targets);
        losses.push(loss.item());
        corrects.push(correct(&logits, &targets));
        let gradients = loss.backward();
        if step == 0 {
            let first = Slice::from(..rows.len().min(5));
            check("logits_step0_first5", &Tensor::new(logits.value().slice_axis(Axis(0), first)))?;
            for (name, parameter) in network.named() {
                let gradient = gradients.get(parameter).ok_or("no gradient")?;
                check(&format!("grad0.{name}"), gradient)?;
            }
        }
        optimiser.step(&mut network, &gradients);
    }

    check("loss_per_step", &Tensor::new(Array1::from(losses)))?;
    check("correct_per_step", &Tensor::new(Array1::from(corrects)))?;
    for (name, tensor) in network.named().into_iter().chain(network.norm.remembered()) {
        check(&format!("final.{name}"), tensor)?;
    }
    let logits = network.forward(&x);
    let scalar = |x: T| Tensor::new(arr0(x));
    check("final_logits_eval", &logits)?;
    check("final_loss_eval", &scalar(cross_entropy(&logits, &species).item()))?;
    check("final_correct_eval", &scalar(correct(&logits, &species)))
}

fn correct<T: Float>(logits: &Tensor<T>, targets: &[usize]) -> T {
    T::of(logits.argmax().iter().zip(targets).filter(|(got, want)| got == want).count() as f64)
}

/// What a case tells in words must be what is done here.
fn said_in_words(case: &Case, attribute: &str, words: &str) -> Result<(), String> {
    match case.optional_word(attribute)? {
        Some(said) if !said.to_lowercase().contains(words) => {
            Err(format!("attribute `{attribute}`: expected `{words}`, got `{said}`"))
        }
        _ => Ok(()),
    }
}

/// The number that follows a word in a sentence: 1e-5 of `layer norm (eps 1e-5)`.
fn number_after(case: &Case, attribute: &str, word: &str) -> Result<Option<f64>, String> {
    let said = case.optional_word(attribute)?.unwrap_or_default();
    let Some((_, rest)) = said.split_once(&format!("{word} ")) else { return Ok(None) };
    let number = rest.split([' ', ',', ';', ')']).next().unwrap_or_default();
    let number = number.parse().map_err(|_| {
        format!("attribute `{attribute}`: expected a number after `{word}`, got `{said}`")
    })?;
    Ok(Some(number))
}

/// The rows of each step's batch: all of them, unless the case says which.
fn batches(case: &Case, steps: usize, rows: usize) -> Result<Vec<Vec<usize>>, String> {
    let named = "batch_indices";
    let listed = case.optional_lists_of_integers(named)?;
    let given = if case.has_input(named) { Some(case.rows_of_integers(named)?) } else { None };
    let batches = match (listed, given) {
        (None, None) => {
            said_in_words(case, "batch", "full")?;
            return Ok(vec![(0..rows).collect(); steps]);
        }
        (Some(batches), None) | (None, Some(batches)) => batches,
        (Some(_), Some(_)) => return Err(format!("`{named}` is both an attribute and an input")),
    };
    case.set_aside("batch"); // says in words what the indices say
    if batches.len() != steps {
        return Err(format!(
            "`{named}`: expected a list for each of {steps} steps, got {}",
            batches.len()
        ));
    }
    for (step, batch) in batches.iter().enumerate() {
        if batch.is_empty() || batch.iter().any(|&row| row >= rows) {
            return Err(format!(
                "`{named}` of step {step}: expected rows below {rows}, got {batch:?}"
            ));
        }
    }
    Ok(batches)
}

/// Options that the optimiser does not have: they may be there if they are 0 or false.
fn without(case: &Case, numbers: &[&str], flags: &[&str]) -> Result<(), String> {
    for name in numbers {
        if let Some(number) = case.optional_number(name)?.filter(|number| *number != 0.0) {
            return Err(format!("attribute `{name}`: expected 0 or none here, got {number}"));
        }
    }
    for name in flags {
        if case.optional_flag(name)? == Some(true) {
            return Err(format!("attribute `{name}`: expected false or none here, got true"));
        }
    }
    Ok(())
}

enum Optimiser<T: Float> {
    Sgd(Sgd<T>),
    Adam(Adam<T>),
}

impl<T: Float> Optimiser<T> {
    fn of(case: &Case) -> Result<Self, String> {
        let (name, lr) = (case.word("optimizer")?, case.number("lr")?);
        let maximize = case.optional_flag("maximize")?.unwrap_or(false);
        let decay = case.optional_number("weight_decay")?;
        let name = name.to_lowercase();
        match name.as_str() {
            "sgd" => {
                without(case, &["dampening"], &["amsgrad"])?;
                // These two are Adam's, and a case may hold them all the same.
                case.set_aside("betas");
                case.set_aside("eps");
                let momentum = case.optional_number("momentum")?.unwrap_or(0.0);
                let nesterov = case.optional_flag("nesterov")?.unwrap_or(false);
                let sgd = Sgd::new(lr).with_momentum(momentum).with_nesterov(nesterov);
                Ok(Self::Sgd(sgd.with_weight_decay(decay.unwrap_or(0.0)).with_maximize(maximize)))
            }
            "adam" | "adamw" => {
                without(case, &["momentum", "dampening"], &["nesterov"])?;
                let betas = case.optional_numbers("betas")?.unwrap_or_else(|| vec![0.9, 0.999]);
                let [beta1, beta2] = betas[..] else {
                    return Err(format!("attribute `betas`: expected two numbers, got {betas:?}"));
                };
                let eps = case.optional_number("eps")?.unwrap_or(1e-8);
                let amsgrad = case.optional_flag("amsgrad")?.unwrap_or(false);
                Ok(if name == "adam" {
                    let adam = Adam::new(lr).with_betas(beta1, beta2).with_eps(eps);
                    let adam = adam.with_weight_decay(decay.unwrap_or(0.0));
                    Self::Adam(adam.with_amsgrad(amsgrad).with_maximize(maximize))
                } else {
                    let adam = AdamW::new(lr).with_betas(beta1, beta2).with_eps(eps);
                    let adam = adam.with_weight_decay(decay.unwrap_or(0.01));
                    Self::Adam(adam.with_amsgrad(amsgrad).with_maximize(maximize))
                })
            }
            _ => Err(format!(
                "attribute `optimizer`: expected SGD, Adam or AdamW, got `{}`",
                case.word("optimizer")?
            )),
        }
    }

    fn step(&mut self, network: &mut Network<T>, gradients: &Gradients<T>) {
        match self {
            Self::Sgd(sgd) => sgd.step(network, gradients),
            Self::Adam(adam) => adam.step(network, gradients),
        }
    }
}

enum Norm<T: Float> {
    None,
    Layer(LayerNorm<T>),
    Rms(RMSNorm<T>),
    Batch(Box<BatchNorm<T>>),
}

impl<T: Float> Norm<T> {
    /// γ, and β where there is one.
    fn named(&self) -> Vec<(&'static str, &Tensor<T>)> {
        let (gamma, beta) = match self {
            Self::None => return Vec::new(),
            Self::Layer(norm) => (&norm.gamma, Some(&norm.beta)),
            Self::Rms(norm) => (&norm.gamma, None),
            Self::Batch(norm) => (&norm.gamma, Some(&norm.beta)),
        };
        let beta = beta.map(|beta| ("norm.bias", beta));
        [("norm.weight", gamma)].into_iter().chain(beta).collect()
    }

    fn remembered(&self) -> Vec<(&'static str, &Tensor<T>)> {
        match self {
            Self::Batch(norm) => vec![
                ("norm.running_mean", &norm.running_mean),
                ("norm.running_var", &norm.running_var),
                ("norm.num_batches_tracked", &norm.num_batches_tracked),
            ],
            Self::None | Self::Layer(_) | Self::Rms(_) => Vec::new(),
        }
    }
}

struct Network<T: Float> {
    l1: Linear<T>,
    norm: Norm<T>,
    l2: Linear<T>,
}

impl<T: Float> Network<T> {
    fn of(case: &Case) -> Result<Self, String> {
        let linear = |name: &str| -> Result<_, String> {
            let weight = case.parameter(&format!("{name}.weight"))?;
            Ok(Linear { weight, bias: case.parameter(&format!("{name}.bias"))? })
        };
        let (hidden, l1) = (case.integer("hidden")?, linear("l1")?);
        if l1.weight.shape()[0] != hidden {
            return Err(format!("attribute `hidden`: `l1.weight` is not of {hidden} rows"));
        }
        // The case tells the norm's eps and momentum in words; its `eps` is Adam's.
        let eps = number_after(case, "net", "eps")?.unwrap_or(1e-5);
        let momentum = number_after(case, "bn", "momentum")?.unwrap_or(0.1);
        let norm = match case.word("norm")? {
            "none" => Norm::None,
            "layer" => {
                let mut norm = LayerNorm::new(hidden).with_eps(eps);
                norm.gamma = case.parameter("norm.weight")?;
                norm.beta = case.parameter("norm.bias")?;
                Norm::Layer(norm)
            }
            "rms" => {
                let mut norm = RMSNorm::new(hidden).with_eps(eps);
                norm.gamma = case.parameter("norm.weight")?;
                Norm::Rms(norm)
            }
            "batch" => {
                let mut norm = BatchNorm::new(hidden).with_eps(eps).with_momentum(momentum);
                norm.gamma = case.parameter("norm.weight")?;
                norm.beta = case.parameter("norm.bias")?;
                Norm::Batch(Box::new(norm))
            }
            other => {
                return Err(format!(
                    "attribute `norm`: expected none, layer, rms or batch, got `{other}`"
                ));
            }
        };
        Ok(Self { l1, norm, l2: linear("l2")? })
    }

    fn forward_train(&mut self, x: &Tensor<T>) -> Tensor<T> {
        let hidden = self.l1.forward(x);
        let hidden = match &mut self.norm {
            Norm::None => hidden,
            Norm::Layer(norm) => norm.forward(&hidden),
            Norm::Rms(norm) => norm.forward(&hidden),
            Norm::Batch(norm) => norm.forward_train(&hidden),
        };
        self.l2.forward(&hidden.relu())
    }

    fn forward(&self, x: &Tensor<T>) -> Tensor<T> {
        let hidden = self.l1.forward(x);
        let hidden = match &self.norm {
            Norm::None => hidden,
            Norm::Layer(norm) => norm.forward(&hidden),
            Norm::Rms(norm) => norm.forward(&hidden),
            Norm::Batch(norm) => norm.forward(&hidden),
        };
        self.l2.forward(&hidden.relu())
    }

    fn named(&self) -> Vec<(&'static str, &Tensor<T>)> {
        let mut named = vec![("l1.weight", &self.l1.weight), ("l1.bias", &self.l1.bias)];
        named.extend(self.norm.named());
        named.extend([("l2.weight", &self.l2.weight), ("l2.bias", &self.l2.bias)]);
        named
    }
}

impl<T: Float> Module<T> for Network<T> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        let Self { l1, norm, l2 } = self;
        let norm: &mut dyn Module<T> = match norm {
            Norm::None => return named([("l1", l1), ("l2", l2)]),
            Norm::Layer(norm) => norm,
            Norm::Rms(norm) => norm,
            Norm::Batch(norm) => norm,
        };
        named([("l1", l1), ("norm", norm), ("l2", l2)])
    }
}

/// Compares one output, if the case has it.
fn compare<T: Float>(
    case: &Case,
    unstable: &[&str],
    name: &str,
    got: &Tensor<T>,
) -> Result<(), String> {
    if !case.has_output(name) {
        return Ok(());
    }
    if !unstable.contains(&name) {
        return case.check(name, got);
    }
    // The bias before a BatchNorm has a gradient of zero, and rounding noise in its place,
    // which Adam scales up to steps of about lr. So the README lets these be left out. In
    // float64 Adam's eps holds the noise down: 2e-9 was seen.
    if case.dtype == "float64" {
        return case.check_within(1e-7, name, got);
    }
    case.leave_out(name);
    Ok(())
}
