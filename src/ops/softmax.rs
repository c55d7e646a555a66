//! Softmax, which turns numbers into probabilities, and its logarithm.
//!
//! All functions subtract the largest number first, so that no `exp` overflows, and sum in `f64`.

use ndarray::{ArrayViewMut1, Axis, Zip};

use super::pairs::{Pairs, affects_loss, zero_unless};
use crate::engine::autograd::{Value, record};
use crate::engine::{Tensor, shape};
use crate::machine::Float;

impl<T: Float> Tensor<T> {
    /// Along one axis, `eˣⁱ / Σⱼ eˣʲ`: positive numbers that sum to 1. Negative axes count from the
    /// end. Gradient: `y · (dy - Σ dy·y)`.
    ///
    /// An entry of -∞ gets 0. A row that holds NaN or +∞, or only -∞, becomes NaN throughout; no
    /// other row does.
    ///
    /// ```
    /// # use approx::assert_relative_eq; use evenkeel::Tensor; use ndarray::array;
    /// let y = Tensor::new(array![[0.0, 3f64.ln()], [1000.0, 1000.0]]).softmax(-1);
    /// assert_relative_eq!(y, Tensor::new(array![[0.25, 0.75], [0.5, 0.5]]), epsilon = 1e-15);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis.
    ///
    /// *PyTorch*: `x.softmax(axis)`.
    #[track_caller]
    pub fn softmax(&self, axis: isize) -> Self {
        let axis = Axis(shape::axis("softmax", axis, self.shape()));
        let mut y = self.value.clone();
        y.view_mut().lanes_mut(axis).into_iter().for_each(softmax_in_place);
        record_softmax(self, y, axis)
    }

    /// Along one axis, `ln softmax(x)`, which is `xᵢ - ln Σⱼ eˣʲ`. Negative axes count from the end.
    /// Gradient: `dy - softmax(x) · Σ dy`.
    ///
    /// Accurate even where [`softmax`](Self::softmax) is rounded to 0. NaN and infinities as in
    /// `softmax`; an entry of -∞ stays -∞.
    ///
    /// ```
    /// # use approx::assert_relative_eq; use evenkeel::Tensor; use ndarray::array;
    /// let x = Tensor::new(array![[0.0, 3f64.ln()], [0.0, 1000.0]]);
    /// let want = Tensor::new(array![[0.25f64.ln(), 0.75f64.ln()], [-1000.0, 0.0]]);
    /// assert_relative_eq!(x.log_softmax(-1), want, epsilon = 1e-15);
    /// assert_eq!(x.softmax(-1).ln().value()[[1, 0]], f64::NEG_INFINITY);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis.
    ///
    /// *PyTorch*: `x.log_softmax(axis)`.
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Self {
        let axis = Axis(shape::axis("log_softmax", axis, self.shape()));
        let mut y = self.value.clone();
        for mut lane in y.view_mut().lanes_mut(axis) {
            let Exponentials { largest, sum } = Exponentials::of(lane.iter().copied());
            lane.mapv_inplace(|x| T::of((x.wide() - largest) - sum.ln()));
        }
        let kept = y.clone();
        record(y, [self], move |dy, _| {
            let mut dx = dy.clone();
            for (mut dx, y) in
                dx.view_mut().lanes_mut(axis).into_iter().zip(kept.view().lanes(axis))
            {
                let total: f64 = dx.iter().map(|dy| dy.wide()).sum();
                dx.zip_mut_with(&y, |d, y| *d = T::of(d.wide() - y.wide().exp() * total));
            }
            [Some(dx)]
        })
    }

