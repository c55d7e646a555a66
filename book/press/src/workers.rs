//! Service workers that other programs left at the port of the press. To a browser they are of the same origin: they
//! may read what the pages load and send. The press has none of its own, so it removes them, and gives them no token.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// Stands in the head of each page, behind the token.
pub const SCRIPT: &str = include_str!("workers.js");

/// Takes the place of a worker when the browser looks for a newer one.
const LAST: &str = include_str!("last_worker.js");

/// Whether the browser asks for the script of a worker: the press's pages start none.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    headers.get("service-worker").is_some_and(|value| value == "script")
}

/// The last worker, wherever the script of the other one lay.
pub fn last() -> Response {
    let kind = HeaderValue::from_static("text/javascript; charset=utf-8");
    let scope = HeaderValue::from_static("/");
    let allowed = HeaderName::from_static("service-worker-allowed");
    ([(header::CONTENT_TYPE, kind), (allowed, scope)], LAST).into_response()
}

/// Whether a script may read the answer: a worker's, or one of a page around a frame. Browsers say so with every
/// request to this machine.
pub fn may_read(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-dest").is_some_and(|value| value != "document")
        || headers.contains_key("service-worker-navigation-preload")
}
