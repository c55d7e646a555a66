//! The compiler's messages, with the line numbers that the reader sees.

use super::block::Source;
use super::lines::{FILE, ReaderLines};
use serde_json::Value;

/// The most errors and the most warnings and notes that are shown, of each message the most lines, and of each line
/// the most characters. The compiler has no such limits, and a reader mends the first errors first.
const MAX_SHOWN: usize = 20;
const MAX_LINES: usize = 100;
const MAX_LINE: usize = 300;

/// The compiler's messages.
#[derive(Debug)]
pub struct Diagnostics<'a> {
    source: &'a Source,
    /// What is shown.
    pub text: String,
    /// The reader's lines that have an error.
    pub lines: Vec<usize>,
    pub errors: usize,
    /// Warnings and notes.
    others: usize,
    /// What is no message in JSON: a crash of the compiler is told in plain text.
    pub plain: String,
    /// Whether there are more messages, which were not read.
    pub is_cut: bool,
}

impl<'a> Diagnostics<'a> {
    pub fn new(source: &'a Source) -> Self {
        let mut found = Self {
            source,
            text: String::new(),
            lines: Vec::new(),
            errors: 0,
            others: 0,
            plain: String::new(),
            is_cut: false,
        };
        if let Some((note, _)) = &source.note {
            found.show(note);
        }
        found
    }

    /// Reads a line of what `rustc --error-format=json` printed.
    pub fn read(&mut self, line: &str) {
        let Ok(Value::Object(message)) = serde_json::from_str(line) else {
            // The end of a message may be cut off.
            if !line.starts_with('{') && self.plain.lines().count() <= MAX_LINES {
                self.plain.push_str(line);
            }
            return;
        };
        let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default();
        let spans = message.get("spans").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        // Left out: "aborting due to 2 previous errors", "3 warnings emitted", and where to read more
        // about error codes.
        let is_summary = spans.is_empty()
            && (text("message").starts_with("aborting due to")
                || text("message").ends_with("emitted"));
        if text("$message_type") != "diagnostic" || text("level") == "failure-note" || is_summary {
            return;
        }
        let count = if text("level").starts_with("error") {
            let own = spans.iter().filter(|span| span["file_name"] == FILE);
            let primary = own.filter(|span| span["is_primary"] == true);
            let number = |span: &Value| span["line_start"].as_u64()?.try_into().ok();
            for line in primary.filter_map(number).filter_map(|line| self.source.lines.number(line))
            {
                if !self.lines.contains(&line) {
                    self.lines.push(line);
                }
            }
            &mut self.errors
        } else {
            &mut self.others
        };
        *count += 1;
        if *count <= MAX_SHOWN {
            self.show(&renumber(text("rendered"), &self.source.lines));
        }
    }

    /// Adds what can be said only when all messages are read.
    pub fn finish(&mut self) {
        // Without a bracket's counterpart the compiler points to the end of the file.
        if let Some((_, Some(line))) = self.source.note {
            self.lines = vec![line];
        }
        let plain = std::mem::take(&mut self.plain);
        self.show(&plain);
        let more = [(self.errors, "error"), (self.others, "message")].map(|(count, what)| {
            match count.saturating_sub(MAX_SHOWN) {
                0 => None,
                1 => Some(format!("1 more {what}")),
                n => Some(format!("{n} more {what}s")),
            }
        });
        let more: Vec<String> = more.into_iter().flatten().collect();
        if !more.is_empty() {
            self.show(&format!("… and {}", more.join(" and ")));
        }
        if self.is_cut {
            self.show("… and more: the compiler had too much to say, or took too long");
        }
    }

    /// Adds a message below an empty line.
    fn show(&mut self, message: &str) {
        let message = message.trim_end();
        if message.is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let mut lines = message.lines();
        for line in lines.by_ref().take(MAX_LINES) {
            match line.char_indices().nth(MAX_LINE) {
                Some((end, _)) => self.text.extend([&line[..end], "…\n"]),
                None => self.text.extend([line, "\n"]),
            }
        }
        if lines.next().is_some() {
            self.text.push_str("…\n");
        }
    }
}

/// Notes that lead nowhere: that file goes away with the run, and nobody calls the compiler.
const USELESS: [&str; 2] = [
    "= note: the full name for the type has been written to",
    "= note: consider using `--verbose` to print",
];

/// A rendered message of the compiler with the reader's line numbers: in places, and before each line that
/// it quotes.
fn renumber(rendered: &str, lines: &ReaderLines) -> String {
    let is_arrow =
        |line: &str| line.trim_start().starts_with("--> ") || line.trim_start().starts_with("::: ");
    let is_own = |arrow: &str| arrow.trim_start()[4..].starts_with(FILE);
    // A quote is of the file that the arrow above it names. Without an arrow, below a `help`, it is of the
    // file of the message itself, which its first arrow names.
    let of_message = rendered.lines().find(|line| is_arrow(line)).is_none_or(is_own);
    let mut own = of_message;
    let mut out = String::with_capacity(rendered.len());
    for line in rendered.lines().filter(|line| !USELESS.iter().any(|note| line.contains(note))) {
        if is_arrow(line) {
            own = is_own(line);
        } else if line.starts_with(|c: char| c.is_alphabetic()) {
            own = of_message;
        }
        let quote = own.then(|| renumber_quote(line, lines)).flatten();
        out.push_str(&quote.unwrap_or_else(|| lines.translate(line)));
        out.push('\n');
    }
    out
}

