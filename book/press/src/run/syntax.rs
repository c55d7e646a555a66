//! The top level of a block, read as rustdoc reads it: whether the block is a program with a `main` of its
//! own, or statements that need a `main` around them. The lexer is the compiler's. A parser of whole
//! expressions would recurse as deep as the reader's code nests, and so could end the press.

use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, strip_shebang, tokenize};
use std::ops::Range;

/// What decides how a block becomes a program.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Whether a `main` stands at the top level.
    pub has_main: bool,
    /// Whether there are statements at the top level that are no items.
    pub has_statements: bool,
    /// Whether the last of them is `Ok::<(), E>(())` or alike.
    pub ends_in_result: bool,
    /// `#![…]` and `extern crate …;`, which belong outside of a `main`.
    pub outside: Vec<Range<usize>>,
}

/// Code that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    /// There is a bracket without its counterpart at this byte.
    Bracket(usize),
    /// A string or a comment without an end, or `#!/usr/bin/…`.
    Other,
}

/// A token that is no space and no comment.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    start: usize,
    /// How many brackets are open around the token.
    depth: usize,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

enum Statement {
    Main,
    ExternCrate,
    Item,
    Other,
}

/// Reads a block. rustdoc's rule (1.95, `src/librustdoc/doctest/make.rs`): a block is a program if it has a
/// `main` and nothing but items at its top level. A macro's call there counts as an item, and as `main` if
/// its input holds `fn main(`.
pub fn outline(code: &str) -> Result<Outline, Broken> {
    let tokens = tokens(code)?;
    let top: Vec<Token> = tokens.iter().filter(|token| token.depth == 0).copied().collect();
    let mut found = Outline::default();
    let mut rest = &top[..];
    while let ["#", "!", "[", "]"] = *texts(rest, 4) {
        found.outside.push(rest[0].start..rest[3].end());
        rest = &rest[4..];
    }
    while !rest.is_empty() {
        let (statement, length) = statement(rest, &tokens);
        let range = rest[0].start..rest[length - 1].end();
        match statement {
            Statement::Main => found.has_main = true,
            Statement::ExternCrate => found.outside.push(range.clone()),
            Statement::Item => {}
            Statement::Other => found.has_statements = true,
        }
        found.ends_in_result = code[range].ends_with("(())");
        rest = &rest[length..];
    }
    Ok(found)
}

fn texts<'a>(tokens: &[Token<'a>], count: usize) -> Vec<&'a str> {
    tokens.iter().take(count).map(|token| token.text).collect()
}

fn tokens(code: &str) -> Result<Vec<Token<'_>>, Broken> {
    if strip_shebang(code).is_some() {
        return Err(Broken::Other);
    }
    let (mut found, mut open, mut end) = (Vec::new(), Vec::new(), 0);
    for token in tokenize(code, FrontmatterAllowed::No) {
        let start = end;
        end += token.len as usize;
        let text = &code[start..end];
        let mut depth = open.len();
        match token.kind {
            TokenKind::BlockComment { terminated: false, .. } => return Err(Broken::Other),
            TokenKind::Literal { kind, .. } if is_endless(kind) => return Err(Broken::Other),
            TokenKind::Whitespace
            | TokenKind::LineComment { .. }
            | TokenKind::BlockComment { .. } => continue,
            TokenKind::OpenBrace | TokenKind::OpenParen | TokenKind::OpenBracket => {
                open.push(start);
            }
            TokenKind::CloseBrace | TokenKind::CloseParen | TokenKind::CloseBracket => {
                let opened = open.pop().ok_or(Broken::Bracket(start))?;
                if !matches!((&code[opened..=opened], text), ("{", "}") | ("(", ")") | ("[", "]")) {
                    return Err(Broken::Bracket(opened));
                }
                depth = open.len();
            }
            _ => {}
        }
        found.push(Token { text, start, depth });
    }
    match open.pop() {
        Some(opened) => Err(Broken::Bracket(opened)),
        None => Ok(found),
    }
}

