//! GroupNorm as a textbook writes it.

use ndarray::{Array1, Array2, Array3, Axis};

use super::{layer_norm, layer_norm_backward};

/// Each group of neighbouring channels of each example to mean 0 and variance 1, then each channel scaled
/// by γ and shifted by β: LayerNorm, with the numbers of a group as a row.
///
/// # Shapes
/// `x` and the output `[B, C, P]`; `gamma`, `beta` `[C]`.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::plain::group_norm;
/// use ndarray::array;
///
/// // Two groups of two channels with one position each.
/// let x = array![[[1.0], [3.0], [10.0], [50.0]]];
/// let y = group_norm(2, &x, &array![1.0, 1.0, 2.0, 1.0], &array![0.0, 0.0, 0.0, 5.0], 0.0);
/// assert_relative_eq!(y, array![[[-1.0], [1.0], [-2.0], [6.0]]], epsilon = 1e-15);
/// ```
///
/// # Panics
/// If `groups` does not divide the channels, or the other shapes do not fit.
///
/// Paper: Wu, He, *Group Normalization*, 2018 (arXiv 1803.08494), equations 1 to 7.
// ANCHOR: forward
pub fn group_norm(
    groups: usize,
    x: &Array3<f64>,
    gamma: &Array1<f64>,
    beta: &Array1<f64>,
    eps: f64,
) -> Array3<f64> {
    per_channel(gamma) * x_hat(groups, x, eps) + per_channel(beta)
}

fn x_hat(groups: usize, x: &Array3<f64>, eps: f64) -> Array3<f64> {
    let rows = group_rows(groups, x);
    let (ones, zeros) = (Array1::ones(rows.ncols()), Array1::zeros(rows.ncols()));
    back(layer_norm(&rows, &ones, &zeros, eps), x)
}

/// The numbers of each group as a row: (B, C, P) to (B·G, C/G·P).
fn group_rows(groups: usize, x: &Array3<f64>) -> Array2<f64> {
    let (batch, channels, positions) = x.dim();
    assert_eq!(channels % groups, 0, "group_norm: {groups} groups of {channels} channels");
    let rows = x.to_shape((batch * groups, channels / groups * positions));
    rows.expect("as many numbers").to_owned()
}

/// The rows in the shape of `x`.
fn back(rows: Array2<f64>, x: &Array3<f64>) -> Array3<f64> {
    rows.into_shape_with_order(x.dim()).expect("as many numbers")
}

/// (C) to (C, 1), which stretches over (B, C, P).
fn per_channel(numbers: &Array1<f64>) -> Array2<f64> {
    numbers.clone().insert_axis(Axis(1))
}
// ANCHOR_END: forward

/// The gradients `(dx, dgamma, dbeta)` of [`group_norm`] from the gradient `dy` of its output.
///
/// # Shapes
/// `dy`, `x` and `dx` `[B, C, P]`; `gamma`, `dgamma`, `dbeta` `[C]`.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::plain::group_norm_backward;
/// use ndarray::array;
///
/// // One group with four channels is the pencil's row of LayerNorm.
/// let x = array![[[1.0], [2.0], [3.0], [4.0]]];
/// let dy = array![[[1.0], [0.0], [0.0], [0.0]]];
/// let (dx, _, dbeta) = group_norm_backward(1, &dy, &x, &array![1.0, 1.0, 1.0, 1.0], 0.0);
/// let r = 2.0 / 5f64.sqrt();
/// assert_relative_eq!(dx, array![[[0.3], [-0.4], [-0.1], [0.2]]] * r, epsilon = 1e-15);
/// assert_eq!(dbeta, array![1.0, 0.0, 0.0, 0.0]);
/// ```
///
/// # Panics
/// If `groups` does not divide the channels, or the other shapes do not fit.
// ANCHOR: backward
pub fn group_norm_backward(
    groups: usize,
    dy: &Array3<f64>,
    x: &Array3<f64>,
    gamma: &Array1<f64>,
    eps: f64,
) -> (Array3<f64>, Array1<f64>, Array1<f64>) {
    let g = per_channel(gamma) * dy; //                                        (B, C, P)
    let (g, rows) = (group_rows(groups, &g), group_rows(groups, x));
    let (dx, _, _) = layer_norm_backward(&g, &rows, &Array1::ones(rows.ncols()), eps);
    let dgamma = (dy * x_hat(groups, x, eps)).sum_axis(Axis(2)).sum_axis(Axis(0)); // (C)
    let dbeta = dy.sum_axis(Axis(2)).sum_axis(Axis(0)); //                     (C)
    (back(dx, x), dgamma, dbeta)
}
// ANCHOR_END: backward
