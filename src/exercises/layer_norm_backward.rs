//! Exercise: the gradients of LayerNorm.

use std::fmt;

use super::Exercise;
use super::judge::{self, Output, judge, normal, shape};
use crate::engine::Tensor;
use crate::norm::LayerNorm;

/// The backward pass of LayerNorm: dx, dγ and dβ from dy.
///
/// The answer is a function of dy, x, γ and ε that returns `[dx, dγ, dβ]`. It is compared with the
/// layer's own gradients, for matrices that are not square, with a mean that is not zero, γ not 1,
/// and ε from tiny to large.
///
/// ```
/// use evenkeel::exercises::{Verdict, layer_norm_backward};
///
/// let zeros = layer_norm_backward().verdict(|dy, _x, gamma, _eps| [dy * 0.0, gamma * 0.0, gamma * 0.0]);
/// let Verdict::Wrong(why) = zeros else { panic!() };
/// assert!(why.starts_with("your dβ is the same for different inputs: "));
/// ```
#[track_caller]
pub fn layer_norm_backward() -> Exercise<Backward> {
    Exercise::new("layer_norm_backward", |answer| {
        let cases = [
            Case::new(2, 5, 1e-5, 1),
            Case::new(4, 3, 0.5, 2),
            Case::new(2, 5, 2.0, 3),
            Case::new(1, 6, 1e-5, 4),
        ];
        judge(&cases, [&D_X, &D_GAMMA, &D_BETA], |case| {
            answer(&case.dy, &case.x, &case.gamma, case.eps)
        })
    })
}

type Backward = fn(&Tensor, &Tensor, &Tensor, f64) -> [Tensor; 3];

struct Case {
    dy: Tensor,    // (B, n)
    x: Tensor,     // (B, n)
    gamma: Tensor, // (n)
    eps: f64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x of shape {} and ε = {:?}", shape(&self.x), self.eps)
    }
}

impl judge::Case for Case {
    fn x(&self) -> Option<&Tensor> {
        Some(&self.x)
    }
}

impl Case {
    fn new(rows: usize, features: usize, eps: f64, seed: u64) -> Self {
        Self {
            dy: normal(&[rows, features], 0.5, 1.0, seed),
            x: normal(&[rows, features], 3.0, 2.0, seed + 100),
            gamma: normal(&[features], 1.5, 0.5, seed + 200),
            eps,
        }
    }

    fn n(&self) -> f64 {
        self.gamma.shape()[0] as f64
    }

    /// The layer's own gradients of x, γ and β.
    fn right(&self) -> [Tensor; 3] {
        let mut layer = LayerNorm::new(self.gamma.shape()[0]).with_eps(self.eps);
        layer.gamma = Tensor::parameter(self.gamma.value());
        let x = Tensor::parameter(self.x.value());
        let gradients = layer.forward(&x).backward_from(&self.dy);
        [&x, &layer.gamma, &layer.beta].map(|of| gradients.get(of).expect("a parameter").clone())
    }

    fn centred(&self) -> Tensor {
        &self.x - self.x.mean_axis(-1) // (B, n)
    }

    /// 1/√(σ² + ε), with the squares divided by `n`.
    fn r(&self, n: f64, eps: f64) -> Tensor {
        1.0 / (self.centred().square().sum_axis(-1) / n + eps).sqrt() // (B, 1)
    }

    fn right_r(&self) -> Tensor {
        self.r(self.n(), self.eps)
    }

    fn x_hat(&self) -> Tensor {
        self.centred() * self.right_r() // (B, n)
    }

    /// The gradient that reaches x̂.
    fn g(&self) -> Tensor {
        &self.dy * &self.gamma // (B, n)
    }

    /// The sum over the rows, in the shape of γ.
    fn over_rows(&self, terms: &Tensor) -> Tensor {
        terms.sum_axis(0).reshape(self.gamma.shape())
    }
}

/// dx by the page's formula, from terms that may be wrong.
fn dx(r: &Tensor, g: &Tensor, x_hat: &Tensor, mean: impl Fn(&Tensor) -> Tensor) -> Tensor {
    r * (g - mean(g) - x_hat * mean(&(g * x_hat)))
}

fn mean(of: &Tensor) -> Tensor {
    of.mean_axis(-1)
}

static D_BETA: Output<Case> = Output {
    name: "dβ",
    right: |case| case.right()[2].clone(),
    mistakes: &[
        ("sums over the features", |case| case.dy.sum_axis(-1)),
        ("is a mean over the rows, not a sum", |case| case.dy.mean_axis(0)),
        ("does not sum over the rows", |case| case.dy.clone()),
        ("has the factor γ, which belongs to the gradient of x̂", |case| {
            case.over_rows(&case.g())
        }),
        ("is dγ: the other way round", |case| case.right()[1].clone()),
        ("has the wrong sign", |case| -case.over_rows(&case.dy)),
    ],
};

