//! The matrix products of attention where a mask excludes pairs.
//!
//! An excluded pair has the weight 0 and the gradient 0. In a matrix product that is not enough,
//! because 0 · NaN is NaN. So each product is first computed over all pairs. If a result is not
//! finite, the product is computed again over the pairs that count.
//!
//! In a pullback, the pairs of a query whose upstream gradient is all zeros do not count either:
//! the loss does not depend on that query's output.

use std::sync::Arc;

use ndarray::linalg::general_mat_mul;
use ndarray::{
    Array2, ArrayD, ArrayView1, ArrayView2, ArrayView3, ArrayViewD, ArrayViewMut2, ArrayViewMut3,
    Axis, IxDyn, Zip,
};

use crate::engine::Tensor;
use crate::engine::autograd::{Value, record};
use crate::machine::Float;
use crate::machine::buffer::Buffer;

/// The pairs of a query and a key that a mask allows. A clone shares the mask.
#[derive(Clone)]
pub(crate) struct Pairs {
    allowed: Arc<ArrayD<bool>>,
    /// The shape of the scores, `[.., queries, keys]`, to which `allowed` stretches.
    scores: Vec<usize>,
}

impl Pairs {
    pub(crate) fn new(allowed: ArrayD<bool>, scores: Vec<usize>) -> Self {
        Self { allowed: Arc::new(allowed), scores }
    }

    /// The mask in the shape of the scores.
    pub(crate) fn allowed(&self) -> ArrayViewD<'_, bool> {
        self.allowed.broadcast(IxDyn(&self.scores)).expect("checked by the caller")
    }

    /// The mask of one matrix of the batch.
    fn of_matrix(&self, matrix: usize) -> ArrayView2<'_, bool> {
        let (mut allowed, mut rest) = (self.allowed(), matrix);
        for axis in (0..allowed.ndim() - 2).rev() {
            let length = self.scores[axis];
            allowed = allowed.index_axis_move(Axis(axis), rest % length);
            rest /= length;
        }
        allowed.into_dimensionality().expect("queries and keys are left")
    }

    /// The allowed pairs of one matrix whose query affects the loss; `dy` has a row for each query.
    fn used<T: Float>(&self, matrix: usize, dy: &ArrayView3<'_, T>) -> Array2<bool> {
        let mut pairs = self.of_matrix(matrix).to_owned();
        let rows = dy.index_axis(Axis(0), matrix);
        for (mut pairs, dy) in pairs.outer_iter_mut().zip(rows.outer_iter()) {
            if !affects_loss(&dy) {
                pairs.fill(false);
            }
        }
        pairs
    }

    /// `q·kᵀ`. The scores of excluded pairs must not be read.
    pub(crate) fn scores<T: Float>(&self, q: &Tensor<T>, k: &Tensor<T>) -> Tensor<T> {
        let (qv, kv, pairs) = (q.value.clone(), k.value.clone(), self.clone());
        let y = products(&matrices(&qv), &transposed(&matrices(&kv)), &self.scores, |_, _| {});
        record(y, [q, k], move |ds, [dq, dk]| {
            let (q, k, ds) = (matrices(&qv), matrices(&kv), matrices(ds));
            let used = |matrix| pairs.used(matrix, &ds);
            let transposed_used = |matrix| used(matrix).reversed_axes();
            [
                dq.then(|| sums(&ds, &k, qv.shape(), used)),
                dk.then(|| sums(&transposed(&ds), &q, kv.shape(), transposed_used)),
            ]
        })
    }

    /// `weights·v`, where the weights of excluded pairs are 0.
    pub(crate) fn gather<T: Float>(&self, weights: &Tensor<T>, v: &Tensor<T>) -> Tensor<T> {
        let (wv, vv, pairs) = (weights.value.clone(), v.value.clone(), self.clone());
        let mut shape = self.scores.clone();
        shape[self.scores.len() - 1] = v.shape()[v.shape().len() - 1];
        let all = |matrix| self.of_matrix(matrix).to_owned();
        let y = sums(&matrices(&wv), &matrices(&vv), &shape, all);
        record(y, [weights, v], move |dy, [dw, dv]| {
            let (w, v, dy) = (matrices(&wv), matrices(&vv), matrices(dy));
            let used = |matrix| pairs.used(matrix, &dy);
            [
                dw.then(|| {
                    products(&dy, &transposed(&v), wv.shape(), |matrix, mut dw| {
                        if !finite(&dw) {
                            dw.zip_mut_with(&used(matrix), zero_unless);
                        }
                    })
                }),
                dv.then(|| {
                    sums(&transposed(&w), &dy, vv.shape(), |matrix| used(matrix).reversed_axes())
                }),
            ]
        })
    }
}

