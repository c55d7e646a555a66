//! The finding of the figure of `book/src/@stem@.md`, measured now and with a margin.
#![allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "the figure's program brings a copy of what all of them share, and uses a part of it"
)]

#[path = "../examples/@stem@.rs"]
mod example;

// TODO: what the figure of this page found.
#[test]
fn every_row_leaves_with_the_same_standard_deviation() {
    for row in example::measure() {
        assert!((row.after - 1.0).abs() < 0.01, "expected about 1, got {}", row.after);
    }
}
