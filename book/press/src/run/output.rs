//! What a program prints, as text.

use super::end::Clues;
use super::limits::CANNOT_START;
use super::lines::ReaderLines;

/// The start of a Rust program's message when an allocation fails.
pub const OUT_OF_MEMORY: &str = "memory allocation of ";

/// Turns bytes into text as they arrive: a character may be split between two reads.
#[derive(Default)]
pub struct Decoder {
    incomplete: Vec<u8>,
}

impl Decoder {
    /// The text of these bytes; no bytes mean the end. Invalid UTF-8 becomes �.
    pub fn decode(&mut self, bytes: &[u8]) -> String {
        self.incomplete.extend_from_slice(bytes);
        let last = self.incomplete.utf8_chunks().last().map_or(&b""[..], |chunk| chunk.invalid());
        // An error without a length is a character whose end may still come.
        let is_cut = std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
        let held = if is_cut && !bytes.is_empty() { last.len() } else { 0 };
        let rest = self.incomplete.split_off(self.incomplete.len() - held);
        let text = String::from_utf8_lossy(&self.incomplete).into_owned();
        self.incomplete = rest;
        text
    }
}

/// What the program writes to stderr.
pub struct ErrorOutput<'a> {
    lines: &'a ReaderLines,
    decoder: Decoder,
    /// The start of a line that has no end yet.
    line: String,
    pub clues: Clues,
}

impl<'a> ErrorOutput<'a> {
    pub fn new(lines: &'a ReaderLines) -> Self {
        Self { lines, decoder: Decoder::default(), line: String::new(), clues: Clues::default() }
    }

    /// The whole lines so far, with the reader's line numbers. A line longer than `LONG` is passed on in
    /// pieces.
    pub fn whole_lines(&mut self, bytes: &[u8]) -> String {
        const LONG: usize = 4 << 10;
        self.line += &self.decoder.decode(bytes);
        let mut out = String::new();
        while let Some(at) = self.line.find('\n') {
            let line: String = self.line.drain(..=at).collect();
            self.note_cause(&line);
            // Of no use in a page.
            if !line.starts_with("note: run with `RUST_BACKTRACE=1`") {
                out += &panic_header(&self.lines.translate(&line));
            }
        }
        if bytes.is_empty() || self.line.len() > LONG {
            out += &self.lines.translate(&std::mem::take(&mut self.line));
        }
        out
    }

    fn note_cause(&mut self, line: &str) {
        self.clues.out_of_memory |= line.starts_with(OUT_OF_MEMORY);
        self.clues.stack_overflow |= line.contains("has overflowed its stack");
        if line.starts_with(CANNOT_START) {
            self.clues.cannot_start = Some(line.trim().to_owned());
        }
    }
}

/// The first line of a panic without what differs from run to run, the number of the thread behind its
/// name, and without the folder of other crates. Other lines stay as they are.
fn panic_header(line: &str) -> String {
    let Some((thread, place)) =
        line.split_once(" panicked at ").filter(|(thread, _)| thread.starts_with("thread '"))
    else {
        return line.to_owned();
    };
    let thread = thread.rsplit_once(" (").map_or(thread, |(name, _)| name);
    let in_crate = place.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/'));
    format!("{thread} panicked at {}", in_crate.map_or(place, |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: &[&[u8]]) -> String {
        let mut decoder = Decoder::default();
        let all: String = pieces.iter().map(|piece| decoder.decode(piece)).collect();
        all + &decoder.decode(b"")
    }

    #[test]
    fn a_character_that_is_cut_in_two_is_one() {
        assert_eq!(text(&[b"a\xc3", b"\xa9b"]), "aéb");
        assert_eq!(text(&[b"\xf0\x9f", b"\x8e", b"\x89"]), "🎉");
        assert_eq!(text(&[b"\xff a\xc3", b"\xa9"]), "\u{fffd} aé");
    }

    #[test]
    fn what_is_no_text_is_marked_and_nothing_is_lost() {
        assert_eq!(text(&[b"\xff\xfeok"]), "\u{fffd}\u{fffd}ok");
        assert_eq!(text(&[b"end\xc3"]), "end\u{fffd}");
        assert_eq!(text(&[b"\xc3", b"x"]), "\u{fffd}x");
        assert_eq!(text(&[b"", b"a"]), "a");
    }

    #[test]
    fn a_line_without_an_end_is_passed_on() {
        let lines = ReaderLines(vec![Some(1)]);
        let mut output = ErrorOutput::new(&lines);
        assert_eq!(output.whole_lines(b"one\ntwo"), "one\n");
        assert_eq!(output.whole_lines(b" and"), "");
        assert_eq!(output.whole_lines(&[b'x'; 5000]).len(), 5007);
        assert_eq!(output.whole_lines(b"block.rs:"), "");
        assert_eq!(output.whole_lines(b"1:1 "), "");
        assert_eq!(output.whole_lines(b""), "line 1, column 1 ");
    }

    #[test]
    fn places_are_those_that_the_reader_sees() {
        let lines = ReaderLines(vec![None, Some(1), Some(2)]);
        for (line, expected) in [
            (
                "thread 'main' (71) panicked at block.rs:3:5:",
                "thread 'main' panicked at line 2, column 5:",
            ),
            (
                "thread '<unnamed>' (8) panicked at block.rs:1:5:",
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
            ("[block.rs:2:1] a = 1", "[line 1, column 1] a = 1"),
            ("it (1) panicked at noon", "it (1) panicked at noon"),
            ("a word", "a word"),
        ] {
            let line = format!("{line}\r\n");
            let printed = ErrorOutput::new(&lines).whole_lines(line.as_bytes());
            assert_eq!(printed, format!("{expected}\r\n"));
        }
        let note = b"note: run with `RUST_BACKTRACE=1` environment variable\n";
        assert_eq!(ErrorOutput::new(&lines).whole_lines(note), "");
    }
}
