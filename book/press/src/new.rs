//! `cargo book new-page` and `cargo book new-exercise`: skeletons of the files and lines that
//! CONTRIBUTING.md asks for.
//!
//! All texts are made before the first is written, so that a refusal leaves nothing half done. A skeleton
//! compiles and its tests pass. What is left to write is marked `TODO`, which `cargo book check` lists.

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The finding of the skeleton's figure: its title, and the start of its caption.
const FINDING: &str = "A LayerNorm gives each of 5 rows the standard deviation 1.00";

/// Names that mdBook, Cargo or the figures already use for files.
const TAKEN: [&str; 8] = ["common", "figure", "index", "main", "print", "readme", "summary", "toc"];

/// Rust's keywords, which cannot be names.
const KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
    super trait true try type typeof unsafe unsized use virtual where while yield";

/// The texts to write, by their paths from the root.
struct Skeleton<'a> {
    root: &'a Path,
    texts: BTreeMap<PathBuf, String>,
}

impl Skeleton<'_> {
    /// Adds a file that must not exist yet.
    fn add(&mut self, path: String, text: String) -> Result<()> {
        ensure!(!self.root.join(&path).exists(), "expected a new name, got one of a file: {path}");
        self.texts.insert(path.into(), text);
        Ok(())
    }

    /// Adds a line or a block to an existing file.
    fn change(&mut self, path: &str, more: impl FnOnce(&str) -> Option<String>) -> Result<()> {
        let text =
            std::fs::read_to_string(self.root.join(path)).with_context(|| path.to_owned())?;
        let text =
            more(&text).with_context(|| format!("{path}: expected a list to add to, got none"))?;
        self.texts.insert(path.into(), text);
        Ok(())
    }

    fn write(self) -> Result<()> {
        for (path, text) in self.texts {
            let file = self.root.join(&path);
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&file, text).with_context(|| path.display().to_string())?;
            println!("wrote {}", path.display());
        }
        Ok(())
    }
}

/// Writes the skeleton of a page and of its figure.
pub fn page(workspace: &Workspace, stem: &str, title: Option<&str>) -> Result<()> {
    check_name("page", stem)?;
    let root = &workspace.root;
    let mut skeleton = Skeleton { root, texts: BTreeMap::new() };
    let summary = "book/src/SUMMARY.md";
    let contents = std::fs::read_to_string(root.join(summary)).context(summary)?;
    let (title, contents) = add_to_contents(&contents, stem, title)?;
    skeleton.texts.insert(summary.into(), contents);

    let has_tests = root.join(format!("tests/{stem}.rs")).exists();
    let paths = paths(root, stem);
    let fill = |template: &str| {
        let texts = [("stem", stem), ("title", &title), ("finding", FINDING), ("paths", &paths)];
        fill(template, &texts)
    };
    skeleton.add(format!("book/src/{stem}.md"), fill(include_str!("../templates/page.md")))?;
    let example = fill(include_str!("../templates/page_example.rs"));
    skeleton.add(format!("examples/{stem}.rs"), example)?;
    let doctests = format!("#[doc = include_str!(\"../book/src/{stem}.md\")]\nmod {stem} {{}}\n\n");
    skeleton.change("src/book.rs", |text| {
        // The README comes last.
        Some(insert(text, text.find("#[doc = include_str!(\"../README.md\")]")?, &doctests))
    })?;
    if !has_tests {
        skeleton
            .add(format!("tests/{stem}.rs"), fill(include_str!("../templates/page_test.rs")))?;
        if root.join("tests/main.rs").exists() {
            skeleton.change("tests/main.rs", |text| with_module(text, stem))?;
        }
    }
    skeleton.write()?;
    println!(
        "Next: `cargo book figures {stem}`, then `cargo test` and `cargo book check`, which lists what is left to write."
    );
    if has_tests {
        println!("tests/{stem}.rs was there: add a test of what the figure finds.");
    }
    Ok(())
}

