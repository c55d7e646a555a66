//! Sets of numbers that the fast loops cannot normalize, one at a time and in `f64`.
//!
//! A set is what shares its statistics: a row, a channel, a group. The fast loops keep x̂ as
//! `((x - origin) - shift)·rstd` in the element type. That fails where 1/σ is no normal number of the
//! type or a distance from the mean overflows, as for the `f32` numbers 3e38 and -3e38, or 1e-39 and
//! -1e-39 without `eps`. Such a set is done here.

use crate::machine::Float;
use crate::machine::spread::{self, Spread};

/// Where the numbers of a set stand: in x, and their γ and β in theirs.
pub(super) trait Places: Iterator<Item = (usize, usize)> + Clone {}

impl<I: Iterator<Item = (usize, usize)> + Clone> Places for I {}

/// y = γ·x̂ + β; `beta` is empty for RMSNorm.
#[cold]
pub(super) fn forward<T: Float>(
    places: impl Places,
    [x, gamma, beta]: [&[T]; 3],
    spread: &Spread,
    eps: f64,
    y: &mut [T],
) {
    #[cfg(test)]
    crate::machine::taken::note("far");
    let root = spread.root(eps);
    for (at, feature) in places {
        let scaled = gamma[feature].wide() * (spread.distance(x[at].wide()) / root);
        y[at] = T::of(beta.get(feature).map_or(scaled, |beta| scaled + beta.wide()));
    }
}

/// Which terms dx has: those of the mean and of the mean square, if they are of x itself.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub(super) mean: bool,
    pub(super) square: bool,
}

/// Writes dx, and hands dy·x̂ and dy to `add`, with the feature they belong to.
#[cold]
pub(super) fn backward<T: Float>(
    places: impl Places,
    [dy, x, gamma]: [&[T]; 3],
    spread: &Spread,
    eps: f64,
    terms: Terms,
    dx: &mut [T],
    mut add: impl FnMut(usize, f64, f64),
) {
    #[cfg(test)]
    crate::machine::taken::note("far");
    let root = spread.root(eps);
    let x_hat = |at: usize| spread.distance(x[at].wide()) / root;
    // The sums of the largest must fit too, and the smallest keep their digits.
    let product = |(at, feature): (usize, usize)| gamma[feature].wide() * dy[at].wide();
    let scale = spread::scale(places.clone().map(product), 0.0);
    let g = |(at, feature): (usize, usize)| gamma[feature].wide() * (dy[at].wide() * scale);
    let n = places.clone().count() as f64;
    let mean = |on: bool, of: &dyn Fn((usize, usize)) -> f64| {
        if on { places.clone().map(of).sum::<f64>() / n } else { 0.0 }
    };
    let mean_g = mean(terms.mean, &g);
    let mean_g_x_hat = mean(terms.square, &|place| g(place) * x_hat(place.0));
    for (at, feature) in places {
        let x_hat = x_hat(at);
        let rest = g((at, feature)) - mean_g - x_hat * mean_g_x_hat;
        dx[at] = T::of(rest / root * spread.scale / scale);
        add(feature, dy[at].wide() * x_hat, dy[at].wide());
    }
}
