//! First values of a layer's tensors, and which of them are trained. Page: `book/src/iris.md`.

use ndarray::{ArrayD, IxDyn};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::{Float, Tensor};

/// A parameter with numbers from N(0, `variance`).
pub(crate) fn normal<T: Float>(shape: &[usize], variance: f64, rng: &mut impl Rng) -> Tensor<T> {
    Tensor::parameter(normal_array(shape, variance, rng))
}

/// Numbers from N(0, `variance`), drawn in row-major order.
pub(crate) fn normal_array<T: Float>(
    shape: &[usize],
    variance: f64,
    rng: &mut (impl Rng + ?Sized),
) -> ArrayD<T> {
    let sd = variance.sqrt();
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        let z: f64 = StandardNormal.sample(rng);
        T::of(sd * z)
    })
}

/// Zeros that are trained, or stay constant.
pub(crate) fn zeros<T: Float>(length: usize, trained: bool) -> Tensor<T> {
    trained_or_not(ArrayD::zeros(IxDyn(&[length])), trained)
}

/// Ones that are trained, or stay constant.
pub(crate) fn ones<T: Float>(length: usize, trained: bool) -> Tensor<T> {
    trained_or_not(ArrayD::ones(IxDyn(&[length])), trained)
}

/// A parameter, or the same numbers as a constant.
pub(crate) fn trained_or_not<T: Float>(array: ArrayD<T>, trained: bool) -> Tensor<T> {
    if trained { Tensor::parameter(array) } else { Tensor::new(array) }
}

/// Those of a layer's tensors that are trained.
pub(crate) fn trained<T: Float, const N: usize>(tensors: [&Tensor<T>; N]) -> Vec<&Tensor<T>> {
    tensors.into_iter().filter(|tensor| tensor.is_parameter()).collect()
}

/// Those of a layer's tensors that are trained, to be changed.
pub(crate) fn trained_mut<T: Float, const N: usize>(
    tensors: [&mut Tensor<T>; N],
) -> Vec<&mut Tensor<T>> {
    tensors.into_iter().filter(|tensor| tensor.is_parameter()).collect()
}
