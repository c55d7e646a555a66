//! `cargo book new-page` and `cargo book new-exercise`, on a copy of the files that they add to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use walkdir::WalkDir;

/// This workspace's lists and pages, copied.
struct Copy(TempDir);

impl Copy {
    fn new() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for path in [
            "book/book.toml",
            "book/src/exercises.md",
            "book/src/layer_norm.md",
            "src/book.rs",
            "src/exercises/mod.rs",
            "src/exercises/which_axis.rs",
            "src/norm/rms_norm.rs",
            "src/precompiled.rs",
            "tests/exercises.rs",
        ] {
            copy.write(path, &fs::read_to_string(own.join(path)).unwrap());
        }
        copy.write(
            "book/src/SUMMARY.md",
            "# Summary\n\n- [14.2 Layer normalization](layer_norm.md)\n- [14.3 RMSNorm]()\n",
        );
        copy.write("tests/main.rs", "//! All tests.\n\nmod layer_norm;\nmod sgd;\n");
        copy
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.path().join(path)).unwrap_or_else(|_| panic!("no {path}"))
    }

    fn press(&self, arguments: &[&str]) -> Output {
        let mut press = Command::new(env!("CARGO_BIN_EXE_evenkeel-press"));
        press.args(arguments).arg("--book").arg(self.0.path().join("book")).output().unwrap()
    }

    /// What the command says when it has done its work.
    fn does(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.press(arguments);
        assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// Panics unless the command says so, in one line, and leaves all as it was.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], why: &str) {
        let before = self.files();
        let Output { status, stdout, stderr } = self.press(arguments);
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), stdout.len()), (Some(1), 0), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(why), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert_eq!(self.files(), before, "{arguments:?}");
    }

    fn files(&self) -> BTreeMap<PathBuf, String> {
        let files = WalkDir::new(self.0.path()).into_iter().map(|entry| entry.unwrap().into_path());
        let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).unwrap());
        files.filter(|path| path.is_file()).map(read).collect()
    }
}

#[test]
fn a_new_page_has_its_files_and_its_lines() {
    let copy = Copy::new();
    let said = copy.does(&["new-page", "rms_norm"]);
    assert!(said.ends_with("lists what is left to write.\n"), "{said}");
    assert!(copy.read("book/src/SUMMARY.md").contains("\n- [14.3 RMSNorm](rms_norm.md)\n"));
    let line = "#[doc = include_str!(\"../book/src/rms_norm.md\")]\nmod rms_norm {}\n";
    assert!(copy.read("src/book.rs").contains(line));
    assert_eq!(
        copy.read("tests/main.rs"),
        "//! All tests.\n\nmod layer_norm;\nmod rms_norm;\nmod sgd;\n"
    );
    let page = copy.read("book/src/rms_norm.md");
    assert!(page.starts_with("# 14.3 RMSNorm\n"), "{page}");
    assert!(page.contains("`src/norm/rms_norm.rs`") && page.contains("`tests/rms_norm.rs`"));
    for path in ["book/src/rms_norm.md", "examples/rms_norm.rs", "tests/rms_norm.rs"] {
        assert!(said.contains(&format!("wrote {path}\n")), "{said}");
        let text = copy.read(path);
        assert!(text.contains("TODO: ") && text.contains("rms_norm"), "{path}");
        assert!(!text.contains("@stem@") && !text.contains("@title@"), "{path}");
    }
}

#[test]
fn tests_of_the_stem_stay_as_they_are() {
    let copy = Copy::new();
    copy.write("tests/sgd.rs", "//! Sgd.\n");
    let said = copy.does(&["new-page", "sgd", "--title", "Momentum"]);
    assert!(said.ends_with("tests/sgd.rs was there: add a test of what the figure finds.\n"));
    assert_eq!(copy.read("tests/sgd.rs"), "//! Sgd.\n");
    assert_eq!(copy.read("tests/main.rs").matches("mod sgd;").count(), 1);
    assert!(copy.read("book/src/SUMMARY.md").ends_with("\n- [Momentum](sgd.md)\n"));
}

#[test]
fn a_new_exercise_has_its_files_and_its_lines() {
    let copy = Copy::new();
    copy.does(&["new-exercise", "on_the_mean", "--page", "layer_norm"]);
    let offers = copy.read("src/exercises/mod.rs");
    for (kind, own) in
        [("mod ", "mod on_the_mean;"), ("pub use ", "pub use on_the_mean::on_the_mean;")]
    {
        let list: Vec<_> = offers.lines().filter(|line| line.starts_with(kind)).collect();
        assert!(list.is_sorted() && list.contains(&own), "{list:?}");
    }
    assert!(copy.read("src/precompiled.rs").contains("\n    exercises::on_the_mean().check("));
    let tests = copy.read("tests/exercises.rs");
    assert!(tests.contains("mod on_the_mean;\n"), "{tests}");
    let row = "[On the mean](layer_norm.md#on-the-mean) | 14.2 |";
    assert!(copy.read("book/src/exercises.md").contains(row));
    let page = copy.read("book/src/layer_norm.md");
    let block = page.find("### On the mean\n").unwrap();
    assert!(page.find("## Exercises").unwrap() < block && block < page.find("\"paths\"").unwrap());
    assert!(page.contains("```rust,editable,standalone_crate,exercise-on_the_mean\n"));
    for path in ["src/exercises/on_the_mean.rs", "tests/exercises/on_the_mean.rs"] {
        let text = copy.read(path);
        assert!(text.contains("on_the_mean()") && !text.contains("@name@"), "{path}");
    }
}

#[test]
fn without_a_page_the_block_and_its_row_are_printed() {
    let copy = Copy::new();
    let (page, list) = (copy.read("book/src/layer_norm.md"), copy.read("book/src/exercises.md"));
    let said = copy.does(&["new-exercise", "on_the_mean"]);
    assert!(said.contains("\n```rust,editable,standalone_crate,exercise-on_the_mean\n"), "{said}");
    assert!(said.contains("data-exercise=\"on_the_mean\"></span> [On the mean](PAGE.md#"));
    assert_eq!(copy.read("book/src/layer_norm.md"), page);
    assert_eq!(copy.read("book/src/exercises.md"), list);
}

#[test]
fn what_cannot_be_whole_is_not_begun() {
    let copy = Copy::new();
    for name in ["Softmax", "soft-max", "_softmax", "soft__max", "2d", "", "../softmax"] {
        copy.refuses(
            &["new-page", name],
            "page: expected a name in snake_case, as layer_norm, got",
        );
        copy.refuses(&["new-exercise", name], "exercise: expected a name in snake_case");
    }
    copy.refuses(&["new-page", "mod"], "page: expected a name that is free, got mod");
    copy.refuses(&["new-page", "layer_norm"], "got one of a file: book/src/layer_norm.md");
    copy.refuses(&["new-page", "softmax", "--title", "[a]"], "--title: expected words");
    copy.refuses(&["new-exercise", "which_axis"], "got one of a file: src/exercises/which_axis.rs");
    copy.refuses(&["new-exercise", "mean", "--page", "nothing"], "book/src/nothing.md");
    copy.write("examples/softmax.rs", "");
    copy.refuses(&["new-page", "softmax"], "got one of a file: examples/softmax.rs");
    fs::remove_file(copy.0.path().join("src/book.rs")).unwrap();
    copy.refuses(&["new-page", "momentum"], "src/book.rs");
}