static D_GAMMA: Output<Case> = Output {
    name: "dγ",
    right: |case| case.right()[1].clone(),
    mistakes: &[
        ("sums over the features", |case| (&case.dy * case.x_hat()).sum_axis(-1)),
        ("is a mean over the rows, not a sum", |case| (&case.dy * case.x_hat()).mean_axis(0)),
        ("does not sum over the rows", |case| &case.dy * case.x_hat()),
        ("lacks the factor x̂", |case| case.over_rows(&case.dy)),
        ("has the wrong sign", |case| -case.right()[1].clone()),
        ("uses x where x̂ belongs", |case| case.over_rows(&(&case.dy * &case.x))),
        ("uses x - μ where x̂ belongs", |case| case.over_rows(&(&case.dy * case.centred()))),
        ("has the factor γ, which belongs to the gradient of x̂", |case| {
            case.over_rows(&(case.g() * case.x_hat()))
        }),
        ("divides the squares by n - 1, not by n", |case| {
            case.over_rows(&(&case.dy * case.centred() * case.r(case.n() - 1.0, case.eps)))
        }),
        ("leaves ε out", |case| {
            case.over_rows(&(&case.dy * case.centred() * case.r(case.n(), 0.0)))
        }),
    ],
};

static D_X: Output<Case> = Output {
    name: "dx",
    right: |case| case.right()[0].clone(),
    mistakes: &[
        ("takes the statistics as constants: it is r·g, without both subtractions", |case| {
            case.right_r() * case.g()
        }),
        ("is g = γ·dy, the gradient of x̂", Case::g),
        ("is dy, as it came", |case| case.dy.clone()),
        ("has the wrong sign", |case| -case.right()[0].clone()),
        ("adds the part along x̂ where it should subtract", |case| {
            let (r, g, x_hat) = (case.right_r(), case.g(), case.x_hat());
            r * (&g - mean(&g) + &x_hat * mean(&(&g * &x_hat)))
        }),
        ("adds the mean of g where it should subtract", |case| {
            let (r, g, x_hat) = (case.right_r(), case.g(), case.x_hat());
            r * (&g + mean(&g) - &x_hat * mean(&(&g * &x_hat)))
        }),
        ("has the factor r² = 1/(σ² + ε) in front, not r", |case| {
            case.right()[0].clone() * case.right_r()
        }),
        ("divides by r in front where it should multiply", |case| {
            case.right()[0].clone() / (case.right_r() * case.right_r())
        }),
        ("lacks the mean of g", |case| {
            let (r, g, x_hat) = (case.right_r(), case.g(), case.x_hat());
            r * (&g - &x_hat * mean(&(&g * &x_hat)))
        }),
        ("lacks the projection, the part along x̂", |case| {
            case.right_r() * (case.g() - mean(&case.g()))
        }),
        ("forgets γ: it has dy where g = γ·dy belongs", |case| {
            dx(&case.right_r(), &case.dy, &case.x_hat(), mean)
        }),
        ("multiplies by γ after the means, which are those of g = γ·dy", |case| {
            &case.gamma * dx(&case.right_r(), &case.dy, &case.x_hat(), mean)
        }),
        ("divides the squares by n - 1, not by n", |case| {
            let r = case.r(case.n() - 1.0, case.eps);
            dx(&r, &case.g(), &(case.centred() * &r), mean)
        }),
        ("divides by n - 1 where it takes means, not by n", |case| {
            let n = case.n();
            dx(&case.right_r(), &case.g(), &case.x_hat(), |of| of.sum_axis(-1) / (n - 1.0))
        }),
        ("divides by n - 1 in the projection, not by n", |case| {
            let (r, g, x_hat) = (case.right_r(), case.g(), case.x_hat());
            let projection = &x_hat * (&g * &x_hat).sum_axis(-1) / (case.n() - 1.0);
            r * (&g - mean(&g) - projection)
        }),
        ("uses x where x̂ belongs", |case| dx(&case.right_r(), &case.g(), &case.x, mean)),
        ("uses x - μ where x̂ belongs", |case| {
            dx(&case.right_r(), &case.g(), &case.centred(), mean)
        }),
        ("lacks the factor r in front", |case| {
            dx(&Tensor::new(ndarray::arr0(1.0)), &case.g(), &case.x_hat(), mean)
        }),
        ("has sums where the formula has means", |case| {
            dx(&case.right_r(), &case.g(), &case.x_hat(), |of| of.sum_axis(-1))
        }),
        ("takes its means over the rows, not over the features", |case| {
            dx(&case.right_r(), &case.g(), &case.x_hat(), |of| of.mean_axis(0))
        }),
        ("leaves ε out", |case| {
            let r = case.r(case.n(), 0.0);
            dx(&r, &case.g(), &(case.centred() * &r), mean)
        }),
    ],
};
