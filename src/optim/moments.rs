//! [`Moments`]: Adam's state for a parameter, and its update. Page: `book/src/using_layer_norm.md`.

use fearless_simd::dispatch;

use super::zeros_like;
use crate::engine::{Tensor, shape};
use crate::machine::{Float, threads, vectors};

/// The state of [`Adam`](crate::Adam) for one parameter, in the parameter's shape, without the
/// correction for the start at zero.
///
/// ```
/// use evenkeel::{Adam, Tensor};
/// use ndarray::array;
///
/// let mut w = Tensor::parameter(array![5.0]);
/// let mut adam = Adam::new(0.1).with_betas(0.5, 0.75);
/// assert!(adam.moments(&w).is_none());
/// let gradients = (&w * 8.0).sum().backward();
/// adam.step(&mut w, &gradients);
/// let moments = adam.moments(&w).unwrap();
/// assert_eq!((moments.m.item(), moments.v.item()), (0.5 * 8.0, 0.25 * 64.0));
/// assert_eq!((moments.steps, &moments.v_max), (1, &None));
/// ```
///
/// *PyTorch*: `step`, `exp_avg`, `exp_avg_sq` and `max_exp_avg_sq` of `optimizer.state[p]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments<T: Float = f64> {
    /// The number of steps this parameter has taken, by which the start at zero is corrected.
    pub steps: u64,
    /// The running mean of the gradient.
    pub m: Tensor<T>,
    /// The running mean of the gradient's square.
    pub v: Tensor<T>,
    /// The largest value so far of each element of `v`; `None` without AMSGrad.
    pub v_max: Option<Tensor<T>>,
}

impl<T: Float> Moments<T> {
    pub(crate) fn zeros_like(parameter: &Tensor<T>) -> Self {
        Self { steps: 0, m: zeros_like(parameter), v: zeros_like(parameter), v_max: None }
    }

    /// Refuses moments of another shape than that of `parameter`.
    #[track_caller]
    pub(crate) fn fit(&self, optimiser: &str, parameter: &Tensor<T>) {
        let own = [("m", Some(&self.m)), ("v", Some(&self.v)), ("v_max", self.v_max.as_ref())];
        for (what, moment) in own {
            if let Some(moment) = moment {
                shape::exactly(optimiser, what, parameter.shape(), moment.shape());
            }
        }
    }
}

/// Sets `v_max` to `v` if `v` is larger or NaN, and returns `v_max`.
fn raise<T: Float>(v_max: &mut T, v: T) -> T {
    if v > *v_max || v.is_nan() {
        *v_max = v;
    }
    *v_max
}

/// The coefficients of one step, the same for every element.
#[derive(Clone, Copy)]
pub(crate) struct Update<T> {
    pub(crate) sign: T,
    /// The share of a parameter that is added to its gradient.
    pub(crate) l2: T,
    /// The share of a parameter that is kept.
    pub(crate) shrink: T,
    /// The weight of the past in `m`, and of the new gradient.
    pub(crate) beta1: (T, T),
    /// The weight of the past in `v`, and of the new gradient's square.
    pub(crate) beta2: (T, T),
    /// lr over the correction of `m` for its start at zero.
    pub(crate) size: T,
    /// 1 over the root of the correction of `v`.
    pub(crate) root2: T,
    pub(crate) eps: T,
}

impl<T: Float> Update<T> {
    /// Updates `p`, `m` and `v`. With AMSGrad, `v_max` is as long as these; without, it is empty.
    pub(crate) fn apply(self, p: &mut [T], g: &[T], m: &mut [T], v: &mut [T], v_max: &mut [T]) {
        let piece = threads::piece(p.len(), p.len());
        let pieces = p.chunks_mut(piece).zip(g.chunks(piece));
        let pieces = pieces.zip(m.chunks_mut(piece).zip(v.chunks_mut(piece)));
        if v_max.is_empty() {
            threads::each(pieces, |((p, g), (m, v))| {
                dispatch!(vectors::level(), _simd => self.piece(p, g, m, v, |_, v| v));
            });
        } else {
            threads::each(pieces.zip(v_max.chunks_mut(piece)), |(((p, g), (m, v)), v_max)| {
                self.piece(p, g, m, v, |i, v| raise(&mut v_max[i], v));
            });
        }
    }

    // ANCHOR: update
    #[inline(always)]
    fn piece(
        self,
        p: &mut [T],
        g: &[T],
        m: &mut [T],
        v: &mut [T],
        mut largest: impl FnMut(usize, T) -> T,
    ) {
        let n = p.len(); // the length of all four: no bounds checks in the loop
        let (g, m, v) = (&g[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            let g = self.sign * g[i];
            let g = if self.l2 > T::zero() { g + self.l2 * p[i] } else { g };
            m[i] = self.beta1.0 * m[i] + self.beta1.1 * g;
            v[i] = self.beta2.0 * v[i] + self.beta2.1 * g * g;
            let v = largest(i, v[i]);
            p[i] = self.shrink * p[i] - self.size * m[i] / (v.sqrt() * self.root2 + self.eps);
        }
    }
    // ANCHOR_END: update
}
