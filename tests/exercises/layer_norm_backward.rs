//! Answers to the exercise *The backward pass*.

use evenkeel::exercises::{Verdict, layer_norm_backward};
use evenkeel::{LayerNorm, Tensor};
use ndarray::{Array1, Array2};

use super::{assert_refused, diagnosis};

fn backward(dy: &Tensor, x: &Tensor, gamma: &Tensor, eps: f64) -> [Tensor; 3] {
    let centred = x - x.mean_axis(-1);
    let r = 1.0 / (centred.square().mean_axis(-1) + eps).sqrt();
    let x_hat = centred * &r;
    let g = gamma * dy;
    let dx = r * (&g - g.mean_axis(-1) - &x_hat * (&g * &x_hat).mean_axis(-1));
    let dgamma = (dy * &x_hat).sum_axis(0).reshape(gamma.shape());
    let dbeta = dy.sum_axis(0).reshape(gamma.shape());
    [dx, dgamma, dbeta]
}

type Answer = fn(&Tensor, &Tensor, &Tensor, f64) -> [Tensor; 3];

/// What a reader has in hand when the gradients are put together.
struct Parts<'a> {
    dy: &'a Tensor,
    x: &'a Tensor,
    gamma: &'a Tensor,
    centred: Tensor,
    r: Tensor,
    x_hat: Tensor,
    g: Tensor,
    n: f64,
    right: [Tensor; 3],
}

impl<'a> Parts<'a> {
    /// `less` is taken from n where the variance divides by it.
    fn of(dy: &'a Tensor, x: &'a Tensor, gamma: &'a Tensor, eps: f64, less: f64) -> Self {
        let n = x.shape()[1] as f64;
        let centred = x - x.mean_axis(-1);
        let r = 1.0 / (centred.square().sum_axis(-1) / (n - less) + eps).sqrt();
        let (x_hat, g) = (&centred * &r, gamma * dy);
        Self { dy, x, gamma, centred, r, x_hat, g, n, right: backward(dy, x, gamma, eps) }
    }

    fn dx(&self, x_hat: &Tensor) -> Tensor {
        let g = &self.g;
        &self.r * (g - g.mean_axis(-1) - x_hat * (g * x_hat).mean_axis(-1))
    }

    fn dgamma(&self, x_hat: &Tensor) -> Tensor {
        (self.dy * x_hat).sum_axis(0).reshape(self.gamma.shape())
    }

    /// The right dγ and dβ with another dx.
    fn with_dx(self, dx: Tensor) -> [Tensor; 3] {
        let [_, dgamma, dbeta] = self.right;
        [dx, dgamma, dbeta]
    }

    /// The right dx and dβ with another dγ.
    fn with_dgamma(self, dgamma: Tensor) -> [Tensor; 3] {
        let [dx, _, dbeta] = self.right;
        [dx, dgamma, dbeta]
    }

    /// The right dx and dγ with another dβ.
    fn with_dbeta(self, dbeta: Tensor) -> [Tensor; 3] {
        let [dx, dgamma, _] = self.right;
        [dx, dgamma, dbeta]
    }
}

/// An answer that is put together from its parts.
macro_rules! answer {
    (|$parts:ident| $body:expr) => {
        |dy, x, gamma, eps| {
            let $parts = Parts::of(dy, x, gamma, eps, 0.0);
            $body
        }
    };
}

#[test]
fn the_solution_passes() {
    assert_eq!(layer_norm_backward().verdict(backward), Verdict::Solved);
}

/// The same with loops, for a reader who prefers them.
fn by_loops(dy: &Tensor, x: &Tensor, gamma: &Tensor, eps: f64) -> [Tensor; 3] {
    let (rows, n) = (x.shape()[0], x.shape()[1]);
    let (mut dx, mut dgamma, mut dbeta) =
        (Array2::zeros((rows, n)), Array1::zeros(n), Array1::zeros(n));
    for i in 0..rows {
        let (x, dy) = (|j: usize| x.value()[[i, j]], |j: usize| dy.value()[[i, j]]);
        let mean = |f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
        let mu = mean(&x);
        let r = 1.0 / (mean(&|j| (x(j) - mu).powi(2)) + eps).sqrt();
        let (x_hat, g) = (|j| (x(j) - mu) * r, |j: usize| gamma.value()[j] * dy(j));
        let (mean_g, mean_g_x_hat) = (mean(&g), mean(&|j| g(j) * x_hat(j)));
        for j in 0..n {
            dx[[i, j]] = r * (g(j) - mean_g - x_hat(j) * mean_g_x_hat);
            dgamma[j] += dy(j) * x_hat(j);
            dbeta[j] += dy(j);
        }
    }
    [Tensor::new(dx), Tensor::new(dgamma), Tensor::new(dbeta)]
}

