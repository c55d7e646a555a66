//! [`Gradients`]: what `backward` returns. Page: `book/src/tensor.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{AddAssign, Index, MulAssign};

use crate::engine::Tensor;
use crate::machine::{Float, threads};

/// What [`backward`](Tensor::backward) returns: one gradient for each parameter that it reached.
///
/// ```
/// use evenkeel::Tensor;
/// use ndarray::array;
///
/// let used = Tensor::parameter(array![1.0, 2.0]);
/// let unused = Tensor::parameter(array![1.0]);
/// let gradients = used.sum().backward();
/// assert_eq!(gradients[&used], Tensor::new(array![1.0, 1.0]));
/// assert!(gradients.get(&unused).is_none()); // gradients[&unused] would panic
/// ```
///
/// Gradients of several losses can be added, even if the losses reach different parameters. So a
/// large batch can be computed in pieces that fit into memory. [`default`](Self::default) is the
/// empty sum.
///
/// ```
/// use evenkeel::{Gradients, Tensor};
/// use ndarray::array;
///
/// let w = Tensor::parameter(array![[1.0], [2.0]]);
/// let loss = |x: Tensor| x.matmul(&w).square().mean();
/// let mut sum = Gradients::default();
/// for x in [array![[1.0, 0.0], [0.0, 1.0]], array![[1.0, 1.0], [2.0, -1.0]]] {
///     sum += loss(Tensor::new(x)).backward();
/// }
/// sum *= 0.5; // the mean over two pieces of the same length
/// let whole = array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]];
/// assert_eq!(sum[&w], loss(Tensor::new(whole)).backward()[&w]);
/// ```
///
/// *PyTorch*: `w.grad`, which every `loss.backward()` adds to until `zero_grad`. Page:
/// `book/src/tensor.md`.
#[derive(Clone)]
#[must_use]
pub struct Gradients<T: Float = f64> {
    /// By parameter id, the oldest first, so that sums over all gradients have a fixed order.
    pub(crate) of_leaf: BTreeMap<u64, Tensor<T>>,
}

impl<T: Float> Gradients<T> {
    /// The gradient of a parameter, in the parameter's shape; `None` if the parameter was not
    /// reached, or if the tensor is no parameter.
    pub fn get(&self, parameter: &Tensor<T>) -> Option<&Tensor<T>> {
        self.of_leaf.get(&parameter.node.as_ref()?.id)
    }

    /// How many parameters were reached.
    pub fn len(&self) -> usize {
        self.of_leaf.len()
    }

    /// Whether no parameter was reached. Always false for a result of `backward`.
    pub fn is_empty(&self) -> bool {
        self.of_leaf.is_empty()
    }

    /// The length of all gradients taken as one vector: the root of the sum of all squares.
    ///
    /// Accurate even if squares overflow or underflow (`f32` gradients of 1e30, `f64` gradients of
    /// 1e200 or 1e-200). NaN if a gradient holds NaN; infinite if a gradient holds an infinity.
    ///
    /// ```
    /// use evenkeel::Tensor;
    /// use ndarray::array;
    ///
    /// let (w, b) = (Tensor::parameter(array![0.0, 0.0]), Tensor::parameter(array![0.0]));
    /// let loss = (&w * Tensor::new(array![2.0, 3.0])).sum() + (&b * 6.0).sum();
    /// assert_eq!(loss.backward().norm(), 7.0); // 4 + 9 + 36 = 49
    /// ```
    ///
    /// *PyTorch*: `torch.nn.utils.get_total_norm(gradients)`.
    pub fn norm(&self) -> f64 {
        let (unit, length) = self.length();
        unit * length
    }

    /// Scales all gradients down by one factor if their [`norm`](Self::norm) is above `max_norm`,
    /// and returns the norm before scaling. The direction of the step stays the same, and one bad
    /// batch does not move the parameters far.
    ///
    /// If a gradient holds NaN or an infinity, *nothing changes*, because no factor gives such
    /// gradients a direction. Check the returned norm, and skip the step.
    ///
    /// ```
    /// use approx::assert_relative_eq;
    /// use evenkeel::Tensor;
    /// use ndarray::array;
    ///
    /// let w = Tensor::parameter(array![0.0, 0.0]);
    /// let mut gradients = (&w * Tensor::new(array![3.0, 4.0])).sum().backward();
    /// assert_eq!(gradients.clip_norm(10.0), 5.0);
    /// assert_eq!(gradients[&w], Tensor::new(array![3.0, 4.0])); // short enough
    /// assert_eq!(gradients.clip_norm(1.0), 5.0);
    /// assert_relative_eq!(gradients[&w], Tensor::new(array![0.6, 0.8]), epsilon = 1e-15);
    /// ```
    ///
    /// # Panics
    /// If `max_norm` is negative or NaN.
    ///
    /// *PyTorch*: `torch.nn.utils.clip_grad_norm_(parameters, max_norm)`, which multiplies by
    /// `max_norm / (norm + 1e-6)`. There the result is a little too short, and much too short for
    /// norms near 1e-6; an infinite number becomes NaN and all others become 0.
    ///
    /// Paper: Pascanu, Mikolov, Bengio, *On the difficulty of training recurrent neural networks*,
    /// 2013 (arXiv 1211.5063), algorithm 1.
    #[track_caller]
    pub fn clip_norm(&mut self, max_norm: f64) -> f64 {
        assert!(max_norm >= 0.0, "clip_norm: expected a max_norm of at least 0, got {max_norm}");
        let (unit, length) = self.length();
        let norm = unit * length;
        if norm > max_norm && length.is_finite() {
            self.map(move |x| x / unit / length * max_norm);
        }
        norm
    }

