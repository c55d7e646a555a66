//! The loops of BatchNorm, GroupNorm and InstanceNorm over planes.
//!
//! Each set has its statistics; what they are taken from is told in `channels.rs`.

use fearless_simd::{Simd, dispatch};

use super::planes::Planes;
use super::statistics::{RowStatistics, reciprocal_root, sums_of_g};
use super::{columns, far};
use crate::machine::buffer::Buffer;
use crate::machine::spread::Spread;
use crate::machine::{Float, threads, vectors};

/// Mean and biased variance of one set; the mean is `origin + shift`.
#[derive(Clone, Copy)]
pub(super) struct Statistics {
    pub origin: f64,
    pub shift: f64,
    pub var: f64,
}

impl From<Spread> for Statistics {
    fn from(spread: Spread) -> Self {
        let origin = spread.mean();
        Self { origin, shift: -spread.distance(origin) / spread.scale, var: spread.var() }
    }
}

impl Statistics {
    pub fn mean(&self) -> f64 {
        self.origin + self.shift
    }

    /// In the element type, with the origin at the mean, so that what it misses is no more than a rounding.
    pub(super) fn narrow<T: Float>(self, eps: f64) -> RowStatistics<T> {
        let origin = T::of(self.mean());
        let shift = T::of((self.origin - origin.wide()) + self.shift);
        RowStatistics { origin, shift, rstd: reciprocal_root(self.var, eps) }
    }
}

/// What the forward pass keeps for the backward pass.
pub(super) struct Sets<T> {
    planes: Planes,
    given: Vec<Statistics>,
    /// The same in the element type, for the fast loops.
    narrow: Vec<RowStatistics<T>>,
    /// The sets that these loops cannot do.
    far: Vec<usize>,
    of_x: bool,
    eps: f64,
}

impl<T: Float> Sets<T> {
    pub(super) fn of(
        x: &[T],
        gamma: &[T],
        planes: Planes,
        given: Vec<Statistics>,
        of_x: bool,
        eps: f64,
    ) -> Self {
        let narrow: Vec<_> = given.iter().map(|set| set.narrow::<T>(eps)).collect();
        // From an origin below this, no distance is infinite.
        let near = T::max_value() * T::epsilon() / T::of(4.0);
        let mut far = Vec::new();
        for (set, row) in narrow.iter().enumerate() {
            let scaled = |&gamma: &T| {
                let scale = (gamma * row.rstd).abs();
                (scale >= T::min_positive_value()) & (scale <= T::max_value())
                    | (gamma == T::zero())
            };
            let finite = |(at, _)| (T::is_finite)(x[at] - row.origin);
            let fits = gamma[planes.channels_of(set)].iter().all(scaled)
                && (row.origin.abs() < near || planes.places(set).all(finite));
            if !fits {
                far.push(set);
            }
        }
        Self { planes, given, narrow, far, of_x, eps }
    }

    /// The statistics of a set that the fast loops cannot do.
    fn spread(&self, x: &[T], set: usize) -> Spread {
        let numbers = self.planes.places(set).map(|(at, _)| x[at].wide());
        let Statistics { var, .. } = self.given[set];
        if self.of_x {
            Spread::of(numbers, self.eps, true)
        } else {
            Spread::known(self.given[set].mean(), var, numbers, self.eps)
        }
    }

    pub(super) fn forward(&self, x: &[T], gamma: &[T], beta: &[T]) -> Buffer<T> {
        let (planes, sets) = (&self.planes, &self.narrow);
        let mut y = Buffer::new(x.len());
        if planes.are_columns() {
            columns::forward(x, gamma, beta, sets, &mut y);
        } else {
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
        }
        for &set in &self.far {
            let spread = self.spread(x, set);
            far::forward(planes.places(set), [x, gamma, beta], &spread, self.eps, &mut y);
        }
        y
    }

    /// dx, dγ, dβ from the upstream gradient `dy`.
    pub(super) fn backward(&self, dy: &[T], x: &[T], gamma: &[T]) -> (Buffer<T>, Vec<T>, Vec<T>) {
        let (planes, sets) = (&self.planes, &self.narrow);
        let sums = if planes.are_columns() {
            columns::sums_of_dy(dy, x, sets)
        } else {
            sums_of_planes_of_dy(dy, x, planes, sets)
        };
        let mut far = vec![false; sets.len()];
        self.far.iter().for_each(|&set| far[set] = true);
        let n = planes.values_per_set() as f64;
        for (plane, (sum_dy, sum_dy_x_hat)) in sums.iter().enumerate() {
            far[planes.set(plane)] |= !(sum_dy.is_finite() && sum_dy_x_hat.is_finite());
        }

        // The means over each set of the gradient g = γ·dy of x̂, and of g·x̂.
        let (mut dgamma, mut dbeta) = (vec![0.0; planes.channels], vec![0.0; planes.channels]);
        let mut means = vec![(0.0, 0.0); planes.sets()];
        for (plane, (sum_dy, sum_dy_x_hat)) in sums.into_iter().enumerate() {
            let (set, channel) = (planes.set(plane), planes.channel(plane));
            if far[set] {
                continue;
            }
            dbeta[channel] += sum_dy;
            dgamma[channel] += sum_dy_x_hat;
            if self.of_x {
                let gamma = gamma[channel].wide();
                let (mean_g, mean_g_x_hat) = &mut means[set];
                *mean_g += gamma * sum_dy / n;
                *mean_g_x_hat += gamma * sum_dy_x_hat / n;
            }
        }
        let means: Vec<(T, T)> = means.into_iter().map(|(a, b)| (T::of(a), T::of(b))).collect();

        let mut dx = Buffer::new(x.len());
        if planes.are_columns() {
            columns::dx(dy, x, gamma, sets, &means, &mut dx);
        } else {
            dx_of_planes([dy, x, gamma], planes, sets, &means, &mut dx);
        }
        for (set, _) in far.iter().enumerate().filter(|(_, far)| **far) {
            let terms = far::Terms { mean: self.of_x, square: self.of_x };
            let (spread, places) = (self.spread(x, set), planes.places(set));
            far::backward(places, [dy, x, gamma], &spread, self.eps, terms, &mut dx, |c, a, b| {
                dgamma[c] += a;
                dbeta[c] += b;
            });
        }
        let narrow = |sums: Vec<f64>| sums.into_iter().map(T::of).collect();
        (dx, narrow(dgamma), narrow(dbeta))
    }
}

/// Σ dy and Σ dy·x̂ of each plane.
fn sums_of_planes_of_dy<T: Float>(
    dy: &[T],
    x: &[T],
    planes: &Planes,
    sets: &[RowStatistics<T>],
) -> Vec<(f64, f64)> {
    let (piece, numbers) = planes.piece();
    let mut sums = vec![(0.0, 0.0); x.len() / planes.positions.max(1)];
    let pieces = dy.chunks(numbers).zip(x.chunks(numbers)).zip(sums.chunks_mut(piece));
    threads::each(pieces.enumerate(), |(number, ((dy, x), sums))| {
        let set = |plane: usize| sets[planes.set(number * piece + plane)];
        dispatch!(vectors::level(), simd => sums_of_dy(simd, dy, x, set, sums));
    });
    sums
}

/// dx, with the means over each set of g = γ·dy and of g·x̂.
fn dx_of_planes<T: Float>(
    [dy, x, gamma]: [&[T]; 3],
    planes: &Planes,
    sets: &[RowStatistics<T>],
    means: &[(T, T)],
    dx: &mut [T],
) {
    let (piece, numbers) = planes.piece();
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
