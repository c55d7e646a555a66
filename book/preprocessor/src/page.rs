//! One page: its formulas become MathML, its includes their text, its code blocks are checked.

use crate::includes::{self, Place};
use crate::{Problem, formulas};
use pulldown_cmark::{Event, Options, Parser, Tag};
use std::ops::Range;
use std::path::Path;

pub use crate::fences::{Fence, fences, ignore_rust, use_blocks};

/// What takes the place of which bytes.
pub(crate) type Edit = (Range<usize>, String);

/// Checks the text of a page and turns its formulas into MathML. The page is in the folder `dir` and is
/// called `label` in messages. A broken rule adds to `problems`:
///
/// * every code block is fenced and names its language;
/// * Rust blocks are of two kinds: *use* (`rust`, with `editable`, `standalone_crate` or `should_panic`),
///   which runs and asserts, and *source* (`rust,ignore`), which holds one include by anchor and nothing
///   else;
/// * an exercise (`rust,editable,standalone_crate,exercise-NAME`) is a *use* block that asserts nothing:
///   its first and its last line are hidden and pass it to the exercise of that name;
/// * `{{#include}}` stands on a line of its own and names a file that exists, and an anchor, if any, that
///   exists; outside a code block it names a picture. The text of the file takes its place, without the
///   indentation of all lines. The only other helper is `{{#title}}`;
/// * a line of dashes and bars makes a table;
/// * every formula parses, and every dollar belongs to a formula. What touches a formula stays on its line.
pub fn transform(text: &str, label: &str, dir: &Path, problems: &mut Vec<Problem>) -> String {
    let mut report =
        |line: usize, what: String| problems.push(Problem { file: label.into(), line, what });
    let blocks = fences(text);
    for block in &blocks {
        if let Some(what) = block.problem() {
            report(block.line, what);
        }
    }
    for line in lost_tables(text) {
        report(line, "heads no table: expected as many cells as the line of dashes below has (a | in a formula ends a cell: \\lvert … \\rvert, \\mid)".into());
    }
    let mut edits = includes(text, dir, &blocks, &mut report);
    edits.extend(formulas::edits(text, &mut report));
    edited(text, edits)
}

/// The lines above those that look like the dashes of a table and make none: Markdown shows both as text.
fn lost_tables(text: &str) -> Vec<usize> {
    let mut inside = Vec::new();
    for (event, range) in parse(text) {
        if let Event::Start(Tag::Table(_) | Tag::CodeBlock(_) | Tag::HtmlBlock) = event {
            inside.push(range);
        }
    }
    let mut found = Vec::new();
    let mut at = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let row = line.trim_start_matches(['>', ' ', '\t']).trim_end();
        let dashes = row.contains('|') && row.contains('-');
        if dashes
            && row.chars().all(|c| "|:- \t".contains(c))
            && !inside.iter().any(|range| range.contains(&at))
        {
            found.push(i.max(1));
        }
        at += line.len();
    }
    found
}

/// The text of each included file, in the place of its helper.
fn includes(
    text: &str,
    dir: &Path,
    blocks: &[Fence],
    report: &mut impl FnMut(usize, String),
) -> Vec<Edit> {
    let mut edits = Vec::new();
    for helper in includes::find(text) {
        let range = helper.start..helper.start + helper.text.len();
        let line = text[..range.start].rfind('\n').map_or(0, |i| i + 1);
        let end = text[range.end..].find('\n').map_or(text.len(), |i| range.end + i);
        let block = blocks.iter().find(|block| block.range.contains(&range.start));
        let place = Place {
            dir,
            fence: block.and_then(|block| block.mark(text)),
            before: &text[line..range.start],
            after: &text[range.end..end],
        };
        match helper.text_in(&place) {
            Ok(Some(included)) => edits.push((range, included)),
            Ok(None) => {}
            Err(what) => report(line_of(text, range.start), what),
        }
    }
    edits
}

/// The text with its edits. Of those at one place the first in the list comes first.
fn edited(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    edits.dedup();
    let mut out = String::with_capacity(text.len() * 2);
    let mut done = 0;
    for (range, new) in edits {
        out.push_str(&text[done..range.start]);
        out.push_str(&new);
        done = range.end;
    }
    out.push_str(&text[done..]);
    out
}

