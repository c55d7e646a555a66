//! The crate, compiled for the blocks of the book.
//!
//! Cargo itself says how a block is compiled: as `cargo test --doc` compiles one. That command builds the crate and what
//! it depends on, tests' dependencies too, and then hands the line of flags to rustdoc. In the place of rustdoc stands
//! this program, which keeps the line. So Run uses the very files that `cargo test` does, and nothing is compiled twice.

use super::limits::{Group, this_press};
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::{Notify, watch};
use walkdir::{DirEntry, WalkDir};

/// In the environment of what Cargo takes for rustdoc: the file that its arguments go to.
const KEEP: &str = "EVENKEEL_PRESS_KEEPS";

/// If this process stands in for rustdoc: keeps its arguments, each ended by a NUL.
pub fn stand_in() -> Option<ExitCode> {
    let file = std::env::var_os(KEEP)?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let kept = arguments.iter().flat_map(|argument| [argument.as_encoded_bytes(), b"\0"]);
    match std::fs::write(&file, kept.flatten().copied().collect::<Vec<u8>>()) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("error: {}: {error}", PathBuf::from(file).display());
            Some(ExitCode::FAILURE)
        }
    }
}

/// How to compile a block.
#[derive(Debug)]
pub struct Line {
    /// The compiler itself: the one on the path may be a shim that first looks for it.
    pub rustc: PathBuf,
    pub arguments: Vec<OsString>,
    /// The compiled crates as they were.
    files: Vec<(PathBuf, Option<Stamp>)>,
}

/// When a file was written, and how long it is.
type Stamp = (SystemTime, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let data = path.metadata().ok()?;
    Some((data.modified().ok()?, data.len()))
}

impl Line {
    fn new(rustc: PathBuf, kept: &[u8]) -> Result<Self, String> {
        let kept = String::from_utf8(kept.to_vec())
            .map_err(|_| "cargo: expected paths in UTF-8, got others".to_owned())?;
        let mut line = Self { rustc, arguments: Vec::new(), files: Vec::new() };
        let mut words = kept.split('\0');
        while let Some(word) = words.next() {
            let flag = word.split('=').next().unwrap_or(word);
            if !["--extern", "-L", "--edition", "--cfg", "--target"].contains(&flag) {
                continue;
            }
            line.arguments.push(word.into());
            if flag == word
                && let Some(value) = words.next()
            {
                line.arguments.push(value.into());
                if let Some((_, file)) = value.split_once('=').filter(|_| flag == "--extern") {
                    line.files.push((file.into(), stamp(Path::new(file))));
                }
            }
        }
        if line.files.is_empty() {
            return Err("cargo: expected it to compile a library, got none".into());
        }
        Ok(line)
    }

    /// Whether the compiled crates still are what they were: `cargo clean` takes them away.
    fn holds(&self) -> bool {
        self.files.iter().all(|(file, then)| then.is_some() && stamp(file) == *then)
    }
}

/// The last build.
struct Built {
    /// Of the sources before it began.
    sources: u64,
    result: Result<Arc<Line>, String>,
    at: Instant,
}

impl Built {
    fn is_current(&self, sources: u64) -> bool {
        // What failed for a reason outside the sources, as a download does, is tried again.
        const AGAIN: Duration = Duration::from_secs(10);
        self.sources == sources
            && match &self.result {
                Ok(line) => line.holds(),
                Err(_) => self.at.elapsed() < AGAIN,
            }
    }
}

/// The crate at `root`, built when its sources have changed.
pub struct Library {
    root: PathBuf,
    wanted: Notify,
    built: watch::Sender<Option<Built>>,
}

impl Library {
    /// Builds from now on whenever it is asked to.
    pub fn start(root: PathBuf) -> Arc<Self> {
        let library =
            Arc::new(Self { root, wanted: Notify::new(), built: watch::Sender::new(None) });
        tokio::spawn(Arc::clone(&library).build_for_ever());
        library
    }

    /// Builds if the sources have changed. Does not wait for it.
    pub fn refresh(&self) {
        self.wanted.notify_one();
    }

