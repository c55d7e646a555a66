//! RMSNorm as a textbook writes it.

use ndarray::{Array1, Array2, Axis};

use super::layer_norm::row_sums;

/// Each row of `x` divided by its root mean square, then scaled by γ.
///
/// # Shapes
/// `x` and the output `[B, n]`; `gamma` `[n]`.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::plain::rms_norm;
/// use ndarray::array;
///
/// let y = rms_norm(&array![[1.0, 2.0, 3.0, 4.0]], &array![1.0, 1.0, 1.0, 2.0], 0.0);
/// let root = 7.5f64.sqrt(); // (1 + 4 + 9 + 16) / 4
/// assert_relative_eq!(y, array![[1.0 / root, 2.0 / root, 3.0 / root, 8.0 / root]], epsilon = 1e-15);
/// ```
///
/// # Panics
/// If the shapes do not fit; a length of 1 is stretched, as everywhere in `ndarray`.
///
/// Paper: Zhang, Sennrich, *Root Mean Square Layer Normalization*, 2019 (arXiv 1910.07467), equation 4.
// ANCHOR: forward
pub fn rms_norm(x: &Array2<f64>, gamma: &Array1<f64>, eps: f64) -> Array2<f64> {
    let n = x.ncols() as f64;
    let mean_square = row_sums(&x.pow2()) / n; //       (B, 1)
    let x_hat = x / (mean_square + eps).sqrt(); //      (B, n)
    gamma * x_hat //                                    (B, n)
}
// ANCHOR_END: forward

/// The gradients `(dx, dgamma)` of [`rms_norm`] from the gradient `dy` of its output.
///
/// # Shapes
/// `dy`, `x` and `dx` `[B, n]`; `gamma`, `dgamma` `[n]`.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::plain::rms_norm_backward;
/// use ndarray::array;
///
/// // Mean square 1, so x̂ is x; g·x̂ has the mean 1/2.
/// let (x, dy) = (array![[1.0, -1.0]], array![[1.0, 0.0]]);
/// let (dx, dgamma) = rms_norm_backward(&dy, &x, &array![1.0, 3.0], 0.0);
/// assert_relative_eq!(dx, array![[0.5, 0.5]], epsilon = 1e-15);
/// assert_relative_eq!(dgamma, array![1.0, 0.0], epsilon = 1e-15);
/// ```
///
/// # Panics
/// If the shapes do not fit; a length of 1 is stretched, as everywhere in `ndarray`.
// ANCHOR: backward
pub fn rms_norm_backward(
    dy: &Array2<f64>,
    x: &Array2<f64>,
    gamma: &Array1<f64>,
    eps: f64,
) -> (Array2<f64>, Array1<f64>) {
    let n = x.ncols() as f64;
    let mean_square = row_sums(&x.pow2()) / n;
    let r = 1.0 / (mean_square + eps).sqrt(); //            (B, 1)
    let x_hat = x * &r;

    let g = gamma * dy; //                                  (B, n)
    let mean_g_x_hat = row_sums(&(&g * &x_hat)) / n; //     (B, 1)
    let dx = (g - &x_hat * mean_g_x_hat) * r; //            (B, n)
    let dgamma = (dy * x_hat).sum_axis(Axis(0)); //         (n), over the rows
    (dx, dgamma)
}
// ANCHOR_END: backward
