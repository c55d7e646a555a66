//! A block as a source file, and the compiler's messages and panics with the line numbers that the reader
//! sees.

use serde_json::Value;
use std::fmt::Write as _;

/// The name of the block's file, in its folder.
pub const FILE: &str = "block.rs";

/// The code of a block: the lines that the page shows, between lines that it hides.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Block {
    pub before: String,
    pub code: String,
    pub after: String,
}

/// Which lines of the file are the reader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderLines {
    /// The number of lines above the reader's first.
    above: usize,
    /// The number of the reader's lines.
    shown: usize,
}

/// A place in the file: one of the reader's lines, or a hidden one.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Line(usize),
    Hidden,
}

impl Block {
    /// Reads `{"before": "…", "code": "…", "after": "…"}`.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| format!("body: expected JSON, got something else: {error}"))?;
        let text = |key: &str| match &body[key] {
            Value::String(text) => Ok(text.clone()),
            Value::Null if key != "code" => Ok(String::new()),
            other => Err(format!("body: expected text in \"{key}\", got {other}")),
        };
        Ok(Self { before: text("before")?, code: text("code")?, after: text("after")? })
    }

    /// The length of the code in bytes.
    pub fn len(&self) -> usize {
        self.before.len() + self.code.len() + self.after.len()
    }

    /// The file to compile. As in rustdoc, statements get a `main` around them, and may end in
    /// `Ok::<(), E>(())`.
    pub fn source(&self) -> (String, ReaderLines) {
        let Self { before, code, after } = self;
        let body = format!("{}{}{after}", with_newline(before), with_newline(code));
        let (open, close) = if has_main(&body) {
            ("", "")
        } else if body.trim_end().ends_with("(())") {
            (
                "fn main() { fn block() -> ::core::result::Result<(), impl ::core::fmt::Debug> {\n",
                "\n} block().unwrap() }\n",
            )
        } else {
            ("fn main() {\n", "\n}\n")
        };
        let above = open.lines().count() + before.lines().count();
        let shown = code.lines().count().max(1);
        (format!("{open}{body}{close}"), ReaderLines { above, shown })
    }
}

/// The text with a newline at its end, unless it is empty.
fn with_newline(text: &str) -> String {
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{newline}")
}

/// Whether a line defines `main`.
fn has_main(code: &str) -> bool {
    code.lines().any(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub ").unwrap_or(line).trim_start();
        line.strip_prefix("fn")
            .filter(|rest| rest.starts_with(char::is_whitespace))
            .and_then(|rest| rest.trim_start().strip_prefix("main"))
            .is_some_and(|rest| rest.trim_start().starts_with('('))
    })
}

/// The compiler's messages.
#[derive(Debug, Default)]
pub struct Diagnostics {
    pub text: String,
    /// The reader's lines that have an error.
    pub lines: Vec<usize>,
    pub errors: usize,
}

impl Diagnostics {
    /// Reads what `rustc --error-format=json` printed.
    pub fn read(output: &str, lines: ReaderLines) -> Self {
        let mut found = Self::default();
        for line in output.lines() {
            let Ok(Value::Object(message)) = serde_json::from_str(line) else {
                // A crash of the compiler is reported in plain text.
                found.text.push_str(line);
                found.text.push('\n');
                continue;
            };
            let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default();
            let spans =
                message.get("spans").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            // Left out: "aborting due to 2 previous errors", and where to read more about error codes.
            let summary = spans.is_empty() && text("message").starts_with("aborting due to");
            if text("$message_type") != "diagnostic" || text("level") == "failure-note" || summary {
                continue;
            }
            if text("level").starts_with("error") {
                found.errors += 1;
                let own = spans.iter().filter(|span| span["file_name"] == FILE);
                let primary = own.filter(|span| span["is_primary"] == true);
                let number = |span: &Value| span["line_start"].as_u64()?.try_into().ok();
                for line in primary.filter_map(number) {
                    if let Place::Line(line) = lines.place(line)
                        && !found.lines.contains(&line)
                    {
                        found.lines.push(line);
                    }
                }
            }
            found.add(&lines.renumber(text("rendered")));
        }
        found
    }

    fn add(&mut self, text: &str) {
        let text = text.trim_end();
        if !self.text.is_empty() && !text.is_empty() {
            self.text.push('\n');
        }
        if !text.is_empty() {
            self.text.push_str(text);
            self.text.push('\n');
        }
    }
}

impl ReaderLines {
    fn place(self, line: usize) -> Place {
        match line.checked_sub(self.above) {
            Some(line) if (1..=self.shown).contains(&line) => Place::Line(line),
            _ => Place::Hidden,
        }
    }

