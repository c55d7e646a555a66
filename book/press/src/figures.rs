//! `cargo book figures`: each figure is an example of the crate, of the same name as its page.
//!
//! Run without arguments, in a build with optimisation, an example measures and writes `book/src/figures/NAME.csv` and `NAME.svg`; with `--redraw` it
//! draws the picture from the numbers that are there; with `--out DIR` it writes to another folder.

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Measuring takes time, and means nothing without optimisation where it is time that is measured.
const MEASURED: &str = "release";
/// Drawing does not, and the tests have this build.
const REDRAWN: &str = "dev";

/// Measures and draws the named figures, or all.
pub fn draw(workspace: &Workspace, names: &[String]) -> Result<()> {
    let stems = choose(workspace, names)?;
    let bar = ProgressBar::new(stems.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:24} {pos}/{len}  {msg}")?);
    bar.enable_steady_tick(Duration::from_millis(200));
    let say = |line: String| if bar.is_hidden() { println!("{line}") } else { bar.println(line) };

    let started = Instant::now();
    bar.set_message("compiling the examples");
    compile(workspace, &stems, MEASURED)?;
    say(format!("{:24} {:6.1} s", "compiled", started.elapsed().as_secs_f64()));
    for stem in &stems {
        bar.set_message(stem.clone());
        let started = Instant::now();
        example(workspace, stem, MEASURED, &[])?;
        for extension in ["csv", "svg"] {
            let file = folder(workspace).join(format!("{stem}.{extension}"));
            if !file.is_file() {
                bail!(
                    "examples/{stem}.rs: expected it to write {}, got no such file",
                    shown(workspace, &file)
                );
            }
        }
        say(format!("{stem:24} {:6.1} s", started.elapsed().as_secs_f64()));
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{} drawn in {:.1} s", count(stems.len(), "figure"), started.elapsed().as_secs_f64());
    Ok(())
}

/// Compares the committed pictures with what their numbers draw.
pub fn check(workspace: &Workspace, names: &[String]) -> Result<()> {
    let stems = choose(workspace, names)?;
    let problems = stale(workspace, &stems)?;
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    if !problems.is_empty() {
        bail!(
            "figures: expected all of {} to be up to date, got {}",
            stems.len(),
            count(problems.len(), "problem")
        );
    }
    println!("{} up to date", count(stems.len(), "figure"));
    Ok(())
}

/// What is wrong with the committed pictures, and how many figures there are.
pub fn check_all(workspace: &Workspace) -> Result<(usize, Vec<String>)> {
    let stems = stems(workspace)?;
    let mut problems = stale(workspace, &stems)?;
    for file in drawings(&folder(workspace))?.into_keys() {
        // `layer_norm` may draw `layer_norm.svg` and `layer_norm_backward.svg`.
        if !stems.iter().any(|stem| file.starts_with(stem.as_str())) {
            problems.push(format!(
                "book/src/figures/{file}: expected an example that draws it, got none"
            ));
        }
    }
    Ok((stems.len(), problems))
}

fn stale(workspace: &Workspace, stems: &BTreeSet<String>) -> Result<Vec<String>> {
    compile(workspace, stems, REDRAWN)?;
    let committed = drawings(&folder(workspace))?;
    let mut problems = Vec::new();
    for stem in stems {
        let mend = format!("`cargo book figures {stem}` draws it");
        let csv = folder(workspace).join(format!("{stem}.csv"));
        if !csv.is_file() {
            problems.push(format!(
                "book/src/figures/{stem}.csv: expected the figure's numbers, got no file: {mend}"
            ));
            continue;
        }
        let temporary = tempfile::tempdir()?;
        let out = temporary.path().to_str().context("the temporary folder")?;
        example(workspace, stem, REDRAWN, &["--redraw", "--out", out])?;
        let drawn = drawings(temporary.path())?;
        if !drawn.contains_key(&format!("{stem}.svg")) {
            problems.push(format!(
                "examples/{stem}.rs: expected --redraw --out DIR to write {stem}.svg, got no file"
            ));
        }
        for (file, svg) in drawn {
            match committed.get(&file) {
                None => problems.push(format!(
                    "book/src/figures/{file}: expected the picture, got no file: {mend}"
                )),
                Some(old) if *old != svg => problems.push(format!(
                    "book/src/figures/{file}: expected what its numbers draw, got another: {mend}"
                )),
                Some(_) => {}
            }
        }
    }
    Ok(problems)
}

/// Every example of the crate.
fn stems(workspace: &Workspace) -> Result<BTreeSet<String>> {
    let Ok(entries) = std::fs::read_dir(workspace.root.join("examples")) else {
        return Ok(BTreeSet::new());
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(stem) = path.file_stem()
        {
            found.insert(stem.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

fn choose(workspace: &Workspace, names: &[String]) -> Result<BTreeSet<String>> {
    let all = stems(workspace)?;
    if let Some(unknown) = names.iter().find(|name| !all.contains(*name)) {
        let known = all.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        bail!(
            "figure: expected one of {}, got {unknown}",
            if known.is_empty() { "none (there is no example)" } else { &known }
        );
    }
    Ok(if names.is_empty() { all } else { names.iter().cloned().collect() })
}

fn compile(workspace: &Workspace, stems: &BTreeSet<String>, profile: &str) -> Result<()> {
    if stems.is_empty() {
        return Ok(());
    }
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--quiet", "--profile", profile]);
    for stem in stems {
        cargo.args(["--example", stem]);
    }
    let output = cargo.output().context("cargo build")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        eprint!("{errors}");
        let first = errors
            .lines()
            .find(|line| line.starts_with("error"))
            .unwrap_or("its output stands above");
        bail!("the examples do not compile: {first}");
    }
    Ok(())
}

fn example(workspace: &Workspace, stem: &str, profile: &str, arguments: &[&str]) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--quiet", "--profile", profile, "--example", stem]);
    if !arguments.is_empty() {
        cargo.arg("--").args(arguments);
    }
    let output = cargo.output().with_context(|| format!("examples/{stem}.rs"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        eprint!("{errors}");
        let last =
            errors.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with("note:"));
        bail!(
            "examples/{stem}.rs: expected it to end well, got {}: {}",
            output.status,
            last.unwrap_or("not a word")
        );
    }
    Ok(())
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.book.join("src/figures")
}

fn shown(workspace: &Workspace, path: &std::path::Path) -> String {
    path.strip_prefix(&workspace.root).unwrap_or(path).display().to_string()
}

/// The pictures in a folder, by name.
fn drawings(folder: &std::path::Path) -> Result<BTreeMap<String, Vec<u8>>> {
    if !folder.is_dir() {
        return Ok(BTreeMap::new());
    }
    let mut files = crate::render::files(folder)?;
    files.retain(|name, _| name.ends_with(".svg"));
    Ok(files)
}

/// `1 figure`, `2 figures`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
