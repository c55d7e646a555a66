//! [`Module`]: what is made of tensors, and names them. Page: `book/src/tensor.md`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::autograd::Node;
use crate::{Float, Tensor};

/// What is made of tensors: a tensor, a layer, a tuple or a list of modules, a struct of yours.
///
/// Only [`tensors_mut`](Self::tensors_mut) has to be written, with the help of [`named`]:
///
/// ```
/// use evenkeel::{LayerNorm, Linear, Module, Tensor, named};
/// use rand::SeedableRng;
///
/// #[derive(Clone)]
/// struct Network {
///     l1: Linear,
///     norm: LayerNorm,
///     scale: Tensor,
/// }
///
/// impl Module for Network {
///     fn tensors_mut(&mut self) -> Vec<(String, &mut Tensor)> {
///         named([("l1", &mut self.l1), ("norm", &mut self.norm), ("scale", &mut self.scale)])
///     }
/// }
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
/// let scale = Tensor::new(ndarray::array![0.5]); // a constant
/// let mut network = Network { l1: Linear::new(2, 3, &mut rng), norm: LayerNorm::new(3), scale };
/// let names: Vec<String> = network.tensors_mut().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["l1.weight", "l1.bias", "norm.gamma", "norm.beta", "scale"]);
/// assert_eq!(network.parameters_mut().len(), 4);
/// ```
///
/// The pairs of name and tensor are what [`save`](crate::save()) and [`load`](crate::load()) take.
///
/// *PyTorch*: `nn.Module`, with `state_dict()` for the names; a tensor is no module there. Page:
/// `book/src/tensor.md`.
pub trait Module<T: Float = f64> {
    /// All tensors with their names, each once and always in the same order: what is trained, what
    /// is constant, what is remembered of batches.
    fn tensors_mut(&mut self) -> Vec<(String, &mut Tensor<T>)>;

    /// What is trained, for an optimiser's `step`.
    fn parameters_mut(&mut self) -> Vec<&mut Tensor<T>> {
        let tensors = self.tensors_mut().into_iter().map(|(_, tensor)| tensor);
        tensors.filter(|tensor| tensor.is_parameter()).collect()
    }

    /// A module of its own with the same numbers: its parameters are new ones, unknown to gradients
    /// and optimisers, and its constants constants. What happens to one leaves the other alone.
    ///
    /// A *clone* is something else: handles on the same parameters. Its gradient is theirs, and the
    /// part that flows through it adds to it. That makes a difference where two networks stand in one
    /// loss:
    ///
    /// ```
    /// use evenkeel::{Linear, Module, Tensor};
    /// use ndarray::array;
    /// use rand::SeedableRng;
    ///
    /// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    /// let network: Linear = Linear::new(2, 1, &mut rng);
    /// let x = Tensor::new(array![[1.0, 2.0]]);
    /// let loss = |target: &Linear| (network.forward(&x) - target.forward(&x) - 1.0).square().sum();
    ///
    /// // With a clone the same weights stand on both sides and cancel.
    /// assert_eq!(loss(&network.clone()).backward()[&network.weight], Tensor::new(array![[0.0, 0.0]]));
    ///
    /// let mut target = network.copy();
    /// target.freeze();
    /// let gradients = loss(&target).backward();
    /// assert_eq!(gradients[&network.weight], Tensor::new(array![[-2.0, -4.0]])); // 2·(-1)·x
    /// assert_eq!(gradients.len(), 2); // weight and bias of the network, none of the target
    /// ```
    ///
    /// Two handles of one parameter become two handles of one new parameter. Of a `&mut Network`, say
    /// `(*network).copy()`: the reference is a module itself, and cannot be cloned.
    ///
    /// # Panics
    /// If a tensor is the result of an operation: a copy would no longer follow what it was computed
    /// from.
    ///
    /// *PyTorch*: `copy.deepcopy(module)`.
    #[must_use]
    #[track_caller]
    fn copy(&self) -> Self
    where
        Self: Clone,
    {
        let mut copy = self.clone();
        let mut new_leaf = HashMap::new();
        for (name, tensor) in copy.tensors_mut() {
            let Some(node) = &tensor.node else { continue };
            assert!(
                node.is_leaf(),
                "copy: expected constants and parameters, but `{name}` is the result of an operation"
            );
            tensor.node = Some(Arc::clone(new_leaf.entry(node.id).or_insert_with(Node::leaf)));
        }
        copy
    }

