//! Turns a page of the book into what mdBook renders.
