//! Figures of the page `book/src/layer_norm.md`. Here: six rows before a LayerNorm and after it.

#[path = "layer_norm/geometry.rs"]
pub(crate) mod geometry;
#[path = "layer_norm/knee.rs"]
pub(crate) mod knee;
#[path = "layer_norm/pencil.rs"]
pub(crate) mod pencil;

use evenkeel::{LayerNorm, Linear, Tensor, datasets, rng};
use figure::drawing::{self, Axis, Frame, HPos, Panel, Words, line, text};
use figure::statistics::{correlation, mean, population_sd};
use figure::{Figure, Measures, Result};
use ndarray::Array;
use plotters::style::{Color, RGBColor};
use serde::{Deserialize, Serialize};

const SEED: u64 = 0;
const FEATURES: usize = 16;

/// The first flower of each species.
const FLOWERS: [usize; 3] = [0, 50, 100];

/// Each flower is given in two units: the same lengths as numbers of another size.
const UNITS: [(&str, f64); 2] = [("cm", 1.0), ("inches", 1.0 / 2.54)];

/// The features drawn as diamonds, so that the eye can follow them.
const FOLLOWED: [usize; 2] = [6, 11];

pub(crate) const FIGURE: Figure<Row> = Figure {
    stem: "layer_norm",
    name: "layer_norm",
    measures: Measures::Numbers,
    about,
    measure,
    draw,
    summary,
};

#[cfg(not(test))] // tests/figures.rs includes this file
fn main() -> std::process::ExitCode {
    figure::main(&[&pencil::FIGURE, &geometry::FIGURE, &FIGURE, &knee::FIGURE])
}

/// One element of one row.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    species: String,
    unit: String,
    feature: usize,
    pub(crate) before: f64,
    pub(crate) after: f64,
}

fn about() -> String {
    format!(
        "The first Iris flower of each species, in cm and in inches, through Linear(4, {FEATURES}), seed {SEED} (before), then LayerNorm({FEATURES}) (after)."
    )
}

/// The six rows as one batch.
fn measure() -> Vec<Row> {
    let iris = datasets::iris();
    let kinds: Vec<_> = FLOWERS
        .iter()
        .flat_map(|&flower| UNITS.map(|(unit, per_cm)| (flower, unit, per_cm)))
        .collect();
    let x = Tensor::new(Array::from_shape_fn((kinds.len(), 4), |(row, feature)| {
        let (flower, _, per_cm) = kinds[row];
        iris.features[[flower, feature]] * per_cm
    }));
    let mut rng = rng(SEED);
    let before = Linear::new(4, FEATURES, &mut rng).forward(&x);
    let after = LayerNorm::new(FEATURES).forward(&before);

    let (before, after) = (before.value(), after.value());
    let numbers = before.indexed_iter().map(|(place, &before)| {
        let (flower, unit, _) = kinds[place[0]];
        Row {
            species: iris.class_names[iris.targets[flower]].to_owned(),
            unit: unit.to_owned(),
            feature: place[1],
            before,
            after: after[&place],
        }
    });
    numbers.collect()
}

/// The numbers of one flower, before or after.
struct Strip {
    name: String,
    values: Vec<f64>,
    mean: f64,
    sd: f64,
}

fn strips(rows: &[Row], value: fn(&Row) -> f64) -> Vec<Strip> {
    let flowers = rows.chunk_by(|a, b| (&a.species, &a.unit) == (&b.species, &b.unit));
    flowers
        .map(|rows| {
            let values: Vec<f64> = rows.iter().map(value).collect();
            let (mean, sd) = (mean(&values), population_sd(&values));
            let Row { species, unit, .. } = &rows[0];
            let name = if unit == UNITS[0].0 {
                format!("{species}, {unit}")
            } else {
                format!("in {unit}")
            };
            Strip { name, values, mean, sd }
        })
        .collect()
}

/// The smallest and the largest.
fn span(strips: &[Strip], value: fn(&Strip) -> f64) -> (f64, f64) {
    strips.iter().map(value).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

/// What the figure shows, in numbers.
struct Finding {
    means: (f64, f64),
    sds: (f64, f64),
    /// How far the means after the layer are from 0, and the standard deviations from 1.
    off: (f64, f64),
    /// The smallest correlation of a row with itself after the layer.
    likeness: f64,
    /// The largest difference, after the layer, between a flower's rows in the two units.
    unit_gap: f64,
}

fn finding(before: &[Strip], after: &[Strip]) -> Finding {
    let off_mean = span(after, |strip| strip.mean.abs()).1;
    let off_sd = span(after, |strip| (strip.sd - 1.0).abs()).1;
    let likeness =
        before.iter().zip(after).map(|(before, after)| correlation(&before.values, &after.values));
    let pairs =
        after.chunks_exact(UNITS.len()).flat_map(|pair| pair[0].values.iter().zip(&pair[1].values));
    Finding {
        means: span(before, |strip| strip.mean),
        sds: span(before, |strip| strip.sd),
        off: (off_mean, off_sd),
        likeness: likeness.fold(1.0, f64::min),
        unit_gap: pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max),
    }
}

