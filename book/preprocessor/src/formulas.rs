//! The formulas of a page: what takes their place, what stays on their line, and which dollars belong to none.

use crate::includes::one_line;
use crate::math::{self, Style};
use crate::page::{Edit, line_of, parse};
use pulldown_cmark::{Event, Tag, TagEnd};
use std::ops::Range;

const LONE_DOLLAR: &str = "$ that opens or closes no formula: expected $…$ with no space next to the dollars, or $$…$$ \
    with no blank line and no line that starts like a list, a heading or a quote (+ - = # >), or \\$ for a dollar";

const SPLIT_CELL: &str = "$ that opens or closes no formula: a | between the dollars ends the cell: expected \
    \\lvert … \\rvert, \\mid or \\lVert … \\rVert, or \\$ for a dollar";

/// The edits that turn the formulas of a page into MathML. What is wrong is reported with the line.
pub fn edits(text: &str, report: &mut impl FnMut(usize, String)) -> Vec<Edit> {
    let events: Vec<_> = parse(text).collect();
    let mut found = Vec::new();
    let mut together = Vec::new();
    let (mut in_code, mut images, mut in_table) = (false, 0, false);
    let mut last_split = 0;
    for (i, (event, range)) in events.iter().enumerate() {
        let line = line_of(text, range.start);
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Start(Tag::Table(_)) => in_table = true,
            Event::End(TagEnd::Table) => in_table = false,
            Event::Start(Tag::Image { .. }) => images += 1,
            Event::End(TagEnd::Image) => images -= 1,
            Event::InlineMath(_) | Event::DisplayMath(_) if images > 0 => {
                report(line, "formula in a picture's text: expected plain words".into());
            }
            Event::InlineMath(tex) | Event::DisplayMath(tex) => {
                let style = match event {
                    Event::InlineMath(_) => Style::Inline,
                    _ => Style::Display,
                };
                let rest = &text[range.end..];
                if let Some(what) = misread(&text[range.clone()], tex, style, rest, in_table) {
                    let line = if style == Style::Inline { line } else { line_of(text, range.end) };
                    report(line, what);
                    continue;
                }
                match math::render(tex, style) {
                    Ok(mathml) => {
                        found.push((range.clone(), mathml));
                        if style == Style::Inline {
                            let (whole, touching) = touching(text, &events, i);
                            together.push(whole);
                            found.extend(touching);
                        }
                    }
                    Err(refused) => report(
                        line + refused.line,
                        format!(
                            "formula does not parse: {}: {}",
                            refused.reason,
                            one_line(&text[range.clone()])
                        ),
                    ),
                }
            }
            Event::Text(words) if !in_code => {
                if let Some(expected) = tex_brackets(text, range) {
                    report(line, expected.into());
                }
                for (at, _) in text[range.clone()].match_indices('$') {
                    let at = range.start + at;
                    let line = line_of(text, at);
                    if is_escaped(text, at) {
                    } else if !in_table || !is_split(text, at) {
                        report(line, LONE_DOLLAR.into());
                    } else if line != last_split {
                        report(line, SPLIT_CELL.into());
                        last_split = line;
                    }
                }
                // Which way a quotation mark turns is decided here, where a formula beside it is not yet a tag.
                if matches!(&text[range.clone()], "\"" | "'") && words.len() > 1 {
                    found.push((range.clone(), words.to_string()));
                }
            }
            Event::Html(_) | Event::InlineHtml(_) if text[range.clone()].contains('$') => {
                let at = range.start + text[range.clone()].find('$').unwrap_or(0);
                report(
                    line_of(text, at),
                    "$ in an HTML block: expected a blank line before and after the Markdown inside it, or &#36; for a dollar"
                        .into(),
                );
            }
            _ => {}
        }
    }
    // On one line: an end stands before what begins at the same place.
    let (begins, mut edits): (Vec<Edit>, Vec<Edit>) = merged(together)
        .into_iter()
        .filter(|whole| !found.iter().any(|(formula, _)| formula == whole))
        .map(|whole| {
            let begin = (whole.start..whole.start, r#"<span class="math-inline">"#.to_owned());
            (begin, (whole.end..whole.end, "</span>".to_owned()))
        })
        .unzip();
    edits.extend(begins);
    edits.extend(found);
    edits
}

/// Why a formula is none, or would be misread.
fn misread(source: &str, tex: &str, style: Style, rest: &str, in_table: bool) -> Option<String> {
    if in_table && source.contains("\\|") {
        return Some(format!(
            "\\| in a table is Markdown's | and not TeX's ‖: expected \\lVert … \\rVert for a norm, \\lvert … \\rvert for a size, \\mid for a condition, got {}",
            one_line(source)
        ));
    }
    let next = rest.chars().next().filter(|c| !c.is_whitespace());
    match style {
        Style::Display if next.is_some_and(|c| c != '|') => Some(format!(
            "text after a display formula, on a line of its own: expected a full stop inside the dollars and other words below, got $${}",
            one_line(rest.lines().next().unwrap_or_default())
        )),
        Style::Inline if next.is_some_and(|c| c.is_ascii_digit()) => Some(format!(
            "formula whose last $ touches a number: expected \\$ for a dollar, or a space, got {}{}",
            one_line(source),
            one_line(rest.split_whitespace().next().unwrap_or_default())
        )),
        Style::Inline if is_price(tex) => Some(format!(
            "formula with words in it: expected \\$ for a dollar, or \\text{{…}} around the words, got {}",
            one_line(source)
        )),
        _ => None,
    }
}

