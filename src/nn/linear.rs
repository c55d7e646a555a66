//! [`Linear`]: the layer y = x·Wᵀ + b. Page: `book/src/iris.md`.

use rand::Rng;

use crate::engine::{Module, Named, Tensor, init, named, shape};
use crate::machine::Float;

/// Multiplies by a weight matrix and adds a bias: `y = x·Wᵀ + b`.
///
/// `W` has one row per output, shape `[out_features, in_features]`, and `b` has shape
/// `[out_features]`.
///
/// # Shapes
/// input `[.., in_features]`, output `[.., out_features]`: the layer maps the last axis, whatever
/// axes come before it.
///
/// # Defaults
/// `W` from N(0, 2/`in_features`), the variance that keeps the size of activations through ReLU (He
/// et al. 2015, equation 10); `b` zeros.
///
/// ```
/// use evenkeel::{Linear, Tensor};
/// use ndarray::array;
///
/// let mut rng = evenkeel::rng(1);
/// let mut layer = Linear::new(2, 3, &mut rng);
/// assert_eq!(layer.forward(&Tensor::new(array![[1.0, 2.0]])).shape(), [1, 3]);
///
/// layer.weight = Tensor::parameter(array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]);
/// layer.bias = Tensor::parameter(array![0.0, 0.0, 10.0]);
/// assert_eq!(layer.forward(&Tensor::new(array![[1.0, 2.0]])), Tensor::new(array![[1.0, 2.0, 13.0]]));
/// ```
///
/// *Differs from PyTorch in*: the initial values (there both are uniform within ±1/√`in_features`).
/// The layout of `W` is the same. Without a bias, `b` is a constant zero here, not absent.
///
/// Paper: He, Zhang, Ren, Sun, *Delving Deep into Rectifiers*, 2015 (arXiv 1502.01852). Page:
/// `book/src/iris.md`.
///
/// A clone shares its parameters; [`Module::copy`](crate::Module::copy) makes a layer with its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct Linear<T: Float = f64> {
    /// `W`, of shape `[out_features, in_features]`.
    pub weight: Tensor<T>,
    /// `b`, of shape `[out_features]`.
    pub bias: Tensor<T>,
}

impl<T: Float> Linear<T> {
    /// A layer with random weights from `rng` and a bias of zeros.
    ///
    /// # Panics
    /// If `in_features` is 0, or the weights are more than memory has addresses.
    #[track_caller]
    pub fn new(in_features: usize, out_features: usize, rng: &mut impl Rng) -> Self {
        assert!(in_features > 0, "Linear: expected at least one input feature, got 0");
        shape::addressable::<T>("Linear", &[out_features, in_features]);
        Self {
            weight: init::normal(&[out_features, in_features], 2.0 / in_features as f64, rng),
            bias: Tensor::zeros([out_features]).trainable(),
        }
    }

    /// Leaves `b` out: it becomes a constant zero, which is not trained.
    ///
    /// ```
    /// # use evenkeel::{Linear, Module};
    /// let mut rng = evenkeel::rng(1);
    /// let layer: Linear = Linear::new(2, 3, &mut rng).without_bias();
    /// assert_eq!(layer.parameters().len(), 1);
    /// ```
    pub fn without_bias(mut self) -> Self {
        self.bias = Tensor::zeros(self.bias.shape());
        self
    }

    /// `x·Wᵀ + b` for each row of `x`.
    ///
    /// # Panics
    /// If the last axis of `x` is not `in_features`, or `W` or `b` were given shapes that do not
    /// fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor<T>) -> Tensor<T> {
        let (out_features, in_features) = shape::linear(self.weight.shape());
        shape::exactly("Linear", "a bias", &[out_features], self.bias.shape());
        let (rows, _) = shape::rows_and_features("Linear", &[in_features], x.shape());

        let y = x.reshape(&[rows, in_features]).matmul(&self.weight.transpose()) + &self.bias;
        let leading = &x.shape()[..x.shape().len() - 1];
        y.reshape(&[leading, &[out_features]].concat())
    }
}

impl<T: Float> Module<T> for Linear<T> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        named([("weight", &mut self.weight), ("bias", &mut self.bias)])
    }
}
