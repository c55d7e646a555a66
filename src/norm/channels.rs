//! What BatchNorm, GroupNorm and InstanceNorm share. Page: `book/src/conventions.md`.
//!
//! They differ only in which numbers have their statistics together: see `planes.rs`. Sums are kept
//! as in `statistics.rs`. An input without positions is a matrix, and BatchNorm goes over its rows
//! with all channels side by side: see `columns.rs`.

use fearless_simd::{Simd, SimdBase, dispatch};

use super::planes::Planes;
use super::statistics::{RowStatistics, reciprocal_root, sums, sums_of_g, trusted};
use super::{array, columns};
use crate::autograd::record;
use crate::lanes::Along;
use crate::recycle::Buffer;
use crate::{Float, Tensor, threads, vectors};

/// Mean and biased variance of one set; the mean is `origin + shift`.
#[derive(Clone, Copy)]
pub(super) struct Statistics {
    pub origin: f64,
    pub shift: f64,
    pub var: f64,
}

impl Statistics {
    pub fn mean(&self) -> f64 {
        self.origin + self.shift
    }

    /// In the element type, with the origin at the mean, so that what it misses is no more than a rounding.
    fn narrow<T: Float>(self, eps: f64) -> RowStatistics<T> {
        let origin = T::of(self.mean());
        let shift = T::of((self.origin - origin.wide()) + self.shift);
        RowStatistics { origin, shift, rstd: T::of(reciprocal_root(self.var, eps)) }
    }
}

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
    if !doubted.is_empty() {
        careful(x, planes, &doubted, &mut statistics);
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

/// The statistics of some sets again, in two passes, all in `f64`, as in `statistics.rs`.
fn careful<T: Float>(x: &[T], planes: &Planes, sets: &[usize], statistics: &mut [Statistics]) {
    let n = planes.values_per_set() as f64;
    let mut again = vec![false; planes.sets()];
    sets.iter().for_each(|&set| again[set] = true);
    let chosen = || {
        let planes_of_x = x.chunks_exact(planes.positions).enumerate();
        let with_set = planes_of_x.map(|(plane, x)| (planes.set(plane), x));
        with_set.filter(|&(set, _)| again[set])
    };
    for &set in sets {
        let origin = x[planes.first(set)].wide();
        statistics[set] = Statistics { origin, shift: 0.0, var: 0.0 };
    }
    for (set, x) in chosen() {
        let origin = statistics[set].origin;
        statistics[set].shift += x.iter().map(|x| x.wide() - origin).sum::<f64>() / n;
    }
    for (set, x) in chosen() {
        let Statistics { origin, shift, .. } = statistics[set];
        let squares = x.iter().map(|x| ((x.wide() - origin) - shift).powi(2));
        statistics[set].var += squares.sum::<f64>() / n;
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
    statistics: &[Statistics],
    of_x: bool,
    eps: f64,
) -> Tensor<T> {
    let sets: Vec<RowStatistics<T>> = statistics.iter().map(|&set| set.narrow(eps)).collect();
    let y = forward(x.as_slice(), gamma.as_slice(), beta.as_slice(), &planes, &sets);

    let (x_kept, gamma_kept) = (x.detach(), gamma.detach());
    record(array(x.shape(), y), [x, gamma, beta], move |dy, needs| {
        let (x, gamma) = (x_kept.as_slice(), gamma_kept.as_slice());
        let (dx, dgamma, dbeta) = backward(dy.as_slice(), x, gamma, &planes, &sets, of_x);
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
    sets: &[RowStatistics<T>],
) -> Buffer<T> {
    let mut y = Buffer::new(x.len());
    if planes.are_columns() {
        columns::forward(x, gamma, beta, sets, &mut y);
        return y;
    }
    let (piece, numbers) = planes.piece();
    let pieces = x.chunks(numbers).zip(y.chunks_mut(numbers)).enumerate();
    threads::each(pieces, |(number, (x, y))| {
        dispatch!(vectors::level(), _simd => {
            let of_positions =
                x.chunks_exact(planes.positions).zip(y.chunks_exact_mut(planes.positions));
            for (plane, (x, y)) in of_positions.enumerate() {
                let plane = number * piece + plane;
                let (set, channel) = (sets[planes.set(plane)], planes.channel(plane));
                let scale = gamma[channel] * set.rstd;
                let offset = beta[channel] - set.shift * scale;
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - set.origin) * scale + offset);
            }
        });
    });
    y
}

/// dx, dγ, dβ from the upstream gradient `dy`.
fn backward<T: Float>(
    dy: &[T],
    x: &[T],
    gamma: &[T],
    planes: &Planes,
    sets: &[RowStatistics<T>],
    of_x: bool,
) -> (Buffer<T>, Vec<T>, Vec<T>) {
    let (piece, numbers) = planes.piece();
    let columns = planes.are_columns();
    let sums = if columns {
        columns::sums_of_dy(dy, x, sets)
    } else {
        let mut sums = vec![(0.0, 0.0); x.len() / planes.positions.max(1)];
        let pieces = dy.chunks(numbers).zip(x.chunks(numbers)).zip(sums.chunks_mut(piece));
        threads::each(pieces.enumerate(), |(number, ((dy, x), sums))| {
            let set = |plane: usize| sets[planes.set(number * piece + plane)];
            dispatch!(vectors::level(), simd => sums_of_dy(simd, dy, x, set, sums));
        });
        sums
    };

    // The means over each set of the gradient g = γ·dy of x̂, and of g·x̂.
    let n = planes.values_per_set() as f64;
    let (mut dgamma, mut dbeta) = (vec![0.0; planes.channels], vec![0.0; planes.channels]);
    let mut means = vec![(0.0, 0.0); planes.sets()];
    for (plane, (sum_dy, sum_dy_x_hat)) in sums.into_iter().enumerate() {
        let (set, channel) = (planes.set(plane), planes.channel(plane));
        dbeta[channel] += sum_dy;
        dgamma[channel] += sum_dy_x_hat;
        if of_x {
            let gamma = gamma[channel].wide();
            let (mean_g, mean_g_x_hat) = &mut means[set];
            *mean_g += gamma * sum_dy / n;
            *mean_g_x_hat += gamma * sum_dy_x_hat / n;
        }
    }
    let means: Vec<(T, T)> = means.into_iter().map(|(a, b)| (T::of(a), T::of(b))).collect();

    let mut dx = Buffer::new(x.len());
    if columns {
        columns::dx(dy, x, gamma, sets, &means, &mut dx);
    } else {
        let pieces = dy.chunks(numbers).zip(x.chunks(numbers)).zip(dx.chunks_mut(numbers));
        threads::each(pieces.enumerate(), |(number, ((dy, x), dx))| {
            dispatch!(vectors::level(), _simd => {
                let slices = dy.chunks_exact(planes.positions).zip(x.chunks_exact(planes.positions));
                let slices = slices.zip(dx.chunks_exact_mut(planes.positions));
                for (plane, ((dy, x), dx)) in slices.enumerate() {
                    let plane = number * piece + plane;
                    let (set, gamma) = (planes.set(plane), gamma[planes.channel(plane)]);
                    let (row, (mean_g, mean_g_x_hat)) = (sets[set], means[set]);
                    for ((dx, &dy), &x) in dx.iter_mut().zip(dy).zip(x) {
                        *dx = row.rstd * (gamma * dy - mean_g - row.x_hat(x) * mean_g_x_hat);
                    }
                }
            });
        });
    }
    let narrow = |sums: Vec<f64>| sums.into_iter().map(T::of).collect();
    (dx, narrow(dgamma), narrow(dbeta))
}

/// Σ dy and Σ dy·x̂ of each plane.
#[inline(always)]
fn sums_of_dy<S: Simd, T: Float>(
    simd: S,
    dy: &[T],
    x: &[T],
    set: impl Fn(usize) -> RowStatistics<T>,
    of_planes: &mut [(f64, f64)],
) {
    let positions = x.len() / of_planes.len();
    let ones = vec![T::one(); positions]; // g = γ·dy with γ one
    let planes = dy.chunks_exact(positions).zip(x.chunks_exact(positions)).zip(of_planes);
    for (plane, ((dy, x), of_plane)) in planes.enumerate() {
        *of_plane = sums_of_g(simd, dy, x, &ones, set(plane));
    }
}
