//! Run in the page: a reader edits, runs, stops, solves, and finds it all again.

use super::{Reader, TOO_WIDE};
use crate::common::{Book, Serving};
use crate::webdriver::Browser;
use serde_json::{Value, json};
use std::time::Duration;

const CONTROL: char = '\u{E009}';
const ENTER: char = '\u{E007}';
const TAB: &str = "\u{E004}";

const CRATE: &str = r#"
pub mod exercises {
    pub struct Demo;
    pub fn demo() -> Demo {
        Demo
    }
    impl Demo {
        pub fn check(&self, double: fn(i32) -> i32) {
            let verdict = match double(21) {
                0 => "not solved yet",
                42 => "solved",
                got => panic!("your double adds: got {got}, expected 42"),
            };
            println!("{verdict}");
            if let Some(file) = std::env::var_os("EVENKEEL_EXERCISES") {
                std::fs::write(file, format!("demo: {verdict}\n")).unwrap();
            }
        }
    }
}
"#;

pub const PAGE: &str = r##"# A page

```rust,editable,standalone_crate,exercise-demo
# let exercise = evenkeel::exercises::demo();
/// Twice the number.
fn double(x: i32) -> i32 {
    0
}
# exercise.check(double);
```

```rust,editable
let x: i32 = "text";
println!("{}", nothing);
assert!(true);
```

```rust,editable
for i in 0..4 {
    println!("{}", [10, 20, 30][i]);
}
assert!(true);
```

```rust,editable
println!("before");
println!("<svg viewBox='0 0 300 100'><title>A wave</title><script>window.owned = true;</script>
<svg x='1'><svg/><path d='M0 0'/></svg>
<path d='M0 50 Q75 -30 150 50 T300 50' fill='none' stroke='var(--ek-ink)'/>
<image href='http://example.org/x.png' width='9' height='9' onload='window.owned = true'/></svg>");
println!("after <svg that is none");
assert!(true);
```

```rust,editable
println!("begun");
std::thread::sleep(std::time::Duration::from_secs(60));
assert!(true);
```

```rust,editable,should_panic
assert_eq!(1, 2);
```
"##;

const EXERCISES: &str = r#"# Exercises

<div id="exercise-progress"></div>

| state | exercise |
| --- | --- |
| <span class="exercise-state" data-exercise="demo"></span> | [double](a.md) |
| <span class="exercise-state" data-exercise="other"></span> | another |
"#;

/// A book with an exercise, mistakes, a picture, and a program that takes its time.
pub fn book() -> Book {
    let book = Book::with_crate();
    book.write("src/SUMMARY.md", "# Summary\n\n- [A](a.md)\n- [Exercises](exercises.md)\n");
    book.write("src/a.md", PAGE);
    book.write("src/exercises.md", EXERCISES);
    for file in ["theme/evenkeel.css", "theme/access.js"] {
        book.write(file, &Book::own().read(file));
    }
    book.write("theme/fonts/stix-two-math.woff2", "");
    let settings = "[book]\ntitle = \"A Book\"\nlanguage = \"en\"\n[rust]\nedition = \"2024\"\n\
        [output.html]\nadditional-css = [\"theme/evenkeel.css\"]\nadditional-js = [\"theme/access.js\"]\n\
        [output.html.playground]\nrunnable = false\n";
    book.write("book.toml", settings);
    book.write(
        "../Cargo.toml",
        "[package]\nname = \"evenkeel\"\nedition = \"2024\"\n\n[workspace]\n",
    );
    book.write("../src/lib.rs", CRATE);
    book
}

/// One block of the open page, from 0.
pub struct Block<'a> {
    pub browser: &'a Browser,
    number: usize,
}

impl<'a> Block<'a> {
    pub fn of(reader: &'a Reader, number: usize) -> Self {
        Self { browser: &reader.browser, number }
    }

    /// An expression for what is in the block.
    pub fn find(&self, selector: &str) -> String {
        format!("document.querySelectorAll('.run')[{}].querySelector('{selector}')", self.number)
    }