/// `12 |     code` with the reader's number, padded to the same width.
fn renumber_quote(line: &str, lines: &ReaderLines) -> Option<String> {
    let start = line.len() - line.trim_start().len();
    let digits = line[start..].bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = line[start..].split_at(digits);
    let gutter = rest.trim_start();
    let is_gutter = gutter.starts_with(['|', '+', '-', '~']);
    if digits == 0 || !is_gutter || rest.len() == gutter.len() {
        return None;
    }
    let number = lines.number(number.parse().ok()?).map_or(String::new(), |line| line.to_string());
    let width = start + digits;
    Some(format!("{number:<width$}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines 10 to 13 of the file are the reader's.
    fn source() -> Source {
        let numbers = (1..=14).map(|line: usize| (10..=13).contains(&line).then(|| line - 9));
        Source { text: String::new(), lines: ReaderLines(numbers.collect()), note: None }
    }

    #[test]
    fn the_compiler_speaks_of_the_readers_lines() {
        let rendered = "\
error[E0308]: mismatched types
  --> block.rs:10:18
   |
 9 |     use a::b;
   |            - hidden
10 |     let x: i32 = \"12 | a\";
   |            ---   ^^^^^^^^ expected `i32`, found `{closure@block.rs:13:5: 13:9}`
   |
  ::: src/tensor.rs:12:5
   |
12 |     pub fn new() {
   |            ---
note: required by a bound
  --> src/tensor.rs:12:5
   |
12 |     pub fn new() {
help: try this
   |
13 +     let y = 2;
14 ~     hidden();
";
        let expected = "\
error[E0308]: mismatched types
  --> line 1, column 18
   |
   |     use a::b;
   |            - hidden
1  |     let x: i32 = \"12 | a\";
   |            ---   ^^^^^^^^ expected `i32`, found `{closure@line 4, column 5}`
   |
  ::: src/tensor.rs:12:5
   |
12 |     pub fn new() {
   |            ---
note: required by a bound
  --> src/tensor.rs:12:5
   |
12 |     pub fn new() {
help: try this
   |
4  +     let y = 2;
   ~     hidden();
";
        assert_eq!(renumber(rendered, &source().lines), expected);
        // A message that is about another file, and helps there.
        let other = "error: a\n --> src/a.rs:11:1\n\nnote: b\n --> block.rs:11:1\n\nhelp: c\n   |\n11 | a\n";
        assert_eq!(
            renumber(other, &source().lines),
            other.replace("block.rs:11:1", "line 2, column 1")
        );
    }

    fn message(level: &str, line: usize, text: &str) -> String {
        let span = serde_json::json!({"file_name": FILE, "line_start": line, "is_primary": true});
        let spans = if line == 0 { vec![] } else { vec![span] };
        serde_json::json!({"$message_type": "diagnostic", "level": level, "message": text,
            "spans": spans, "rendered": format!("{level}: {text}\n\n")})
        .to_string()
            + "\n"
    }

    #[test]
    fn errors_name_their_lines_once_and_summaries_are_left_out() {
        let source = source();
        let mut found = Diagnostics::new(&source);
        for line in [
            message("warning", 13, "w"),
            message("error", 11, "a"),
            message("error", 11, "b"),
            message("error", 14, "in a hidden line"),
            message("error", 0, "aborting due to 3 previous errors"),
            message("warning", 0, "1 warning emitted"),
            message("failure-note", 0, "For more information"),
            "thread 'rustc' panicked\n".into(),
            message("error", 12, "cut off")[..90].into(),
        ] {
            found.read(&line);
        }
        found.finish();
        assert_eq!((found.errors, &found.lines[..]), (3, &[2][..]));
        assert_eq!(
            found.text,
            "warning: w\n\nerror: a\n\nerror: b\n\nerror: in a hidden line\n\nthread 'rustc' panicked\n"
        );
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let source = source();
        let mut found = Diagnostics::new(&source);
        found.read(&message("warning", 10, &"é".repeat(MAX_LINE)));
        for i in 0..MAX_SHOWN {
            found.read(&message("warning", 10, &format!("w{i}")));
            found.read(&message("error", 11, &format!("e{i}")));
        }
        found.read(&message("error", 12, "the last"));
        found.read(&message("error", 13, "the very last"));
        found.is_cut = true;
        found.finish();
        let text = &found.text;
        assert_eq!((found.errors, &found.lines[..]), (22, &[2, 3, 4][..]));
        assert!(text.starts_with(&format!("warning: {}…\n\n", "é".repeat(MAX_LINE - 9))), "{text}");
        assert!(text.contains("w18\n") && !text.contains("w19\n") && text.contains("e19\n"));
        assert!(
            text.ends_with(
                "\n\n… and 2 more errors and 1 more message\n\n… and more: the compiler had too much to say, or took too long\n"
            ),
            "{text}"
        );
        let mut found = Diagnostics::new(&source);
        found.read(&message("error", 10, &"a\n".repeat(MAX_LINES + 1)));
        assert_eq!(found.text.lines().count(), MAX_LINES + 1);
    }
}
