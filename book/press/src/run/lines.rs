//! The lines of the compiled file in the numbers that the reader sees.

/// The name of the block's file, in its folder.
pub const FILE: &str = "block.rs";

/// For each line of the file, in order: its number in the page, if the page shows the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderLines(pub Vec<Option<usize>>);

impl ReaderLines {
    /// The reader's number of a line of the file.
    pub fn number(&self, line: usize) -> Option<usize> {
        *self.0.get(line.checked_sub(1)?)?
    }

    /// The text with the reader's place in place of each `block.rs:12:5`. The types of closures name two:
    /// `block.rs:12:5: 12:9`, of which the first is kept.
    pub fn translate(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(FILE) {
            let (before, found) = rest.split_at(at);
            let after = &found[FILE.len()..];
            out.push_str(before);
            let in_a_name = |c: char| c.is_alphanumeric() || "/\\_-.".contains(c);
            match place(after).filter(|_| !before.ends_with(in_a_name)) {
                Some((line, column, length)) => {
                    out.push_str(&self.describe(line, column));
                    rest = &after[length..];
                }
                None => {
                    out.push_str(FILE);
                    rest = after;
                }
            }
        }
        out + rest
    }

    fn describe(&self, line: usize, column: usize) -> String {
        match self.number(line) {
            Some(line) => format!("line {line}, column {column}"),
            None => "a hidden line of this block".into(),
        }
    }
}

/// The line and the column of `:12:5` or `:12:5: 12:9` at the start of the text, and the length of that.
fn place(text: &str) -> Option<(usize, usize, usize)> {
    let (line, column, length) = numbers(text, ":")?;
    let end = numbers(&text[length..], ": ").map_or(0, |(_, _, length)| length);
    Some((line, column, length + end))
}

/// `12:5` behind `start`, and the length of both.
fn numbers(text: &str, start: &str) -> Option<(usize, usize, usize)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (line, rest) = {
        let rest = text.strip_prefix(start)?;
        rest.split_at(digits(rest))
    };
    let rest = rest.strip_prefix(':')?;
    let column = &rest[..digits(rest)];
    let length = start.len() + line.len() + 1 + column.len();
    Some((line.parse().ok()?, column.parse().ok()?, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_in_the_file_is_the_readers() {
        let lines = ReaderLines(vec![None, Some(1), Some(2), None]);
        for (text, expected) in [
            ("[block.rs:3:1] a = 1", "[line 2, column 1] a = 1"),
            ("{closure@block.rs:2:5: 2:9}", "{closure@line 1, column 5}"),
            ("at block.rs:2:5: 7", "at line 1, column 5: 7"),
            (
                "block.rs:1:1, block.rs:9:9",
                "a hidden line of this block, a hidden line of this block",
            ),
            ("src/block.rs:2:1 my_block.rs:2:1", "src/block.rs:2:1 my_block.rs:2:1"),
            (
                "block.rs block.rs:2 block.rs:x:1 block.rs:0:0é",
                "block.rs block.rs:2 block.rs:x:1 a hidden line of this blocké",
            ),
        ] {
            assert_eq!(lines.translate(text), expected);
        }
    }
}
