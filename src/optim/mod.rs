//! The optimisers, and what they share: checks and the state of each parameter.

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

/// Checks a setting that must be finite and at least 0: a learning rate, an eps, a weight decay.
#[track_caller]
pub(crate) fn at_least_0(optimiser: &str, name: &str, value: f64) -> f64 {
    assert!(
        value >= 0.0 && value.is_finite(),
        "{optimiser}: expected a finite {name} of at least 0, got {value}"
    );
    value
}

/// Checks the decay rate of a running mean: at 1 the mean would never change.
#[track_caller]
pub(crate) fn below_1(optimiser: &str, name: &str, value: f64) -> f64 {
    assert!(
        (0.0..1.0).contains(&value),
        "{optimiser}: expected {name} in 0 ≤ {name} < 1, got {value}"
    );
    value
}

// ANCHOR: reached
/// The parameters of a module, each with its gradient. Panics with the name of the first
/// parameter that cannot be updated. Called before every step, so that a refused step moves
/// nothing.
///
/// A constant in a layer is left out. A constant by itself, in a tuple or a list, was meant to
/// be trained, and is refused.
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

/// The numbers of a tensor, to be changed. They are copied first if another handle shares them.
pub(crate) fn numbers<T: Float>(tensor: &mut Tensor<T>) -> &mut [T] {
    tensor.value.as_mut_slice()
}

/// Zeros in the shape of a tensor: the start of a running mean.
pub(crate) fn zeros_like<T: Float>(tensor: &Tensor<T>) -> Tensor<T> {
    Tensor::from_value(Value::full(tensor.value.raw_dim(), T::zero()))
}

/// An optimiser's state of type `S` for each parameter, kept as long as the parameter lives.
#[derive(Clone, Debug)]
pub(crate) struct States<T: Float, S> {
    /// By the parameter's id, which is never used again. The weak handle shows whether the
    /// parameter lives.
    by_id: HashMap<u64, (Weak<Node<T>>, S)>,
}

impl<T: Float, S> States<T, S> {
    pub(crate) fn new() -> Self {
        Self { by_id: HashMap::new() }
    }

    pub(crate) fn get(&self, parameter: &Tensor<T>) -> Option<&S> {
        self.by_id.get(&leaf(parameter)?.id).map(|(_, state)| state)
    }

    /// The state of `parameter`, which is `first()` if there is none yet.
    pub(crate) fn get_or_insert(
        &mut self,
        parameter: &Tensor<T>,
        first: impl FnOnce() -> S,
    ) -> &mut S {
        let leaf = leaf(parameter).expect("checked to be a parameter");
        &mut self.by_id.entry(leaf.id).or_insert_with(|| (Arc::downgrade(leaf), first())).1
    }

    /// Replaces all states.
    #[track_caller]
    pub(crate) fn replace<'a>(
        &mut self,
        optimiser: &str,
        states: impl IntoIterator<Item = (&'a Tensor<T>, S)>,
    ) where
        T: 'a,
    {
        let (mut by_id, mut position_of) = (HashMap::new(), HashMap::new());
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
            by_id.insert(leaf.id, (Arc::downgrade(leaf), state));
        }
        self.by_id = by_id;
    }

    /// Removes the states of dropped parameters. `updated` parameters were just seen, so the map is
    /// searched only if it holds more states than `updated`.
    pub(crate) fn remove_dropped(&mut self, updated: usize) {
        if self.by_id.len() > updated {
            self.by_id.retain(|_, (leaf, _)| leaf.strong_count() > 0);
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
        // No public call changes the shape of a parameter, so this test builds such a tensor by
        // hand.
        let mut grown = Tensor { value: Tensor::new(array![1.0, 2.0, 3.0]).value, ..w };
        reached("Adam", &mut grown, &gradients);
    }

    #[test]
    fn forgets_a_parameter_that_is_gone_and_keeps_one_that_rests() {
        let (kept, gone) = (Tensor::<f64>::parameter(array![1.0]), Tensor::parameter(array![2.0]));
        let mut states = States::new();
        for parameter in [&kept, &gone] {
            states.get_or_insert(parameter, || Array1::<f64>::zeros(1));
        }
        drop(gone);
        states.remove_dropped(1);
        assert_eq!(states.by_id.len(), 1);
        assert!(states.get(&kept).is_some());
    }
}