    /// Softmax along the last axis over the pairs that a mask allows. Excluded pairs get exactly 0;
    /// a row without allowed pairs is 0 throughout.
    ///
    /// The gradient of an excluded score is exactly 0, whatever its `dy`. The gradient of a row
    /// whose `dy` is 0 throughout is 0, even if the row holds NaN.
    pub(crate) fn softmax_where(&self, pairs: &Pairs) -> Self {
        let mut y = self.value.clone();
        for (mut row, allowed) in y.view_mut().rows_mut().into_iter().zip(pairs.allowed().rows()) {
            let counted = row.iter().zip(allowed).filter(|(_, allowed)| **allowed);
            let Exponentials { largest, sum } = Exponentials::of(counted.map(|(x, _)| *x));
            row.zip_mut_with(&allowed, |x, &allowed| {
                *x = if allowed { T::of((x.wide() - largest).exp() / sum) } else { T::zero() };
            });
        }
        let (kept, pairs) = (y.clone(), pairs.clone());
        record(y, [self], move |dy, _| {
            let mut dx = dy.clone();
            let (y, allowed) = (kept.view(), pairs.allowed());
            let rows = y.rows().into_iter().zip(allowed.rows());
            for (mut dx, (y, allowed)) in dx.view_mut().rows_mut().into_iter().zip(rows) {
                dx.zip_mut_with(&allowed, zero_unless);
                if !affects_loss(&dx.view()) {
                    continue;
                }
                let mean: f64 = dx.iter().zip(y).map(|(dy, y)| dy.wide() * y.wide()).sum();
                Zip::from(dx).and(y).and(allowed).for_each(|d, y, &allowed| {
                    if allowed {
                        *d = T::of(y.wide() * (d.wide() - mean));
                    }
                });
            }
            [Some(dx)]
        })
    }
}

/// The largest number of a row, and `Σⱼ exp(xⱼ - largest)`.
pub(crate) struct Exponentials {
    pub(crate) largest: f64,
    pub(crate) sum: f64,
}

impl Exponentials {
    pub(crate) fn of<T: Float>(row: impl Iterator<Item = T> + Clone) -> Self {
        // `max` ignores NaN, the sum does not: one NaN makes the row NaN.
        let largest = row.clone().fold(T::neg_infinity(), T::max).wide();
        Self { largest, sum: row.map(|x| (x.wide() - largest).exp()).sum() }
    }
}

fn softmax_in_place<T: Float>(mut row: ArrayViewMut1<'_, T>) {
    let Exponentials { largest, sum } = Exponentials::of(row.iter().copied());
    row.mapv_inplace(|x| T::of((x.wide() - largest).exp() / sum));
}

fn record_softmax<T: Float>(x: &Tensor<T>, y: Value<T>, axis: Axis) -> Tensor<T> {
    let kept = y.clone();
    record(y, [x], move |dy, _| {
        let mut dx = dy.clone();
        for (mut dx, y) in dx.view_mut().lanes_mut(axis).into_iter().zip(kept.view().lanes(axis)) {
            let mean: f64 = dx.iter().zip(y).map(|(dy, y)| dy.wide() * y.wide()).sum();
            dx.zip_mut_with(&y, |d, y| *d = T::of(y.wide() * (d.wide() - mean)));
        }
        [Some(dx)]
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn an_excluded_score_has_the_gradient_zero_whatever_comes_back() {
        let nan = f64::NAN;
        let x = Tensor::parameter(array![[0.0, 0.0, 7.0], [nan, 0.0, 7.0], [nan, 0.0, 7.0]]);
        let pairs = Pairs::new(array![true, true, false].into_dyn(), vec![3, 3]);
        let y = x.softmax_where(&pairs);
        assert_eq!(y.as_slice()[..3], [0.5, 0.5, 0.0]);
        let dy = Tensor::new(array![[1.0, 3.0, nan], [1.0, nan, nan], [0.0, 0.0, nan]]);
        let gradients = y.backward_from(&dy);
        let dx = gradients.get(&x).unwrap().as_slice();
        assert_eq!(dx[..3], [-0.5, 0.5, 0.0]);
        assert!(dx[3].is_nan() && dx[4].is_nan());
        assert_eq!(dx[5], 0.0);
        assert_eq!(dx[6..], [0.0; 3]); // nothing depends on this row
    }
}
