//! How long a reader waits: from the press of Run to the output in the page, beside the compiler on an empty program.
//!
//! It measures, so the machine should be idle, and it needs Debian's `chromium` and `chromium-driver`:
//! `cargo test --package evenkeel-press --test speed -- --ignored --nocapture`

mod common;
mod webdriver;

use common::{Book, Serving};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use webdriver::Browser;

const ROUNDS: usize = 25;

/// The compiler itself, as the press calls it: the one on the path may first look for it.
fn rustc() -> PathBuf {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
    Path::new(String::from_utf8(sysroot).unwrap().trim()).join("bin/rustc")
}

fn empty_program(rustc: &Path, folder: &Path) -> f64 {
    fs::write(folder.join("empty.rs"), "fn main() {}\n").unwrap();
    let begun = Instant::now();
    let status = Command::new(rustc).args(["empty.rs", "-o", "empty"]).current_dir(folder).status();
    assert!(status.unwrap().success());
    begun.elapsed().as_secs_f64() * 1e3
}

/// Clicks Run in a block of the open page, and returns the milliseconds until its output is there and its end is told.
fn press_to_output(browser: &Browser, block: usize) -> f64 {
    let took = browser.value(&format!(
        "new Promise((done) => {{
            const block = document.querySelectorAll('.run')[{block}];
            const part = (name) => block.querySelector(name);
            const begun = performance.now();
            new MutationObserver((_, observer) => {{
                if (part('.run-status').textContent.startsWith('ran in') && part('.run-output').textContent) {{
                    observer.disconnect();
                    done(performance.now() - begun);
                }}
            }}).observe(part('.run-status'), {{ childList: true }});
            part('.run-go').click();
        }})"
    ));
    took.as_f64().unwrap()
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn told(what: &str, times: &mut [f64]) -> f64 {
    let median = median(times);
    println!(
        "{what}: median {median:.0} ms of {}, {:.0} to {:.0}",
        times.len(),
        times[0],
        times[times.len() - 1]
    );
    median
}

#[test]
#[ignore = "measures; needs chromium and chromedriver"]
fn press_to_output_takes_little_more_than_the_compiler() {
    let book = Book::own();
    let (rustc, folder) = (rustc(), tempfile::tempdir().unwrap());
    let browser = Browser::start_without_log();
    // Once, so that the crate is compiled: the first run after a start is not to wait for that.
    let press = Serving::start(&book);
    browser.open(&format!("http://127.0.0.1:{}/introduction.html", press.port));
    browser.value("document.querySelector('.run-go').click()");
    let done = "document.querySelector('.run-status').innerText.startsWith('ran in ')";
    browser.wait_long_for(done, Duration::from_secs(240));
    drop(press);
    let (press, first) = first_run(&book, &browser);
    println!("first run after a start: {:.0} ms", first.as_secs_f64() * 1e3);
    assert!(first < Duration::from_secs(1));

    let (mut empty, mut runs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        empty.push(empty_program(&rustc, folder.path()));
        runs.push(press_to_output(&browser, 0));
    }
    let empty = told("rustc on an empty fn main", &mut empty);
    let run = told("from the press of Run to the output in the page", &mut runs);
    println!("{:.2} times as long", run / empty);

    browser.open(&format!("http://127.0.0.1:{}/using_layer_norm.html", press.port));
    let mut training: Vec<_> = (0..5).map(|_| press_to_output(&browser, 0)).collect();
    let training = told("the training of 14.7", &mut training);
    assert!(run <= 2.5 * empty);
    assert!(training <= 2000.0);
}

/// Starts a press, and runs the first block of the introduction as soon as its page is there.
fn first_run(book: &Book, browser: &Browser) -> (Serving, Duration) {
    let press = Serving::start(book);
    let begun = Instant::now();
    browser.open(&format!("http://127.0.0.1:{}/introduction.html", press.port));
    press_to_output(browser, 0);
    (press, begun.elapsed())
}
