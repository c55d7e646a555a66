//! The crate, compiled for the blocks of the book.
//!
//! Cargo compiles the library, as for `cargo test --doc` but without what only the tests depend on. If the press is of
//! the same workspace, Cargo takes both together: then what they share was compiled with the press already.

use super::externs::Package;
use super::group::{ProcessGroup, supervised};
use super::progress::Progress;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::{Notify, watch};
use walkdir::{DirEntry, WalkDir};

/// The call of the compiler for a block.
#[derive(Debug)]
pub struct RustcCommand {
    /// The compiler itself: the one on the path may be a shim that first looks for the compiler.
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
    /// The compiled crates, with their stamps at that time.
    files: Vec<(PathBuf, Option<Stamp>)>,
}

/// The time when a file was written, and its length.
type Stamp = (SystemTime, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let data = path.metadata().ok()?;
    Some((data.modified().ok()?, data.len()))
}

impl RustcCommand {
    fn new(path: PathBuf, flags: Vec<String>) -> Result<Self, String> {
        let values = flags.iter().zip(flags.iter().skip(1));
        let externs = values.filter(|(flag, _)| *flag == "--extern");
        let files = externs.filter_map(|(_, value)| Some(PathBuf::from(value.split_once('=')?.1)));
        let files: Vec<_> = files.map(|file| (file.clone(), stamp(&file))).collect();
        if files.is_empty() {
            return Err("cargo: expected it to compile a library, got none".into());
        }
        Ok(Self { path, arguments: flags.into_iter().map(OsString::from).collect(), files })
    }

    /// Whether the compiled crates are unchanged: `cargo clean` removes them.
    fn is_current(&self) -> bool {
        self.files.iter().all(|(file, then)| then.is_some() && stamp(file) == *then)
    }
}

/// The last build.
struct Built {
    /// The hash of the sources before the build.
    sources: u64,
    result: Result<Arc<RustcCommand>, String>,
    at: Instant,
}

impl Built {
    fn is_current(&self, sources: u64) -> bool {
        // A build may fail for a reason outside the sources, such as a download: try again after this time.
        const RETRY_AFTER: Duration = Duration::from_secs(10);
        self.sources == sources
            && match &self.result {
                Ok(command) => command.is_current(),
                Err(_) => self.at.elapsed() < RETRY_AFTER,
            }
    }
}

/// The crate at `root`, built when its sources have changed.
pub struct Library {
    root: PathBuf,
    wanted: Notify,
    built: watch::Sender<Option<Built>>,
    progress: watch::Sender<Option<Progress>>,
}

impl Library {
    /// Starts the task that builds on request.
    pub fn start(root: PathBuf) -> Arc<Self> {
        let library = Arc::new(Self {
            root,
            wanted: Notify::new(),
            built: watch::Sender::new(None),
            progress: watch::Sender::new(None),
        });
        tokio::spawn(Arc::clone(&library).build_for_ever());
        library
    }

    /// Asks for a build if the sources have changed, without waiting for it.
    pub fn refresh(&self) {
        self.wanted.notify_one();
    }

    async fn build_for_ever(self: Arc<Self>) {
        loop {
            self.wanted.notified().await;
            let sources = hash_sources(&self.root);
            let current = self.built.borrow().as_ref().is_some_and(|last| last.is_current(sources));
            if !current {
                let started = Instant::now();
                let result = build(&self.root, &self.progress).await.map(Arc::new);
                if let Err(why) = &result {
                    for line in why.lines() {
                        eprintln!("error: {line}");
                    }
                } else if started.elapsed() > Duration::from_secs(1) {
                    eprintln!("the crate: compiled in {:.1} s", started.elapsed().as_secs_f64());
                }
                self.built.send_replace(Some(Built { sources, result, at: Instant::now() }));
                self.progress.send_replace(None);
            } else {
                // Wake up those who wait: they look again.
                self.built.send_modify(|_| {});
            }
        }
    }

    /// The call of the compiler for the current sources, if they are built.
    pub fn ready(&self) -> Option<Result<Arc<RustcCommand>, String>> {
        let sources = hash_sources(&self.root);
        let built = self.built.borrow();
        built.as_ref().filter(|built| built.is_current(sources)).map(|built| built.result.clone())
    }

    /// How far a build is: nothing before Cargo has said so, and when none is under way.
    pub fn progress(&self) -> watch::Receiver<Option<Progress>> {
        self.progress.subscribe()
    }

    /// Waits until the sources are built.
    pub async fn command(&self) -> Result<Arc<RustcCommand>, String> {
        let mut built = self.built.subscribe();
        loop {
            built.mark_unchanged();
            if let Some(result) = self.ready() {
                return result;
            }
            self.refresh();
            if built.changed().await.is_err() {
                return Err("the press is ending".into());
            }
        }
    }
}

/// A hash of the sources: another number when a file was written, added or removed.
fn hash_sources(root: &Path) -> u64 {
    let mut files: Vec<PathBuf> =
        ["Cargo.toml", "Cargo.lock", "build.rs", "rust-toolchain.toml", ".cargo/config.toml"]
            .map(|name| root.join(name))
            .into();
    let inside = WalkDir::new(root.join("src")).sort_by_file_name().into_iter().flatten();
    files.extend(inside.filter(|entry| !entry.file_type().is_dir()).map(DirEntry::into_path));
    let mut hasher = DefaultHasher::new();
    for file in files {
        (&file, stamp(&file)).hash(&mut hasher);
    }
    hasher.finish()
}

