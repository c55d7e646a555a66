//! The losses: cross-entropy and the mean squared error. Page: `book/src/iris.md`.

use ndarray::{Array1, Axis, arr0};

use crate::engine::autograd::record;
use crate::engine::{Tensor, shape};
use crate::machine::Float;
use crate::ops::softmax::Exponentials;

/// The mean over the rows of `-ln softmax(logits)[target]`, a scalar.
///
/// ```text
/// loss = 1/B · Σᵢ ( ln Σⱼ exp(zᵢⱼ) - zᵢₜ )        dz = 1/B · (softmax(z) - onehot(t))
/// ```
///
/// where `z` is `logits` of shape `[batch, classes]`, and `t` the row's class, `targets[i]`. The
/// largest logit of a row is subtracted first, so that no `exp` overflows. For sums, smoothed
/// labels, class weights and rows without a class see [`CrossEntropy`].
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::{Tensor, cross_entropy};
/// use ndarray::array;
///
/// let undecided = Tensor::new(array![[0.0, 0.0, 0.0]]);
/// assert_relative_eq!(cross_entropy(&undecided, &[1]).item(), 3f64.ln());
/// let sure_and_wrong = Tensor::new(array![[1000.0, 0.0]]);
/// assert_relative_eq!(cross_entropy(&sure_and_wrong, &[1]).item(), 1000.0);
/// ```
///
/// # Panics
/// If `logits` is not a matrix, if there is not one target per row, if a target is no class, or on
/// an empty batch.
///
/// *PyTorch*: `F.cross_entropy(logits, targets)`; an empty batch is NaN there. Page:
/// `book/src/iris.md`.
#[track_caller]
pub fn cross_entropy<T: Float>(logits: &Tensor<T>, targets: &[usize]) -> Tensor<T> {
    CrossEntropy::new().forward(logits, targets)
}

/// How the rows' losses become the loss of the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// The mean of the rows' losses, a scalar, weighted by the class weights.
    #[default]
    Mean,
    /// The sum of the rows' losses, a scalar.
    Sum,
    /// One loss per row, shape `[batch]`.
    None,
}

/// [`cross_entropy`] with its options.
///
/// ```text
/// lossᵢ = Σⱼ qᵢⱼ · ( ln Σₖ exp(zᵢₖ) - zᵢⱼ )        qᵢⱼ = wⱼ · ( (1 - s)·onehot(t)ⱼ + s/C )
/// ```
///
/// where `z` is the logits, `t` the class of row `i`, `C` the number of classes, `w` the class
/// weights and `s` the label smoothing. The mean divides the sum by `Σᵢ wₜ`, which is the number of
/// rows if all weights are 1. A row without a class (its target is `None`) counts in neither sum.
///
/// # Shapes
/// logits `[batch, classes]`; output `[]`, or `[batch]` with [`Reduction::None`].
///
/// # Defaults
/// the mean, no smoothing, weights of 1: as in PyTorch.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::{CrossEntropy, Reduction, Tensor};
/// use ndarray::array;
///
/// let logits = Tensor::new(array![[0.0, 3f64.ln()], [5.0, -5.0]]); // softmax of row 0: 1/4, 3/4
/// let sum = CrossEntropy::new().with_reduction(Reduction::Sum);
/// let loss = sum.forward(&logits, &[Some(0), None]); // the second row has no class
/// assert_relative_eq!(loss.item(), 4f64.ln(), epsilon = 1e-15);
///
/// let smooth = sum.with_label_smoothing(0.5); // wanted: 3/4 for the class, 1/4 for the other
/// let loss = smooth.forward(&logits, &[Some(0), None]);
/// assert_relative_eq!(loss.item(), 0.75 * 4f64.ln() + 0.25 * (4f64 / 3.0).ln(), epsilon = 1e-15);
/// ```
///
/// # Numerics
/// Computed in `f64`, also for `f32` tensors. A row without a class has loss 0 and gradient 0, even
/// if it holds NaN. A logit of -∞ counts only where `q` is not 0.
///
/// *Differs from PyTorch in*: `None` says that a row has no class, where PyTorch has the class
/// -100; the mean of no rows is refused, where PyTorch returns NaN; logits are matrices (reshape
/// sequences to `[batch · length, classes]`); targets are classes, not probabilities.
///
/// Paper: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, *Rethinking the Inception Architecture*, 2015
/// (arXiv 1512.00567), section 7, for label smoothing. Page: `book/src/iris.md`.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CrossEntropy {
    reduction: Reduction,
    label_smoothing: f64,
    class_weights: Option<Vec<f64>>,
}

