//! The modules of the press import one way: no file uses one that, by whatever way round, uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The text of each file by its module: `serve`, `run/job`, and `run` for `run/mod.rs`.
fn modules() -> BTreeMap<String, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    for (folder, prefix) in [(sources.clone(), ""), (sources.join("run"), "run/")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "rs") {
                let stem = path.file_stem().unwrap().to_str().unwrap();
                let module = format!("{prefix}{stem}").replace("run/mod", "run");
                found.insert(module, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The first names of the paths that start with `start`: `render` and `watch` of `use crate::{render, watch::follow}`.
fn names<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).flat_map(|rest| {
        let list = rest.strip_prefix('{').and_then(|rest| rest.split("};").next());
        let paths = list.map_or(vec![rest], |list| list.split(',').collect());
        let name = |path: &'a str| {
            path.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
        };
        paths.into_iter().map(name).filter(|name| !name.is_empty())
    })
}

/// Each module with those it uses.
fn graph(modules: &BTreeMap<String, String>) -> BTreeMap<&str, BTreeSet<&str>> {
    let known = |module: String| modules.get_key_value(&module).map(|(key, _)| key.as_str());
    modules
        .iter()
        .map(|(module, text)| {
            let (folder, owner) =
                if module.starts_with("run") { ("run/", "run") } else { ("", "main") };
            // A name that is no module is an item of the folder's own file.
            let of_crate = names(text, "crate::").map(|name| known(name.into()).unwrap_or("main"));
            let of_folder = names(text, "super::")
                .map(|name| known(format!("{folder}{name}")).unwrap_or(owner));
            let children =
                names(text, "\nmod ").filter_map(|name| known(format!("{folder}{name}")));
            let all = of_crate.chain(of_folder).chain(children);
            (module.as_str(), all.filter(|to| to != module).collect())
        })
        .collect()
}

/// The modules that can be reached from themselves.
fn in_a_circle<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<&'a str> {
    let reached = |from: &'a str| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            open.extend(graph[module].iter().filter(|to| reached.insert(**to)));
        }
        reached
    };
    graph.keys().copied().filter(|module| reached(module).contains(module)).collect()
}

#[test]
fn the_modules_of_the_press_import_one_way() {
    let modules = modules();
    let graph = graph(&modules);
    assert!(graph.len() > 10 && graph["main"].contains("serve"), "{graph:?}");
    assert!(graph["serve"].contains("watch") && graph["run"].contains("run/job"), "{graph:?}");
    assert_eq!(in_a_circle(&graph), [""; 0], "{graph:?}");
}

#[test]
fn a_circle_is_found() {
    let text = |text: &str| text.to_owned();
    let modules = BTreeMap::from([
        (text("main"), text("\nmod a;\nmod b;\nmod c;\n")),
        (text("a"), text("use crate::b::Thing;\n")),
        (text("b"), text("use crate::{\n    c::{self, d},\n    nothing,\n};\n")),
        (text("c"), text("fn c() { crate::a::thing() }\n")),
    ]);
    assert_eq!(in_a_circle(&graph(&modules)), ["a", "b", "c", "main"]);
}
