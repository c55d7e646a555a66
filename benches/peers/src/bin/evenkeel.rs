//! Even Keel itself. `evenkeel answers` prints what every peer is checked against.

use evenkeel::{
    Adam, BatchNorm, Float, Gradients, GroupNorm, LayerNorm, Linear, Module, Named, RMSNorm, Tensor,
    cross_entropy, named,
};
use evenkeel_peers::{
    Answers, BATCH, Case, Dtype, EPS, GROUPS, Job, LR, Layer, Outputs, WIDTHS, Work, batches,
    digits, job,
};

fn main() {
    if std::env::args().nth(1).as_deref() == Some("answers") {
        println!("{}", serde_json::to_string(&Answers::of(jobs)).expect("numbers and names"));
    } else {
        evenkeel_peers::main("evenkeel", jobs);
    }
}

fn jobs(case: &Case, inputs: &[Vec<f64>]) -> Option<Box<dyn Job>> {
    match (case.work, case.dtype) {
        (Work::Digits, _) => digits_job(case.layer, case.shape[0], inputs),
        (Work::Adam, Dtype::F32) => adam_job::<f32>(inputs),
        (Work::Adam, Dtype::F64) => adam_job::<f64>(inputs),
        (_, Dtype::F32) => layer_job::<f32>(case, inputs),
        (_, Dtype::F64) => layer_job::<f64>(case, inputs),
    }
}

fn tensor<T: Float>(shape: &[usize], values: &[f64]) -> Tensor<T> {
    let values = values.iter().map(|&value| T::of(value)).collect();
    Tensor::from_vec(shape, values).expect("as many values as the shape holds")
}

fn parameter<T: Float>(shape: &[usize], values: &[f64]) -> Tensor<T> {
    Tensor::parameter(tensor::<T>(shape, values).value())
}

fn numbers<T: Float>(tensor: &Tensor<T>) -> Vec<f64> {
    tensor.value().iter().map(|value| value.wide()).collect()
}

enum Norm<T: Float> {
    None,
    Layer(LayerNorm<T>),
    Rms(RMSNorm<T>),
    Batch(Box<BatchNorm<T>>),
    Group(GroupNorm<T>),
}

impl<T: Float> Norm<T> {
    fn new(layer: Layer, features: usize) -> Self {
        match layer {
            Layer::None => Self::None,
            Layer::LayerNorm => Self::Layer(LayerNorm::new(features).with_eps(EPS)),
            Layer::RMSNorm => Self::Rms(RMSNorm::new(features).with_eps(EPS)),
            Layer::BatchNorm => Self::Batch(Box::new(BatchNorm::new(features).with_eps(EPS))),
            Layer::GroupNorm => Self::Group(GroupNorm::new(GROUPS, features).with_eps(EPS)),
        }
    }

    fn forward(&mut self, x: &Tensor<T>) -> Tensor<T> {
        match self {
            Self::None => x.clone(),
            Self::Layer(norm) => norm.forward(x),
            Self::Rms(norm) => norm.forward(x),
            Self::Batch(norm) => norm.forward_train(x),
            Self::Group(norm) => norm.forward(x),
        }
    }

    fn eval(&mut self, x: &Tensor<T>) -> Tensor<T> {
        match self {
            Self::Batch(norm) => norm.forward(x),
            _ => self.forward(x),
        }
    }

    fn set(&mut self, gamma: Tensor<T>, beta: Tensor<T>) {
        match self {
            Self::None => {}
            Self::Layer(norm) => (norm.gamma, norm.beta) = (gamma, beta),
            Self::Rms(norm) => norm.gamma = gamma,
            Self::Batch(norm) => (norm.gamma, norm.beta) = (gamma, beta),
            Self::Group(norm) => (norm.gamma, norm.beta) = (gamma, beta),
        }
    }
}

impl<T: Float> Module<T> for Norm<T> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        match self {
            Self::None => named([]),
            Self::Layer(norm) => norm.tensors_mut(),
            Self::Rms(norm) => norm.tensors_mut(),
            Self::Batch(norm) => norm.tensors_mut(),
            Self::Group(norm) => norm.tensors_mut(),
        }
    }
}

