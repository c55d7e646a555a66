//! Formulas as a reader sees them.

use super::{FONT_LOADED, Page, Reader, pages};
use crate::common::Book;

/// A small book in the book's own clothes, with this page.
fn page(text: &str) -> Reader {
    let (book, own) = (Book::new(), Book::own());
    for name in ["book.toml", "theme/evenkeel.css", "theme/access.js", "theme/search.js"] {
        book.write(name, &own.read(name));
    }
    let font = "theme/fonts/stix-two-math.woff2";
    std::fs::create_dir_all(book.path("theme/fonts")).unwrap();
    std::fs::copy(own.path(font), book.path(font)).unwrap();
    book.write("src/a.md", text);
    let reader = Reader::of(book);
    reader.open("a.html");
    reader.browser.wait_for(FONT_LOADED);
    reader
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_delimiter_with_an_exponent_is_as_tall_as_its_other_half() {
    let reader = page(
        r"# A

$\Big( x \Big)^2$ and $\bigl( x \bigr)_k$ and $\bigg[ x \bigg]_k^2$ and $\Bigg\{ x \Bigg\}'$ and
$\Bigl\lVert x \Bigr\rVert_2^2$ and $\Big| x \Big|^2$ and $\left( \frac{a}{b} \right)^2$

$$
\frac{1}{n} \sum_i \Big( x_i - \frac{1}{n} \sum_j x_j \Big)^2
$$

$$
\biggl\langle x \biggr\rangle^2
$$

$$
\left( \sum_i x_i \right)^2
$$
",
    );
    let heights = reader.browser.value(
        r#"[...document.querySelectorAll("main math")].map((math) => {
            const heights = [...math.querySelectorAll("mo")]
                .filter((mo) => /[()\[\]{}|‖⟨⟩]/.test(mo.textContent))
                .map((mo) => mo.getBoundingClientRect().height);
            const size = parseFloat(getComputedStyle(math).fontSize);
            return [math.textContent, heights.length, Math.min(...heights) / size, Math.max(...heights) / size];
        })"#,
    );
    let heights = heights.as_array().unwrap();
    assert_eq!(heights.len(), 10, "{heights:#?}");
    for formula in heights {
        let [least, most] = [2, 3].map(|i| formula[i].as_f64().unwrap());
        assert_eq!(formula[1], 2, "{formula}");
        assert!(most - least < 0.05 && least > 1.1, "{formula}");
    }
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn roots_of_small_and_tall_letters_hang_alike() {
    let reader = page(
        r"# A

$\sqrt{\varepsilon} + \sqrt d + \sqrt x + \sqrt 2 + \sqrt{\sigma} + \sqrt[3]{x}$

$$
\sqrt{\varepsilon} + \sqrt d + \sqrt x + \sqrt 2 + \sqrt{g} + \sqrt{\sigma + \varepsilon}
$$
",
    );
    // How far the roots of each formula reach below its line, and how high they are.
    let formulas = reader.browser.value(
        r#"[...document.querySelectorAll("main math")].map((math) => {
            const size = parseFloat(getComputedStyle(math).fontSize);
            const line = math.querySelector(":scope > mo").getBoundingClientRect().bottom;
            const boxes = [...math.querySelectorAll("msqrt, mroot")].map((root) => root.getBoundingClientRect());
            return [boxes.map((box) => (box.bottom - line) / size), boxes.map((box) => box.height / size)];
        })"#,
    );
    let formulas = formulas.as_array().unwrap();
    assert_eq!(formulas.len(), 2);
    for formula in formulas {
        let numbers = |i: usize| formula[i].as_array().unwrap().iter().map(|x| x.as_f64().unwrap());
        let least = |i| numbers(i).fold(f64::INFINITY, f64::min);
        let most = |i| numbers(i).fold(f64::NEG_INFINITY, f64::max);
        assert_eq!(numbers(0).count(), 6, "{formula}");
        assert!(most(0) - least(0) < 0.08 && most(0) < 0.3 && most(1) < 1.4, "{formula}");
    }
    reader.expect_quiet();
}

/// What touches an inline formula and stands on another line.
const TORN: &str = r#"[...document.querySelectorAll("main math:not([display=block])")].flatMap((math) => {
    const inside = { acceptNode: (node) => node.parentElement.closest("math, pre, .math-display") ? 2 : 1 };
    const block = math.closest("p, li, td, th, figcaption, h1, h2, h3, summary, blockquote");
    const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT, inside);
    const box = math.getBoundingClientRect();
    const found = [];
    const hold = (node, at) => {
        const character = node.data[at];
        if (!/\s/.test(character)) {
            const range = document.createRange();
            range.setStart(node, at);
            range.setEnd(node, at + 1);
            const { top, bottom } = range.getBoundingClientRect();
            if ((top + bottom) / 2 < box.top - 6 || (top + bottom) / 2 > box.bottom + 6) {
                found.push(`${math.textContent} and ${character} of ${block.textContent.slice(0, 80)}`);
            }
        }
    };
    let before = null;
    let node;
    while ((node = walker.nextNode())) {
        if (math.compareDocumentPosition(node) & Node.DOCUMENT_POSITION_FOLLOWING) {
            // Not behind another formula, which would have to be on the line first.
            const between = document.createRange();
            between.setStartAfter(math);
            between.setEnd(node, 0);
            if (!between.cloneContents().querySelector("math, br") && node.data) {
                hold(node, 0);
            }
            break;
        }
        before = node;
    }
    if (before?.data) {
        const between = document.createRange();
        between.setStart(before, before.data.length);
        between.setEndBefore(math);
        if (!between.cloneContents().querySelector("math, br")) {
            hold(before, before.data.length - 1);
        }
    }
    return found;
})"#;

#[test]
#[ignore = "needs chromium and chromedriver"]
fn no_full_stop_stands_alone_behind_a_formula() {
    let reader = page(
        r#"# A

Some words and more of them: $a + b + c$, and then $d + e + f$. Also ($g + h + i$), and "$j + k + l$"; the $n$th
and the $x + y$-axis, non-$z + 1$. Then **$m + n$**, *$o + p$*. And [$q + r + s$](b.md)! Of $t + u$'s, $v$/$w$.
"#,
    );
    let browser = &reader.browser;
    for width in (60..500).step_by(7) {
        browser.value(&format!("document.querySelector('main').style.width = '{width}px'"));
        browser.expect_none("torn", TORN);
    }
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn no_page_is_torn_beside_a_formula() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    for Page { path, .. } in pages(&reader.book) {
        reader.open(&path);
        for width in [360, 414, 768, 1200] {
            browser.screen(width, 800);
            browser.expect_none("torn", TORN);
        }
    }
    reader.expect_quiet();
}
