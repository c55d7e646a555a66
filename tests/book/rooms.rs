//! The rooms of `src/`: each knows those before it, and one circle is natural.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::sources;
use crate::common::read;

/// From the ground up: a room may use itself and those before it.
const ROOMS: [&str; 8] =
    ["machine", "engine", "ops", "norm", "nn", "optim", "datasets", "exercises"];

/// A file of a room, with the folder of its name: `engine/shape`.
type Unit = String;

/// `a::{b, c::d}` as `a::b` and `a::c::d`.
fn leaves(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((front, list)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let list = list.trim_end().strip_suffix('}').expect("a closed list");
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in list.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| leaves(part)).map(|leaf| format!("{front}{leaf}")).collect()
}

/// What the code of a file imports from this crate, without its unit tests.
fn imports(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let statements = text.split(';').filter_map(|statement| {
        let line = statement.lines().position(|line| line.trim_start().contains("use "))?;
        let lines: Vec<_> = statement.lines().skip(line).collect();
        let (_, tree) =
            lines.join(" ").split_once("use ").map(|(a, b)| (a.to_owned(), b.to_owned()))?;
        (tree.starts_with("crate::") || tree.starts_with("super::")).then_some(tree)
    });
    statements.flat_map(|tree| leaves(&tree)).collect()
}

/// Every file of every room, and the files it imports from.
fn graph() -> BTreeMap<Unit, BTreeSet<Unit>> {
    let files: Vec<String> = sources().into_iter().filter(|name| name[4..].contains('/')).collect();
    let unit =
        |name: &str| name[4..].split('/').take(2).collect::<Vec<_>>().join("/").replace(".rs", "");
    let units: BTreeSet<Unit> = files.iter().map(|name| unit(name)).collect();
    // Where a name comes from that a room hands on.
    let mut home = BTreeMap::new();
    for room in ROOMS {
        for statement in read(format!("src/{room}/mod.rs")).split(';') {
            let Some((_, tree)) = statement.split_once("pub use ") else { continue };
            for leaf in leaves(tree) {
                let (file, name) = leaf.split_once("::").expect("a name of a file");
                home.insert(format!("{room}/{name}"), format!("{room}/{file}"));
            }
        }
    }
    let mut graph: BTreeMap<Unit, BTreeSet<Unit>> = BTreeMap::new();
    for name in &files {
        let from = unit(name);
        let room = from.split('/').next().unwrap();
        let below = Path::new(name).components().count() > 3; // src/room/file/part.rs
        let to = graph.entry(from.clone()).or_default();
        for import in imports(&read(name)) {
            let mut path: Vec<&str> = import.split("::").collect();
            if path[0] == "super" {
                if below {
                    continue; // within its own file's folder
                }
                path.splice(0..1, ["crate", room]);
            }
            assert!(
                ROOMS.contains(&path[1]),
                "{name}: `{import}` does not say which room it is from"
            );
            let target = path[1..].iter().take(2).copied().collect::<Vec<_>>().join("/");
            let of_room = || format!("{}/mod", path[1]);
            let target = if units.contains(&target) {
                target
            } else {
                home.get(&target).cloned().unwrap_or_else(of_room)
            };
            if target != from {
                to.insert(target);
            }
        }
    }
    graph
}

#[test]
fn rooms_import_from_those_below_them_only() {
    let graph = graph();
    assert!(graph.len() > 50, "{}", graph.len());
    let floor =
        |unit: &str| ROOMS.iter().position(|room| unit.starts_with(&format!("{room}/"))).unwrap();
    for (from, to) in &graph {
        for to in to {
            assert!(floor(to) <= floor(from), "{from} imports from {to}, which is above it");
        }
    }
}

/// A tensor holds its node in the graph, a node's pullback takes and returns tensors, and what
/// `backward` returns is made of both.
#[test]
fn one_circle_of_imports_is_natural_and_there_is_no_other() {
    let graph = graph();
    let reached = |from: &Unit| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(unit) = open.pop() {
            open.extend(
                graph.get(unit).into_iter().flatten().filter(|to| reached.insert((*to).clone())),
            );
        }
        reached
    };
    let in_a_circle: Vec<_> = graph.keys().filter(|unit| reached(unit).contains(*unit)).collect();
    assert_eq!(in_a_circle, ["engine/autograd", "engine/gradients", "engine/tensor"]);
}

#[test]
fn every_room_opens_with_its_purpose() {
    for room in ROOMS {
        assert!(read(format!("src/{room}/mod.rs")).starts_with("//! "), "src/{room}/mod.rs");
    }
}

/// What a reader takes in at one sitting.
#[test]
fn no_file_is_longer_than_300_lines() {
    for name in sources() {
        let lines = read(&name).lines().count();
        assert!(lines <= 300, "{name}: {lines} lines");
    }
}
