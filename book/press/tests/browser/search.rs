//! Search, as a reader types: the first result explains what was asked for.

use super::Reader;
use crate::common::Book;

/// What a reader types, and the section that explains it.
const ASKED: &[(&str, &str)] = &[
    // Symbols, by letter and by name.
    ("ε", "layer_norm.html#the-formula"),
    ("epsilon", "layer_norm.html#the-formula"),
    ("eps", "layer_norm.html#the-formula"),
    ("γ", "layer_norm.html#the-formula"),
    ("gamma", "layer_norm.html#the-formula"),
    ("Γ", "layer_norm.html#the-formula"),
    ("β", "layer_norm.html#the-formula"),
    ("μ", "layer_norm.html#the-formula"),
    ("σ²", "layer_norm.html#the-formula"),
    ("x\u{302}", "layer_norm.html#the-formula"),
    ("x hat", "layer_norm.html#the-formula"),
    ("dγ", "layer_norm.html#dγ-and-dβ"),
    ("mean", "layer_norm.html#the-formula"),
    ("variance", "layer_norm.html#the-formula"),
    // Words of the text.
    ("learned scale", "layer_norm.html#142-layer-normalization"),
    ("running variance", "conventions.html#by-hand-first"),
    ("learning rate", "using_layer_norm.html#147-using-layernorm"),
    ("cross-entropy", "using_layer_norm.html#the-words"),
    ("memory limit", "running_code.html#what-a-run-may-take"),
    ("sandbox", "running_code.html#what-is-not-protected"),
    // Names of the code, and titles.
    ("gradient check", "tensor.html#checking-it"),
    ("gradient_check", "tensor.html#checking-it"),
    ("LayerNorm", "layer_norm.html#142-layer-normalization"),
    ("BatchNorm", "conventions.html#batchnorm"),
    ("AdamW", "conventions.html#adam-and-adamw"),
    ("exercises", "exercises.html#exercises"),
    ("iris", "iris.html#iris-the-whole-network"),
];

/// Types a query into an empty search box, and returns where the first results lead.
fn results(reader: &Reader, query: &str) -> Vec<String> {
    let browser = &reader.browser;
    browser.value("document.getElementById('mdbook-searchbar').value = ''");
    browser.keys(query);
    browser.wait_for(&format!(
        "document.querySelector('#mdbook-searchresults-header').innerText.includes(\"'{query}'\")"
    ));
    let found = browser.value(
        "[...document.querySelectorAll('#mdbook-searchresults li a')].slice(0, 5).map((link) => {
            const url = new URL(link.href);
            return url.pathname.slice(1) + decodeURIComponent(url.hash);
        })",
    );
    let found = found.as_array().unwrap().iter();
    found.map(|link| link.as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_readers_words_lead_to_the_section_that_explains_them() {
    let reader = Reader::of(Book::own());
    reader.open("introduction.html");
    reader.browser.keys("/");
    reader.browser.wait_for("document.activeElement.id === 'mdbook-searchbar'");
    let wrong: Vec<String> = ASKED
        .iter()
        .filter_map(|(query, section)| {
            let found = results(&reader, query);
            let first = found.first().is_some_and(|first| first == section);
            (!first).then(|| format!("{query}: expected {section}, got {found:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    reader.expect_quiet();
}