    /// Makes constants of all parameters: no gradient reaches them any more, and no optimiser takes
    /// them. Running statistics of a [`BatchNorm`](crate::BatchNorm) still move in `forward_train`.
    ///
    /// ```
    /// use evenkeel::{LayerNorm, Module};
    /// let mut layer: LayerNorm = LayerNorm::new(4);
    /// layer.freeze();
    /// assert!(layer.parameters().is_empty());
    /// ```
    ///
    /// *PyTorch*: `module.requires_grad_(False)`.
    fn freeze(&mut self) {
        for (_, tensor) in self.tensors_mut() {
            *tensor = tensor.detach();
        }
    }
}

/// The tensors of some modules, each after the name of its module and a dot: what
/// [`tensors_mut`](Module::tensors_mut) of a larger module returns.
///
/// A tensor has no name of its own and takes the one given. With the name `""`, a module's names stay
/// as they are.
///
/// ```
/// use evenkeel::{RMSNorm, Tensor, named};
/// use ndarray::array;
///
/// let (mut w, mut norm) = (Tensor::parameter(array![1.0]), RMSNorm::new(8));
/// let tensors = named([("w", &mut w), ("norm", &mut norm)]);
/// assert_eq!((&*tensors[0].0, &*tensors[1].0), ("w", "norm.gamma"));
/// ```
pub fn named<'a, T: Float, const N: usize>(
    modules: [(&str, &'a mut dyn Module<T>); N],
) -> Vec<(String, &'a mut Tensor<T>)> {
    modules.into_iter().flat_map(|(name, module)| below(name, module)).collect()
}

/// The tensors of one module after its name.
fn below<'a, T: Float, M: Module<T> + ?Sized>(
    name: &str,
    module: &'a mut M,
) -> Vec<(String, &'a mut Tensor<T>)> {
    let mut tensors = module.tensors_mut();
    for (own, _) in tensors.iter_mut().filter(|_| !name.is_empty()) {
        *own = if own.is_empty() { name.to_owned() } else { format!("{name}.{own}") };
    }
    tensors
}

/// One tensor, without a name.
impl<T: Float> Module<T> for Tensor<T> {
    fn tensors_mut(&mut self) -> Vec<(String, &mut Tensor<T>)> {
        vec![(String::new(), self)]
    }
}

impl<T: Float, M: Module<T> + ?Sized> Module<T> for &mut M {
    fn tensors_mut(&mut self) -> Vec<(String, &mut Tensor<T>)> {
        (**self).tensors_mut()
    }
}

impl<T: Float, M: Module<T> + ?Sized> Module<T> for Box<M> {
    fn tensors_mut(&mut self) -> Vec<(String, &mut Tensor<T>)> {
        (**self).tensors_mut()
    }
}

/// The tensors of what is there.
impl<T: Float, M: Module<T>> Module<T> for Option<M> {
    fn tensors_mut(&mut self) -> Vec<(String, &mut Tensor<T>)> {
        self.iter_mut().flat_map(M::tensors_mut).collect()
    }
}

/// Modules by their positions: `0.weight`, `1.weight`, as in PyTorch's `nn.ModuleList`.
impl<T: Float, M: Module<T>> Module<T> for [M] {
    fn tensors_mut(&mut self) -> Vec<(String, &mut Tensor<T>)> {
        let numbered = self.iter_mut().enumerate();
        numbered.flat_map(|(position, module)| below(&position.to_string(), module)).collect()
    }
}

impl<T: Float, M: Module<T>, const N: usize> Module<T> for [M; N] {
    fn tensors_mut(&mut self) -> Vec<(String, &mut Tensor<T>)> {
        self.as_mut_slice().tensors_mut()
    }
}

impl<T: Float, M: Module<T>> Module<T> for Vec<M> {
    fn tensors_mut(&mut self) -> Vec<(String, &mut Tensor<T>)> {
        self.as_mut_slice().tensors_mut()
    }
}

/// Tuples name their parts by position, as lists do.
macro_rules! tuples {
    ($($(($part:ident $name:literal $position:tt))+;)+) => {$(
        impl<T: Float, $($part: Module<T>),+> Module<T> for ($($part,)+) {
            fn tensors_mut(&mut self) -> Vec<(String, &mut Tensor<T>)> {
                named([$(($name, &mut self.$position)),+])
            }
        }
    )+};
}

tuples! {
    (A "0" 0);
    (A "0" 0) (B "1" 1);
    (A "0" 0) (B "1" 1) (C "2" 2);
    (A "0" 0) (B "1" 1) (C "2" 2) (D "3" 3);
    (A "0" 0) (B "1" 1) (C "2" 2) (D "3" 3) (E "4" 4);
    (A "0" 0) (B "1" 1) (C "2" 2) (D "3" 3) (E "4" 4) (F "5" 5);
}
