//! What the search of the pages, `book/theme/search.js`, needs to know: where code begins and ends.

use crate::page;

/// A hidden element with a character that nobody writes: mdBook's index of words keeps it, and no reader sees it.
const MARK: &str = "<div hidden>\u{2063}</div>";

/// The page with a mark before and behind each code block. A block in a list or a quote has none.
pub fn mark_code(text: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for fence in page::fences(text) {
        let open = fence.line - 1;
        let close = open + 1 + fence.body.lines().count();
        if !lines[open].starts_with("```") || lines.get(close).is_none_or(|l| !l.starts_with("```"))
        {
            continue;
        }
        out.extend(lines[done..open].iter().copied());
        out.push_str(&format!("{MARK}\n\n"));
        out.extend(lines[open..=close].iter().copied());
        out.push_str(&format!("\n{MARK}\n\n"));
        done = close + 1;
    }
    out.extend(lines[done..].iter().copied());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stands_between_marks_and_nothing_else_changes() {
        let text = "# A\n\n```rust\nlet a = 1;\n\nb();\n```\nmore\n\n* in a list:\n  ```text\n  c\n  ```\n\n````text\n```\n````\n";
        let expected = format!(
            "# A\n\n{MARK}\n\n```rust\nlet a = 1;\n\nb();\n```\n\n{MARK}\n\nmore\n\n* in a list:\n  ```text\n  c\n  ```\n\n\
             {MARK}\n\n````text\n```\n````\n\n{MARK}\n\n"
        );
        assert_eq!(mark_code(text), expected);
        assert_eq!(mark_code("# A\n\nb\n"), "# A\n\nb\n");
        // The last line of the last block has no end.
        assert!(mark_code("```text\na\n```").ends_with(&format!("```\n{MARK}\n\n")));
    }
}
