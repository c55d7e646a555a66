//! [`Tensor`]: an array and its place in the graph. Page: `book/src/tensor.md`.

use std::sync::Arc;

use approx::{AbsDiffEq, RelativeEq};
use ndarray::{ArrayBase, ArrayD, ArrayViewD, Data, Dimension, IxDyn};
use thiserror::Error;

use crate::engine::autograd::{Node, Value};
use crate::engine::shape;
use crate::machine::Float;

/// An array of any rank and its place in the graph of operations that computed it.
///
/// A tensor is either a *constant* ([`Tensor::new`]), a *parameter* ([`Tensor::parameter`]), or the
/// result of an operation. A clone is a handle: it shares the numbers and the identity. An
/// optimiser's `step` gives a parameter new numbers; earlier handles keep the old ones.
///
/// The element type `T` is `f64` or `f32`. Float literals give `f64`, as in NumPy.
///
/// ```
/// use evenkeel::Tensor;
/// use ndarray::array;
///
/// let x = Tensor::new(array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]); // shape [2, 3]
/// let w = Tensor::parameter(array![[1.0], [0.0], [-1.0]]);       // shape [3, 1]
/// let y = x.matmul(&w);
/// assert_eq!(y, Tensor::new(array![[-2.0], [-2.0]]));
///
/// let gradients = y.sum().backward();
/// assert_eq!(gradients.get(&w).unwrap(), &Tensor::new(array![[5.0], [7.0], [9.0]])); // the column sums of x
/// ```
///
/// *Differs from PyTorch in*: gradients are returned, not stored in the tensor, so there is no
/// `zero_grad`; there is no in-place arithmetic. Page: `book/src/tensor.md`.
#[derive(Clone)]
#[must_use]
pub struct Tensor<T: Float = f64> {
    pub(crate) value: Value<T>,
    pub(crate) node: Option<Arc<Node<T>>>,
}

/// The values do not fill the shape, or the shape is too large: see [`Tensor::from_vec`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{}, got {got}", self.what_the_shape_holds())]
pub struct WrongLength {
    /// The shape asked for.
    pub shape: Vec<usize>,
    /// How many values the shape holds; `None` if the shape is too large.
    pub expected: Option<usize>,
    /// How many values were given.
    pub got: usize,
}

impl WrongLength {
    fn what_the_shape_holds(&self) -> String {
        match self.expected {
            Some(expected) => format!("a tensor of shape {:?} holds {expected} values", self.shape),
            None => shape::too_large(&self.shape),
        }
    }
}

impl<T: Float> Tensor<T> {
    /// A constant: copies any ndarray array or view, of any rank and memory layout.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// use ndarray::array;
    /// assert_eq!(Tensor::new(array![[1.0, 2.0]].t()).shape(), [2, 1]);
    /// ```
    ///
    /// *PyTorch*: `torch.tensor(array)`.
    #[expect(clippy::needless_pass_by_value)] // takes arrays and views without `&`
    pub fn new<S, D>(array: ArrayBase<S, D>) -> Self
    where
        S: Data<Elem = T>,
        D: Dimension,
    {
        // An owned array is copied too: the allocator does not align it to cache lines, and vectors
        // that cross two lines cost a forward pass over 512 × 512 numbers 10 % of its time or more.
        Self::from_value(Value::copy_of(&array))
    }

    /// A trainable leaf, which gets a gradient from `backward` and new numbers from an optimiser's
    /// `step`.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// use ndarray::array;
    /// assert!(Tensor::parameter(array![0.5]).is_parameter());
    /// assert!(!Tensor::new(array![0.5]).is_parameter());
    /// ```
    ///
    /// *PyTorch*: `torch.nn.Parameter(tensor)`.
    pub fn parameter<S, D>(array: ArrayBase<S, D>) -> Self
    where
        S: Data<Elem = T>,
        D: Dimension,
    {
        Self { node: Some(Node::leaf()), ..Self::new(array) }
    }

    /// A constant from a shape and the values in row-major order.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// let x = Tensor::from_vec(&[2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
    /// assert_eq!(x.shape(), [2, 2]);
    /// let error = Tensor::from_vec(&[2, 2], vec![1.0]).unwrap_err();
    /// assert_eq!(error.to_string(), "a tensor of shape [2, 2] holds 4 values, got 1");
    /// ```
    ///
    /// # Errors
    /// [`WrongLength`] if the number of values does not fill the shape, or if the product of the
    /// shape's lengths, those of 0 left out, is above `isize::MAX`.
    ///
    /// *PyTorch*: `torch.tensor(values).reshape(shape)`.
    pub fn from_vec(shape: &[usize], values: Vec<T>) -> Result<Self, WrongLength> {
        let (expected, got) = (shape::size(shape), values.len());
        if expected != Some(got) {
            return Err(WrongLength { shape: shape.to_vec(), expected, got });
        }
        Ok(Self::new(ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many values")))
    }

    pub(crate) fn from_value(value: Value<T>) -> Self {
        Self { value, node: None }
    }

    /// A view of the numbers.
    pub fn value(&self) -> ArrayViewD<'_, T> {
        self.value.view()
    }

    /// The length of each axis; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        self.value.shape()
    }