    pub fn text(&self, selector: &str) -> String {
        self.browser.text(&format!("{}.innerText", self.find(selector)))
    }

    pub fn code(&self) -> String {
        self.browser.text(&format!("{}.value", self.find("textarea")))
    }

    #[track_caller]
    pub fn click(&self, selector: &str) {
        // In view, and not below something else.
        self.browser
            .value(&format!("{}.scrollIntoView({{ block: 'center' }})", self.find(selector)));
        self.browser.value(&format!("{}.setAttribute('data-here', '')", self.find(selector)));
        self.browser.click("[data-here]");
        self.browser.value("document.querySelector('[data-here]')?.removeAttribute('data-here')");
    }

    /// Waits for the end of a run, and returns what is said of it.
    #[track_caller]
    pub fn ends(&self) -> String {
        self.browser.wait_for(&format!(
            "{}.textContent === 'Run' && {}.textContent !== ''",
            self.find(".run-go"),
            self.find(".run-status")
        ));
        self.text(".run-status")
    }

    #[track_caller]
    pub fn run(&self) -> String {
        self.click(".run-go");
        self.ends()
    }

    pub fn output(&self) -> String {
        self.text(".run-output")
    }

    /// Puts the caret behind the first occurrence of some words of the code, and the focus with it.
    pub fn caret_behind(&self, words: &str) {
        let area = self.find("textarea");
        self.browser.value(&format!(
            "(() => {{ const area = {area}; const at = area.value.indexOf({}) + {}; area.focus();
                area.setSelectionRange(at, at); }})()",
            json!(words),
            words.len()
        ));
    }
}

