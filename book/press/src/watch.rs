//! Renders the book again when a file is saved.

use crate::render;
use crate::run::Runner;
use crate::site::{CurrentStatus, Site};
use crate::workspace::{Workspace, is_editors_own};
use anyhow::{Context, Result};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// An editor saves in several steps: wait until there was no change for `QUIET`, but at most `MAX_WAIT`.
const QUIET: Duration = Duration::from_millis(60);
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The changed paths, reported for as long as this is held.
pub struct Changes {
    paths: UnboundedReceiver<PathBuf>,
    _watcher: RecommendedWatcher,
}

/// Watches the book, and the code that its pages include.
pub fn changes(workspace: &Workspace) -> Result<Changes> {
    let (send, paths) = mpsc::unbounded_channel();
    let book = workspace.book.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Rendering reads the files, which is an event too.
        let Ok(event) = event else { return };
        if event.kind.is_access() {
            return;
        }
        for path in event.paths.into_iter().filter(|path| matters(&book, path)) {
            let _ = send.send(path);
        }
    })
    .context("the watcher")?;
    // The whole folder, so that `src` itself may be removed and come back.
    watcher.watch(&workspace.book, RecursiveMode::Recursive).context("the book's folder")?;
    // Files beside the book, which a page may include too; not the folders there, where `target` is one.
    watcher
        .watch(&workspace.root, RecursiveMode::NonRecursive)
        .context("the folder of the book")?;
    for code in ["src", "tests", "examples", "benches"] {
        let folder = workspace.root.join(code);
        if folder.is_dir() {
            watcher
                .watch(&folder, RecursiveMode::Recursive)
                .with_context(|| format!("the folder {code}"))?;
        }
    }
    Ok(Changes { paths, _watcher: watcher })
}

/// Whether a change to `path` calls for a render. In the book's own folder: the pages, the theme and
/// `book.toml`. In the others: everything. Beside the book: the files. Nowhere: the files that editors keep.
fn matters(book: &Path, path: &Path) -> bool {
    let root = book.parent().unwrap_or(book);
    if path.strip_prefix(root).unwrap_or(path).iter().any(is_editors_own)
        || (path.parent() == Some(root) && path.is_dir())
        || path.ends_with("Cargo.lock")
    {
        return false;
    }
    let Ok(inside) = path.strip_prefix(book) else { return true };
    let first = inside.iter().next().unwrap_or_default();
    ["src", "theme", "book.toml"].iter().any(|own| first == *own)
}

/// What is rendered, and where the result goes.
pub struct RenderTask {
    pub book: PathBuf,
    /// The tags in the head of each page.
    pub tags: Arc<str>,
    pub current: CurrentStatus,
}

/// Renders after each change, and then has the crate compiled for the blocks.
pub async fn render_on_change(task: RenderTask, mut changes: Changes, runner: Option<Arc<Runner>>) {
    let RenderTask { book, tags, current } = task;
    let mut shown = None;
    while let Some(first) = changes.paths.recv().await {
        let mut file = first;
        let give_up = Instant::now() + MAX_WAIT;
        while Instant::now() < give_up {
            match tokio::time::timeout(QUIET, changes.paths.recv()).await {
                Ok(Some(path)) => file = path,
                Ok(None) => return,
                Err(_) => break,
            }
        }
        let started = Instant::now();
        let (from, tags) = (book.clone(), Arc::clone(&tags));
        let rendered = match tokio::task::spawn_blocking(move || Site::render(&from, &tags)).await {
            Ok(result) => result,
            Err(panicked) => Err(panicked.into()),
        };
        match rendered {
            Ok(site) => {
                eprintln!(
                    "{} changed: rendered in {:.2} s",
                    file.file_name().unwrap_or_default().to_string_lossy(),
                    started.elapsed().as_secs_f64()
                );
                current.replace(site);
                shown = None;
            }
            Err(error) => {
                let message = render::lines(&error).join("\n");
                if shown.as_ref() != Some(&message) {
                    for line in message.lines() {
                        eprintln!("error: {line}");
                    }
                }
                current.set_problem(message.clone());
                shown = Some(message);
            }
        }
        if let Some(runner) = &runner {
            runner.refresh();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_editors_files_do_not_matter() {
        let book = Path::new("/.x/book"); // a project may stand in a hidden folder
        for path in [
            "/.x/book/src/a.md",
            "/.x/book/src/figures/a.svg",
            "/.x/book/theme/a.css",
            "/.x/book/book.toml",
            "/.x/src/lib.rs",
            "/.x/README.md",
        ] {
            assert!(matters(book, Path::new(path)), "{path}");
        }
        for path in [
            "/.x/book/book/index.html",
            "/.x/book/.evenkeel-press-1/new/a.html",
            "/.x/book/press/src/main.rs",
            "/.x/book",
            "/.x/book/src/.a.md.swp",
            "/.x/book/src/.#a.md",
            "/.x/book/src/figures/a.svg~",
            "/.x/src/4913",
            "/.x/src/#lib.rs#",
            "/.x/.git/index.lock",
            "/.x/Cargo.lock", // Cargo writes it whenever it compiles
        ] {
            assert!(!matters(book, Path::new(path)), "{path}");
        }
    }
}
