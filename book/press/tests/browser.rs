//! The served pages in a real browser that has no network: what a reader sees, and who is asked for what.
//!
//! These need Debian's `chromium` and `chromium-driver`, so a plain `cargo test` leaves them out:
//! `cargo test --package evenkeel-press --test browser -- --ignored` runs them.

#[path = "browser/access.rs"]
mod access;
mod common;
#[path = "browser/math.rs"]
mod math;
#[path = "browser/reload.rs"]
mod reload;
#[path = "browser/run.rs"]
mod run;
#[path = "browser/search.rs"]
mod search;
#[path = "browser/tabs.rs"]
mod tabs;
mod webdriver;
#[path = "browser/workers.rs"]
mod workers;

use common::{Book, Serving};
use serde_json::{Value, json};
use std::path::Path;
use webdriver::Browser;

/// A browser at a book that a press serves.
struct Reader {
    // Dropped in this order: the browser would complain of a press that is gone.
    browser: Browser,
    press: Serving,
    book: Book,
}

impl Reader {
    fn of(book: Book) -> Self {
        let press = Serving::start(&book);
        Self { browser: Browser::start(), press, book }
    }

    fn address(&self, page: &str) -> String {
        format!("http://127.0.0.1:{}/{page}", self.press.port)
    }

    #[track_caller]
    fn open(&self, page: &str) {
        self.browser.open(&self.address(page));
    }

    /// Every page from now on has the theme, as if it had been chosen on an earlier visit.
    #[track_caller]
    fn prefer(&self, theme: &str) {
        self.open("404.html");
        self.browser.value(&format!("localStorage.setItem('mdbook-theme', '{theme}')"));
    }

    /// Ends every test: nothing went wrong on the way, and nobody else was asked for anything.
    #[track_caller]
    fn expect_quiet(&self) {
        assert_eq!(self.browser.console(), [""; 0], "in the console");
        let own = self.address("");
        let requests = self.browser.requests();
        assert!(requests.iter().any(|url| url.starts_with(&own)), "{requests:#?}");
        let foreign: Vec<_> = requests
            .iter()
            .filter(|url| !url.starts_with(&own) && !url.starts_with("data:"))
            .collect();
        assert!(foreign.is_empty(), "requests to another host: {foreign:#?}");
    }
}

/// A page of the book's own, as SUMMARY.md lists it.
struct Page {
    title: String,
    path: String,
}

fn pages(book: &Book) -> Vec<Page> {
    let summary = book.read("src/SUMMARY.md");
    let page = |line: &str| {
        let (title, rest) = line.split_once('[')?.1.split_once("](")?;
        let path = rest.strip_suffix(".md)")?;
        Some(Page { title: title.to_owned(), path: format!("{path}.html") })
    };
    let pages: Vec<_> = summary.lines().filter_map(page).collect();
    assert!(pages.len() > 1, "{summary}");
    pages
}

/// What a page holds that is not drawn: formulas and includes as they are typed, formulas and figures without a size.
const NOT_DRAWN: &str = r#"(() => {
    const main = document.querySelector("main");
    const words = main.cloneNode(true);
    words.querySelectorAll("pre, code").forEach((code) => code.remove());
    const left = words.textContent.match(/\$|\{\{|\\[a-z]+/gi) ?? [];
    const smaller = (element, least) => {
        const { width, height } = element.getBoundingClientRect();
        return width < least || height < least;
    };
    // What is folded away has no size yet.
    main.querySelectorAll("details").forEach((details) => { details.open = true; });
    const formulas = [...main.querySelectorAll("math")]
        .filter((math) => smaller(math, 3))
        .map((math) => math.outerHTML);
    const pictures = [...main.querySelectorAll("figure")]
        .filter((figure) => {
            const svg = figure.querySelector(":scope > svg[role=img]");
            return !svg || smaller(svg, 100);
        })
        .map((figure) => figure.innerHTML.slice(0, 200));
    return [...left, ...formulas, ...pictures];
})()"#;

