//! A block as a source file.

use super::lines::ReaderLines;
use super::syntax::{self, Broken, Outline};
use serde_json::Value;

/// The code of a block: the lines that the page shows, between lines that it hides.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Block {
    pub before: String,
    pub code: String,
    pub after: String,
}

/// The file to compile.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    pub text: String,
    pub lines: ReaderLines,
    /// What the compiler cannot say of the block, for it does not know which lines are hidden, and the line
    /// that has the error, if there is one.
    pub note: Option<(String, Option<usize>)>,
}

impl Block {
    /// Reads `{"before": "…", "code": "…", "after": "…"}`.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| format!("body: expected JSON, got something else: {error}"))?;
        let text = |key: &str| match &body[key] {
            Value::String(text) => Ok(text.clone()),
            Value::Null if key != "code" => Ok(String::new()),
            other => Err(format!("body: expected text in \"{key}\", got {other}")),
        };
        Ok(Self { before: text("before")?, code: text("code")?, after: text("after")? })
    }

    /// The length of the code in bytes.
    pub fn len(&self) -> usize {
        self.before.len() + self.code.len() + self.after.len()
    }

    /// The file to compile. As in rustdoc, statements get a `main` around them, and may end in
    /// `Ok::<(), E>(())`.
    pub fn source(&self) -> Source {
        let Self { before, code, after } = self;
        let body = format!("{}{}{after}", with_newline(before), with_newline(code));
        let above = before.lines().count();
        let shown = above + 1..=above + code.lines().count().max(1);
        let reader = |line: usize| shown.contains(&line).then(|| line - above);
        let outline = syntax::outline(&body);
        let note = match &outline {
            // The brackets of the hidden lines match. So those of the reader's lines do not.
            Err(Broken::Bracket(..)) => {
                syntax::outline(code).err().and_then(|why| unmatched(&why, code))
            }
            Ok(outline) if outline.has_main && outline.has_statements => {
                Some((IGNORED_MAIN.into(), None))
            }
            _ => None,
        };
        let (text, lines) = match outline {
            Ok(outline) if !outline.has_main || outline.has_statements => wrap(&body, &outline),
            // A program; or code that does not compile, of which the compiler says more without a `main`.
            _ => {
                let lines = (1..=body.lines().count()).collect();
                (body, lines)
            }
        };
        let lines = ReaderLines(lines.into_iter().map(reader).collect());
        Source { text, lines, note }
    }
}

const IGNORED_MAIN: &str = "warning: `main` is not run: there are statements beside it, so the whole block \
    is put into another `main`, as in a doctest";

/// What is wrong with the brackets of the reader's lines, and in which line.
fn unmatched(why: &Broken, code: &str) -> Option<(String, Option<usize>)> {
    let Broken::Bracket(at) = *why else { return None };
    let (above, bracket) = (&code[..at], &code[at..=at]);
    let line = above.matches('\n').count() + 1;
    let column = above.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let what =
        if [")", "]", "}"].contains(&bracket) { "closes nothing" } else { "is never closed" };
    Some((format!("error: the `{bracket}` in line {line}, column {column} {what}"), Some(line)))
}

/// The block within a `main`, and for each line of that file the line of the block, or 0. What belongs
/// outside stands above `main`, in its columns, and spaces take its place in the block.
fn wrap(body: &str, outline: &Outline) -> (String, Vec<usize>) {
    let (open, close) = if outline.ends_in_result {
        (
            "fn main() { fn block() -> ::core::result::Result<(), impl ::core::fmt::Debug> {\n",
            "\n} block().unwrap() }\n",
        )
    } else {
        ("fn main() {\n", "\n}\n")
    };
    let blank =
        |text: &str| -> String { text.chars().map(|c| if c == '\n' { c } else { ' ' }).collect() };
    let (mut above, mut inside, mut end) = (String::new(), String::new(), 0);
    for part in &outline.outside {
        let (between, outside) = (&body[end..part.start], &body[part.clone()]);
        above += &(blank(between) + outside);
        inside += &(between.to_owned() + &blank(outside));
        end = part.end;
    }
    above = with_newline(&above);
    let mut lines: Vec<usize> = (1..=above.lines().count()).collect();
    lines.push(0);
    lines.extend(1..=body.lines().count());
    (format!("{above}{open}{inside}{}{close}", &body[end..]), lines)
}

