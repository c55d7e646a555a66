//! Mean and variance of numbers of any size, in `f64`. Page: `book/src/layer_norm.md`.
//!
//! For the few rows, channels and columns that the fast loops cannot do: their squares leave the type,
//! an outlier stands in front, or so much is equal that only exact zeros will do.

/// Where numbers lie and how far they spread, in units of `1 / scale`.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    /// A power of two that brings the largest number to where squares neither overflow nor vanish.
    pub(crate) scale: f64,
    /// The mean is `origin + shift`: near one number, to keep the digits of a common offset.
    origin: f64,
    shift: f64,
    /// The mean square of the distances from the mean.
    mean_square: f64,
}

impl Spread {
    // ANCHOR: spread
    /// Of at least one number; without `centred`, distances are from 0. `eps` is what will be
    /// added to the variance.
    pub(crate) fn of(numbers: impl Iterator<Item = f64> + Clone, eps: f64, centred: bool) -> Self {
        let scale = scale(numbers.clone(), eps.sqrt());
        let scaled = numbers.map(|x| x * scale);
        let n = scaled.clone().count() as f64;
        let mut spread = Self { scale, origin: 0.0, shift: 0.0, mean_square: 0.0 };
        if centred {
            // From the first number, so that equal numbers are exact zeros; then from the mean
            // so found, so that nothing is lost where the first is far from all others.
            let first = scaled.clone().next().expect("at least one number");
            spread.origin = first + scaled.clone().map(|x| x - first).sum::<f64>() / n;
            spread.shift = scaled.clone().map(|x| x - spread.origin).sum::<f64>() / n;
        }
        let squares = scaled.map(|x| ((x - spread.origin) - spread.shift).powi(2));
        Self { mean_square: squares.sum::<f64>() / n, ..spread }
    }
    // ANCHOR_END: spread

    /// What a layer remembered: numbers that are about to be measured from this mean.
    pub(crate) fn known(mean: f64, var: f64, numbers: impl Iterator<Item = f64>, eps: f64) -> Self {
        let scale = scale(numbers.chain([mean]), (var + eps).sqrt());
        Self { scale, origin: mean * scale, shift: 0.0, mean_square: var * scale * scale }
    }

    pub(crate) fn mean(&self) -> f64 {
        (self.origin + self.shift) / self.scale
    }

    /// The biased variance; infinite or 0 where it does not fit an `f64`.
    pub(crate) fn var(&self) -> f64 {
        self.mean_square / self.scale / self.scale
    }

    /// How far `x` is from the mean, in units of `1 / scale`.
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

/// 1, or a power of two for numbers whose squares would not fit.
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