    /// A rendered message of the compiler with the reader's line numbers: at its arrows, and before each
    /// line that it quotes.
    fn renumber(self, rendered: &str) -> String {
        let mut out = String::with_capacity(rendered.len());
        // A suggestion quotes the block without an arrow before it.
        let mut own = true;
        for line in rendered.lines() {
            let mut arrow = false;
            for sign in ["--> ", "::: "] {
                if let Some((margin, place)) = line.split_once(sign)
                    && margin.trim().is_empty()
                {
                    arrow = true;
                    let here = self.readers_place(place);
                    own = here.is_some();
                    let _ = write!(out, "{margin}{sign}{}", here.as_deref().unwrap_or(place));
                }
            }
            if !arrow {
                match own.then(|| self.renumber_quote(line)).flatten() {
                    Some(line) => out.push_str(&line),
                    None => out.push_str(line),
                }
            }
            out.push('\n');
        }
        out
    }

    /// `12 |     code` with the reader's number, padded to the same width.
    fn renumber_quote(self, line: &str) -> Option<String> {
        let start = line.len() - line.trim_start().len();
        let digits = line[start..].bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = line[start..].split_at(digits);
        let gutter = rest.trim_start();
        let is_gutter = gutter.starts_with(['|', '+', '-', '~']);
        if digits == 0 || !is_gutter || rest.len() == gutter.len() {
            return None;
        }
        let number = match self.place(number.parse().ok()?) {
            Place::Line(number) => number.to_string(),
            Place::Hidden => String::new(),
        };
        let width = start + digits;
        Some(format!("{number:<width$}{rest}"))
    }

    /// `block.rs:12:5` with the reader's number, or `None` if it is in another file.
    fn readers_place(self, place: &str) -> Option<String> {
        let rest = place.strip_prefix(FILE)?.strip_prefix(':')?;
        let mut numbers = rest.split(':').map(str::parse);
        let (Some(Ok(line)), Some(Ok(column))) = (numbers.next(), numbers.next()) else {
            return None;
        };
        let column: usize = column;
        Some(match self.place(line) {
            Place::Line(line) => format!("line {line}, column {column}"),
            Place::Hidden => "a hidden line of this block".into(),
        })
    }

    /// A line that the program wrote to stderr, with the reader's number for the place of a panic. `None`
    /// for a line that is of no use in a page.
    pub fn stderr_line(self, line: &str) -> Option<String> {
        if line.starts_with("note: run with `RUST_BACKTRACE=1`") {
            return None;
        }
        let Some((thread, place)) = line.split_once(" panicked at ") else {
            return Some(line.to_owned());
        };
        let Some(place) = place.strip_suffix(':').filter(|_| thread.starts_with("thread '")) else {
            return Some(line.to_owned());
        };
        // The number after the name is the id of the thread, another in each run.
        let thread = thread.rsplit_once(" (").map_or(thread, |(name, _)| name);
        let place = self.readers_place(place).unwrap_or_else(|| without_registry(place));
        Some(format!("{thread} panicked at {place}:"))
    }
}

