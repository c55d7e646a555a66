//! mdBook's `{{#…}}` helpers: which ones a page may use, and the text of the files they include.
//!
//! mdBook itself only logs a missing file or anchor, and the page then shows nothing or the raw helper. It also leaves
//! the lines of a method indented, and tears a quote or a list that an include stands in.

use std::path::Path;

/// A helper in the text of a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Helper<'a> {
    /// Where it starts, in bytes.
    pub start: usize,
    /// The whole helper, braces included.
    pub text: &'a str,
    kind: &'a str,
    argument: &'a str,
}

/// Every helper that mdBook would act on, and every one that it would leave as text.
pub fn find(text: &str) -> Vec<Helper<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find("{{").map(|i| at + i) {
        at = start + 2;
        let inner = text[at..].trim_start();
        let Some(body) = inner.strip_prefix('#') else { continue };
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        if text[..start].ends_with('\\') && inner.len() == text.len() - at {
            // mdBook removes the backslash and leaves the rest as text, up to the last braces of the line.
            at = text[start..line_end].rfind("}}").map_or(at, |i| start + i + 2);
            continue;
        }
        let body_end = body.find('}').unwrap_or(body.len());
        let closed = body[body_end..].starts_with("}}");
        let end = if closed { text.len() - body.len() + body_end + 2 } else { line_end };
        let (kind, argument) = if closed {
            let body = &body[..body_end];
            body.split_once(char::is_whitespace).unwrap_or((body, ""))
        } else {
            ("", "")
        };
        found.push(Helper { start, text: &text[start..end], kind, argument: argument.trim() });
        at = end;
    }
    found
}

/// Where a helper stands.
pub struct Place<'a> {
    /// The folder of the page.
    pub dir: &'a Path,
    /// The fence of the code block around it: three backticks, or more.
    pub fence: Option<&'a str>,
    /// What stands before and after the helper on its line.
    pub before: &'a str,
    pub after: &'a str,
}

impl Helper<'_> {
    /// Whether this is `{{#include file:anchor}}`.
    pub fn is_anchored_include(&self) -> bool {
        self.kind == "include"
            && self.argument.split_once(':').is_some_and(|(_, anchor)| is_name(anchor))
    }

    /// The text that takes the helper's place; `None` if mdBook acts on the helper.
    ///
    /// # Errors
    /// What is wrong with the helper.
    pub fn text_in(&self, place: &Place<'_>) -> Result<Option<String>, String> {
        match self.kind {
            "title" if !self.argument.is_empty() => Ok(None),
            "include" if !self.argument.is_empty() => self.include(place).map(Some),
            _ => Err(format!(
                "helper: expected {{{{#include file}}}}, {{{{#include file:anchor}}}}, {{{{#title text}}}} or \\{{{{#…}}}}, got {}",
                one_line(self.text)
            )),
        }
    }

    fn include(&self, place: &Place<'_>) -> Result<String, String> {
        let (file, anchor) = match self.argument.split_once(':') {
            Some((file, anchor)) => (file, Some(anchor)),
            None => (self.argument, None),
        };
        if let Some(anchor) = anchor
            && !is_name(anchor)
        {
            return Err(format!(
                "include of {file}: expected the name of an anchor (line numbers drift), got :{anchor}"
            ));
        }
        if Path::new(file).is_absolute() {
            return Err(format!("include: expected a path relative to the page, got {file}"));
        }
        if place.fence.is_none() && !file.ends_with(".svg") {
            return Err(format!(
                "include outside a code block: expected a picture (.svg), got {file}, whose formulas and code blocks nobody checks"
            ));
        }
        if !place.before.chars().all(|c| c.is_whitespace() || c == '>')
            || !place.after.trim().is_empty()
        {
            return Err(format!(
                "include of {file}: expected it on a line of its own, got {}",
                one_line(&format!("{}{}{}", place.before, self.text, place.after))
            ));
        }
        let text = match std::fs::read_to_string(place.dir.join(file)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(format!("include: expected a file at {file}, got none"));
            }
            Err(error) => return Err(format!("include of {file}: expected text, got: {error}")),
        };
        let lines = match anchor {
            Some(anchor) => anchored(file, anchor, &text)?,
            None => text.lines().collect(),
        };
        if file.ends_with(".svg") && place.fence.is_none() {
            expect_svg(file, &text)?;
        }
        if let Some(line) = lines.iter().find(|line| line.contains("{{#")) {
            return Err(format!(
                "include of {file}: expected no helper in it, got {}",
                one_line(line)
            ));
        }
        if let Some(fence) = place.fence
            && let Some(line) = lines.iter().find(|line| line.trim_start().starts_with(fence))
        {
            return Err(format!(
                "include of {file}: expected a longer fence around it than {fence}, got the line {}",
                one_line(line)
            ));
        }
        Ok(dedent(&lines).join(&format!("\n{}", place.before)))
    }
}

