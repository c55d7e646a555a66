//! [`Adam`]: steps of about `lr` for gradients of any size. Page: `book/src/using_layer_norm.md`.

use super::moments::Update;
use super::{Moments, States, at_least_0, below_1, numbers, reached, zeros_like};
use crate::engine::{Gradients, Module, Tensor};
use crate::machine::Float;

/// Adaptive moment estimation: divides a running mean of the gradient by the root of a running mean
/// of its square.
///
/// ```text
/// m = β₁·m + (1 - β₁)·g        m̂ = m / (1 - β₁ᵗ)
/// v = β₂·v + (1 - β₂)·g²       v̂ = v / (1 - β₂ᵗ)        p = p - lr·m̂ / (√v̂ + eps)
/// ```
///
/// where `g` is the gradient of the parameter `p`, and `t` counts the steps of this parameter, from
/// 1, so that a parameter that joins late also starts with steps of `lr`. (A shared counter that
/// moves once per *parameter* would shrink the first steps of every parameter but the first, a bug
/// that real frameworks shipped.)
///
/// # Defaults
/// betas 0.9 and 0.999, `eps` 1e-8: the paper's, and PyTorch's. No weight decay, no AMSGrad. `lr`
/// has no default here (0.001 in PyTorch).
///
/// ```
/// use evenkeel::{Adam, Tensor};
/// use ndarray::array;
///
/// let mut w = Tensor::parameter(array![5.0, -3.0]);
/// let mut adam = Adam::new(0.1);
/// for _ in 0..200 {
///     let loss = w.square().sum();
///     adam.step(&mut w, &loss.backward());
/// }
/// assert!(w.square().sum().item() < 1e-3); // from 34
/// ```
///
/// # Numerics
/// A NaN or an infinity in a gradient makes that element of the parameter NaN, and no other. `v`
/// holds squares. In `f32`, with the default β₂, a gradient above 5.8e20 makes `v` infinite, and
/// its element never moves again. A gradient below 3.4e-18 loses digits in `v`, and below 8.4e-22
/// leaves `v` at 0. An `eps` of 1e-10 or more outweighs such a small `v`; with a smaller `eps` the
/// steps are too long, and infinite with `eps` 0 (or one that `f32` rounds to 0). In `f64` the
/// three bounds are 4.2e155, 1.5e-153 and 5.0e-161. With `eps` 0, an element whose gradient was
/// always 0 becomes 0/0, NaN.
///
/// *Differs from PyTorch in*: a parameter without a gradient, or given twice, is refused, not
/// skipped or warned about; gradients are an argument of `step`; an infinite `lr`, `eps` or
/// `weight_decay` is refused; parameters with other settings get an optimiser of their own, not a
/// group.
///
/// Paper: Kingma, Ba, *Adam: A Method for Stochastic Optimization*, 2015 (arXiv 1412.6980),
/// algorithm 1. Page: `book/src/using_layer_norm.md`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Adam<T: Float = f64> {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    decay: Decay,
    amsgrad: bool,
    maximize: bool,
    moments: States<T, Moments<T>>,
}

/// What a weight decay λ does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Decay {
    /// Adds λ·p to the gradient of p: Adam.
    Penalty(f64),
    /// Shrinks p itself, to (1 - lr·λ)·p: AdamW.
    Decoupled(f64),
}

