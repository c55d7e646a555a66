//! Runs every golden case: those in `tests/golden/`, or those in the folder that `EVENKEEL_GOLDEN` names.
//!
//! Each case is a test of its own: `cargo test --test golden constrows` runs those whose name holds that word. A case
//! that no layer here knows fails, and so does one with an option, an input or an output that nothing here looks at.
//! The tests whose names begin with `reader::` see to that; they need no folder.

mod close;
mod golden_ops;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel::Float;
use golden_ops::case::{self, Case};
use golden_ops::{adam, attention, functional, mlp_training, norm, reader};
use libtest_mimic::{Arguments, Failed, Trial};

/// How many cases ran: the names on the command line may leave some out.
static RAN: AtomicUsize = AtomicUsize::new(0);

fn main() -> ExitCode {
    let folder = std::env::var_os("EVENKEEL_GOLDEN").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
        PathBuf::from,
    );
    match cases(&folder) {
        Ok(cases) => {
            let mut trials = reader::trials();
            trials.extend(cases.into_iter().map(|(name, case)| {
                Trial::test(name, move || {
                    RAN.fetch_add(1, Ordering::Relaxed);
                    run(&case).map_err(Failed::from)
                })
            }));
            let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
            let ran = RAN.load(Ordering::Relaxed);
            println!("{ran} golden cases ran, from {}\n", folder.display());
            conclusion.exit_code()
        }
        Err(message) => {
            eprintln!("golden: {message}");
            ExitCode::FAILURE
        }
    }
}

/// All cases of a folder, each with its name.
fn cases(folder: &Path) -> Result<Vec<(String, Case)>, String> {
    let at_folder = |error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(at_folder)? {
        let path = entry.map_err(at_folder)?.path();
        // META.json tells how the numbers were made; it holds none.
        if path.extension().is_some_and(|ending| ending == "json")
            && path.file_name().is_some_and(|name| name != "META.json")
        {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(format!("{}: expected at least one .json file, found none", folder.display()));
    }
    paths.sort();

    let mut cases = Vec::new();
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let read = case::read(&path)?;
        cases.extend(read.into_iter().map(|case| (format!("{stem}::{}", case.name), case)));
    }
    Ok(cases)
}

fn run(case: &Case) -> Result<(), String> {
    match case.dtype.as_str() {
        "float64" => run_as::<f64>(case),
        "float32" => run_as::<f32>(case),
        other => Err(format!("dtype `{other}` is not known")),
    }
}

fn run_as<T: Float>(case: &Case) -> Result<(), String> {
    let ran = match case.op.as_str() {
        "Adam" | "AdamW" => adam::run::<T>(case),
        "Relu" | "Softmax" | "LogSoftmax" | "CrossEntropy" => functional::run::<T>(case),
        "ScaledDotProductAttention" | "MultiheadAttention" | "TransformerEncoderLayer" => {
            attention::run::<T>(case)
        }
        "LayerNorm" | "RMSNorm" | "BatchNorm" | "GroupNorm" | "InstanceNorm" => {
            norm::run::<T>(case)
        }
        "MLP_training" => mlp_training::run::<T>(case),
        other => Err(format!("op `{other}` is not known")),
    };
    match ran {
        Ok(()) => case.all_used(),
        // An option that nobody looked at may be the reason, so its name stands beside the wrong number.
        Err(error) => match case.options_used() {
            Ok(()) => Err(error),
            Err(left) => Err(format!("{error}; {left}")),
        },
    }
}
