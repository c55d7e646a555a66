//! What the check of an exercise says of an answer.
//!
//! The check writes its verdict into a file, as well as printing the verdict for the reader, since a block
//! can print whatever it likes. This is no lock: a block can write into the file too.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The environment variable that names the file to `evenkeel::exercises`.
pub const VARIABLE: &str = "EVENKEEL_EXERCISES";

/// A verdict on an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub exercise: String,
    /// `solved`, `not solved yet` or `wrong`.
    pub verdict: &'static str,
}

/// The file for the reports of one run.
pub struct ReportFile {
    pub path: PathBuf,
    /// Held open, since the program can put something else in the file's place.
    file: File,
}

impl ReportFile {
    pub fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join("exercises");
        File::create_new(&path)?;
        Ok(Self { file: File::open(&path)?, path })
    }

    /// The last report: the check is the last line of a block.
    pub fn read(&mut self) -> io::Result<Option<Report>> {
        // A report takes one line. More is in the file only if the block has written there.
        const MAX: u64 = 64 << 10;
        let mut bytes = Vec::new();
        self.file.by_ref().take(MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).lines().last().and_then(parse))
    }
}

/// Reads `which_axis: not solved yet: todo!() at line 4`.
fn parse(line: &str) -> Option<Report> {
    let (exercise, state) = line.split_once(": ")?;
    let verdict = state.split_once(": ").map_or(state, |(verdict, _)| verdict);
    let verdict = ["solved", "not solved yet", "wrong"].into_iter().find(|own| *own == verdict)?;
    Some(Report { exercise: exercise.into(), verdict })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_last_report_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = ReportFile::create(folder.path()).unwrap();
        assert_eq!(file.read().unwrap(), None);
        let mut report = |line: &str| {
            let mut end = File::options().append(true).open(&file.path).unwrap();
            writeln!(end, "{line}").unwrap();
            file.read().unwrap().map(|report| (report.exercise, report.verdict))
        };
        assert_eq!(report("a: solved"), Some(("a".into(), "solved")));
        assert_eq!(report("a: not solved yet: todo!(): 1"), Some(("a".into(), "not solved yet")));
        assert_eq!(report("b: wrong: your dx: 1, expected 2"), Some(("b".into(), "wrong")));
        assert_eq!(report("a: solved, I say"), None);
    }
}
