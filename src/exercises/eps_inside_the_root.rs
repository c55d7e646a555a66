//! Exercise: where ε is added.

use std::fmt;

use ndarray::Array2;

use super::Exercise;
use super::judge::{self, Output, judge, normal, shape};
use crate::engine::Tensor;
use crate::norm::LayerNorm;

/// The normalization of a row, x̂, with ε inside the root.
///
/// The answer is a function of x and ε. Checked on rows of standard deviation 0.001, where the place
/// of ε shows, on ordinary rows, on a row of equal numbers, and with several ε.
///
/// ```
/// use evenkeel::exercises::{Verdict, eps_inside_the_root};
///
/// let without = eps_inside_the_root().verdict(|x, _eps| {
///     let centred = x - x.mean_axis(-1);
///     let var = centred.square().mean_axis(-1);
///     centred / var.sqrt()
/// });
/// let Verdict::Wrong(why) = without else { panic!() };
/// assert!(why.starts_with("your answer leaves ε out: "));
/// ```
#[track_caller]
pub fn eps_inside_the_root() -> Exercise<fn(&Tensor, f64) -> Tensor> {
    Exercise::new("eps_inside_the_root", |answer| {
        let cases = [
            Case { x: normal(&[3, 5], 0.5, 1e-3, 1), eps: 1e-5 },
            Case { x: normal(&[3, 5], 0.5, 1e-3, 2), eps: 1e-6 },
            Case { x: normal(&[2, 6], -4.0, 1.0, 3), eps: 0.5 },
            // A multiple of 1/4, so that the mean is exact however it is computed.
            Case { x: Tensor::new(Array2::from_elem((2, 4), 2.25)), eps: 1e-5 },
        ];
        judge(&cases, [&X_HAT], |case| [answer(&case.x, case.eps)])
    })
}

struct Case {
    x: Tensor,
    eps: f64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let narrow = if self.centred().square().mean().item() < 1e-5 { "narrow " } else { "" };
        write!(f, "{narrow}rows, x of shape {} and ε = {:e}", shape(&self.x), self.eps)
    }
}

impl judge::Case for Case {
    fn x(&self) -> Option<&Tensor> {
        Some(&self.x)
    }
}

impl Case {
    fn centred(&self) -> Tensor {
        &self.x - self.x.mean_axis(-1)
    }

    fn var(&self) -> Tensor {
        self.centred().square().mean_axis(-1)
    }
}

static X_HAT: Output<Case> = Output {
    name: "answer",
    right: |case| LayerNorm::new(case.x.shape()[1]).with_eps(case.eps).forward(&case.x),
    mistakes: &[
        ("adds ε outside the root", |case| case.centred() / (case.var().sqrt() + case.eps)),
        ("leaves ε out", |case| case.centred() / case.var().sqrt()),
        ("takes no root", |case| case.centred() / (case.var() + case.eps)),
        ("adds ε², not ε, to the variance", |case| {
            case.centred() / (case.var() + case.eps * case.eps).sqrt()
        }),
        ("adds the root of ε to the standard deviation", |case| {
            case.centred() / (case.var().sqrt() + case.eps.sqrt())
        }),
        ("has an ε of its own, 1e-5, where it is given one", |case| {
            case.centred() / (case.var() + 1e-5).sqrt()
        }),
        ("adds ε to the deviation, not to the variance", |case| {
            (case.centred() + case.eps) / case.var().sqrt()
        }),
        ("takes the larger of σ² and ε where it should add ε", |case| {
            let eps = case.eps;
            let larger = case.var().value().mapv(|var| var.max(eps));
            case.centred() / Tensor::new(larger).sqrt()
        }),
        ("takes the larger of σ and ε where it should add ε to σ²", |case| {
            let eps = case.eps;
            let larger = case.var().value().mapv(|var| var.sqrt().max(eps));
            case.centred() / Tensor::new(larger)
        }),
        ("has the wrong sign: it subtracts x from the mean", |case| {
            -case.centred() / (case.var() + case.eps).sqrt()
        }),
        ("lacks a parenthesis: only the mean is divided, as in x - mean / sd", |case| {
            &case.x - case.x.mean_axis(-1) / (case.var() + case.eps).sqrt()
        }),
        ("multiplies by the root where it should divide", |case| {
            case.centred() * (case.var() + case.eps).sqrt()
        }),
        ("is not divided by the standard deviation", Case::centred),
        ("divides the squares by n - 1, not by n", |case| {
            let n = case.x.shape()[1] as f64;
            case.centred() / (case.var() * (n / (n - 1.0)) + case.eps).sqrt()
        }),
    ],
};
