//! Answers to the exercise *@title@*.

use evenkeel::Tensor;
use evenkeel::exercises::{Verdict, @name@};

use super::assert_refused;

fn answer(x: &Tensor) -> Tensor {
    x - x.mean_axis(-1)
}

#[test]
fn the_solution_passes() {
    assert_eq!(@name@().verdict(answer), Verdict::Solved);
}

// TODO: every mistake that the check knows, written as a reader would.
#[test]
fn wrong_answers_get_their_diagnosis() {
    assert_refused::<fn(&Tensor) -> Tensor, _>(
        &@name@(),
        [
            ("your answer takes the mean over the examples (axis 0): ", |x| x - x.mean_axis(0)),
            ("your answer takes one mean of all rows together: ", |x| x - x.mean()),
            ("your answer is not right: ", Clone::clone),
        ],
    );
}

#[test]
fn constants_are_refused() {
    assert_refused::<fn(&Tensor) -> Tensor, _>(
        &@name@(),
        [("your answer is the same for different inputs: ", |x| x * 0.0)],
    );
}
