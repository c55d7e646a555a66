//! The code blocks of a page, and their kinds.

use crate::includes;
use crate::page::{line_of, parse};
use pulldown_cmark::{CodeBlockKind, Event, Tag, TagEnd};
use std::ops::Range;

/// The attributes that a *use* block may have besides `rust`.
const USE_ATTRIBUTES: [&str; 3] = ["editable", "should_panic", "standalone_crate"];

/// The attribute that makes a block an exercise, without the exercise's name.
const EXERCISE: &str = "exercise-";

/// A code block of a page.
#[derive(Debug, Clone)]
pub struct Fence {
    /// The line of its fence, from 1.
    pub line: usize,
    /// The text after the fence; `None` for an indented block.
    pub info: Option<String>,
    /// The lines between the fences.
    pub body: String,
    /// Where the block stands in the page, in bytes.
    pub(crate) range: Range<usize>,
}

/// The code blocks of a page, in their order.
pub fn fences(text: &str) -> Vec<Fence> {
    let mut found: Vec<Fence> = Vec::new();
    let mut inside = false;
    for (event, range) in parse(text) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                inside = true;
                let info = match kind {
                    CodeBlockKind::Fenced(info) => Some(info.into_string()),
                    CodeBlockKind::Indented => None,
                };
                found.push(Fence {
                    line: line_of(text, range.start),
                    info,
                    body: String::new(),
                    range,
                });
            }
            Event::End(TagEnd::CodeBlock) => inside = false,
            Event::Text(part) if inside => {
                if let Some(fence) = found.last_mut() {
                    fence.body.push_str(&part);
                }
            }
            _ => {}
        }
    }
    found
}

fn words(info: &str) -> impl Iterator<Item = &str> {
    info.split([',', ' ', '\t']).filter(|word| !word.is_empty())
}

fn is_use(info: &str) -> bool {
    words(info).next() == Some("rust") && !words(info).any(|word| word == "ignore")
}

impl Fence {
    /// The fence itself: three backticks, or more.
    pub(crate) fn mark<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.info.as_ref()?;
        let block = &text[self.range.clone()];
        let rest = block.trim_start_matches(block.chars().next()?);
        Some(&block[..block.len() - rest.len()])
    }

    /// What is wrong with the block.
    pub(crate) fn problem(&self) -> Option<String> {
        let Some(info) = &self.info else {
            return Some("indented code block: expected a fence with a language, ```text".into());
        };
        let mut words = words(info);
        let attributes =
            |words: &mut dyn Iterator<Item = &str>| words.map(str::to_owned).collect::<Vec<_>>();
        match words.next() {
            None => Some(
                "fence without a language: expected ```rust, ```text, ```toml, …, got ```".into(),
            ),
            Some("rust") => self.rust_problem(info, &attributes(&mut words)),
            Some(language) => {
                let plain = language
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-_".contains(c));
                // rustdoc or a reader takes these for Rust: they would be a third kind.
                let rust = language.starts_with("edition")
                    || ["ignore", "no_run", "should_panic", "compile_fail", "test_harness", "rs"]
                        .contains(&language)
                    || USE_ATTRIBUTES.contains(&language);
                (!plain || rust || words.next().is_some()).then(|| {
                    format!("fence: expected ```rust and its attributes, or one language in small letters, got ```{info}")
                })
            }
        }
    }

    fn rust_problem(&self, info: &str, attributes: &[String]) -> Option<String> {
        let helpers = includes::find(&self.body);
        if attributes.iter().any(|word| word == "ignore") {
            let source = attributes.len() == 1
                && helpers.len() == 1
                && helpers[0].is_anchored_include()
                && helpers[0].text == self.body.trim();
            return (!source).then(|| {
                format!("rust,ignore shows source: expected nothing but one {{{{#include file:anchor}}}} in it, got ```{info} with {}", includes::one_line(&self.body))
            });
        }
        let known = |word: &str| USE_ATTRIBUTES.contains(&word) || exercise(word).is_some();
        if let Some(word) = attributes.iter().find(|word| !known(word)) {
            return Some(format!(
                "rust fence: expected {}, {EXERCISE}name_of_it or ignore, got {word}",
                USE_ATTRIBUTES.join(", ")
            ));
        }
        if let Some(helper) = helpers.first() {
            return Some(format!(
                "rust block that runs: expected code, got {}",
                includes::one_line(helper.text)
            ));
        }
        if let Some(name) = attributes.iter().find_map(|word| exercise(word)) {
            return self.exercise_problem(name, attributes);
        }
        (!attributes.iter().any(|word| word == "should_panic") && !asserts(&self.body))
            .then(|| "rust block proves nothing: expected an assert (hidden lines count) or should_panic, got neither".into())
    }

    /// An exercise is a crate of its own, so that a reader's error does not keep all other blocks from
    /// being compiled together. Its first and last lines are fixed: the check counts lines from the first,
    /// and it runs after the reader's own output.
    fn exercise_problem(&self, name: &str, attributes: &[String]) -> Option<String> {
        let wanted = ["editable", "standalone_crate", &format!("{EXERCISE}{name}")];
        if attributes != wanted {
            return Some(format!(
                "exercise: expected ```rust,{}, got ```rust,{}",
                wanted.join(","),
                attributes.join(",")
            ));
        }
        let first = format!("# let exercise = evenkeel::exercises::{name}();");
        let last = "# exercise.check(";
        let mut lines = self.body.lines();
        let fits = lines.next() == Some(&first)
            && lines.next_back().is_some_and(|line| line.starts_with(last));
        (!fits).then(|| {
            format!("exercise: expected `{first}` as the first line and `{last}…);` as the last, got {}", includes::one_line(&self.body))
        })
    }
}