/// The families of font that drew the formulas, but for the one we ship.
fn foreign_fonts(browser: &Browser) -> Vec<String> {
    let ask = |command: &str, parameters: Value| browser.devtools(command, &parameters);
    ask("DOM.enable", json!({}));
    ask("CSS.enable", json!({}));
    let root = ask("DOM.getDocument", json!({ "depth": 0 }))["root"]["nodeId"].take();
    let formulas = ask("DOM.querySelectorAll", json!({ "nodeId": root, "selector": "main math" }));
    let mut foreign = Vec::new();
    for formula in formulas["nodeIds"].as_array().unwrap() {
        let fonts = ask("CSS.getPlatformFontsForNode", json!({ "nodeId": formula }));
        for font in fonts["fonts"].as_array().unwrap() {
            if font["isCustomFont"] != true || font["familyName"] != "STIX Two Math" {
                let html = ask("DOM.getOuterHTML", json!({ "nodeId": formula }));
                foreign.push(format!("{} draws {}", font["familyName"], html["outerHTML"]));
            }
        }
    }
    foreign
}

/// Whether the formulas' own font is there.
const FONT_LOADED: &str = r#"[...document.fonts].some((font) =>
    font.family.includes("STIX Two Math") && font.status === "loaded")"#;

#[test]
#[ignore = "needs chromium and chromedriver"]
fn every_page_is_drawn_with_its_formulas_and_figures() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    let (mut formulas, mut figures) = (0, 0);
    for Page { title, path } in pages(&reader.book) {
        reader.open(&path);
        assert!(browser.text("document.title").ends_with(" - Even Keel"), "{path}");
        let heading = browser.text("document.querySelector('main h1').innerText");
        assert!(heading == title || path == "introduction.html", "{path}: {heading}");
        browser.expect_none("not drawn", NOT_DRAWN);
        let count = |selector| {
            browser.value(&format!("document.querySelectorAll('main {selector}').length")).as_u64()
        };
        formulas += count("math").unwrap();
        figures += count("figure svg[role=img] > title").unwrap();
        if count("math") != Some(0) {
            browser.wait_for(FONT_LOADED);
            assert_eq!(foreign_fonts(browser), [""; 0], "{path}: not the shipped font");
        }
        // A root sign takes no more room than it needs.
        browser.expect_none(
            "a gap behind a root",
            r#"[...document.querySelectorAll("main :is(msqrt, mroot) + *")].map((next) => {
                const base = next.previousElementSibling.firstElementChild;
                const gap = next.getBoundingClientRect().left - base.getBoundingClientRect().right;
                return gap / parseFloat(getComputedStyle(next).fontSize);
            }).filter((gap) => gap < -0.05 || gap > 0.5)"#,
        );
    }
    assert!(formulas > 50 && figures > 2, "{formulas} formulas, {figures} figures");
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn figures_follow_the_theme() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    const INK: &str = "[...document.querySelectorAll('figure svg')].map((svg) => \
        getComputedStyle(svg.querySelector('text')).fill)";
    reader.prefer("light");
    let (mut light, mut navy) = (Vec::new(), Vec::new());
    for Page { path, .. } in pages(&reader.book) {
        reader.open(&path);
        light.extend(browser.value(INK).as_array().unwrap().clone());
        browser.value("document.querySelector('#mdbook-theme-navy').click()");
        navy.extend(browser.value(INK).as_array().unwrap().clone());
        browser.value("document.querySelector('#mdbook-theme-light').click()");
    }
    assert!(light.len() > 2 && light.len() == navy.len(), "{light:?} {navy:?}");
    assert!(light.iter().zip(&navy).all(|(light, navy)| light != navy), "{light:?} {navy:?}");
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn every_theme_can_be_chosen_and_stays() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    reader.open("introduction.html");
    let mut colours = Vec::new();
    for theme in ["navy", "rust", "coal", "ayu", "light"] {
        browser.click("#mdbook-theme-toggle");
        browser.click(&format!("#mdbook-theme-{theme}"));
        let chosen = format!("document.documentElement.classList.contains('{theme}')");
        browser.wait_for(&chosen);
        colours.push(
            browser
                .text("getComputedStyle(document.querySelector('.page-wrapper')).backgroundColor"),
        );
        browser.reload();
        assert_eq!(browser.value(&chosen), true, "{theme}, loaded again");
        reader.open("iris.html");
        assert_eq!(browser.value(&chosen), true, "{theme}, on another page");
    }
    colours.sort();
    colours.dedup();
    assert_eq!(colours.len(), 5, "{colours:?}");
    reader.expect_quiet();
}

/// What reaches over the right edge of the screen without a box around it that scrolls.
const TOO_WIDE: &str = r#"[...document.querySelectorAll("main *")]
    .filter((element) => {
        if (element.getBoundingClientRect().right <= innerWidth + 0.5) {
            return false;
        }
        for (let box = element.parentElement; box.localName !== "main"; box = box.parentElement) {
            if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)
                && box.getBoundingClientRect().right <= innerWidth + 0.5) {
                return false;
            }
        }
        return true;
    })
    .map((element) => element.outerHTML.slice(0, 200))"#;

