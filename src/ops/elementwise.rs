//! Functions of one number, applied to each. Page: `book/src/tensor.md`.

use crate::autograd::record;
use crate::{Float, Tensor};

impl<T: Float> Tensor<T> {
    /// `eˣ`. Derivative: `eˣ`, the output itself.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![0.0, 1.0]).exp(), Tensor::new(array![1.0, 1f64.exp()]));
    /// ```
    #[must_use]
    pub fn exp(&self) -> Self {
        let y = self.value.map(|x| x.exp()).into_shared();
        let yv = y.clone();
        record(y, [self], move |dy, _| [Some((dy * &yv).into_shared())])
    }

    /// The natural logarithm; `-inf` at 0, NaN below. Derivative: `1/x`.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![1.0, 0.0]).ln(), Tensor::new(array![0.0, f64::NEG_INFINITY]));
    /// ```
    #[must_use]
    pub fn ln(&self) -> Self {
        let y = self.value.map(|x| x.ln());
        let xv = self.value.clone();
        record(y, [self], move |dy, _| [Some((dy / &xv).into_shared())])
    }

    /// The square root; NaN below 0. Derivative: `1/(2√x)`, infinite at 0: add `eps` under the
    /// root.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![4.0, 9.0]).sqrt(), Tensor::new(array![2.0, 3.0]));
    /// ```
    #[must_use]
    pub fn sqrt(&self) -> Self {
        let y = self.value.map(|x| x.sqrt()).into_shared();
        let yv = y.clone();
        let two = T::of(2.0);
        record(y, [self], move |dy, _| [Some((dy / &yv.map(|&y| two * y)).into_shared())])
    }

    /// `x²`. Derivative: `2x`.
    ///
    /// ```
    /// # use evenkeel::Tensor; use ndarray::array;
    /// assert_eq!(Tensor::new(array![-3.0, 2.0]).square(), Tensor::new(array![9.0, 4.0]));
    /// ```
    #[must_use]
    pub fn square(&self) -> Self {
        let y = self.value.map(|&x| x * x);
        let xv = self.value.clone();
        let two = T::of(2.0);
        record(y, [self], move |dy, _| [Some((dy * &xv.map(|&x| two * x)).into_shared())])
    }

    /// `max(x, 0)`: lets positive numbers through. Derivative: 1 where `x > 0`, else 0, at 0 too.
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
    #[must_use]
    pub fn relu(&self) -> Self {
        // `x < 0` and `x <= 0`, not `x > 0`: a NaN must come out as NaN, not as a quiet 0.
        let y = self.value.map(|&x| if x < T::zero() { T::zero() } else { x });
        let xv = self.value.clone();
        record(y, [self], move |dy, _| {
            let mut dx = dy.to_owned();
            dx.zip_mut_with(&xv, |d, &x| {
                if x <= T::zero() {
                    *d = T::zero();
                }
            });
            [Some(dx.into_shared())]
        })
    }
}
