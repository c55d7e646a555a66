//! Renders Markdown to pages, with mdBook as a library.

use crate::temporary::Folder;
use crate::workspace::is_editors_own;
use anyhow::{Context, Error, Result, anyhow, bail};
use evenkeel_preprocessor::{EvenKeel, Problems, Source, check_summary};
use mdbook_driver::MDBook;
use mdbook_driver::builtin_preprocessors::{IndexPreprocessor, LinkPreprocessor};
use mdbook_driver::config::Config;
use mdbook_html::HtmlHandlebars;
use mdbook_renderer::{RenderContext, Renderer};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
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
    // With hashes in the names of files, each page would change with the index of the search.
    config.set("output.html.hash-files", false)?;
    config.build.use_default_preprocessors = false;
    config.build.create_missing = false;
    config.build.build_dir = into.to_path_buf();
    collect_warnings();
    let built = catch_unwind(AssertUnwindSafe(|| {
        let mut book = MDBook::load_with_config(book, config)?;
        book.with_preprocessor(EvenKeel)
            .with_preprocessor(LinkPreprocessor::new())
            .with_preprocessor(IndexPreprocessor::new())
            .with_renderer(Html);
        book.build()
    }));
    let warnings = std::mem::take(&mut *WARNINGS.lock().unwrap_or_else(PoisonError::into_inner));
    match built {
        Ok(result) => result.map(|()| warnings),
        Err(_) => Err(anyhow!("mdBook panicked: its message stands above")),
    }
}

/// mdBook's pages, without the files that editors keep beside the book's. mdBook copies all files of the source folder,
/// and refuses to go on at a link that leads nowhere.
struct Html;

impl Renderer for Html {
    fn name(&self) -> &str {
        "html"
    }

    fn render(&self, ctx: &RenderContext) -> Result<()> {
        // Beside the pages, so that it goes when their temporary folder does.
        let beside = ctx.destination.parent().unwrap_or(&ctx.destination);
        std::fs::create_dir_all(beside)?;
        let own = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(beside)?;
        let src = ctx.root.join(&ctx.config.book.src);
        for name in listed(&src)? {
            let to = own.path().join(&name);
            std::fs::create_dir_all(to.parent().unwrap_or(own.path()))?;
            std::fs::copy(src.join(&name), &to).with_context(|| name.display().to_string())?;
        }
        let mut ctx = ctx.clone();
        ctx.config.book.src = own.path().to_path_buf();
        HtmlHandlebars::new().render(&ctx)
    }
}

/// The files below `dir`, relative to `dir`, but those that editors keep.
fn listed(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = WalkDir::new(dir).min_depth(1).follow_links(true).into_iter();
    let mut found = Vec::new();
    // An entry that leads nowhere has no file name to ask: its error is passed over only if it is an editor's.
    for entry in entries.filter_entry(|entry| !is_editors_own(entry.file_name())) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => found.push(entry.path().strip_prefix(dir)?.to_path_buf()),
            Err(error) if error.path().and_then(Path::file_name).is_some_and(is_editors_own) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// An error in lines: one for each problem of the pages, one for any other error.
pub fn lines(error: &Error) -> Vec<String> {
    match error.downcast_ref::<Problems>() {
        Some(problems) => problems.iter().map(ToString::to_string).collect(),
        None => vec![format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")],
    }
}

/// Renders the book into `dest`, which keeps its last good pages until the new ones are complete. If `dest` is not the
/// book's `own` folder for pages, files there that no build wrote are left alone, and so is `dest`.
pub fn build(book: &Path, dest: &Path, own: bool) -> Result<()> {
    // A link stays one: the pages go to where it leads.
    let dest = dest.canonicalize().or_else(|_| std::path::absolute(dest))?;
    if !own {
        refuse_foreign(&dest)?;
    }
    let parent = dest
        .parent()
        .with_context(|| format!("--dest-dir {}: expected a folder to write to", dest.display()))?;
    std::fs::create_dir_all(parent).with_context(|| format!("--dest-dir {}", dest.display()))?;
    remove_abandoned(parent);
    // Beside the destination, so that a rename puts it in place.
    let prefix = format!("{TEMPORARY}{}-", std::process::id());
    let temporary = Folder::new_in(parent, &prefix)?;
    let new = temporary.path().join("new");
    for warning in render(book, &new)? {
        eprintln!("warning: {warning}");
    }
    let list = names(&new)?.join("\n") + "\n";
    std::fs::write(new.join(LIST), list)?;
    if dest.exists() {
        exchange(&new, &dest, &temporary.path().join("old"))
    } else {
        Ok(std::fs::rename(&new, &dest)?)
    }
}

/// Puts the new folder in the place of the old one. On Linux both change places at once, so that no moment, and no end
/// of the program, leaves none.
fn exchange(new: &Path, dest: &Path, old: &Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if renameat_with(CWD, new, CWD, dest, RenameFlags::EXCHANGE).is_ok() {
            return Ok(());
        }
    }
    std::fs::rename(dest, old)?;
    std::fs::rename(new, dest).inspect_err(|_| drop(std::fs::rename(old, dest)))?;
    Ok(())
}

/// Removes temporary folders of builds that were ended from outside: their process is gone.
fn remove_abandoned(parent: &Path) {
    let processes = Path::new("/proc");
    if !processes.join("self").exists() {
        return; // no way to ask here
    }
    for entry in parent.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(TEMPORARY)?.split_once('-'));
        if let Some((process, _)) = process
            && !process.is_empty()
            && process.bytes().all(|digit| digit.is_ascii_digit())
            && !processes.join(process).exists()
        {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

/// The file in a folder of pages that lists the others.
const LIST: &str = ".evenkeel-pages";

/// The start of the names of the press's temporary folders.
pub const TEMPORARY: &str = ".evenkeel-press-";

/// Refuses to replace a folder that holds a file which no build wrote.
fn refuse_foreign(dest: &Path) -> Result<()> {
    let expected = "expected an empty folder or pages that an earlier build wrote";
    match std::fs::read_dir(dest).map(Iterator::count) {
        Ok(0) => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => bail!("--dest-dir {}: expected a folder, got: {error}", dest.display()),
    }
    let list = std::fs::read_to_string(dest.join(LIST)).unwrap_or_default();
    let written: HashSet<&str> = list.lines().chain([LIST]).collect();
    for entry in WalkDir::new(dest) {
        let entry = entry?;
        let name = relative(dest, entry.path())?;
        if !entry.file_type().is_dir() && !written.contains(name.as_str()) {
            bail!("--dest-dir {}: {expected}, got also {name}", dest.display());
        }
    }
    Ok(())
}

/// The path below `dir`, with `/` between the parts.
fn relative(dir: &Path, path: &Path) -> Result<String> {
    Ok(path.strip_prefix(dir)?.to_string_lossy().replace(MAIN_SEPARATOR, "/"))
}

/// Every file below `dir`, by its path relative to `dir`, with `/` between the parts.
pub fn files(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let names = names(dir)?;
    names.into_iter().map(|name| Ok((name.clone(), std::fs::read(dir.join(name))?))).collect()
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in WalkDir::new(dir).follow_links(true) {
        let entry = entry?;
        if !entry.file_type().is_dir() {
            found.push(relative(dir, entry.path())?);
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
