//! Pages for every reader: what axe-core finds, what the keyboard reaches, what a narrow screen and paper show.

use super::{Page, Reader, pages};
use crate::common::Book;
use crate::webdriver::Browser;
use serde_json::{Value, json};
use std::path::Path;

const ENTER: &str = "\u{E007}";
const TAB: &str = "\u{E004}";
const RIGHT: &str = "\u{E014}";
const THEMES: [&str; 5] = ["light", "rust", "coal", "navy", "ayu"];

/// The paths of all pages: the book's, and mdBook's for an address that leads nowhere.
fn paths(book: &Book) -> Vec<String> {
    pages(book).into_iter().map(|Page { path, .. }| path).chain(["404.html".into()]).collect()
}

/// axe-core, from where `.ci/run` puts it.
fn axe() -> String {
    let name = "target/ci-tools/axe.min.js";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(name)).unwrap_or_else(|error| {
        panic!("{name}: expected axe-core, got: {error}: CONTRIBUTING.md says where it comes from")
    })
}

/// Unfolds everything, lets no colour be on its way to another, and adds a function that chooses a theme: mdBook
/// fetches the colours of code when they are first asked for.
const OPEN: &str = r#"(() => {
    window.choose = async (theme) => {
        document.getElementById(`mdbook-theme-${theme}`).click();
        while ([...document.querySelectorAll("link[rel=stylesheet]")].some((link) => !link.disabled && !link.sheet)) {
            await new Promise((done) => setTimeout(done, 5));
        }
    };
    document.head.insertAdjacentHTML("beforeend", "<style>* { transition: none !important; }</style>");
    document.querySelectorAll("details").forEach((details) => { details.open = true; });
})()"#;

/// Leaves one of all texts that have the same colours, size and background in each theme, also on the pages before. To
/// look at all of them takes axe fifteen seconds a page and theme.
const LEAVE_ONE_OF_A_KIND: &str = r#"(async () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) {
        texts.push({ node: walker.currentNode, box: walker.currentNode.parentElement, kind: "" });
    }
    for (const theme of THEMES) {
        await choose(theme);
        const known = new Map([[null, ""]]);
        const behind = (box) => {
            if (!known.has(box)) {
                const { backgroundColor, opacity } = getComputedStyle(box);
                const clear = backgroundColor === "rgba(0, 0, 0, 0)" && opacity === "1";
                known.set(box, behind(box.parentElement) + (clear ? "" : `${backgroundColor} ${opacity} `));
            }
            return known.get(box);
        };
        for (const text of texts) {
            const { color, fontSize, fontWeight } = getComputedStyle(text.box);
            text.kind += `${behind(text.box)}${color} ${fontSize} ${fontWeight}; `;
        }
    }
    const seen = new Set(JSON.parse(sessionStorage.getItem("seen")));
    for (const { node, box, kind } of texts) {
        if (seen.has(kind)) {
            node.data = "";
        } else if (node.data.trim() !== "" && box.checkVisibility()) {
            seen.add(kind);
        }
    }
    for (const element of [...document.querySelectorAll("main *")].reverse()) {
        if (element.textContent.trim() === "") {
            element.remove();
        }
    }
    sessionStorage.setItem("seen", JSON.stringify([...seen]));
    return seen.size;
})()"#;

/// What axe finds with some of its options: the rule, the place, the reason.
#[track_caller]
fn found(browser: &Browser, options: &str) -> Vec<String> {
    let script = r#"(async () => {
        const { violations } = await axe.run(document, { resultTypes: ["violations"], OPTIONS });
        return violations
            .filter((rule) => rule.impact !== "minor")
            .flatMap((rule) => rule.nodes.map((node) =>
                [rule.impact, rule.id, node.target, node.failureSummary].join(" ").replaceAll(/\s+/g, " ")));
    })()"#;
    let found = browser.value(&script.replace("OPTIONS", options));
    found.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn expect_contrast(browser: &Browser, place: &str) {
    for theme in THEMES {
        browser.value(&format!("choose('{theme}')"));
        let found = found(browser, "runOnly: ['color-contrast']");
        assert!(found.is_empty(), "{place}, in {theme}: {found:#?}");
    }
}

