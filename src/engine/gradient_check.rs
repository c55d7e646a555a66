//! [`gradient_check()`]: `backward` against central differences. Page: `book/src/tensor.md`.

use thiserror::Error;

use crate::engine::{Tensor, rng};

/// Where `backward` and central differences disagree most.
#[derive(Debug, Error, PartialEq)]
#[error(
    "the gradient of input {input} (shape {shape:?}) is wrong at {index:?}: backward says {backward:e}, central differences say {difference:e}, error {error:.1e}"
)]
pub struct GradientMismatch {
    /// Which input, counted from 0.
    pub input: usize,
    /// The shape of that input.
    pub shape: Vec<usize>,
    /// The position in that input.
    pub index: Vec<usize>,
    /// The gradient that `backward` returned, 0 if it returned none.
    pub backward: f64,
    /// The gradient by central differences.
    pub difference: f64,
    /// How far they are apart, as [`gradient_check()`] measures it.
    pub error: f64,
}

/// The largest error that passes. For functions and inputs of size 1, central differences
/// themselves have an error of about 1e-11: at h = 6e-6 the truncation h²·f‴/6 and the rounding
/// 2⁻⁵³·f/h are each of about that size.
const TOLERANCE: f64 = 1e-7;
/// The error of a gradient smaller than this share of the output is taken relative to that share:
/// the rounding error, 4e-11 of the output, leaves too few digits of so small a gradient.
const SHARE: f64 = 0.01;

/// Compares the gradients of `f` by `backward` with central differences, for every number of every
/// input, and returns the largest error.
///
/// The error at one number is `|backward - difference|` divided by `|difference|`, or by a
/// hundredth of the output that the number changes if that is larger; up to 1e-7 passes. So the
/// check is equally strict for gradients and outputs of any size. The output of `f` may have any
/// shape: it is multiplied by a fixed random *upstream* gradient and summed. With an upstream
/// gradient of ones, the gradient of a LayerNorm's input would be zero, and the check would miss
/// mistakes in that gradient.
///
/// The first step is 6e-6. If its difference does not agree with `backward`, as for a logarithm
/// near 0, smaller steps are tried, and the step that agrees best with its neighbour decides.
///
/// ```
/// use evenkeel::{Tensor, gradient_check};
/// use ndarray::array;
///
/// let a = Tensor::new(array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
/// let b = Tensor::new(array![0.5, -0.5, 2.0]);
/// assert!(gradient_check([&a, &b], |[a, b]| a * b).is_ok());
///
/// let wrong = gradient_check([&b], |[b]| b * b.detach()); // half of the derivative of b²
/// assert!(wrong.unwrap_err().to_string().starts_with("the gradient of input 0 (shape [3]) is wrong"));
/// ```
///
/// # Errors
/// [`GradientMismatch`] at the worst place, if any error is above 1e-7 or NaN. A kink exactly at an
/// input (ReLU at 0) gives such an error.
///
/// *PyTorch*: `torch.autograd.gradcheck`. Page: `book/src/tensor.md`.
// ANCHOR: gradient_check
pub fn gradient_check<const N: usize>(
    inputs: [&Tensor; N],
    f: impl Fn([&Tensor; N]) -> Tensor,
) -> Result<f64, GradientMismatch> {
    let parameters = inputs.map(|input| Tensor::parameter(input.value()));
    let y = f(parameters.each_ref());
    let upstream = Tensor::randn(y.shape(), &mut rng(14));
    let gradients = y.backward_from(&upstream);

    let mut worst: Option<GradientMismatch> = None;
    for (input, parameter) in parameters.iter().enumerate() {
        for (index, &x) in parameter.value().indexed_iter() {
            let at = |x: f64| {
                let mut moved = parameter.value().to_owned();
                moved[&index] = x;
                let moved = Tensor::new(moved);
                let mut inputs = parameters.each_ref();
                inputs[input] = &moved;
                f(inputs)
            };
            let backward =
                gradients.get(parameter).map_or(0.0, |gradient| gradient.value()[&index]);
            let (difference, error) = compare(backward, x, &upstream, at);
            if worst.as_ref().is_none_or(|worst| error > worst.error) {
                let (shape, index) =
                    (parameter.shape().to_vec(), ndarray::Dimension::slice(&index).to_vec());
                worst = Some(GradientMismatch { input, shape, index, backward, difference, error });
            }
        }
    }
    match worst {
        Some(worst) if worst.error <= TOLERANCE => Ok(worst.error),
        Some(worst) => Err(worst),
        None => Ok(0.0),
    }
}

/// The central difference of `Σ upstream · f` at `x`, and the error of `backward`.
fn compare(backward: f64, x: f64, upstream: &Tensor, f: impl Fn(f64) -> Tensor) -> (f64, f64) {
    let mut h = f64::EPSILON.cbrt() * x.abs().max(1.0);
    let (mut last, mut least) = (f64::NAN, f64::INFINITY);
    let (mut best, mut reached) = ((f64::NAN, f64::INFINITY), false);
    while x + h != x {
        let (difference, output, all) = central_difference(x, h, upstream, &f);
        // If `x` changes no output, the error is taken relative to all outputs.
        let measure = if output > 0.0 { output } else { all };
        let size = difference.abs().max(SHARE * measure / x.abs().max(1.0));
        let error = if backward == difference { 0.0 } else { (backward - difference).abs() / size };
        if last.is_nan() && error <= TOLERANCE {
            return (difference, error);
        }
        // A difference within the rounding of the outputs, and that changes with the step,
        // is nothing but rounding: `x` moves no output.
        let rounding = f64::EPSILON * all / h;
        if last.is_nan() && difference.abs().max(backward.abs()) <= rounding {
            let (smaller, ..) = central_difference(x, h / 8.0, upstream, &f);
            if (smaller - difference).abs() > difference.abs() / 2.0 {
                return (difference, (backward - difference).abs() / (SHARE * all));
            }
        }
        // A step that changes no output, although a larger step did, decides nothing.
        reached |= output > 0.0;
        // The distance from the neighbour's difference, and the possible rounding error.
        let doubt = (difference - last).abs() + f64::EPSILON * output / h;
        let doubt = if output > 0.0 { doubt / difference.abs() } else { doubt };
        let tells = output > 0.0 || !reached;
        // Near a kink, all steps across it agree, so a smaller step with little doubt wins.
        if best.0.is_nan() || (tells && (doubt < least || doubt < TOLERANCE / 10.0)) {
            let error = if error.is_nan() { f64::INFINITY } else { error };
            (best, least) = ((difference, error), doubt.min(least)); // `doubt` may be NaN
        }
        last = difference;
        h /= 8.0;
    }
    best
}

/// `(Σ upstream·f(x + h) - Σ upstream·f(x - h)) / 2h`, the size of the outputs that differ,
/// and the size of all outputs.
fn central_difference(
    x: f64,
    h: f64,
    upstream: &Tensor,
    f: impl Fn(f64) -> Tensor,
) -> (f64, f64, f64) {
    let (above, below) = (f(x + h), f(x - h));
    let (mut change, mut output, mut all) = (0.0, 0.0, 0.0);
    // Differences first, then their sum: outputs that `x` does not change add no error.
    for ((above, below), dy) in above.value().iter().zip(below.value()).zip(upstream.value()) {
        let size = dy.abs() * above.abs().max(below.abs());
        all += size;
        if above != below {
            change += dy * (above - below);
            output += size;
        }
    }
    // Divided by the actual step, because x + h is rounded.
    (change / ((x + h) - (x - h)), output, all)
}
// ANCHOR_END: gradient_check