pub fn reader() -> Reader {
    let reader = Reader::of(book());
    reader.open("a.html");
    reader
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_reader_solves_an_exercise_by_keyboard_alone() {
    let reader = reader();
    let browser = &reader.browser;
    let block = Block::of(&reader, 0);
    assert_eq!(block.code(), "/// Twice the number.\nfn double(x: i32) -> i32 {\n    0\n}");
    assert!(!block.text(".run-editor").contains("exercise.check"), "hidden lines show");

    // From the top of the page, with Tab.
    for _ in 0..60 {
        browser.keys(TAB);
        if browser.value(&format!("document.activeElement === {}", block.find("textarea"))) == true
        {
            break;
        }
    }
    browser.chord(CONTROL, ENTER);
    assert!(block.ends().starts_with("not solved yet ("), "{}", block.text(".run-status"));
    assert_eq!(block.output().trim(), "not solved yet");

    // Down to the 0, and away with it. The arrows move the caret and do not turn the page.
    browser.keys("\u{E011}");
    browser.chord(CONTROL, '\u{E011}');
    browser.keys("\u{E015}\u{E015}\u{E010}\u{E003}x + 2");
    assert!(block.code().contains("{\n    x + 2\n}"), "{}", block.code());
    browser.chord(CONTROL, ENTER);
    assert!(block.ends().starts_with("wrong ("), "{}", block.text(".run-status"));
    assert!(
        block.output().contains("\nyour double adds: got 23, expected 42"),
        "{}",
        block.output()
    );

    browser.keys("\u{E003}\u{E003}\u{E003}* 2");
    browser.chord(CONTROL, ENTER);
    assert!(block.ends().starts_with("solved ("), "{}", block.text(".run-status"));
    assert_eq!(
        browser.value("JSON.parse(localStorage['evenkeel-progress'])"),
        json!({ "demo": "solved" })
    );

    // The keyboard is not caught in the editor: Run comes next, then Reset.
    browser.keys(TAB);
    assert_eq!(browser.text("document.activeElement.textContent"), "Run");
    browser.keys(&format!("{ENTER}"));
    assert!(block.ends().starts_with("solved ("));
    browser.keys(TAB);
    assert_eq!(browser.text("document.activeElement.textContent"), "Reset");

    reader.open("exercises.html");
    let states =
        "[...document.querySelectorAll('.exercise-state')].map((state) => state.innerText)";
    assert_eq!(browser.value(states), json!(["✓", "○"]));
    assert_eq!(
        browser.text("document.querySelector('.exercise-count').innerText"),
        "1 of 2 solved"
    );
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn edits_survive_a_reload_and_a_render_until_they_are_reset() {
    let reader = reader();
    let Reader { browser, book, .. } = &reader;
    let block = Block::of(&reader, 0);
    let original = block.code();
    let reset = block.find(".run-button:nth-child(2)");
    assert_eq!(browser.value(&format!("{reset}.hidden")), true, "nothing to reset");
    block.caret_behind("i32 {");
    browser.keys(&format!("{ENTER}let y = 2 * x;"));
    let edited = original.replace("{\n", "{\n    let y = 2 * x;\n");
    assert_eq!(block.code(), edited, "a new line is indented");
    assert!(block.text(".run-editor > code").contains("let y = 2 * x;"));
    assert_eq!(
        block.text(".run-numbers").split_whitespace().collect::<Vec<_>>(),
        ["1", "2", "3", "4", "5"]
    );

    browser.reload();
    assert_eq!(block.code(), edited);
    // Other words on the page, and even in the exercise itself.
    let page = PAGE.replace("A page", "Another title").replace("Twice the", "Two times the");
    book.write("src/a.md", &page);
    browser.wait_for("document.querySelector('main h1')?.innerText === 'Another title'");
    assert_eq!(block.code(), edited);

    block.click(".run-button:nth-child(2)");
    assert_eq!(block.code(), original.replace("Twice", "Two times"));
    assert_eq!(browser.value(&format!("{reset}.hidden")), true);
    assert_eq!(
        browser.value("Object.keys(localStorage).filter((key) => key.includes('edit'))"),
        json!([])
    );
    // A slip of the finger is taken back by the browser's own undo.
    browser.chord(CONTROL, 'z');
    assert_eq!(block.code(), edited);
    browser.reload();
    assert_eq!(block.code(), edited);
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn errors_and_panics_lead_to_their_line() {
    let reader = reader();
    let browser = &reader.browser;
    let bad = |block: &Block| {
        let numbers = format!("[...{}.children]", block.find(".run-numbers"));
        browser.value(&format!(
            "{numbers}.filter((n) => n.className === 'bad').map((n) => n.innerText)"
        ))
    };
    let block = Block::of(&reader, 1);
    assert!(block.run().starts_with("does not compile: 2 errors ("));
    assert!(block.output().contains("error[E0308]: mismatched types\n"), "{}", block.output());
    assert!(block.output().contains("1 | let x: i32 = \"text\";"), "{}", block.output());
    assert_eq!(bad(&block), json!(["1", "2"]));
    assert_eq!(block.text(".run-place"), "line 2, column 16");
    block.click(".run-place");
    let caret = browser.value(&format!("{}.selectionStart", block.find("textarea")));
    assert_eq!(caret, "let x: i32 = \"text\";\nprintln!(\"{}\", ".len());
    assert_eq!(
        browser.value(&format!("document.activeElement === {}", block.find("textarea"))),
        true
    );
    browser.keys("x); // ");
    assert_eq!(bad(&block), json!([]), "an edit takes the marks away");
    let status = block.text(".run-status");
    assert!(status.starts_with("before this edit: does not compile: 2 errors ("), "{status}");

    let block = Block::of(&reader, 2);
    assert!(block.run().starts_with("panicked ("));
    let lines: Vec<_> =
        block.output().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            "10",
            "20",
            "30",
            "thread 'main' panicked at line 2, column 20:",
            "index out of bounds: the len is 3 but the index is 3"
        ]
    );
    block.click(".run-place");
    browser.keys("; // ");
    assert_eq!(block.code().lines().nth(1), Some("    println!(\"{}\", ; // [10, 20, 30][i]);"));

    // What an exercise says of a line has no column.
    block.click(".run-button:nth-child(2)");
    block.caret_behind("for i in 0..4 {");
    browser.keys(" eprintln!(\"at line 4: no\");");
    block.run();
    assert!(block.text(".run-output").contains("at line 4: no"));
    assert_eq!(block.text(".err .run-place"), "line 4");

    let block = Block::of(&reader, 5);
    assert!(block.run().starts_with("panicked, as it should ("));
    block.caret_behind("(1, ");
    browser.keys("-1 + ");
    assert!(block.run().starts_with("ran, and should have panicked ("));
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_printed_picture_is_shown_and_does_nothing_else() {
    let reader = reader();
    let browser = &reader.browser;
    let block = Block::of(&reader, 3);
    assert!(block.run().starts_with("ran in "));
    let picture = block.find("img");
    browser.wait_for(&format!("{picture}.complete && {picture}.naturalWidth === 300"));
    assert_eq!(
        browser.value(&format!(
            "[{picture}.alt, {picture}.naturalHeight, {picture}.clientWidth > 200]"
        )),
        json!(["A wave", 100, true])
    );
    assert_eq!(
        block.output().split_whitespace().collect::<Vec<_>>(),
        ["before", "after", "<svg", "that", "is", "none"]
    );
    // It has the colours of the page, after a change of the theme too.
    let ink = |theme: &str| {
        browser.value(&format!("document.querySelector('#mdbook-theme-{theme}').click()"));
        let ink = "getComputedStyle(document.documentElement).getPropertyValue('--ek-ink')";
        browser
            .wait_for(&format!("decodeURIComponent({picture}.src).includes('--ek-ink: ' + {ink})"));
        browser.text(ink)
    };
    assert_ne!(ink("navy"), ink("light"));
    assert_eq!(browser.value("window.owned === undefined"), true);
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn stop_ends_a_run_and_so_does_leaving_the_page() {
    let reader = reader();
    let Reader { browser, book, .. } = &reader;
    let block = Block::of(&reader, 4);
    let begun = |block: &Block| {
        browser.wait_for(&format!("{}.innerText.includes('begun')", block.find(".run-output")));
    };
    block.click(".run-go");
    begun(&block);
    browser.wait_for(&format!("{}.innerText === 'running'", block.find(".run-status")));
    assert_eq!(block.text(".run-go"), "Stop");
    // Another block waits for its turn meanwhile.
    let waits = Block::of(&reader, 2);
    waits.click(".run-go");
    browser.wait_for(&format!(
        "{}.innerText === 'waiting for another run to end'",
        waits.find(".run-status")
    ));
    // By keyboard, from the code.
    block.caret_behind("begun");
    browser.keys("\u{E00C}");
    assert!(block.ends().starts_with("stopped after "));
    assert!(waits.ends().starts_with("panicked ("));
    book.expect_nothing_left();
    block.click(".run-go");
    begun(&block);
    block.click(".run-go");
    assert!(block.ends().starts_with("stopped after "));
    book.expect_nothing_left();

    block.click(".run-go");
    begun(&block);
    assert!(book.left().iter().any(|what| what.starts_with("process")));
    reader.open("exercises.html");
    book.expect_nothing_left();

    reader.open("a.html");
    block.click(".run-go");
    begun(&block);
    // The tab itself.
    let other = browser.new_tab();
    browser.close_tab();
    browser.switch(&other);
    book.expect_nothing_left();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_press_that_is_gone_is_told() {
    let Reader { browser, mut press, book } = reader();
    press.child.kill().unwrap();
    press.child.wait().unwrap();
    let reader = Reader { browser, press, book };
    let block = Block::of(&reader, 2);
    assert_eq!(block.run(), "the press does not answer: is `cargo book` still running?");
    // A press that was started again: the page reloads, and runs with the new token.
    let Reader { browser, press, book } = reader;
    let port = press.port.to_string();
    let press = Serving::start_with(&book, &["--port", &port]);
    let reader = Reader { browser, press, book };
    let block = Block::of(&reader, 2);
    reader.browser.wait_for(&format!("{}.textContent === ''", block.find(".run-status")));
    assert!(block.run().starts_with("panicked ("));
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn progress_and_edits_go_to_a_file_and_come_back() {
    let reader = reader();
    let browser = &reader.browser;
    let block = Block::of(&reader, 0);
    block.caret_behind("    ");
    browser.keys("42 + ");
    let edited = block.code();
    block.run();
    let block = Block::of(&reader, 2);
    block.caret_behind("0..");
    browser.keys("1");
    let other = block.code();
    reader.open("exercises.html");
    browser.value("(() => { const made = URL.createObjectURL; URL.createObjectURL = (blob) => { window.exported = blob; return made.call(URL, blob); }; })()");
    browser.click("#exercise-progress .run-button");
    browser.wait_for("window.exported !== undefined");
    browser.value("window.exported.text().then((text) => { window.text = text; })");
    browser.wait_for("typeof window.text === 'string'");
    let file = browser.text("window.text");
    let kept: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(kept["progress"], json!({ "demo": "solved" }));
    assert_eq!(kept["edits"]["exercise-demo"], edited);
    assert_eq!(kept["edits"].as_object().unwrap().len(), 2);

    browser.value("localStorage.clear()");
    browser.reload();
    let count = "document.querySelector('.exercise-count').innerText";
    assert_eq!(browser.text(count), "0 of 2 solved");
    let import = |text: &str| {
        browser.value(&format!(
            "(() => {{ const files = new DataTransfer(); files.items.add(new File([{}], 'a.json'));
                const input = document.querySelector('#exercise-progress input'); input.files = files.files;
                document.querySelector('#exercise-progress [role=status]').textContent = '';
                input.dispatchEvent(new Event('change')); }})()",
            json!(text)
        ));
        let said = "document.querySelector('#exercise-progress [role=status]').innerText";
        browser.wait_for(&format!("{said} !== ''"));
        browser.text(said)
    };
    let refused = "not imported: expected a file that Export wrote, got ";
    for (text, got) in [
        ("no", "something else than JSON"),
        ("[]", "other JSON"),
        ("null", "other JSON"),
        (r#"{"evenkeel": 1, "progress": {"demo": "yes"}, "edits": {}}"#, r#"["demo","yes"] in it"#),
        (r#"{"evenkeel": 1, "progress": {}, "edits": {"a#1": 5}}"#, r##"["a#1",5] in it"##),
    ] {
        assert_eq!(import(text), format!("{refused}{got}"));
    }
    assert_eq!(browser.text(count), "0 of 2 solved");
    assert_eq!(import(&file), "imported: 1 solved exercise, 2 edited blocks");
    assert_eq!(browser.text(count), "1 of 2 solved");
    reader.open("a.html");
    assert_eq!(Block::of(&reader, 0).code(), edited);
    assert_eq!(Block::of(&reader, 2).code(), other);
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_letters_that_are_typed_lie_on_those_that_are_drawn() {
    let reader = reader();
    let browser = &reader.browser;
    for width in [1200, 360] {
        browser.screen(width, 700);
        reader.open("a.html");
        browser.expect_none(
            "a text area beside its code",
            r#"[...document.querySelectorAll(".run-editor")].map((editor) => {
                const [code, area] = [":scope > code:not(.run-hidden)", "textarea"].map((name) => editor.querySelector(name));
                const [a, b] = [code, area].map((part) => part.getBoundingClientRect());
                const font = (part) => { const s = getComputedStyle(part);
                    return [s.fontFamily, s.fontSize, s.lineHeight, s.paddingLeft, s.paddingTop, s.tabSize, s.letterSpacing].join(); };
                return [a.left - b.left, a.top - b.top, a.height - b.height, area.scrollWidth - area.clientWidth,
                    area.scrollHeight - area.clientHeight, font(code) === font(area) ? 0 : 1];
            }).filter((apart) => apart.some((by) => Math.abs(by) > 0.6))"#,
        );
    }
    // A line longer than the screen: the block scrolls to the caret, and the numbers stay.
    let block = Block::of(&reader, 0);
    block.caret_behind("    0");
    browser.keys(&" + 0".repeat(20));
    browser.wait_for(&format!("{}.scrollLeft > 200", block.find(".run-editor")));
    let left = format!("{}.getBoundingClientRect().left", block.find(".run-numbers"));
    assert!(browser.value(&left).as_f64().unwrap() >= 0.0);
    assert!(block.run().starts_with("not solved yet"));
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn what_runs_fits_a_phone() {
    let reader = reader();
    let browser = &reader.browser;
    browser.screen(360, 700);
    browser.devtools("Emulation.setScrollbarsHidden", &json!({ "hidden": true }));
    for theme in ["light", "navy"] {
        reader.prefer(theme);
        reader.open("a.html");
        for number in 0..4 {
            Block::of(&reader, number).run();
        }
        assert_eq!(
            browser.value("[innerWidth, document.scrollingElement.scrollWidth]"),
            json!([360, 360])
        );
        browser.expect_none("too wide", TOO_WIDE);
        reader.open("exercises.html");
        browser.expect_none("too wide", TOO_WIDE);
    }
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn too_much_code_is_not_even_sent() {
    let reader = reader();
    let block = Block::of(&reader, 2);
    let area = block.find("textarea");
    reader.browser.value(&format!("(() => {{ const area = {area}; area.value = '/'.repeat(1 << 20); area.dispatchEvent(new Event('input')); }})()"));
    assert_eq!(block.run(), "not run: the code has 1024 KiB, and a run takes 100");
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn static_pages_have_no_dead_button() {
    let reader = reader();
    let Reader { browser, book, .. } = &reader;
    let into = book.root.path().join("pages");
    assert!(book.run(&["build", "--dest-dir", into.to_str().unwrap()]).status.success());
    for page in ["a", "exercises"] {
        browser.open(&format!("file://{}/{page}.html", into.display()));
        assert_eq!(
            browser.value(
                "document.querySelectorAll('main textarea, main .run, #exercise-progress *').length"
            ),
            0
        );
        // mdBook's own, for copying and for hidden lines, work from a file.
        browser.expect_none("a button", "[...document.querySelectorAll('main button')].map((button) => button.title).filter((title) => !/Copy|hidden lines/.test(title))");
    }
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_books_own_blocks_run() {
    let reader = Reader::of(Book::own());
    let browser = &reader.browser;
    reader.open("introduction.html");
    let block = Block::of(&reader, 0);
    block.click(".run-go");
    // The crate may have to be compiled first.
    let done = format!("{}.innerText.startsWith('ran in ')", block.find(".run-status"));
    browser.wait_long_for(&done, Duration::from_secs(240));
    assert!(block.output().contains("[[-1.342, -0.447, 0.447, 1.342]]"), "{}", block.output());
    // The network of 14.7, trained.
    reader.open("using_layer_norm.html");
    let block = Block::of(&reader, 0);
    assert!(block.code().contains("adam.step"), "{}", block.code());
    assert!(block.run().starts_with("ran in "), "{}", block.output());
    assert!(!block.output().is_empty());
    browser.value("localStorage.clear()");
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn only_the_check_itself_says_solved() {
    let reader = reader();
    let browser = &reader.browser;
    let block = Block::of(&reader, 0);
    block.caret_behind("    ");
    browser.keys("if x < 0 { 1 } else { println!(\"solved\"); std::process::exit(0) } // ");
    assert!(
        block.run().starts_with("ended before the exercise was checked ("),
        "{}",
        block.output()
    );
    assert_eq!(block.output().trim(), "solved");
    assert_eq!(browser.value("localStorage.getItem('evenkeel-progress')"), json!(null));
    reader.expect_quiet();
}
