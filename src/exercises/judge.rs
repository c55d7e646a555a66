//! Compares an answer with the right one and with the usual mistakes.

use std::fmt::Display;

use ndarray::{Axis, Dimension};

use crate::engine::{Tensor, rng};

/// The tolerance, relative to the largest number: far above the rounding errors of any sound
/// computation in `f64`, far below the effect of any mistake.
const TOLERANCE: f64 = 1e-5;

/// A mistake: its description, to be put after "your dγ", and what it computes.
pub(super) type Mistake<C> = (&'static str, fn(&C) -> Tensor);

/// One output of an answer, for inputs of type `C`.
pub(super) struct Output<C: 'static> {
    /// Its name in a diagnosis.
    pub(super) name: &'static str,
    /// The right output.
    pub(super) right: fn(&C) -> Tensor,
    /// The usual mistakes. If two fit, the first is named.
    pub(super) mistakes: &'static [Mistake<C>],
}

/// The input of one run of an answer. Its `Display` is put after "for".
pub(super) trait Case: Display {
    /// The matrix whose rows the output's rows come from, if it is one.
    fn x(&self) -> Option<&Tensor> {
        None
    }
}

/// Runs the answer on every case and judges its outputs, the last one first. The error is the diagnosis.
///
/// A mistake is recognised if it explains every case. At least two cases must have the same shapes,
/// so that an answer which ignores its input is recognised.
pub(super) fn judge<C: Case, const N: usize>(
    cases: &[C],
    outputs: [&Output<C>; N],
    answer: impl Fn(&C) -> [Tensor; N],
) -> Result<(), String> {
    let answers: Vec<[Tensor; N]> = cases.iter().map(answer).collect();
    let column = |i: usize| answers.iter().map(|answer| &answer[i]).collect::<Vec<_>>();
    in_another_order(cases, &outputs, &column)?;
    for i in (0..N).rev() {
        let Err(diagnosis) = outputs[i].judge(cases, &column(i)) else { continue };
        let is_right = |i: &usize| outputs[*i].judge(cases, &column(*i)).is_ok();
        let right: Vec<&str> = (0..N).filter(is_right).map(|i| outputs[i].name).collect();
        return Err(match right[..] {
            [] => diagnosis,
            [one] => format!("{diagnosis}; {one} is right"),
            _ => format!("{diagnosis}; {} are right", right.join(" and ")),
        });
    }
    Ok(())
}

/// An error if all outputs are right, but not where they belong.
fn in_another_order<'a, C: Case>(
    cases: &[C],
    outputs: &[&Output<C>],
    column: &impl Fn(usize) -> Vec<&'a Tensor>,
) -> Result<(), String> {
    let is = |i: usize, output: &Output<C>| output.judge(cases, &column(i)).is_ok();
    let found: Option<Vec<&str>> = (0..outputs.len())
        .map(|i| outputs.iter().find(|output| is(i, output)).map(|output| output.name))
        .collect();
    let expected: Vec<&str> = outputs.iter().map(|output| output.name).collect();
    match found {
        // Each of them, once.
        Some(found) if found != expected && expected.iter().all(|name| found.contains(name)) => {
            Err(format!(
                "your answer has its results in another order: [{}], expected [{}]",
                found.join(", "),
                expected.join(", ")
            ))
        }
        _ => Ok(()),
    }
}

impl<C: Case> Output<C> {
    fn judge(&self, cases: &[C], got: &[&Tensor]) -> Result<(), String> {
        let right: Vec<Tensor> = cases.iter().map(self.right).collect();
        let differences = cases.iter().zip(got).zip(&right);
        let mut differences =
            differences.filter_map(|((case, got), right)| difference(case, got, right));
        let Some(difference) = differences.next() else { return Ok(()) };

        let gives = |what: &dyn Fn(&C) -> Tensor| {
            cases.iter().zip(got).all(|(case, got)| same_numbers(got, &what(case)))
        };
        let mistake = self.mistakes.iter().find(|(_, mistake)| gives(mistake));
        let what = match mistake {
            Some((what, _)) => what,
            None if gives(&self.right) => "has the right numbers in the wrong shape",
            None if ignores_the_input(got, &right) => "is the same for different inputs",
            None => "is not right",
        };
        Err(format!("your {} {what}: {difference}", self.name))
    }
}

/// The largest error of an output, with its place, or the shapes if they differ.
fn difference(case: &impl Case, got: &Tensor, right: &Tensor) -> Option<String> {
    if got.shape() != right.shape() {
        return Some(format!("shape {}, expected {}", shape(got), shape(right)));
    }
    let size = size(right);
    let errors = right
        .value()
        .indexed_iter()
        .map(|(index, right)| {
            let got = got.value()[&index];
            // NaN and the infinities count as infinitely far off.
            let error = if got.is_finite() { (got - right).abs() / size } else { f64::INFINITY };
            (error, index, got, *right)
        })
        .collect::<Vec<_>>();
    let worst = errors.into_iter().max_by(|(a, ..), (b, ..)| a.total_cmp(b));
    let shape = right.shape();
    let (_, index, got, right) = worst.filter(|(error, ..)| *error > TOLERANCE)?;
    let (mut yours, mut expected) = (format!("{got:.4}"), format!("{right:.4}"));
    if yours == expected {
        (yours, expected) = (got.to_string(), right.to_string());
    }
    let at = index.slice();
    let row = case.x().filter(|x| x.shape() == shape).map_or(String::new(), |x| {
        let row = x.value().index_axis(Axis(0), at[0]).iter().map(digits).collect::<Vec<_>>();
        format!("; row {} of x is [{}]", at[0], row.join(", "))
    });
    Some(format!("for {case}, at {at:?}: {yours}, expected {expected}{row}"))
}

/// As many digits as a reader needs to try a row by hand.
fn digits(x: &f64) -> String {
    format!("{}", (x * 1e6).round() / 1e6)
}

/// Whether two tensors hold the same numbers, apart from axes of length 1. NaN equals NaN here, so
/// that a mistake which gives NaN is recognised.
fn same_numbers(a: &Tensor, b: &Tensor) -> bool {
    let lengths = |tensor: &Tensor| -> Vec<usize> {
        tensor.shape().iter().copied().filter(|length| *length != 1).collect()
    };
    let size = size(b);
    let close = |(a, b): (&f64, &f64)| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * size
    };
    lengths(a) == lengths(b) && a.value().iter().zip(b.value().iter()).all(close)
}

/// The largest finite magnitude, at least 1.
fn size(tensor: &Tensor) -> f64 {
    tensor.value().iter().filter(|x| x.is_finite()).fold(1.0, |size, x| x.abs().max(size))
}

/// Whether all answers of one shape are equal, though the right ones differ.
fn ignores_the_input(got: &[&Tensor], right: &[Tensor]) -> bool {
    let of_one_shape = |i: usize| (0..i).filter(move |&j| right[i].shape() == right[j].shape());
    let mut pairs = (0..got.len()).flat_map(|i| of_one_shape(i).map(move |j| (i, j)));
    pairs.all(|(i, j)| got[i] == got[j]) // NaN is never the same answer
}

/// `(2, 1)`, `(5,)`: as the page writes a shape, with a comma where there is one axis.
pub(super) fn shape(tensor: &Tensor) -> String {
    match tensor.shape() {
        [length] => format!("({length},)"),
        shape => format!("({})", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Numbers from a normal distribution, the same in every run.
pub(super) fn normal(shape: &[usize], mean: f64, sd: f64, seed: u64) -> Tensor {
    Tensor::randn(shape, &mut rng(seed)) * sd + mean
}