fn is_endless(literal: LiteralKind) -> bool {
    use LiteralKind as Kind;
    matches!(
        literal,
        Kind::Str { terminated: false }
            | Kind::ByteStr { terminated: false }
            | Kind::CStr { terminated: false }
            | Kind::RawStr { n_hashes: None }
            | Kind::RawByteStr { n_hashes: None }
            | Kind::RawCStr { n_hashes: None }
    )
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The first statement of `rest`, which is not empty, and the number of its tokens at the top level.
fn statement(rest: &[Token], all: &[Token]) -> (Statement, usize) {
    let text = |i: usize| rest.get(i).map_or("", |token| token.text);
    // A length: up to the first token from `i` on that is the last one.
    let up_to = |i: usize, is_last: &dyn Fn(usize) -> bool| {
        (i..rest.len()).find(|&i| is_last(i)).map_or(rest.len(), |last| last + 1)
    };
    let semicolon = |i: usize| text(i) == ";";
    // In `fn f() -> A<{ 1 }> {}` the first braces are no body.
    let body = |i: usize| semicolon(i) || text(i) == "}" && ![">", ","].contains(&text(i + 1));

    let mut i = 0;
    while (text(i), text(i + 1)) == ("#", "[") {
        i += 3;
    }
    if text(i) == "pub" {
        i += if text(i + 1) == "(" { 3 } else { 1 };
    }
    let mut before = "";
    while ["const", "async", "unsafe", "safe", "extern"].contains(&text(i))
        || before == "extern" && text(i).contains('"')
    {
        before = if text(i).contains('"') { "extern" } else { text(i) };
        i += 1;
    }
    match text(i) {
        "fn" if text(i + 1).trim_start_matches("r#") == "main" => {
            (Statement::Main, up_to(i, &body))
        }
        "fn" | "struct" | "enum" | "trait" | "impl" | "mod" => (Statement::Item, up_to(i, &body)),
        "union" if is_name(text(i + 1)) => (Statement::Item, up_to(i, &body)),
        "macro_rules" if text(i + 1) == "!" && is_name(text(i + 2)) => {
            (Statement::Item, up_to(i, &body))
        }
        "{" if before == "extern" => (Statement::Item, up_to(i, &body)),
        "crate" if before == "extern" => (Statement::ExternCrate, up_to(i, &semicolon)),
        "use" | "static" | "type" => (Statement::Item, up_to(i, &semicolon)),
        name if before == "const" && is_name(name) => (Statement::Item, up_to(i, &semicolon)),
        _ => {
            let bang = (i..).find(|&i| !is_name(text(i)) && text(i) != ":").unwrap_or(i);
            let is_call = bang > i && text(bang) == "!" && !["return", "break"].contains(&text(i));
            let input = bang + 1;
            let length = match (text(input), text(input + 2)) {
                ("{", "." | "?") => None,
                ("{", _) => Some(input + 2),
                ("(" | "[", ";") => Some(input + 3),
                _ => None,
            };
            match length.filter(|_| is_call) {
                Some(length) => {
                    let (start, end) = (rest[input].end(), rest[input + 1].start);
                    let first = all.partition_point(|token| token.start < start);
                    let inside: Vec<&str> = all[first..]
                        .iter()
                        .take_while(|token| token.start < end)
                        .filter(|token| token.depth == 1)
                        .map(|token| token.text)
                        .collect();
                    let is_main = inside.windows(3).any(|words| words == ["fn", "main", "("]);
                    (if is_main { Statement::Main } else { Statement::Item }, length)
                }
                None => (Statement::Other, up_to(i, &|i| semicolon(i) || text(i) == "}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What rustdoc makes of each is in tests/as_rustdoc.rs: here only what no program shows.
    #[test]
    fn what_cannot_be_read_says_which_bracket() {
        for (code, expected) in [
            ("fn f() {\n    (1)\n", Broken::Bracket(7)),
            ("a(b[1);", Broken::Bracket(3)),
            ("a();\n}", Broken::Bracket(5)),
            ("let a = \"{;", Broken::Other),
            ("/* { ", Broken::Other),
            ("let a = r#\"{\";", Broken::Other),
            ("#!/bin/run\nfn main() {}", Broken::Other),
        ] {
            assert_eq!(outline(code), Err(expected), "{code}");
        }
        assert!(outline("let a = ['{', '\\'']; // }\nlet b = \"}\"; /* ( */").is_ok());
    }

    #[test]
    fn no_depth_is_too_much() {
        for code in ["(", "!", "&", "|| ", "- "] {
            let _ = outline(&code.repeat(100 << 10));
        }
        let deep = "(".repeat(50 << 10) + &")".repeat(50 << 10);
        assert!(outline(&deep).is_ok_and(|found| found.has_statements));
    }

    #[test]
    fn what_belongs_outside_is_found() {
        let code = "#![allow(unused)] // a\n#![no_std]\nlet a = 1;\n#[macro_use]\nextern crate b;";
        let outside = outline(code).unwrap().outside;
        let outside: Vec<&str> = outside.into_iter().map(|part| &code[part]).collect();
        assert_eq!(outside, ["#![allow(unused)]", "#![no_std]", "#[macro_use]\nextern crate b;"]);
    }
}
