//! The crate, compiled for the blocks of the book.
//!
//! A block is compiled as `cargo test --doc` compiles one. That command builds the crate and its
//! dependencies, those of tests too, and then calls rustdoc with the flags. Here the press takes rustdoc's
//! place and records the flags. So Run uses the same files as `cargo test`, and nothing is compiled twice.

use super::group::{ProcessGroup, own_executable, supervised};
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

/// The environment variable by which the press knows that it is called as rustdoc: the file for its
/// arguments.
const ARGUMENTS_FILE: &str = "EVENKEEL_PRESS_KEEPS";

/// If this process is called as rustdoc: writes its arguments to the file, each ended by a NUL.
pub fn record_rustdoc_arguments() -> Option<ExitCode> {
    let file = std::env::var_os(ARGUMENTS_FILE)?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let recorded = arguments.iter().flat_map(|argument| [argument.as_encoded_bytes(), b"\0"]);
    match std::fs::write(&file, recorded.flatten().copied().collect::<Vec<u8>>()) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("error: {}: {error}", PathBuf::from(file).display());
            Some(ExitCode::FAILURE)
        }
    }
}

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
    fn new(path: PathBuf, recorded: &[u8]) -> Result<Self, String> {
        let recorded = String::from_utf8(recorded.to_vec())
            .map_err(|_| "cargo: expected paths in UTF-8, got others".to_owned())?;
        let mut command = Self { path, arguments: Vec::new(), files: Vec::new() };
        let mut words = recorded.split('\0');
        while let Some(word) = words.next() {
            let flag = word.split('=').next().unwrap_or(word);
            if !["--extern", "-L", "--edition", "--cfg", "--target"].contains(&flag) {
                continue;
            }
            command.arguments.push(word.into());
            if flag == word
                && let Some(value) = words.next()
            {
                command.arguments.push(value.into());
                if let Some((_, file)) = value.split_once('=').filter(|_| flag == "--extern") {
                    command.files.push((file.into(), stamp(Path::new(file))));
                }
            }
        }
        if command.files.is_empty() {
            return Err("cargo: expected it to compile a library, got none".into());
        }
        Ok(command)
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
}

impl Library {
    /// Starts the task that builds on request.
    pub fn start(root: PathBuf) -> Arc<Self> {
        let library =
            Arc::new(Self { root, wanted: Notify::new(), built: watch::Sender::new(None) });
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

async fn build(root: &Path) -> Result<RustcCommand, String> {
    let failed = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let recorded =
        tempfile::NamedTempFile::with_prefix("evenkeel-press-").map_err(failed("a file"))?;
    let mut cargo = evenkeel_preprocessor::cargo(root);
    cargo
        .args(["test", "--doc", "--quiet"])
        .env("RUSTDOC", own_executable())
        .env(ARGUMENTS_FILE, recorded.path());
    let mut cargo = supervised(&cargo);
    cargo.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut cargo = ProcessGroup::spawn(&mut cargo).map_err(failed("cargo"))?;
    let mut messages = Vec::new();
    if let Some(mut errors) = cargo.child.stderr.take() {
        errors.read_to_end(&mut messages).await.map_err(failed("cargo"))?;
    }
    if !cargo.child.wait().await.map_err(failed("cargo"))?.success() {
        let messages = String::from_utf8_lossy(&messages);
        let messages = messages.trim();
        let at = messages.find("error").filter(|_| !messages.is_empty());
        return Err(format!("the crate does not compile\n{}", &messages[at.unwrap_or(0)..]));
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut sysroot_command = Command::new(&rustc);
    sysroot_command.args(["--print", "sysroot"]).current_dir(root).stdin(Stdio::null());
    let sysroot = sysroot_command.output().await.map_err(failed("rustc --print sysroot"))?.stdout;
    let sysroot = String::from_utf8_lossy(&sysroot);
    let own = Path::new(sysroot.trim()).join("bin").join(if cfg!(windows) {
        "rustc.exe"
    } else {
        "rustc"
    });
    RustcCommand::new(
        if own.is_file() { own } else { rustc.into() },
        &std::fs::read(recorded.path()).map_err(failed("a file"))?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_keeps_what_says_how_to_find_crates() {
        let folder = tempfile::tempdir().unwrap();
        let rlib = folder.path().join("libsmall.rlib");
        std::fs::write(&rlib, "x").unwrap();
        let recorded = [
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
        let command = RustcCommand::new("rustc".into(), recorded.as_bytes()).unwrap();
        let expected = [
            "--edition=2024".to_owned(),
            "--extern".into(),
            format!("small={}", rlib.display()),
            "-L".into(),
            "dependency=/target/deps".into(),
        ];
        assert_eq!(command.arguments, expected.map(OsString::from));
        assert!(command.is_current());
        std::fs::write(&rlib, "other").unwrap();
        assert!(!command.is_current());
        std::fs::remove_file(&rlib).unwrap();
        assert!(!command.is_current());
        assert!(RustcCommand::new("rustc".into(), b"--edition=2024\0").is_err());
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