impl CrossEntropy {
    /// The mean over the rows, without smoothing and weights.
    pub fn new() -> Self {
        Self::default()
    }

    /// How the rows' losses become the loss of the batch; the default is their mean.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The share of each target that is spread evenly over all classes; the default is 0.
    ///
    /// # Panics
    /// If it is not within 0 to 1.
    #[track_caller]
    pub fn with_label_smoothing(mut self, label_smoothing: f64) -> Self {
        assert!(
            (0.0..=1.0).contains(&label_smoothing),
            "CrossEntropy: expected a label smoothing from 0 to 1, got {label_smoothing}"
        );
        self.label_smoothing = label_smoothing;
        self
    }

    /// The weight of each class, one number per class; the default is 1 for all.
    ///
    /// ```
    /// use approx::assert_relative_eq;
    /// use evenkeel::{CrossEntropy, Tensor};
    /// use ndarray::array;
    ///
    /// let logits = Tensor::new(array![[0.0, 3f64.ln()], [0.0, 3f64.ln()]]);
    /// let weighted = CrossEntropy::new().with_class_weights([3.0, 1.0]);
    /// let want = (3.0 * 4f64.ln() + (4f64 / 3.0).ln()) / (3.0 + 1.0);
    /// assert_relative_eq!(weighted.forward(&logits, &[0, 1]).item(), want, epsilon = 1e-15);
    /// ```
    ///
    /// # Panics
    /// If one is negative, infinite or NaN.
    #[track_caller]
    pub fn with_class_weights(mut self, weights: impl Into<Vec<f64>>) -> Self {
        let weights = weights.into();
        for (class, weight) in weights.iter().enumerate() {
            assert!(
                weight.is_finite() && *weight >= 0.0,
                "CrossEntropy: expected a finite weight of at least 0 for class {class}, got {weight}"
            );
        }
        self.class_weights = Some(weights);
        self
    }

    /// The loss of `logits`, one row per target.
    ///
    /// A target is a class, or an `Option` of one: `&[0, 2]` or `&[Some(0), None]`.
    ///
    /// # Panics
    /// If `logits` is not a matrix, if there is not one target per row or one weight per class, if
    /// a target is no class, or if the mean has no row to go by.
    #[track_caller]
    // ANCHOR: cross_entropy
    pub fn forward<T: Float>(
        &self,
        logits: &Tensor<T>,
        targets: &[impl Into<Option<usize>> + Copy],
    ) -> Tensor<T> {
        let (batch, classes) = shape::logits(logits.shape(), targets.len());
        let targets: Vec<Option<usize>> = targets.iter().map(|&target| target.into()).collect();
        self.check(&targets, classes);

        let mut losses = vec![0.0; batch];
        let mut dz = vec![0.0; batch * classes]; // softmax(z) - onehot(t)
        let rows = logits.as_slice().chunks_exact(classes).zip(dz.chunks_exact_mut(classes));
        for ((loss, (z, dz)), &target) in losses.iter_mut().zip(rows).zip(&targets) {
            let Some(target) = target else { continue };
            let Exponentials { largest, sum } = Exponentials::of(z.iter().copied());
            let q = |class| self.q(class, target, classes); // onehot(t), smoothed and weighted
            let total: f64 = (0..classes).map(q).sum();
            for class in 0..classes {
                let z = z[class].wide() - largest;
                if q(class) != 0.0 {
                    *loss += q(class) * (sum.ln() - z);
                }
                dz[class] = total * z.exp() / sum - q(class);
            }
        }
        self.reduce(logits, &losses, dz, &targets)
    }
    // ANCHOR_END: cross_entropy

