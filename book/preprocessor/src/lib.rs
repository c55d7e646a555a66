//! Checks the pages of the book and turns their formulas into MathML.
//!
//! The press calls this library; a stock mdBook calls the command of the same name. Both pass the pages
//! *before* mdBook's own `links` preprocessor, so that a line number here is the line of the file.
//!
//! The rules for a page are listed in [`page::transform`], those for the list of pages in
//! [`check_summary`].

mod doctests;
mod fences;
mod formulas;
mod includes;
mod math;
pub mod page;
mod search;
mod summary;

use mdbook_preprocessor::book::{Book, Chapter};
use mdbook_preprocessor::errors::{Error, Result};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use std::fmt;
use std::path::{Path, PathBuf};

pub use doctests::cargo;
pub use summary::check_summary;

/// One problem of the book, and its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The path of the file from the top of the repository: `book/src/layer_norm.md`.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, what was expected, what was found.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// All problems of the book, sorted by file and line; printed, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Ok` when there is nothing to report.
    pub fn refuse(mut list: Vec<Problem>) -> std::result::Result<(), Self> {
        list.sort();
        list.dedup();
        if list.is_empty() { Ok(()) } else { Err(Self(list)) }
    }

    /// The problems, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The folder of the pages, and its name in messages.
#[derive(Debug, Clone)]
pub struct Source {
    dir: PathBuf,
    name: String,
}

impl Source {
    /// The pages of the book at `root`, in its folder `src`.
    pub fn new(root: &Path, src: &Path) -> Self {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        let book = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { dir: root.join(src), name: format!("{book}/{}", slashes(src)) }
    }

    /// The page's name in a message.
    fn label(&self, page: &Path) -> String {
        format!("{}/{}", self.name, slashes(page))
    }

    fn label_of(&self, chapter: &Chapter) -> Option<String> {
        // The path that mdBook read, not the one it will write: `README.md` becomes `index.md`.
        chapter.source_path.as_deref().map(|path| self.label(path))
    }
}

fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// Checks every page of `book` and turns its formulas into MathML.
///
/// # Errors
/// All problems of the pages, in one list.
pub fn transform(source: &Source, book: &mut Book) -> std::result::Result<(), Problems> {
    let mut problems = Vec::new();
    if book.chapters().next().is_none() {
        problems.push(summary::no_pages(source));
    }
    book.for_each_chapter_mut(|chapter| {
        let (Some(path), Some(label)) = (chapter.source_path.clone(), source.label_of(chapter))
        else {
            return;
        };
        let dir = source.dir.join(path).parent().map(Path::to_path_buf).unwrap_or_default();
        let page = page::transform(&chapter.content, &label, &dir, &mut problems);
        chapter.content = search::mark_code(&page);
    });
    Problems::refuse(problems)
}

/// The preprocessor, in the form that mdBook calls.
#[derive(Debug, Default)]
pub struct EvenKeel;

impl Preprocessor for EvenKeel {
    fn name(&self) -> &str {
        "evenkeel"
    }

    fn run(&self, context: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let source = Source::new(&context.root, &context.config.book.src);
        if context.renderer == "test" {
            transform(&source, &mut book.clone())?;
            doctests::run(&context.root, &source, &book).map_err(Error::new)?;
            book.for_each_chapter_mut(|chapter| {
                chapter.content = page::ignore_rust(&chapter.content);
            });
        } else {
            transform(&source, &mut book)?;
        }
        Ok(book)
    }
}