/// Writes the skeleton of an exercise; its block goes into the page, or is printed.
pub fn exercise(workspace: &Workspace, name: &str, page: Option<&str>) -> Result<()> {
    check_name("exercise", name)?;
    let root = &workspace.root;
    let mut skeleton = Skeleton { root, texts: BTreeMap::new() };
    let title = title_of(name);
    let fill = |template: &str| fill(template, &[("name", name), ("title", &title)]);
    skeleton
        .add(format!("src/exercises/{name}.rs"), fill(include_str!("../templates/exercise.rs")))?;
    let tests = fill(include_str!("../templates/exercise_test.rs"));
    skeleton.add(format!("tests/exercises/{name}.rs"), tests)?;
    skeleton.change("src/exercises/mod.rs", |text| {
        let text = with_module(text, name)?;
        insert_sorted(&text, &format!("pub use {name}::{name};\n"), |line| {
            line.starts_with("pub use ")
        })
    })?;
    skeleton.change("src/precompiled.rs", |text| {
        let line = format!("    exercises::{name}().check(Clone::clone);\n");
        let last = text.rfind("    exercises::")?;
        Some(insert(text, last + text[last..].find(";\n")? + 2, &line))
    })?;
    skeleton.change("tests/exercises.rs", |text| with_module(text, name))?;

    let block = fill(include_str!("../templates/exercise_block.md"));
    let row = |page: &str, place: &str| {
        let anchor = title.to_lowercase().replace(' ', "-");
        format!(
            "| <span class=\"exercise-state\" data-exercise=\"{name}\"></span> [{title}]({page}.md#{anchor}) | {place} | TODO: what the reader writes |\n"
        )
    };
    let Some(page) = page else {
        skeleton.write()?;
        println!("\nFor the page:\n\n{block}");
        println!("For the table of book/src/exercises.md:\n\n{}", row("PAGE", "PAGE"));
        return Ok(());
    };
    check_words("page", page)?;
    skeleton.change(&format!("book/src/{page}.md"), |text| with_block(text, &block))?;
    let contents = std::fs::read_to_string(root.join("book/src/SUMMARY.md"))?;
    let place = section_label(&contents, page);
    skeleton.change("book/src/exercises.md", |text| {
        let last = text.rfind("class=\"exercise-state\"")?;
        Some(insert(text, last + text[last..].find('\n')? + 1, &row(page, &place)))
    })?;
    skeleton.write()?;
    println!("Next: `cargo test` and `cargo book check`, which lists what is left to write.");
    Ok(())
}

/// Refuses a name that is not in snake_case, or not free.
fn check_name(what: &str, name: &str) -> Result<()> {
    check_words(what, name)?;
    let reserved = TAKEN.contains(&name) || KEYWORDS.split(' ').any(|word| word == name);
    ensure!(!reserved, "{what}: expected a name that is free, got {name}");
    Ok(())
}

fn check_words(what: &str, name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let words = name.split('_').all(|word| !word.is_empty() && word.chars().all(plain));
    let snake_case = words && name.starts_with(|c: char| c.is_ascii_lowercase());
    ensure!(snake_case, "{what}: expected a name in snake_case, as layer_norm, got {name:?}");
    Ok(())
}

fn fill(template: &str, texts: &[(&str, &str)]) -> String {
    texts.iter().fold(template.to_owned(), |text, (marker, with)| {
        text.replace(&format!("@{marker}@"), with)
    })
}

fn insert(text: &str, at: usize, more: &str) -> String {
    format!("{}{more}{}", &text[..at], &text[at..])
}

/// `Batch norm` of `batch_norm`.
fn title_of(name: &str) -> String {
    let words = name.replace('_', " ");
    words[..1].to_uppercase() + &words[1..]
}

/// The title of a page, and the table of contents with the page: in place of its draft, or at the end.
fn add_to_contents(contents: &str, stem: &str, title: Option<&str>) -> Result<(String, String)> {
    if title.is_some_and(|title| title.trim().is_empty() || title.contains(['[', ']', '\n'])) {
        bail!("--title: expected words on one line without brackets, got {title:?}");
    }
    let letters = |text: &str| text.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
    let wanted = letters(title.unwrap_or(stem));
    let drafts = contents
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("- [")?.strip_suffix("]()"));
    // `14.3 RMSNorm` is the draft of `rms_norm`.
    let numbered = |draft: &&str| {
        letters(draft.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')) == wanted
    };
    let draft =
        drafts.clone().find(|draft| letters(draft) == wanted).or(drafts.clone().find(numbered));
    Ok(match draft {
        Some(draft) => {
            let line = format!("[{draft}]()");
            (draft.to_owned(), contents.replace(&line, &format!("[{draft}]({stem}.md)")))
        }
        None => {
            let title = title.map_or_else(|| title_of(stem), str::to_owned);
            let contents = format!("{}\n- [{title}]({stem}.md)\n", contents.trim_end());
            (title, contents)
        }
    })
}

/// A page's label in the list of exercises: the number of its section, or its title.
fn section_label(contents: &str, page: &str) -> String {
    let link = format!("]({page}.md)");
    let line = contents.lines().find_map(|line| line.strip_suffix(&link));
    let title = line.map_or(page, |line| line.rsplit('[').next().unwrap_or(page));
    let first = title.split(' ').next().unwrap_or(title);
    if first.starts_with(|c: char| c.is_ascii_digit()) { first } else { title }.to_owned()
}

