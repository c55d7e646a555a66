//! What a writer may type, and what becomes of it: right on the page, or refused with the page and the line.

use evenkeel_preprocessor::page::transform;
use std::fs;

/// The page that the text becomes, and what is wrong with the text.
fn run(text: &str) -> (String, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("method.rs", METHOD);
    write("nested.rs", "// ANCHOR: a\n// {{#include b.rs}}\n// ANCHOR_END: a\n");
    write("fence.rs", "// ANCHOR: a\n```\n// ANCHOR_END: a\n");
    write("a.svg", "<svg>\n<text>$5</text>\n</svg>\n");
    write("words.md", "Words and $x$.\n\n```\nno language\n```\n");
    let mut problems = Vec::new();
    let out = transform(text, "book/src/page.md", dir.path(), &mut problems);
    (out, problems.iter().map(ToString::to_string).collect())
}

const METHOD: &str = "impl Layer {
    // ANCHOR: forward
    /// What it does.
    fn forward(&self) {
        // ANCHOR: inner
        self.step();
        // ANCHOR_END: inner

        self.step();
    }
    // ANCHOR_END: forward
}
";

#[track_caller]
fn page(text: &str) -> String {
    let (out, problems) = run(text);
    assert!(problems.is_empty(), "{text}\n{problems:#?}");
    out
}

#[track_caller]
fn refused(text: &str, place: usize, part: &str) {
    let (_, problems) = run(text);
    let lines: Vec<_> = problems.iter().filter(|line| line.contains(part)).collect();
    assert!(
        lines.len() == 1 && problems.len() == 1,
        "{text}\nexpected once: {part}\ngot {problems:#?}"
    );
    assert!(lines[0].starts_with(&format!("book/src/page.md:{place}: ")), "{lines:?}");
}

/// The page's text as a reader gets it, by mdBook's own parser: tags left out.
fn read(text: &str) -> String {
    use pulldown_cmark::{Event, Options, Parser};
    let out = page(text);
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_SMART_PUNCTUATION
        | Options::ENABLE_GFM;
    Parser::new_ext(&out, options)
        .map(|event| match event {
            Event::Text(text) => text.into_string(),
            Event::SoftBreak => "\n".into(),
            _ => String::new(),
        })
        .collect()
}

