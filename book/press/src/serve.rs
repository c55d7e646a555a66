//! `cargo book`: serves the last good pages, to this machine only.

use crate::guard::is_loopback;
use crate::run::{self, Runner};
use crate::site::{CurrentStatus, Site};
use crate::workspace::Workspace;
use crate::{render, watch};
use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::convert::Infallible;
use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt};

/// The script that reloads an open page after a render. Only served pages have it.
const SCRIPT: &str = include_str!("live.js");
const SCRIPT_PATH: &str = "/-/live.js";
const EVENTS_PATH: &str = "/-/events";

/// The script and the style that make blocks editable and run them.
const RUN_SCRIPT: &str = include_str!("run.js");
const RUN_SCRIPT_PATH: &str = "/-/run.js";
const RUN_STYLE: &str = include_str!("run.css");
const RUN_STYLE_PATH: &str = "/-/run.css";
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

/// The tags in the head of a served page: the script that reloads it, and what runs its blocks.
fn tags(runner: Option<&Runner>) -> String {
    let mut tags = format!(r#"<script src="{SCRIPT_PATH}" defer></script>"#);
    if let Some(runner) = runner {
        let max = run::MAX_CODE;
        tags += &format!(
            r#"<meta name="run-token" content="{}"><meta name="run-most" content="{max}"><link rel="stylesheet" href="{RUN_STYLE_PATH}"><script src="{RUN_SCRIPT_PATH}" defer></script>"#,
            runner.token
        );
    }
    tags
}

/// Serves the book until Ctrl-C.
pub fn run(workspace: &Workspace, settings: &Settings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            done = serve(workspace, settings) => done,
            done = stopped() => done,
        }
    })
    // Dropping the runtime waits for a running render, which then removes its temporary folder.
}

async fn serve(workspace: &Workspace, settings: &Settings) -> Result<()> {
    let Settings { port, open, time_limit } = *settings;
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => listener,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!(
                "port {port} on 127.0.0.1 is taken: choose another with --port N (0 takes any free one)"
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
    let tags: Arc<str> = tags(runner.as_deref()).into();
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
    axum::serve(listener, router(current, runner)).await.context("the server stopped")
}

async fn stopped() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = tokio::signal::ctrl_c() => done?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn router(current: CurrentStatus, runner: Option<Arc<Runner>>) -> Router {
    let own = |kind: &'static str, text: &'static str| {
        get(async move || ([(header::CONTENT_TYPE, kind)], text))
    };
    let (script, style) = ("text/javascript; charset=utf-8", "text/css; charset=utf-8");
    let mut router = Router::new().route(SCRIPT_PATH, own(script, SCRIPT));
    if let Some(runner) = runner {
        router = router
            .route(RUN_SCRIPT_PATH, own(script, RUN_SCRIPT))
            .route(RUN_STYLE_PATH, own(style, RUN_STYLE))
            .route(RUN_PATH, post(run::answer).with_state(runner));
    }
    router
        .route(EVENTS_PATH, get(events).with_state(current.clone()))
        .fallback_service(get(file).with_state(current))
        .layer(middleware::from_fn(guard))
}

/// Answers only requests that name this machine, and adds the headers of every response.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = if is_loopback(request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "This server answers 127.0.0.1 and localhost only.\n")
            .into_response()
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

async fn file(State(current): State<CurrentStatus>, uri: Uri) -> Response {
    let site = current.get().site;
    let path = percent_encoding::percent_decode_str(uri.path()).decode_utf8_lossy();
    let mut name = path.trim_start_matches('/').to_owned();
    if name.is_empty() || name.ends_with('/') {
        name.push_str("index.html");
    }
    let (status, name, content) = match site.files.get(&name) {
        Some(content) => (StatusCode::OK, name.as_str(), content.clone()),
        None => (
            StatusCode::NOT_FOUND,
            "404.html",
            site.files.get("404.html").cloned().unwrap_or_default(),
        ),
    };
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    let mime =
        if mime.type_() == "text" { format!("{mime}; charset=utf-8") } else { mime.to_string() };
    (status, [(header::CONTENT_TYPE, mime)], content).into_response()
}

async fn events(
    State(current): State<CurrentStatus>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stream = current.stream().map(|status| {
        let text = serde_json::json!({ "render": status.site.id, "problem": status.problem });
        Ok(Event::default().data(text.to_string()))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}