    async fn build_for_ever(self: Arc<Self>) {
        loop {
            self.wanted.notified().await;
            let sources = sources(&self.root);
            let current = self.built.borrow().as_ref().is_some_and(|last| last.is_current(sources));
            if !current {
                let started = Instant::now();
                let result = build(&self.root).await.map(Arc::new);
                if let Err(why) = &result {
                    for line in why.lines() {
                        eprintln!("error: {line}");
                    }
                } else if started.elapsed() > Duration::from_secs(1) {
                    eprintln!("the crate: compiled in {:.1} s", started.elapsed().as_secs_f64());
                }
                self.built.send_replace(Some(Built { sources, result, at: Instant::now() }));
            } else {
                // Whoever asked looks again.
                self.built.send_modify(|_| {});
            }
        }
    }

    /// How to compile a block against the sources as they are now, if they are built.
    pub fn ready(&self) -> Option<Result<Arc<Line>, String>> {
        let sources = sources(&self.root);
        let built = self.built.borrow();
        built.as_ref().filter(|built| built.is_current(sources)).map(|built| built.result.clone())
    }

    /// Waits until the sources are built.
    pub async fn line(&self) -> Result<Arc<Line>, String> {
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

/// Stands for the sources as they are: another number when a file was written, came or went.
fn sources(root: &Path) -> u64 {
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

async fn build(root: &Path) -> Result<Line, String> {
    let failed = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let kept = tempfile::NamedTempFile::with_prefix("evenkeel-press-").map_err(failed("a file"))?;
    let mut cargo = Command::from(evenkeel_preprocessor::cargo(root));
    cargo
        .args(["test", "--doc", "--quiet"])
        .env("RUSTDOC", this_press())
        .env(KEEP, kept.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut cargo = Group::spawn(&mut cargo).map_err(failed("cargo"))?;
    let mut said = Vec::new();
    if let Some(mut errors) = cargo.child.stderr.take() {
        errors.read_to_end(&mut said).await.map_err(failed("cargo"))?;
    }
    if !cargo.child.wait().await.map_err(failed("cargo"))?.success() {
        let said = String::from_utf8_lossy(&said);
        let said = said.trim();
        let at = said.find("error").filter(|_| !said.is_empty());
        return Err(format!("the crate does not compile\n{}", &said[at.unwrap_or(0)..]));
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut asked = Command::new(&rustc);
    asked.args(["--print", "sysroot"]).current_dir(root).stdin(Stdio::null());
    let sysroot = asked.output().await.map_err(failed("rustc --print sysroot"))?.stdout;
    let sysroot = String::from_utf8_lossy(&sysroot);
    let own = Path::new(sysroot.trim()).join("bin").join(if cfg!(windows) {
        "rustc.exe"
    } else {
        "rustc"
    });
    Line::new(
        if own.is_file() { own } else { rustc.into() },
        &std::fs::read(kept.path()).map_err(failed("a file"))?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_what_says_how_to_find_crates() {
        let folder = tempfile::tempdir().unwrap();
        let rlib = folder.path().join("libsmall.rlib");
        std::fs::write(&rlib, "x").unwrap();
        let kept = [
            "--edition=2024",
            "--crate-type",
            "lib",
            "--test",
            "src/lib.rs",
            "--deny=missing_docs",
            "--extern",
            &format!("small={}", rlib.display()),
            "-L",
            "dependency=/target/deps",
            "-C",
            "lto=off",
            "",
        ]
        .join("\0");
        let line = Line::new("rustc".into(), kept.as_bytes()).unwrap();
        let expected = [
            "--edition=2024".to_owned(),
            "--extern".into(),
            format!("small={}", rlib.display()),
            "-L".into(),
            "dependency=/target/deps".into(),
        ];
        assert_eq!(line.arguments, expected.map(OsString::from));
        assert!(line.holds());
        std::fs::write(&rlib, "other").unwrap();
        assert!(!line.holds());
        std::fs::remove_file(&rlib).unwrap();
        assert!(!line.holds());
        assert!(Line::new("rustc".into(), b"--edition=2024\0").is_err());
    }

    #[test]
    fn a_changed_new_or_lost_source_is_seen() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("src/norm")).unwrap();
        let file = root.path().join("src/norm/a.rs");
        let mut seen = vec![sources(root.path())];
        std::fs::write(&file, "a").unwrap();
        seen.push(sources(root.path()));
        assert_eq!(sources(root.path()), seen[1]);
        std::fs::write(&file, "ab").unwrap();
        seen.push(sources(root.path()));
        std::fs::write(root.path().join("Cargo.toml"), "").unwrap();
        seen.push(sources(root.path()));
        std::fs::rename(&file, root.path().join("src/norm/b.rs")).unwrap();
        seen.push(sources(root.path()));
        let mut different = seen.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), seen.len());
    }
}