/// Whether a formula begins with a number, has a word, and nothing that only TeX has: `5, or 6`. `dx` is no word.
fn is_price(tex: &str) -> bool {
    let number = tex.trim_start_matches(['-', '+', '.']).starts_with(|c: char| c.is_ascii_digit());
    let word = |part: &str| {
        let part = part.trim_matches(|c: char| !c.is_alphanumeric());
        let differential = part.len() == 2 && part.starts_with('d');
        part.len() > 1 && part.chars().all(|c| c.is_ascii_alphabetic()) && !differential
    };
    number
        && !tex.contains(['\\', '{', '}', '^', '_', '=', '<', '>'])
        && tex.split_whitespace().any(word)
}

/// Whether the byte is escaped by a backslash that is not itself escaped.
fn is_escaped(text: &str, at: usize) -> bool {
    let before = &text[..at];
    (before.len() - before.trim_end_matches('\\').len()) % 2 == 1
}

/// Whether a dollar of a table's row has another one on the row, behind the end of its cell.
fn is_split(text: &str, at: usize) -> bool {
    let row = text[..at].rfind('\n').map_or(0, |i| i + 1);
    let end = text[at..].find('\n').map_or(text.len(), |i| at + i);
    let (left, right) = (&text[row..at], &text[at + 1..end]);
    let behind = right.rfind('$').is_some_and(|dollar| right[..dollar].contains('|'));
    let before = left.find('$').is_some_and(|dollar| left[dollar..].contains('|'));
    behind || before
}

/// What to write in place of TeX's `\(…\)` and `\[…\]`, if the text begins with one.
fn tex_brackets(text: &str, range: &Range<usize>) -> Option<&'static str> {
    if !is_escaped(text, range.start) {
        return None;
    }
    let line = text[..range.start].rfind('\n').map_or(0, |i| i + 1);
    let end = text[range.start..].find('\n').map_or(text.len(), |i| range.start + i);
    let alone = text[line..range.start - 1].chars().all(|c| c.is_whitespace() || c == '>')
        && text[range.start + 1..end].trim().is_empty();
    match text.as_bytes()[range.start] {
        b'(' => Some("\\( of a formula: expected $…$"),
        b'[' if alone => Some("\\[ of a formula: expected $$…$$"),
        _ => None,
    }
}

/// The formula with what touches it, a character on each side: a browser may break the line before and after any
/// formula, so that a full stop would stand alone on the next. Emphasis or a link that holds nothing but the formula
/// goes along. The characters are written as references: their new neighbours mean nothing to Markdown.
fn touching(
    text: &str,
    events: &[(Event<'_>, Range<usize>)],
    formula: usize,
) -> (Range<usize>, Vec<Edit>) {
    let (mut first, mut last) = (formula, formula);
    let at = |i: usize| events.get(i).map(|(event, _)| event);
    while first > 0
        && let Some(Event::Start(
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. },
        )) = at(first - 1)
        && let Some(Event::End(_)) = at(last + 1)
    {
        first -= 1;
        last += 1;
    }
    let mut whole = events[first].1.clone();
    let before = first.checked_sub(1).and_then(|i| character(text, &events[i], true));
    let after = events.get(last + 1).and_then(|next| character(text, next, false));
    let before = before.filter(|(range, _)| range.end == whole.start);
    let after = after.filter(|(range, _)| range.start == whole.end);
    if before.is_none() && after.is_none() {
        return (events[formula].1.clone(), Vec::new());
    }
    let edits: Vec<Edit> = before.into_iter().chain(after).collect();
    for (range, _) in &edits {
        whole = whole.start.min(range.start)..whole.end.max(range.end);
    }
    (whole, edits)
}

/// The last or the first character of a text, if no line may break there.
fn character(text: &str, (event, range): &(Event<'_>, Range<usize>), last: bool) -> Option<Edit> {
    let Event::Text(words) = event else { return None };
    let c = if last { words.chars().next_back()? } else { words.chars().next()? };
    let source = &text[range.clone()];
    let range = match source == &**words {
        true if last => range.end - c.len_utf8()..range.end,
        true => range.start..range.start + c.len_utf8(),
        // A reference, or what is written for a dash or a quotation mark.
        false if words.chars().count() == 1 => range.clone(),
        false => return None,
    };
    let beyond = if last {
        text[..range.start].chars().next_back()
    } else {
        text[range.end..].chars().next()
    };
    let ends_emphasis = c.is_alphanumeric() && matches!(beyond, Some('*' | '_' | '~'));
    let breaks = c.is_whitespace() && !['\u{a0}', '\u{202f}'].contains(&c);
    (!breaks && !ends_emphasis).then(|| (range, math::reference(c)))
}

/// The ranges, sorted, with those that touch made one.
fn merged(ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}
