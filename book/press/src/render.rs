//! Renders Markdown to pages, with mdBook as a library.

use anyhow::{Context, Error, Result, anyhow, bail};
use evenkeel_preprocessor::{EvenKeel, Problems, Source, check_summary};
use mdbook_driver::MDBook;
use mdbook_driver::builtin_preprocessors::{IndexPreprocessor, LinkPreprocessor};
use mdbook_driver::config::Config;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{MAIN_SEPARATOR, Path};
use std::sync::{Mutex, Once, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use walkdir::WalkDir;

/// The configuration in `book.toml`.
pub fn config(book: &Path) -> Result<Config> {
    Config::from_disk(book.join("book.toml")).with_context(|| format!("{}/book.toml", name(book)))
}

/// The last part of a path, for messages.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Renders the book into the folder `into`, which need not exist, and returns mdBook's warnings.
pub fn render(book: &Path, into: &Path) -> Result<Vec<String>> {
    let mut config = config(book)?;
    check_summary(&Source::new(book, &config.book.src))?;
    // A stock mdBook calls our preprocessor by the command that book.toml names; here it is a library.
    config.set("preprocessor", toml::Table::new())?;
    config.build.use_default_preprocessors = false;
    config.build.create_missing = false;
    config.build.build_dir = into.to_path_buf();
    collect_warnings();
    let built = catch_unwind(AssertUnwindSafe(|| {
        let mut book = MDBook::load_with_config(book, config)?;
        book.with_preprocessor(EvenKeel)
            .with_preprocessor(LinkPreprocessor::new())
            .with_preprocessor(IndexPreprocessor::new());
        book.build()
    }));
    let warnings = std::mem::take(&mut *WARNINGS.lock().unwrap_or_else(PoisonError::into_inner));
    match built {
        Ok(result) => result.map(|()| warnings),
        Err(_) => Err(anyhow!("mdBook panicked: its message stands above")),
    }
}

/// An error in lines: one for each problem of the pages, one for any other error.
pub fn lines(error: &Error) -> Vec<String> {
    match error.downcast_ref::<Problems>() {
        Some(problems) => problems.iter().map(ToString::to_string).collect(),
        None => vec![format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")],
    }
}

/// Renders the book into `dest`, which keeps its last good pages until the new ones are complete.
pub fn build(book: &Path, dest: &Path) -> Result<()> {
    refuse_foreign(dest)?;
    let dest = std::path::absolute(dest)?;
    let parent = dest
        .parent()
        .with_context(|| format!("--dest-dir {}: expected a folder to write to", dest.display()))?;
    std::fs::create_dir_all(parent).with_context(|| format!("--dest-dir {}", dest.display()))?;
    // Beside the destination, so that a rename puts it in place.
    let temporary = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(parent)?;
    let (new, old) = (temporary.path().join("new"), temporary.path().join("old"));
    for warning in render(book, &new)? {
        eprintln!("warning: {warning}");
    }
    if dest.exists() {
        std::fs::rename(&dest, &old)?;
    }
    std::fs::rename(&new, &dest).inspect_err(|_| drop(std::fs::rename(&old, &dest)))?;
    Ok(())
}

/// The start of the names of the press's temporary folders.
pub const TEMPORARY: &str = ".evenkeel-press-";

/// Refuses to replace a folder that holds anything but rendered pages.
fn refuse_foreign(dest: &Path) -> Result<()> {
    match std::fs::read_dir(dest).map(Iterator::count) {
        Ok(1..) if !dest.join("toc.html").is_file() => {
            bail!(
                "--dest-dir {}: expected an empty folder or rendered pages, got other files",
                dest.display()
            )
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("--dest-dir {}: expected a folder, got: {error}", dest.display())
        }
        _ => Ok(()),
    }
}

/// Every file below `dir`, by its path relative to `dir`, with `/` between the parts.
pub fn files(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in WalkDir::new(dir).follow_links(true) {
        let entry = entry?;
        if !entry.file_type().is_dir() {
            let name =
                entry.path().strip_prefix(dir)?.to_string_lossy().replace(MAIN_SEPARATOR, "/");
            found.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(found)
}

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Collects mdBook's warnings (of an open HTML tag, say), which mdBook only logs.
fn collect_warnings() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(tracing::subscriber::set_global_default(WarningCollector)));
}

struct WarningCollector;

impl Subscriber for WarningCollector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("mdbook")
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let line = message.0.split_whitespace().collect::<Vec<_>>().join(" ");
        WARNINGS.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}
