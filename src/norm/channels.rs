//! What BatchNorm, GroupNorm and InstanceNorm share: the statistics of their sets, and the place in the graph.

use super::planes::Planes;
use super::sets::Sets;
use super::statistics::{MeanVar, trusted};
use super::{array, lines};
use crate::engine::Tensor;
use crate::engine::autograd::record;
use crate::machine::Float;
use crate::machine::spread::Spread;

/// Mean and variance of each set, in one pass where that can be trusted.
pub(super) fn statistics<T: Float>(x: &[T], planes: &Planes) -> Vec<MeanVar> {
    if x.is_empty() {
        return vec![MeanVar::default(); planes.sets()];
    }
    let planes = &planes.merged();
    // The mean of the first numbers of each set, to measure the others from.
    let (step, length) =
        if planes.are_columns() { (planes.channels, planes.batch) } else { (1, planes.positions) };
    let origin = |set| {
        let first = set * planes.positions;
        (0..length.min(16)).map(|i| x[first + i * step]).sum::<T>() / T::of(length.min(16) as f64)
    };
    let origins: Vec<T> = (0..planes.sets()).map(origin).collect();
    let mut sums = vec![(0.0, 0.0); planes.sets()];
    let of_planes = lines::sums_of(planes, [x, x], [&origins], lines::Deviation);
    for (plane, (sum, squares)) in of_planes.into_iter().enumerate() {
        let of_set = &mut sums[planes.set(plane)];
        *of_set = (of_set.0 + sum, of_set.1 + squares);
    }
    let n = planes.values_per_set() as f64;
    let of_set = |(set, (origin, (sum, squares))): (usize, (T, (f64, f64)))| {
        let (shift, mean_square) = (sum / n, squares / n);
        let var = mean_square - shift * shift;
        if trusted::<T>(var, mean_square) {
            return MeanVar { origin: origin.wide(), shift, var };
        }
        #[cfg(test)]
        crate::machine::counted::count("careful");
        let numbers = planes.places(set).map(|(at, _)| x[at].wide());
        Spread::of(numbers, 0.0, true).into()
    };
    origins.into_iter().zip(sums).enumerate().map(of_set).collect()
}

/// y = γ·x̂ + β with the given statistics, on the graph.
///
/// `of_x` says where these come from. Those of `x` itself depend on `x`, and its gradient then has two terms
/// more than with remembered ones.
pub(super) fn normalize<T: Float>(
    x: &Tensor<T>,
    gamma: &Tensor<T>,
    beta: &Tensor<T>,
    planes: Planes,
    statistics: Vec<MeanVar>,
    of_x: bool,
    eps: f64,
) -> Tensor<T> {
    let inputs = [x, gamma, beta];
    let sets = Sets::new([x.as_slice(), gamma.as_slice()], planes, statistics, of_x, eps);
    let y = sets.forward(inputs.map(Tensor::as_slice));

    let [x, gamma] = [x, gamma].map(Tensor::detach);
    record(array(x.shape(), y), inputs, move |dy, needs| {
        let (dx, dgamma, dbeta) = sets.backward([dy.as_slice(), x.as_slice(), gamma.as_slice()]);
        [
            needs[0].then(|| array(x.shape(), dx)),
            needs[1].then(|| array(gamma.shape(), dgamma)),
            needs[2].then(|| array(gamma.shape(), dbeta)),
        ]
    })
}
