//! Functions of one number, applied to each.

use std::cmp::Ordering;
use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use crate::engine::Tensor;
use crate::engine::autograd::record;
use crate::machine::Float;

impl<T: Float> Tensor<T> {
    /// `eˣ`. Derivative: `eˣ`, the output itself.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![0.0, 1.0]).exp(), Tensor::new(array![1.0, 1f64.exp()]));
    /// ```
    pub fn exp(&self) -> Self {
        let y = self.value.map(T::exp);
        let yv = y.clone();
        record(y, [self], move |dy, _| [Some(dy.zip(&yv, move |d, y| d * y))])
    }

    /// The natural logarithm; `-inf` at 0, NaN below. Derivative: `1/x`.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![1.0, 0.0]).ln(), Tensor::new(array![0.0, f64::NEG_INFINITY]));
    /// ```
    pub fn ln(&self) -> Self {
        let y = self.value.map(T::ln);
        let xv = self.value.clone();
        record(y, [self], move |dy, _| [Some(dy.zip(&xv, move |d, x| d / x))])
    }

    /// The square root; NaN below 0. Derivative: `1/(2√x)`, infinite at 0: add `eps` under the
    /// root.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![4.0, 9.0]).sqrt(), Tensor::new(array![2.0, 3.0]));
    /// ```
    pub fn sqrt(&self) -> Self {
        let y = self.value.map(T::sqrt);
        let yv = y.clone();
        let two = T::of(2.0);
        record(y, [self], move |dy, _| [Some(dy.zip(&yv, move |d, y| d / (two * y)))])
    }

    /// `|x|`. Derivative: the sign of `x`, 0 at 0. NaN stays NaN, and its gradient is NaN.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let x = Tensor::parameter(array![-3.0, 0.0, 2.0]);
    /// let y = x.abs();
    /// assert_eq!(y, Tensor::new(array![3.0, 0.0, 2.0]));
    /// assert_eq!(y.sum().backward().get(&x).unwrap(), &Tensor::new(array![-1.0, 0.0, 1.0]));
    /// ```
    ///
    /// *PyTorch*: `x.abs()`, with the same choice at 0.
    pub fn abs(&self) -> Self {
        let y = self.value.map(T::abs);
        let xv = self.value.clone();
        record(y, [self], move |dy, _| {
            let along = |d: T, x: T| match x.partial_cmp(&T::zero()) {
                Some(Ordering::Greater) => d,
                Some(Ordering::Less) => -d,
                Some(Ordering::Equal) => T::zero(),
                None => x,
            };
            [Some(dy.zip(&xv, along))]
        })
    }

    /// The logistic function `σ(x) = 1 / (1 + e⁻ˣ)`, an S-shaped curve from 0 to 1. It turns
    /// `ln(p / (1 - p))` back into the probability `p`. Derivative: `σ(x)·σ(-x)`.
    ///
    /// No step overflows for any `x`, and the derivative is accurate even where `σ(x)` is near 1.
    ///
    /// ```
    /// # use approx::assert_relative_eq; use evenkeel::Tensor; use ndarray::array;
    /// let y = Tensor::new(array![-1000.0, 0.0, 3f64.ln(), 1000.0]).sigmoid();
    /// assert_relative_eq!(y, Tensor::new(array![0.0, 0.5, 0.75, 1.0]), epsilon = 1e-15);
    /// ```
    ///
    /// *PyTorch*: `torch.sigmoid(x)`, whose derivative `y·(1 - y)` is 0 from `x = 17.4` on in
    /// `f32`.
    pub fn sigmoid(&self) -> Self {
        let y = self.value.map(|x| {
            let e = (-x.abs()).exp(); // at most 1, whatever the sign
            (if x < T::zero() { e } else { T::one() }) / (T::one() + e)
        });
        let xv = self.value.clone();
        let (one, half) = (T::one(), T::of(0.5));
        record(y, [self], move |dy, _| {
            [Some(dy.zip(&xv, move |d, x| sigmoid_gradient(d, half * x, one)))]
        })
    }

