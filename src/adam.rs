//! [`Adam`]: steps of about `lr` for any gradient. Page: `book/src/using_layer_norm.md`.

use std::collections::HashMap;

use crate::autograd::Gradients;
use crate::{Float, Tensor};

/// Adaptive moment estimation: divides a running mean of the gradient by the root of a running mean
/// of its square.
///
/// ```text
/// m = β₁·m + (1 - β₁)·g        m̂ = m / (1 - β₁ᵗ)
/// v = β₂·v + (1 - β₂)·g²       v̂ = v / (1 - β₂ᵗ)        p = p - lr·m̂ / (√v̂ + eps)
/// ```
///
/// where `g` is the gradient of the parameter `p`, and `t` counts the calls of
/// [`step`](Adam::step), from 1. There is one `t` per optimiser. (A counter that moves once per
/// *parameter* shrinks the first steps of every parameter but the first: a bug that real frameworks
/// shipped.)
///
/// # Defaults
/// betas 0.9 and 0.999, `eps` 1e-8: the paper's, and PyTorch's. `lr` has none here (0.001 there).
///
/// ```
/// use evenkeel::{Adam, Tensor};
/// use ndarray::array;
///
/// let mut w = Tensor::parameter(array![5.0, -3.0]);
/// let mut adam = Adam::new(0.1);
/// for _ in 0..200 {
///     let loss = w.square().sum();
///     adam.step([&mut w], &loss.backward());
/// }
/// assert!(w.square().sum().item() < 1e-3); // from 34
/// ```
///
/// *Differs from PyTorch in*: a parameter without a gradient is refused, not skipped; gradients are
/// handed in.
///
/// Paper: Kingma, Ba, *Adam: A Method for Stochastic Optimization*, 2015 (arXiv 1412.6980),
/// algorithm 1. Page: `book/src/using_layer_norm.md`.
#[derive(Clone, Debug)]
pub struct Adam<T: Float = f64> {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    /// How many steps were taken.
    t: i32,
    /// By the parameter's id.
    moments: HashMap<u64, Moments<T>>,
}

/// The running means of the gradient and of its square, one number of each per number of the
/// parameter.
#[derive(Clone, Debug)]
struct Moments<T> {
    m: Vec<T>,
    v: Vec<T>,
}

impl<T: Float> Adam<T> {
    /// An optimiser with the learning rate `lr`: the size of its first step, for every number of
    /// every parameter.
    ///
    /// # Panics
    /// If `lr` is negative, infinite or NaN.
    #[must_use]
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        assert!(lr >= 0.0 && lr.is_finite(), "Adam: expected a finite lr of at least 0, got {lr}");
        Self { lr, betas: (0.9, 0.999), eps: 1e-8, t: 0, moments: HashMap::new() }
    }

    /// How slowly the two running means forget: the default is (0.9, 0.999).
    ///
    /// # Panics
    /// If either is outside 0 ≤ β < 1.
    #[must_use]
    #[track_caller]
    pub fn with_betas(mut self, beta1: f64, beta2: f64) -> Self {
        for (name, beta) in [("beta1", beta1), ("beta2", beta2)] {
            assert!(
                (0.0..1.0).contains(&beta),
                "Adam: expected {name} in 0 ≤ {name} < 1, got {beta}"
            );
        }
        self.betas = (beta1, beta2);
        self
    }

    /// The number added to √v̂, outside the root; the default is 1e-8.
    ///
    /// # Panics
    /// If it is negative, infinite or NaN.
    #[must_use]
    #[track_caller]
    pub fn with_eps(mut self, eps: f64) -> Self {
        assert!(
            eps >= 0.0 && eps.is_finite(),
            "Adam: expected a finite eps of at least 0, got {eps}"
        );
        self.eps = eps;
        self
    }

    /// Gives every parameter its next value. All are checked before the first one moves.
    ///
    /// `parameters` is anything that yields `&mut Tensor`: `[&mut w, &mut
    /// b].into_iter().chain(layer.parameters_mut())`. Their order and number may change between
    /// calls.
    ///
    /// # Panics
    /// Names the parameter by its position and shape: if no gradient reached it, if it is not a
    /// parameter, or if it was given twice.
    // ANCHOR: step
    #[track_caller]
    pub fn step<'a>(
        &mut self,
        parameters: impl IntoIterator<Item = &'a mut Tensor<T>>,
        gradients: &Gradients<T>,
    ) {
        let mut parameters: Vec<_> = parameters.into_iter().collect();
        let reached = check("Adam", &parameters, gradients);

        self.t += 1;
        let (beta1, beta2) = self.betas;
        let correction1 = 1.0 - beta1.powi(self.t);
        let correction2 = 1.0 - beta2.powi(self.t);
        let (b1, b2, eps) = (T::of(beta1), T::of(beta2), T::of(self.eps));
        let (rest1, rest2) = (T::of(1.0 - beta1), T::of(1.0 - beta2));
        let size = T::of(self.lr / correction1);
        let root2 = T::of(correction2.sqrt());

        for (parameter, (id, dp)) in parameters.iter_mut().zip(reached) {
            let zeros = || vec![T::zero(); dp.value.len()];
            let state =
                self.moments.entry(id).or_insert_with(|| Moments { m: zeros(), v: zeros() });
            let moments = state.m.iter_mut().zip(&mut state.v);
            for ((p, &g), (m, v)) in parameter.value.iter_mut().zip(dp.as_slice()).zip(moments) {
                *m = b1 * *m + rest1 * g;
                *v = b2 * *v + rest2 * g * g;
                *p -= size * *m / (v.sqrt() / root2 + eps);
            }
        }
    }
    // ANCHOR_END: step
}

/// The id and the gradient of each parameter.
#[track_caller]
fn check<'g, T: Float>(
    optimiser: &str,
    parameters: &[&mut Tensor<T>],
    gradients: &'g Gradients<T>,
) -> Vec<(u64, &'g Tensor<T>)> {
    let mut position_of = HashMap::new();
    let mut reached = Vec::with_capacity(parameters.len());
    for (position, parameter) in parameters.iter().enumerate() {
        let shape = parameter.shape();
        let leaf = parameter.node.as_ref().filter(|node| node.is_leaf());
        let Some(leaf) = leaf else {
            panic!(
                "{optimiser}: tensor {position} of shape {shape:?} is no parameter: make it with Tensor::parameter"
            )
        };
        if let Some(first) = position_of.insert(leaf.id, position) {
            panic!(
                "{optimiser}: parameter {position} of shape {shape:?} was given before, at position {first}"
            );
        }
        let Some(gradient) = gradients.get(parameter) else {
            panic!(
                "{optimiser}: no gradient reached parameter {position} of shape {shape:?}: was it used in the forward pass of this loss?"
            )
        };
        reached.push((leaf.id, gradient));
    }
    reached
}