    /// `q` of one class in a row whose class is `target`.
    fn q(&self, class: usize, target: usize, classes: usize) -> f64 {
        let onehot = if class == target { 1.0 } else { 0.0 };
        let smooth = self.label_smoothing;
        self.weight(class) * ((1.0 - smooth) * onehot + smooth / classes as f64)
    }

    fn weight(&self, class: usize) -> f64 {
        self.class_weights.as_ref().map_or(1.0, |weights| weights[class])
    }

    /// Combines the rows' losses as [`Reduction`] says, and scales `dz` to match.
    fn reduce<T: Float>(
        &self,
        logits: &Tensor<T>,
        losses: &[f64],
        dz: Vec<f64>,
        targets: &[Option<usize>],
    ) -> Tensor<T> {
        let divisor = match self.reduction {
            Reduction::Mean => targets.iter().flatten().map(|&class| self.weight(class)).sum(),
            Reduction::Sum | Reduction::None => 1.0,
        };
        let total = losses.iter().fold(0.0, |sum, loss| sum + loss) / divisor; // an empty `sum` is -0
        let y = match self.reduction {
            Reduction::Mean | Reduction::Sum => arr0(T::of(total)).into_dyn(),
            Reduction::None => losses.iter().map(|&l| T::of(l)).collect::<Array1<_>>().into_dyn(),
        };
        let shape = logits.value.raw_dim();
        record(y, [logits], move |dy, _| {
            // dy is one number for all rows or one per row, broadcast over the logits.
            let per_row = !dy.shape().is_empty();
            let dy = if per_row { dy.view().insert_axis(Axis(1)) } else { dy.view() };
            let mut dx = dy.broadcast(shape.clone()).expect("a number per row").to_owned();
            for (dx, dz) in dx.iter_mut().zip(&dz) {
                *dx = T::of(dx.wide() * dz / divisor);
            }
            [Some(dx.into())]
        })
    }

    #[track_caller]
    fn check(&self, targets: &[Option<usize>], classes: usize) {
        for (row, target) in targets.iter().enumerate() {
            assert!(
                target.is_none_or(|target| target < classes),
                "cross_entropy: target {} of row {row} is no class: expected 0 to {}",
                target.unwrap_or_default(),
                classes - 1
            );
        }
        if let Some(weights) = &self.class_weights {
            assert!(
                weights.len() == classes,
                "cross_entropy: expected {classes} class weights, one per class, got {}",
                weights.len()
            );
        }
        if self.reduction == Reduction::Mean {
            let batch = targets.len();
            assert!(
                batch > 0,
                "cross_entropy: expected at least one row, got logits of shape [0, {classes}]"
            );
            assert!(
                targets.iter().flatten().any(|&class| self.weight(class) > 0.0),
                "cross_entropy: expected a row whose class has a weight above 0, got none in {batch}"
            );
        }
    }
}

/// The mean of `(prediction - target)²` over all numbers, a scalar.
///
/// Gradient: `2/n · (prediction - target)` for the prediction, its negative for the target.
///
/// ```
/// use evenkeel::{Tensor, mse};
/// use ndarray::array;
///
/// let prediction = Tensor::parameter(array![1.0, 2.0]);
/// let loss = mse(&prediction, &Tensor::new(array![1.0, 5.0]));
/// assert_eq!(loss.item(), 4.5);
/// assert_eq!(loss.backward().get(&prediction).unwrap(), &Tensor::new(array![0.0, -3.0]));
/// ```
///
/// # Panics
/// If the shapes differ, or hold no number.
///
/// *PyTorch*: `F.mse_loss(prediction, target)`, which broadcasts with a warning: `[n]` against
/// `[n, 1]` compares every pair. Page: `book/src/iris.md`.
#[track_caller]
pub fn mse<T: Float>(prediction: &Tensor<T>, target: &Tensor<T>) -> Tensor<T> {
    shape::exactly("mse", "a target", prediction.shape(), target.shape());
    let got = prediction.shape();
    assert!(!got.contains(&0), "mse: expected at least one number, got shape {got:?}");
    (prediction - target).square().mean()
}
