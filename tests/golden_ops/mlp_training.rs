//! How an `MLP_training` case is run.

use std::collections::BTreeSet;

use evenkeel::{Adam, BatchNorm, Float, LayerNorm, Linear, RMSNorm, Tensor, cross_entropy};
use ndarray::{Array1, arr0, s};

use crate::common::golden::Case;

/// Linear(4, 8), a norm, ReLU, Linear(8, 3), trained with Adam on the whole batch.
pub fn run<T: Float>(case: &Case) -> Result<(), String> {
    let (x, targets) = (case.parameter::<T>("x")?.detach(), case.classes("target")?);
    let mut network = Network::of(case)?;
    let betas = case.numbers("betas")?;
    let mut adam =
        Adam::new(case.number("lr")?).with_betas(betas[0], betas[1]).with_eps(case.number("eps")?);
    let correct = |logits: &Tensor<T>| {
        T::of(logits.argmax().iter().zip(&targets).filter(|(got, want)| got == want).count() as f64)
    };
    let mut compared = Compared { case, names: BTreeSet::new() };

    let (mut losses, mut corrects) = (Vec::new(), Vec::new());
    for step in 0..case.integer("steps")? {
        let logits = network.forward_train(&x);
        let loss = cross_entropy(&logits, &targets);
        losses.push(loss.item());
        corrects.push(correct(&logits));
        let gradients = loss.backward();
        if step == 0 {
            let first = Tensor::new(logits.value().slice(s![..5, ..]));
            compared.check("logits_step0_first5", &first)?;
            for (name, parameter) in network.named() {
                let gradient = gradients.get(parameter).ok_or("no gradient")?;
                compared.check(&format!("grad0.{name}"), gradient)?;
            }
        }
        adam.step(network.parameters_mut(), &gradients);
    }

    compared.check("loss_per_step", &Tensor::new(Array1::from(losses)))?;
    compared.check("correct_per_step", &Tensor::new(Array1::from(corrects)))?;
    for (name, tensor) in network.named().into_iter().chain(network.norm.remembered()) {
        compared.check(&format!("final.{name}"), tensor)?;
    }
    let logits = network.forward(&x);
    let scalar = |x: T| Tensor::new(arr0(x));
    compared.check("final_logits_eval", &logits)?;
    compared.check("final_loss_eval", &scalar(cross_entropy(&logits, &targets).item()))?;
    compared.check("final_correct_eval", &scalar(correct(&logits)))?;
    compared.all()
}

enum Norm<T: Float> {
    Layer(LayerNorm<T>),
    Rms(RMSNorm<T>),
    Batch(Box<BatchNorm<T>>),
}

impl<T: Float> Norm<T> {
    /// γ, and β where there is one.
    fn named(&self) -> Vec<(&'static str, &Tensor<T>)> {
        let (gamma, beta) = match self {
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
            Self::Layer(_) | Self::Rms(_) => Vec::new(),
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
        let hidden = case.integer("hidden")?;
        // The case tells the norm's eps, 1e-5, in words; its `eps` is Adam's.
        let norm = match case.word("norm")? {
            "layer" => {
                let mut norm = LayerNorm::new(hidden).with_eps(1e-5);
                norm.gamma = case.parameter("norm.weight")?;
                norm.beta = case.parameter("norm.bias")?;
                Norm::Layer(norm)
            }
            "rms" => {
                let mut norm = RMSNorm::new(hidden).with_eps(1e-5);
                norm.gamma = case.parameter("norm.weight")?;
                Norm::Rms(norm)
            }
            "batch" => {
                let mut norm = BatchNorm::new(hidden).with_eps(1e-5).with_momentum(0.1);
                norm.gamma = case.parameter("norm.weight")?;
                norm.beta = case.parameter("norm.bias")?;
                Norm::Batch(Box::new(norm))
            }
            other => return Err(format!("norm `{other}` is not known")),
        };
        Ok(Self { l1: linear("l1")?, norm, l2: linear("l2")? })
    }

    fn forward_train(&mut self, x: &Tensor<T>) -> Tensor<T> {
        let hidden = self.l1.forward(x);
        let hidden = match &mut self.norm {
            Norm::Layer(norm) => norm.forward(&hidden),
            Norm::Rms(norm) => norm.forward(&hidden),
            Norm::Batch(norm) => norm.forward_train(&hidden),
        };
        self.l2.forward(&hidden.relu())
    }

    fn forward(&self, x: &Tensor<T>) -> Tensor<T> {
        let hidden = self.l1.forward(x);
        let hidden = match &self.norm {
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

    fn parameters_mut(&mut self) -> Vec<&mut Tensor<T>> {
        let norm = match &mut self.norm {
            Norm::Layer(norm) => norm.parameters_mut(),
            Norm::Rms(norm) => norm.parameters_mut(),
            Norm::Batch(norm) => norm.parameters_mut(),
        };
        self.l1.parameters_mut().into_iter().chain(norm).chain(self.l2.parameters_mut()).collect()
    }
}

/// A case, and which of its outputs have been compared.
struct Compared<'a> {
    case: &'a Case,
    names: BTreeSet<String>,
}

impl Compared<'_> {
    fn check<T: Float>(&mut self, name: &str, got: &Tensor<T>) -> Result<(), String> {
        let unstable = self.case.attributes.get("unstable_outputs");
        let unstable = unstable.and_then(|names| names.as_array());
        if unstable.is_some_and(|names| names.iter().any(|unstable| unstable == name)) {
            // The bias before a BatchNorm has a gradient of zero, and rounding noise in its place,
            // which Adam scales up to steps of about lr. So the README lets these be left out. In
            // float64 Adam's eps holds the noise down: 2e-9 was seen.
            if self.case.dtype == "float64" {
                self.case.check_within(1e-7, name, got)?;
            }
        } else {
            self.case.check(name, got)?;
        }
        self.names.insert(name.to_owned());
        Ok(())
    }

    fn all(self) -> Result<(), String> {
        match self.case.output_names().into_iter().find(|name| !self.names.contains(*name)) {
            Some(name) => Err(format!("output `{name}` was not compared")),
            None => Ok(()),
        }
    }
}
