//! Where the book and the crate are.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

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
