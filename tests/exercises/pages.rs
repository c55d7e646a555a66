//! What the pages hold of each exercise: a block, a solution that these tests run, a line in the list.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The exercises that `src/exercises/mod.rs` offers.
fn names() -> BTreeSet<String> {
    let source = read("src/exercises/mod.rs");
    let offers = source.lines().filter_map(|line| line.strip_prefix("pub use ")?.strip_suffix(';'));
    offers.map(|offer| offer.split("::").last().unwrap().to_owned()).collect()
}

/// A block of Rust.
struct Block {
    page: String,
    info: String,
    lines: Vec<String>,
}

impl Block {
    /// The lines that a reader does not see.
    fn hidden(&self) -> Vec<&str> {
        let lines = self.lines.iter().map(String::as_str);
        lines.filter(|line| *line == "#" || line.starts_with("# ")).collect()
    }

    /// The function in it, from `fn` to its end.
    fn function(&self) -> String {
        let text = self.lines.join("\n");
        let start = text.find("fn ").expect("a function");
        text[start..text.find("\n}\n").expect("its end") + 2].to_owned()
    }
}

fn blocks() -> Vec<Block> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join("book/src")).unwrap() {
        let path = entry.unwrap().path();
        let Some(page) = path.to_str().and_then(|path| path.strip_suffix(".md")) else { continue };
        let (page, text) = (page.rsplit(['/', '\\']).next().unwrap(), read(&path));
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(info) = line.strip_prefix("```rust") else { continue };
            let body = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned);
            found.push(Block { page: page.into(), info: info.into(), lines: body.collect() });
        }
    }
    found
}

/// The blocks of one exercise: the stubs and the solutions.
fn of<'a>(name: &str, blocks: &'a [Block]) -> (Vec<&'a Block>, Vec<&'a Block>) {
    let opening = format!("# let exercise = evenkeel::exercises::{name}();");
    let own = blocks.iter().filter(|block| block.lines.first() == Some(&opening));
    own.partition(|block| block.info.contains("exercise-"))
}

#[test]
fn each_exercise_has_one_stub_that_gives_nothing_away() {
    let blocks = blocks();
    assert!(names().len() >= 4);
    for name in names() {
        let (stubs, _) = of(&name, &blocks);
        let [stub] = stubs[..] else { panic!("{name}: expected one stub, got {}", stubs.len()) };
        assert_eq!(stub.info, format!(",editable,standalone_crate,exercise-{name}"));
        assert!(stub.function().contains("todo!("), "{name}: its stub is not open");
        let hidden = stub.hidden();
        assert!(
            hidden.len() == 2 && hidden[1].starts_with("# exercise.check("),
            "{name}: expected two hidden lines, got {hidden:?}"
        );
    }
}

#[test]
fn each_exercise_has_one_solution_which_these_tests_run() {
    let blocks = blocks();
    for name in names() {
        let (stubs, solutions) = of(&name, &blocks);
        let [solution] = solutions[..] else {
            panic!("{name}: expected one solution, got {}", solutions.len())
        };
        assert_eq!((&solution.page, solution.info.as_str()), (&stubs[0].page, ""));
        let asserted = solution.lines.last().unwrap();
        assert!(
            asserted.starts_with("# assert_eq!(exercise.verdict(")
                && asserted.ends_with("), evenkeel::exercises::Verdict::Solved);"),
            "{name}: its solution asserts nothing: {asserted}"
        );
        let function = solution.function();
        let tested = read(format!("tests/exercises/{name}.rs"));
        assert!(
            tested.contains(&format!("\n{function}\n")),
            "tests/exercises/{name}.rs does not have the solution of the page:\n{function}"
        );
        let signature = |block: &Block| block.function().lines().next().map(str::to_owned);
        assert_eq!(signature(solution), signature(stubs[0]));
    }
}

#[test]
fn each_mistake_that_a_check_knows_is_tried() {
    for name in names() {
        let source = read(format!("src/exercises/{name}.rs"));
        let tried = read(format!("tests/exercises/{name}.rs"));
        let lists =
            source.split("mistakes: &[").skip(1).filter_map(|rest| rest.split("    ],\n").next());
        let mut mistakes = lists.flat_map(|list| list.split('"').skip(1).step_by(2)).peekable();
        assert!(mistakes.peek().is_some(), "{name}: its check knows no mistake");
        for mistake in mistakes {
            let opening: String = mistake.chars().take(24).collect();
            assert!(tried.contains(&opening), "tests/exercises/{name}.rs does not try: {mistake}");
        }
    }
}

#[test]
fn the_list_holds_each_exercise_once_and_leads_to_it() {
    let (list, blocks) = (read("book/src/exercises.md"), blocks());
    assert_eq!(list.matches("class=\"exercise-state\"").count(), names().len());
    assert_eq!(list.matches("<div id=\"exercise-progress\"></div>").count(), 1);
    for name in names() {
        let state = format!("| <span class=\"exercise-state\" data-exercise=\"{name}\"></span> [");
        let row = list.lines().find(|line| line.starts_with(&state));
        let row = row.unwrap_or_else(|| panic!("{name}: no row starts with {state}"));
        let page = &of(&name, &blocks).0[0].page;
        assert!(
            row.contains(&format!("]({page}.md#")),
            "{name}: its row does not lead to {page}.md"
        );
    }
}
