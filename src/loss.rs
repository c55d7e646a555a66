//! Softmax cross-entropy. Page: `book/src/iris.md`.

use ndarray::{IxDyn, arr0};

use crate::autograd::{Value, record};
use crate::{Float, Tensor};

/// The mean over the rows of `-ln softmax(logits)[target]`, a scalar.
///
/// ```text
/// loss = 1/B · Σᵢ ( ln Σⱼ exp(zᵢⱼ) - zᵢₜ )        dz = 1/B · (softmax(z) - onehot(t))
/// ```
///
/// where `z` is `logits` of shape `[batch, classes]`, and `t` the row's class, `targets[i]`. The
/// largest logit of a row is subtracted first, so that no `exp` overflows.
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
// ANCHOR: cross_entropy
#[must_use]
#[track_caller]
pub fn cross_entropy<T: Float>(logits: &Tensor<T>, targets: &[usize]) -> Tensor<T> {
    let &[batch, classes] = logits.shape() else {
        panic!("cross_entropy: expected logits of shape [batch, classes], got {:?}", logits.shape())
    };
    assert!(
        batch > 0,
        "cross_entropy: expected at least one row, got logits of shape {:?}",
        logits.shape()
    );
    assert!(
        targets.len() == batch,
        "cross_entropy: expected {batch} targets, one per row, got {}",
        targets.len()
    );
    for (row, &target) in targets.iter().enumerate() {
        assert!(
            target < classes,
            "cross_entropy: target {target} of row {row} is no class: expected 0 to {}",
            classes as isize - 1
        );
    }

    let b = T::of(batch as f64);
    let mut loss = T::zero();
    let mut dz = Vec::with_capacity(batch * classes); // (softmax(z) - onehot(t)) / B
    for (z, &target) in logits.as_slice().chunks_exact(classes).zip(targets) {
        let largest = z.iter().copied().fold(z[0], T::max);
        let sum = z.iter().map(|&z| (z - largest).exp()).sum::<T>();
        loss += (sum.ln() + largest - z[target]) / b;
        dz.extend(z.iter().enumerate().map(|(class, &z)| {
            let onehot = if class == target { T::one() } else { T::zero() };
            ((z - largest).exp() / sum - onehot) / b
        }));
    }
    let dz = Value::from_shape_vec(IxDyn(&[batch, classes]), dz).expect("one number per logit");
    record(arr0(loss).into_dyn(), [logits], move |dy, _| {
        let dy = dy.first().copied().expect("the loss is one number");
        [Some(dz.map(|&d| dy * d).into_shared())]
    })
}
// ANCHOR_END: cross_entropy
