//! What is served: the pages of the last good render, held in memory, and the error of a later one.
//!
//! A reader never sees half of a render, and no request can lead out of the pages.

use crate::render;
use crate::temporary::Folder;
use anyhow::Result;
use axum::body::Bytes;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch as channel;
use tokio_stream::wrappers::WatchStream;

/// One render.
pub struct Site {
    /// A hash of the content: an open page that was loaded from another render reloads.
    pub id: String,
    pub files: HashMap<String, Bytes>,
}

impl Site {
    /// Renders the book, with `tags` in the head of each page.
    pub fn render(book: &Path, tags: &str) -> Result<Self> {
        let temporary = Folder::new("evenkeel-press-")?;
        let pages = temporary.path().join("pages");
        for warning in render::render(book, &pages)? {
            eprintln!("warning: {warning}");
        }
        let files = render::files(&pages)?;
        let mut hasher = DefaultHasher::new();
        // A new token makes a new id, so that an open page reloads and gets the token.
        hasher.write(tags.as_bytes());
        for (name, content) in &files {
            hasher.write(name.as_bytes());
            hasher.write(content);
        }
        let id = format!("{:016x}", hasher.finish());
        let tags = format!(r#"<meta name="render" content="{id}">{tags}</head>"#);
        let files = files
            .into_iter()
            .map(|(name, content)| match String::from_utf8(content) {
                Ok(text) if name.ends_with(".html") => {
                    (name, text.replacen("</head>", &tags, 1).into())
                }
                Ok(text) => (name, text.into()),
                Err(binary) => (name, binary.into_bytes().into()),
            })
            .collect();
        Ok(Self { id, files })
    }
}

/// The last good render, and the error of a later one.
#[derive(Clone)]
pub struct Status {
    pub site: Arc<Site>,
    pub problem: Option<String>,
}

/// The current status, for requests and for pages that wait for the next one.
#[derive(Clone)]
pub struct CurrentStatus(channel::Sender<Status>);

impl CurrentStatus {
    pub fn new(site: Site) -> Self {
        Self(channel::Sender::new(Status { site: Arc::new(site), problem: None }))
    }

    /// The status as it is.
    pub fn get(&self) -> Status {
        self.0.borrow().clone()
    }

    /// The status as it is, and then each one that follows.
    pub fn stream(&self) -> WatchStream<Status> {
        WatchStream::new(self.0.subscribe())
    }

    /// Serves this render from now on.
    pub fn replace(&self, site: Site) {
        self.0.send_replace(Status { site: Arc::new(site), problem: None });
    }

    /// Keeps the last good render, and shows the open pages the error.
    pub fn set_problem(&self, message: String) {
        self.0.send_modify(|status| status.problem = Some(message));
    }
}
