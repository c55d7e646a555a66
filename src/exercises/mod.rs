//! The exercises, and the judge of an answer. Page: `book/src/exercises.md`.
//!
//! Each function here makes one [`Exercise`]. The reader answers it in a block of a page. The first
//! and the last line of that block are hidden, and pass the answer to the exercise:
//!
//! ```
//! # let exercise = evenkeel::exercises::which_axis();
//! use evenkeel::Tensor;
//!
//! fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor) -> Tensor {
//!     todo!()
//! }
//! # exercise.check(layer_norm); // prints: not solved yet: todo!() at line 4
//! # use evenkeel::exercises::Verdict;
//! # let Verdict::Unsolved(why) = exercise.verdict(layer_norm) else { panic!() };
//! # assert_eq!(why, "todo!() at line 4");
//! ```
//!
//! An answer is run on inputs that the page does not show, and compared with the crate's own layer.
//! A wrong answer is also compared with the results of the usual mistakes; the one that fits is the
//! diagnosis. `CONTRIBUTING.md` says how to add an exercise.

mod attempt;
mod eps_inside_the_root;
mod judge;
mod layer_norm_backward;
mod layer_norm_by_hand;
mod which_axis;

use std::fmt::Debug;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::{Location, resume_unwind};

pub use eps_inside_the_root::eps_inside_the_root;
pub use layer_norm_backward::layer_norm_backward;
pub use layer_norm_by_hand::layer_norm_by_hand;
pub use which_axis::which_axis;

/// One exercise; `A` is the function that the reader writes.
#[must_use]
pub struct Exercise<A> {
    name: &'static str,
    judge: fn(A) -> Result<(), String>,
    /// The hidden line above the reader's first line: their lines are counted from it.
    start: &'static Location<'static>,
}

/// The result of judging an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Right on every input.
    Solved,
    /// It ran into a `todo!()`: which one.
    Unsolved(String),
    /// Wrong, or it panicked: the diagnosis.
    Wrong(String),
}

impl<A> Exercise<A> {
    #[track_caller]
    fn new(name: &'static str, judge: fn(A) -> Result<(), String>) -> Self {
        Self { name, judge, start: Location::caller() }
    }

    /// Judges an answer without printing anything.
    ///
    /// ```
    /// use evenkeel::exercises::{Verdict, layer_norm_by_hand};
    ///
    /// let Verdict::Wrong(why) = layer_norm_by_hand().verdict(|x| x) else { panic!() };
    /// assert_eq!(
    ///     why,
    ///     "your answer returns the row as it came: for [1.0, 2.0, 3.0, 4.0], at [3]: 4.0000, expected 1.3416"
    /// );
    /// ```
    pub fn verdict(&self, answer: A) -> Verdict {
        match attempt::attempt(|| (self.judge)(answer)) {
            Ok(Ok(())) => Verdict::Solved,
            Ok(Err(diagnosis)) => Verdict::Wrong(diagnosis),
            Err(panic) => {
                let place = panic.place(self.start);
                match panic.message.strip_prefix("not yet implemented") {
                    Some(what) => Verdict::Unsolved(format!("todo!() at {place}{what}")),
                    None => {
                        Verdict::Wrong(format!("your code panicked at {place}: {}", panic.message))
                    }
                }
            }
        }
    }

    /// Judges an answer as a block does: prints a line that starts with `solved` or with `not solved
    /// yet`, or panics with the diagnosis.
    ///
    /// If the environment variable `EVENKEEL_EXERCISES` names a file, a line with the exercise and
    /// the verdict is added to it, for programs that do not see what the block prints.
    ///
    /// ```should_panic
    /// # let exercise = evenkeel::exercises::layer_norm_by_hand();
    /// exercise.check(|[a, b, c, d]| [a - 2.5, b - 2.5, c - 2.5, d - 2.5]);
    /// ```
    ///
    /// # Panics
    /// With the diagnosis as its message, if the answer is wrong. Nothing else is printed then: no
    /// place in a hidden line, no backtrace. That would lead away from what is wrong.
    pub fn check(&self, answer: A) {
        conclude(self.name, self.verdict(answer));
    }
}

/// Not generic, unlike [`Exercise::check`], so that it is compiled once.
fn conclude(name: &str, verdict: Verdict) {
    let state = match &verdict {
        Verdict::Solved => "solved".into(),
        Verdict::Unsolved(why) => format!("not solved yet: {why}"),
        Verdict::Wrong(diagnosis) => format!("wrong: {diagnosis}"),
    };
    if let Some(file) = std::env::var_os("EVENKEEL_EXERCISES") {
        let file = OpenOptions::new().append(true).create(true).open(file);
        // One line, so that the message of a panic cannot look like another report.
        let report = format!("{name}: {}\n", state.lines().next().unwrap_or_default());
        // A report that cannot be written is no reason to refuse a right answer.
        drop(file.and_then(|mut file| file.write_all(report.as_bytes())));
    }
    match verdict {
        Verdict::Solved | Verdict::Unsolved(_) => println!("{state}"),
        Verdict::Wrong(diagnosis) => {
            eprintln!("{diagnosis}");
            // As `panic!` does, but without its header and backtrace.
            resume_unwind(Box::new(diagnosis));
        }
    }
}
