//! burn, with its default CPU backend (flex) and its default features.

use burn::module::{Module, Param, RunningState};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::norm::{Normalization, NormalizationConfig};
use burn::nn::{
    BatchNormConfig, GroupNormConfig, LayerNormConfig, Linear, LinearConfig, RmsNormConfig,
};
use burn::optim::{AdamConfig, AdamState, GradientsParams, Optimizer};
use burn::tensor::{Device, Int, Tensor, TensorData, activation::relu};
use evenkeel_peers::{
    BATCH, Case, Dtype, EPS, GROUPS, Job, LR, Layer, Outputs, WIDTHS, Work, batches, digits, job,
};

fn main() {
    evenkeel_peers::main("burn", |case, inputs| match (case.dtype, case.work) {
        (Dtype::F64, _) => None,
        (_, Work::Digits) => digits_job(case.layer, case.shape[0], inputs),
        (_, Work::Adam) => Some(Box::new(Adam::new(inputs))),
        _ => match case.shape[..] {
            [n, c] => layer_job(case, [n, c], inputs),
            [n, c, h, w] => layer_job(case, [n, c, h, w], inputs),
            _ => None,
        },
    });
}

fn tensor<const D: usize>(shape: [usize; D], values: &[f64], device: &Device) -> Tensor<D> {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let values: Vec<f32> = tensor.into_data().try_to_vec().expect("a tensor of f32");
    values.into_iter().map(f64::from).collect()
}

fn norm(layer: Layer, features: usize, device: &Device) -> Normalization {
    let config: NormalizationConfig = match layer {
        Layer::None => NormalizationConfig::Identity,
        Layer::LayerNorm => LayerNormConfig::new(features).with_epsilon(EPS).into(),
        Layer::RMSNorm => RmsNormConfig::new(features).with_epsilon(EPS).into(),
        Layer::BatchNorm => BatchNormConfig::new(features).with_epsilon(EPS).into(),
        Layer::GroupNorm => GroupNormConfig::new(GROUPS, features).with_epsilon(EPS).into(),
    };
    config.init(device)
}

fn layer_job<const D: usize>(
    case: &Case,
    shape: [usize; D],
    inputs: &[Vec<f64>],
) -> Option<Box<dyn Job>> {
    let [x, w, gamma, beta, mean, variance] = inputs else { unreachable!("inputs of a layer") };
    let kept = !matches!(case.work, Work::Forward | Work::Eval);
    // BatchNorm is in training mode when its device differentiates.
    let training = kept || (case.layer == Layer::BatchNorm && case.work == Work::Forward);
    let device = if training { Device::flex().autodiff() } else { Device::flex() };

    let row = |values: &[f64]| tensor([case.features()], values, &device);
    let parameter = |values| Param::from_tensor(row(values)).set_require_grad(kept);
    let (gamma, beta) = (parameter(gamma), parameter(beta));
    let leaves = match case.layer {
        Layer::RMSNorm => vec![gamma.val()],
        _ => vec![gamma.val(), beta.val()],
    };
    let mut norm = norm(case.layer, case.features(), &device);
    match &mut norm {
        Normalization::Layer(norm) => (norm.gamma, norm.beta) = (gamma, Some(beta)),
        Normalization::Rms(norm) => norm.gamma = gamma,
        Normalization::Group(norm) => (norm.gamma, norm.beta) = (Some(gamma), Some(beta)),
        Normalization::Batch(norm) => {
            (norm.gamma, norm.beta) = (gamma, beta);
            norm.running_mean = RunningState::new(row(mean));
            norm.running_var = RunningState::new(row(variance));
        }
        _ => return None,
    }

    let (x, w) = (tensor(shape, x, &device), tensor(shape, w, &device));
    match case.work {
        Work::Forward | Work::Eval => job(move || norm.forward(x.clone()), |y| vec![numbers(y)]),
        Work::Train => {
            let x = x.require_grad();
            let leaf = x.clone();
            let train = move || {
                let y = norm.forward(x.clone());
                let gradients = (y.clone() * w.clone()).sum().backward();
                (y, gradients)
            };
            job(train, move |(y, gradients)| {
                let dx = leaf.grad(&gradients).expect("a gradient of x");
                let gradient =
                    |leaf: &Tensor<1>| numbers(leaf.grad(&gradients).expect("a gradient"));
                [numbers(y), numbers(dx)].into_iter().chain(leaves.iter().map(gradient)).collect()
            })
        }
        _ => None, // backward starts from a loss only
    }
}

