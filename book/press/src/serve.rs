//! `cargo book`: serves the last good pages, to this machine only.

use crate::assets::{self, Asset};
use crate::guard::{READ_TIME_LIMIT, is_loopback};
use crate::interrupt::at_interrupt;
use crate::run::{self, Runner};
use crate::site::{self, CurrentStatus, NOT_FOUND, Site};
use crate::workspace::Workspace;
use crate::{render, temporary, watch, workers};
use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::convert::Infallible;
use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_stream::{Stream, StreamExt};

const EVENTS_PATH: &str = "/-/events";
const RUN_PATH: &str = "/-/run";

/// The content security policy. mdBook's pages have scripts and styles in them; nothing comes from another
/// host.
const POLICY: &str = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'none'; \
    frame-ancestors 'self'";

/// Whether a browser can be opened here.
pub fn desktop() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(target_os = "macos", windows)) || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// How to serve.
pub struct Settings {
    pub port: u16,
    /// Whether to open the browser.
    pub open: bool,
    /// How long a block may run; `None` for a book that only shows its blocks.
    pub time_limit: Option<Duration>,
}

/// Serves the book until Ctrl-C.
pub fn run(workspace: &Workspace, settings: &Settings) -> Result<()> {
    let stop = Arc::new(Notify::new());
    let interrupted = Arc::clone(&stop);
    at_interrupt(move || interrupted.notify_one())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = serve(workspace, settings) => done,
            () = stop.notified() => Ok(()),
        }
    });
    // Ends the runs and the build, but does not wait for a render. What they leave is removed here.
    runtime.shutdown_background();
    temporary::remove_all();
    done
}

async fn serve(workspace: &Workspace, settings: &Settings) -> Result<()> {
    let Settings { port, open, time_limit } = *settings;
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => listener,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!(
                "port {port} on 127.0.0.1 is taken: end the program there, or choose another with --port N (0 takes any free one; a \
                browser keeps edits by port, and Export on the page of exercises takes them along)"
            )
        }
        Err(error) => return Err(error).with_context(|| format!("port {port} on 127.0.0.1")),
    };
    // Watch before the first render, so that no change between the two is missed.
    let changes = watch::changes(workspace);
    let book = workspace.book.clone();
    let title = render::config(&book)?.book.title.unwrap_or_else(|| "The book".into());
    // A book without a crate beside it has nothing to run.
    let time_limit = time_limit.filter(|_| workspace.root.join("Cargo.toml").is_file());
    let runner =
        time_limit.map(|time_limit| Runner::new(workspace.root.clone(), time_limit)).transpose()?;
    if let Some(runner) = &runner {
        runner.refresh(); // the first Run waits for the crate: it is compiled while the pages are rendered
    }
    let tags: Arc<str> = assets::tags(runner.as_deref()).into();
    let render = {
        let tags = Arc::clone(&tags);
        move || Site::render(&book, &tags)
    };
    let first = tokio::task::spawn_blocking(render).await??;
    let current = CurrentStatus::new(first);

    let address = format!("http://{}/", listener.local_addr()?);
    // A closed pipe is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{title} is at {address}  (Ctrl-C stops it)");
    if open && let Err(error) = open::that_detached(&address) {
        eprintln!("warning: the browser did not open: {error}");
    }
    match changes {
        Ok(changes) => {
            let task =
                watch::RenderTask { book: workspace.book.clone(), tags, current: current.clone() };
            tokio::spawn(watch::render_on_change(task, changes, runner.clone()));
        }
        Err(error) => eprintln!("warning: pages will not reload when a file is saved: {error:#}"),
    }
    answer(listener, router(current, runner)).await
}

/// Answers all connections, and ends those that send half a head and no more.
async fn answer(listener: TcpListener, router: Router) -> Result<()> {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(READ_TIME_LIMIT);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many files are open, say: others will be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        // An error is the browser's: it went away.
        tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
    }
}

fn router(current: CurrentStatus, runner: Option<Arc<Runner>>) -> Router {
    let token = runner.as_ref().map(|runner| Arc::from(runner.token.as_str()));
    let mut router = Router::new();
    for Asset { path, kind, text } in assets::ASSETS {
        router = router.route(path, get(async move || ([(header::CONTENT_TYPE, kind)], text)));
    }
    if let Some(runner) = runner {
        router = router.route(RUN_PATH, post(run::answer).with_state(runner));
    }
    router
        .route(EVENTS_PATH, get(events).with_state(current.clone()))
        .fallback_service(get(file).with_state((current, token)))
        .layer(middleware::from_fn(guard))
}

/// Answers only requests that name this machine, and adds the headers of every response.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = if !is_loopback(request.headers()) {
        (StatusCode::FORBIDDEN, "This server answers 127.0.0.1 and localhost only.\n")
            .into_response()
    } else if workers::is_wanted(request.headers()) {
        workers::last()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A page or a file beside the pages. A script that reads a page gets it without the token.
async fn file(
    State((current, token)): State<(CurrentStatus, Option<Arc<str>>)>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let site = current.get().site;
    let name = site::file_name(uri.path());
    let (status, name, content) = match site.files.get(&name) {
        Some(content) => (StatusCode::OK, name.as_str(), content.clone()),
        None => {
            let content = site.files.get(NOT_FOUND).cloned().unwrap_or_default();
            (StatusCode::NOT_FOUND, NOT_FOUND, content)
        }
    };
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    let mime =
        if mime.type_() == "text" { format!("{mime}; charset=utf-8") } else { mime.to_string() };
    let content = match (token, std::str::from_utf8(&content)) {
        (Some(token), Ok(text)) if workers::may_read(&headers) && text.contains(&*token) => {
            text.replace(&*token, "").into()
        }
        _ => content,
    };
    (status, [(header::CONTENT_TYPE, mime)], content).into_response()
}

/// Tells an open page, whose path is the query, of each change.
async fn events(
    State(current): State<CurrentStatus>,
    uri: Uri,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let name = site::file_name(uri.query().unwrap_or_default());
    let stream = current.stream().map(move |status| {
        let text = json!({ "render": status.site.page(&name), "problem": status.problem });
        Ok(Event::default().data(text.to_string()))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}
