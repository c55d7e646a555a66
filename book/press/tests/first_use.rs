//! What a reader waits for at the first start, without compiling anything: the lists of crates as Cargo resolves them.

use evenkeel_preprocessor::page;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn cargo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    let output = command.current_dir(root()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The crates that Cargo compiles for these packages, each with its version and features.
fn compiled(packages: &[&str]) -> BTreeSet<String> {
    let mut arguments = vec!["tree", "--locked", "--edges", "normal,build", "--prefix", "none"];
    arguments.extend(["--no-dedupe", "--format", "{p} [{f}]"]);
    arguments.extend(packages.iter().flat_map(|package| ["--package", package]));
    let tree = cargo(&arguments);
    tree.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[test]
fn after_the_press_run_compiles_the_crate_and_nothing_else() {
    let press = compiled(&["evenkeel-press"]);
    assert!(press.len() > 100, "{press:#?}");
    let more: Vec<_> = compiled(&["evenkeel", "evenkeel-press"])
        .difference(&press)
        .filter(|line| !line.starts_with("evenkeel v"))
        .cloned()
        .collect();
    assert!(more.is_empty(), "to be compiled before the first Run: {more:#?}");
}

#[test]
fn no_block_of_a_page_uses_a_crate_of_the_tests_alone() {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1", "--locked"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let own = packages.iter().find(|package| package["name"] == "evenkeel").unwrap();
    let names = |kind: Value| -> BTreeSet<String> {
        let all = own["dependencies"].as_array().unwrap().iter();
        all.filter(|dependency| dependency["kind"] == kind)
            .map(|dependency| dependency["name"].as_str().unwrap().replace('-', "_"))
            .collect()
    };
    let of_tests = &names("dev".into()) - &names(Value::Null);
    assert!(of_tests.contains("proptest"), "{of_tests:?}");
    let mut blocks = 0;
    for entry in root().join("book/src").read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for fence in page::fences(&text) {
            let info = fence.info.unwrap_or_default();
            if !info.starts_with("rust") || info.contains("ignore") {
                continue;
            }
            blocks += 1;
            let words = fence.body.split(|c: char| !c.is_alphanumeric() && c != '_');
            let used: Vec<_> = words.filter(|word| of_tests.contains(*word)).collect();
            assert!(used.is_empty(), "{}:{}: {used:?}", path.display(), fence.line);
        }
    }
    assert!(blocks > 20, "{blocks} blocks");
}