#[test]
#[ignore = "needs chromium, chromedriver and axe-core"]
fn axe_finds_nothing_on_any_page_in_any_theme() {
    let axe = axe();
    let leave_one_of_a_kind = LEAVE_ONE_OF_A_KIND.replace("THEMES", &json!(THEMES).to_string());
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    let mut kinds = Value::Null;
    for page in paths(&reader.book) {
        reader.open(&page);
        if kinds.is_null() {
            browser.value("sessionStorage.clear()");
        }
        browser.value(OPEN);
        browser.value(&format!("(() => {{ {axe} }})()"));
        for width in [360, 1200] {
            browser.screen(width, 800);
            settle(browser);
            let found = found(browser, "rules: { 'color-contrast': { enabled: false } }");
            assert!(found.is_empty(), "{page}, {width} px: {found:#?}");
        }
        // Colours do not change with the width.
        kinds = browser.value(&leave_one_of_a_kind);
        expect_contrast(browser, &page);
    }
    assert!(kinds.as_u64() > Some(40), "{kinds} kinds of text");
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium, chromedriver and axe-core"]
fn axe_finds_nothing_in_what_opens_nor_on_paper() {
    let axe = axe();
    let reader = Reader::of(super::run::book());
    let browser = &reader.browser;
    let start = || {
        reader.open("a.html");
        browser.value(&format!("(() => {{ {axe} }})()"));
        browser.value(OPEN);
    };

    start();
    browser.keys("s");
    browser.wait_for("document.activeElement.id === 'mdbook-searchbar'");
    let empty = "document.getElementById('mdbook-searchbar').value = ''";
    browser.keys("page");
    browser.wait_for("document.querySelector('#mdbook-searchresults li') !== null");
    let rules = "rules: { 'color-contrast': { enabled: false } }";
    assert_eq!(found(browser, rules), [""; 0], "the search");
    expect_contrast(browser, "the search");
    browser.value(empty);
    expect_contrast(browser, "the empty search");

    start();
    browser.keys("?");
    browser.wait_for("document.getElementById('mdbook-help-popup').checkVisibility()");
    assert_eq!(found(browser, rules), [""; 0], "the help");
    expect_contrast(browser, "the help");

    start();
    browser.click("#mdbook-theme-toggle");
    assert_eq!(found(browser, rules), [""; 0], "the choice of themes");
    for theme in THEMES {
        // A click on a theme closes the list.
        browser.value(&format!("choose('{theme}')"));
        browser.click("#mdbook-theme-toggle");
        let found = found(browser, "runOnly: ['color-contrast']");
        assert!(found.is_empty(), "the choice of themes, in {theme}: {found:#?}");
        browser.click("#mdbook-theme-toggle");
    }

    // Words that the search has led to, in text and in code.
    reader.open("a.html?highlight=page%20text");
    browser.wait_for("document.querySelectorAll('main mark').length > 0");
    browser.value(&format!("(() => {{ {axe} }})()"));
    browser.value(OPEN);
    expect_contrast(browser, "marked words");

    start();
    for number in [0, 1, 2] {
        super::run::Block::of(&reader, number).run();
    }
    browser.value(
        "document.querySelectorAll('.run-button[aria-pressed]').forEach((button) => button.click())",
    );
    browser.expect_none(
        "nothing to see",
        "['.run-hidden', '.run-output .compiler', '.run-output .err', '.run-place', '.bad']
            .filter((part) => !document.querySelector(part)?.checkVisibility())",
    );
    assert_eq!(found(browser, rules), [""; 0], "runs");
    expect_contrast(browser, "runs");
    browser.devtools("Emulation.setEmulatedMedia", &json!({ "media": "print" }));
    expect_contrast(browser, "runs on paper");
    browser.value("localStorage.clear()");
    reader.expect_quiet();
}

/// What does not show itself whole on paper: boxes over the edge, and boxes that would have to be scrolled.
const CUT: &str = r#"[...document.querySelectorAll("main *")]
    .filter((element) => element.checkVisibility() && !element.closest("svg, math"))
    .filter((element) => {
        const clips = getComputedStyle(element).overflowX !== "visible";
        return element.getBoundingClientRect().right > innerWidth + 0.5
            || (clips && element.scrollWidth > element.clientWidth + 1)
            || element.querySelector(":scope > math")?.getBoundingClientRect().right > innerWidth + 0.5;
    })
    .map((element) => element.outerHTML.slice(0, 200))"#;

/// Shows pages as on A4 between the margins that a browser prints with.
fn on_paper(browser: &Browser) {
    browser.screen(718, 1046);
    browser.devtools("Emulation.setEmulatedMedia", &json!({ "media": "print" }));
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn nothing_is_cut_on_paper() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    on_paper(browser);
    for page in paths(&reader.book) {
        reader.open(&page);
        browser.value(OPEN);
        browser.expect_none("cut", CUT);
    }

    // A line that a reader has written, longer than the page, and a long one that is printed.
    reader.open("introduction.html");
    browser.value(
        r#"(() => {
            const area = document.querySelector(".run-editor > textarea");
            area.value = `let x = [${"1.25, ".repeat(60)}];\n${"x".repeat(300)}\n`;
            area.dispatchEvent(new Event("input"));
            const output = document.querySelector(".run-output");
            output.hidden = false;
            output.innerHTML = `<pre class="out">${"1.25 ".repeat(60)}\n${"y".repeat(300)}</pre>`;
        })()"#,
    );
    browser.expect_none("cut", CUT);
    let shown = r#"(() => {
        const [editor, code, area] = [".run-editor", ".run-editor > code", "textarea"]
            .map((part) => document.querySelector(part));
        const indent = code.getBoundingClientRect().left - editor.getBoundingClientRect().left;
        return [code.innerText.includes("x".repeat(300)), code.offsetHeight > 120, indent < 20,
            area.checkVisibility()];
    })()"#;
    assert_eq!(browser.value(shown), json!([true, true, true, false]));
    browser.value("localStorage.clear()");
    reader.expect_quiet();
}