impl<T: Float> Adam<T> {
    /// An optimiser with the learning rate `lr`: the size of its first step, for every element of
    /// every parameter.
    ///
    /// # Panics
    /// If `lr` is negative, infinite or NaN.
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        Self::decaying(Decay::Penalty(0.0), lr)
    }

    #[track_caller]
    pub(super) fn decaying(decay: Decay, lr: f64) -> Self {
        let adam = Self {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-8,
            decay,
            amsgrad: false,
            maximize: false,
            moments: States::new(),
        };
        at_least_0(adam.name(), "lr", lr);
        adam
    }

    /// The name of this optimiser in messages.
    fn name(&self) -> &'static str {
        match self.decay {
            Decay::Penalty(_) => "Adam",
            Decay::Decoupled(_) => "AdamW",
        }
    }

    /// The decay rates of the two running means; the default is (0.9, 0.999).
    ///
    /// # Panics
    /// If either is outside 0 ≤ β < 1.
    #[track_caller]
    pub fn with_betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.betas = (below_1(self.name(), "beta1", beta1), below_1(self.name(), "beta2", beta2));
        self
    }

    /// The number added to √v̂, outside the root; the default is 1e-8.
    ///
    /// # Panics
    /// If it is negative, infinite or NaN.
    #[track_caller]
    pub fn with_eps(mut self, eps: f64) -> Self {
        self.eps = at_least_0(self.name(), "eps", eps);
        self
    }

    /// The weight `λ` of the penalty `λ/2·p²`, whose gradient `λ·p` is added to `g`; the default is
    /// 0.
    ///
    /// Adam divides `λ·p` by √v̂ like the rest of the gradient, so that an element with large
    /// gradients hardly decays. [`AdamW`](crate::AdamW) decays all elements alike.
    ///
    /// ```
    /// use approx::assert_relative_eq;
    /// use evenkeel::{Adam, Tensor};
    /// use ndarray::array;
    ///
    /// let mut w = Tensor::parameter(array![1.0, -2.0]);
    /// let gradients = (&w * 0.0).sum().backward();
    /// Adam::new(0.1).with_weight_decay(0.01).step(&mut w, &gradients);
    /// let expected = Tensor::new(array![0.9, -1.9]); // by lr towards 0, whatever the decay is
    /// assert_relative_eq!(w, expected, epsilon = 1e-5);
    /// ```
    ///
    /// # Panics
    /// If it is negative, infinite or NaN.
    #[track_caller]
    pub fn with_weight_decay(mut self, weight_decay: f64) -> Self {
        at_least_0(self.name(), "weight_decay", weight_decay);
        let (Decay::Penalty(own) | Decay::Decoupled(own)) = &mut self.decay;
        *own = weight_decay;
        self
    }

    /// With `true`, divides by the root of the *largest* `v` so far: no step grows because gradients
    /// have shrunk. The default is `false`.
    ///
    /// As in PyTorch, the largest `v` is that before the correction `1 - β₂ᵗ` (the paper has no
    /// correction).
    ///
    /// Paper: Reddi, Kale, Kumar, *On the Convergence of Adam and Beyond*, 2018 (arXiv 1904.09237),
    /// algorithm 2.
    pub fn with_amsgrad(mut self, amsgrad: bool) -> Self {
        self.amsgrad = amsgrad;
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
        self.lr = at_least_0(self.name(), "lr", lr);
    }

    /// The state of a parameter, with its count of steps; `None` before its first step.
    pub fn moments(&self, parameter: &Tensor<T>) -> Option<&Moments<T>> {
        self.moments.get(parameter)
    }

    /// Continues from the state of another optimiser. All earlier state, also of other parameters,
    /// is dropped.
    ///
    /// ```
    /// use evenkeel::{Adam, Tensor};
    /// use ndarray::array;
    ///
    /// let mut w = Tensor::parameter(array![5.0, -3.0]);
    /// let mut first = Adam::new(0.1);
    /// let loss = w.square().sum();
    /// first.step(&mut w, &loss.backward());
    ///
    /// let mut second = Adam::new(0.1);
    /// second.resume([(&w, first.moments(&w).unwrap().clone())]);
    /// assert_eq!(second.moments(&w), first.moments(&w));
    /// assert_eq!(second.moments(&w).unwrap().steps, 1);
    /// ```
    ///
    /// # Panics
    /// If a tensor is no parameter or was given before, or its moments are of another shape.
    ///
    /// *PyTorch*: `optimizer.load_state_dict(state)`.
    #[track_caller]
    pub fn resume<'a>(&mut self, moments: impl IntoIterator<Item = (&'a Tensor<T>, Moments<T>)>) {
        let moments: Vec<_> = moments.into_iter().collect();
        for (parameter, moments) in &moments {
            moments.fit(self.name(), parameter);
        }
        self.moments.replace(self.name(), moments);
    }

    /// Updates every parameter of a module. All parameters are checked before the first one moves.
    ///
    /// A module is a tensor, a layer, a network of yours, or a tuple of them:
    /// `(&mut w, &mut layer)`. The set of parameters may change between calls; the state of a
    /// dropped parameter is dropped. Constants within a layer stay as they are.
    ///
    /// # Panics
    /// Names the parameter and its shape: if no gradient reached it, or if it was given twice. Also if
    /// a tensor that stands by itself, in a tuple or a list, is no parameter, and without any
    /// parameter. A step that is refused moves nothing and is not counted.
    // ANCHOR: step
    #[track_caller]
    pub fn step(&mut self, mut module: impl Module<T>, gradients: &Gradients<T>) {
        let reached = reached(self.name(), &mut module, gradients);
        let count = reached.len();

        let (beta1, beta2) = self.betas;
        let (l2, shrink) = self.decay();
        for (parameter, dp) in reached {
            let Moments { steps, m, v, v_max } =
                self.moments.get_or_insert(parameter, || Moments::zeros_like(dp));
            *steps = steps.saturating_add(1);
            let t = *steps as f64; // this parameter's own
            let update = Update {
                sign: if self.maximize { -T::one() } else { T::one() },
                l2,
                shrink,
                beta1: (T::of(beta1), T::of(1.0 - beta1)),
                beta2: (T::of(beta2), T::of(1.0 - beta2)),
                size: T::of(self.lr / (1.0 - beta1.powf(t))),
                root2: T::of(1.0 / (1.0 - beta2.powf(t)).sqrt()),
                eps: T::of(self.eps),
            };
            let v_max = self.amsgrad.then(|| v_max.get_or_insert_with(|| zeros_like(dp)));
            let v_max = v_max.map_or([].as_mut_slice(), numbers);
            update.apply(numbers(parameter), dp.as_slice(), numbers(m), numbers(v), v_max);
        }
        self.moments.remove_dropped(count);
    }
    // ANCHOR_END: step

    /// What the weight decay does at this step: (the share of `p` added to its gradient, the share
    /// of `p` that stays).
    fn decay(&self) -> (T, T) {
        match self.decay {
            Decay::Penalty(weight) => (T::of(weight), T::one()),
            Decay::Decoupled(weight) => (T::zero(), T::of(1.0 - self.lr * weight)),
        }
    }
}
