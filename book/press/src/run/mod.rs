//! Run: compiles a block of a page against the crate and executes it, on this machine, with the rights of
//! the reader.
//!
//! This is not a sandbox; `book/src/running_code.md` says what is protected and what is not. [`answer`]
//! decides who may ask, [`limits`] what a run may take. A run belongs to its request: when the page stops
//! it, goes away or loses its connection, the response is dropped, and with it the processes and the folder
//! of the run.

mod block;
mod diagnostics;
mod end;
mod events;
mod externs;
mod folder;
mod group;
mod job;
mod library;
mod limits;
mod lines;
mod output;
mod progress;
mod report;
mod syntax;

use crate::guard::{READ_TIME_LIMIT, is_own_origin};
use anyhow::{Context, Result};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use block::Block;
use end::End;
use events::Events;
use library::Library;
use progress::Progress;
use serde_json::json;
use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// The most code that a run takes, in bytes, hidden lines included.
pub const MAX_CODE: usize = 100 << 10;
/// The most of a body that is read, in bytes: enough to tell a reader that the code is too long.
const MAX_BODY: usize = 8 << 20;
/// The most runs that may wait for their turn.
const MAX_WAITING: usize = 32;

/// The header that carries the token.
const TOKEN: &str = "x-evenkeel-token";

/// If this process was started as a supervisor or as a limited copy: does that work.
pub fn run_as_helper() -> Option<ExitCode> {
    group::supervise().or_else(limits::run_limited)
}

/// Runs blocks, one at a time.
pub struct Runner {
    /// A new one at each start of the press; only its pages have it.
    pub token: String,
    library: Arc<Library>,
    turn: Semaphore,
    active_runs: AtomicUsize,
    /// How long a program may run.
    time_limit: Duration,
}

impl Runner {
    /// Runs blocks against the crate at `root`.
    pub fn new(root: PathBuf, time_limit: Duration) -> Result<Arc<Self>> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).context("the token")?;
        Ok(Arc::new(Self {
            token: format!("{:032x}", u128::from_ne_bytes(random)),
            library: Library::start(root),
            turn: Semaphore::new(1),
            active_runs: AtomicUsize::new(0),
            time_limit,
        }))
    }

    /// Compiles the crate if its sources have changed, so that the next run need not wait.
    pub fn refresh(&self) {
        self.library.refresh();
    }
}

/// Answers a request to run a block with a stream of lines, each an event in JSON, or refuses it in one
/// line.
pub async fn answer(State(runner): State<Arc<Runner>>, headers: HeaderMap, body: Body) -> Response {
    match accept(&runner, &headers, body).await {
        Ok(block) => stream(runner, block),
        Err((status, why)) => (status, format!("{why}\n")).into_response(),
    }
}

/// The block of a request from a page of this press, or why it is refused.
async fn accept(
    runner: &Runner,
    headers: &HeaderMap,
    body: Body,
) -> Result<Block, (StatusCode, String)> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if !is_own_origin(headers) {
        let got = text("origin").unwrap_or("none");
        return Err((
            StatusCode::FORBIDDEN,
            format!("Origin: expected a page of this press, got {got}"),
        ));
    }
    let kind = text(header::CONTENT_TYPE.as_str()).unwrap_or("none");
    if kind
        .split(';')
        .next()
        .is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("application/json"))
    {
        return Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("Content-Type: expected application/json, got {kind}"),
        ));
    }
    if text(TOKEN) != Some(&runner.token) {
        return Err((
            StatusCode::FORBIDDEN,
            "token: expected the one of this start of the press, got another or none: load the page again".into(),
        ));
    }
    let too_long = |length: String| {
        let max = MAX_CODE >> 10;
        (StatusCode::PAYLOAD_TOO_LARGE, format!("code: expected at most {max} KiB, got {length}"))
    };
    let body = timeout(READ_TIME_LIMIT, axum::body::to_bytes(body, MAX_BODY))
        .await
        .map_err(|_| {
            let seconds = READ_TIME_LIMIT.as_secs();
            let why = format!("body: expected all of it within {seconds} s, got a part");
            (StatusCode::REQUEST_TIMEOUT, why)
        })?
        .map_err(|_| too_long(format!("more than {} MiB", MAX_BODY >> 20)))?;
    let block = Block::parse(&body).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    if block.len() > MAX_CODE {
        return Err(too_long(format!("{} KiB", block.len() >> 10)));
    }
    Ok(block)
}

fn stream(runner: Arc<Runner>, block: Block) -> Response {
    let ahead = runner.active_runs.fetch_add(1, Ordering::Relaxed);
    let active = ActiveRun(Arc::clone(&runner));
    if ahead > MAX_WAITING {
        let why =
            format!("Run: expected at most {MAX_WAITING} to wait, got one more: try again later\n");
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    }
    let (send, receive) = mpsc::unbounded_channel();
    let events = Events(send.clone());
    tokio::spawn(async move {
        let run = async {
            let _active = active;
            if ahead > 0 {
                events.send(&json!({ "waiting": ahead }));
            }
            let Ok(_turn) = runner.turn.acquire().await else { return };
            let rustc = match runner.library.ready() {
                Some(result) => result,
                None => tokio::select! {
                    biased;
                    result = runner.library.command() => result,
                    never = tell_progress(&runner.library, &events) => match never {},
                },
            };
            let end = match rustc {
                Ok(rustc) => job::run(&rustc, &block, runner.time_limit, &events).await,
                Err(why) => End::of("crate", why),
            };
            events.send(&end.event());
        };
        tokio::select! {
            () = send.closed() => {}
            () = run => {}
        }
    });
    let body = Body::from_stream(UnboundedReceiverStream::new(receive).map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// Tells the page how far the build of the crate is, at each change.
async fn tell_progress(library: &Library, events: &Events) -> Infallible {
    let mut progress = library.progress();
    loop {
        events.send(&Progress::event(progress.borrow_and_update().as_ref()));
        if progress.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Counts a run that waits or runs, until it is dropped.
struct ActiveRun(Arc<Runner>);

impl Drop for ActiveRun {
    fn drop(&mut self) {
        self.0.active_runs.fetch_sub(1, Ordering::Relaxed);
    }
}
