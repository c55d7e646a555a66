//! Run: compiles a block of a page against the crate and executes it, on this machine, as the reader.
//!
//! It is not a sandbox; `book/src/running_code.md` says what is protected and what is not. Who may ask is decided in
//! [`answer`], what a run may take in [`limits`]. A run belongs to its request: when the page stops it, goes away or
//! loses its connection, the answer's stream is dropped and with it the processes and the folder of the run.

mod block;
mod job;
mod library;
mod limits;
mod teller;

use crate::guard::is_own_origin;
use anyhow::{Context, Result};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use block::Block;
use library::Library;
use serde_json::json;
use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use teller::Teller;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// How much code one run takes, hidden lines included.
pub const MOST_CODE: usize = 100 << 10;
/// How much of a body is read: enough to tell a reader that the code is too long.
const MOST_BODY: usize = 8 << 20;
/// How many may wait for their turn.
const MOST_WAITING: usize = 32;

/// The header that carries the token.
const TOKEN: &str = "x-evenkeel-token";

/// If this process was started to be something else than the press: is it.
pub fn other_role() -> Option<ExitCode> {
    library::stand_in().or_else(limits::play)
}

/// Runs blocks, one at a time.
pub struct Runner {
    /// Another in each start of the press; only its pages have it.
    pub token: String,
    library: Arc<Library>,
    turn: Semaphore,
    present: AtomicUsize,
    /// How long a program may run.
    patience: Duration,
}

impl Runner {
    /// Runs blocks against the crate at `root`.
    pub fn new(root: PathBuf, patience: Duration) -> Result<Arc<Self>> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).context("the token")?;
        Ok(Arc::new(Self {
            token: format!("{:032x}", u128::from_ne_bytes(random)),
            library: Library::start(root),
            turn: Semaphore::new(1),
            present: AtomicUsize::new(0),
            patience,
        }))
    }

    /// Compiles the crate if its sources have changed, so that the next run need not wait.
    pub fn refresh(&self) {
        self.library.refresh();
    }
}

/// Answers a request to run a block by a stream of lines, each an event in JSON, or refuses it in one line.
pub async fn answer(State(runner): State<Arc<Runner>>, headers: HeaderMap, body: Body) -> Response {
    match accept(&runner, &headers, body).await {
        Ok(block) => stream(runner, block),
        Err((status, why)) => (status, format!("{why}\n")).into_response(),
    }
}

/// A block from a page of this press, or why not.
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
        let most = MOST_CODE >> 10;
        (StatusCode::PAYLOAD_TOO_LARGE, format!("code: expected at most {most} KiB, got {length}"))
    };
    let body = axum::body::to_bytes(body, MOST_BODY)
        .await
        .map_err(|_| too_long(format!("more than {} MiB", MOST_BODY >> 20)))?;
    let block = Block::parse(&body).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    if block.len() > MOST_CODE {
        return Err(too_long(format!("{} KiB", block.len() >> 10)));
    }
    Ok(block)
}

fn stream(runner: Arc<Runner>, block: Block) -> Response {
    let ahead = runner.present.fetch_add(1, Ordering::Relaxed);
    let present = Present(Arc::clone(&runner));
    if ahead > MOST_WAITING {
        let why = format!(
            "Run: expected at most {MOST_WAITING} to wait, got one more: try again later\n"
        );
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    }
    let (send, events) = mpsc::unbounded_channel();
    let teller = Teller(send.clone());
    tokio::spawn(async move {
        let run = async {
            let _present = present;
            if ahead > 0 {
                teller.tell(&json!({ "waiting": ahead }));
            }
            let Ok(_turn) = runner.turn.acquire().await else { return };
            let line = match runner.library.ready() {
                Some(result) => result,
                None => {
                    teller.tell(&json!({ "state": "building" }));
                    runner.library.line().await
                }
            };
            let end = match line {
                Ok(line) => job::run(&line, &block, runner.patience, &teller).await,
                Err(why) => job::End::of("crate", why),
            };
            teller.tell(&end.event());
        };
        tokio::select! {
            () = send.closed() => {}
            () = run => {}
        }
    });
    let body = Body::from_stream(UnboundedReceiverStream::new(events).map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// One of those who wait or run.
struct Present(Arc<Runner>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.present.fetch_sub(1, Ordering::Relaxed);
    }
}