fn adam() -> AdamConfig {
    AdamConfig::new().with_epsilon(1e-8)
}

struct Adam {
    adam: burn::optim::Adam,
    p: Option<Tensor<1>>,
    gradients: Vec<Tensor<1>>,
    state: Option<AdamState<1>>,
    turn: usize,
}

impl Adam {
    fn new(inputs: &[Vec<f64>]) -> Self {
        let mut tensors =
            inputs.iter().map(|values| tensor([values.len()], values, &Device::flex()));
        Self {
            adam: adam().build(),
            p: tensors.next(),
            gradients: tensors.collect(),
            state: None,
            turn: 0,
        }
    }
}

impl Job for Adam {
    fn run(&mut self, times: u64) {
        for _ in 0..times {
            let (p, gradient) = (self.p.take().expect("parameters"), &self.gradients[self.turn]);
            let (p, state) = self.adam.step(LR, p, gradient.clone(), self.state.take());
            (self.p, self.state, self.turn) = (Some(p), state, 1 - self.turn);
        }
    }

    fn outputs(&mut self) -> Outputs {
        self.run(1);
        self.p.clone().map(numbers).into_iter().collect()
    }
}

#[derive(Module, Debug)]
struct Network {
    linears: Vec<Linear>,
    norms: Vec<Normalization>,
}

impl Network {
    fn new(layer: Layer, weights: &[Vec<f64>], device: &Device) -> Self {
        let linear = |(pair, weight): (&[usize], &Vec<f64>)| {
            let mut linear = LinearConfig::new(pair[0], pair[1]).init(device);
            // burn keeps [in, out].
            let (inputs, outputs) = (pair[0], pair[1]);
            let column = |i| (0..outputs).map(move |o| weight[o * inputs + i]);
            let weight: Vec<f64> = (0..inputs).flat_map(column).collect();
            linear.weight = Param::from_tensor(tensor([inputs, outputs], &weight, device));
            linear.bias = Some(Param::from_tensor(Tensor::zeros([pair[1]], device)));
            linear
        };
        Self {
            linears: WIDTHS.windows(2).zip(weights).map(linear).collect(),
            norms: WIDTHS[1..5].iter().map(|&width| norm(layer, width, device)).collect(),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let mut h = x;
        for (linear, norm) in self.linears.iter().zip(&self.norms) {
            h = relu(norm.forward(linear.forward(h)));
        }
        self.linears[self.norms.len()].forward(h)
    }
}

fn digits_job(layer: Layer, steps: usize, weights: &[Vec<f64>]) -> Option<Box<dyn Job>> {
    let device = Device::flex().autodiff();
    let rows = |pixels: Vec<f32>| {
        let shape = [pixels.len() / WIDTHS[0], WIDTHS[0]];
        Tensor::<2>::from_data(TensorData::new(pixels, shape), &device)
    };
    let batch = |(pixels, targets): (_, Vec<usize>)| {
        let targets: Vec<i32> = targets.into_iter().map(|target| target as i32).collect();
        let targets: Tensor<1, Int> = Tensor::from_data(TensorData::new(targets, [BATCH]), &device);
        (rows(pixels), targets)
    };
    let batches: Vec<_> = batches().into_iter().map(batch).collect();
    let all = rows(digits().0);
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);
    let weights = weights.to_vec();
    let train = move || {
        let mut network = Network::new(layer, &weights, &device);
        let mut adam = adam().init();
        for (x, targets) in batches.iter().cycle().take(steps) {
            let logits = network.forward(x.clone());
            let gradients = cross_entropy.forward(logits, targets.clone()).backward();
            let gradients = GradientsParams::from_grads(gradients, &network);
            network = adam.step(LR, network, gradients);
        }
        network
    };
    job(train, move |network| vec![numbers(network.forward(all.clone()))])
}
