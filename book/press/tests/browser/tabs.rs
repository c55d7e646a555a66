//! Edits in several tabs, in a full browser, and in a file; and many runs at once.

use super::run::{Block, book, reader};
use crate::Reader;
use crate::common::Serving;
use crate::webdriver::Browser;
use serde_json::json;

/// Opens the page in a second tab, and returns the names of both.
fn two_tabs(reader: &Reader) -> [String; 2] {
    let first = reader.browser.tab();
    let second = reader.browser.new_tab();
    reader.browser.switch(&second);
    reader.open("a.html");
    [first, second]
}

const WARNING: &str = ".run-warning";
const NEXT: &str = ".run-next";
const FORGET: &str = ".run-forget";

#[track_caller]
fn wait_for_code(block: &Block, code: &str) {
    block.browser.wait_for(&format!("{}.value === {}", block.find("textarea"), json!(code)));
}

/// Makes the storage of this tab refuse every value, or take them again.
fn refuse_to_keep(browser: &Browser, refuse: bool) {
    let act = if refuse {
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }"
    } else {
        "Storage.prototype.setItem = window.setItem"
    };
    browser.value("void (window.setItem ??= Storage.prototype.setItem)");
    browser.value(&format!("void ({act})"));
}

/// Fills the browser's storage to the last letter.
fn fill(browser: &Browser) {
    browser.value(
        "(() => { for (let size = 1 << 22; size >= 1;) {
            try { localStorage.setItem(`fill-${Math.random()}`, 'x'.repeat(size)); } catch { size >>= 1; }
        } })()",
    );
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn an_edit_in_another_tab_appears_here() {
    let reader = reader();
    let browser = &reader.browser;
    let block = Block::of(&reader, 0);
    let original = block.code();
    let [first, second] = two_tabs(&reader);
    block.caret_behind("    ");
    browser.keys("42 + ");
    let edited = block.code();
    browser.switch(&first);
    wait_for_code(&block, &edited);
    assert!(block.text(".run-editor > code").contains("42 + 0"), "drawn, too");
    // The once stale tab goes on from there.
    block.caret_behind("42 + ");
    browser.keys("1 + ");
    let both = block.code();
    assert!(both.contains("42 + 1 + 0"), "{both}");
    browser.switch(&second);
    wait_for_code(&block, &both);
    block.click(".run-button:nth-child(2)");
    assert_eq!(block.code(), original);
    browser.switch(&first);
    wait_for_code(&block, &original);
    assert_eq!(browser.value(&format!("{}.hidden", block.find(NEXT))), true);
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn two_texts_of_one_block_are_both_kept() {
    let reader = reader();
    let browser = &reader.browser;
    let block = Block::of(&reader, 0);
    let [first, second] = two_tabs(&reader);
    // The first tab cannot keep what it has; meanwhile the second is typed in.
    browser.switch(&first);
    refuse_to_keep(browser, true);
    block.caret_behind("    ");
    browser.keys("1 + ");
    let mine = block.code();
    browser.switch(&second);
    block.caret_behind("    ");
    browser.keys("2 + ");
    let theirs = block.code();
    browser.switch(&first);
    refuse_to_keep(browser, false);
    browser.wait_for(&format!("{}.hidden === false", block.find(NEXT)));
    assert_eq!(block.code(), mine, "nobody takes away what stands here");
    block.caret_behind("1 + ");
    browser.keys("1 + ");
    let mine = block.code();
    assert_eq!(block.text(WARNING), "changed elsewhere too: 1 other version kept");
    block.click(NEXT);
    assert_eq!(block.code(), theirs);
    browser.switch(&second);
    wait_for_code(&block, &theirs);
    browser.reload();
    block.click(NEXT);
    assert_eq!(block.code(), mine);
    block.click(FORGET);
    assert_eq!(block.text(WARNING), "");
    assert_eq!(browser.value(&format!("{}.hidden", block.find(NEXT))), true);
    browser.switch(&first);
    wait_for_code(&block, &mine);
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn an_edit_that_is_not_kept_is_said_and_stays() {
    let reader = reader();
    let Reader { browser, book, .. } = &reader;
    let block = Block::of(&reader, 0);
    fill(browser);
    block.caret_behind("    ");
    browser.keys("x * 2 // ");
    let edited = block.code();
    let said = "not kept: this browser's storage is full or switched off; \
        copy the code before you close this tab";
    assert_eq!(block.text(WARNING), said);
    // Solved, and not kept either.
    assert!(
        block.run().ends_with(", but not kept: this browser's storage is full or switched off")
    );
    // A page that is rendered anew does not take the text away.
    book.write("src/a.md", &book.read("src/a.md").replace("A page", "Another title"));
    browser.wait_for("document.querySelector('#press-problem button') !== null");
    assert_eq!(block.code(), edited);
    // Once there is room, the next letter is kept with all others.
    browser.value("Object.keys(localStorage).filter((key) => key.startsWith('fill-')).forEach((key) => localStorage.removeItem(key))");
    block.caret_behind("2 // ");
    browser.keys("!");
    assert_eq!(block.text(WARNING), "");
    browser.reload();
    assert!(block.code().contains("x * 2 // !0"), "{}", block.code());
    reader.expect_quiet();
}

/// Chooses a file with these contents for Import, and returns what is said.
fn import(browser: &Browser, text: &str) -> String {
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
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn an_import_without_room_changes_nothing() {
    let reader = reader();
    let browser = &reader.browser;
    let block = Block::of(&reader, 0);
    block.caret_behind("    ");
    browser.keys("1 + ");
    let own = block.code();
    reader.open("exercises.html");
    fill(browser);
    let long = "y".repeat(50_000);
    let file = json!({ "evenkeel": 1, "progress": { "other": "solved" },
        "edits": { "exercise-demo": "fn short() {}", "0123abcd": long } });
    let said = import(browser, &file.to_string());
    assert_eq!(
        said,
        "not imported: this browser's storage is full or switched off; all is as it was"
    );
    assert_eq!(
        browser.text("document.querySelector('.exercise-count').innerText"),
        "0 of 2 solved"
    );
    assert_eq!(browser.value("localStorage.getItem('evenkeel-edit:0123abcd')"), json!(null));
    reader.open("a.html");
    assert_eq!(block.code(), own);
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn an_import_keeps_the_own_text_beside_the_files() {
    let reader = reader();
    let browser = &reader.browser;
    let block = Block::of(&reader, 0);
    let [page, list] = two_tabs(&reader);
    block.caret_behind("    ");
    browser.keys("1 + ");
    let own = block.code();
    // Longer than a run takes: Export writes such an edit, so Import reads it.
    let theirs = format!("fn double(x: i32) -> i32 {{\n    x\n}}\n// {}", "y".repeat(200_000));
    browser.switch(&list);
    reader.open("exercises.html");
    let file = json!({ "evenkeel": 1, "progress": {}, "edits": { "exercise-demo": theirs } });
    assert_eq!(
        import(browser, &file.to_string()),
        "imported: 0 solved exercises, 1 edited block; \
         of 1 block your own text is kept beside the file's"
    );
    browser.switch(&page);
    wait_for_code(&block, &theirs);
    block.click(NEXT);
    assert_eq!(block.code(), own);
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn where_edits_are_kept_is_said_beside_export() {
    let reader = reader();
    reader.open("exercises.html");
    let port = reader.press.port;
    let said = reader.browser.text("document.querySelector('#exercise-progress').innerText");
    assert!(said.contains(&format!("kept in this browser for 127.0.0.1:{port} alone")), "{said}");
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn eight_endless_runs_leave_room_for_another_page() {
    let book = book();
    let block = "```rust,editable\nprintln!(\"begun\");\nassert!(true);\nloop { std::thread::park(); }\n```\n\n";
    book.write("src/a.md", &format!("# A page\n\n{}", block.repeat(8)));
    // Longer than any test waits.
    let press = Serving::start_with(&book, &["--run-seconds", "600"]);
    let reader = Reader { browser: Browser::start(), press, book };
    let Reader { browser, book, .. } = &reader;
    reader.open("a.html");
    let blocks: Vec<_> = (0..8).map(|number| Block::of(&reader, number)).collect();
    blocks.iter().for_each(|block| block.click(".run-go"));
    let status = |block: &Block, words: &str| {
        browser.wait_for(&format!("{}.innerText === '{words}'", block.find(".run-status")));
    };
    status(&blocks[0], "running");
    blocks[1..].iter().for_each(|block| status(block, "waiting for another run to end"));

    let first = browser.tab();
    let other = browser.new_tab();
    browser.switch(&other);
    reader.open("exercises.html");
    // Its blocks wait for those of the first tab.
    reader.open("a.html");
    blocks[7].click(".run-go");
    status(&blocks[7], "waiting for another run to end");
    browser.switch(&first);
    for block in &blocks {
        block.click(".run-go");
        assert!(block.ends().starts_with("stopped after "));
    }
    browser.switch(&other);
    status(&blocks[7], "running");
    browser.close_tab();
    browser.switch(&first);
    book.expect_nothing_left();
}