#[test]
#[ignore = "needs chromium and chromedriver"]
fn no_page_is_wider_than_a_phone() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    browser.screen(360, 700);
    // As on a phone, where they lie over the page.
    browser.devtools("Emulation.setScrollbarsHidden", &json!({ "hidden": true }));
    for Page { path, .. } in pages(&reader.book) {
        reader.open(&path);
        browser.value("document.querySelectorAll('details').forEach((d) => { d.open = true; })");
        for theme in ["light", "navy"] {
            browser.value(&format!("document.querySelector('#mdbook-theme-{theme}').click()"));
            assert!(browser.text("document.documentElement.className").contains(theme));
            let widths = browser.value("[innerWidth, document.scrollingElement.scrollWidth]");
            assert_eq!(widths, json!([360, 360]), "{path} in {theme}");
            // mdBook clips what is too wide, so the page's own width tells only half.
            browser.expect_none("too wide", TOO_WIDE);
        }
    }
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn code_fits_a_desk_and_scrolls_by_itself_on_a_phone() {
    const LONG_LINES: &str = r#"[...document.querySelectorAll("main > p")].filter((words) => {
        const lines = words.offsetHeight / parseFloat(getComputedStyle(words).lineHeight);
        return !words.querySelector("math, code") && words.innerText.length / lines > 78;
    }).map((words) => words.innerText)"#;
    // What runs scrolls with the numbers of its lines.
    const SCROLLS: &str = "[...document.querySelectorAll('main pre > code, main .run-editor')]\
        .filter((code) => code.scrollWidth > code.clientWidth)";
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    for Page { path, .. } in pages(&reader.book) {
        reader.open(&path);
        browser.value("document.querySelectorAll('details').forEach((d) => { d.open = true; })");
        for width in [1200, 1400] {
            browser.screen(width, 900);
            browser.expect_none(
                "code that scrolls",
                &format!("{SCROLLS}.map((code) => code.innerText.slice(0, 80))"),
            );
            browser.expect_none("lines of more than 78 characters", LONG_LINES);
        }
    }

    browser.screen(360, 700);
    reader.open("layer_norm.html");
    let scrolled = browser.value(&format!(
        "{SCROLLS}.map((code) => {{ code.scrollLeft = 40; return [code.scrollLeft > 0, scrollX]; }})"
    ));
    let scrolled = scrolled.as_array().unwrap();
    assert!(
        scrolled.len() > 3 && scrolled.iter().all(|at| *at == json!([true, 0])),
        "{scrolled:?}"
    );
    reader.expect_quiet();
}

