//! [`Module`]: anything made of named tensors. Page: `book/src/tensor.md`.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use crate::engine::Tensor;
use crate::engine::autograd::Node;
use crate::machine::Float;

/// Anything made of tensors: a tensor, a layer, a tuple or a list of modules, your own struct.
///
/// Only [`tensors_mut`](Self::tensors_mut) has to be written, with the help of [`named`]:
///
/// ```
/// use evenkeel::{LayerNorm, Linear, Module, Named, Tensor, named};
///
/// #[derive(Clone)]
/// struct Network {
///     l1: Linear,
///     norm: LayerNorm,
///     scale: Tensor,
/// }
///
/// impl Module for Network {
///     fn tensors_mut(&mut self) -> Named<'_> {
///         named([("l1", &mut self.l1), ("norm", &mut self.norm), ("scale", &mut self.scale)])
///     }
/// }
///
/// let mut rng = evenkeel::rng(1);
/// let scale = Tensor::new(ndarray::array![0.5]); // a constant
/// let mut network = Network { l1: Linear::new(2, 3, &mut rng), norm: LayerNorm::new(3), scale };
/// let names: Vec<String> = network.tensors_mut().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["l1.weight", "l1.bias", "norm.gamma", "norm.beta", "scale"]);
/// assert_eq!(network.parameters().len(), 4);
/// ```
///
/// An optimiser's `step`, [`save`](crate::save()) and [`load`](crate::load()) take any module:
/// `&mut network`, or a tuple of modules.
///
/// ```
/// use evenkeel::{Adam, LayerNorm, Tensor};
/// use ndarray::array;
///
/// let (mut w, mut norm) = (Tensor::parameter(array![[1.0], [-1.0]]), LayerNorm::new(2));
/// let x = Tensor::new(array![[3.0, 5.0]]);
/// let gradients = norm.forward(&x).matmul(&w).sum().backward();
/// Adam::new(0.1).step((&mut w, &mut norm), &gradients);
/// ```
///
/// *PyTorch*: `nn.Module`, with `state_dict()` for the names; a tensor is no module there. Page:
/// `book/src/tensor.md`.
pub trait Module<T: Float = f64> {
    /// All tensors with their names, each once and always in the same order: parameters, constants
    /// and running statistics.
    fn tensors_mut(&mut self) -> Named<'_, T>;

    /// The parameters with their names: the tensors that an optimiser's `step` changes.
    fn parameters_mut(&mut self) -> Named<'_, T> {
        self.tensors_mut().into_iter().filter(|(_, tensor)| tensor.is_parameter()).collect()
    }

    /// A handle on each parameter, to count the parameters or to look up their gradients.
    ///
    /// ```
    /// use evenkeel::{LayerNorm, Module};
    /// let layer: LayerNorm = LayerNorm::new(4);
    /// let numbers: usize = layer.parameters().iter().map(|parameter| parameter.value().len()).sum();
    /// assert_eq!(numbers, 8); // 4 of γ, 4 of β
    /// ```
    fn parameters(&self) -> Vec<Tensor<T>>
    where
        Self: Clone,
    {
        // A clone holds handles on the same parameters.
        let mut clone = self.clone();
        let tensors = clone.tensors_mut().into_iter().map(|(_, tensor)| tensor.clone());
        tensors.filter(Tensor::is_parameter).collect()
    }

    /// An independent module with the same numbers. Its parameters are new, unknown to earlier
    /// gradients and optimisers; its constants stay constants. A change to one module does not
    /// affect the other.
    ///
    /// A *clone* is different: it holds handles on the same parameters, whose gradients are summed
    /// over the original and the clone. The difference matters when two networks are in one loss:
    ///
    /// ```
    /// use evenkeel::{Linear, Module, Tensor};
    /// use ndarray::array;
    /// use rand::SeedableRng;
    ///
    /// let mut rng = evenkeel::rng(1);
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
    /// Two handles of one parameter become two handles of one new parameter. For a `&mut Network`,
    /// write `(*network).copy()`: the reference is itself a module, one that cannot be cloned.
    ///
    /// # Panics
    /// If a tensor is the result of an operation: a copy would no longer follow what it was computed
    /// from.
    ///
    /// *PyTorch*: `copy.deepcopy(module)`.
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

    /// Turns all parameters into constants: they no longer get gradients, and optimisers no longer
    /// change them. The running statistics of a [`BatchNorm`](crate::BatchNorm) still change in
    /// `forward_train`.
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