/// The line of a byte, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Parses as mdBook does, and formulas too.
pub(crate) fn parse(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_SMART_PUNCTUATION
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_GFM
        | Options::ENABLE_MATH;
    Parser::new_ext(text, options).into_offset_iter()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::math::{self, Style};
    use pulldown_cmark::TagEnd;

    fn run(text: &str) -> (String, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.rs"), "// ANCHOR: a\nfn a() {}\n// ANCHOR_END: a\n")
            .unwrap();
        let mut problems = Vec::new();
        let out = transform(text, "book/src/page.md", dir.path(), &mut problems);
        (out, problems.iter().map(ToString::to_string).collect())
    }

    pub(crate) fn passes(text: &str) -> String {
        let (out, problems) = run(text);
        assert!(problems.is_empty(), "{text}\n{problems:?}");
        out
    }

    pub(crate) fn refused(text: &str, expected: &str) {
        let (_, problems) = run(text);
        assert_eq!(problems.len(), 1, "{text}\n{problems:?}");
        assert!(problems[0].starts_with(expected), "{problems:?} does not start with {expected}");
        assert!(!problems[0].contains('\n'));
    }

    #[test]
    fn formulas_become_mathml_and_the_rest_stays() {
        let out = passes(
            "Let $x$ be *it*:\n\n$$\ny = x\n$$\n\nand `$code$`, \\$5.\n\n```text\n$z$\n```\n",
        );
        assert!(
            out.starts_with(
                "Let <math><mi>x</mi></math> be *it*:\n\n<span class=\"math-display\">"
            ),
            "{out}"
        );
        assert!(
            out.ends_with("</math></span>\n\nand `$code$`, \\$5.\n\n```text\n$z$\n```\n"),
            "{out}"
        );
    }

    /// The output of mdBook's Markdown pass for a page.
    fn html(text: &str) -> String {
        let out = passes(text);
        let options =
            Options::ENABLE_TABLES | Options::ENABLE_SMART_PUNCTUATION | Options::ENABLE_GFM;
        Parser::new_ext(&out, options)
            .map(|event| match event {
                Event::Html(html) | Event::InlineHtml(html) => html.into_string(),
                Event::Text(text) => text.into_string(),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn markdown_leaves_the_formula_alone() {
        for tex in [
            r"a*b*c",
            r"a_{1} b_{2}",
            r"[a](b)",
            r"`a`",
            r"x' + \text{it's ``so''}",
            r"a < b > c",
            r"f^* g^*",
        ] {
            let direct = math::render(tex, Style::Inline).unwrap();
            let read: String = Parser::new_ext(&direct, Options::all())
                .map(|event| match event {
                    Event::InlineHtml(part) | Event::Text(part) => part.into_string(),
                    Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => String::new(),
                    other => panic!("{tex}: Markdown saw {other:?}"),
                })
                .collect();
            assert!(read.starts_with("<math>") && read.ends_with("</math>"), "{tex}: {read}");
        }
    }

    #[test]
    fn formulas_stand_in_tables_lists_quotes_and_headings() {
        let table = html("| a | b |\n| - | - |\n| $x_1$ | $\\lvert y \\rvert$ |\n");
        assert_eq!(table.matches("</math>").count(), 2, "{table}");
        let quote = html("> The mean:\n>\n> $$\n> \\mu = x\n> $$\n");
        assert!(quote.contains("display=\"block\"") && !quote.contains("&gt;"), "{quote}");
        assert!(html("# The $\\epsilon$ inside\n").contains("<math>"));
        assert!(html("- one $a$\n- two $b$\n").matches("<math>").count() == 2);
        assert!(html("<figcaption>\n\nThe loss $L$.\n\n</figcaption>\n").contains("<math>"));
    }

    #[test]
    fn a_formula_that_does_not_parse_names_its_line() {
        refused("a\n\nb $\\nonsense$\n", "book/src/page.md:3: formula does not parse: ");
        refused("$$\na\n= \\frac{1}\n$$\n", "book/src/page.md:3: formula does not parse: ");
        refused("costs $ 5\n", "book/src/page.md:1: $ that opens or closes no formula");
        // Markdown takes the plus sign for a list, so this is no formula; both its ends are named.
        let (_, problems) = run("$$\na\n+ b\n$$\n");
        assert!(
            problems[0].starts_with("book/src/page.md:1: $") && problems.len() == 4,
            "{problems:?}"
        );
        refused("a\n\n<figcaption>$x$</figcaption>\n", "book/src/page.md:3: $ in an HTML block");
        refused("![$x$](a.png)\n", "book/src/page.md:1: formula in a picture's text");
    }

    #[test]
    fn an_include_that_is_missing_names_its_line() {
        refused(
            "a\n\n{{#include b.svg}}\n",
            "book/src/page.md:3: include: expected a file at b.svg",
        );
        refused(
            "```rust,ignore\n{{#include a.rs:b}}\n```\n",
            "book/src/page.md:2: include of a.rs: expected a line",
        );
    }
}