fn summary(rows: &[Row]) -> String {
    let (before, after) = (strips(rows, |row| row.before), strips(rows, |row| row.after));
    let Finding { means, sds, off, likeness, unit_gap } = finding(&before, &after);
    format!(
        "before: means {:.2} to {:.2}, standard deviations {:.2} to {:.2}\n\
         after, in six digits: means within {:.0e} of 0, standard deviations within {:.0e} of 1\n\
         smallest correlation of a row before with itself after: {likeness:.6}\n\
         a flower in inches and in cm: at most {unit_gap:.0e} apart after",
        means.0, means.1, sds.0, sds.1, off.0, off.1
    )
}

fn draw(rows: &[Row]) -> Result<String> {
    let (before, after) = (strips(rows, |row| row.before), strips(rows, |row| row.after));
    let Finding { means, sds, off, likeness, unit_gap } = finding(&before, &after);
    let words = Words {
        title: format!(
            "Before LayerNorm six rows have means from {:.2} to {:.2} and standard deviations from {:.2} to {:.2}; after it each has mean {:.2} and standard deviation {:.2}",
            means.0,
            means.1,
            sds.0,
            sds.1,
            off.0,
            1.0 + off.1
        ),
        description: format!(
            "Two panels of six strips: one flower of each species, measured in centimetres and in inches. A strip shows the {FEATURES} numbers of a row as dots, its mean as a tick and one standard deviation to either side as a bar. In the upper panel the ticks stand at different places and the bars have different lengths. In the lower panel all ticks stand at 0 and all bars reach from -1 to 1, while each row keeps the pattern of its dots (the correlation with itself before the layer is at least {likeness:.4}): the two rows of a flower are now the same to within {unit_gap:.0e}."
        ),
    };
    drawing::svg(FIGURE.name, 600.0, &words, |figure| {
        let before = Half {
            title: "Before: each row has its own place and width",
            strips: &before,
            ends: (-12.0, 18.0),
            ticks: &[-10, 0, 10],
            colour: drawing::NO_NORM,
        };
        let after = Half {
            title: "After LayerNorm: all at 0, all as wide as 1",
            strips: &after,
            ends: (-2.8, 2.8),
            ticks: &[-2, -1, 0, 1, 2],
            colour: drawing::LAYER_NORM,
        };
        before.draw(figure, 0.0)?;
        after.draw(figure, 300.0)
    })
}

/// One panel.
struct Half<'a> {
    title: &'a str,
    strips: &'a [Strip],
    ends: (f64, f64),
    ticks: &'a [i32],
    colour: RGBColor,
}

impl Half<'_> {
    fn draw(&self, figure: &drawing::Area, top: f64) -> Result<()> {
        let Self { title, strips, ends, ticks, colour } = *self;
        let x = Axis {
            ends,
            ticks: ticks
                .iter()
                .map(|&tick| (f64::from(tick), drawing::number(f64::from(tick), 0)))
                .collect(),
            grid: true,
        };
        // The second row of a flower is nearer to its first than to the next flower.
        let height_of =
            |row: usize| row as f64 - if row.is_multiple_of(UNITS.len()) { 0.0 } else { 0.15 };
        let names =
            strips.iter().enumerate().map(|(row, strip)| (height_of(row), strip.name.clone()));
        let y = Axis {
            ends: (strips.len() as f64 - 0.55, -0.6), // the first row on top
            ticks: names.collect(),
            grid: false,
        };
        let frame = Frame { left: 142.0, top: top + 56.0, width: 298.0, height: 204.0 };
        let panel = Panel::new(figure, &frame, &x, &y)?;
        let (first_row, high) = (y.ends.1, ends.1);
        drawing::title(figure, title, top)?;
        panel.write(
            "mean ± sd",
            (high, first_row),
            (112.0, -10.0),
            text(drawing::MUTED, HPos::Right),
        )?;

        for (row, strip) in strips.iter().enumerate() {
            let y = height_of(row);
            let Strip { mean, sd, values, .. } = strip;
            panel.line((mean - sd, y), (mean + sd, y), line(colour.mix(0.25), 16.0))?;
            panel.line((*mean, y - 0.42), (*mean, y + 0.42), line(drawing::INK, 2.5))?;
            for (feature, &value) in values.iter().enumerate() {
                if !FOLLOWED.contains(&feature) {
                    panel.disc((value, y), 4.0, colour)?;
                }
            }
            for feature in FOLLOWED {
                panel.diamond((values[feature], y), 7.5, drawing::ACCENT_1)?;
            }
            let moments = format!("{} ± {sd:.2}", drawing::number(*mean, 2));
            panel.write(&moments, (high, y), (112.0, 0.0), text(drawing::INK, HPos::Right))?;
        }
        Ok(())
    }
}
