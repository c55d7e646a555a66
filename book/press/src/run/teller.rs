//! What a page is told while its block runs.

use axum::body::Bytes;
use tokio::sync::mpsc;

/// Tells the page what happens, while there is a page. Events wait for a page that is slow to read them: a program's
/// output is limited, so they do not grow without end, and its time is not the page's.
#[derive(Clone)]
pub struct Teller(pub mpsc::UnboundedSender<Bytes>);

impl Teller {
    pub fn tell(&self, event: &serde_json::Value) {
        // Nobody listens: the run is about to be dropped.
        let _ = self.0.send(format!("{event}\n").into());
    }
}
