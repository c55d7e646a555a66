//! The exercises: each solution passes, each wrong answer gets its diagnosis, and the pages hold
//! what they should. Page: `book/src/exercises.md`.

mod eps_inside_the_root;
mod layer_norm_backward;
mod layer_norm_by_hand;
mod pages;
mod which_axis;

use std::process::{Command, Output};

use evenkeel::exercises::{self, Verdict};

use crate::common::panics::watch;

/// The diagnosis of a wrong answer.
#[track_caller]
fn diagnosis(verdict: Verdict) -> String {
    match verdict {
        Verdict::Wrong(diagnosis) => diagnosis,
        other => panic!("expected a diagnosis, got {other:?}"),
    }
}

/// Panics unless each answer is refused with a diagnosis that starts as it should.
#[track_caller]
fn assert_refused<A, const N: usize>(exercise: &exercises::Exercise<A>, answers: [(&str, A); N]) {
    for (expected, answer) in answers {
        let diagnosis = diagnosis(exercise.verdict(answer));
        assert!(diagnosis.starts_with(expected), "expected `{expected}…`, got `{diagnosis}`");
        assert!(!diagnosis.contains('\n') && diagnosis.len() < 300, "{diagnosis}");
    }
}

#[test]
fn a_stub_is_unsolved_and_the_todo_is_named() {
    watch();
    let exercise = exercises::layer_norm_by_hand(); // the block begins below this line
    let with_words = |_: [f64; 4]| {
        todo!("four numbers");
    };
    assert_eq!(
        exercise.verdict(with_words),
        Verdict::Unsolved("todo!() at line 2: four numbers".into())
    );
    assert_eq!(exercise.verdict(|_| todo!()), Verdict::Unsolved("todo!() at line 8".into()));
}

/// Stands above the block that calls it.
fn panics(x: [f64; 4]) -> [f64; 4] {
    let after_the_last = std::hint::black_box(4);
    [x[after_the_last]; 4]
}

#[test]
fn a_panic_in_the_readers_code_is_shown_with_its_line() {
    watch();
    let exercise = exercises::which_axis();
    let answer = |x: &evenkeel::Tensor, _: &evenkeel::Tensor, _: &evenkeel::Tensor| {
        x.reshape(&[7]) // the second line of the block; the crate blames it
    };
    assert_eq!(
        diagnosis(exercise.verdict(answer)),
        "your code panicked at line 2: reshape: [5, 7] holds 35 values, [7] would hold 7"
    );
    let elsewhere = diagnosis(exercises::layer_norm_by_hand().verdict(panics));
    assert!(elsewhere.starts_with("your code panicked at tests/exercises.rs:"), "{elsewhere}");
    assert!(elsewhere.ends_with(": index out of bounds: the len is 4 but the index is 4"));
}

#[test]
fn panics_are_loud_again_after_an_attempt() {
    let run = as_a_program("panics_are_loud_again_after_an_attempt", || {
        let _ = exercises::layer_norm_by_hand().verdict(|_| todo!());
        panic!("of another kind");
    });
    assert!(run.stderr.contains("of another kind"), "{run:?}");
}

/// What a program said.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `block`, which stands in the test called `test`, in a process of its own, as a block of a
/// page runs.
fn as_a_program(test: &str, block: impl FnOnce()) -> Outcome {
    const INSIDE: &str = "EVENKEEL_EXERCISES_TEST";
    if std::env::var_os(INSIDE).is_some() {
        println!();
        block();
        std::process::exit(0);
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = format!("exercises::{test}");
    command.args([&test, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
    let report = tempfile::NamedTempFile::new().unwrap();
    command.env("EVENKEEL_EXERCISES", report.path()).env_remove("RUST_BACKTRACE");
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let stdout = text(stdout) + &std::fs::read_to_string(report.path()).unwrap();
    Outcome { code: status.code(), stdout, stderr: text(stderr) }
}

fn right([a, b, c, d]: [f64; 4]) -> [f64; 4] {
    let mean = (a + b + c + d) / 4.0;
    let centred = [a - mean, b - mean, c - mean, d - mean];
    let var = centred.iter().map(|x| x * x).sum::<f64>() / 4.0;
    centred.map(|x| x / var.sqrt())
}

#[test]
fn a_solved_block_says_so() {
    let run = as_a_program("a_solved_block_says_so", || {
        exercises::layer_norm_by_hand().check(right);
    });
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    let said = "\nsolved\nlayer_norm_by_hand: solved\n";
    assert!(run.stdout.ends_with(said), "{run:?}");
}

#[test]
fn an_unsolved_block_says_so_and_nothing_else() {
    let run = as_a_program("an_unsolved_block_says_so_and_nothing_else", || {
        let exercise = exercises::layer_norm_by_hand();
        exercise.check(|_| todo!());
    });
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    let said = "\nnot solved yet: todo!() at line 1\nlayer_norm_by_hand: not solved yet: todo!() at line 1\n";
    assert!(run.stdout.ends_with(said), "{run:?}");
}

#[test]
fn a_message_of_two_lines_is_a_report_of_one() {
    let run = as_a_program("a_message_of_two_lines_is_a_report_of_one", || {
        let exercise = exercises::layer_norm_by_hand();
        exercise.check(|_| todo!("it\nlayer_norm_by_hand: solved"));
    });
    let report = "\nlayer_norm_by_hand: not solved yet: todo!() at line 1: it\n";
    assert!(run.stdout.ends_with(report), "{run:?}");
}

#[test]
fn a_wrong_block_fails_and_says_nothing_but_the_diagnosis() {
    let run = as_a_program("a_wrong_block_fails_and_says_nothing_but_the_diagnosis", || {
        exercises::layer_norm_by_hand().check(|x| x);
    });
    let diagnosis = "your answer returns the row as it came: for [1.0, 2.0, 3.0, 4.0], at [3]: 4.0000, expected 1.3416\n";
    assert_eq!((run.code, run.stderr.as_str()), (Some(101), diagnosis), "{run:?}");
}
