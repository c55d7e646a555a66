//! Reverse-mode differentiation: the graph and `backward`. Page: `book/src/tensor.md`.
//!
//! An operation on tensors makes a [`Node`]. It holds the nodes of the inputs and a *pullback*, the
//! function that turns the gradient of the output into the gradients of the inputs. `backward`
//! visits the nodes from the newest to the oldest. Three decisions keep the code small:
//!
//! * Node ids count up, so an output always has a larger id than its inputs. Visited with the largest
//!   id first, every node has received its whole gradient before its pullback runs. This needs no
//!   recursion and no marks.
//! * A pullback captures arrays, never tensors: it keeps numbers alive, never the graph.
//! * Inputs that lead to no parameter have no node. For them nothing is stored, and no gradient is
//!   computed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::Gradients;
use crate::engine::Tensor;
use crate::engine::shape;
pub(crate) use crate::engine::value::Value;
use crate::machine::Float;

/// Computes the gradient of each input from the gradient of the output; `None` for an input that
/// needs none.
type Pullback<T> = Box<dyn Fn(&Value<T>) -> Vec<Option<Value<T>>> + Send + Sync>;

/// A parameter or the result of an operation, in the graph.
pub(crate) struct Node<T: Float> {
    pub(crate) id: u64,
    inputs: Vec<Option<Arc<Node<T>>>>,
    /// `None` in a leaf, where the gradient is collected.
    pullback: Option<Pullback<T>>,
}

impl<T: Float> Node<T> {
    fn new(inputs: Vec<Option<Arc<Node<T>>>>, pullback: Option<Pullback<T>>) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        // Relaxed is enough: `fetch_add` never returns a number twice, and the inputs of an
        // operation got their numbers before its output does.
        Arc::new(Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), inputs, pullback })
    }

    /// The node of a parameter.
    pub(crate) fn leaf() -> Arc<Self> {
        Self::new(Vec::new(), None)
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.pullback.is_none()
    }
}

impl<T: Float> Drop for Node<T> {
    /// Drops the graph in a loop: recursion through a million nested `Arc`s would overflow the
    /// stack.
    fn drop(&mut self) {
        let mut doomed: Vec<_> = self.inputs.drain(..).flatten().collect();
        while let Some(node) = doomed.pop() {
            if let Some(mut last_handle) = Arc::into_inner(node) {
                doomed.extend(last_handle.inputs.drain(..).flatten());
            }
        }
    }
}

// ANCHOR: record
/// Makes the output of an operation, with a node if any input leads to a parameter.
///
/// `pullback(dy, needs)` receives the gradient of the output and, for each input, whether it
/// needs a gradient.
pub(crate) fn record<T: Float, const N: usize>(
    value: impl Into<Value<T>>,
    inputs: [&Tensor<T>; N],
    pullback: impl Fn(&Value<T>, [bool; N]) -> [Option<Value<T>>; N] + Send + Sync + 'static,
) -> Tensor<T> {
    let value = value.into();
    let nodes = inputs.map(|input| input.node.clone());
    let needs = nodes.each_ref().map(Option::is_some);
    if !needs.contains(&true) {
        return Tensor { value, node: None };
    }
    let node = Node::new(nodes.into(), Some(Box::new(move |dy| pullback(dy, needs).into())));
    Tensor { value, node: Some(node) }
}
// ANCHOR_END: record

impl<T: Float> Tensor<T> {
    /// The gradient of this scalar with respect to every parameter it was computed from.
    ///
    /// The graph is read, not consumed: a second call returns the same gradients. Parameters store
    /// no gradient, so there is nothing to zero before the next step.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// use ndarray::array;
    ///
    /// let w = Tensor::parameter(array![2.0, 3.0]);
    /// let loss = (&w * &w).sum();
    /// let gradients = loss.backward();
    /// assert_eq!(gradients.get(&w).unwrap(), &Tensor::new(array![4.0, 6.0])); // d(w²)/dw = 2w
    /// ```
    ///
    /// # Panics
    /// If the tensor holds more than one value (see [`backward_from`](Self::backward_from)), or if
    /// no parameter led to it.
    ///
    /// *PyTorch*: `loss.backward()`, then `w.grad`. Page: `book/src/tensor.md`.
    #[track_caller]
    pub fn backward(&self) -> Gradients<T> {
        assert!(
            self.value.len() == 1,
            "backward: expected a tensor with one value, got shape {:?}: reduce it with sum() or mean(), or give its gradient to backward_from()",
            self.shape()
        );
        self.backward_from(&Tensor::from_value(Value::full(self.value.raw_dim(), T::one())))
    }

    /// The gradient of `Σ dy · self` with respect to every parameter this tensor was computed from:
    /// [`backward`](Self::backward) for a tensor of any shape, from a given *upstream* gradient
    /// `dy`.
    ///
    /// `dy` has this tensor's shape.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// use ndarray::array;
    ///
    /// let w = Tensor::parameter(array![2.0, 3.0]);
    /// let gradients = (&w * &w).backward_from(&Tensor::new(array![1.0, 10.0]));
    /// assert_eq!(gradients.get(&w).unwrap(), &Tensor::new(array![4.0, 60.0]));
    /// ```
    ///
    /// # Panics
    /// If `dy` has another shape, or if no parameter led to this tensor.
    ///
    /// *PyTorch*: `y.backward(dy)`. Page: `book/src/tensor.md`.
    #[track_caller]
    pub fn backward_from(&self, dy: &Tensor<T>) -> Gradients<T> {
        shape::exactly("backward_from", "an upstream gradient", self.shape(), dy.shape());
        let Some(node) = &self.node else {
            panic!(
                "backward: this tensor was computed from constants only: make the leaf you differentiate by with Tensor::parameter"
            )
        };
        Gradients { of_leaf: walk(Arc::clone(node), dy.value.clone()) }
    }
}

// ANCHOR: walk
/// The gradient of each leaf by its id, from the gradient `dy` of `node`.
fn walk<T: Float>(node: Arc<Node<T>>, dy: Value<T>) -> BTreeMap<u64, Tensor<T>> {
    let mut leaves = BTreeMap::new();
    let mut pending = BTreeMap::from([(node.id, (node, dy))]);
    while let Some((id, (node, dy))) = pending.pop_last() {
        let Some(pullback) = &node.pullback else {
            leaves.insert(id, Tensor::from_value(dy));
            continue;
        };
        for (input, dx) in node.inputs.iter().zip(pullback(&dy)) {
            if let (Some(input), Some(dx)) = (input, dx) {
                match pending.get_mut(&input.id) {
                    Some((_, sum)) => sum.add(&dx),
                    None => drop(pending.insert(input.id, (Arc::clone(input), dx))),
                }
            }
        }
    }
    leaves
}
// ANCHOR_END: walk