#[test]
fn what_touches_a_formula_stays_on_its_line() {
    let bound = |text: &str| {
        let out = page(text);
        let (_, rest) = out.split_once(r#"<span class="math-inline">"#).unwrap_or(("", ""));
        // The end of the span that holds the formulas: they have none inside.
        let inside = rest.split_once("</span>").unwrap_or_default().0;
        let mut words = String::new();
        for part in inside.split('<') {
            words.push_str(part.split_once('>').map_or(part, |(_, text)| text));
        }
        words
    };
    assert_eq!(bound("is $x$.\n"), "x&#46;");
    assert_eq!(bound("is ($x$), so\n"), "&#40;x&#41;");
    assert_eq!(bound("the $n$th\n"), "nt");
    assert_eq!(bound("the $x$-axis\n"), "x&#45;");
    assert_eq!(bound("non-$x$\n"), "&#45;x");
    assert_eq!(bound("is \"$x$\"\n"), "“x”");
    assert_eq!(bound("of $z$'s\n"), "z’");
    assert_eq!(bound("and $x$... so\n"), "x…");
    assert_eq!(bound("10&nbsp;$x$\n"), "\u{a0}x");
    assert_eq!(bound("a $x$&amp; b\n"), "x&#38;");
    assert_eq!(bound("$x$--$y$, so\n"), "x–y&#44;");
    assert_eq!(bound("so **$x$**.\n"), "**x**&#46;");
    assert_eq!(bound("so ([$x$](a.md)),\n"), "&#40;[x](a.md)&#41;");
    assert_eq!(bound("- a\n\n  > b $x$;\r\n"), "x&#59;");
    // Alone it needs nothing.
    for text in ["so $x$ is\n", "$x$\n", "so\n$x$\nis\n", "| a |\n| - |\n| $x$ |\n"] {
        assert_eq!(bound(text), "", "{text}");
    }
}

#[test]
fn quotes_stay_right_beside_formulas() {
    assert_eq!(
        read("\"$x$ is\" and \"so $y$\", it's '$z$' of $w$'s and $v$'s 'end'\n"),
        "“x is” and “so y”, it’s ‘z’ of w’s and v’s ‘end’"
    );
    assert_eq!(read("*$x$*, **a** *b $y$*! ~~$z$~~? $n$t*h*\n"), "x, a b y! z? nth");
    assert_eq!(read("a [$x$] and $y$_b $z$*c\n"), "a [x] and y_b z*c");
}

#[test]
fn the_bars_of_a_norm_in_a_table_are_told_apart() {
    let table = |cell: &str| format!("| a | b |\n| - | - |\n| c | {cell} |\n");
    refused(&table(r"$\|x\|$"), 3, r"\lVert");
    refused(&table(r"is $p(x \| y)$"), 3, r"\mid");
    refused(&table("$|x|$"), 3, "| between the dollars ends the cell");
    refused(&table("$p(x|y)$"), 3, "| between the dollars ends the cell");
    refused("a\n\n| $|x|$ | b |\n| - | - |\n| c | d |\n", 3, "heads no table");
    refused("- a\n\n  > | a\n  > | - | -\n", 3, "heads no table");
    page("```text\n| - | - |\n```\n\n> - | a |\n>   | - |\n>   | b |\n\na - | b\n");
    refused(&table("costs $ 5"), 3, "opens or closes no formula");
    let right = page(&table(r"$\lVert x \rVert$ and $\lvert x \rvert$ and $x \mid y$"));
    assert!(right.contains("‖") && right.contains("&#124;") | right.contains("∣"), "{right}");
    // Elsewhere both are what TeX makes of them.
    let both = page("$\\|x\\|$ and $|x|$\n");
    assert_eq!((both.matches("‖").count(), both.matches("&#124;").count()), (2, 2), "{both}");
}

#[test]
fn prices_are_no_formulas() {
    for text in [
        "costs $5, or 6$ a piece",
        "US$5 to 10$.",
        "from $5/month to 6$",
        "$5 (or 6$)",
        "$.50 or 1$",
        "between -$5 and 6$",
    ] {
        refused(&format!("a\n\n{text}\n"), 3, "\\$ for a dollar");
    }
    for text in ["$5-$6 x", "$5/$10", "($5)-($6)"] {
        let (_, problems) = run(text);
        assert!(!problems.is_empty() && problems[0].contains("\\$ for a dollar"), "{problems:?}");
    }
    assert_eq!(read("costs \\$5, or 6\\$, or &#36;7\n"), "costs $5, or 6$, or $7");
    for formula in ["5", "5, 6", "5 \\text{ or } 6", "2 dx dy", "2ab", "4 a c", "0 < x", "10^{-5}"]
    {
        page(&format!("is ${formula}$ so\n"));
    }
}

#[test]
fn dollars_and_brackets_that_make_no_formula_are_refused() {
    refused(r"a \\$ 5", 1, "opens or closes no formula");
    refused("a\n\nis \\(x\\) so\n", 3, "expected $…$");
    refused("a\n\n\\[\nx\n\\]\n", 3, "expected $$");
    assert_eq!(read("a \\[b\\] c\n"), "a [b] c");
    let (_, problems) = run("$$\na\n\nb\n$$\n");
    assert!(problems.len() == 4 && problems[0].contains("blank line"), "{problems:#?}");
    refused("<p title=\"$5\">a</p>\n", 1, "&#36;");
    page("[a](b$c.md \"for $5\") and `$5` and ``$x`$``\n");
}

#[test]
fn a_full_stop_stands_inside_a_display_formula() {
    refused("a\n\n$$\nx\n$$.\n", 5, "after a display formula");
    refused("so $$x$$, which\n", 1, "after a display formula");
    page("so $$x$$ which\n\n- a\n\n  $$\n  x.\n  $$\n\n> $$\n> x,\n> $$\n");
}

#[test]
fn formulas_stand_anywhere_in_the_text() {
    for text in [
        "# The $x$, inside\n",
        "[the $x$](a.md)\n",
        "a[^1]\n\n[^1]: so $x$\n",
        "1. a\n   - b\n     - c $x$\n",
        "a\t$x$\tb\n",
        "a $\\frac{1}\r\n{x}$\r\n",
        "élan $x$ ici\n",
        "$x$ +\n$x$ -\n",
        "a\\\\ $x$\n",
        "a <b>$x$</b>\n",
        "Term\n: is $x$\n",
    ] {
        assert!(page(text).contains("<mi>x</mi>"), "{text}");
    }
    let listed = page("- a\n\n  - b\n\n    $$\n    \\sqrt{\n    x}\n    $$\n");
    assert!(
        listed.contains(r#"    <span class="math-display"><math display="block">"#),
        "{listed}"
    );
}

#[test]
fn words_are_not_included_unchecked() {
    for text in
        ["{{#include words.md}}", "a {{#include method.rs:inner}} b", "- {{#include words.md}}"]
    {
        refused(&format!("a\n\n{text}\n"), 3, "outside a code block: expected a picture (.svg)");
    }
    let shown = page(
        "~~~markdown\n{{#include words.md}}\n~~~\n\n<figure>\n{{#include a.svg}}\n</figure>\n",
    );
    assert!(shown.contains("<figure>\n<svg>\n<text>$5</text>\n</svg>\n</figure>"), "{shown}");
    // Its own fence would end the block.
    refused("```markdown\n{{#include words.md}}\n```\n", 2, "longer fence");
    assert!(
        page("````markdown\n{{#include words.md}}\n````\n").contains("```\nno language\n```\n````")
    );
}

#[test]
fn included_code_stands_at_the_margin() {
    assert_eq!(
        page("a\n\n```rust,ignore\n{{#include method.rs:forward}}\n```\n"),
        "a\n\n```rust,ignore\n/// What it does.\nfn forward(&self) {\n    self.step();\n\n    self.step();\n}\n```\n"
    );
    assert_eq!(
        page("```rust,ignore\n{{#include method.rs:inner}}\n```\n"),
        "```rust,ignore\nself.step();\n```\n"
    );
    // A whole file is at the margin already.
    assert_eq!(page("```text\n{{#include method.rs}}\n```\n"), format!("```text\n{METHOD}```\n"));
}

#[test]
fn included_code_stays_in_its_quote_or_item() {
    assert_eq!(
        page("> a\n>\n> ```rust,ignore\n> {{#include method.rs:forward}}\n> ```\n"),
        "> a\n>\n> ```rust,ignore\n> /// What it does.\n> fn forward(&self) {\n>     self.step();\n> \n>     self.step();\n> }\n> ```\n"
    );
    assert_eq!(
        page("1. a\n\n   ```rust,ignore\r\n   {{#include method.rs:inner}}\r\n   ```\n"),
        "1. a\n\n   ```rust,ignore\r\n   self.step();\r\n   ```\n"
    );
    assert_eq!(
        page("- a\n\n  {{#include a.svg}}\n"),
        "- a\n\n  <svg>\n  <text>$5</text>\n  </svg>\n"
    );
    refused("```text\na = {{#include method.rs:inner}}\n```\n", 2, "a line of its own");
}

#[test]
fn what_would_spoil_the_page_is_not_included() {
    refused("```rust,ignore\n{{#include nested.rs:a}}\n```\n", 2, "no helper in it");
    refused("```rust,ignore\n{{#include fence.rs:a}}\n```\n", 2, "longer fence");
}
