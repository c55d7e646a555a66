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
    pub files: HashMap<String, Bytes>,
    /// A hash of each page and of what all pages load: an open page with another one reloads.
    pages: HashMap<String, String>,
}

/// The page that stands for an address without one.
pub const NOT_FOUND: &str = "404.html";

impl Site {
    /// Renders the book, with `tags` in the head of each page.
    pub fn render(book: &Path, tags: &str) -> Result<Self> {
        let temporary = Folder::new("evenkeel-press-")?;
        let pages = temporary.path().join("pages");
        for warning in render::render(book, &pages)? {
            eprintln!("warning: {warning}");
        }
        let files = render::files(&pages)?;
        let is_page = |name: &str| name.ends_with(".html");
        let mut shared = DefaultHasher::new();
        // A new token makes a new hash, so that an open page reloads and gets the token.
        shared.write(tags.as_bytes());
        for (name, content) in &files {
            // The index of the search changes with each page, and a page loads the index when it is needed.
            if !is_page(name) && !name.starts_with("searchindex") {
                shared.write(name.as_bytes());
                shared.write(content);
            }
        }
        let mut site = Self { files: HashMap::new(), pages: HashMap::new() };
        for (name, content) in files {
            let content = match String::from_utf8(content) {
                Ok(text) if is_page(&name) => {
                    let mut hasher = shared.clone();
                    hasher.write(text.as_bytes());
                    let id = format!("{:016x}", hasher.finish());
                    let tags = format!(r#"<meta name="render" content="{id}">{tags}</head>"#);
                    site.pages.insert(name.clone(), id);
                    text.replacen("</head>", &tags, 1).into()
                }
                Ok(text) => text.into(),
                Err(binary) => binary.into_bytes().into(),
            };
            site.files.insert(name, content);
        }
        Ok(site)
    }

    /// The hash of the page that is shown for this file name.
    pub fn page(&self, name: &str) -> &str {
        self.pages.get(name).or_else(|| self.pages.get(NOT_FOUND)).map_or("", String::as_str)
    }
}

/// The file that the path of an address asks for.
pub fn file_name(path: &str) -> String {
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let mut name = path.trim_start_matches('/').to_owned();
    if name.is_empty() || name.ends_with('/') {
        name.push_str("index.html");
    }
    name
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
