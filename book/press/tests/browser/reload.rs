//! A page that is rendered anew while somebody reads it: what is loaded again, when, and what stays.

use super::run::{Block, PAGE, reader};
use crate::Reader;
use crate::webdriver::Browser;
use serde_json::json;

const TITLE: &str = "document.querySelector('main h1')?.innerText";
const BANNER: &str = "(document.querySelector('#press-problem')?.innerText ?? '')";

/// Waits until the press serves these words on that page.
#[track_caller]
fn wait_until_served(browser: &Browser, page: &str, words: &str) {
    browser.value(&format!(
        "void (window.asking = setInterval(async () => {{
            const text = await (await fetch('/{page}')).text();
            if (text.includes('{words}')) {{ clearInterval(window.asking); window.served = '{words}'; }}
        }}, 50))"
    ));
    browser.wait_for(&format!("window.served === '{words}'"));
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_save_of_another_page_leaves_this_one_alone() {
    let reader = reader();
    let Reader { browser, book, .. } = &reader;
    browser.value("window.stayed = true");
    let exercises = book.read("src/exercises.md");
    book.write("src/exercises.md", &format!("{exercises}\nWords of tomorrow.\n"));
    wait_until_served(browser, "exercises.html", "Words of tomorrow");
    // A later save of this page is the proof that the page would have heard of the first.
    assert_eq!(browser.value("window.stayed"), true);
    book.write("../src/other.rs", "// of no page\n");
    book.write("src/a.md", &PAGE.replace("A page", "Another title"));
    browser.wait_for(&format!("{TITLE} === 'Another title' && window.stayed === undefined"));
    // The list of pages stands on each of them.
    book.write("src/SUMMARY.md", "# Summary\n\n- [A](a.md)\n- [Other exercises](exercises.md)\n");
    browser.wait_for(
        "document.querySelector('#mdbook-sidebar')?.innerText.includes('Other exercises') === true",
    );
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_search_of_a_page_that_stayed_finds_the_new_words() {
    let reader = reader();
    let Reader { browser, book, .. } = &reader;
    browser.value("window.stayed = true");
    let exercises = book.read("src/exercises.md");
    book.write("src/exercises.md", &format!("{exercises}\nSomething about giraffes.\n"));
    wait_until_served(browser, "exercises.html", "giraffes");
    super::search(browser, "giraffes");
    assert!(browser.text("location.pathname").ends_with("exercises.html"));
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_save_never_ends_a_run() {
    let reader = reader();
    let Reader { browser, book, .. } = &reader;
    let block = Block::of(&reader, 4);
    block.click(".run-go");
    browser.wait_for(&format!("{}.innerText.includes('begun')", block.find(".run-output")));
    book.write("src/a.md", &PAGE.replace("A page", "Another title"));
    browser.wait_for(&format!("{BANNER}.startsWith('This page was rendered anew.')"));
    assert_eq!(block.text(".run-go"), "Stop");
    assert_eq!(browser.text(TITLE), "A page");
    // A mistake that follows is told as well; mended, the page is offered again.
    book.write("src/a.md", "# A\n\n$\\nonsense$\n");
    browser.wait_for(&format!("{BANNER}.includes('book/src/a.md:3: formula does not parse')"));
    book.write("src/a.md", &PAGE.replace("A page", "A third title"));
    browser.wait_for(&format!("{BANNER} === 'This page was rendered anew. Load it'"));
    block.click(".run-go");
    assert!(block.ends().starts_with("stopped after "));
    browser.click("#press-problem button");
    browser.wait_for(&format!("{TITLE} === 'A third title'"));
    assert_eq!(block.output().trim(), "begun");
    assert!(block.text(".run-status").starts_with("stopped after "));
    book.expect_nothing_left();
    reader.expect_quiet();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_reload_keeps_outputs_place_and_focus() {
    let reader = reader();
    let Reader { browser, book, .. } = &reader;
    browser.screen(1000, 500);
    let (errors, picture) = (Block::of(&reader, 1), Block::of(&reader, 3));
    errors.run();
    picture.run();
    let before = [errors.output(), errors.text(".run-status"), picture.output()];
    picture.caret_behind("after <svg");
    browser
        .value(&format!("{}.scrollIntoView({{ block: 'center' }})", picture.find(".run-editor")));
    let top = format!("{}.getBoundingClientRect().top", picture.find(".run-editor"));
    let where_it_was = browser.value(&top).as_f64().unwrap();

    // Some words more above: what is read stays where it is on the screen.
    let more = format!("# A page\n\n{}\n", "Some words more. ".repeat(80));
    book.write("src/a.md", &PAGE.replacen("# A page\n", &more, 1));
    browser.wait_for("document.querySelector('main p')?.innerText.includes('Some words') === true");
    browser.wait_for(&format!("{}.naturalWidth === 300", picture.find("img")));
    assert_eq!([errors.output(), errors.text(".run-status"), picture.output()], before);
    assert_eq!(errors.text(".run-numbers .bad"), "1", "the line with an error is marked");
    let caret = browser.value(&format!("{}.selectionStart", picture.find("textarea")));
    assert_eq!(caret, json!(picture.code().find("after <svg").unwrap() + "after <svg".len()));
    let focused = format!("document.activeElement === {}", picture.find("textarea"));
    assert_eq!(browser.value(&focused), true);
    browser.wait_for(&format!("Math.abs({top} - {where_it_was}) < 2"));
    // But the reader's own reload starts afresh.
    browser.reload();
    assert_eq!(picture.output(), "");
    reader.expect_quiet();
}
