//! Figure of the page `book/src/@stem@.md`: TODO: what is measured.

use evenkeel::{LayerNorm, Tensor};
use figure::drawing::{self, Axis, Frame, HPos, Panel, Words, text};
use figure::statistics::{mean, population_sd};
use figure::{Figure, Measures, Result};
use serde::{Deserialize, Serialize};

const SEEDS: u64 = 5;
const FEATURES: usize = 16;

pub(crate) const FIGURE: Figure<Row> = Figure {
    stem: "@stem@",
    name: "@stem@",
    // Times, if the figure is of how long something takes.
    measures: Measures::Numbers,
    about,
    measure,
    draw,
    summary,
};

#[cfg(not(test))] // tests/@stem@.rs has all but this
fn main() -> std::process::ExitCode {
    figure::main(&[&FIGURE])
}

/// One row of the table; each field is a column.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    seed: u64,
    /// The standard deviation of what goes in.
    before: f64,
    /// The standard deviation of what comes out.
    pub(crate) after: f64,
}

/// The comment on top of the table.
fn about() -> String {
    format!("A random row of {FEATURES} numbers, seeds 0 to {}, through a LayerNorm.", SEEDS - 1)
}

/// The experiment: the same numbers in every run, so each random one is from a seed.
pub(crate) fn measure() -> Vec<Row> {
    let row = |seed| {
        let x = Tensor::randn([1, FEATURES], &mut evenkeel::rng(seed)) * (seed + 1) as f64;
        let y = LayerNorm::new(FEATURES).forward(&x);
        Row { seed, before: population_sd(&x.to_vec()), after: population_sd(&y.to_vec()) }
    };
    (0..SEEDS).map(row).collect()
}

/// The numbers that the page quotes.
fn summary(rows: &[Row]) -> String {
    let after: Vec<f64> = rows.iter().map(|row| row.after).collect();
    format!("standard deviation after the layer, mean of {} rows: {:.3}", rows.len(), mean(&after))
}

fn draw(rows: &[Row]) -> Result<String> {
    let after: Vec<f64> = rows.iter().map(|row| row.after).collect();
    let words = Words {
        // The page's caption opens with the same words.
        title: format!(
            "A LayerNorm gives each of {} rows the standard deviation {:.2}",
            rows.len(),
            mean(&after)
        ),
        description: format!("For each of {} rows, a ring before, a disc after.", rows.len()),
    };
    drawing::svg(FIGURE.name, 300.0, &words, |figure| {
        drawing::title(figure, "Standard deviation of a row: a ring before, a disc after", 0.0)?;
        let most = rows.iter().map(|row| row.before).fold(1.0, f64::max).ceil();
        let x = Axis {
            ends: (-0.5, rows.len() as f64 - 0.5),
            ticks: rows.iter().map(|row| (row.seed as f64, row.seed.to_string())).collect(),
            grid: false,
        };
        let y = Axis {
            ends: (0.0, most),
            ticks: (0..=most as usize).map(|tick| (tick as f64, tick.to_string())).collect(),
            grid: true,
        };
        let frame = Frame { left: 40.0, top: 45.0, width: 500.0, height: 190.0 };
        let panel = Panel::new(figure, &frame, &x, &y)?;
        for row in rows {
            panel.ring((row.seed as f64, row.before), 6.0, drawing::NO_NORM)?;
            panel.disc((row.seed as f64, row.after), 5.0, drawing::LAYER_NORM)?;
        }
        let middle = (rows.len() as f64 / 2.0 - 0.5, 0.0);
        panel.write("seed", middle, (0.0, 42.0), text(drawing::MUTED, HPos::Center))
    })
}
