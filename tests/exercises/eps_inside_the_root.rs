//! Answers to the exercise *ε inside the root*.

use evenkeel::Tensor;
use evenkeel::exercises::{Verdict, eps_inside_the_root};

use super::assert_refused;

fn normalize(x: &Tensor, eps: f64) -> Tensor {
    let centred = x - x.mean_axis(-1);
    let var = centred.square().mean_axis(-1);
    let sd = (var + eps).sqrt();
    centred / sd
}

type Answer = fn(&Tensor, f64) -> Tensor;

fn parts(x: &Tensor) -> (Tensor, Tensor) {
    let centred = x - x.mean_axis(-1);
    let var = centred.square().mean_axis(-1);
    (centred, var)
}

#[test]
fn the_solution_passes() {
    assert_eq!(eps_inside_the_root().verdict(normalize), Verdict::Solved);
}

#[test]
fn the_tempting_variance_passes_too() {
    let one_pass: Answer = |x, eps| {
        let var = x.square().mean_axis(-1) - x.mean_axis(-1).square();
        (x - x.mean_axis(-1)) / (var + eps).sqrt()
    };
    assert_eq!(eps_inside_the_root().verdict(one_pass), Verdict::Solved);
}

#[test]
fn wrong_answers_get_their_diagnosis() {
    assert_refused::<Answer, _>(
        &eps_inside_the_root(),
        [
            (
                "your answer adds ε outside the root: for narrow rows, x of shape (3, 5) and ε = 1e-5, at [",
                |x, eps| {
                    let (centred, var) = parts(x);
                    centred / (var.sqrt() + eps)
                },
            ),
            ("your answer leaves ε out: ", |x, _| {
                let (centred, var) = parts(x);
                centred / var.sqrt()
            }),
            ("your answer takes no root: ", |x, eps| {
                let (centred, var) = parts(x);
                centred / (var + eps)
            }),
            ("your answer adds ε², not ε, to the variance: ", |x, eps| {
                let (centred, var) = parts(x);
                centred / (var + eps * eps).sqrt()
            }),
            ("your answer adds the root of ε to the standard deviation: ", |x, eps| {
                let (centred, var) = parts(x);
                centred / (var.sqrt() + eps.sqrt())
            }),
            (
                "your answer has an ε of its own, 1e-5, where it is given one: for narrow rows, x of shape (3, 5) and ε = 1e-6, ",
                |x, _| {
                    let (centred, var) = parts(x);
                    centred / (var + 1e-5).sqrt()
                },
            ),
            ("your answer adds ε to the deviation, not to the variance: ", |x, eps| {
                let (centred, var) = parts(x);
                (centred + eps) / var.sqrt()
            }),
            ("your answer takes the larger of σ² and ε where it should add ε: ", |x, eps| {
                let (centred, var) = parts(x);
                centred / Tensor::new(var.value().mapv(|var| var.max(eps))).sqrt()
            }),
            (
                "your answer takes the larger of σ and ε where it should add ε to σ²: ",
                |x, eps| {
                    let (centred, var) = parts(x);
                    centred / Tensor::new(var.sqrt().value().mapv(|sd| sd.max(eps)))
                },
            ),
            ("your answer has the wrong sign: it subtracts x from the mean: ", |x, eps| {
                -normalize(x, eps)
            }),
            (
                "your answer lacks a parenthesis: only the mean is divided, as in x - mean / sd: ",
                |x, eps| x - x.mean_axis(-1) / (parts(x).1 + eps).sqrt(),
            ),
            ("your answer multiplies by the root where it should divide: ", |x, eps| {
                let (centred, var) = parts(x);
                centred * (var + eps).sqrt()
            }),
            ("your answer is not divided by the standard deviation: ", |x, _| parts(x).0),
            ("your answer divides the squares by n - 1, not by n: ", |x, eps| {
                let (centred, var) = parts(x);
                let n = x.shape()[1] as f64;
                centred / (var * n / (n - 1.0) + eps).sqrt()
            }),
            // No list holds this one.
            ("your answer is not right: for narrow rows, ", |x, eps| {
                let (centred, var) = parts(x);
                centred / (var + 2.0 * eps).sqrt()
            }),
        ],
    );
}

#[test]
fn constants_are_refused() {
    assert_refused::<Answer, _>(
        &eps_inside_the_root(),
        [("your answer is the same for different inputs: ", |x, _| x * 0.0)],
    );
}
