//! The finding of the figure of `book/src/@stem@.md`, measured now and with a margin.

// An example is a program, and the modules of a program stand below it: only a path leads from here to there.
#[path = "../examples/@stem@.rs"]
mod example;

// TODO: what the figure of this page found.
#[test]
fn every_row_leaves_with_the_same_standard_deviation() {
    for row in (example::FIGURE.measure)() {
        assert!((row.after - 1.0).abs() < 0.01, "expected about 1, got {}", row.after);
    }
}