/// The name in `exercise-name`, which is that of a function.
fn exercise(attribute: &str) -> Option<&str> {
    let name = attribute.strip_prefix(EXERCISE)?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

/// Whether a block calls an assertion: a macro or a function whose name starts with `assert`, outside a
/// comment.
fn asserts(code: &str) -> bool {
    code.lines().map(|line| line.split("//").next().unwrap_or(line)).any(|line| {
        line.match_indices("assert").any(|(at, _)| {
            let starts = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let rest = line[at..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
            starts && (rest.starts_with('!') || rest.starts_with('('))
        })
    })
}

/// The page with every Rust block marked `ignore`.
pub fn ignore_rust(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for (event, range) in parse(text) {
        if let Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) = event
            && is_use(&info)
        {
            let end = range.start + text[range.clone()].find('\n').unwrap_or(range.len());
            out.push_str(text[done..end].trim_end());
            out.push_str(",ignore");
            done = end;
        }
    }
    out.push_str(&text[done..]);
    out
}

/// The lines at which *use* blocks start: each is a test.
pub fn use_blocks(text: &str) -> Vec<usize> {
    fences(text)
        .iter()
        .filter(|fence| fence.info.as_deref().is_some_and(is_use))
        .map(|fence| fence.line)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::tests::{passes, refused};

    #[test]
    fn a_code_block_says_its_language() {
        refused("a\n\n```\ncode\n```\n", "book/src/page.md:3: fence without a language");
        refused("a\n\n    code\n", "book/src/page.md:3: indented code block");
        refused(
            "1. a\n\n   ```\n   code\n   ```\n",
            "book/src/page.md:3: fence without a language",
        );
        passes("```text\ncode\n```\n\n~~~toml\na = 1\n~~~\n");
    }

    #[test]
    fn a_use_block_runs_and_asserts() {
        passes("```rust\nassert_eq!(1, 1);\n```\n");
        passes("```rust,editable,standalone_crate\n# assert!(true);\n```\n");
        passes("```rust,should_panic\npanic!();\n```\n");
        passes("```rust\nassert_close(&a, &b);\n```\n");
        for body in
            ["let a = 1;", "// assert!(true)", "let asserted = 1;", "debug(\"no\"); reassert!(1);"]
        {
            refused(
                &format!("```rust\n{body}\n```\n"),
                "book/src/page.md:1: rust block proves nothing",
            );
        }
        refused(
            "```rust\nassert!(true);\n{{#include a.rs:a}}\n```\n",
            "book/src/page.md:1: rust block that runs",
        );
    }

    #[test]
    fn an_exercise_hands_the_block_to_its_check() {
        let exercise =
            |attributes: &str, body: &str| format!("```rust,{attributes}\n{body}\n```\n");
        let fence = "editable,standalone_crate,exercise-mean_2";
        let body = "# let exercise = evenkeel::exercises::mean_2();\nfn mean() {\n    todo!()\n}\n# exercise.check(mean);";
        passes(&exercise(fence, body));
        for body in [
            "fn mean() {}",
            "fn mean() { assert!(true); }\n# exercise.check(mean);",
            "# let exercise = evenkeel::exercises::mean();\nfn mean() {}\n# exercise.check(mean);",
            "# let exercise = evenkeel::exercises::mean_2();\nfn mean() {}",
            "# let exercise = evenkeel::exercises::mean_2();\n# exercise.check(mean);\nfn mean() {}",
        ] {
            refused(
                &exercise(fence, body),
                "book/src/page.md:1: exercise: expected `# let exercise = evenkeel::exercises::mean_2();` as the first line",
            );
        }
        for attributes in
            ["exercise-mean_2", "editable,exercise-mean_2", "should_panic,exercise-mean_2"]
        {
            refused(
                &exercise(attributes, body),
                "book/src/page.md:1: exercise: expected ```rust,editable,standalone_crate,exercise-mean_2, got ```rust,",
            );
        }
        for name in ["exercise", "exercise-", "exercise-Mean", "exercise-a-b"] {
            let attributes = format!("editable,standalone_crate,{name}");
            refused(&exercise(&attributes, body), "book/src/page.md:1: rust fence: expected");
        }
        assert_eq!(use_blocks(&exercise(fence, body)), [1]);
        assert!(ignore_rust(&exercise(fence, body)).contains("exercise-mean_2,ignore\n"));
    }

    #[test]
    fn a_source_block_is_one_include_by_anchor() {
        passes("```rust,ignore\n{{#include a.rs:a}}\n```\n");
        for body in ["{{#include a.rs}}", "fn a() {}", "{{#include a.rs:a}}\nfn b() {}", ""] {
            refused(
                &format!("```rust,ignore\n{body}\n```\n"),
                "book/src/page.md:1: rust,ignore shows source",
            );
        }
        refused(
            "```rust,ignore,editable\n{{#include a.rs:a}}\n```\n",
            "book/src/page.md:1: rust,ignore shows source",
        );
    }

    #[test]
    fn there_is_no_third_kind() {
        for info in [
            "rust,no_run",
            "rust,compile_fail",
            "rust,edition2021",
            "rust no_run",
            "rust,noplayground",
        ] {
            refused(
                &format!("```{info}\nassert!(true);\n```\n"),
                "book/src/page.md:1: rust fence: expected",
            );
        }
        for info in [
            "should_panic",
            "ignore",
            "rs",
            "Rust",
            "{.rust}",
            "edition2024",
            "text,rust",
            "text editable",
        ] {
            refused(
                &format!("```{info}\nassert!(true);\n```\n"),
                "book/src/page.md:1: fence: expected",
            );
        }
    }

    #[test]
    fn only_blocks_that_run_are_marked_to_be_ignored() {
        let text = "```rust\na\n```\n\n- ```rust,should_panic \n  b\n  ```\n\n```rust,ignore\nc\n```\n\n```text\nd\n```\n";
        let marked = ignore_rust(text);
        assert_eq!(
            marked,
            "```rust,ignore\na\n```\n\n- ```rust,should_panic,ignore\n  b\n  ```\n\n```rust,ignore\nc\n```\n\n```text\nd\n```\n"
        );
        assert_eq!(use_blocks(text), [1, 5]);
        assert!(use_blocks(&marked).is_empty());
    }
}
