//! Figure of the page `book/src/using_layer_norm.md`: the loss of the chapter's network while it
//! trains, with its LayerNorm and without.

use std::ops::Range;

use evenkeel::{LayerNorm, rng};
use figure::drawing::{self, Axis, Frame, HPos, Panel, Words, line, text};
use figure::iris_network::{Flowers, TensorNetwork, train};
use figure::statistics::quantile;
use figure::{Figure, Measures, Result};
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

const SEEDS: Range<u64> = 0..20;
const STEPS: usize = 200;

pub(crate) const FIGURE: Figure<Row> = Figure {
    stem: "using_layer_norm",
    name: "using_layer_norm",
    measures: Measures::Numbers,
    about,
    measure,
    draw,
    summary,
};

#[cfg(not(test))] // tests/figures.rs includes this file
fn main() -> std::process::ExitCode {
    figure::main(&[&FIGURE])
}

/// The training loss over all seeds after a number of steps: the median, and the 10 % and 90 %
/// quantiles.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    step: usize,
    none_10: f64,
    none_median: f64,
    none_90: f64,
    layer_norm_10: f64,
    layer_norm_median: f64,
    layer_norm_90: f64,
    /// In how many seeds the loss with LayerNorm is lower.
    layer_norm_lower: usize,
    seeds: usize,
}

fn about() -> String {
    format!(
        "Training loss of the network of section 14.7 on Iris, without a norm and with LayerNorm, after each of {STEPS} steps of Adam(0.01)\n\
         on all 120 training flowers: median, 10 % and 90 % quantile over the seeds {} to {}, and in how many of them LayerNorm's is lower.\n\
         A seed gives both networks the same flowers and the same first weights.",
        SEEDS.start,
        SEEDS.end - 1
    )
}

/// The losses of one seed, without the layer and with it.
pub(crate) fn losses(seed: u64, steps: usize) -> [Vec<f64>; 2] {
    [None, Some(LayerNorm::new(8))].map(|norm| {
        let mut rng = rng(seed);
        let flowers = Flowers::deal(&mut rng);
        let mut network = TensorNetwork::new(norm, &mut rng);
        train(&mut network, &flowers.train, steps).iter().map(|score| score.loss).collect()
    })
}

fn measure() -> Vec<Row> {
    let runs: Vec<_> = SEEDS.map(|seed| losses(seed, STEPS)).collect();
    let rows = (0..=STEPS).map(|step| {
        let [none, layer_norm] =
            [0, 1].map(|arm| runs.iter().map(|run| run[arm][step]).collect::<Vec<_>>());
        let of = |values: &[f64], share| quantile(values, share);
        Row {
            step,
            none_10: of(&none, 0.1),
            none_median: of(&none, 0.5),
            none_90: of(&none, 0.9),
            layer_norm_10: of(&layer_norm, 0.1),
            layer_norm_median: of(&layer_norm, 0.5),
            layer_norm_90: of(&layer_norm, 0.9),
            layer_norm_lower: none
                .iter()
                .zip(&layer_norm)
                .filter(|(none, norm)| norm < none)
                .count(),
            seeds: runs.len(),
        }
    });
    rows.collect()
}

/// The middle row, the last row, and the first row whose median with LayerNorm is as low as the
/// last median without.
fn finding(rows: &[Row]) -> Result<(&Row, &Row, &Row)> {
    let last = rows.last().ok_or("no rows")?;
    let caught = rows.iter().find(|row| row.layer_norm_median <= last.none_median);
    Ok((&rows[rows.len() / 2], last, caught.unwrap_or(last)))
}

fn summary(rows: &[Row]) -> String {
    let mut lines = vec![
        "step   without (10 to 90 %)        with (10 to 90 %)           with lower in".to_owned(),
    ];
    for row in rows.iter().filter(|row| row.step % 50 == 0) {
        lines.push(format!(
            "{:>4}   {:.4} ({:.4} to {:.4})   {:.4} ({:.4} to {:.4})   {} of {}",
            row.step,
            row.none_median,
            row.none_10,
            row.none_90,
            row.layer_norm_median,
            row.layer_norm_10,
            row.layer_norm_90,
            row.layer_norm_lower,
            row.seeds
        ));
    }
    if let Ok((_, last, caught)) = finding(rows) {
        lines.push(format!(
            "the median without reaches {:.4} at step {}; with LayerNorm it is there at step {}",
            last.none_median, last.step, caught.step
        ));
    }
    lines.join("\n")
}

