//! BatchNorm, GroupNorm and InstanceNorm with given statistics of each set, forward and backward.

use super::planes::Planes;
use super::statistics::{MeanVar, Statistics};
use super::{far, lines};
use crate::machine::Float;
use crate::machine::buffer::Buffer;
use crate::machine::spread::Spread;

/// What the forward pass keeps for the backward pass.
pub(super) struct Sets<T> {
    planes: Planes,
    slots: Vec<(usize, usize)>,
    given: Vec<MeanVar>,
    /// The same in the element type, for the fast loops.
    rounded: Vec<Statistics<T>>,
    /// The sets for which these loops would not do.
    far: Vec<bool>,
    /// Whether the statistics are those of x itself, and not remembered ones.
    of_x: bool,
    eps: f64,
}

impl<T: Float> Sets<T> {
    pub fn new(
        [x, gamma]: [&[T]; 2],
        planes: Planes,
        given: Vec<MeanVar>,
        of_x: bool,
        eps: f64,
    ) -> Self {
        let rounded: Vec<Statistics<T>> = given.iter().map(|set| set.rounded(eps)).collect();
        // From an origin below this, no distance is infinite.
        let near = T::max_value() * T::epsilon() / T::of(4.0);
        let too_far = |(set, statistics): (usize, &Statistics<T>)| {
            let Statistics { origin, .. } = *statistics;
            let finite = |(at, _)| (T::is_finite)(x[at] - origin);
            !(origin.abs() < near || planes.places(set).all(finite))
        };
        let mut far: Vec<bool> = rounded.iter().enumerate().map(too_far).collect();
        let slots = planes.slots();
        for &(set, channel) in &slots {
            let scale = (gamma[channel] * rounded[set].rstd).abs();
            let normal = (scale >= T::min_positive_value()) & (scale <= T::max_value());
            far[set] |= !(normal | (gamma[channel] == T::zero()));
        }
        Self { planes, slots, given, rounded, far, of_x, eps }
    }

    /// y = γ·x̂ + β.
    pub fn forward(&self, [x, gamma, beta]: [&[T]; 3]) -> Buffer<T> {
        let planes = &self.planes;
        let sets = &self.rounded;
        let scale = |set: usize, channel: usize| gamma[channel] * sets[set].rstd;
        let origins = self.coefficients(|set, _| sets[set].origin);
        let scales = self.coefficients(scale);
        let offsets = self.coefficients(|set, c| beta[c] - sets[set].shift * scale(set, c));
        let mut y = Buffer::new(x.len());
        lines::map(planes, [x, x], [&origins, &scales, &offsets], &mut y, lines::y);
        for set in (0..planes.sets()).filter(|&set| self.far[set]) {
            let spread = self.spread(x, set);
            far::forward(planes.places(set), [x, gamma, beta], &spread, self.eps, &mut y);
        }
        y
    }

    /// dx, dγ, dβ from the upstream gradient `dy`.
    pub fn backward(&self, [dy, x, gamma]: [&[T]; 3]) -> (Buffer<T>, Vec<T>, Vec<T>) {
        let planes = &self.planes;
        let origins = self.coefficients(|set, _| self.rounded[set].origin);
        let rstds = self.coefficients(|set, _| self.rounded[set].rstd);
        let sums = lines::sums_of(planes, [x, dy], [&origins, &rstds], lines::Upstream);
        let mut far = self.far.clone();
        for (plane, (a, b)) in sums.iter().enumerate() {
            far[planes.set(plane)] |= !(a.is_finite() && b.is_finite());
        }

        let n = planes.values_per_set() as f64;
        let (mut dgamma, mut dbeta) = (vec![0.0; planes.channels], vec![0.0; planes.channels]);
        // The means over each set of the gradient g = γ·dy of x̂, and of g·x̂.
        let mut means = vec![(0.0, 0.0); planes.sets()];
        for (plane, (sum_dy, sum_from_origin)) in sums.into_iter().enumerate() {
            let (set, channel) = (planes.set(plane), planes.channel(plane));
            if far[set] {
                continue;
            }
            let Statistics { shift, rstd, .. } = self.rounded[set];
            let sum_dy_x_hat = sum_from_origin - shift.wide() * rstd.wide() * sum_dy;
            dbeta[channel] += sum_dy;
            dgamma[channel] += sum_dy_x_hat;
            if self.of_x {
                let gamma = gamma[channel].wide();
                means[set].0 += gamma * sum_dy / n;
                means[set].1 += gamma * sum_dy_x_hat / n;
            }
        }

        let slopes = self.coefficients(|set, _| self.rounded[set].rstd * T::of(means[set].1));
        let bases = self.coefficients(|set, _| {
            let Statistics { shift, rstd, .. } = self.rounded[set];
            T::of(means[set].0) - shift * (rstd * T::of(means[set].1))
        });
        let gammas = self.coefficients(|_, channel| gamma[channel]);
        let mut dx = Buffer::new(x.len());
        let coefficients = [&origins[..], &rstds, &gammas, &slopes, &bases];
        lines::map(planes, [x, dy], coefficients, &mut dx, lines::dx);
        for set in (0..planes.sets()).filter(|&set| far[set]) {
            let terms = [self.of_x; 2];
            let (spread, places) = (self.spread(x, set), planes.places(set));
            far::backward(places, [dy, x, gamma], &spread, self.eps, terms, &mut dx, |c, a, b| {
                dgamma[c] += a;
                dbeta[c] += b;
            });
        }
        let rounded = |sums: Vec<f64>| sums.into_iter().map(T::of).collect();
        (dx, rounded(dgamma), rounded(dbeta))
    }

    /// One number for each of `Planes::slots`, from its set and its channel.
    fn coefficients(&self, of: impl Fn(usize, usize) -> T) -> Vec<T> {
        self.slots.iter().map(|&(set, channel)| of(set, channel)).collect()
    }

    /// The statistics of a set for which the fast loops would not do.
    fn spread(&self, x: &[T], set: usize) -> Spread {
        let numbers = self.planes.places(set).map(|(at, _)| x[at].wide());
        if self.of_x {
            Spread::of(numbers, self.eps, true)
        } else {
            Spread::known(self.given[set].mean(), self.given[set].var, numbers, self.eps)
        }
    }
}
