//! The product of two matrices or of two batches of matrices. Page: `book/src/tensor.md`.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayView3, ArrayViewMut3, Axis, IxDyn};

use crate::engine::autograd::{Value, record};
use crate::engine::{Tensor, shape};
use crate::machine::Float;
use crate::machine::buffer::Buffer;

impl<T: Float> Tensor<T> {
    /// The matrix product: `[m, k]` by `[k, n]` gives `[m, n]`.
    ///
    /// More axes in front make a batch of matrices, `[.., m, k]` by `[.., k, n]`. These axes
    /// broadcast by NumPy's rules, so one matrix can multiply a whole batch. Gradient: `dy·bᵀ` for
    /// `a`, `aᵀ·dy` for `b`, summed over the axes that were stretched.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// use ndarray::array;
    ///
    /// let a = Tensor::new(array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]); // 3 × 2
    /// let b = Tensor::new(array![[10.0], [1.0]]);                      // 2 × 1
    /// assert_eq!(a.matmul(&b), Tensor::new(array![[12.0], [34.0], [56.0]]));
    ///
    /// let batch = a.reshape(&[3, 1, 2]);                               // three matrices, 1 × 2
    /// assert_eq!(batch.matmul(&b), Tensor::new(array![[[12.0]], [[34.0]], [[56.0]]]));
    /// ```
    ///
    /// # Panics
    /// If either has fewer than two axes, the inner lengths differ, the leading axes do not
    /// broadcast, or the product has more values than memory has addresses.
    ///
    /// *PyTorch*: `a @ b`, which takes vectors too.
    #[track_caller]
    pub fn matmul(&self, other: &Self) -> Self {
        let (leading, [m, k, n]) = shape::matmul(self.shape(), other.shape());
        let matrices = leading.iter().product::<usize>();
        let followed_by = |axes: [usize; 2]| [leading.as_slice(), &axes].concat();
        let shape = followed_by([m, n]);
        shape::addressable::<T>("matmul", &shape);
        if let [_, _] = other.shape() {
            // One matrix for the whole batch: the rows of the batch make one tall matrix.
            return product(self, other, &shape, [1, matrices * m, k, n]);
        }
        let a = self.broadcast_to(&followed_by([m, k]));
        let b = other.broadcast_to(&followed_by([k, n]));
        product(&a, &b, &shape, [matrices, m, k, n])
    }
}

/// `[batch, m, k]` by `[batch, k, n]`, matrix by matrix; the result has the shape `shape`.
// ANCHOR: matmul
fn product<T: Float>(
    a: &Tensor<T>,
    b: &Tensor<T>,
    shape: &[usize],
    [batch, m, k, n]: [usize; 4],
) -> Tensor<T> {
    let (av, bv) = (a.value.clone(), b.value.clone());
    let y = products(&matrices(&av, [batch, m, k]), &matrices(&bv, [batch, k, n]), shape);
    record(y, [a, b], move |dy, [da, db]| {
        let (a, b) = (matrices(&av, [batch, m, k]), matrices(&bv, [batch, k, n]));
        let dy = matrices(dy, [batch, m, n]);
        [
            // da = dy · bᵀ  (m, k), db = aᵀ · dy  (k, n)
            da.then(|| products(&dy, &transposed(&b), av.shape())),
            db.then(|| products(&transposed(&a), &dy, bv.shape())),
        ]
    })
}
// ANCHOR_END: matmul

/// `ndarray` sums products in the element type. A sum of more than four times this many products,
/// as in the gradient of a weight over a large batch, is cut into pieces of this length, which are
/// added in `f64`. The error of a sum of a million equal `f32` was 4e-5 without pieces and is 2e-6
/// with them.
const LONG: usize = 1024;

/// The loop over the batch; `ndarray` multiplies the matrices.
fn products<T: Float>(a: &ArrayView3<'_, T>, b: &ArrayView3<'_, T>, shape: &[usize]) -> Value<T> {
    let (batch, m, n) = (a.dim().0, a.dim().1, b.dim().2);
    let mut numbers = Buffer::new(batch * m * n);
    let mut y = ArrayViewMut3::from_shape((batch, m, n), &mut numbers).expect("as many numbers");
    for ((a, b), mut y) in a.outer_iter().zip(b.outer_iter()).zip(y.outer_iter_mut()) {
        if a.ncols() > 4 * LONG {
            y.assign(&long_product(&a, &b));
        } else {
            general_mat_mul(T::one(), &a, &b, T::zero(), &mut y); // 0: the old numbers of y are not read
        }
    }
    Value::new(IxDyn(shape), numbers)
}

/// The product of a wide and a tall matrix, in pieces that are added in `f64`.
fn long_product<T: Float>(a: &ArrayView2<'_, T>, b: &ArrayView2<'_, T>) -> Array2<T> {
    let mut sums = Array2::<f64>::zeros((a.nrows(), b.ncols()));
    let pieces = a.axis_chunks_iter(Axis(1), LONG).zip(b.axis_chunks_iter(Axis(0), LONG));
    for (a, b) in pieces {
        sums.zip_mut_with(&a.dot(&b), |sum, product| *sum += product.wide());
    }
    sums.mapv(T::of)
}

fn matrices<T: Float>(value: &Value<T>, shape: [usize; 3]) -> ArrayView3<'_, T> {
    ArrayView3::from_shape(shape, value.as_slice()).expect("as many numbers")
}

fn transposed<'a, T>(matrices: &ArrayView3<'a, T>) -> ArrayView3<'a, T> {
    matrices.permuted_axes([0, 2, 1])
}
