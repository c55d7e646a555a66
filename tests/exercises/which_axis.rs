//! Answers to the exercise *Which axis?*

use evenkeel::exercises::{Verdict, which_axis};
use evenkeel::{BatchNorm, RMSNorm, Tensor};

use super::assert_refused;
use crate::common::panics::watch;

fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor) -> Tensor {
    let centred = x - x.mean_axis(-1);
    let var = centred.square().mean_axis(-1);
    gamma * (centred / (var + 1e-5).sqrt()) + beta
}

type Answer = fn(&Tensor, &Tensor, &Tensor) -> Tensor;

fn along(mean: isize, var: isize, [x, gamma, beta]: [&Tensor; 3]) -> Tensor {
    let centred = x - x.mean_axis(mean);
    let var = centred.square().mean_axis(var);
    gamma * (centred / (var + 1e-5).sqrt()) + beta
}

#[test]
fn the_solution_passes() {
    assert_eq!(which_axis().verdict(layer_norm), Verdict::Solved);
    let counted_from_the_front: Answer = |x, gamma, beta| along(1, 1, [x, gamma, beta]);
    assert_eq!(which_axis().verdict(counted_from_the_front), Verdict::Solved);
}

#[test]
fn one_blank_filled_is_unsolved() {
    watch();
    #[expect(unreachable_code, reason = "rustdoc allows it in the block of a page")]
    let half: Answer = |x, _, _| {
        let centred = x - x.mean_axis(-1);
        centred.square().mean_axis(todo!("over which axis?"))
    };
    let Verdict::Unsolved(why) = which_axis().verdict(half) else { panic!() };
    assert!(why.ends_with(": over which axis?"), "{why}");
}

#[test]
fn wrong_answers_get_their_diagnosis() {
    assert_refused::<Answer, _>(
        &which_axis(),
        [
            (
                "your answer takes its statistics over the examples (axis 0), which is BatchNorm",
                |x, gamma, beta| along(0, 0, [x, gamma, beta]),
            ),
            (
                "your answer takes its statistics over the examples (axis 0), which is BatchNorm",
                |x, gamma, beta| {
                    let mut layer = BatchNorm::new(gamma.shape()[0]);
                    (layer.gamma, layer.beta) = (gamma.clone(), beta.clone());
                    // BatchNorm refuses a single row; there is none among the inputs.
                    layer.forward_train(x)
                },
            ),
            (
                "your answer takes the mean over the examples (axis 0) and the variance over the features: ",
                |x, gamma, beta| along(0, 1, [x, gamma, beta]),
            ),
            (
                "your answer takes the variance over the examples (axis 0) and the mean over the features: ",
                |x, gamma, beta| along(-1, 0, [x, gamma, beta]),
            ),
            (
                "your answer takes one mean and one variance of all rows together: ",
                |x, gamma, beta| {
                    let centred = x - x.mean();
                    let var = centred.square().mean();
                    gamma * (centred / (var + 1e-5).sqrt()) + beta
                },
            ),
            ("your answer leaves γ and β out: ", |x, _, _| {
                let centred = x - x.mean_axis(-1);
                let var = centred.square().mean_axis(-1);
                centred / (var + 1e-5).sqrt()
            }),
            (
                "your answer has γ and β the wrong way round: it multiplies by β and adds γ: ",
                |x, gamma, beta| layer_norm(x, beta, gamma),
            ),
            ("your answer multiplies β by γ too, as in γ·(x̂ + β): ", |x, gamma, beta| {
                let centred = x - x.mean_axis(-1);
                let sd = (centred.square().mean_axis(-1) + 1e-5).sqrt();
                gamma * (centred / sd + beta)
            }),
            ("your answer has the wrong sign: it subtracts x from the mean: ", |x, gamma, beta| {
                let sd = ((x - x.mean_axis(-1)).square().mean_axis(-1) + 1e-5).sqrt();
                gamma * ((x.mean_axis(-1) - x) / sd) + beta
            }),
            (
                "your answer lacks a parenthesis: only the mean is divided, as in x - mean / sd: ",
                |x, gamma, beta| {
                    let sd = ((x - x.mean_axis(-1)).square().mean_axis(-1) + 1e-5).sqrt();
                    gamma * (x - x.mean_axis(-1) / sd) + beta
                },
            ),
            (
                "your answer multiplies by the standard deviation where it should divide: ",
                |x, gamma, beta| {
                    let centred = x - x.mean_axis(-1);
                    let sd = (centred.square().mean_axis(-1) + 1e-5).sqrt();
                    gamma * (centred * sd) + beta
                },
            ),
            ("your answer leaves γ out: ", |x, gamma, beta| {
                layer_norm(x, gamma, beta) / gamma - beta / gamma + beta
            }),
            ("your answer leaves β out: ", |x, gamma, beta| layer_norm(x, gamma, beta) - beta),
            ("your answer divides the squares by n - 1, not by n: ", |x, gamma, beta| {
                let centred = x - x.mean_axis(-1);
                let var = centred.square().sum_axis(-1) / (x.shape()[1] as f64 - 1.0);
                gamma * (centred / (var + 1e-5).sqrt()) + beta
            }),
            (
                "your answer adds up the squares where the variance is their mean: ",
                |x, gamma, beta| {
                    let centred = x - x.mean_axis(-1);
                    gamma * (&centred / (centred.square().sum_axis(-1) + 1e-5).sqrt()) + beta
                },
            ),
            ("your answer divides by the variance, not by its root: ", |x, gamma, beta| {
                let centred = x - x.mean_axis(-1);
                gamma * (&centred / (centred.square().mean_axis(-1) + 1e-5)) + beta
            }),
            ("your answer is not right: for x of shape (5, 7), at [", |x, gamma, beta| {
                let mut layer = RMSNorm::new(gamma.shape()[0]);
                layer.gamma = gamma.clone();
                layer.forward(x) + beta
            }),
            ("your answer is not right: shape (5, 1), expected (5, 7)", |x, _, _| x.mean_axis(-1)),
            ("your answer is not right: shape (), expected (5, 7)", |x, _, _| x.mean()),
        ],
    );
}

#[test]
fn constants_are_refused() {
    assert_refused::<Answer, _>(
        &which_axis(),
        [
            ("your answer is the same for different inputs: ", |x, _, _| x * 0.0),
            ("your answer is not right: ", |_, gamma, beta| gamma + beta),
        ],
    );
}
