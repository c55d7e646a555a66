//! Every mistake that a check knows is tried. What the pages hold of each exercise, `cargo book check` checks.

use std::collections::BTreeSet;
use std::process::Command;

use crate::common::read;

/// The exercises that `src/exercises/mod.rs` offers.
fn names() -> BTreeSet<String> {
    let source = read("src/exercises/mod.rs");
    let offers = source.lines().filter_map(|line| line.strip_prefix("pub use ")?.strip_suffix(';'));
    offers.map(|offer| offer.split("::").last().unwrap().to_owned()).collect()
}

#[test]
fn each_mistake_that_a_check_knows_is_tried() {
    for name in names() {
        let source = read(format!("src/exercises/{name}.rs"));
        let tried = read(format!("tests/exercises/{name}.rs"));
        let lists =
            source.split("mistakes: &[").skip(1).filter_map(|rest| rest.split("    ],\n").next());
        let mut mistakes = lists.flat_map(|list| list.split('"').skip(1).step_by(2)).peekable();
        assert!(mistakes.peek().is_some(), "{name}: its check knows no mistake");
        for mistake in mistakes {
            let opening: String = mistake.chars().take(24).collect();
            assert!(tried.contains(&opening), "tests/exercises/{name}.rs does not try: {mistake}");
        }
    }
}

/// `cargo exercise` writes to the terminal, so `script` gives it one.
#[test]
#[cfg(target_os = "linux")]
fn one_exercise_says_in_a_terminal_whether_it_is_solved() {
    let page = read("book/src/layer_norm.md");
    let fence = page.lines().position(|line| line.ends_with("exercise-layer_norm_by_hand"));
    let command = format!("cargo exercise {}", fence.unwrap() + 1);
    let root = env!("CARGO_MANIFEST_DIR");
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &command, "/dev/null"]).current_dir(root);
    let output = terminal.env_remove("RUSTDOCFLAGS").output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let state = "\nlayer_norm_by_hand: not solved yet: todo!() at line 2\r\n";
    assert!(output.contains(state) && output.contains("1 passed"), "{output}");
    assert!(read("book/src/exercises.md").contains("$ cargo exercise "));
}
