//! LayerNorm as a textbook writes it. Page: `book/src/layer_norm.md`.

use ndarray::{Array1, Array2, Axis};

/// Each row of `x` to mean 0 and variance 1, then scaled by γ and shifted by β.
///
/// # Shapes
/// `x` and the output `[B, n]`; `gamma`, `beta` `[n]`.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::plain::layer_norm;
/// use ndarray::array;
///
/// // Mean 2.5, variance 5/4.
/// let y = layer_norm(&array![[1.0, 2.0, 3.0, 4.0]], &array![1.0, 1.0, 1.0, 2.0], &array![0.0, 0.0, 0.0, 1.0], 0.0);
/// let root = 5f64.sqrt();
/// assert_relative_eq!(y, array![[-3.0 / root, -1.0 / root, 1.0 / root, 6.0 / root + 1.0]], epsilon = 1e-15);
/// ```
///
/// # Panics
/// If the shapes do not fit; a length of 1 is stretched, as everywhere in `ndarray`.
///
/// Paper: Ba, Kiros, Hinton, *Layer Normalization*, 2016 (arXiv 1607.06450), equations 3 and 4.
// ANCHOR: forward
pub fn layer_norm(
    x: &Array2<f64>,
    gamma: &Array1<f64>,
    beta: &Array1<f64>,
    eps: f64,
) -> Array2<f64> {
    let n = x.ncols() as f64;
    let mean = row_sums(x) / n; //                       μ   (B, 1)
    let var = row_sums(&(x - &mean).pow2()) / n; //      σ²  (B, 1)
    let x_hat = (x - mean) / (var + eps).sqrt(); //      x̂   (B, n)
    gamma * x_hat + beta //                              y   (B, n)
}

/// The sum of each row, as a column: (B, n) to (B, 1).
pub(super) fn row_sums(x: &Array2<f64>) -> Array2<f64> {
    x.sum_axis(Axis(1)).insert_axis(Axis(1))
}
// ANCHOR_END: forward

/// The gradients `(dx, dgamma, dbeta)` of [`layer_norm`] from the gradient `dy` of its output.
///
/// # Shapes
/// `dy`, `x` and `dx` `[B, n]`; `gamma`, `dgamma`, `dbeta` `[n]`.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::plain::layer_norm_backward;
/// use ndarray::array;
///
/// let (x, dy) = (array![[1.0, 2.0, 3.0, 4.0]], array![[1.0, 0.0, 0.0, 0.0]]);
/// let (dx, dgamma, dbeta) = layer_norm_backward(&dy, &x, &array![1.0, 1.0, 1.0, 1.0], 0.0);
/// let r = 2.0 / 5f64.sqrt(); // 1/√(5/4)
/// assert_relative_eq!(dx, array![[0.3, -0.4, -0.1, 0.2]] * r, epsilon = 1e-15);
/// assert_relative_eq!(dgamma, array![-1.5 * r, 0.0, 0.0, 0.0], epsilon = 1e-15);
/// assert_eq!(dbeta, array![1.0, 0.0, 0.0, 0.0]);
/// ```
///
/// # Panics
/// If the shapes do not fit; a length of 1 is stretched, as everywhere in `ndarray`.
// ANCHOR: backward
pub fn layer_norm_backward(
    dy: &Array2<f64>,
    x: &Array2<f64>,
    gamma: &Array1<f64>,
    eps: f64,
) -> (Array2<f64>, Array1<f64>, Array1<f64>) {
    let n = x.ncols() as f64;
    let mean = row_sums(x) / n;
    let var = row_sums(&(x - &mean).pow2()) / n;
    let r = 1.0 / (var + eps).sqrt(); //                       r    (B, 1)
    let x_hat = (x - mean) * &r;

    let g = gamma * dy; //                                     g    (B, n)
    let mean_g = row_sums(&g) / n; //                          ḡ    (B, 1)
    let mean_g_x_hat = row_sums(&(&g * &x_hat)) / n; //        g·x̂  (B, 1), its mean
    let dx = (g - mean_g - &x_hat * mean_g_x_hat) * r; //      dx   (B, n)
    let dgamma = (dy * x_hat).sum_axis(Axis(0)); //            dγ   (n), over the rows
    let dbeta = dy.sum_axis(Axis(0)); //                       dβ   (n), over the rows
    (dx, dgamma, dbeta)
}
// ANCHOR_END: backward
