//! Powers of each number.

use crate::engine::Tensor;
use crate::engine::autograd::record;
use crate::machine::Float;

impl<T: Float> Tensor<T> {
    /// `x²`. Derivative: `2x`.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![-3.0, 2.0]).square(), Tensor::new(array![9.0, 4.0]));
    /// ```
    ///
    /// *PyTorch*: `x.square()`.
    pub fn square(&self) -> Self {
        let y = self.value.map(|x| x * x);
        let xv = self.value.clone();
        let two = T::of(2.0);
        // Not d·(2x): 2x may overflow where the product does not.
        record(y, [self], move |dy, _| [Some(dy.zip(&xv, move |d, x| two * (d * x)))])
    }

    /// `xⁿ` for a whole number `n`. Derivative: `n·xⁿ⁻¹`; 0 everywhere if `n` is 0, because `x⁰` is
    /// 1 everywhere, also at 0 and at NaN.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let x = Tensor::parameter(array![-2.0, 0.0, 3.0]);
    /// let y = x.powi(3);
    /// assert_eq!(y, Tensor::new(array![-8.0, 0.0, 27.0]));
    /// assert_eq!(y.sum().backward().get(&x).unwrap(), &Tensor::new(array![12.0, 0.0, 27.0]));
    /// assert_eq!(Tensor::new(array![0.0]).powi(-1).item(), f64::INFINITY);
    /// ```
    ///
    /// *PyTorch*: `x ** n`.
    pub fn powi(&self, n: i32) -> Self {
        if n == 2 { self.square() } else { power(self, f64::from(n)) }
    }

    /// `xᵃ` for any number `a`, like [`f64::powf`]: NaN for a negative `x` unless `a` is a whole
    /// number. Derivative: `a·xᵃ⁻¹`, infinite at 0 if `a` is below 1, but 0 everywhere if `a` is 0.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// let x = Tensor::parameter(array![4.0, 0.25]);
    /// let y = x.powf(-0.5);
    /// assert_eq!(y, Tensor::new(array![0.5, 2.0]));
    /// assert_eq!(y.sum().backward().get(&x).unwrap(), &Tensor::new(array![-0.0625, -4.0]));
    /// assert!(Tensor::new(array![-4f64]).powf(0.5).item().is_nan());
    /// ```
    ///
    /// *PyTorch*: `x ** a`.
    pub fn powf(&self, a: T) -> Self {
        power(self, a.wide())
    }
}

/// `xⁿ` in `f64`. Whole exponents use `powf` too: `powi` multiplies repeatedly, and its error grows
/// with the exponent.
fn power<T: Float>(x: &Tensor<T>, n: f64) -> Tensor<T> {
    let y = x.value.map(move |x| T::of(x.wide().powf(n)));
    let xv = x.value.clone();
    record(y, [x], move |dy, _| {
        [Some(dy.zip(&xv, move |d, x| T::of(power_gradient(d.wide(), x.wide(), n))))]
    })
}

/// `d·n·xⁿ⁻¹`, accurate if the product fits the type, even if `xⁿ⁻¹` or `n·xⁿ⁻¹` does not fit.
fn power_gradient(d: f64, x: f64, n: f64) -> f64 {
    if n == 0.0 {
        return 0.0; // not 0·∞ at x = 0
    }
    if x < 0.0 && x.is_finite() && n.trunc() != n {
        return f64::NAN;
    }
    // An even power has a negative slope at negative x. The sign is set here, because n - 1 may
    // round to n.
    let signed = if x.is_sign_negative() && n % 2.0 == 0.0 { -n } else { n };
    let slope = signed * power_minus_one(x.abs(), n, 1.0);
    if slope.is_normal() || x == 0.0 || !x.is_finite() {
        return d * slope;
    }
    let root = power_minus_one(x.abs(), n, 0.5);
    product([d, signed, root, root])
}

/// `xⁿ⁻¹` for `part` 1, the root of `xⁿ⁻¹` for `part` ½.
fn power_minus_one(x: f64, n: f64, part: f64) -> f64 {
    if n < 0.5 && x > 0.0 && x.is_finite() {
        // n - 1 would be rounded, an error that a large or a small x amplifies. xⁿ fits the type if
        // the result does.
        x.powf(n * part) / x.powf(part)
    } else {
        x.powf((n - 1.0) * part)
    }
}

/// The product of all factors, in an order in which no partial product overflows or underflows
/// unless the result does: next the largest factor if the product is below 1, else the smallest.
fn product<const N: usize>(mut factors: [f64; N]) -> f64 {
    factors.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let (mut low, mut high) = (0, N);
    let mut product = 1.0_f64;
    while low < high {
        product *= if product.abs() < 1.0 {
            high -= 1;
            factors[high]
        } else {
            low += 1;
            factors[low - 1]
        };
    }
    product
}
