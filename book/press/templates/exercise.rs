//! Exercise: @title@.

use std::fmt;

use super::Exercise;
use super::judge::{self, Output, judge, normal, shape};
use crate::engine::Tensor;

/// TODO: what the reader writes, in one sentence, and on what inputs the answer is checked.
///
/// ```
/// use evenkeel::exercises::{Verdict, @name@};
///
/// let right = @name@().verdict(|x| x - x.mean_axis(-1));
/// assert_eq!(right, Verdict::Solved);
/// ```
#[track_caller]
pub fn @name@() -> Exercise<fn(&Tensor) -> Tensor> {
    Exercise::new("@name@", |answer| {
        let cases = [Case::new(5, 7, 1), Case::new(2, 3, 2), Case::new(5, 7, 3)];
        judge(&cases, [&ANSWER], |case| [answer(&case.x)])
    })
}

/// TODO: what an answer is given: not square, a mean that is not 0, and two of one shape.
struct Case {
    x: Tensor,
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
        Self { x: normal(&[rows, features], 3.0, 2.0, seed) }
    }
}

// TODO: the right answer, from the layer itself where there is one, and what the usual mistakes return.
static ANSWER: Output<Case> = Output {
    name: "answer",
    right: |case| &case.x - case.x.mean_axis(-1),
    mistakes: &[
        ("takes the mean over the examples (axis 0)", |case| &case.x - case.x.mean_axis(0)),
        ("takes one mean of all rows together", |case| &case.x - case.x.mean()),
    ],
};