/// The box of paths at the end of a page: the files of the skeleton, and existing files of its name.
fn paths(root: &Path, stem: &str) -> String {
    let there = |path: String| root.join(&path).exists().then(|| format!("`{path}`"));
    let sources =
        [format!("src/{stem}.rs"), format!("src/norm/{stem}.rs"), format!("src/{stem}/mod.rs")];
    let mut lines = vec![format!("* this page: `book/src/{stem}.md`")];
    lines.extend(sources.into_iter().find_map(there).map(|path| format!("* source: {path}")));
    lines.push(format!("* tests: `tests/{stem}.rs`"));
    lines.push(format!(
        "* figure: `examples/{stem}.rs`, which writes `book/src/figures/{stem}.csv` and `.svg`"
    ));
    lines.extend(there(format!("benches/{stem}.rs")).map(|path| format!("* bench: {path}")));
    lines.push(format!(
        "* run them: `cargo test {stem}`, `cargo test --doc {stem}`, `cargo book figures {stem}`"
    ));
    lines.join("\n")
}

/// The text with `line` inserted in order among the lines of its kind; `None` if there is no such line.
fn insert_sorted(text: &str, line: &str, kind: impl Fn(&str) -> bool) -> Option<String> {
    let mut end = 0;
    let starts = text.split_inclusive('\n').map(|line| {
        end += line.len();
        (end - line.len(), line)
    });
    let list: Vec<_> = starts.filter(|(_, line)| kind(line)).collect();
    let after_last = list.last().map(|(at, line)| at + line.len())?;
    let at = list.iter().find(|(_, other)| *other > line).map_or(after_last, |(at, _)| *at);
    Some(insert(text, at, line))
}

/// The text with `mod name;` among its modules.
fn with_module(text: &str, name: &str) -> Option<String> {
    let line = format!("mod {name};\n");
    insert_sorted(text, &line, |line| line.starts_with("mod ") && line.ends_with(";\n"))
}

/// A page with `block` added at the end of its exercises, or of its text.
fn with_block(text: &str, block: &str) -> Option<String> {
    let of_paths = text.find("<div class=\"paths\">")?;
    let Some(exercises) = text.find("\n## Exercises\n") else {
        return Some(insert(text, of_paths, &format!("## Exercises\n\n{block}")));
    };
    let next = text[exercises + 1..].find("\n## ").map(|next| exercises + next + 2);
    Some(insert(text, next.map_or(of_paths, |next| next.min(of_paths)), block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_snake_case_and_free() {
        for name in ["layer_norm", "a", "conv2d", "a_1"] {
            assert!(check_name("page", name).is_ok(), "{name}");
        }
        for name in
            ["", "A", "a-b", "_a", "a_", "a__b", "1a", "é", "a b", "../a", "a.md", "mod", "main"]
        {
            assert!(check_name("page", name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_page_takes_the_place_of_its_draft_or_comes_last() {
        let contents = "- [14.3 RMSNorm]()\n- [Claims](claims.md)\n- [2 Norms]()\n";
        let with = |stem, title| add_to_contents(contents, stem, title).unwrap();
        let (title, contents) = with("rms_norm", None);
        assert_eq!(title, "14.3 RMSNorm");
        assert!(contents.starts_with("- [14.3 RMSNorm](rms_norm.md)\n- [Claims]"), "{contents}");
        assert!(with("norms", Some("2 norms")).1.ends_with("- [2 Norms](norms.md)\n"));
        assert!(
            with("batch_norm", None).1.ends_with("- [2 Norms]()\n- [Batch norm](batch_norm.md)\n")
        );
        assert!(add_to_contents(contents.as_str(), "a", Some("a [b]")).is_err());
    }

    #[test]
    fn a_module_stands_in_the_order_of_its_list() {
        let plain = "//! A.\n\nmod b;\nmod d;\n\nuse b::B;\n";
        let with = |name| with_module(plain, name).unwrap();
        assert!(with("a").contains("\n\nmod a;\nmod b;"), "{}", with("a"));
        assert!(with("c").contains("mod b;\nmod c;\nmod d;\n\n"));
        assert!(with("e").contains("mod d;\nmod e;\n\nuse"));
        assert_eq!(with_module("//! A.\n", "a"), None);
    }

    #[test]
    fn a_block_ends_the_exercises() {
        let page = "# A\n\n## Exercises\n\nTwo.\n\n## To keep\n\n<div class=\"paths\">\n";
        assert!(with_block(page, "### B\n\n").unwrap().contains("Two.\n\n### B\n\n## To keep"));
        let without = "# A\n\n<div class=\"paths\">\n";
        assert_eq!(
            with_block(without, "### B\n\n").unwrap(),
            "# A\n\n## Exercises\n\n### B\n\n<div class=\"paths\">\n"
        );
        assert_eq!(with_block("# A\n", "### B\n\n"), None);
    }
}
