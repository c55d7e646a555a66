//! The command as a stock mdBook runs it: a book as JSON on stdin, an answer as JSON on stdout.

use mdbook_preprocessor::PreprocessorContext;
use mdbook_preprocessor::book::{Book, BookItem, Chapter};
use mdbook_preprocessor::config::Config;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Hands over a book of one page, and returns the exit code, stdout as JSON, and stderr.
fn answer(page: &str, renderer: &str) -> (Option<i32>, serde_json::Value, String) {
    let root = tempfile::tempdir().unwrap();
    let book_root = root.path().join("book");
    std::fs::create_dir_all(book_root.join("src")).unwrap();
    let context = PreprocessorContext::new(book_root, Config::default(), renderer.into());
    let chapter = Chapter::new("A", page.into(), "a.md", Vec::new());
    let book = Book::new_with_items(vec![BookItem::Chapter(chapter)]);
    let mut child = command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    serde_json::to_writer(child.stdin.as_mut().unwrap(), &(context, book)).unwrap();
    child.stdin.take().unwrap().flush().unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), serde_json::from_slice(&stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_evenkeel-preprocessor"))
}

#[test]
fn it_supports_what_it_can_serve() {
    for (renderer, supported) in [("html", true), ("test", true), ("nonsense", false)] {
        assert_eq!(
            command().args(["supports", renderer]).status().unwrap().success(),
            supported,
            "{renderer}"
        );
    }
}

#[test]
fn it_answers_with_the_book() {
    let (code, answer, said) = answer("Let $x$ be.\n", "html");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let book: Book = serde_json::from_value(answer).unwrap();
    assert_eq!(book.chapters().next().unwrap().content, "Let <math><mi>x</mi></math> be.\n");
}

#[test]
fn it_answers_with_what_is_wrong_where_mdbook_expects_a_book() {
    let (code, answer, said) = answer("# A\n\n$\\nonsense$\n\n```\nx\n```\n", "html");
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("book/src/a.md:3: formula does not parse: "), "{said}");
    assert!(lines[1].starts_with("book/src/a.md:5: fence without a language: "), "{said}");
    assert_eq!(answer, serde_json::json!(lines.join("; ")));
}

#[test]
fn a_test_of_pages_without_blocks_leaves_them_alone() {
    let page = "# A\n\n$x$\n\n```rust,ignore\n{{#include a.rs:a}}\n```\n";
    let (_, refused, _) = answer(page, "test");
    assert_eq!(refused, "book/src/a.md:6: include: expected a file at a.rs, got none");
    let (_, same, _) = answer("# A\n\n$x$\n", "test");
    let book: Book = serde_json::from_value(same).unwrap();
    assert_eq!(book.chapters().next().unwrap().content, "# A\n\n$x$\n");
}
