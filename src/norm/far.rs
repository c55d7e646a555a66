//! One set of numbers in `f64`, slowly, where the fast loops would not do.
//!
//! A set is what shares one mean and one variance: a row, a channel, a group. The fast loops compute x̂ as
//! `((x - origin) - shift)·rstd` in the element type. That fails where 1/σ is no normal number of the
//! type, or where a distance from the mean overflows: for the `f32` numbers 3e38 and -3e38, or for 1e-39 and
//! -1e-39 without `eps`.

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
    crate::machine::counted::count("far");
    let root = spread.root(eps);
    for (at, feature) in places {
        let scaled = gamma[feature].wide() * (spread.distance(x[at].wide()) / root);
        y[at] = T::of(beta.get(feature).map_or(scaled, |beta| scaled + beta.wide()));
    }
}

/// Writes dx, and hands dy·x̂ and dy to `add`, with the feature they belong to. Mean and mean square each add a
/// term to dx if they are those of x itself.
#[cold]
pub(super) fn backward<T: Float>(
    places: impl Places,
    [dy, x, gamma]: [&[T]; 3],
    spread: &Spread,
    eps: f64,
    [mean_of_x, square_of_x]: [bool; 2],
    dx: &mut [T],
    mut add: impl FnMut(usize, f64, f64),
) {
    #[cfg(test)]
    crate::machine::counted::count("far");
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
    let mean_g = mean(mean_of_x, &g);
    let mean_g_x_hat = mean(square_of_x, &|place| g(place) * x_hat(place.0));
    for (at, feature) in places {
        let x_hat = x_hat(at);
        let rest = g((at, feature)) - mean_g - x_hat * mean_g_x_hat;
        dx[at] = T::of(rest / root * spread.scale / scale);
        add(feature, dy[at].wide() * x_hat, dy[at].wide());
    }
}
