//! What BatchNorm, GroupNorm and InstanceNorm share.
//!
//! They differ only in which numbers have their statistics together: see `planes.rs`. Sums are kept
//! as in `statistics.rs`. An input without positions is a matrix, and BatchNorm goes over its rows
//! with all channels side by side: see `columns.rs`.

use fearless_simd::{Simd, SimdBase, dispatch};

use super::planes::Planes;
use super::sets::{Sets, Statistics};
use super::statistics::{sums, trusted};
use super::{array, columns};
use crate::engine::Tensor;
use crate::engine::autograd::record;
use crate::machine::lanes::Along;
use crate::machine::spread::Spread;
use crate::machine::{Float, threads, vectors};

/// The statistics of each set, in one pass where that can be trusted.
pub(super) fn statistics<T: Float>(x: &[T], planes: &Planes) -> Vec<Statistics> {
    if x.is_empty() {
        return vec![Statistics { origin: 0.0, shift: 0.0, var: 0.0 }; planes.sets()];
    }
    let origins: Vec<T> = (0..planes.sets()).map(|set| nearby(x, planes, set)).collect();
    let sums = if planes.are_columns() {
        columns::sums(x, &origins)
    } else {
        let (piece, numbers) = planes.piece();
        let mut of_planes = vec![(0.0, 0.0); x.len() / planes.positions];
        let pieces = x.chunks(numbers).zip(of_planes.chunks_mut(piece)).enumerate();
        threads::each(pieces, |(number, (x, sums))| {
            let origin = |plane: usize| origins[planes.set(number * piece + plane)];
            dispatch!(vectors::level(), simd => sums_of_planes(simd, x, origin, sums));
        });
        let mut sums = vec![(0.0, 0.0); planes.sets()];
        for (plane, (a, b)) in of_planes.into_iter().enumerate() {
            let (sum, squares) = &mut sums[planes.set(plane)];
            (*sum, *squares) = (*sum + a, *squares + b);
        }
        sums
    };
    let n = planes.values_per_set() as f64;
    let mut doubted = Vec::new();
    let mut statistics = Vec::with_capacity(planes.sets());
    for (set, (origin, (sum, squares))) in origins.into_iter().zip(sums).enumerate() {
        let (shift, mean_square) = (sum / n, squares / n);
        let var = mean_square - shift * shift;
        if !trusted::<T>(var, mean_square) {
            doubted.push(set);
        }
        statistics.push(Statistics { origin: origin.wide(), shift, var });
    }
    for set in doubted {
        #[cfg(test)]
        crate::machine::taken::note("careful");
        let numbers = planes.places(set).map(|(at, _)| x[at].wide());
        statistics[set] = Spread::of(numbers, 0.0, true).into();
    }
    statistics
}

/// The mean of some first numbers of a set: a number in its midst, to measure the others from.
fn nearby<T: Float>(x: &[T], planes: &Planes, set: usize) -> T {
    let first = planes.first(set);
    let (step, length) =
        if planes.are_columns() { (planes.channels, planes.batch) } else { (1, planes.positions) };
    let some = length.min(16);
    (0..some).map(|i| x[first + i * step]).sum::<T>() / T::of(some as f64)
}

/// Σ (x - origin) and Σ (x - origin)² of each plane.
#[inline(always)]
fn sums_of_planes<S: Simd, T: Float>(
    simd: S,
    x: &[T],
    origin: impl Fn(usize) -> T,
    of_planes: &mut [(f64, f64)],
) {
    let positions = x.len() / of_planes.len();
    for (plane, (x, of_plane)) in x.chunks_exact(positions).zip(of_planes).enumerate() {
        let origin = origin(plane);
        *of_plane = if x.len() < 2 * T::Lanes::<S>::LEN {
            let d = x.iter().map(|x| x.wide() - origin.wide());
            d.fold((0.0, 0.0), |(sum, squares), d| (sum + d, squares + d * d))
        } else {
            sums::<_, T::Lanes<_>, true>(simd, x, origin, &mut Along::new((), 0..0))
        };
    }
}

/// y = γ·x̂ + β with the given statistics, on the graph.
///
/// `of_x` says where they come from: if they are those of `x` itself, they depend on it, and the
/// gradient of `x` has two terms more than with statistics that were learned before.
pub(super) fn normalize<T: Float>(
    x: &Tensor<T>,
    gamma: &Tensor<T>,
    beta: &Tensor<T>,
    planes: Planes,
    statistics: Vec<Statistics>,
    of_x: bool,
    eps: f64,
) -> Tensor<T> {
    let sets = Sets::of(x.as_slice(), gamma.as_slice(), planes, statistics, of_x, eps);
    let y = sets.forward(x.as_slice(), gamma.as_slice(), beta.as_slice());

    let (x_kept, gamma_kept) = (x.detach(), gamma.detach());
    record(array(x.shape(), y), [x, gamma, beta], move |dy, needs| {
        let (x, gamma) = (x_kept.as_slice(), gamma_kept.as_slice());
        let (dx, dgamma, dbeta) = sets.backward(dy.as_slice(), x, gamma);
        [
            needs[0].then(|| array(x_kept.shape(), dx)),
            needs[1].then(|| array(gamma_kept.shape(), dgamma)),
            needs[2].then(|| array(gamma_kept.shape(), dbeta)),
        ]
    })
}
