//! The 4-8-3 network without a norm, its gradients and its optimisers, in plain ndarray: nothing of the crate.

use ndarray::{Array1, Array2, Axis, array};
use serde_json::{Value, json};

const LR: f64 = 0.1;
const STEPS: usize = 6;

/// An optimiser, with its options.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Sgd { momentum: f64, nesterov: bool, decay: f64 },
    Adam { betas: [f64; 2], eps: f64, decay: f64, decoupled: bool },
}

impl Step {
    pub fn momentum(self) -> f64 {
        match self {
            Self::Sgd { momentum, .. } => momentum,
            Self::Adam { .. } => 0.0,
        }
    }

    /// The change of `p`, with what is remembered of it: the velocity, or the two moments.
    fn step(self, p: &mut f64, g: f64, memory: &mut [f64; 2], number: i32) {
        match self {
            Self::Sgd { momentum, nesterov, decay } => {
                let g = g + decay * *p;
                memory[0] = momentum * memory[0] + g;
                *p -= LR * if nesterov { g + momentum * memory[0] } else { memory[0] };
            }
            Self::Adam { betas: [b1, b2], eps, decay, decoupled } => {
                let g = if decoupled { g } else { g + decay * *p };
                if decoupled {
                    *p *= 1.0 - LR * decay;
                }
                memory[0] = b1 * memory[0] + (1.0 - b1) * g;
                memory[1] = b2 * memory[1] + (1.0 - b2) * g * g;
                let (m, v) =
                    (memory[0] / (1.0 - b1.powi(number)), memory[1] / (1.0 - b2.powi(number)));
                *p -= LR * m / (v.sqrt() + eps);
            }
        }
    }
}

/// What is to be computed.
pub struct Training {
    pub step: Step,
    /// The rows of each step; all rows without them.
    pub batches: Option<Vec<Vec<usize>>>,
    pub dtype: &'static str,
}

/// Weights `[out, in]` and biases, as the golden files have them; also their gradients.
#[derive(Clone)]
struct Network {
    w1: Array2<f64>,
    b1: Array1<f64>,
    w2: Array2<f64>,
    b2: Array1<f64>,
}

/// What one pass finds.
struct Pass {
    logits: Array2<f64>,
    loss: f64,
    correct: usize,
    gradients: Network,
}

impl Network {
    fn forward(&self, x: &Array2<f64>, targets: &[usize]) -> Pass {
        let n = x.nrows() as f64;
        let h = x.dot(&self.w1.t()) + &self.b1;
        let a = h.mapv(|h| h.max(0.0));
        let logits = a.dot(&self.w2.t()) + &self.b2;
        let (mut loss, mut correct) = (0.0, 0);
        let mut d_logits = Array2::zeros(logits.raw_dim());
        for ((row, mut d_row), &target) in
            logits.rows().into_iter().zip(d_logits.rows_mut()).zip(targets)
        {
            let most = row.fold(f64::MIN, |most, &z| most.max(z));
            let sum: f64 = row.iter().map(|z| (z - most).exp()).sum();
            loss += (sum.ln() + most - row[target]) / n;
            correct += usize::from(row[target] == most);
            for (class, d) in d_row.iter_mut().enumerate() {
                *d = ((row[class] - most).exp() / sum - f64::from(u8::from(class == target))) / n;
            }
        }
        let mut d_h = d_logits.dot(&self.w2);
        d_h.zip_mut_with(&h, |d, &h| *d = if h > 0.0 { *d } else { 0.0 });
        let gradients = Self {
            w1: d_h.t().dot(x),
            b1: d_h.sum_axis(Axis(0)),
            w2: d_logits.t().dot(&a),
            b2: d_logits.sum_axis(Axis(0)),
        };
        Pass { logits, loss, correct, gradients }
    }

    fn numbers_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        let Self { w1, b1, w2, b2 } = self;
        w1.iter_mut().chain(b1).chain(w2).chain(b2)
    }

    fn named(&self, prefix: &str) -> Vec<Value> {
        let matrix = |name: &str, of: &Array2<f64>| {
            tensor(&format!("{prefix}{name}"), of.shape(), of.iter().copied().collect())
        };
        let vector = |name: &str, of: &Array1<f64>| {
            tensor(&format!("{prefix}{name}"), of.shape(), of.to_vec())
        };
        vec![
            matrix("l1.weight", &self.w1),
            vector("l1.bias", &self.b1),
            matrix("l2.weight", &self.w2),
            vector("l2.bias", &self.b2),
        ]
    }
}

