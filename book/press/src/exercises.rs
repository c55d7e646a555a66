//! Checks that the pages have, of each exercise, one stub, one solution that the tests run, and one row of
//! the list.
//!
//! The form of the stub is a rule for every page, which the preprocessor checks.

use crate::workspace::{Workspace, is_editors_own};
use anyhow::{Context, Result};
use evenkeel_preprocessor::page::{Fence, fences};
use std::path::Path;

/// A block of a page, and the page's stem.
struct PageBlock {
    page: String,
    fence: Fence,
}

impl PageBlock {
    /// The function in the block, from `fn` to its end.
    fn function(&self) -> &str {
        let body = &self.fence.body;
        let start = body.find("fn ").unwrap_or(body.len());
        body[start..].find("\n}\n").map_or("", |end| &body[start..start + end + 2])
    }

    /// The first line of the function.
    fn signature(&self) -> &str {
        self.function().lines().next().unwrap_or_default()
    }

    fn place(&self) -> String {
        format!("book/src/{}.md:{}", self.page, self.fence.line)
    }
}

/// What is missing for the exercises that the crate offers.
pub fn problems(workspace: &Workspace) -> Result<Vec<String>> {
    let src = workspace.book.join("src");
    let Ok(offers) = std::fs::read_to_string(workspace.root.join("src/exercises/mod.rs")) else {
        return Ok(Vec::new());
    };
    let names: Vec<&str> = offers
        .lines()
        .filter_map(|line| line.strip_prefix("pub use ")?.strip_suffix(';')?.rsplit("::").next())
        .collect();
    let list = std::fs::read_to_string(src.join("exercises.md")).unwrap_or_default();
    let blocks = blocks(&src)?;
    let mut problems = Vec::new();
    for name in &names {
        let tests = workspace.root.join(format!("tests/exercises/{name}.rs"));
        let tested = std::fs::read_to_string(tests).unwrap_or_default();
        let checked = check_exercise(name, &blocks, &tested, &list);
        problems.extend(checked.err().map(|what| format!("exercise {name}: {what}")));
    }
    for (element, times) in
        [("class=\"exercise-state\"", names.len()), ("<div id=\"exercise-progress\"></div>", 1)]
    {
        let got = list.matches(element).count();
        if got != times {
            problems.push(format!(
                "book/src/exercises.md: expected {element} {times} times, got {got}"
            ));
        }
    }
    Ok(problems)
}

/// The code blocks of all pages.
fn blocks(src: &Path) -> Result<Vec<PageBlock>> {
    let mut found = Vec::new();
    for entry in src.read_dir().context("the pages")? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "md")
            && !is_editors_own(&entry.file_name())
        {
            let page = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let fences = fences(&std::fs::read_to_string(&path)?);
            found.extend(fences.into_iter().map(|fence| PageBlock { page: page.clone(), fence }));
        }
    }
    Ok(found)
}