    /// Whether this is a trainable leaf.
    pub fn is_parameter(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.is_leaf())
    }

    /// The number in a tensor that holds exactly one, whatever its rank.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// use ndarray::array;
    /// assert_eq!(Tensor::new(array![1.0, 2.0, 4.0]).sum().item(), 7.0);
    /// ```
    ///
    /// # Panics
    /// If there is not exactly one.
    #[track_caller]
    pub fn item(&self) -> T {
        assert!(
            self.value.len() == 1,
            "item: expected a tensor with one value, got shape {:?}",
            self.shape()
        );
        self.as_slice()[0]
    }

    /// The same numbers as a constant: no gradient flows back through the result.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// use ndarray::array;
    ///
    /// let w = Tensor::parameter(array![3.0]);
    /// let gradients = (&w * w.detach()).sum().backward();
    /// assert_eq!(gradients.get(&w).unwrap().item(), 3.0); // not 6: one factor counted as a constant
    /// ```
    pub fn detach(&self) -> Self {
        Self::from_value(self.value.clone())
    }

    /// This constant as a parameter: a trainable leaf with the same numbers. A parameter is
    /// returned unchanged.
    ///
    /// ```
    /// use evenkeel::Tensor;
    ///
    /// let mut rng = evenkeel::rng(0);
    /// let w = (Tensor::randn([4, 8], &mut rng) * 0.5).trainable(); // from N(0, 0.25)
    /// let b = Tensor::zeros([8]).trainable();
    /// let y = Tensor::ones([2, 4]).matmul(&w) + &b;
    /// assert_eq!(y.sum().backward().get(&b).unwrap(), &Tensor::full([8], 2.0));
    /// ```
    ///
    /// # Panics
    /// On the result of an operation on parameters: as a leaf it would be cut off from them, and they
    /// would get no gradient. Where that is what you want, say `y.detach().trainable()`.
    ///
    /// *PyTorch*: `x.requires_grad_()`, which works in place.
    #[track_caller]
    pub fn trainable(self) -> Self {
        match &self.node {
            None => Self { node: Some(Node::leaf()), ..self },
            Some(node) if node.is_leaf() => self,
            Some(_) => panic!(
                "trainable: expected a constant, got the result of an operation on parameters (shape {:?}), which would get no gradient through it: detach() it first, or make a parameter of what it was computed from",
                self.shape()
            ),
        }
    }

    /// A copy of the numbers in row-major order.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// use ndarray::array;
    /// let x = Tensor::new(array![[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!(x.t().to_vec(), [1.0, 3.0, 2.0, 4.0]);
    /// assert_eq!(Tensor::from_vec(x.shape(), x.to_vec()).unwrap(), x);
    /// ```
    ///
    /// *PyTorch*: `x.flatten().tolist()`.
    pub fn to_vec(&self) -> Vec<T> {
        self.as_slice().to_vec()
    }

    /// The numbers in row-major order.
    pub(crate) fn as_slice(&self) -> &[T] {
        self.value.as_slice()
    }
}

/// Equal shape and equal numbers; the place in the graph does not matter. NaN equals nothing.
impl<T: Float> PartialEq for Tensor<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Float + AbsDiffEq<Epsilon = T>> AbsDiffEq for Tensor<T> {
    type Epsilon = T;

    fn default_epsilon() -> T {
        T::default_epsilon()
    }

    fn abs_diff_eq(&self, other: &Self, epsilon: T) -> bool {
        self.shape() == other.shape()
            && self.as_slice().iter().zip(other.as_slice()).all(|(a, b)| a.abs_diff_eq(b, epsilon))
    }
}

/// `assert_relative_eq!(y, expected, epsilon = 1e-12)`: shapes must agree, NaN is close to nothing.
impl<T: Float + RelativeEq<Epsilon = T>> RelativeEq for Tensor<T> {
    fn default_max_relative() -> T {
        T::default_max_relative()
    }

    fn relative_eq(&self, other: &Self, epsilon: T, max_relative: T) -> bool {
        self.shape() == other.shape()
            && self
                .as_slice()
                .iter()
                .zip(other.as_slice())
                .all(|(a, b)| a.relative_eq(b, epsilon, max_relative))
    }
}
