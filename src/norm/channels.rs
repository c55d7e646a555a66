//! What BatchNorm, GroupNorm and InstanceNorm share. Page: `book/src/conventions.md`.
//!
//! All three see their input as `[batch, channels, positions]`, where the positions of an image are
//! its pixels. One channel of one example is a *plane*: its positions stand one after the other in
//! memory. The layers differ in which planes have their statistics together:
//!
//! ```text
//! BatchNorm     one channel of all examples
//! GroupNorm     a group of neighbouring channels of one example
//! InstanceNorm  one channel of one example, a group of one
//! ```
//!
//! γ and β always belong to channels. Sums run in `f64`, as in `kernel.rs`.

use super::array;
use super::kernel::reciprocal_root;
use crate::autograd::record;
use crate::{Float, Tensor};

/// Which planes have their statistics together.
#[derive(Clone, Copy)]
pub(super) enum Together {
    /// All planes of one channel.
    Channel,
    /// So many neighbouring channels of one example.
    Neighbours(usize),
}

/// An input as planes. With no position there is no plane.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub batch: usize,
    pub channels: usize,
    pub positions: usize,
    pub together: Together,
}

impl Planes {
    /// How many statistics there are.
    pub fn sets(&self) -> usize {
        match self.together {
            Together::Channel => self.channels,
            Together::Neighbours(channels) => self.batch * (self.channels / channels),
        }
    }

    /// How many numbers go into each.
    pub fn values_per_set(&self) -> usize {
        match self.together {
            Together::Channel => self.batch * self.positions,
            Together::Neighbours(channels) => channels * self.positions,
        }
    }

    /// The planes of an array, each with its set and its channel.
    fn of<'a, T>(&self, x: &'a [T]) -> impl Iterator<Item = (usize, usize, &'a [T])> + use<'a, T> {
        let Self { channels, positions, together, .. } = *self;
        x.chunks_exact(positions.max(1)).enumerate().map(move |(plane, values)| {
            let channel = plane % channels;
            let set = match together {
                Together::Channel => channel,
                Together::Neighbours(channels) => plane / channels,
            };
            (set, channel, values)
        })
    }
}

/// Mean and biased variance of one set.
#[derive(Clone, Copy)]
pub(super) struct Statistics {
    pub mean: f64,
    pub var: f64,
}

/// The statistics of each set.
pub(super) fn statistics<T: Float>(x: &[T], planes: &Planes) -> Vec<Statistics> {
    let n = planes.values_per_set() as f64;
    // Measured from the first number of the set, for the reason given in `kernel.rs`.
    let mut origins = vec![None; planes.sets()];
    let mut shifts = vec![0.0; planes.sets()];
    for (set, _, x) in planes.of(x) {
        let origin = *origins[set].get_or_insert(x[0].wide());
        shifts[set] += x.iter().map(|x| x.wide() - origin).sum::<f64>() / n;
    }
    let origins: Vec<f64> = origins.into_iter().map(Option::unwrap_or_default).collect();
    let mut vars = vec![0.0; planes.sets()];
    for (set, _, x) in planes.of(x) {
        let (origin, shift) = (origins[set], shifts[set]);
        vars[set] += x.iter().map(|x| ((x.wide() - origin) - shift).powi(2)).sum::<f64>() / n;
    }
    let sets = origins.into_iter().zip(shifts).zip(vars);
    sets.map(|((origin, shift), var)| Statistics { mean: origin + shift, var }).collect()
}

/// A set's mean and 1/√(var + eps).
type Scale = (f64, f64);

/// y = γ·x̂ + β with the given statistics, on the graph.
///
/// `of_x` says where they come from: if they are those of `x` itself, they depend on it, and the
/// gradient of `x` has two terms more than with statistics that were learned before.
pub(super) fn normalize<T: Float>(
    x: &Tensor<T>,
    gamma: &Tensor<T>,
    beta: &Tensor<T>,
    planes: Planes,
    statistics: &[Statistics],
    of_x: bool,
    eps: f64,
) -> Tensor<T> {
    let scales: Vec<Scale> =
        statistics.iter().map(|s| (s.mean, reciprocal_root(s.var, eps))).collect();
    let y = forward(x.as_slice(), gamma.as_slice(), beta.as_slice(), &planes, &scales);

    let (x_kept, gamma_kept) = (x.detach(), gamma.detach());
    record(array(x.shape(), y), [x, gamma, beta], move |dy, needs| {
        let dy = dy.as_slice();
        let (x, gamma) = (x_kept.as_slice(), gamma_kept.as_slice());
        let (dx, dgamma, dbeta) = backward(dy, x, gamma, &planes, &scales, of_x);
        [
            needs[0].then(|| array(x_kept.shape(), dx)),
            needs[1].then(|| array(gamma_kept.shape(), dgamma)),
            needs[2].then(|| array(gamma_kept.shape(), dbeta)),
        ]
    })
}

fn forward<T: Float>(
    x: &[T],
    gamma: &[T],
    beta: &[T],
    planes: &Planes,
    scales: &[Scale],
) -> Vec<T> {
    let mut y = Vec::with_capacity(x.len());
    for (set, channel, x) in planes.of(x) {
        let (mean, rstd) = scales[set];
        let (gamma, beta) = (gamma[channel].wide(), beta[channel].wide());
        y.extend(x.iter().map(|x| T::of(gamma * ((x.wide() - mean) * rstd) + beta)));
    }
    y
}

/// dx, dγ, dβ from the upstream gradient `dy`.
fn backward<T: Float>(
    dy: &[T],
    x: &[T],
    gamma: &[T],
    planes: &Planes,
    scales: &[Scale],
    of_x: bool,
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let n = planes.values_per_set() as f64;
    let mut dgamma = vec![0.0; planes.channels];
    let mut dbeta = vec![0.0; planes.channels];
    // The means over each set of the gradient g = γ·dy of x̂, and of g·x̂.
    let mut mean_g = vec![0.0; planes.sets()];
    let mut mean_g_x_hat = vec![0.0; planes.sets()];
    for ((set, channel, x), (_, _, dy)) in planes.of(x).zip(planes.of(dy)) {
        let (mean, rstd) = scales[set];
        let gamma = gamma[channel].wide();
        let sum_dy: f64 = dy.iter().map(|dy| dy.wide()).sum();
        let products = dy.iter().zip(x).map(|(dy, x)| dy.wide() * ((x.wide() - mean) * rstd));
        let sum_dy_x_hat: f64 = products.sum();
        dbeta[channel] += sum_dy;
        dgamma[channel] += sum_dy_x_hat;
        if of_x {
            mean_g[set] += gamma * sum_dy / n;
            mean_g_x_hat[set] += gamma * sum_dy_x_hat / n;
        }
    }
    let mut dx = Vec::with_capacity(x.len());
    for ((set, channel, x), (_, _, dy)) in planes.of(x).zip(planes.of(dy)) {
        let (mean, rstd) = scales[set];
        let gamma = gamma[channel].wide();
        dx.extend(x.iter().zip(dy).map(|(x, dy)| {
            let x_hat = (x.wide() - mean) * rstd;
            T::of(rstd * (gamma * dy.wide() - mean_g[set] - x_hat * mean_g_x_hat[set]))
        }));
    }
    let narrow = |sums: Vec<f64>| sums.into_iter().map(T::of).collect();
    (dx, narrow(dgamma), narrow(dbeta))
}
