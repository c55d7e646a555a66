//! Constants from a shape, from a generator of random numbers, from arrays and from lists.

use ndarray::{ArrayBase, Data, Dimension, IntoDimension, IxDyn, aview1, aview2};
use rand::Rng;

use crate::engine::autograd::Value;
use crate::engine::{Tensor, init, shape};
use crate::machine::Float;

impl<T: Float> Tensor<T> {
    /// A constant of zeros. The shape is a number for one axis, or an array, a tuple or a slice for
    /// any number of axes. The element type is inferred; where nothing determines it, write it:
    /// `let x: Tensor = …` is `f64`.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// let x: Tensor = Tensor::zeros([2, 3]);
    /// assert_eq!(x.to_vec(), [0.0; 6]);
    /// assert_eq!(Tensor::zeros((2, 3)), x);
    /// assert_eq!(Tensor::zeros(x.shape()), x);
    /// assert_eq!(Tensor::<f32>::zeros(2).shape(), [2]);
    /// ```
    ///
    /// # Panics
    /// If the shape has more values than memory has addresses.
    ///
    /// *PyTorch*: `torch.zeros(shape)`.
    #[track_caller]
    pub fn zeros(shape: impl IntoDimension) -> Self {
        filled("zeros", shape, T::zero())
    }

    /// A constant of ones; the shape as in [`zeros`](Self::zeros).
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// let x: Tensor = Tensor::ones([2, 3]);
    /// assert_eq!(x.sum().item(), 6.0);
    /// ```
    ///
    /// # Panics
    /// If the shape has more values than memory has addresses.
    ///
    /// *PyTorch*: `torch.ones(shape)`.
    #[track_caller]
    pub fn ones(shape: impl IntoDimension) -> Self {
        filled("ones", shape, T::one())
    }

    /// A constant with the same number everywhere; the shape as in [`zeros`](Self::zeros).
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// assert_eq!(Tensor::full([1, 2], 7.0).to_vec(), [7.0, 7.0]);
    /// ```
    ///
    /// # Panics
    /// If the shape has more values than memory has addresses.
    ///
    /// *PyTorch*: `torch.full(shape, number)`.
    #[track_caller]
    pub fn full(shape: impl IntoDimension, number: T) -> Self {
        filled("full", shape, number)
    }

    /// A constant of random numbers from N(0, 1), in row-major order; the shape as in
    /// [`zeros`](Self::zeros).
    ///
    /// `f32` and `f64` get the same numbers, rounded.
    ///
    /// ```
    /// use evenkeel::{Tensor, rng};
    /// let x: Tensor = Tensor::randn([100, 100], &mut rng(0));
    /// assert!(x.mean().item().abs() < 0.03 && (x.square().mean().item() - 1.0).abs() < 0.05);
    /// assert_eq!(x, Tensor::randn([100, 100], &mut rng(0)));
    /// ```
    ///
    /// # Panics
    /// If the shape has more values than memory has addresses.
    ///
    /// *PyTorch*: `torch.randn(shape, generator=rng)`.
    #[track_caller]
    pub fn randn(shape: impl IntoDimension, rng: &mut (impl Rng + ?Sized)) -> Self {
        let shape = shape.into_dimension();
        shape::addressable::<T>("randn", shape.slice());
        Self::new(init::normal_array(shape.slice(), 1.0, rng))
    }
}

#[track_caller]
fn filled<T: Float>(op: &str, shape: impl IntoDimension, number: T) -> Tensor<T> {
    let shape = shape.into_dimension();
    shape::addressable::<T>(op, shape.slice());
    Tensor::from_value(Value::full(IxDyn(shape.slice()), number))
}

/// A constant from any ndarray array or view, as [`Tensor::new`] makes it.
impl<T: Float, S: Data<Elem = T>, D: Dimension> From<ArrayBase<S, D>> for Tensor<T> {
    fn from(array: ArrayBase<S, D>) -> Self {
        Self::new(array)
    }
}

/// A constant from a reference to any ndarray array or view.
impl<T: Float, S: Data<Elem = T>, D: Dimension> From<&ArrayBase<S, D>> for Tensor<T> {
    fn from(array: &ArrayBase<S, D>) -> Self {
        Self::new(array.view())
    }
}

/// A constant with one axis.
///
/// ```
/// use evenkeel::Tensor;
/// assert_eq!(Tensor::from(vec![1.0, 2.0, 4.0]).shape(), [3]);
/// ```
///
/// *PyTorch*: `torch.tensor([1.0, 2.0, 4.0])`.
impl<T: Float> From<Vec<T>> for Tensor<T> {
    fn from(numbers: Vec<T>) -> Self {
        numbers.as_slice().into()
    }
}

/// A constant with one axis.
impl<T: Float> From<&[T]> for Tensor<T> {
    fn from(numbers: &[T]) -> Self {
        Self::new(aview1(numbers))
    }
}

/// A constant with one axis.
///
/// ```
/// use evenkeel::Tensor;
/// let x: Tensor<f32> = [1.0, 2.0, 4.0].into();
/// assert_eq!(x.shape(), [3]);
/// ```
impl<T: Float, const N: usize> From<[T; N]> for Tensor<T> {
    fn from(numbers: [T; N]) -> Self {
        numbers.as_slice().into()
    }
}

/// A constant with two axes, row by row.
///
/// ```
/// use evenkeel::Tensor;
/// let x = Tensor::from([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
/// assert_eq!(x.shape(), [2, 3]);
/// ```
///
/// *PyTorch*: `torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])`.
impl<T: Float, const M: usize, const N: usize> From<[[T; M]; N]> for Tensor<T> {
    fn from(rows: [[T; M]; N]) -> Self {
        Self::new(aview2(&rows))
    }
}

/// A constant without axes: one number.
///
/// ```
/// use evenkeel::Tensor;
/// let x = Tensor::from(2.5);
/// assert_eq!((x.shape(), x.item()), ([].as_slice(), 2.5));
/// ```
///
/// *PyTorch*: `torch.tensor(2.5)`.
impl<T: Float> From<T> for Tensor<T> {
    fn from(number: T) -> Self {
        Self::full((), number)
    }
}
