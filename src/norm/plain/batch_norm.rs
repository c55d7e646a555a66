//! BatchNorm as a textbook writes it.

use ndarray::{Array1, Array2, Axis};

/// What BatchNorm remembers of the batches it was trained on: a mean and a variance for each column.
///
/// ```
/// use evenkeel::plain::Running;
/// let running = Running::new(3);
/// assert_eq!((running.mean[0], running.var[0]), (0.0, 1.0));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Running {
    /// The running mean, of shape `[n]`.
    pub mean: Array1<f64>,
    /// The running unbiased variance, of shape `[n]`.
    pub var: Array1<f64>,
}

impl Running {
    /// Before the first batch: mean 0 and variance 1 for each of `n` columns.
    pub fn new(n: usize) -> Self {
        Self { mean: Array1::zeros(n), var: Array1::ones(n) }
    }
}

/// Training: each column of `x` to mean 0 and variance 1, then scaled by γ and shifted by β. The running
/// values move towards those of the batch; `momentum` is the weight of the batch.
///
/// # Shapes
/// `x` and the output `[B, n]`; `gamma`, `beta` and the running values `[n]`.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::plain::{Running, batch_norm_train};
/// use ndarray::array;
///
/// let mut running = Running::new(1);
/// let x = array![[1.0], [2.0], [6.0]]; // mean 3, variance 14/3, unbiased 14/2
/// let y = batch_norm_train(&x, &array![1.0], &array![0.0], 0.0, &mut running, 0.1);
/// let root = (14f64 / 3.0).sqrt();
/// assert_relative_eq!(y, array![[-2.0 / root], [-1.0 / root], [3.0 / root]], epsilon = 1e-15);
/// assert_relative_eq!(running.mean, array![0.3]); // 0.9·0 + 0.1·3
/// assert_relative_eq!(running.var, array![1.6]); // 0.9·1 + 0.1·7
/// ```
///
/// # Panics
/// If the shapes do not fit; a length of 1 is stretched, as everywhere in `ndarray`.
///
/// Paper: Ioffe, Szegedy, *Batch Normalization*, 2015 (arXiv 1502.03167), algorithm 1.
// ANCHOR: train
pub fn batch_norm_train(
    x: &Array2<f64>,
    gamma: &Array1<f64>,
    beta: &Array1<f64>,
    eps: f64,
    running: &mut Running,
    momentum: f64,
) -> Array2<f64> {
    let b = x.nrows() as f64;
    let mean = x.sum_axis(Axis(0)) / b; //                       (n)
    let var = (x - &mean).pow2().sum_axis(Axis(0)) / b; //       (n)
    let x_hat = (x - &mean) / (&var + eps).sqrt(); //            (B, n)

    let unbiased = var * (b / (b - 1.0));
    running.mean = (1.0 - momentum) * &running.mean + momentum * mean;
    running.var = (1.0 - momentum) * &running.var + momentum * unbiased;
    gamma * x_hat + beta
}
// ANCHOR_END: train

/// Inference: the columns of `x` by what was remembered, then scaled by γ and shifted by β. No row
/// depends on another.
///
/// # Shapes
/// `x` and the output `[B, n]`; `gamma`, `beta` and the running values `[n]`.
///
/// ```
/// use evenkeel::plain::{Running, batch_norm};
/// use ndarray::array;
///
/// let running = Running { mean: array![1.0], var: array![4.0] };
/// let y = batch_norm(&array![[5.0]], &array![1.0], &array![0.5], 0.0, &running);
/// assert_eq!(y, array![[2.5]]); // (5 - 1)/2 + 0.5
/// ```
///
/// # Panics
/// If the shapes do not fit; a length of 1 is stretched, as everywhere in `ndarray`.
// ANCHOR: inference
pub fn batch_norm(
    x: &Array2<f64>,
    gamma: &Array1<f64>,
    beta: &Array1<f64>,
    eps: f64,
    running: &Running,
) -> Array2<f64> {
    let x_hat = (x - &running.mean) / (&running.var + eps).sqrt();
    gamma * x_hat + beta
}
// ANCHOR_END: inference