/// A place in another crate, without the folder of the registry.
fn without_registry(place: &str) -> String {
    let kept = place.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/'));
    kept.map_or(place, |(_, rest)| rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(before: &str, code: &str, after: &str) -> Block {
        Block { before: before.into(), code: code.into(), after: after.into() }
    }

    #[test]
    fn statements_get_a_main_and_programs_keep_theirs() {
        let (source, lines) = block("", "let a = 1;", "").source();
        assert_eq!(source, "fn main() {\nlet a = 1;\n\n}\n");
        assert_eq!(lines, ReaderLines { above: 1, shown: 1 });

        let (source, lines) =
            block("use a::b;\nuse c::d;\n", "b();\nd();\n", "check();\n").source();
        assert_eq!(source, "fn main() {\nuse a::b;\nuse c::d;\nb();\nd();\ncheck();\n\n}\n");
        assert_eq!(lines, ReaderLines { above: 3, shown: 2 });

        for program in ["fn main() {}\n", "  pub fn  main () {\n}\n", "use a::b;\nfn main()\n{}\n"]
        {
            assert_eq!(block("", program, "").source().0, program);
        }
        let (source, lines) = block("fn main() {\n", "let a = 1;\n", "}\n").source();
        assert_eq!(source, "fn main() {\nlet a = 1;\n}\n");
        assert_eq!(lines.above, 1);
        for statements in ["// fn main() {}\n", "fn mainly() {}\n", "let main = 1; main();\n"] {
            assert!(block("", statements, "").source().0.starts_with("fn main() {\n"));
        }
    }

    #[test]
    fn a_block_may_end_in_a_result() {
        let (source, lines) =
            block("", "let a: u8 = \"1\".parse()?;\nOk::<(), Error>(())\n", "").source();
        assert!(source.starts_with("fn main() { fn block() -> ") && source.contains("unwrap()"));
        assert_eq!(source.lines().nth(lines.above), Some("let a: u8 = \"1\".parse()?;"));
    }

    #[test]
    fn a_body_is_text_in_json() {
        assert_eq!(Block::parse(br#"{"code": "a", "after": "b"}"#), Ok(block("", "a", "b")));
        for (body, expected) in [
            (&b"code"[..], "body: expected JSON"),
            (b"{}", "body: expected text in \"code\", got null"),
            (br#"{"code": 1}"#, "body: expected text in \"code\", got 1"),
            (br#"{"code": "", "before": []}"#, "body: expected text in \"before\", got []"),
            (b"{\"code\": \"\xff\"}", "body: expected JSON"),
        ] {
            let refused = Block::parse(body).unwrap_err();
            assert!(refused.starts_with(expected), "{refused}");
        }
    }

    const LINES: ReaderLines = ReaderLines { above: 9, shown: 4 };

    #[test]
    fn the_compiler_speaks_of_the_readers_lines() {
        let rendered = "\
error[E0308]: mismatched types
  --> block.rs:10:18
   |
 9 |     use a::b;
   |            - hidden
10 |     let x: i32 = \"12 | a\";
   |            ---   ^^^^^^^^ expected `i32`, found `&str`
   |
  ::: src/tensor.rs:12:5
   |
12 |     pub fn new() {
   |            ---
help: try this
  --> block.rs:13:1
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
   |            ---   ^^^^^^^^ expected `i32`, found `&str`
   |
  ::: src/tensor.rs:12:5
   |
12 |     pub fn new() {
   |            ---
help: try this
  --> line 4, column 1
   |
4  +     let y = 2;
   ~     hidden();
";
        assert_eq!(LINES.renumber(rendered), expected);
        assert!(LINES.renumber(" --> block.rs:14:1\n").contains("--> a hidden line of this block"));
    }

    #[test]
    fn errors_name_their_lines_once_and_summaries_are_left_out() {
        let message = |level: &str, line: usize, text: &str| {
            let span =
                serde_json::json!({"file_name": FILE, "line_start": line, "is_primary": true});
            let spans = if line == 0 { vec![] } else { vec![span] };
            serde_json::json!({"$message_type": "diagnostic", "level": level, "message": text,
                "spans": spans, "rendered": format!("{level}: {text}\n\n")})
            .to_string()
        };
        let output = [
            message("warning", 13, "w"),
            message("error", 11, "a"),
            message("error", 11, "b"),
            message("error", 14, "in a hidden line"),
            message("error", 0, "aborting due to 3 previous errors"),
            message("failure-note", 0, "For more information"),
            "thread 'rustc' panicked".into(),
        ]
        .join("\n");
        let found = Diagnostics::read(&output, LINES);
        assert_eq!((found.errors, &found.lines[..]), (3, &[2][..]));
        assert_eq!(
            found.text,
            "warning: w\n\nerror: a\n\nerror: b\n\nerror: in a hidden line\nthread 'rustc' panicked\n"
        );
    }

    #[test]
    fn a_panic_names_the_readers_line() {
        for (line, expected) in [
            (
                "thread 'main' (71) panicked at block.rs:11:5:",
                "thread 'main' panicked at line 2, column 5:",
            ),
            (
                "thread '<unnamed>' (8) panicked at block.rs:9:5:",
                "thread '<unnamed>' panicked at a hidden line of this block:",
            ),
            (
                "thread 'main' panicked at /home/a/.cargo/registry/src/index-1/ndarray-0.17.1/src/lib.rs:7:1:",
                "thread 'main' panicked at ndarray-0.17.1/src/lib.rs:7:1:",
            ),
            (
                "thread 'main' (1) panicked at src/tensor.rs:7:1:",
                "thread 'main' panicked at src/tensor.rs:7:1:",
            ),
            ("it panicked at block.rs:11:5:", "it panicked at block.rs:11:5:"),
            ("thread 'a' panicked at noon", "thread 'a' panicked at noon"),
            ("a word", "a word"),
        ] {
            assert_eq!(LINES.stderr_line(line).as_deref(), Some(expected));
        }
        assert_eq!(
            LINES.stderr_line("note: run with `RUST_BACKTRACE=1` environment variable"),
            None
        );
    }
}