/// Searches as a reader does, and opens the first page that is found.
fn search(browser: &Browser, word: &str) {
    const RESULT: &str = "#mdbook-searchresults li a";
    browser.keys("/");
    browser.wait_for("document.activeElement.id === 'mdbook-searchbar'");
    browser.keys(word);
    browser.wait_for(&format!("document.querySelector('{RESULT}') !== null"));
    let before = browser.text("location.href");
    browser.click(RESULT);
    browser.wait_for(&format!(
        "location.href !== '{before}' && location.search.includes('{word}')
            && /{word}/i.test(document.querySelector('main mark')?.innerText)"
    ));
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn search_finds_a_word_and_leads_to_it() {
    let reader = Reader::of(Book::own());
    reader.open("introduction.html");
    search(&reader.browser, "gradient");
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_sidebar_and_the_arrow_keys_lead_through_the_book() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    let pages = pages(&reader.book);
    reader.open("");
    for Page { path, title } in pages.iter().rev() {
        browser.click(&format!("#mdbook-sidebar a[href$='{path}']"));
        browser.wait_for(&format!(
            "location.pathname === '/{path}' && document.readyState === 'complete'"
        ));
        let active = browser.text("document.querySelector('#mdbook-sidebar a.active').innerText");
        assert_eq!(active, *title);
    }
    let forth = pages.iter().skip(1).map(|page| ('\u{E014}', page));
    let back = pages.iter().rev().skip(1).take(2).map(|page| ('\u{E012}', page));
    for (arrow, Page { path, .. }) in forth.chain(back) {
        browser.keys(&arrow.to_string());
        browser.wait_for(&format!(
            "location.pathname === '/{path}' && document.readyState === 'complete'"
        ));
    }
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn answers_open_by_keyboard() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    reader.open("layer_norm.html");
    browser.value("document.querySelector('main details:has(> ol) > summary').focus()");
    const SHOWN: &str = "document.querySelector('main details > ol').checkVisibility()";
    assert_eq!(browser.value(SHOWN), false);
    browser.keys("\u{E007}");
    browser.wait_for(SHOWN);
    browser.keys(" ");
    browser.wait_for(&format!("!{SHOWN}"));
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_save_shows_in_the_open_page_and_a_mistake_stands_below_it() {
    let reader = Reader::of(Book::new());
    let Reader { browser, book, .. } = &reader;
    let shows = |words: &str| {
        format!("document.querySelector('main')?.innerText.includes('{words}') === true")
    };
    const BANNER: &str = "(document.querySelector('#press-problem')?.innerText ?? '')";
    reader.open("a.html");
    assert_eq!(browser.value(&shows("First words")), true);
    book.write("src/a.md", "# A\n\nOther words and $x$.\n");
    browser.wait_for(&shows("Other words"));

    book.write("src/a.md", "# A\n\nBroken words $\\nonsense$.\n");
    browser.wait_for(&format!("{BANNER} !== ''"));
    let banner = browser.text(BANNER);
    assert!(banner.starts_with("book/src/a.md:3: formula does not parse: "), "{banner}");
    assert!(banner.ends_with("\nThis page is as it was before."), "{banner}");
    assert_eq!(browser.value(&shows("Other words")), true);
    // It goes along to a page that is opened now.
    reader.open("b.html");
    browser.wait_for(&format!("{BANNER}.startsWith('book/src/a.md:3: ')"));
    reader.open("a.html");
    browser.wait_for(&format!("{BANNER} !== ''"));

    book.write("src/a.md", "# A\n\nMended words and $y$.\n");
    browser.wait_for(&format!("{} && {BANNER} === ''", shows("Mended words")));
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_same_words_again_take_the_banner_away() {
    let reader = Reader::of(Book::new());
    let Reader { browser, book, .. } = &reader;
    reader.open("a.html");
    let before = book.read("src/a.md");
    book.write("src/a.md", "# A\n\nBroken words $\\nonsense$.\n");
    browser.wait_for("document.querySelector('#press-problem') !== null");
    // The pages are as they were, so nothing reloads.
    browser.value("window.stayed = true");
    book.write("src/a.md", &before);
    browser.wait_for("document.querySelector('#press-problem') === null && window.stayed === true");
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn static_pages_open_without_a_server() {
    let reader = Reader::of(Book::own());
    let Reader { browser, book, .. } = &reader;
    let into = book.root.path().join("pages");
    let built = book.run(&["build", "--dest-dir", into.to_str().unwrap()]);
    assert!(built.status.success(), "{built:?}");
    let address = |page: &Path| format!("file://{}", page.display());
    // The words, the formulas and the pictures, but not what a script adds.
    const CONTENT: &str = r#"(() => {
        const main = document.querySelector("main").cloneNode(true);
        const added = ".buttons, .run-bar, .run-numbers, .run-hidden, .boring, .exercise-state, textarea";
        main.querySelectorAll(added).forEach((added) => added.remove());
        return main.textContent.replace(/\n+/g, "\n");
    })()"#;

    let pages = pages(book);
    let served: Vec<_> = pages
        .iter()
        .map(|page| {
            reader.open(&page.path);
            browser.text(CONTENT)
        })
        .collect();
    reader.expect_quiet();
    for (page, served) in pages.iter().zip(served) {
        browser.open(&address(&into.join(&page.path)));
        assert_eq!(browser.text(CONTENT), served, "{}", page.path);
        browser.expect_none("not drawn", NOT_DRAWN);
        if browser.value("document.querySelector('main math') !== null") == true {
            browser.wait_for(FONT_LOADED);
        }
    }
    search(browser, "gradient");

    assert_eq!(browser.console(), [""; 0], "in the console");
    let pages = address(&into);
    let requests = browser.requests();
    assert!(requests.iter().any(|url| url.ends_with(".woff2")), "{requests:#?}");
    let foreign: Vec<_> = requests
        .iter()
        .filter(|url| !url.starts_with(&pages) && !url.starts_with("data:"))
        .collect();
    assert!(foreign.is_empty(), "requests out of the pages: {foreign:#?}");
}