/// What is wrong with one exercise.
fn check_exercise(
    name: &str,
    blocks: &[PageBlock],
    tested: &str,
    list: &str,
) -> Result<(), String> {
    let opening = format!("# let exercise = evenkeel::exercises::{name}();\n");
    let info = |block: &PageBlock| block.fence.info.clone().unwrap_or_default();
    let own = blocks.iter().filter(|block| block.fence.body.starts_with(&opening));
    let (stubs, solutions): (Vec<_>, Vec<_>) =
        own.partition(|block| info(block).contains("exercise-"));
    let [stub] = stubs[..] else {
        return Err(format!("expected one stub in the pages, got {}", stubs.len()));
    };
    let [solution] = solutions[..] else {
        return Err(format!("expected one solution in the pages, got {}", solutions.len()));
    };
    let expect = |holds: bool, block: &PageBlock, what: &str| {
        holds.then_some(()).ok_or_else(|| format!("{}: expected {what}", block.place()))
    };

    expect(stub.function().contains("todo!("), stub, "a todo!() in the stub's function")?;
    let hidden = stub.fence.body.lines().filter(|line| *line == "#" || line.starts_with("# "));
    expect(hidden.count() == 2, stub, "two hidden lines, the first and the last")?;

    expect(solution.page == stub.page, solution, "the solution on the page of its stub")?;
    expect(info(solution) == "rust", solution, "```rust alone for a solution")?;
    let asserted = solution.fence.body.lines().next_back().unwrap_or_default();
    let asserts = asserted.starts_with("# assert_eq!(exercise.verdict(")
        && asserted.ends_with("), evenkeel::exercises::Verdict::Solved);");
    expect(asserts, solution, "the verdict asserted in the last line")?;
    expect(
        solution.signature() == stub.signature(),
        solution,
        &format!("the signature of the stub, `{}`", stub.signature()),
    )?;
    expect(
        tested.contains(&format!("\n{}\n", solution.function())),
        solution,
        &format!("the same function, letter by letter, in tests/exercises/{name}.rs"),
    )?;

    let state = format!("| <span class=\"exercise-state\" data-exercise=\"{name}\"></span> [");
    let leads = format!("]({}.md#", stub.page);
    let row = list.lines().any(|line| line.starts_with(&state) && line.contains(&leads));
    row.then_some(()).ok_or_else(|| {
        format!("book/src/exercises.md: expected a row `{state}…{leads}…`, got none")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STUB: &str = "```rust,editable,standalone_crate,exercise-a\n# let exercise = evenkeel::exercises::a();\nfn answer() {\n    todo!()\n}\n# exercise.check(answer);\n```\n\n";
    const SOLUTION: &str = "```rust\n# let exercise = evenkeel::exercises::a();\nfn answer() {\n    b();\n}\n# assert_eq!(exercise.verdict(answer), evenkeel::exercises::Verdict::Solved);\n```\n";
    const TESTED: &str = "\nfn answer() {\n    b();\n}\n";
    const LIST: &str =
        "| <span class=\"exercise-state\" data-exercise=\"a\"></span> [A](page.md#a) |\n";

    fn problem(page: &str, tested: &str, list: &str) -> Option<String> {
        let block = |fence| PageBlock { page: "page".into(), fence };
        let blocks: Vec<_> = fences(page).into_iter().map(block).collect();
        check_exercise("a", &blocks, tested, list).err()
    }

    #[test]
    fn a_stub_a_solution_its_test_and_a_row_are_enough() {
        assert_eq!(problem(&format!("{STUB}{SOLUTION}"), TESTED, LIST), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let page = format!("{STUB}{SOLUTION}");
        for (page, tested, list, expected) in [
            (SOLUTION, TESTED, LIST, "expected one stub in the pages, got 0"),
            (STUB, TESTED, LIST, "expected one solution in the pages, got 0"),
            (&page.replace("todo!()", "c()"), TESTED, LIST, "page.md:1: expected a todo!()"),
            (&page.replace("    todo", "# c();\ntodo"), TESTED, LIST, "two hidden lines"),
            (
                &page.replace("rust\n", "rust,editable\n"),
                TESTED,
                LIST,
                "page.md:9: expected ```rust",
            ),
            (&page.replace("# assert_eq!", "# assert_ne!"), TESTED, LIST, "the verdict asserted"),
            (&page.replacen("answer()", "answer(x)", 1), TESTED, LIST, "signature of the stub"),
            (&page, "", LIST, "letter by letter, in tests/exercises/a.rs"),
            (&page, TESTED, "| A |", "book/src/exercises.md: expected a row"),
            (&page, TESTED, &LIST.replace("page", "other"), "expected a row"),
        ] {
            let what = problem(page, tested, list).unwrap_or_else(|| panic!("no {expected}"));
            assert!(what.contains(expected), "{what}");
        }
    }
}
