//! The 4-8-3 network on Iris, with a [`LayerNorm`] before its ReLU or without one, and its training: copy
//! what you need.

use evenkeel::datasets::{self, Standardizer};
use evenkeel::{Adam, LayerNorm, Linear, Module, Named, Tensor, cross_entropy, named};
use rand::Rng;

/// The flowers, shuffled and split: 120 to train on, 30 to test.
pub struct Flowers {
    /// The training set.
    pub train: Examples,
    /// The test set.
    pub test: Examples,
}

/// Standardized features, `[flowers, 4]`, and the species of each flower.
pub struct Examples {
    /// The measurements, a row for each flower.
    pub x: Tensor,
    /// Their species.
    pub species: Vec<usize>,
}

impl Flowers {
    /// Fisher's flowers, shuffled, split and standardised by the training set.
    pub fn deal(rng: &mut impl Rng) -> Self {
        let (train, test) = datasets::iris().split(30, rng);
        // Fitted to the training flowers alone: the test flowers must stay unknown until the test.
        let standardizer = Standardizer::fit(&train.features);
        let [train, test] = [train, test].map(|data| Examples {
            x: Tensor::new(standardizer.apply(&data.features)),
            species: data.targets,
        });
        Self { train, test }
    }
}

/// A network that can be trained.
pub trait Network: Module {
    /// From features to one logit per species.
    fn forward(&self, x: &Tensor) -> Tensor;
}

/// The network of section 14.7, from bare tensors.
pub struct TensorNetwork {
    w1: Tensor,
    b1: Tensor,
    norm: Option<LayerNorm>,
    w2: Tensor,
    b2: Tensor,
}

impl TensorNetwork {
    /// The network with random first weights, with the layer or without.
    pub fn new(norm: Option<LayerNorm>, rng: &mut impl Rng) -> Self {
        let mut half_normal = |shape: [usize; 2]| (Tensor::randn(shape, rng) * 0.5).trainable();
        Self {
            w1: half_normal([4, 8]),
            b1: Tensor::zeros([8]).trainable(),
            norm,
            w2: half_normal([8, 3]),
            b2: Tensor::zeros([3]).trainable(),
        }
    }
}

impl Network for TensorNetwork {
    fn forward(&self, x: &Tensor) -> Tensor {
        let h = x.matmul(&self.w1) + &self.b1;
        let h = match &self.norm {
            Some(norm) => norm.forward(&h), // before the activation
            None => h,
        };
        h.relu().matmul(&self.w2) + &self.b2
    }
}

impl Module for TensorNetwork {
    fn tensors_mut(&mut self) -> Named<'_> {
        let Self { w1, b1, norm, w2, b2 } = self;
        named([("w1", w1), ("b1", b1), ("norm", norm), ("w2", w2), ("b2", b2)])
    }
}

/// The same network from layers, whose first weights [`Linear`] chooses.
pub struct LinearNetwork {
    hidden: Linear,
    norm: Option<LayerNorm>,
    output: Linear,
}

impl LinearNetwork {
    /// The network with random first weights, with the layer or without.
    pub fn new(norm: Option<LayerNorm>, rng: &mut impl Rng) -> Self {
        Self { hidden: Linear::new(4, 8, rng), norm, output: Linear::new(8, 3, rng) }
    }
}

impl Network for LinearNetwork {
    fn forward(&self, x: &Tensor) -> Tensor {
        let h = self.hidden.forward(x);
        let h = match &self.norm {
            Some(norm) => norm.forward(&h),
            None => h,
        };
        self.output.forward(&h.relu())
    }
}

impl Module for LinearNetwork {
    fn tensors_mut(&mut self) -> Named<'_> {
        let Self { hidden, norm, output } = self;
        named([("hidden", hidden), ("norm", norm), ("output", output)])
    }
}

/// How well a network does on some examples.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// The mean cross-entropy.
    pub loss: f64,
    /// The number of flowers that it gets right.
    pub right: usize,
    /// The number of all flowers.
    pub of: usize,
}

impl Score {
    /// Scores the logits. A flower is right if its largest logit is that of its species.
    pub fn new(logits: &Tensor, loss: &Tensor, species: &[usize]) -> Self {
        let right =
            logits.argmax().iter().zip(species).filter(|(guess, species)| guess == species).count();
        Self { loss: loss.item(), right, of: species.len() }
    }

    /// The share that is right.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.of as f64
    }
}

/// How well `network` does on `examples`.
pub fn score(network: &impl Network, examples: &Examples) -> Score {
    let logits = network.forward(&examples.x);
    Score::new(&logits, &cross_entropy(&logits, &examples.species), &examples.species)
}

/// Trains with Adam, on every example in every step. Returns the score on `examples` before the first step
/// and after each step: entry `n` is that after `n` steps.
pub fn train(network: &mut impl Network, examples: &Examples, steps: usize) -> Vec<Score> {
    let mut adam = Adam::new(0.01);
    let mut scores = Vec::with_capacity(steps + 1);
    for _ in 0..steps {
        let logits = network.forward(&examples.x);
        let loss = cross_entropy(&logits, &examples.species);
        scores.push(Score::new(&logits, &loss, &examples.species));
        adam.step(&mut *network, &loss.backward());
    }
    scores.push(score(network, examples));
    scores
}
