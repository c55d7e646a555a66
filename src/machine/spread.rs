//! Mean and variance of numbers of any size, in `f64`. Page: `book/src/speed.md`.
//!
//! For the few rows, channels and columns where the fast loops are inaccurate: squares overflow or
//! underflow the type, an outlier is among the first numbers, or so many numbers are equal that
//! their deviations must be exactly 0.

/// Mean and variance of numbers multiplied by `scale`.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    /// A power of two. Multiplied by it, the largest number has a square that neither overflows nor
    /// underflows.
    pub(crate) scale: f64,
    /// The mean is `origin + shift`: the sum keeps digits that one `f64` would lose.
    origin: f64,
    shift: f64,
    /// The mean square of the distances from the mean.
    mean_square: f64,
}

impl Spread {
    // ANCHOR: spread
    /// Mean and variance of at least one number; without `centred`, the mean counts as 0.
    /// `eps` is added to the variance later.
    pub(crate) fn of(numbers: impl Iterator<Item = f64> + Clone, eps: f64, centred: bool) -> Self {
        let scale = scale(numbers.clone(), eps.sqrt());
        let scaled = numbers.map(|x| x * scale);
        let n = scaled.clone().count() as f64;
        let mut spread = Self { scale, origin: 0.0, shift: 0.0, mean_square: 0.0 };
        if centred {
            // Deviations from the first number are exactly 0 for equal numbers. Deviations
            // from the mean so found are accurate even if the first number is an outlier.
            let first = scaled.clone().next().expect("at least one number");
            spread.origin = first + scaled.clone().map(|x| x - first).sum::<f64>() / n;
            spread.shift = scaled.clone().map(|x| x - spread.origin).sum::<f64>() / n;
        }
        let squares = scaled.map(|x| ((x - spread.origin) - spread.shift).powi(2));
        Self { mean_square: squares.sum::<f64>() / n, ..spread }
    }
    // ANCHOR_END: spread

    /// From a known mean and variance, such as running statistics, to normalize `numbers`.
    pub(crate) fn known(mean: f64, var: f64, numbers: impl Iterator<Item = f64>, eps: f64) -> Self {
        let scale = scale(numbers.chain([mean]), (var + eps).sqrt());
        Self { scale, origin: mean * scale, shift: 0.0, mean_square: var * scale * scale }
    }

    pub(crate) fn mean(&self) -> f64 {
        (self.origin + self.shift) / self.scale
    }

    /// The biased variance; infinite or 0 if it overflows or underflows an `f64`.
    pub(crate) fn var(&self) -> f64 {
        self.mean_square / self.scale / self.scale
    }

    /// `x` minus the mean, in units of `1 / scale`.
    pub(crate) fn distance(&self, x: f64) -> f64 {
        (x * self.scale - self.origin) - self.shift
    }

    /// √(variance + eps), in units of `1 / scale`; NaN if a number was infinite or NaN.
    pub(crate) fn root(&self, eps: f64) -> f64 {
        if self.mean_square.is_finite() {
            (self.mean_square + eps * self.scale * self.scale).sqrt()
        } else {
            f64::NAN
        }
    }
}

/// 1, or a power of two if the square of the largest of `numbers` and `least` would overflow or
/// underflow.
pub(crate) fn scale(numbers: impl Iterator<Item = f64>, least: f64) -> f64 {
    let largest = numbers.fold(least, |largest, x| largest.max(x.abs()));
    if largest > 1e100 {
        2f64.powi(-600)
    } else if largest < 1e-100 {
        2f64.powi(600)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[f64], eps: f64) -> Spread {
        Spread::of(numbers.iter().copied(), eps, true)
    }

    /// 1, 2 and 6, shifted and scaled: mean 3, variance 14/3.
    #[test]
    fn mean_variance_and_distances_at_any_place_and_size() {
        for size in [1.0, 2f64.powi(-500), 2f64.powi(500), 2f64.powi(-800), 2f64.powi(800)] {
            for place in [0.0, 2f64.powi(40), -2f64.powi(40)] {
                let spread = of(&[1.0, 2.0, 6.0].map(|x| (x + place) * size), 0.0);
                assert_eq!(spread.mean(), (3.0 + place) * size, "{place} {size:e}");
                let distances = [1.0, 6.0, 3.0].map(|x| spread.distance((x + place) * size));
                assert_eq!(distances.map(|d| d / spread.scale / size), [-2.0, 3.0, 0.0]);
                let sd = spread.root(0.0) / spread.scale / size;
                assert!((sd * sd * 3.0 / 14.0 - 1.0).abs() < 1e-15, "{sd}");
                let var = 14.0 / 3.0 * size * size; // where an f64 holds it
                assert!(spread.var() == var || (spread.var() / var - 1.0).abs() < 1e-15);
            }
        }
    }

    /// The mean lies between two neighbouring f64. Its rounding does not affect the distances.
    #[test]
    fn a_mean_between_two_numbers_of_the_type_is_told_by_the_distances() {
        let spread = of(&[0.0, 1.0, 1.0].map(|x| x + 2f64.powi(52)), 0.0);
        let distances = [0.0, 1.0].map(|x| spread.distance(x + 2f64.powi(52)));
        assert!(
            (distances[0] + 2.0 / 3.0).abs() < 1e-15 && (distances[1] - 1.0 / 3.0).abs() < 1e-15
        );
        assert!((spread.var() - 2.0 / 9.0).abs() < 1e-15);
    }

    /// Distances from 0, not from the mean.
    #[test]
    fn a_mean_square_is_a_spread_about_zero() {
        let spread = Spread::of([3.0, 4.0].into_iter(), 0.0, false);
        assert_eq!((spread.mean(), spread.var(), spread.distance(4.0)), (0.0, 12.5, 4.0));
        assert_eq!(spread.root(12.5), 5.0);
    }

    /// The numbers, the mean and √(var + eps) share one `scale`.
    #[test]
    fn what_is_known_keeps_its_digits_too() {
        for size in [1.0, 2f64.powi(-500), 2f64.powi(500)] {
            let spread =
                Spread::known(3.0 * size, 4.0 * size * size, [5.0 * size].into_iter(), 0.0);
            assert_eq!(spread.mean(), 3.0 * size);
            assert_eq!(spread.distance(5.0 * size) / spread.root(0.0), 1.0);
            assert_eq!(spread.var(), 4.0 * size * size);
        }
        // A small number and a large eps: nothing is scaled up, and the root stays finite.
        let spread = Spread::known(0.0, 0.0, [1e-200].into_iter(), 1.0);
        assert_eq!(spread.distance(1e-200) / spread.root(1.0), 1e-200);
        let spread = of(&[1e-200, -1e-200], 1.0);
        assert_eq!(spread.distance(1e-200) / spread.root(1.0), 1e-200);
    }

    #[test]
    fn no_root_of_what_is_not_finite() {
        for bad in [f64::INFINITY, f64::NAN] {
            assert!(of(&[1.0, bad], 0.0).root(1.0).is_nan());
        }
    }
}