/// Waits until the page knows which of its areas scroll.
fn settle(browser: &Browser) {
    browser.value(
        "document.fonts.ready.then(() => new Promise((done) => \
            requestAnimationFrame(() => requestAnimationFrame(done))))",
    );
}

/// The areas that scroll sideways and lack a name, the focus or a cue, and those that do not scroll and have one.
const NOT_TOLD: &str = r#"[...document.querySelectorAll("main *")]
    .filter((area) => area.checkVisibility() && !area.matches("textarea"))
    .filter((area) => {
        const scrolls = /auto|scroll/.test(getComputedStyle(area).overflowX)
            && area.scrollWidth > area.clientWidth + 1;
        // A click by the mouse does not count: the text area of an editor has the focus, and a name.
        const reached = area.matches(".run-editor")
            ? area.querySelector("textarea[aria-label]") !== null
            : area.tabIndex === 0 && area.role === "group" && area.ariaLabel !== null;
        const told = reached && getComputedStyle(area).maskImage !== "none";
        const loud = (area.tabIndex === 0 && !area.matches("a, button, summary, input"))
            || getComputedStyle(area).maskImage !== "none";
        return scrolls ? !told : loud;
    })
    .map((area) => area.outerHTML.slice(0, 200))"#;

#[test]
#[ignore = "needs chromium and chromedriver"]
fn what_scrolls_says_so_and_does_so_by_keyboard() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    // As on a phone, where they lie over the page.
    browser.devtools("Emulation.setScrollbarsHidden", &json!({ "hidden": true }));
    let mut areas = 0;
    for page in paths(&reader.book) {
        reader.open(&page);
        browser.value(OPEN);
        for width in [1200, 360] {
            browser.screen(width, 700);
            settle(browser);
            browser.expect_none("scrolls without a word, or says so and does not", NOT_TOLD);
            let count = "document.querySelectorAll('main [tabindex=\"0\"]').length";
            areas += browser.value(count).as_u64().unwrap();
        }
    }
    assert!(areas > 40, "{areas} areas that scroll");

    // The cue is at the side where there is more, and the arrow keys move what has the focus, not the page.
    for (page, area) in [
        ("speed.html", ".table-wrapper"),
        ("speed.html", "pre > code"),
        ("using_layer_norm.html", ".math-display"),
    ] {
        reader.open(page);
        settle(browser);
        let here = format!("document.querySelector('main {area}[tabindex=\"0\"]')");
        let sides = format!(
            "[...{here}.classList].filter((name) => name.startsWith('more-')).sort().join()"
        );
        assert_eq!(browser.text(&sides), "more-after", "{page} {area}");
        browser.value(&format!("{here}.focus()"));
        browser.keys(RIGHT);
        browser.wait_for(&format!("{sides} === 'more-after,more-before'"));
        browser.value(&format!("{here}.scrollLeft = 9999"));
        browser.wait_for(&format!("{sides} === 'more-before'"));
        assert_eq!(browser.text("location.pathname"), format!("/{page}"));
    }
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_first_stop_leads_to_the_text() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    // Each page is of one template: the first, one with code, and the last.
    let pages = paths(&reader.book);
    for page in [&pages[0], &pages[pages.len() / 2], &pages[pages.len() - 1]] {
        reader.open(page);
        let link = r#"(({ innerText, className }, { top }) => [innerText, className, top >= 0])(
            document.activeElement, document.activeElement.getBoundingClientRect())"#;
        browser.keys(TAB);
        assert_eq!(browser.value(link), json!(["Skip to the text", "skip", true]), "{page}");
        browser.keys(ENTER);
        browser.keys(TAB);
        assert_eq!(
            browser.value("document.activeElement.closest('#mdbook-content') !== null"),
            true,
            "{page}: {}",
            browser.text("document.activeElement.outerHTML")
        );
    }
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn static_pages_scroll_print_and_skip_in_the_same_way() {
    let reader = Reader::of(Book::own());
    let Reader { browser, book, .. } = &reader;
    let into = book.root.path().join("pages");
    let built = book.run(&["build", "--dest-dir", into.to_str().unwrap()]);
    assert!(built.status.success(), "{built:?}");
    for Page { path, .. } in pages(book) {
        browser.screen(360, 700);
        browser.devtools("Emulation.setEmulatedMedia", &json!({ "media": "" }));
        browser.open(&format!("file://{}", into.join(&path).display()));
        browser.keys(TAB);
        assert_eq!(browser.text("document.activeElement.innerText"), "Skip to the text", "{path}");
        browser.value(OPEN);
        settle(browser);
        browser.expect_none("scrolls without a word, or says so and does not", NOT_TOLD);
        on_paper(browser);
        browser.expect_none("cut", CUT);
    }
    assert_eq!(browser.console(), [""; 0], "in the console");
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_sidebar_opens_by_keyboard() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    browser.screen(360, 700);
    reader.open("introduction.html");
    browser.keys(TAB);
    browser.keys(TAB);
    assert_eq!(browser.text("document.activeElement.id"), "mdbook-sidebar-toggle");
    const STATE: &str = "[document.activeElement.ariaExpanded, document.activeElement.role, \
        document.querySelector('#mdbook-sidebar a').checkVisibility()]";
    assert_eq!(browser.value(STATE), json!(["false", "button", false]));
    for (key, expanded) in [(ENTER, true), (" ", false)] {
        browser.keys(key);
        browser.wait_for(&format!("{STATE}.join() === '{expanded},button,{expanded}'"));
    }
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_icon_is_the_books_own() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    reader.open("introduction.html");
    let icons = browser.value(
        r#"Promise.all([...document.querySelectorAll("link[rel~=icon]")].map(async ({ href }) =>
            [href.split(".").at(-1), [...await (await fetch(href)).bytes()]]))"#,
    );
    let own = |kind: &str| {
        json!([kind, std::fs::read(reader.book.path(&format!("theme/favicon.{kind}"))).unwrap()])
    };
    assert_eq!(icons, json!([own("svg"), own("png")]));
    reader.expect_quiet();
}
