//! The optimisers, and what they share: the checks and the memory.

mod adam;
mod adam_w;
mod moments;
mod schedule;
mod sgd;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::engine::autograd::{Node, Value};
use crate::engine::{Gradients, Module, Tensor, shape};
use crate::machine::Float;

pub use adam::Adam;
pub use adam_w::AdamW;
pub use moments::Moments;
pub use schedule::warmup;
pub use sgd::Sgd;

/// A setting that must be finite and at least 0: a learning rate, an eps, a weight decay.
#[track_caller]
pub(crate) fn at_least_0(optimiser: &str, name: &str, value: f64) -> f64 {
    assert!(
        value >= 0.0 && value.is_finite(),
        "{optimiser}: expected a finite {name} of at least 0, got {value}"
    );
    value
}

/// The weight of the past in a running mean: 1 would never let anything new in.
#[track_caller]
pub(crate) fn below_1(optimiser: &str, name: &str, value: f64) -> f64 {
    assert!(
        (0.0..1.0).contains(&value),
        "{optimiser}: expected {name} in 0 ≤ {name} < 1, got {value}"
    );
    value
}

// ANCHOR: reached
/// The parameters of a module with the gradient of each, or a panic that names the first one that
/// cannot be moved. It comes before every step, so that a refused step moves nothing.
///
/// A constant in a layer stays where it is. One that stands by itself, in a tuple or a list, was meant
/// to be trained, and is refused.
#[track_caller]
pub(crate) fn reached<'m, 'g, T: Float>(
    optimiser: &str,
    module: &'m mut impl Module<T>,
    gradients: &'g Gradients<T>,
) -> Vec<(&'m mut Tensor<T>, &'g Tensor<T>)> {
    let mut name_of = HashMap::new();
    let mut reached = Vec::new();
    for (name, tensor) in module.tensors_mut() {
        let by_itself = name.chars().all(|c| c.is_ascii_digit() || c == '.');
        let (shape, label) = (tensor.shape(), [" ", &name].concat());
        let label = label.trim_end();
        let Some(leaf) = leaf(tensor) else {
            assert!(
                !by_itself && tensor.node.is_none(),
                "{optimiser}: tensor{label} of shape {shape:?} is no parameter: make it with Tensor::parameter"
            );
            continue;
        };
        if let Some(first) = name_of.insert(leaf.id, name.clone()) {
            panic!(
                "{optimiser}: parameter{label} of shape {shape:?} was given before, as parameter {first}"
            );
        }
        let Some(gradient) = gradients.get(tensor) else {
            panic!(
                "{optimiser}: no gradient reached parameter{label} of shape {shape:?}: was it used in the forward pass of this loss?"
            )
        };
        let what = format!("a gradient for parameter{label}");
        shape::exactly(optimiser, &what, shape, gradient.shape());
        reached.push((tensor, gradient));
    }
    assert!(!reached.is_empty(), "{optimiser}: expected at least one parameter, got none");
    reached
}
// ANCHOR_END: reached

/// The node of a parameter; `None` for a constant and for the result of an operation.
pub(crate) fn leaf<T: Float>(tensor: &Tensor<T>) -> Option<&Arc<Node<T>>> {
    tensor.node.as_ref().filter(|node| node.is_leaf())
}

/// The numbers of a tensor, to be changed: in place if nobody else holds them, else in a copy that
/// is the tensor's own from here on.
pub(crate) fn numbers<T: Float>(tensor: &mut Tensor<T>) -> &mut [T] {
    tensor.value.as_mut_slice()
}

/// What a running mean starts from.
pub(crate) fn zeros_like<T: Float>(tensor: &Tensor<T>) -> Tensor<T> {
    Tensor::from_value(Value::full(tensor.value.raw_dim(), T::zero()))
}

/// What an optimiser remembers of each parameter, for as long as the parameter lives.
#[derive(Clone, Debug)]
pub(crate) struct Memory<T: Float, S> {
    /// By the parameter's id, which is never given twice. The weak handle tells when it is gone.
    of: HashMap<u64, (Weak<Node<T>>, S)>,
}

impl<T: Float, S> Memory<T, S> {
    pub(crate) fn new() -> Self {
        Self { of: HashMap::new() }
    }

    pub(crate) fn get(&self, parameter: &Tensor<T>) -> Option<&S> {
        self.of.get(&leaf(parameter)?.id).map(|(_, state)| state)
    }

    /// What is remembered of `parameter`, which is `first()` at the first sight of it.
    pub(crate) fn of(&mut self, parameter: &Tensor<T>, first: impl FnOnce() -> S) -> &mut S {
        let leaf = leaf(parameter).expect("checked to be a parameter");
        &mut self.of.entry(leaf.id).or_insert_with(|| (Arc::downgrade(leaf), first())).1
    }

    /// Replaces what is remembered, position by position.
    #[track_caller]
    pub(crate) fn replace<'a>(
        &mut self,
        optimiser: &str,
        states: impl IntoIterator<Item = (&'a Tensor<T>, S)>,
    ) where
        T: 'a,
    {
        let (mut of, mut position_of) = (HashMap::new(), HashMap::new());
        for (position, (parameter, state)) in states.into_iter().enumerate() {
            let shape = parameter.shape();
            let Some(leaf) = leaf(parameter) else {
                panic!("{optimiser}: tensor {position} of shape {shape:?} is no parameter")
            };
            if let Some(first) = position_of.insert(leaf.id, position) {
                panic!(
                    "{optimiser}: parameter {position} of shape {shape:?} was given before, at position {first}"
                );
            }
            of.insert(leaf.id, (Arc::downgrade(leaf), state));
        }
        self.of = of;
    }

    /// Drops what belongs to parameters that no longer exist. `known` parameters were just seen, so
    /// there is nothing to look for unless more than these are remembered.
    pub(crate) fn forget_the_gone(&mut self, known: usize) {
        if self.of.len() > known {
            self.of.retain(|_, (leaf, _)| leaf.strong_count() > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    #[test]
    #[should_panic(expected = "Adam: expected a gradient for parameter of shape [3], got [2]")]
    fn panics_when_a_gradient_has_another_shape() {
        let w = Tensor::parameter(array![1.0, 2.0]);
        let gradients = w.sum().backward();
        // No public call changes the shape of a parameter; this is what one would lead to.
        let mut grown = Tensor { value: Tensor::new(array![1.0, 2.0, 3.0]).value, ..w };
        reached("Adam", &mut grown, &gradients);
    }

    #[test]
    fn forgets_a_parameter_that_is_gone_and_keeps_one_that_rests() {
        let (kept, gone) = (Tensor::<f64>::parameter(array![1.0]), Tensor::parameter(array![2.0]));
        let mut memory = Memory::new();
        for parameter in [&kept, &gone] {
            memory.of(parameter, || Array1::<f64>::zeros(1));
        }
        drop(gone);
        memory.forget_the_gone(1);
        assert_eq!(memory.of.len(), 1);
        assert!(memory.get(&kept).is_some());
    }
}