    /// (unit, length). The norm is `unit * length`, which may overflow although neither factor
    /// does.
    fn length(&self) -> (f64, f64) {
        let squares = self.sum_of_squares(|x| x);
        if (1e-200..1e300).contains(&squares) {
            return (1.0, squares.sqrt()); // squares that underflowed are too small to matter
        }
        let numbers = self.of_leaf.values().flat_map(Tensor::as_slice);
        let largest = numbers.fold(0.0, |largest: f64, x| largest.max(x.wide().abs()));
        if squares.is_nan() || largest == 0.0 || largest.is_infinite() {
            return (1.0, squares.abs()); // `abs`, because an empty sum is -0
        }
        (largest, self.sum_of_squares(|x| x / largest).sqrt())
    }

    /// Σ f(x)² over the numbers of all gradients, in an order that does not depend on the threads.
    fn sum_of_squares(&self, f: impl Fn(f64) -> f64 + Copy + Sync) -> f64 {
        // Short sums have smaller rounding errors than a long one.
        let of_block = move |block: &[T]| {
            let mut sums = [0.0; 8];
            for numbers in block.chunks(8) {
                for (sum, x) in sums.iter_mut().zip(numbers) {
                    let x = f(x.wide());
                    *sum += x * x;
                }
            }
            sums.iter().sum::<f64>()
        };
        let of_gradient = |gradient: &Tensor<T>| {
            let numbers = gradient.as_slice();
            let piece = threads::piece(numbers.len(), numbers.len());
            let mut sums = vec![0.0; numbers.len().div_ceil(piece)];
            threads::each(sums.iter_mut().zip(numbers.chunks(piece)), |(sum, piece)| {
                *sum = piece.chunks(1024).map(of_block).sum();
            });
            sums.iter().sum::<f64>()
        };
        self.of_leaf.values().map(of_gradient).sum()
    }

    /// Replaces each number x by f(x), rounded once.
    fn map(&mut self, f: impl Fn(f64) -> f64 + Copy + Sync + Send) {
        for gradient in self.of_leaf.values_mut() {
            gradient.value = gradient.value.map(move |x| T::of(f(x.wide())));
        }
    }
}

/// No gradients: the start of a sum.
impl<T: Float> Default for Gradients<T> {
    fn default() -> Self {
        Self { of_leaf: BTreeMap::new() }
    }
}

/// Adds gradients, parameter by parameter. A gradient that only the right side has is copied.
impl<T: Float> AddAssign<&Self> for Gradients<T> {
    fn add_assign(&mut self, other: &Self) {
        for (&id, gradient) in &other.of_leaf {
            match self.of_leaf.get_mut(&id) {
                Some(sum) => sum.value.add(&gradient.value),
                None => drop(self.of_leaf.insert(id, gradient.clone())),
            }
        }
    }
}

/// Adds gradients, like `+= &other`.
impl<T: Float> AddAssign for Gradients<T> {
    fn add_assign(&mut self, other: Self) {
        *self += &other;
    }
}

/// Multiplies every gradient by one number.
impl<T: Float> MulAssign<f64> for Gradients<T> {
    fn mul_assign(&mut self, factor: f64) {
        self.map(move |x| x * factor);
    }
}

/// The gradient of a parameter that was reached.
impl<T: Float> Index<&Tensor<T>> for Gradients<T> {
    type Output = Tensor<T>;

    /// # Panics
    /// If no gradient reached it, or it is no parameter. [`get`](Gradients::get) returns `None`
    /// instead.
    #[track_caller]
    fn index(&self, parameter: &Tensor<T>) -> &Tensor<T> {
        let shape = parameter.shape();
        match self.get(parameter) {
            Some(gradient) => gradient,
            None if parameter.is_parameter() => panic!(
                "Gradients: no gradient reached this parameter of shape {shape:?}: was it used in the forward pass of this loss?"
            ),
            None => panic!(
                "Gradients: this tensor of shape {shape:?} is no parameter: make it with Tensor::parameter"
            ),
        }
    }
}

impl<T: Float> fmt::Debug for Gradients<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.of_leaf).finish()
    }
}