fn tensor(name: &str, shape: &[usize], data: Vec<f64>) -> Value {
    json!({ "name": name, "dtype": "float64", "shape": shape, "data": Value::from(data) })
}

impl Training {
    /// A number that both types hold exactly, no two alike.
    fn made_up(n: usize, place: usize) -> f64 {
        let wave = (n as f64 * 0.7 + place as f64 * 1.9).sin() + 0.25;
        (wave * 1024.0).round() / 1024.0
    }

    /// The case, as the golden files have it, with the numbers of a training by hand.
    pub fn case(&self, optimizer: &str) -> Value {
        let x = Array2::from_shape_fn((12, 4), |(row, n)| Self::made_up(n, row));
        let targets: Vec<usize> = (0..12).map(|row| (row * row + 1) % 3).collect();
        let start = Network {
            w1: Array2::from_shape_fn((8, 4), |(row, n)| Self::made_up(n + 3, row + 5)),
            b1: Array1::from_shape_fn(8, |n| Self::made_up(n, 20)),
            w2: Array2::from_shape_fn((3, 8), |(row, n)| Self::made_up(n + 7, row)),
            b2: array![0.125, -0.25, 0.5],
        };

        let mut outputs = Vec::new();
        let mut network = start.clone();
        let mut memory = vec![[0.0; 2]; start.clone().numbers_mut().count()];
        let (mut losses, mut corrects) = (Vec::new(), Vec::new());
        for step in 0..STEPS {
            let all: Vec<usize> = (0..12).collect();
            let rows = self.batches.as_ref().map_or(&all, |batches| &batches[step]);
            let of_rows: Vec<usize> = rows.iter().map(|&row| targets[row]).collect();
            let mut pass = network.forward(&x.select(Axis(0), rows), &of_rows);
            losses.push(pass.loss);
            corrects.push(pass.correct as f64);
            if step == 0 {
                let first: Vec<f64> = pass.logits.iter().copied().take(15).collect();
                outputs.push(tensor("logits_step0_first5", &[first.len() / 3, 3], first));
                outputs.extend(pass.gradients.named("grad0."));
            }
            let parameters = network.numbers_mut().zip(pass.gradients.numbers_mut());
            for ((p, g), memory) in parameters.zip(&mut memory) {
                self.step.step(p, *g, memory, step as i32 + 1);
            }
        }
        let last = network.forward(&x, &targets);
        outputs.extend(network.named("final."));
        outputs.extend([
            tensor("loss_per_step", &[STEPS], losses),
            tensor("correct_per_step", &[STEPS], corrects),
            tensor("final_logits_eval", last.logits.shape(), last.logits.iter().copied().collect()),
            tensor("final_loss_eval", &[], vec![last.loss]),
            tensor("final_correct_eval", &[], vec![last.correct as f64]),
        ]);

        let mut inputs = start.named("");
        inputs.push(tensor("x", &[12, 4], x.iter().copied().collect()));
        inputs.push(tensor("target", &[12], targets.iter().map(|&class| class as f64).collect()));
        json!({
            "name": "by_hand", "op": "MLP_training", "dtype": self.dtype,
            "attributes": self.attributes(optimizer), "inputs": inputs, "outputs": outputs,
        })
    }

    fn attributes(&self, optimizer: &str) -> Value {
        let mut attributes = json!({
            "net": "Linear(4,8) -> ReLU -> Linear(8,3); weights are [out,in], y = x W^T + b",
            "norm": "none", "hidden": 8, "loss": "cross entropy, mean over the batch",
            "optimizer": optimizer, "lr": LR, "steps": STEPS, "batch": "full (12)",
            "standardised_features": false, "loss_per_step": "loss before the step's update",
            "bn": "momentum 0.1, eval-mode final",
        });
        let more = match self.step {
            Step::Sgd { momentum, nesterov, decay } => {
                json!({ "momentum": momentum, "nesterov": nesterov, "weight_decay": decay })
            }
            Step::Adam { betas, eps, decay, .. } => {
                json!({ "betas": betas, "eps": eps, "weight_decay": decay })
            }
        };
        let all = attributes.as_object_mut().expect("an object");
        all.extend(more.as_object().expect("an object").clone());
        if let Some(batches) = &self.batches {
            all.insert("batch_indices".into(), json!(batches));
            all.insert("batch".into(), json!("see batch_indices"));
        }
        attributes
    }
}