/// The gradients `(dx, dgamma, dbeta)` of [`batch_norm_train`] from the gradient `dy` of its output. The
/// mean and the variance depend on `x`, so `dx` has a term for each.
///
/// # Shapes
/// `dy`, `x` and `dx` `[B, n]`; `gamma`, `dgamma`, `dbeta` `[n]`.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::plain::batch_norm_train_backward;
/// use ndarray::array;
///
/// // The pencil's row of LayerNorm, as a column.
/// let x = array![[1.0], [2.0], [3.0], [4.0]];
/// let dy = array![[1.0], [0.0], [0.0], [0.0]];
/// let (dx, dgamma, dbeta) = batch_norm_train_backward(&dy, &x, &array![1.0], 0.0);
/// let r = 2.0 / 5f64.sqrt();
/// assert_relative_eq!(dx, array![[0.3], [-0.4], [-0.1], [0.2]] * r, epsilon = 1e-15);
/// assert_relative_eq!(dgamma, array![-1.5 * r], epsilon = 1e-15);
/// assert_eq!(dbeta, array![1.0]);
/// ```
///
/// # Panics
/// If the shapes do not fit; a length of 1 is stretched, as everywhere in `ndarray`.
// ANCHOR: train_backward
pub fn batch_norm_train_backward(
    dy: &Array2<f64>,
    x: &Array2<f64>,
    gamma: &Array1<f64>,
    eps: f64,
) -> (Array2<f64>, Array1<f64>, Array1<f64>) {
    let b = x.nrows() as f64;
    let mean = x.sum_axis(Axis(0)) / b;
    let var = (x - &mean).pow2().sum_axis(Axis(0)) / b;
    let r = 1.0 / (var + eps).sqrt(); //                          (n)
    let x_hat = (x - mean) * &r;

    let g = gamma * dy; //                                        (B, n)
    let mean_g = g.sum_axis(Axis(0)) / b; //                      (n)
    let mean_g_x_hat = (&g * &x_hat).sum_axis(Axis(0)) / b; //    (n)
    let dx = (g - mean_g - &x_hat * mean_g_x_hat) * r; //         (B, n)
    let dgamma = (dy * x_hat).sum_axis(Axis(0)); //               (n)
    let dbeta = dy.sum_axis(Axis(0)); //                          (n)
    (dx, dgamma, dbeta)
}
// ANCHOR_END: train_backward

/// The gradients `(dx, dgamma, dbeta)` of [`batch_norm`] from the gradient `dy` of its output. What was
/// remembered does not depend on `x`.
///
/// # Shapes
/// `dy`, `x` and `dx` `[B, n]`; `gamma`, `dgamma`, `dbeta` and the running values `[n]`.
///
/// ```
/// use evenkeel::plain::{Running, batch_norm_backward};
/// use ndarray::array;
///
/// let running = Running { mean: array![1.0], var: array![4.0] };
/// let (dx, dgamma, dbeta) = batch_norm_backward(&array![[1.0]], &array![[5.0]], &array![3.0], 0.0, &running);
/// assert_eq!((dx[[0, 0]], dgamma[0], dbeta[0]), (1.5, 2.0, 1.0)); // γ/σ, x̂, 1
/// ```
///
/// # Panics
/// If the shapes do not fit; a length of 1 is stretched, as everywhere in `ndarray`.
// ANCHOR: inference_backward
pub fn batch_norm_backward(
    dy: &Array2<f64>,
    x: &Array2<f64>,
    gamma: &Array1<f64>,
    eps: f64,
    running: &Running,
) -> (Array2<f64>, Array1<f64>, Array1<f64>) {
    let r = 1.0 / (&running.var + eps).sqrt(); //                 (n)
    let x_hat = (x - &running.mean) * &r;
    let dgamma = (dy * x_hat).sum_axis(Axis(0));
    let dbeta = dy.sum_axis(Axis(0));
    (gamma * dy * r, dgamma, dbeta)
}
// ANCHOR_END: inference_backward
