//! The product of two matrices. Page: `book/src/tensor.md`.

use ndarray::{ArrayView2, Ix2};

use crate::autograd::{Value, record};
use crate::tensor::standard;
use crate::{Float, Tensor, shape};

impl<T: Float> Tensor<T> {
    /// The matrix product: `[m, k]` by `[k, n]` gives `[m, n]`.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// use ndarray::array;
    ///
    /// let a = Tensor::new(array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]); // 3 × 2
    /// let b = Tensor::new(array![[10.0], [1.0]]);                      // 2 × 1
    /// assert_eq!(a.matmul(&b), Tensor::new(array![[12.0], [34.0], [56.0]]));
    /// ```
    ///
    /// # Panics
    /// If either is not a matrix, or the inner lengths differ.
    ///
    /// *PyTorch*: `a @ b`.
    // ANCHOR: matmul
    #[must_use]
    #[track_caller]
    pub fn matmul(&self, other: &Self) -> Self {
        shape::matmul(self.shape(), other.shape());
        let (a, b) = (self.value.clone(), other.value.clone());
        let y = matrix(&a).dot(&matrix(&b)).into_dyn();
        record(y, [self, other], move |dy, [da, db]| {
            [
                // da = dy · bᵀ  (m, k), db = aᵀ · dy  (k, n)
                da.then(|| standard(matrix(dy).dot(&matrix(&b).t()).into_dyn())),
                db.then(|| standard(matrix(&a).t().dot(&matrix(dy)).into_dyn())),
            ]
        })
    }
}
// ANCHOR_END: matmul

fn matrix<T: Float>(value: &Value<T>) -> ArrayView2<'_, T> {
    value.view().into_dimensionality::<Ix2>().expect("checked to be a matrix")
}
