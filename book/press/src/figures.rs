//! `cargo book figures`: each figure is an example of the crate, of the same name as its page.
//!
//! Without arguments, in an optimised build, an example measures and writes `book/src/figures/NAME.csv` and
//! `NAME.svg`. With `--redraw` it draws the picture from the existing numbers; with `--out DIR` it writes
//! to another folder. With `--what` it prints what it measures: `numbers`, the same every time, which a
//! check measures again, or `times`, which a check can only draw again.

use crate::temporary::Folder;
use crate::workspace::{Workspace, is_editors_own};
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Optimised: measuring takes time, and measured times mean nothing otherwise.
const PROFILE: &str = "release";

/// Measures and draws the named figures, or all.
pub fn draw(workspace: &Workspace, names: &[String]) -> Result<()> {
    let stems = choose(workspace, names)?;
    let bar = ProgressBar::new(stems.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:24} {pos}/{len}  {msg}")?);
    bar.enable_steady_tick(Duration::from_millis(200));
    let say = |line: String| if bar.is_hidden() { println!("{line}") } else { bar.println(line) };

    let started = Instant::now();
    bar.set_message("compiling the examples");
    compile(workspace, &stems)?;
    say(format!("{:24} {:6.1} s", "compiled", started.elapsed().as_secs_f64()));
    for stem in &stems {
        bar.set_message(stem.clone());
        let started = Instant::now();
        run_example(workspace, stem, &[])?;
        for extension in ["csv", "svg"] {
            let file = folder(workspace).join(format!("{stem}.{extension}"));
            if !file.is_file() {
                bail!(
                    "examples/{stem}.rs: expected it to write {}, got no such file",
                    relative(workspace, &file)
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

/// Measures and draws again in a temporary folder, and compares with the committed files.
pub fn check(workspace: &Workspace, names: &[String]) -> Result<()> {
    let checked = compare(workspace, &choose(workspace, names)?)?;
    for problem in &checked.problems {
        eprintln!("error: {problem}");
    }
    if !checked.problems.is_empty() {
        bail!(
            "figures: expected all of {} to be up to date, got {}",
            checked.figures(),
            count(checked.problems.len(), "problem")
        );
    }
    println!("{}: up to date", checked.summary());
    Ok(())
}

/// What is wrong with the committed figures.
pub fn check_all(workspace: &Workspace) -> Result<Checked> {
    let stems = stems(workspace)?;
    let mut checked = compare(workspace, &stems)?;
    for file in figure_files(&folder(workspace))?.into_keys() {
        // `layer_norm` may draw `layer_norm.svg` and `layer_norm_backward.svg`.
        let of = |stem: &String| {
            file.strip_prefix(stem.as_str()).is_some_and(|rest| rest.starts_with(['.', '_']))
        };
        if !stems.iter().any(of) {
            checked.problems.push(format!(
                "book/src/figures/{file}: expected an example that writes it, got none"
            ));
        }
    }
    Ok(checked)
}

/// What a check did, and what it found.
#[derive(Debug, Default)]
pub struct Checked {
    /// The number of figures measured and drawn again.
    measured: usize,
    /// The number of figures only drawn again, from committed times.
    redrawn: usize,
    pub problems: Vec<String>,
}

impl Checked {
    fn figures(&self) -> usize {
        self.measured + self.redrawn
    }

    /// `3 figures measured again, 1 figure only redrawn (it measures times)`.
    pub fn summary(&self) -> String {
        let mut text = format!("{} measured again", count(self.measured, "figure"));
        if self.redrawn > 0 {
            let they = if self.redrawn == 1 { "it measures" } else { "they measure" };
            text += &format!(", {} only redrawn ({they} times)", count(self.redrawn, "figure"));
        }
        text
    }
}

fn compare(workspace: &Workspace, stems: &BTreeSet<String>) -> Result<Checked> {
    compile(workspace, stems)?;
    let committed = figure_files(&folder(workspace))?;
    let mut checked = Checked::default();
    for stem in stems {
        let mend = format!("`cargo book figures {stem}` writes it");
        let csv = format!("{stem}.csv");
        if !committed.contains_key(&csv) {
            checked.measured += 1;
            checked.problems.push(format!(
                "book/src/figures/{csv}: expected the figure's numbers, got no file: {mend}"
            ));
            continue;
        }
        let temporary = Folder::new("evenkeel-press-")?;
        let out = temporary.path().to_str().context("the temporary folder")?;
        let times = match run_example(workspace, stem, &["--what"])?.trim() {
            "numbers" => false,
            "times" => true,
            other => bail!(
                "examples/{stem}.rs: expected --what to say numbers or times, got {:?}",
                other.lines().next().unwrap_or_default()
            ),
        };
        // Times differ in every run, so only the picture of the committed ones is compared.
        let (arguments, made_from, files) = if times {
            checked.redrawn += 1;
            (vec!["--redraw", "--out", out], "what its numbers draw", vec![format!("{stem}.svg")])
        } else {
            checked.measured += 1;
            (vec!["--out", out], "what its program measures", vec![csv, format!("{stem}.svg")])
        };
        run_example(workspace, stem, &arguments)?;
        let made = figure_files(temporary.path())?;
        for file in files.iter().filter(|file| !made.contains_key(*file)) {
            checked.problems.push(format!(
                "examples/{stem}.rs: expected {} to write {file}, got no file",
                arguments.join(" ").replace(out, "DIR")
            ));
        }
        for (file, new) in made {
            match committed.get(&file) {
                None => checked.problems.push(format!(
                    "book/src/figures/{file}: expected {made_from}, got no file: {mend}"
                )),
                Some(old) => checked.problems.extend(difference(old, &new).map(|(line, what)| {
                    format!("book/src/figures/{file}:{line}: expected {made_from}, {what}: {mend}")
                })),
            }
        }
    }
    Ok(checked)
}

/// The first line in which a committed file differs from the new one, and the two texts.
fn difference(old: &[u8], new: &[u8]) -> Option<(usize, String)> {
    if old == new {
        return None;
    }
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    // Split, and not by lines(): a newline at the end counts.
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let lines = old.len().max(new.len());
    let differ = |line: &usize| old.get(*line) != new.get(*line);
    let first = (0..lines).find(differ)?;
    let others = match (0..lines).filter(differ).count() - 1 {
        0 => String::new(),
        others => format!(" (and {} more)", count(others, "line")),
    };
    let (old, new) = (old.get(first), new.get(first));
    let same = old.zip(new).map_or(0, |(old, new)| {
        old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count()
    });
    let shown =
        |line: Option<&&str>| line.map_or("no such line".into(), |line| excerpt(line, same));
    Some((first + 1, format!("{}, got {}{others}", shown(new), shown(old))))
}

/// A line, or of a long one the part around a place.
fn excerpt(line: &str, place: usize) -> String {
    const MAX_CHARS: usize = 60;
    let length = line.chars().count();
    if length <= MAX_CHARS {
        return format!("`{line}`");
    }
    let start = place.saturating_sub(MAX_CHARS / 2).min(length - MAX_CHARS);
    let shown: String = line.chars().skip(start).take(MAX_CHARS).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if start + MAX_CHARS < length { "…" } else { "" };
    format!("`{before}{shown}{after}`")
}

/// The names of all examples of the crate.
fn stems(workspace: &Workspace) -> Result<BTreeSet<String>> {
    let Ok(entries) = std::fs::read_dir(workspace.root.join("examples")) else {
        return Ok(BTreeSet::new());
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && !is_editors_own(&entry.file_name())
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

fn compile(workspace: &Workspace, stems: &BTreeSet<String>) -> Result<()> {
    if stems.is_empty() {
        return Ok(());
    }
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--quiet", "--profile", PROFILE]);
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

/// Runs an example, and returns its output.
fn run_example(workspace: &Workspace, stem: &str, arguments: &[&str]) -> Result<String> {
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--quiet", "--profile", PROFILE, "--example", stem]);
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
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.book.join("src/figures")
}

fn relative(workspace: &Workspace, path: &std::path::Path) -> String {
    path.strip_prefix(&workspace.root).unwrap_or(path).display().to_string()
}

/// The tables and pictures in a folder, by name.
fn figure_files(folder: &std::path::Path) -> Result<BTreeMap<String, Vec<u8>>> {
    if !folder.is_dir() {
        return Ok(BTreeMap::new());
    }
    let mut files = crate::render::files(folder)?;
    files.retain(|name, _| name.ends_with(".csv") || name.ends_with(".svg"));
    Ok(files)
}

/// `1 figure`, `2 figures`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
