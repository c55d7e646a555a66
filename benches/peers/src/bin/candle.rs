//! candle. Its LayerNorm and RMSNorm are fused for the forward pass and have no backward: a
//! gradient stops at them without a word. So what is trained are the composed operations it keeps
//! beside them, and its own layers only where they are differentiable.

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var};
use candle_nn::{
    AdamW, BatchNorm, GroupNorm, LayerNorm, Linear, Module, ModuleT, Optimizer, ParamsAdamW,
    RmsNorm, loss, ops,
};
use evenkeel_peers::{
    BATCH, Case, Dtype, EPS, GROUPS, Job, LR, Layer, Outputs, WIDTHS, Work, batches, digits, job,
};

fn main() {
    evenkeel_peers::main("candle", |case, inputs| {
        if case.dtype == Dtype::F64 {
            return None;
        }
        let job = match case.work {
            Work::Digits => digits_job(case.layer, case.shape[0], inputs),
            Work::Adam => adam_job(inputs),
            _ => layer_job(case, inputs),
        };
        job.expect("candle does what it is asked")
    });
}

fn tensor(shape: &[usize], values: &[f64]) -> Result<Tensor> {
    let values = values.iter().map(|&value| value as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

fn var(shape: &[usize], values: &[f64]) -> Result<Var> {
    Var::from_tensor(&tensor(shape, values)?)
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let values: Vec<f32> =
        tensor.flatten_all().and_then(|flat| flat.to_vec1()).expect("a tensor of f32");
    values.into_iter().map(f64::from).collect()
}

/// A layer through which gradients flow.
enum Norm {
    None,
    Layer(Tensor, Tensor),
    Rms(Tensor),
    Batch(BatchNorm),
    Group(GroupNorm),
}

impl Norm {
    fn new(layer: Layer, gamma: &Tensor, beta: &Tensor, running: [Tensor; 2]) -> Result<Self> {
        let (gamma, beta) = (gamma.clone(), beta.clone());
        let features = gamma.elem_count();
        let [mean, variance] = running;
        Ok(match layer {
            Layer::None => Self::None,
            Layer::LayerNorm => Self::Layer(gamma, beta),
            Layer::RMSNorm => Self::Rms(gamma),
            Layer::BatchNorm => {
                Self::Batch(BatchNorm::new(features, mean, variance, gamma, beta, EPS)?)
            }
            Layer::GroupNorm => Self::Group(GroupNorm::new(gamma, beta, features, GROUPS, EPS)?),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::None => Ok(x.clone()),
            Self::Layer(gamma, beta) => ops::layer_norm_slow(x, gamma, beta, EPS as f32),
            Self::Rms(gamma) => ops::rms_norm_slow(x, gamma, EPS as f32),
            Self::Batch(norm) => norm.forward_train(x),
            Self::Group(norm) => norm.forward(x),
        }
    }
}

fn layer_job(case: &Case, inputs: &[Vec<f64>]) -> Result<Option<Box<dyn Job>>> {
    let [x, w, gamma, beta, mean, variance] = inputs else { unreachable!("inputs of a layer") };
    let features = [case.features()];
    let running = [tensor(&features, mean)?, tensor(&features, variance)?];
    let read = |y: Tensor| -> Outputs { vec![numbers(&y)] };
    if matches!(case.work, Work::Forward | Work::Eval) {
        let x = tensor(&case.shape, x)?;
        let (gamma, beta) = (tensor(&features, gamma)?, tensor(&features, beta)?);
        let norm = Norm::new(case.layer, &gamma, &beta, running)?;
        return Ok(match (norm, case.work) {
            (Norm::Layer(gamma, beta), _) => {
                let norm = LayerNorm::new(gamma, beta, EPS);
                job(move || norm.forward(&x).expect("a forward pass"), read)
            }
            (Norm::Rms(gamma), _) => {
                let norm = RmsNorm::new(gamma, EPS);
                job(move || norm.forward(&x).expect("a forward pass"), read)
            }
            (Norm::Batch(norm), Work::Eval) => {
                job(move || norm.forward_t(&x, false).expect("a forward pass"), read)
            }
            (norm, _) => job(move || norm.forward(&x).expect("a forward pass"), read),
        });
    }
    if case.work != Work::Train {
        return Ok(None); // backward starts from a loss only
    }

    let (x, w) = (var(&case.shape, x)?, tensor(&case.shape, w)?);
    let (gamma, beta) = (var(&features, gamma)?, var(&features, beta)?);
    let norm = Norm::new(case.layer, &gamma, &beta, running)?;
    let mut leaves = vec![x.clone(), gamma, beta];
    if case.layer == Layer::RMSNorm {
        leaves.pop();
    }
    let train = move || -> Result<(Tensor, GradStore)> {
        let y = norm.forward(&x)?;
        let gradients = (&y * &w)?.sum_all()?.backward()?;
        Ok((y, gradients))
    };
    Ok(job(
        move || train().expect("a training step"),
        move |(y, gradients)| {
            let gradient = |leaf: &Var| numbers(gradients.get(leaf).expect("a gradient"));
            std::iter::once(numbers(&y)).chain(leaves.iter().map(gradient)).collect()
        },
    ))
}

fn adam(parameters: Vec<Var>) -> Result<AdamW> {
    AdamW::new(parameters, ParamsAdamW { lr: LR, weight_decay: 0.0, ..ParamsAdamW::default() })
}

fn adam_job(inputs: &[Vec<f64>]) -> Result<Option<Box<dyn Job>>> {
    let [p, gradients @ ..] = inputs else { unreachable!("Adam starts from parameters") };
    let shape = [p.len()];
    let p = var(&shape, p)?;
    let gradient = |g: &Vec<f64>| (p.as_tensor() * tensor(&shape, g)?)?.sum_all()?.backward();
    let gradients: Vec<GradStore> = gradients.iter().map(gradient).collect::<Result<_>>()?;
    let (mut adam, mut turn) = (adam(vec![p.clone()])?, 0);
    let step = move || {
        adam.step(&gradients[turn]).expect("a step");
        turn = 1 - turn;
    };
    Ok(job(step, move |()| vec![numbers(&p)]))
}

struct Network {
    linears: Vec<Linear>,
    norms: Vec<Norm>,
    parameters: Vec<Var>,
}

impl Network {
    fn new(layer: Layer, weights: &[Vec<f64>]) -> Result<Self> {
        let (mut linears, mut norms, mut parameters) = (Vec::new(), Vec::new(), Vec::new());
        for (pair, weight) in WIDTHS.windows(2).zip(weights) {
            let (weight, bias) =
                (var(&[pair[1], pair[0]], weight)?, var(&[pair[1]], &vec![0.0; pair[1]])?);
            linears.push(Linear::new(weight.as_tensor().clone(), Some(bias.as_tensor().clone())));
            parameters.extend([weight, bias]);
        }
        for &width in &WIDTHS[1..5] {
            let constant = |value| var(&[width], &vec![value; width]);
            let (gamma, beta) = (constant(1.0)?, constant(0.0)?);
            let running = [constant(0.0)?.into_inner(), constant(1.0)?.into_inner()];
            norms.push(Norm::new(layer, &gamma, &beta, running)?);
            match layer {
                Layer::None => {}
                Layer::RMSNorm => parameters.push(gamma),
                _ => parameters.extend([gamma, beta]),
            }
        }
        Ok(Self { linears, norms, parameters })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = x.clone();
        for (linear, norm) in self.linears.iter().zip(&self.norms) {
            h = norm.forward(&linear.forward(&h)?)?.relu()?;
        }
        self.linears[self.norms.len()].forward(&h)
    }
}

fn digits_job(layer: Layer, steps: usize, weights: &[Vec<f64>]) -> Result<Option<Box<dyn Job>>> {
    let rows = |pixels, n| Tensor::from_vec(pixels, (n, WIDTHS[0]), &Device::Cpu);
    let batch = |(pixels, targets): (_, Vec<usize>)| {
        let targets = targets.into_iter().map(|target| target as u32).collect();
        Ok((rows(pixels, BATCH)?, Tensor::from_vec(targets, BATCH, &Device::Cpu)?))
    };
    let batches: Vec<(Tensor, Tensor)> = batches().into_iter().map(batch).collect::<Result<_>>()?;
    let (pixels, targets) = digits();
    let all = rows(pixels, targets.len())?;
    let weights = weights.to_vec();
    let train = move || -> Result<Network> {
        let network = Network::new(layer, &weights)?;
        let mut adam = adam(network.parameters.clone())?;
        for (x, targets) in batches.iter().cycle().take(steps) {
            adam.backward_step(&loss::cross_entropy(&network.forward(x)?, targets)?)?;
        }
        Ok(network)
    };
    Ok(job(
        move || train().expect("a training run"),
        move |network| vec![numbers(&network.forward(&all).expect("logits"))],
    ))
}