fn draw(rows: &[Row]) -> Result<String> {
    let (middle, last, caught) = finding(rows)?;
    let words = Words {
        title: format!(
            "With LayerNorm the median training loss is {:.3} after {} steps, without it {:.3}",
            middle.layer_norm_median, middle.step, middle.none_median
        ),
        description: format!(
            "Training loss on a logarithmic scale against the step, over {} seeds, each arm as a median line in a band that holds eight of ten seeds. At the start the loss is {:.3} with LayerNorm and {:.3} without. The line with LayerNorm falls faster: at step {} it is the lower one in {} of {} seeds, and at step {} it is at {:.3}, where the network without it arrives at step {}. After the last step it is {:.3} with and {:.3} without.",
            last.seeds,
            rows[0].layer_norm_median,
            rows[0].none_median,
            middle.step,
            middle.layer_norm_lower,
            middle.seeds,
            caught.step,
            last.none_median,
            last.step,
            last.layer_norm_median,
            last.none_median
        ),
    };
    drawing::svg(FIGURE.name, 410.0, &words, |figure| {
        let title = format!("Training loss: median of {} seeds, band: 8 in 10", last.seeds);
        drawing::title(figure, &title, 0.0)?;
        let losses = [0.01, 0.03, 0.1, 0.3, 1.0];
        let x = Axis {
            ends: (0.0, last.step as f64),
            ticks: (0..=last.step)
                .step_by(50)
                .map(|step| (step as f64, step.to_string()))
                .collect(),
            grid: false,
        };
        let y = Axis {
            ends: (0.01f64.log10(), 2.2f64.log10()),
            ticks: losses.iter().map(|loss: &f64| (loss.log10(), loss.to_string())).collect(),
            grid: true,
        };
        let frame = Frame { left: 56.0, top: 34.0, width: 480.0, height: 310.0 };
        let mut panel = Panel::new(figure, &frame, &x, &y)?;
        let at = |row: &Row, loss: f64| (row.step as f64, loss.max(0.01).log10());

        let none_band = band(rows, |row| at(row, row.none_10), |row| at(row, row.none_90));
        let norm_band =
            band(rows, |row| at(row, row.layer_norm_10), |row| at(row, row.layer_norm_90));
        panel.chart.draw_series([
            Polygon::new(none_band, drawing::NO_NORM.mix(0.22)),
            Polygon::new(norm_band, drawing::LAYER_NORM.mix(0.25)),
        ])?;
        panel.chart.draw_series(DashedLineSeries::new(
            rows.iter().map(|row| at(row, row.none_median)),
            drawing::px(9.0),
            drawing::px(5.0),
            line(drawing::NO_NORM, 3.0),
        ))?;
        panel.chart.draw_series(LineSeries::new(
            rows.iter().map(|row| at(row, row.layer_norm_median)),
            line(drawing::LAYER_NORM, 3.0),
        ))?;
        panel.write(
            "step",
            (last.step as f64, y.ends.0),
            (0.0, 46.0),
            text(drawing::MUTED, HPos::Right),
        )?;
        panel.write(
            "no normalization",
            at(middle, middle.none_90),
            (-20.0, -50.0),
            text(drawing::NO_NORM, HPos::Left),
        )?;
        panel.write(
            "LayerNorm",
            at(middle, middle.layer_norm_10),
            (-20.0, 30.0),
            text(drawing::LAYER_NORM, HPos::Right),
        )
    })
}

/// The outline of the area between two lines.
fn band(
    rows: &[Row],
    lower: impl Fn(&Row) -> (f64, f64),
    upper: impl Fn(&Row) -> (f64, f64),
) -> Vec<(f64, f64)> {
    rows.iter().map(lower).chain(rows.iter().rev().map(upper)).collect()
}
