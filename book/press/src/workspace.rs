//! Where the book and the crate are.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether a file is one that an editor keeps beside the file one edits: vim's swap file `.a.md.swp` and its test file
/// `4913`, Emacs's lock `.#a.md` (a link that leads nowhere) and unsaved text `#a.md#`, a backup `a.md~`. None of them
/// belongs to the book, nor does anything else that is hidden.
pub fn is_editors_own(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.')
        || name.ends_with('~')
        || (name.starts_with('#') && name.ends_with('#'))
        || name == "4913"
}

/// The folders the press works with.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The folder of `book.toml`.
    pub book: PathBuf,
    /// The folder above `book`: that of the crate whose examples draw the figures.
    pub root: PathBuf,
}

impl Workspace {
    /// The book at `book`, or this workspace's own.
    pub fn find(book: Option<PathBuf>) -> Result<Self> {
        let book = match book {
            Some(book) => book,
            None => Self::own()?,
        };
        if !book.join("book.toml").is_file() {
            bail!("book: expected a file book.toml in {}, got none", book.display());
        }
        let book = book.canonicalize().with_context(|| format!("book {}", book.display()))?;
        let root = book.parent().unwrap_or(&book).to_path_buf();
        Ok(Self { book, root })
    }

    fn own() -> Result<PathBuf> {
        // Cargo names the folder of this package; without Cargo, search from the current folder upwards.
        if let Some(package) = std::env::var_os("CARGO_MANIFEST_DIR")
            && let Some(book) = Path::new(&package).parent()
        {
            return Ok(book.to_path_buf());
        }
        let here = std::env::current_dir().context("the current folder")?;
        here.ancestors()
            .flat_map(|dir| [dir.join("book"), dir.to_path_buf()])
            .find(|book| book.join("book.toml").is_file())
            .context("book: expected book/book.toml here or above, got none: name its folder with --book DIR")
    }

    /// A Cargo command in this workspace.
    pub fn cargo(&self) -> Command {
        evenkeel_preprocessor::cargo(&self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editors_files_are_known_by_their_names() {
        for name in [".a.md.swp", ".a.md.swx", "4913", ".#a.md", "#a.md#", "a.md~", ".a.md.un~"] {
            assert!(is_editors_own(OsStr::new(name)), "{name}");
        }
        for name in ["a.md", "a~b.md", "c#.md", "#a.md", "4913.md", "14_913"] {
            assert!(!is_editors_own(OsStr::new(name)), "{name}");
        }
    }
}
