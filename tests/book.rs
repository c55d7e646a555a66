//! The laws of the layout that a compiler does not see: one stem everywhere, nothing listed that is not there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

mod rooms;

use crate::common::{read, root};

/// The pages that `SUMMARY.md` links.
fn pages() -> BTreeSet<String> {
    let summary = read("book/src/SUMMARY.md");
    let links = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter_map(|link| link.strip_suffix(".md")).map(str::to_owned).collect()
}

/// The stems of the files of one kind in a folder.
fn stems(folder: &str, ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let of_kind = paths.filter(|path| path.extension().is_some_and(|own| own == ending));
    of_kind.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_page_is_listed_and_every_listed_page_is_there() {
    let mut there = stems("book/src", "md");
    assert!(there.remove("SUMMARY"));
    assert_eq!(there, pages());
}

#[test]
fn the_blocks_of_every_page_are_doctests() {
    let doctests = read("src/book.rs");
    for page in pages() {
        let line = format!("#[doc = include_str!(\"../book/src/{page}.md\")]\nmod {page} {{}}");
        assert!(doctests.contains(&line), "src/book.rs does not run the blocks of {page}.md");
    }
    assert_eq!(doctests.matches("include_str!(\"../book/").count(), pages().len());
}

/// The paths in backquotes inside the page's box of paths.
fn box_of_paths(page: &str) -> Option<Vec<String>> {
    let text = read(format!("book/src/{page}.md"));
    let (_, rest) = text.split_once("<div class=\"paths\">")?;
    let (inside, _) = rest.split_once("</div>")?;
    let quoted = inside.split('`').skip(1).step_by(2);
    Some(quoted.filter(|quoted| quoted.contains('/')).map(str::to_owned).collect())
}

#[test]
fn the_box_of_each_page_names_paths_that_exist_and_all_of_its_stem() {
    let mut boxes = 0;
    for page in pages() {
        let Some(paths) = box_of_paths(&page) else {
            assert_eq!(page, "introduction", "{page}.md has no box of paths");
            continue;
        };
        boxes += 1;
        for path in &paths {
            assert!(root().join(path).exists(), "{page}.md names {path}, which is not there");
        }
        let own = [
            format!("book/src/{page}.md"),
            format!("src/{page}.rs"),
            format!("src/norm/{page}.rs"),
            format!("src/{page}/mod.rs"),
            format!("tests/{page}.rs"),
            format!("examples/{page}.rs"),
            format!("benches/{page}.rs"),
        ];
        for path in own.iter().filter(|path| root().join(path).exists()) {
            assert!(paths.contains(path), "the box of {page}.md does not name {path}");
        }
    }
    assert!(boxes >= 4);
}

/// All files of the crate's sources, from the root on.
fn sources() -> Vec<String> {
    let mut sources = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                sources.push(name.replace('\\', "/"));
            }
        }
    }
    assert!(sources.len() > 50);
    sources
}

/// A file names the page that speaks of it, where there is one.
#[test]
fn a_source_names_its_page_if_the_page_speaks_of_it() {
    let pages: Vec<(String, String)> =
        pages().into_iter().map(|page| (read(format!("book/src/{page}.md")), page)).collect();
    for source in sources() {
        let text = read(&source);
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//! "), "{source}: expected its purpose in its first line");
        let Some(named) = first.split("book/src/").nth(1) else { continue };
        let speaks = |(text, page): &(String, String)| {
            named.starts_with(&format!("{page}.md")) && text.contains(&source)
        };
        assert!(
            pages.iter().any(speaks),
            "{source}: no page of the name in `{first}` speaks of it"
        );
    }
}