/// The tensors of some modules, each with the name of its module and a dot in front of its own
/// name: what [`tensors_mut`](Module::tensors_mut) of a larger module returns.
///
/// A tensor has no name of its own and gets the given one. The name `""` leaves a module's names
/// unchanged. The result is itself a module, so modules that are in no struct can have names too.
///
/// ```
/// use evenkeel::{RMSNorm, Tensor, load, named, save};
/// use ndarray::array;
///
/// let (mut w, mut norm) = (Tensor::parameter(array![1.0]), RMSNorm::new(8));
/// let tensors = named([("w", &mut w), ("norm", &mut norm)]);
/// assert_eq!((&*tensors[0].0, &*tensors[1].0), ("w", "norm.gamma"));
///
/// let path = tempfile::tempdir()?.keep().join("both.safetensors");
/// save(&path, named([("w", &mut w), ("norm", &mut norm)]))?;
/// load(&path, named([("w", &mut w), ("norm", &mut norm)]))?;
/// # std::fs::remove_dir_all(path.parent().unwrap())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn named<'a, T: Float, const N: usize>(
    modules: [(&str, &'a mut dyn Module<T>); N],
) -> Named<'a, T> {
    modules.into_iter().flat_map(|(name, module)| below(name, module)).collect()
}

/// The tensors of one module, with `name` and a dot in front of their names.
fn below<'a, T: Float>(name: &str, module: &'a mut (impl Module<T> + ?Sized)) -> Named<'a, T> {
    let mut tensors = module.tensors_mut();
    for (own, _) in tensors.0.iter_mut().filter(|_| !name.is_empty()) {
        *own = if own.is_empty() { name.to_owned() } else { format!("{name}.{own}") };
    }
    tensors
}

/// Tensors with their names, to read or to change: a list of pairs that is also a module.
#[derive(Debug)]
pub struct Named<'a, T: Float = f64>(Vec<(String, &'a mut Tensor<T>)>);

impl<'a, T: Float, N: Into<String>> FromIterator<(N, &'a mut Tensor<T>)> for Named<'a, T> {
    fn from_iter<I: IntoIterator<Item = (N, &'a mut Tensor<T>)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, tensor)| (name.into(), tensor)).collect())
    }
}

impl<'a, T: Float> IntoIterator for Named<'a, T> {
    type Item = (String, &'a mut Tensor<T>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T: Float> Deref for Named<'a, T> {
    type Target = [(String, &'a mut Tensor<T>)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: Float> Module<T> for Named<'_, T> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        self.0.iter_mut().map(|(name, tensor)| (name.clone(), &mut **tensor)).collect()
    }
}

/// One tensor, without a name.
impl<T: Float> Module<T> for Tensor<T> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        Named(vec![(String::new(), self)])
    }
}

impl<T: Float, M: Module<T> + ?Sized> Module<T> for &mut M {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        (**self).tensors_mut()
    }
}

impl<T: Float, M: Module<T> + ?Sized> Module<T> for Box<M> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        (**self).tensors_mut()
    }
}

/// The tensors of the module, if there is one.
impl<T: Float, M: Module<T>> Module<T> for Option<M> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        self.iter_mut().flat_map(M::tensors_mut).collect()
    }
}

/// Modules named by position: `0.weight`, `1.weight`, as in PyTorch's `nn.ModuleList`.
impl<T: Float, M: Module<T>> Module<T> for [M] {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        let numbered = self.iter_mut().enumerate();
        numbered.flat_map(|(i, module)| below(&i.to_string(), module)).collect()
    }
}

impl<T: Float, M: Module<T>, const N: usize> Module<T> for [M; N] {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        self.as_mut_slice().tensors_mut()
    }
}

impl<T: Float, M: Module<T>> Module<T> for Vec<M> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        self.as_mut_slice().tensors_mut()
    }
}

/// Tuples name their parts by position, as lists do.
macro_rules! tuples {
    ($($(($part:ident $name:literal $position:tt))+;)+) => {$(
        impl<T: Float, $($part: Module<T>),+> Module<T> for ($($part,)+) {
            fn tensors_mut(&mut self) -> Named<'_, T> {
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
    (A "0" 0) (B "1" 1) (C "2" 2) (D "3" 3) (E "4" 4) (F "5" 5) (G "6" 6);
    (A "0" 0) (B "1" 1) (C "2" 2) (D "3" 3) (E "4" 4) (F "5" 5) (G "6" 6) (H "7" 7);
}
