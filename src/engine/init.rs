//! Random initial values of tensors.

use ndarray::{ArrayD, IxDyn};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::engine::Tensor;
use crate::machine::Float;

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