fn layer_job<T: Float>(case: &Case, inputs: &[Vec<f64>]) -> Option<Box<dyn Job>> {
    let [x, w, gamma, beta, mean, var] = inputs else { unreachable!("six inputs of a layer") };
    let features = [case.features()];
    let mut norm = Norm::new(case.layer, features[0]);
    if let Norm::Batch(norm) = &mut norm {
        norm.running_mean = tensor(&features, mean);
        norm.running_var = tensor(&features, var);
    }
    if matches!(case.work, Work::Forward | Work::Eval) {
        // Constants only, so that no graph is kept.
        norm.set(tensor(&features, gamma), tensor(&features, beta));
        let x = tensor::<T>(&case.shape, x);
        return match case.work {
            Work::Eval => job(move || norm.eval(&x), |y| vec![numbers(&y)]),
            _ => job(move || norm.forward(&x), |y| vec![numbers(&y)]),
        };
    }

    let x = parameter::<T>(&case.shape, x);
    let w = tensor::<T>(&case.shape, w);
    norm.set(parameter(&features, gamma), parameter(&features, beta));
    let mut leaves = vec![x.clone()];
    leaves.extend(norm.parameters_mut().iter().map(|(_, parameter)| (**parameter).clone()));
    let read = move |(y, gradients): (Tensor<T>, Gradients<T>)| -> Outputs {
        let gradient = |leaf| numbers(gradients.get(leaf).expect("every leaf is reached"));
        std::iter::once(numbers(&y)).chain(leaves.iter().map(gradient)).collect()
    };
    match case.work {
        Work::Train => job(
            move || {
                let y = norm.forward(&x);
                let gradients = (&y * &w).sum().backward();
                (y, gradients)
            },
            read,
        ),
        Work::Given => job(
            move || {
                let y = norm.forward(&x);
                let gradients = y.backward_from(&w);
                (y, gradients)
            },
            read,
        ),
        _ => {
            let y = norm.forward(&x);
            job(move || (y.clone(), y.backward_from(&w)), read)
        }
    }
}

fn adam_job<T: Float>(inputs: &[Vec<f64>]) -> Option<Box<dyn Job>> {
    let [p, gradients @ ..] = inputs else { unreachable!("Adam starts from parameters") };
    let mut p = parameter::<T>(&[p.len()], p);
    let gradient = |g: &Vec<f64>| (&p * &tensor(&[g.len()], g)).sum().backward();
    let gradients: Vec<Gradients<T>> = gradients.iter().map(gradient).collect();
    let (mut adam, mut turn) = (Adam::new(LR), 0);
    let step = move || {
        adam.step(&mut p, &gradients[turn]);
        turn = 1 - turn;
        p.detach()
    };
    job(step, |p| vec![numbers(&p)])
}

struct Network {
    linears: Vec<Linear<f32>>,
    norms: Vec<Norm<f32>>,
}

impl Network {
    fn new(layer: Layer, weights: &[Vec<f64>]) -> Self {
        let linear = |(pair, weight): (&[usize], &Vec<f64>)| Linear {
            weight: parameter(&[pair[1], pair[0]], weight),
            bias: parameter(&[pair[1]], &vec![0.0; pair[1]]),
        };
        Self {
            linears: WIDTHS.windows(2).zip(weights).map(linear).collect(),
            norms: WIDTHS[1..5].iter().map(|&width| Norm::new(layer, width)).collect(),
        }
    }

    fn forward(&mut self, x: &Tensor<f32>) -> Tensor<f32> {
        let mut h = x.clone();
        for (linear, norm) in self.linears.iter().zip(&mut self.norms) {
            h = norm.forward(&linear.forward(&h)).relu();
        }
        self.linears[self.norms.len()].forward(&h)
    }
}

impl Module<f32> for Network {
    fn tensors_mut(&mut self) -> Named<'_, f32> {
        named([("linears", &mut self.linears), ("norms", &mut self.norms)])
    }
}

fn digits_job(layer: Layer, steps: usize, weights: &[Vec<f64>]) -> Option<Box<dyn Job>> {
    let weights = weights.to_vec();
    let rows = |values| Tensor::from_vec(&[BATCH, WIDTHS[0]], values).expect("a batch");
    let batches: Vec<_> = batches().into_iter().map(|(x, targets)| (rows(x), targets)).collect();
    let train = move || {
        let mut network = Network::new(layer, &weights);
        let mut adam = Adam::new(LR);
        for (x, targets) in batches.iter().cycle().take(steps) {
            let gradients = cross_entropy(&network.forward(x), targets).backward();
            adam.step(&mut network, &gradients);
        }
        network
    };
    job(train, |mut network| {
        let (pixels, targets) = digits();
        let all = Tensor::from_vec(&[targets.len(), WIDTHS[0]], pixels).expect("all digits");
        vec![numbers(&network.forward(&all))]
    })
}
