//! The events that a page gets while its block runs.

use axum::body::Bytes;
use tokio::sync::mpsc;

/// Sends events to the page, while there is a page. Events wait for a page that reads slowly: a program's
/// output is limited, so the queue is, too, and the program does not wait for the page.
#[derive(Clone)]
pub struct Events(pub mpsc::UnboundedSender<Bytes>);

impl Events {
    pub fn send(&self, event: &serde_json::Value) {
        // If the page is gone, the run is about to be dropped.
        let _ = self.0.send(format!("{event}\n").into());
    }
}
