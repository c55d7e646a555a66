//! [`warmup()`]: learning rates that rise at the start.

/// The factor of the learning rate at step `step`, counted from 0: rises linearly to 1 at the last
/// of `warmup_steps` steps, and stays there.
///
/// ```text
/// factor = min(1, (step + 1) / warmup_steps)
/// ```
///
/// The first factor is not 0, so no step is wasted. With 0 warm-up steps the factor is always 1.
///
/// ```
/// use approx::assert_relative_eq;
/// use evenkeel::{Adam, Tensor, warmup};
/// use ndarray::array;
///
/// assert_eq!([0, 1, 2, 3, 4, 5].map(|step| warmup(step, 4)), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
///
/// let mut w = Tensor::parameter(array![5.0]);
/// let mut adam = Adam::new(0.1);
/// for step in 0..4 {
///     adam.set_lr(0.1 * warmup(step, 4));
///     let loss = w.square().sum();
///     adam.step(&mut w, &loss.backward());
/// }
/// assert_relative_eq!(w.item(), 5.0 - (0.025 + 0.05 + 0.075 + 0.1), epsilon = 1e-3);
/// ```
///
/// *PyTorch*: `LinearLR(optimizer, start_factor=1/warmup_steps, total_iters=warmup_steps - 1)`.
///
/// Papers: Goyal and others, *Accurate, Large Minibatch SGD*, 2017 (arXiv 1706.02677), section 2.2;
/// Vaswani and others, *Attention Is All You Need*, 2017 (arXiv 1706.03762), section 5.3. Page:
/// `book/src/using_layer_norm.md`.
pub fn warmup(step: usize, warmup_steps: usize) -> f64 {
    if step >= warmup_steps { 1.0 } else { (step + 1) as f64 / warmup_steps as f64 }
}