async fn build(
    root: &Path,
    progress: &watch::Sender<Option<Progress>>,
) -> Result<RustcCommand, String> {
    let cargo = |arguments: &[&str]| {
        let mut cargo = evenkeel_preprocessor::cargo(root);
        cargo.args(arguments).env("CARGO_TERM_COLOR", "never");
        cargo
    };
    let metadata = cargo(&["metadata", "--no-deps", "--format-version=1"]);
    let metadata = output(&metadata, |_| {}).await?;
    let package = Package::read(&metadata, &root.join("Cargo.toml"))?;

    let mut cargo = cargo(&["build", "--lib", "--message-format=json-render-diagnostics"]);
    cargo.args(["--package", &package.name]);
    if package.with_press {
        cargo.args(["--package", env!("CARGO_PKG_NAME")]);
    }
    // The progress bar, which Cargo else shows in a terminal only, as wide as the names of the crates may need.
    cargo
        .env("CARGO_TERM_QUIET", "false")
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "120")
        .env("CARGO_TERM_PROGRESS_TERM_INTEGRATION", "false");
    let messages = output(&cargo, |line| {
        if let Some(new) = Progress::read(line) {
            progress.send_if_modified(|old| old.replace(new.clone()) != Some(new));
        }
    })
    .await?;

    let failed = |error: io::Error| format!("rustc --print sysroot: {error}");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut sysroot = Command::new(&rustc);
    sysroot.args(["--print", "sysroot"]).current_dir(root).stdin(Stdio::null());
    let sysroot = sysroot.output().await.map_err(failed)?.stdout;
    let name = if cfg!(windows) { "rustc.exe" } else { "rustc" };
    let own = Path::new(String::from_utf8_lossy(&sysroot).trim()).join("bin").join(name);
    RustcCommand::new(if own.is_file() { own } else { rustc.into() }, package.flags(&messages))
}

/// What Cargo writes to stdout. Each line of stderr goes to `line`, those of the progress bar too.
async fn output(cargo: &std::process::Command, line: impl FnMut(&str)) -> Result<String, String> {
    let failed = |error: io::Error| format!("cargo: {error}");
    let mut cargo = supervised(cargo);
    cargo.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut cargo = ProcessGroup::spawn(&mut cargo).map_err(failed)?;
    let (mut stdout, stderr) = (cargo.child.stdout.take(), cargo.child.stderr.take());
    let mut text = Vec::new();
    let read = async {
        match &mut stdout {
            Some(stdout) => stdout.read_to_end(&mut text).await,
            None => Ok(0),
        }
    };
    let (_, errors) = tokio::try_join!(read, lines(stderr, line)).map_err(failed)?;
    if !cargo.child.wait().await.map_err(failed)?.success() {
        let at = errors.iter().position(|line| line.starts_with("error")).unwrap_or(0);
        return Err(format!("the crate does not compile\n{}", errors[at..].join("\n")));
    }
    String::from_utf8(text).map_err(|_| "cargo: expected paths in UTF-8, got others".into())
}

/// Reads to the end, and returns the lines that are not of the progress bar, which ends its own by a carriage return.
async fn lines(
    from: Option<impl AsyncRead + Unpin>,
    mut line: impl FnMut(&str),
) -> io::Result<Vec<String>> {
    let (mut kept, mut text) = (Vec::new(), Vec::new());
    let Some(from) = from else { return Ok(kept) };
    let mut from = BufReader::new(from);
    while let Ok(byte) = from.read_u8().await {
        if ![b'\n', b'\r'].contains(&byte) {
            text.push(byte);
            continue;
        }
        let whole = String::from_utf8_lossy(&text).trim_end().to_owned();
        text.clear();
        line(&whole);
        if byte == b'\n' && Progress::read(&whole).is_none() {
            kept.push(whole);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_current_while_its_crates_are_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let rlib = folder.path().join("libsmall.rlib");
        std::fs::write(&rlib, "x").unwrap();
        let flags = ["--edition=2024", "--extern", &format!("small={}", rlib.display())];
        let flags = flags.map(str::to_owned);
        let command = RustcCommand::new("rustc".into(), flags.to_vec()).unwrap();
        assert_eq!(command.arguments, flags.clone().map(OsString::from));
        assert!(command.is_current());
        std::fs::write(&rlib, "other").unwrap();
        assert!(!command.is_current());
        std::fs::remove_file(&rlib).unwrap();
        assert!(!command.is_current());
        assert!(RustcCommand::new("rustc".into(), flags[..1].to_vec()).is_err());
    }

    #[tokio::test]
    async fn cargos_lines_are_told_as_they_come_and_kept_but_for_its_progress() {
        let bytes =
            "   Compiling a\n    Building [=> ] 1/2: a \r        \rerror: b\n\n  c\n".as_bytes();
        let mut told = Vec::new();
        let kept = lines(Some(bytes), |line| told.push(line.to_owned())).await.unwrap();
        assert_eq!(kept, ["   Compiling a", "error: b", "", "  c"]);
        assert_eq!(told[1], "    Building [=> ] 1/2: a");
    }

    #[test]
    fn a_changed_new_or_lost_source_is_seen() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("src/norm")).unwrap();
        let file = root.path().join("src/norm/a.rs");
        let mut seen = vec![hash_sources(root.path())];
        std::fs::write(&file, "a").unwrap();
        seen.push(hash_sources(root.path()));
        assert_eq!(hash_sources(root.path()), seen[1]);
        std::fs::write(&file, "ab").unwrap();
        seen.push(hash_sources(root.path()));
        std::fs::write(root.path().join("Cargo.toml"), "").unwrap();
        seen.push(hash_sources(root.path()));
        std::fs::rename(&file, root.path().join("src/norm/b.rs")).unwrap();
        seen.push(hash_sources(root.path()));
        let mut different = seen.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), seen.len());
    }
}