    /// The hyperbolic tangent, an S-shaped curve from -1 to 1. Derivative: `1 - tanh²x`, accurate
    /// even where `tanh x` is near ±1.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let y = Tensor::new(array![f64::NEG_INFINITY, 0.0, 1.0]).tanh();
    /// assert_eq!(y, Tensor::new(array![-1.0, 0.0, 1f64.tanh()]));
    /// ```
    ///
    /// *PyTorch*: `torch.tanh(x)`, whose derivative `1 - y·y` is 0 from `x = 9.1` on in `f32`.
    pub fn tanh(&self) -> Self {
        let y = self.value.map(T::tanh);
        let xv = self.value.clone();
        let two = T::of(2.0);
        record(y, [self], move |dy, _| [Some(dy.zip(&xv, move |d, x| sigmoid_gradient(d, x, two)))])
    }

    /// GELU, `x·Φ(x)`: a smooth ReLU, where `Φ(x) = ½·erfc(-x/√2)` is the chance that a draw from
    /// N(0, 1) is below `x`. Derivative: `Φ(x) + x·φ(x)`, where `φ(x) = e^(-x²/2) / √(2π)`.
    ///
    /// Computed in `f64`; NaN at -∞, where the product is -∞·0.
    ///
    /// ```
    /// # use approx::assert_relative_eq; use evenkeel::Tensor; use ndarray::array;
    /// let y = Tensor::new(array![-1.0, 0.0, 1.0, 10.0]).gelu();
    /// // Φ(1) = 0.8413, so that 84 % of N(0, 1) lies below 1.
    /// assert_relative_eq!(y, Tensor::new(array![-0.158655, 0.0, 0.841345, 10.0]), epsilon = 1e-6);
    /// ```
    ///
    /// *PyTorch*: `F.gelu(x)`, whose default is this exact form and not the approximation by tanh.
    pub fn gelu(&self) -> Self {
        // Φ by erfc, not by 1 + erf: for negative x the sum would lose all digits.
        let cdf = |x: f64| 0.5 * libm::erfc(-x * FRAC_1_SQRT_2);
        let y = self.value.map(|x| T::of(x.wide() * cdf(x.wide())));
        let xv = self.value.clone();
        record(y, [self], move |dy, _| {
            let pdf = |x: f64| (-0.5 * x * x).exp() / TAU.sqrt();
            // At +∞ the second part, ∞·0, is 0 in the limit.
            let slope = |x: f64| if x == f64::INFINITY { 1.0 } else { cdf(x) + x * pdf(x) };
            [Some(dy.zip(&xv, move |d, x| T::of(d.wide() * slope(x.wide()))))]
        })
    }

    /// `max(x, 0)`: lets positive numbers through. Derivative: 1 where `x > 0`, else 0, also at 0.
    /// NaN stays NaN.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let x = Tensor::parameter(array![-1.0, 0.0, 2.0]);
    /// let y = x.relu();
    /// assert_eq!(y, Tensor::new(array![0.0, 0.0, 2.0]));
    /// assert_eq!(y.sum().backward().get(&x).unwrap(), &Tensor::new(array![0.0, 0.0, 1.0]));
    /// ```
    ///
    /// *PyTorch*: `torch.relu(x)`, with the same choice at 0.
    pub fn relu(&self) -> Self {
        // `x < 0` and `x <= 0`, not `x > 0`, so that NaN stays NaN and does not become 0.
        let y = self.value.map(|x| if x < T::zero() { T::zero() } else { x });
        let xv = self.value.clone();
        record(y, [self], move |dy, _| {
            [Some(dy.zip(&xv, move |d, x| if x <= T::zero() { T::zero() } else { d }))]
        })
    }
}

/// The gradient through an S-shaped curve: `d·r²` with `r = height · e/(1 + e²)` and
/// `e = exp(-|x|)`.
///
/// It is not computed from 1 minus the output, which loses the digits of `e` where the curve is
/// flat. `d` is multiplied by `r` twice, not by `r²`, which may underflow although the product does
/// not.
fn sigmoid_gradient<T: Float>(d: T, x: T, height: T) -> T {
    let e = (-x.abs()).exp();
    let r = height * e / (T::one() + e * e);
    (d * r) * r
}
