//! The list of pages, `SUMMARY.md`.

use crate::{Problem, Problems, Source};
use pulldown_cmark::{Event, Parser, Tag};
use std::collections::HashMap;
use std::path::{Component, Path};

const SUMMARY: &str = "SUMMARY.md";

pub(crate) fn no_pages(source: &Source) -> Problem {
    Problem {
        file: source.label(Path::new(SUMMARY)),
        line: 1,
        what: "no pages: expected at least one [title](file.md), got drafts or nothing".into(),
    }
}

/// Checks that `SUMMARY.md` exists and lists a page, and that each listed page is a different file inside
/// the folder, under a title without a formula. mdBook would stop at the first problem, or create a missing page.
///
/// # Errors
/// One problem for each wrong entry.
pub fn check_summary(source: &Source) -> Result<(), Problems> {
    let mut problems = Vec::new();
    let mut report =
        |line, what| problems.push(Problem { file: source.label(Path::new(SUMMARY)), line, what });
    let text = match std::fs::read_to_string(source.dir.join(SUMMARY)) {
        Ok(text) => text,
        Err(error) => {
            report(1, format!("expected a list of pages, got: {error}"));
            String::new()
        }
    };
    let mut pages = HashMap::new();
    for (event, range) in Parser::new(&text).into_offset_iter() {
        let line = text[..range.start].matches('\n').count() + 1;
        if matches!(&event, Event::Text(words) if words.contains('$'))
            && !text[..range.start].ends_with('\\')
        {
            report(
                line,
                "title: expected plain words (a formula stays as it is typed), got $ in it".into(),
            );
        }
        let Event::Start(Tag::Link { dest_url, .. }) = event else { continue };
        let path = Path::new(&*dest_url);
        if dest_url.is_empty() {
            continue;
        }
        if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            report(line, format!("page: expected a file inside the folder, got {dest_url}"));
        } else if !source.dir.join(path).is_file() {
            report(line, format!("page: expected a file at {dest_url}, got none"));
        } else if let Some(first) = pages.insert(dest_url.clone(), line) {
            report(
                line,
                format!("page: expected each once, got {dest_url} again (line {first} has it)"),
            );
        }
        pages.entry(dest_url).or_insert(line);
    }
    if pages.is_empty() && problems.is_empty() {
        problems.push(no_pages(source));
    }
    Problems::refuse(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(summary: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let src = dir.path().join("book/src");
        std::fs::create_dir_all(&src).unwrap();
        std::fs::write(src.join("a.md"), "# a\n").unwrap();
        std::fs::write(src.join(SUMMARY), summary).unwrap();
        let source = Source::new(&dir.path().join("book"), Path::new("src"));
        check_summary(&source).map_or_else(|problems| problems.to_string(), |()| String::new())
    }

    #[test]
    fn pages_and_drafts_pass() {
        assert_eq!(check("# Summary\n\n[A](a.md)\n\n- [B]()\n"), "");
    }

    #[test]
    fn a_book_without_pages_is_refused() {
        for summary in ["", "# Summary\n\n- [B]()\n"] {
            assert_eq!(
                check(summary),
                "book/src/SUMMARY.md:1: no pages: expected at least one [title](file.md), got drafts or nothing"
            );
        }
    }

    #[test]
    fn a_title_has_no_formula() {
        assert_eq!(
            check("# Summary\n\n- [A, $x$](a.md)\n- [For $ 5]()\n"),
            "book/src/SUMMARY.md:3: title: expected plain words (a formula stays as it is typed), got $ in it\n\
             book/src/SUMMARY.md:4: title: expected plain words (a formula stays as it is typed), got $ in it"
        );
        assert_eq!(check("# Summary\n\n- [A for \\$5](a.md)\n"), "");
    }

    #[test]
    fn a_page_that_is_missing_names_its_line() {
        assert_eq!(
            check("# Summary\n\n- [A](a.md)\n- [B](b.md)\n- [C](../c.md)\n- [A](a.md)\n"),
            "book/src/SUMMARY.md:4: page: expected a file at b.md, got none\n\
             book/src/SUMMARY.md:5: page: expected a file inside the folder, got ../c.md\n\
             book/src/SUMMARY.md:6: page: expected each once, got a.md again (line 3 has it)"
        );
    }
}
