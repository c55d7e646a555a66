//! [`Sgd`]: a step against the gradient, with momentum.

use super::{States, at_least_0, below_1, numbers, reached, zeros_like};
use crate::engine::{Gradients, Module, Tensor, shape};
use crate::machine::Float;

/// Gradient descent: each parameter moves by `-lr` times its gradient.
///
/// ```text
/// g = dp + λ·p        u = μ·u + g        p = p - lr·u        (Nesterov: p = p - lr·(g + μ·u))
/// ```
///
/// where `dp` is the gradient of the parameter `p`, `λ` the weight decay, `μ` the momentum, and `u`
/// the velocity, which starts at 0.
///
/// # Defaults
/// `μ` 0, `λ` 0, no Nesterov: plain gradient descent, as in PyTorch. `lr` has no default here
/// (0.001 in PyTorch).
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::{Sgd, Tensor};
/// use ndarray::array;
///
/// let mut w = Tensor::parameter(array![1.0]);
/// let mut sgd = Sgd::new(0.1).with_momentum(0.5);
/// for expected in [1.0 - 0.1 * 2.0, 0.8 - 0.1 * (0.5 * 2.0 + 1.6)] { // gradients 2 and 1.6
///     let loss = w.square().sum();
///     sgd.step(&mut w, &loss.backward());
///     assert_relative_eq!(w.item(), expected, epsilon = 1e-15);
/// }
/// ```
///
/// *Differs from PyTorch in*: a parameter without a gradient, or given twice, is refused; gradients
/// are an argument of `step`; there is no dampening; the momentum is below 1; Nesterov without
/// momentum is plain descent and not an error.
///
/// Papers: Polyak, *Some methods of speeding up the convergence of iteration methods*, 1964; for
/// Nesterov's form Sutskever, Martens, Dahl, Hinton, *On the importance of initialization and
/// momentum in deep learning*, 2013, section 2 (there `lr` is part of the velocity, here and in
/// PyTorch it is not: the steps are the same while `lr` is constant). Page:
/// `book/src/using_layer_norm.md`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Sgd<T: Float = f64> {
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    nesterov: bool,
    maximize: bool,
    /// Empty without momentum.
    velocities: States<T, Tensor<T>>,
}

impl<T: Float> Sgd<T> {
    /// An optimiser with the learning rate `lr`.
    ///
    /// # Panics
    /// If `lr` is negative, infinite or NaN.
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        Self {
            lr: at_least_0("Sgd", "lr", lr),
            momentum: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            maximize: false,
            velocities: States::new(),
        }
    }

    /// The share of the velocity that is kept at each step; the default is 0. In the long run a
    /// constant gradient moves a parameter by `lr/(1 - μ)` times the gradient: 0.9 acts as 10 times
    /// the `lr`.
    ///
    /// # Panics
    /// If it is outside 0 ≤ μ < 1.
    #[track_caller]
    pub fn with_momentum(mut self, momentum: f64) -> Self {
        self.momentum = below_1("Sgd", "momentum", momentum);
        self
    }

    /// With `true`, steps by the velocity that the *next* step would have with the same gradient.
    /// The default is `false`.
    pub fn with_nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }

    /// The weight `λ` of the penalty `λ/2·p²`, whose gradient `λ·p` is added to `dp`; the default
    /// is 0.
    ///
    /// # Panics
    /// If it is negative, infinite or NaN.
    #[track_caller]
    pub fn with_weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = at_least_0("Sgd", "weight_decay", weight_decay);
        self
    }

    /// With `true`, steps along the gradient, to maximize the loss. The default is `false`.
    pub fn with_maximize(mut self, maximize: bool) -> Self {
        self.maximize = maximize;
        self
    }

    /// The learning rate of the next step.
    pub fn lr(&self) -> f64 {
        self.lr
    }

    /// Sets the learning rate of the next step, for a schedule such as [`warmup`](crate::warmup()).
    ///
    /// # Panics
    /// If `lr` is negative, infinite or NaN.
    #[track_caller]
    pub fn set_lr(&mut self, lr: f64) {
        self.lr = at_least_0("Sgd", "lr", lr);
    }

    /// The velocity `u` of a parameter; `None` before its first step with momentum.
    pub fn velocity(&self, parameter: &Tensor<T>) -> Option<&Tensor<T>> {
        self.velocities.get(parameter)
    }

    /// Continues from the velocities of another optimiser. All earlier ones, also of other
    /// parameters, are dropped.
    ///
    /// # Panics
    /// If a tensor is no parameter or was given before, or its velocity is of another shape.
    #[track_caller]
    pub fn resume<'a>(&mut self, velocities: impl IntoIterator<Item = (&'a Tensor<T>, Tensor<T>)>) {
        let velocities: Vec<_> = velocities.into_iter().collect();
        for (parameter, velocity) in &velocities {
            shape::exactly("Sgd", "a velocity", parameter.shape(), velocity.shape());
        }
        self.velocities.replace("Sgd", velocities);
    }

    /// Updates every parameter of a module. All parameters are checked before the first one moves.
    ///
    /// A module is a tensor, a layer, a network of yours, or a tuple of them:
    /// `(&mut w, &mut layer)`. The velocity of a dropped parameter is dropped. Constants within a
    /// layer stay as they are.
    ///
    /// # Panics
    /// As [`Adam::step`](crate::Adam::step). A step that is refused moves nothing.
    // ANCHOR: step
    #[track_caller]
    pub fn step(&mut self, mut module: impl Module<T>, gradients: &Gradients<T>) {
        let reached = reached("Sgd", &mut module, gradients);
        let count = reached.len();
        let (lr, mu, l2) = (T::of(self.lr), T::of(self.momentum), T::of(self.weight_decay));

        for (parameter, dp) in reached {
            let velocity = if self.momentum > 0.0 {
                numbers(self.velocities.get_or_insert(parameter, || zeros_like(dp)))
            } else {
                &mut []
            };
            let mut velocity = velocity.iter_mut();
            for (p, &dp) in numbers(parameter).iter_mut().zip(dp.as_slice()) {
                let g = if self.maximize { -dp } else { dp };
                let g = if l2 > T::zero() { g + l2 * *p } else { g };
                let step = velocity.next().map_or(g, |u| {
                    *u = mu * *u + g;
                    if self.nesterov { g + mu * *u } else { *u }
                });
                *p -= lr * step;
            }
        }
        self.velocities.remove_dropped(count);
    }
    // ANCHOR_END: step
}