/// The text with a newline at its end, unless it is empty.
fn with_newline(text: &str) -> String {
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{newline}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(before: &str, code: &str, after: &str) -> Block {
        Block { before: before.into(), code: code.into(), after: after.into() }
    }

    fn numbers(source: &Source) -> Vec<usize> {
        source.lines.0.iter().map(|line| line.unwrap_or(0)).collect()
    }

    #[test]
    fn statements_get_a_main_and_programs_keep_theirs() {
        let source = block("use a::b;\nuse c::d;\n", "b();\nd();", "check();\n").source();
        assert_eq!(source.text, "fn main() {\nuse a::b;\nuse c::d;\nb();\nd();\ncheck();\n\n}\n");
        assert_eq!(numbers(&source), [0, 0, 0, 1, 2, 0]);
        assert_eq!(source.note, None);

        let source = block("fn main() {\n", "let a = 1;\n", "}\n").source();
        assert_eq!(source.text, "fn main() {\nlet a = 1;\n}\n");
        assert_eq!(numbers(&source), [0, 1, 0]);

        let source = block("let e = 1;\n", "fn main() {}\n", "").source();
        assert!(source.text.starts_with("fn main() {\nlet e"), "{}", source.text);
        assert_eq!(source.note, Some((IGNORED_MAIN.into(), None)));

        let source = block("", "Ok::<(), u8>(()) // the end", "").source();
        assert!(source.text.starts_with("fn main() { fn block() -> ::core::result::Result<()"));
        assert_eq!(numbers(&source), [0, 1]);
    }

    #[test]
    fn what_belongs_outside_keeps_its_line_and_column() {
        let code = "let é = 1; extern crate core\n    as c;\nlet b = 2;";
        let source = block("#![allow(x)]\n", code, "").source();
        assert_eq!(
            source.text,
            "#![allow(x)]\n           extern crate core\n    as c;\nfn main() {\n            \n\
             let é = 1;                  \n         \nlet b = 2;\n\n}\n"
        );
        assert_eq!(numbers(&source), [0, 1, 2, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn no_code_makes_a_source_much_longer() {
        for part in ["#![a]", "extern crate a; ", "a!{}", "let ", "\n", "fn main() {}"] {
            let code = part.repeat((100 << 10) / part.len());
            let length = block("", &code, "").source().text.len();
            assert!(length < 2 * code.len() + 200, "{part}: {length}");
        }
    }

    #[test]
    fn brackets_that_do_not_match_are_named() {
        for (before, code, after, expected) in [
            (
                "",
                "fn f() {\n    é(1;\n}",
                "f();",
                "error: the `(` in line 2, column 6 is never closed",
            ),
            (
                "fn main() {\n",
                "if a {\n",
                "}\n",
                "error: the `{` in line 1, column 6 is never closed",
            ),
            (
                "fn main() {\n",
                "a();\n}\n",
                "}\n",
                "error: the `}` in line 2, column 1 closes nothing",
            ),
        ] {
            let source = block(before, code, after).source();
            assert!(source.note.is_some_and(|(text, line)| text == expected && line.is_some()));
            assert!(!source.text.contains("\n\n}"), "{}", source.text);
        }
        // The hidden lines may close what the reader's lines open.
        assert_eq!(block("", "if a {\n", "}\n").source().note, None);
    }

    #[test]
    fn a_body_is_text_in_json() {
        assert_eq!(Block::parse(br#"{"code": "a", "after": "b"}"#), Ok(block("", "a", "b")));
        for (body, expected) in [
            (&b"code"[..], "body: expected JSON"),
            (b"{}", "body: expected text in \"code\", got null"),
            (br#"{"code": 1}"#, "body: expected text in \"code\", got 1"),
            (br#"{"code": "", "before": []}"#, "body: expected text in \"before\", got []"),
            (b"{\"code\": \"\xff\"}", "body: expected JSON"),
        ] {
            let refused = Block::parse(body).unwrap_err();
            assert!(refused.starts_with(expected), "{refused}");
        }
    }
}