#[test]
fn other_right_answers_pass() {
    assert_eq!(layer_norm_backward().verdict(by_loops), Verdict::Solved);
    let by_the_engine: Answer = |dy, x, gamma, eps| {
        let mut layer = LayerNorm::new(gamma.shape()[0]).with_eps(eps);
        (layer.gamma, layer.beta) =
            (Tensor::parameter(gamma.value()), Tensor::parameter((gamma * 0.0).value()));
        let x = Tensor::parameter(x.value());
        let gradients = layer.forward(&x).backward_from(dy);
        [&x, &layer.gamma, &layer.beta].map(|of| gradients.get(of).unwrap().clone())
    };
    assert_eq!(layer_norm_backward().verdict(by_the_engine), Verdict::Solved);
}

#[test]
fn a_wrong_dx_gets_its_diagnosis() {
    assert_refused::<Answer, _>(
        &layer_norm_backward(),
        [
            (
                "your dx takes the statistics as constants: it is r·g, without both subtractions: for x of shape (2, 5) and ε = 1e-5, at [",
                answer!(|p| {
                    let dx = &p.r * &p.g;
                    p.with_dx(dx)
                }),
            ),
            // The same mistake as it is made in practice: the engine, with statistics outside the graph.
            ("your dx takes the statistics as constants: ", |dy, x, gamma, eps| {
                let x = Tensor::parameter(x.value());
                let centred = &x - x.mean_axis(-1).detach();
                let var = centred.square().mean_axis(-1).detach();
                let gradients = (gamma * (centred / (var + eps).sqrt())).backward_from(dy);
                let [_, dgamma, dbeta] = backward(dy, &x.detach(), gamma, eps);
                [gradients.get(&x).unwrap().clone(), dgamma, dbeta]
            }),
            (
                "your dx lacks the mean of g: ",
                answer!(|p| {
                    let dx = &p.r * (&p.g - &p.x_hat * (&p.g * &p.x_hat).mean_axis(-1));
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx lacks the projection, the part along x̂: ",
                answer!(|p| {
                    let dx = &p.r * (&p.g - p.g.mean_axis(-1));
                    p.with_dx(dx)
                }),
            ),
            ("your dx forgets γ: it has dy where g = γ·dy belongs: ", |dy, x, gamma, eps| {
                let ones = gamma / gamma;
                let [dx, ..] = backward(dy, x, &ones, eps);
                let [_, dgamma, dbeta] = backward(dy, x, gamma, eps);
                [dx, dgamma, dbeta]
            }),
            ("your dx multiplies by γ after the means", |dy, x, gamma, eps| {
                let ones = gamma / gamma;
                let [dx, ..] = backward(dy, x, &ones, eps);
                let [_, dgamma, dbeta] = backward(dy, x, gamma, eps);
                [gamma * dx, dgamma, dbeta]
            }),
            ("your dx divides the squares by n - 1, not by n: ", |dy, x, gamma, eps| {
                let p = Parts::of(dy, x, gamma, eps, 1.0);
                let dx = p.dx(&p.x_hat);
                p.with_dx(dx)
            }),
            (
                "your dx divides by n - 1 where it takes means, not by n: ",
                answer!(|p| {
                    let mean = |of: Tensor| of.sum_axis(-1) / (p.n - 1.0);
                    let dx = &p.r * (&p.g - mean(p.g.clone()) - &p.x_hat * mean(&p.g * &p.x_hat));
                    p.with_dx(dx)
                }),
            ),
            // The derivative of a variance over n - 1, with r still over n.
            (
                "your dx divides by n - 1 in the projection, not by n: ",
                answer!(|p| {
                    let projection = &p.x_hat * (&p.g * &p.x_hat).sum_axis(-1) / (p.n - 1.0);
                    let dx = &p.r * (&p.g - p.g.mean_axis(-1) - projection);
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx uses x where x̂ belongs: ",
                answer!(|p| {
                    let dx = p.dx(p.x);
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx uses x - μ where x̂ belongs: ",
                answer!(|p| {
                    let dx = p.dx(&p.centred);
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx lacks the factor r in front: ",
                answer!(|p| {
                    let dx = p.dx(&p.x_hat) / &p.r;
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx has sums where the formula has means: ",
                answer!(|p| {
                    let dx = &p.r
                        * (&p.g - p.g.sum_axis(-1) - &p.x_hat * (&p.g * &p.x_hat).sum_axis(-1));
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx takes its means over the rows, not over the features: ",
                answer!(|p| {
                    let dx = &p.r
                        * (&p.g - p.g.mean_axis(0) - &p.x_hat * (&p.g * &p.x_hat).mean_axis(0));
                    p.with_dx(dx)
                }),
            ),
            ("your dx leaves ε out: ", |dy, x, gamma, eps| {
                let p = Parts::of(dy, x, gamma, 0.0, 0.0);
                let (dx, right) = (p.dx(&p.x_hat), backward(dy, x, gamma, eps));
                Parts { right, ..p }.with_dx(dx)
            }),
            (
                "your dx has the wrong sign: for x of shape (2, 5)",
                answer!(|p| {
                    let dx = p.dx(&p.x_hat) * -1.0;
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx is g = γ·dy, the gradient of x̂: ",
                answer!(|p| {
                    let dx = p.g.clone();
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx is dy, as it came: ",
                answer!(|p| {
                    let dx = p.dy.clone();
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx adds the part along x̂ where it should subtract: ",
                answer!(|p| {
                    let along = &p.x_hat * (&p.g * &p.x_hat).mean_axis(-1);
                    let dx = &p.r * (&p.g - p.g.mean_axis(-1) + along);
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx adds the mean of g where it should subtract: ",
                answer!(|p| {
                    let along = &p.x_hat * (&p.g * &p.x_hat).mean_axis(-1);
                    let dx = &p.r * (&p.g + p.g.mean_axis(-1) - along);
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx has the factor r² = 1/(σ² + ε) in front, not r: ",
                answer!(|p| {
                    let dx = p.dx(&p.x_hat) * &p.r;
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx divides by r in front where it should multiply: ",
                answer!(|p| {
                    let dx = p.dx(&p.x_hat) / &p.r / &p.r;
                    p.with_dx(dx)
                }),
            ),
            (
                "your dx is not right: for x of shape (2, 5)",
                answer!(|p| {
                    let dx = p.dx(&p.x_hat) * 2.0;
                    p.with_dx(dx)
                }),
            ),
        ],
    );
}

#[test]
fn a_wrong_dgamma_gets_its_diagnosis() {
    assert_refused::<Answer, _>(
        &layer_norm_backward(),
        [
            (
                "your dγ sums over the features: shape (2, 1), expected (5,)",
                answer!(|p| {
                    let dgamma = (p.dy * &p.x_hat).sum_axis(-1);
                    p.with_dgamma(dgamma)
                }),
            ),
            (
                "your dγ sums over the features: shape (2,), expected (5,)",
                answer!(|p| {
                    let dgamma = (p.dy * &p.x_hat).sum_axis(-1).reshape(&[p.x.shape()[0]]);
                    p.with_dgamma(dgamma)
                }),
            ),
            (
                "your dγ has the right numbers in the wrong shape: shape (1, 5), expected (5,)",
                answer!(|p| {
                    let dgamma = (p.dy * &p.x_hat).sum_axis(0);
                    p.with_dgamma(dgamma)
                }),
            ),
            (
                "your dγ is a mean over the rows, not a sum: ",
                answer!(|p| {
                    let dgamma = (p.dy * &p.x_hat).mean_axis(0).reshape(p.gamma.shape());
                    p.with_dgamma(dgamma)
                }),
            ),
            (
                "your dγ does not sum over the rows: shape (2, 5), expected (5,)",
                answer!(|p| {
                    let dgamma = p.dy * &p.x_hat;
                    p.with_dgamma(dgamma)
                }),
            ),
            (
                "your dγ lacks the factor x̂: ",
                answer!(|p| {
                    let dgamma = p.dy.sum_axis(0).reshape(p.gamma.shape());
                    p.with_dgamma(dgamma)
                }),
            ),
            (
                "your dγ uses x where x̂ belongs: ",
                answer!(|p| {
                    let dgamma = p.dgamma(p.x);
                    p.with_dgamma(dgamma)
                }),
            ),
            (
                "your dγ uses x - μ where x̂ belongs: ",
                answer!(|p| {
                    let dgamma = p.dgamma(&p.centred);
                    p.with_dgamma(dgamma)
                }),
            ),
            (
                "your dγ has the factor γ, which belongs to the gradient of x̂: ",
                answer!(|p| {
                    let dgamma = p.dgamma(&p.x_hat) * p.gamma;
                    p.with_dgamma(dgamma)
                }),
            ),
            // As it happens: the whole backward pass, with one wrong variance in front.
            ("your dγ divides the squares by n - 1, not by n: ", |dy, x, gamma, eps| {
                let p = Parts::of(dy, x, gamma, eps, 1.0);
                let [.., dbeta] = backward(dy, x, gamma, eps);
                [p.dx(&p.x_hat), p.dgamma(&p.x_hat), dbeta]
            }),
            (
                "your dγ has the wrong sign: ",
                answer!(|p| {
                    let dgamma = -p.dgamma(&p.x_hat);
                    p.with_dgamma(dgamma)
                }),
            ),
            ("your dγ leaves ε out: ", |dy, x, gamma, _| backward(dy, x, gamma, 0.0)),
        ],
    );
}

#[test]
fn results_in_another_order_are_named() {
    assert_refused::<Answer, _>(
        &layer_norm_backward(),
        [
            (
                "your answer has its results in another order: [dγ, dβ, dx], expected [dx, dγ, dβ]",
                |dy, x, gamma, eps| {
                    let [dx, dgamma, dbeta] = backward(dy, x, gamma, eps);
                    [dgamma, dbeta, dx]
                },
            ),
            (
                "your answer has its results in another order: [dx, dβ, dγ], expected [dx, dγ, dβ]",
                |dy, x, gamma, eps| {
                    let [dx, dgamma, dbeta] = backward(dy, x, gamma, eps);
                    [dx, dbeta, dgamma]
                },
            ),
        ],
    );
}

/// What is right already, and the row to try by hand.
#[test]
fn a_diagnosis_says_what_is_right_and_which_row_is_not() {
    let doubled: Answer = |dy, x, gamma, eps| {
        let [dx, dgamma, dbeta] = backward(dy, x, gamma, eps);
        [dx * 2.0, dgamma, dbeta]
    };
    let why = diagnosis(layer_norm_backward().verdict(doubled));
    let (_, row) = why.split_once("; row ").unwrap_or_else(|| panic!("{why}"));
    let (numbers, right) = row.split_once(" of x is [").unwrap().1.split_once("]; ").unwrap();
    assert_eq!(right, "dγ and dβ are right");
    let numbers: Vec<f64> = numbers.split(", ").map(|x| x.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 5);
    let both: Answer = |dy, x, gamma, eps| {
        let [dx, dgamma, dbeta] = backward(dy, x, gamma, eps);
        [dx, dgamma * 2.0, dbeta * 2.0]
    };
    let why = diagnosis(layer_norm_backward().verdict(both));
    assert!(why.starts_with("your dβ is not right: ") && why.ends_with("; dx is right"), "{why}");
}

#[test]
fn a_wrong_dbeta_gets_its_diagnosis() {
    assert_refused::<Answer, _>(
        &layer_norm_backward(),
        [
            (
                "your dβ sums over the features: shape (2, 1), expected (5,)",
                answer!(|p| {
                    let dbeta = p.dy.sum_axis(-1);
                    p.with_dbeta(dbeta)
                }),
            ),
            (
                "your dβ is a mean over the rows, not a sum: ",
                answer!(|p| {
                    let dbeta = p.dy.mean_axis(0).reshape(p.gamma.shape());
                    p.with_dbeta(dbeta)
                }),
            ),
            (
                "your dβ does not sum over the rows: ",
                answer!(|p| {
                    let dbeta = p.dy.clone();
                    p.with_dbeta(dbeta)
                }),
            ),
            (
                "your dβ has the factor γ, which belongs to the gradient of x̂: ",
                answer!(|p| {
                    let dbeta = p.g.sum_axis(0).reshape(p.gamma.shape());
                    p.with_dbeta(dbeta)
                }),
            ),
            ("your dβ is dγ: the other way round: ", |dy, x, gamma, eps| {
                let [dx, dgamma, _] = backward(dy, x, gamma, eps);
                [dx, dgamma.clone(), dgamma]
            }),
            (
                "your dβ has the wrong sign: ",
                answer!(|p| {
                    let dbeta = -p.dy.sum_axis(0).reshape(p.gamma.shape());
                    p.with_dbeta(dbeta)
                }),
            ),
        ],
    );
}

#[test]
fn constants_are_refused() {
    assert_refused::<Answer, _>(
        &layer_norm_backward(),
        [
            ("your dβ is the same for different inputs: ", |dy, _, gamma, _| {
                [dy * 0.0, gamma * 0.0, gamma * 0.0]
            }),
            // What an upstream of ones would let pass.
            (
                "your dx is the same for different inputs: ",
                answer!(|p| {
                    let dx = p.dy * 0.0;
                    p.with_dx(dx)
                }),
            ),
        ],
    );
}