/// `x·w`, for rows `[.., k]` and one matrix `[k, n]`. A row that does not affect the loss adds
/// nothing to the gradient of the matrix, even if the row holds NaN.
pub(crate) fn rows_by_matrix<T: Float>(x: &Tensor<T>, w: &Tensor<T>) -> Tensor<T> {
    let (&[ref leading @ .., k], &[_, n]) = (x.shape(), w.shape()) else {
        unreachable!("checked by the caller")
    };
    let shape = [leading, &[n]].concat();
    let rows = leading.iter().product();
    let x = x.reshape(&[rows, k]);
    let (xv, wv) = (x.value.clone(), w.value.clone());
    let y = products(&matrices(&xv), &matrices(&wv), &[rows, n], |_, _| {});
    let y = record(y, [&x, w], move |dy, [dx, dw]| {
        let (x, w, dy) = (matrices(&xv), matrices(&wv), matrices(dy));
        let used = |_| {
            let mut used = Array2::from_elem((rows, k), true);
            for (mut row, dy) in used.outer_iter_mut().zip(dy.index_axis(Axis(0), 0).outer_iter()) {
                row.fill(affects_loss(&dy));
            }
            used.reversed_axes()
        };
        [
            dx.then(|| products(&dy, &transposed(&w), xv.shape(), |_, _| {})),
            dw.then(|| sums(&transposed(&x), &dy, wv.shape(), used)),
        ]
    });
    y.reshape(&shape)
}

/// Whether the loss depends on a row with the upstream gradient `dy`.
pub(super) fn affects_loss<T: Float>(dy: &ArrayView1<'_, T>) -> bool {
    dy.iter().any(|&dy| dy != T::zero())
}

pub(super) fn zero_unless<T: Float>(x: &mut T, counts: &bool) {
    if !counts {
        *x = T::zero();
    }
}

/// `Σⱼ mᵢⱼ · rⱼ` over the pairs (i, j) that count. In any other pair, `mᵢⱼ` is 0 or `rⱼ` is all
/// zeros.
fn sums<T: Float>(
    m: &ArrayView3<'_, T>,
    r: &ArrayView3<'_, T>,
    shape: &[usize],
    used: impl Fn(usize) -> Array2<bool>,
) -> Value<T> {
    products(m, r, shape, |matrix, mut y| {
        if finite(&y) {
            return;
        }
        let pairs = used(matrix);
        let mut m = m.index_axis(Axis(0), matrix).to_owned();
        m.zip_mut_with(&pairs, zero_unless);
        let r = r.index_axis(Axis(0), matrix);
        let numbers = r.mapv(|r| if r.is_finite() { r } else { T::zero() });
        general_mat_mul(T::one(), &m, &numbers, T::zero(), &mut y);
        for ((j, feature), &r) in r.indexed_iter().filter(|(_, r)| !r.is_finite()) {
            let rows = y.column_mut(feature);
            Zip::from(rows).and(m.column(j)).and(pairs.column(j)).for_each(|y, &m, &pairs| {
                if pairs {
                    *y += m * r;
                }
            });
        }
    })
}

/// Whether a product holds neither NaN nor an infinity. If so, its operands hold neither.
fn finite<T: Float>(y: &ArrayViewMut2<'_, T>) -> bool {
    y.iter().all(|y| y.is_finite())
}

/// `a·b`, matrix by matrix. `then` may change each product.
fn products<T: Float>(
    a: &ArrayView3<'_, T>,
    b: &ArrayView3<'_, T>,
    shape: &[usize],
    then: impl Fn(usize, ArrayViewMut2<'_, T>),
) -> Value<T> {
    let (batch, m, n) = (a.dim().0, a.dim().1, b.dim().2);
    let mut numbers = Buffer::new(batch * m * n);
    let mut y = ArrayViewMut3::from_shape((batch, m, n), &mut numbers).expect("as many numbers");
    for (matrix, mut y) in y.outer_iter_mut().enumerate() {
        let (a, b) = (a.index_axis(Axis(0), matrix), b.index_axis(Axis(0), matrix));
        general_mat_mul(T::one(), &a, &b, T::zero(), &mut y); // 0: the old numbers of y are not read
        then(matrix, y);
    }
    Value::new(IxDyn(shape), numbers)
}

/// `[.., m, n]` as a batch of matrices.
fn matrices<T: Float>(value: &Value<T>) -> ArrayView3<'_, T> {
    let &[ref leading @ .., m, n] = value.shape() else { unreachable!("checked by the caller") };
    let shape = (leading.iter().product(), m, n);
    ArrayView3::from_shape(shape, value.as_slice()).expect("as many numbers")
}

fn transposed<'a, T>(matrices: &ArrayView3<'a, T>) -> ArrayView3<'a, T> {
    matrices.permuted_axes([0, 2, 1])
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// An infinite upstream gradient reaches the weights with the sign of the number it is
    /// multiplied by.
    #[test]
    fn an_infinity_keeps_the_sign_of_its_product() {
        let x = Tensor::new(array![[-1.0, 2.0], [1.0, 1.0]]);
        let w = Tensor::parameter(array![[1.0], [1.0]]);
        let y = rows_by_matrix(&x, &w);
        assert_eq!(y, Tensor::new(array![[1.0], [2.0]]));
        let dw = y.backward_from(&Tensor::new(array![[f64::INFINITY], [1.0]]));
        assert_eq!(dw[&w], Tensor::new(array![[f64::NEG_INFINITY], [f64::INFINITY]]));
    }
}
