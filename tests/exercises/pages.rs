//! Every mistake that a check knows is tried. What the pages hold of each exercise, `cargo book check` checks.

use std::collections::BTreeSet;

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
