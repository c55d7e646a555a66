//! A service worker that another program left at the port of the press: it stands between the pages and the press until
//! it is removed.

use crate::common::{Book, Serving};
use crate::webdriver::Browser;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Another program, with a page that starts its service worker.
struct Other {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Other {
    fn start(worker: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept()
                && !stopped.load(Ordering::Relaxed)
            {
                std::thread::spawn(move || Self::answer(stream, worker));
            }
        });
        Self { port, stop, thread: Some(thread) }
    }

    fn answer(mut stream: TcpStream, worker: &str) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        let request = lines.next()?.ok()?;
        lines.find(|line| line.as_ref().is_ok_and(String::is_empty))?.ok()?;
        let (kind, body) = match request.split(' ').nth(1)? {
            "/worker.js" => ("text/javascript", format!("{COMMON}{worker}")),
            _ => ("text/html", PAGE.to_owned()),
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .ok()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        let _ = self.thread.take().unwrap().join();
    }
}

const PAGE: &str = "<!doctype html><title>other</title>\
    <script>navigator.serviceWorker.register('/worker.js')</script>";

/// A worker that takes over at once, and keeps what it learns of the token.
const COMMON: &str = r#"
    addEventListener("install", () => skipWaiting());
    addEventListener("activate", (event) => event.waitUntil(clients.claim()));
    const keep = async (token) =>
        token && (await caches.open("taken")).put("/taken", new Response(token));
    const token = (page) => /run-token" content="([^"]+)"/.exec(page)?.[1];
    const passOn = async (response, request) => {
        await keep(request.headers.get("x-evenkeel-token"));
        await keep(token(await response.clone().text()));
        return response;
    };
"#;

/// What the worker has learned.
const TAKEN: &str = "caches.match('/taken').then((taken) => taken ? taken.text() : '')";

/// Whether the page is the press's own, with a token, and with no worker before it.
const ALONE: &str = "navigator.serviceWorker.controller === null
    && document.querySelector('meta[name=run-token]')?.content.length === 32
    && navigator.serviceWorker.getRegistrations().then((all) => all.length === 0)";

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_foreign_service_worker_learns_no_token_and_goes() {
    for worker in [
        // It passes requests on, and reads what comes.
        "addEventListener('fetch', (event) => event.respondWith(
            event.request.url.endsWith('.html') || event.request.method === 'POST'
                ? fetch(event.request).then((response) => passOn(response, event.request))
                : fetch(event.request)));",
        // It has the browser ask before it runs.
        "addEventListener('activate', (event) => event.waitUntil(registration.navigationPreload.enable()));
        addEventListener('fetch', (event) => event.request.mode === 'navigate' && event.respondWith(
            event.preloadResponse.then(async (early) =>
                passOn(early ?? await fetch(event.request), event.request))));",
        // It watches requests only: those of a page that it controls have the token.
        "addEventListener('fetch', (event) =>
            event.waitUntil(keep(event.request.headers.get('x-evenkeel-token'))));",
        // It shows its own page for every address.
        "addEventListener('fetch', (event) => event.request.mode === 'navigate' && event.respondWith(
            new Response('<title>from the worker</title>', { headers: { 'Content-Type': 'text/html' } })));",
    ] {
        let other = Other::start(worker);
        let port = other.port;
        let browser = Browser::start_without_log();
        let address = |page: &str| format!("http://127.0.0.1:{port}/{page}");
        browser.open(&address(""));
        browser.wait_for("navigator.serviceWorker.controller !== null");
        drop(other);

        let book = Book::with_crate();
        book.write("src/a.md", "# A\n\n```rust,editable\nprintln!(\"{}\", small::double(21));\nassert_eq!(small::double(1), 2);\n```\n");
        let _press = Serving::start_with(&book, &["--port", &port.to_string()]);
        browser.open(&address("a.html"));
        browser.wait_for(ALONE);
        browser.wait_for("document.querySelector('.run-go') !== null");
        browser.click(".run-go");
        browser.wait_for(
            "document.querySelector('.run-output')?.innerText.includes('42') === true",
        );
        assert_eq!(browser.text(TAKEN), "", "{worker}");
        // It is gone for good.
        browser.open(&address("b.html"));
        assert_eq!(browser.value(ALONE), true);
    }
}
