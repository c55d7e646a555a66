//! The generic code for `f64` and `f32`, compiled with the crate.
//!
//! A generic function is compiled where it is first used with a type: without this file, in the tests, in
//! every example and in every block of the book. With this file, the compiler takes the code that the library
//! already has. (A build with more optimisation shares no code, so it leaves this file out.)

use approx::relative_eq;
use ndarray::{Array1, Array2};
use rand::Rng;

use crate::*;

/// Never called. The compiler generates code for all that a public function uses.
pub fn of_both_types() {
    of::<f64>(&mut rng(0));
    of::<f32>(&mut rng(0));
    exercises::layer_norm_by_hand().check(|row| row);
    exercises::which_axis().check(|x, _, _| x.clone());
    exercises::eps_inside_the_root().check(|x, _| x.clone());
    exercises::layer_norm_backward().check(|dy, _, gamma, _| [dy, gamma, gamma].map(Clone::clone));
}

fn of<T: Float + approx::RelativeEq<Epsilon = T>>(rng: &mut impl Rng) {
    let mut x = Tensor::<T>::parameter(Array2::zeros((2, 2)));
    let y = operations(&x) + constants(rng);
    let (y, mut adam, mut sgd) = (layers(&y, rng), Adam::new(0.1), Sgd::new(0.1));
    let mut gradients = cross_entropy(&y, &[0, 1]).backward();
    gradients += gradients.clone();
    gradients *= 2.0;
    assert!(gradients.clip_norm(1.0) == gradients.norm());
    assert!(gradients.get(&x).is_some_and(|dx| dx == &gradients[&x]));
    adam.step([&mut x], &gradients);
    sgd.step([&mut x], &gradients);
    AdamW::new(0.1).step(vec![&mut x], &gradients);
    x.assign(Array2::zeros((2, 2)));
    assert!(relative_eq!(x, y), "{x} {x:?}");
}

fn operations<T: Float>(x: &Tensor<T>) -> Tensor<T> {
    let scalars = Tensor::new(Array1::from(vec![T::zero()])) + T::one() - T::one();
    let y = -(x + x - x * x / x) * T::one() / T::one() + scalars;
    let y = x.matmul(&y.transpose()).exp().ln().sqrt().square().tanh().gelu().relu();
    let y = y.abs().sigmoid().powi(3).powf(T::one()).max_axis(0).t();
    let y = y.reshape(&[1, 4]).sum_axis(0).mean_axis(0).broadcast_to(&[2, 2]);
    let y = Tensor::concat(&[&y.slice_axis(0, 0..1), &y], 0).swap_axes(0, 1);
    assert!(y.argmax().is_empty() && y.softmax(0).item() == y.log_softmax(0).item());
    y.sum() + y.mean() + mse(x, x)
}

fn constants<T: Float>(rng: &mut impl Rng) -> Tensor<T> {
    let (one, zero) = (T::one(), T::zero());
    let x = Tensor::randn([2, 2], rng) + Tensor::zeros([2, 2]) * Tensor::ones([2, 2]);
    let y = Tensor::full([2], x[[0, 1]])
        + Tensor::randn([2], rng)
        + Tensor::ones([2])
        + Tensor::zeros([2]);
    let y = Tensor::from(vec![y[0], zero]) + Tensor::from([one, zero]) + y.trainable();
    x + Tensor::from([[one, zero], [zero, y.to_vec()[0]]]) + Tensor::from(one)
}

fn layers<T: Float>(x: &Tensor<T>, rng: &mut impl Rng) -> Tensor<T> {
    let x = LayerNorm::new(2).forward(x);
    let x = RMSNorm::new(2).forward(&x);
    let batch_norm = BatchNorm::new(2);
    let x = batch_norm.forward(&batch_norm.clone().forward_train(&x));
    let x = GroupNorm::new(1, 2).forward(&x);
    let instance_norm = InstanceNorm::new(2);
    let x = instance_norm.forward(&instance_norm.clone().forward_train(&x));
    let x = Linear::new(2, 2, rng).forward(&Conv2d::new(1, 1, [1, 1], rng).forward(&x));
    let mut block = TransformerBlock::new(2, 1, 2, NormPlacement::Pre, rng);
    block.copy().freeze();
    assert!(block.tensors_mut().is_empty() && block.parameters_mut().is_empty());
    block.forward(&x, &Mask::Causal)
}