/// The lines between the marks of an anchor, without the marks of others. An anchor must begin, hold a line,
/// and end.
fn anchored<'a>(file: &str, anchor: &str, text: &'a str) -> Result<Vec<&'a str>, String> {
    fn mark<'a>(line: &'a str, word: &str) -> Option<&'a str> {
        let (_, rest) = line.split_once(word)?;
        rest.trim_start().split(|c: char| !is_name_char(c)).next()
    }
    let begins = |line: &str| mark(line, "ANCHOR:") == Some(anchor);
    let ends = |line: &str| mark(line, "ANCHOR_END:") == Some(anchor);
    let mut lines = text.lines().skip_while(|line| !begins(line));
    if lines.next().is_none() {
        return Err(format!(
            "include of {file}: expected a line `ANCHOR: {anchor}` in it, got none"
        ));
    }
    let mut held = Vec::new();
    for line in lines {
        if ends(line) {
            return if held.iter().any(|line: &&str| !line.trim().is_empty()) {
                Ok(held)
            } else {
                Err(format!("include of {file}: expected lines in anchor {anchor}, got none"))
            };
        }
        if mark(line, "ANCHOR:").is_none() && mark(line, "ANCHOR_END:").is_none() {
            held.push(line);
        }
    }
    Err(format!("include of {file}: expected a line `ANCHOR_END: {anchor}` in it, got none"))
}

/// The lines without the indentation that all have: a method stands at the margin of the page.
fn dedent<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let indentation = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let filled = lines.iter().filter(|line: &&&str| !line.trim().is_empty()).copied();
    let all_have = filled.map(indentation).min().unwrap_or(0);
    lines.iter().map(|line| line.get(all_have..).unwrap_or("")).collect()
}

/// A blank line would end the HTML block of the picture, and Markdown would read the rest of it.
fn expect_svg(file: &str, text: &str) -> Result<(), String> {
    if !text.starts_with("<svg") {
        return Err(format!(
            "include of {file}: expected it to start with <svg, got {}",
            one_line(text)
        ));
    }
    match text.trim_end().lines().position(|line| line.trim().is_empty()) {
        None => Ok(()),
        Some(blank) => Err(format!(
            "include of {file}: expected no blank line (it ends the HTML block), got one at line {}",
            blank + 1
        )),
    }
}

fn is_name(anchor: &str) -> bool {
    !anchor.is_empty() && anchor.chars().all(is_name_char) && anchor.parse::<usize>().is_err()
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// The text on one line, cut after 80 characters, for messages.
pub fn one_line(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &flat[..end]),
        None => flat,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with each helper of a text, as the only line of a code block or of a page.
    fn problems(text: &str, fence: Option<&str>) -> Vec<Option<String>> {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(
            "a.rs",
            "// ANCHOR: whole\nfn a() {}\n// ANCHOR_END: whole\n// ANCHOR: open\nfn b() {}\n// ANCHOR: empty\n// ANCHOR_END: empty\n",
        );
        write("good.svg", "<svg>\n</svg>\n");
        write("blank.svg", "<svg>\n\n</svg>\n");
        write("prolog.svg", "<?xml?><svg></svg>");
        let place = Place { dir: dir.path(), fence, before: "", after: "" };
        find(text).iter().map(|helper| helper.text_in(&place).err()).collect()
    }

    fn refused(text: &str, part: &str) {
        let fence = (!text.contains(".svg")).then_some("```");
        let all = problems(text, fence);
        assert_eq!(all.len(), 1, "{text}: {all:?}");
        let what = all[0].as_deref().unwrap_or_else(|| panic!("{text} was not refused"));
        assert!(what.contains(part), "{what}");
        assert!(!what.contains('\n'), "{what}");
    }

    #[test]
    fn what_is_there_may_be_included() {
        for text in [
            "{{#include a.rs}}",
            "{{#include a.rs:whole}}",
            "{{ #include a.rs:whole }}",
            "{{#include blank.svg}}",
        ] {
            assert_eq!(problems(text, Some("```")), [None], "{text}");
        }
        assert_eq!(problems("{{#include good.svg}}", None), [None]);
        assert_eq!(problems("{{#title Even Keel}}", None), [None]);
    }

    #[test]
    fn an_escaped_helper_is_text() {
        assert!(problems(r"\{{#include nothing.rs}} and {{ braces }}", None).is_empty());
    }

    #[test]
    fn what_is_not_there_is_refused() {
        refused("{{#include nothing.rs}}", "expected a file at nothing.rs, got none");
        refused("{{#include a.rs:nothing}}", "expected a line `ANCHOR: nothing`");
        refused("{{#include a.rs:open}}", "expected a line `ANCHOR_END: open`");
        refused("{{#include a.rs:empty}}", "expected lines in anchor empty");
        refused("{{#include a.rs:who}}", "`ANCHOR: who`");
    }

    #[test]
    fn line_numbers_drift_and_are_refused() {
        for range in ["2", "2:3", ":3", "2:", ""] {
            refused(&format!("{{{{#include a.rs:{range}}}}}"), "line numbers drift");
        }
    }

    #[test]
    fn other_helpers_are_refused() {
        refused("{{#playground a.rs}}", "got {{#playground a.rs}}");
        refused("{{#rustdoc_include a.rs:whole}}", "helper");
        refused("{{#include}}", "helper");
        refused("{{#include a.rs", "helper");
        refused("{{#include /etc/hosts}}", "relative");
    }

    #[test]
    fn a_picture_is_bare_svg_without_blank_lines() {
        refused("{{#include blank.svg}}", "got one at line 2");
        refused("{{#include prolog.svg}}", "start with <svg");
    }
}
