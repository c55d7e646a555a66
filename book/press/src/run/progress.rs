//! How far Cargo is, as its progress bar says it.

use serde_json::{Value, json};

/// Cargo's progress: `Building [====>    ] 12/87: ndarray, rayon(build.rs)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    done: u64,
    of: u64,
    /// One of the crates that are being compiled.
    name: Option<String>,
}

impl Progress {
    /// Reads a line that Cargo wrote to stderr. `None` if the line is another one.
    pub fn read(line: &str) -> Option<Self> {
        let (_, rest) = line.trim_start().strip_prefix("Building [")?.split_once("] ")?;
        let (counts, names) = rest.split_once(':').unwrap_or((rest, ""));
        let (done, of) = counts.trim().split_once('/')?;
        let name = names.split(',').next().unwrap_or_default();
        // What Cargo does with the crate stands behind its name; a name without room ends in dots.
        let name = name.split('(').next().unwrap_or_default().trim();
        let name = (!name.is_empty() && !name.ends_with("...")).then(|| name.to_owned());
        Some(Self { done: done.parse().ok()?, of: of.parse().ok()?, name })
    }

    /// The event for a page whose run waits; without progress it says just that the crate is being built.
    pub fn event(progress: Option<&Self>) -> Value {
        match progress {
            None => json!({ "state": "building" }),
            Some(Self { done, of, name: None }) => {
                json!({ "state": "building", "done": done, "of": of })
            }
            Some(Self { done, of, name: Some(name) }) => {
                json!({ "state": "building", "done": done, "of": of, "crate": name })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_bar_is_read_and_its_other_lines_are_not() {
        for (line, expected) in [
            (
                "    Building [=====>          ] 32/74: ndarray(build.rs), syn      ",
                json!({ "state": "building", "done": 32, "of": 74, "crate": "ndarray" }),
            ),
            (
                "    Building [================] 73/74: evenkeel",
                json!({ "state": "building", "done": 73, "of": 74, "crate": "evenkeel" }),
            ),
            (
                "    Building [>               ] 0/74: proc-ma...",
                json!({ "state": "building", "done": 0, "of": 74 }),
            ),
            (
                "    Building [>               ] 1/2",
                json!({ "state": "building", "done": 1, "of": 2 }),
            ),
        ] {
            assert_eq!(Progress::event(Progress::read(line).as_ref()), expected, "{line}");
        }
        for line in
            ["   Compiling syn v3.0.10", "Building [", "Building [=] a/b: c", "error: x", ""]
        {
            assert_eq!(Progress::read(line), None, "{line}");
        }
        assert_eq!(Progress::event(None), json!({ "state": "building" }));
    }
}