/// An example may draw several figures of its page: `layer_norm` and `layer_norm_knee`.
#[test]
fn every_example_draws_a_figure_of_a_page_and_the_page_shows_it() {
    let examples = stems("examples", "rs");
    let figures = stems("book/src/figures", "svg");
    assert!(!examples.is_empty());
    assert_eq!(figures, stems("book/src/figures", "csv"));
    for stem in &examples {
        assert!(figures.contains(stem), "examples/{stem}.rs: expected {stem}.svg, got none");
    }
    for name in &figures {
        let of = |stem: &&String| {
            name.strip_prefix(*stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        let stem = examples.iter().filter(of).max_by_key(|stem| stem.len());
        let stem = stem.unwrap_or_else(|| panic!("{name}.svg: expected an example that draws it"));
        let page = read(format!("book/src/{stem}.md"));
        assert!(
            page.contains(&format!("{{{{#include figures/{name}.svg}}}}")),
            "{stem}.md does not show {name}.svg"
        );
        let svg = read(format!("book/src/figures/{name}.svg"));
        let (_, title) = svg.split_once(&format!("<title id=\"{name}-title\">")).expect("a title");
        let (finding, _) = title.split_once('<').expect("the end of the title");
        let caption = format!("<figcaption>{}. ", finding.trim());
        assert!(
            page.contains(&caption),
            "{stem}.md: no caption opens with what {name}.svg found: {caption}"
        );
    }
}

#[test]
fn every_bench_is_of_a_source_of_its_name() {
    let stem = |name: &String| Path::new(name).file_stem().unwrap().to_string_lossy().into_owned();
    let sources: BTreeSet<String> = sources().iter().map(stem).collect();
    let mut benches = stems("benches", "rs");
    assert!(benches.remove("lib"), "what the benches share");
    assert!(benches.len() >= 5 && benches.is_subset(&sources), "{benches:?}");
    for bench in benches {
        let page = read(format!("benches/{bench}.rs"));
        assert!(page.starts_with("//!") && page.contains("Page: `book/src/speed.md`"), "{bench}");
    }
}

/// Cargo no longer finds the tests by itself: a file that no module names would not run, and nobody would notice.
#[test]
fn every_file_of_tests_is_run() {
    let named = |module: &str, stem: &str| {
        let text = read(module);
        let names =
            |line: &str| line == format!("mod {stem};") || line == format!("pub mod {stem};");
        assert!(text.lines().any(names), "{module} does not name {stem}");
    };
    let mut top = stems("tests", "rs");
    for program in ["main", "golden", "memory"] {
        assert!(top.remove(program));
    }
    top.iter().for_each(|stem| named("tests/main.rs", stem));
    let folders = fs::read_dir(root().join("tests")).unwrap().map(|entry| entry.unwrap().path());
    for folder in folders.filter(|path| path.is_dir()) {
        let folder = format!("tests/{}", folder.file_name().unwrap().to_string_lossy());
        let (mut below, mut module) = (stems(&folder, "rs"), format!("{folder}.rs"));
        if below.remove("mod") {
            module = format!("{folder}/mod.rs");
        }
        below.iter().for_each(|stem| named(&module, stem));
    }
}

/// The cells of a row of a Markdown table.
fn cells(line: &str) -> Vec<&str> {
    let inside = line.trim().trim_start_matches('|').trim_end_matches('|');
    inside.split('|').map(str::trim).collect()
}

#[test]
fn what_the_page_says_of_peers_is_in_the_measured_table() {
    let measured = read("benches/peers/RESULTS.md");
    let page = read("book/src/speed.md");
    let ratio = |cell: &str| cell.trim_matches('*').parse().unwrap_or(f64::INFINITY);
    let (mut threads, mut rows) = ("", 0);
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let row = cells(line);
        threads = match row[0] {
            "one thread" => "1",
            "two threads" => "2",
            _ if row.len() != 6 => "",
            _ => threads,
        };
        if threads.is_empty() || row[1] == "PyTorch" || row[1] == "---" {
            continue;
        }
        let case = format!("{} f32", row[0]);
        let of_case = |line: &&str| cells(line)[..2] == [threads, &case];
        let found = measured.lines().filter(|line| line.starts_with('|')).find(of_case);
        let found = cells(found.unwrap_or_else(|| panic!("RESULTS.md has no {case} on {threads}")));
        // Columns: threads, case, ours, torch, torch fused, onnxruntime, candle, burn, ndarray, floor.
        let torch = if ratio(found[4]) < ratio(found[3]) { found[4] } else { found[3] };
        let expected = [row[0], torch, found[5], found[6], found[7], found[8]];
        assert_eq!(row, expected, "{case} on {threads}");
        rows += 1;
    }
    assert!(rows > 30, "expected the page to show peers, got {rows} rows");
}

#[test]
fn a_library_user_compiles_no_server_no_mdbook_and_no_plotters() {
    let manifest = read("Cargo.toml");
    let (_, rest) = manifest.split_once("\n[dependencies]\n").unwrap();
    let (normal, _) = rest.split_once("\n[").unwrap();
    let names: BTreeSet<&str> = normal
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.trim())
        .collect();
    let expected = BTreeSet::from([
        "approx",
        "csv",
        "fearless_simd",
        "libm",
        "ndarray",
        "num-traits",
        "rand",
        "rand_chacha",
        "rand_distr",
        "rayon",
        "safetensors",
        "serde_json",
        "thiserror",
    ]);
    assert_eq!(names, expected);
}
