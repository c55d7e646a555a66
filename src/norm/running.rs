//! How BatchNorm and InstanceNorm remember what they saw.

use ndarray::{Array1, arr0};

use super::statistics::MeanVar;
use crate::engine::Tensor;
use crate::machine::Float;

/// Moves the running mean and the running variance of each channel towards those of a batch, and
/// counts the batch.
///
/// With a `momentum` m, `running = (1 - m)·running + m·batch`. Without, the running values are the
/// plain average over all batches.
pub(super) fn update<T: Float>(
    running_mean: &mut Tensor<T>,
    running_var: &mut Tensor<T>,
    num_batches_tracked: &mut Tensor<T>,
    momentum: Option<f64>,
    batch: &[MeanVar],
) {
    let count = num_batches_tracked.item().wide() + 1.0;
    *num_batches_tracked = Tensor::new(arr0(T::of(count)));

    let weight = momentum.unwrap_or(1.0 / count);
    let towards = |running: &Tensor<T>, of: fn(&MeanVar) -> f64| {
        let both = running.as_slice().iter().zip(batch);
        Tensor::new(Array1::from_iter(
            both.map(|(old, new)| T::of((1.0 - weight) * old.wide() + weight * of(new))),
        ))
    };
    *running_mean = towards(running_mean, MeanVar::mean);
    *running_var = towards(running_var, |batch| batch.var);
}

/// What a layer has seen before its first batch: mean 0, variance 1, no batch.
pub(super) fn fresh<T: Float>(channels: usize) -> [Tensor<T>; 3] {
    [
        Tensor::new(Array1::zeros(channels)),
        Tensor::new(Array1::ones(channels)),
        Tensor::new(arr0(T::zero())),
    ]
}

/// The running values as statistics to normalize with.
#[track_caller]
pub(super) fn statistics<T: Float>(
    layer: &str,
    running_mean: &Tensor<T>,
    running_var: &Tensor<T>,
) -> Vec<MeanVar> {
    let below = running_var.as_slice().iter().position(|&var| var < T::zero()); // NaN speaks for itself
    if let Some(channel) = below {
        let var = running_var.as_slice()[channel];
        panic!("{layer}: expected a running_var of at least 0, got {var} in channel {channel}");
    }
    let both = running_mean.as_slice().iter().zip(running_var.as_slice());
    both.map(|(mean, var)| MeanVar { origin: mean.wide(), shift: 0.0, var: var.wide() }).collect()
}

/// The weight of a new batch.
#[track_caller]
pub(super) fn checked_momentum(layer: &str, momentum: Option<f64>) -> Option<f64> {
    if let Some(m) = momentum {
        assert!((0.0..=1.0).contains(&m), "{layer}: expected a momentum within 0..=1, got {m}");
    }
    momentum
}

/// The unbiased variance, divided by n - 1, from the biased one. It is what gets stored.
pub(super) fn unbiased(batch: MeanVar, n: usize) -> MeanVar {
    MeanVar { var: batch.var * (n as f64 / (n as f64 - 1.0)), ..batch }
}
