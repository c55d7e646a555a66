//! Exercise: which axis the statistics run along.

use std::fmt;

use super::Exercise;
use super::judge::{self, Output, judge, normal, shape};
use crate::engine::Tensor;
use crate::norm::LayerNorm;

/// LayerNorm of a matrix, from primitive operations: which axis do its statistics run along?
///
/// The answer is a function of x, γ and β, with ε = 1e-5. Checked on matrices that are not square,
/// with a mean that is not zero, γ not 1 and β not 0.
///
/// ```
/// use evenkeel::exercises::{Verdict, which_axis};
/// use evenkeel::LayerNorm;
///
/// let the_layer_itself = which_axis().verdict(|x, gamma, beta| {
///     let mut layer = LayerNorm::new(gamma.shape()[0]);
///     (layer.gamma, layer.beta) = (gamma.clone(), beta.clone());
///     layer.forward(x)
/// });
/// assert_eq!(the_layer_itself, Verdict::Solved);
/// ```
#[track_caller]
pub fn which_axis() -> Exercise<fn(&Tensor, &Tensor, &Tensor) -> Tensor> {
    Exercise::new("which_axis", |answer| {
        let cases =
            [Case::new(5, 7, 1), Case::new(2, 3, 2), Case::new(5, 7, 3), Case::new(6, 4, 4)];
        judge(&cases, [&Y], |case| [answer(&case.x, &case.gamma, &case.beta)])
    })
}

struct Case {
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x of shape {}", shape(&self.x))
    }
}

impl judge::Case for Case {
    fn x(&self) -> Option<&Tensor> {
        Some(&self.x)
    }
}

impl Case {
    fn new(rows: usize, features: usize, seed: u64) -> Self {
        Self {
            x: normal(&[rows, features], 3.0, 2.0, seed),
            gamma: normal(&[features], 1.5, 0.5, seed + 100),
            beta: normal(&[features], -1.0, 0.5, seed + 200),
        }
    }

    /// The layer, with one axis for the mean and one for the variance.
    fn along(&self, mean: isize, var: isize) -> Tensor {
        let centred = &self.x - self.x.mean_axis(mean);
        let var = centred.square().mean_axis(var);
        &self.gamma * (centred / (var + 1e-5).sqrt()) + &self.beta
    }

    /// x̂, the row before γ and β.
    fn x_hat(&self) -> Tensor {
        LayerNorm::new(self.gamma.shape()[0]).forward(&self.x)
    }

    /// √(σ² + ε) of each row.
    fn sd(&self) -> Tensor {
        ((&self.x - self.x.mean_axis(-1)).square().mean_axis(-1) + 1e-5).sqrt()
    }

    fn right(&self) -> Tensor {
        let mut layer = LayerNorm::new(self.gamma.shape()[0]);
        (layer.gamma, layer.beta) = (self.gamma.clone(), self.beta.clone());
        layer.forward(&self.x)
    }

    /// The layer with the variance times `factor`.
    fn with_variance_times(&self, factor: f64) -> Tensor {
        let centred = &self.x - self.x.mean_axis(-1);
        let var = centred.square().mean_axis(-1) * factor;
        &self.gamma * (centred / (var + 1e-5).sqrt()) + &self.beta
    }
}

static Y: Output<Case> = Output {
    name: "answer",
    right: Case::right,
    mistakes: &[
        (
            "takes its statistics over the examples (axis 0), which is BatchNorm: row 0 changes when row 1 does",
            |case| case.along(0, 0),
        ),
        ("takes the mean over the examples (axis 0) and the variance over the features", |case| {
            case.along(0, -1)
        }),
        ("takes the variance over the examples (axis 0) and the mean over the features", |case| {
            case.along(-1, 0)
        }),
        ("takes one mean and one variance of all rows together", |case| {
            let centred = &case.x - case.x.mean();
            let var = centred.square().mean();
            &case.gamma * (centred / (var + 1e-5).sqrt()) + &case.beta
        }),
        ("leaves γ and β out", Case::x_hat),
        ("has γ and β the wrong way round: it multiplies by β and adds γ", |case| {
            &case.beta * case.x_hat() + &case.gamma
        }),
        ("multiplies β by γ too, as in γ·(x̂ + β)", |case| {
            &case.gamma * (case.x_hat() + &case.beta)
        }),
        ("has the wrong sign: it subtracts x from the mean", |case| {
            &case.beta - &case.gamma * case.x_hat()
        }),
        ("lacks a parenthesis: only the mean is divided, as in x - mean / sd", |case| {
            &case.gamma * (&case.x - case.x.mean_axis(-1) / case.sd()) + &case.beta
        }),
        ("multiplies by the standard deviation where it should divide", |case| {
            &case.gamma * ((&case.x - case.x.mean_axis(-1)) * case.sd()) + &case.beta
        }),
        ("leaves γ out", |case| (case.right() - &case.beta) / &case.gamma + &case.beta),
        ("leaves β out", |case| case.right() - &case.beta),
        ("divides the squares by n - 1, not by n", |case| {
            let n = case.gamma.shape()[0] as f64;
            case.with_variance_times(n / (n - 1.0))
        }),
        ("adds up the squares where the variance is their mean", |case| {
            case.with_variance_times(case.gamma.shape()[0] as f64)
        }),
        ("divides by the variance, not by its root", |case| {
            let centred = &case.x - case.x.mean_axis(-1);
            let var = centred.square().mean_axis(-1);
            &case.gamma * (centred / (var + 1e-5)) + &case.beta
        }),
    ],
};
