//! The pencil's row on three number lines: as it is, without its mean, over its standard deviation.

use evenkeel::{LayerNorm, Tensor};
use figure::drawing::{self, HPos, Words, line, number, px, text};
use figure::{Figure, Measures, Result};
use ndarray::array;
use plotters::prelude::{Circle, PathElement, Text};
use plotters::style::Color;
use serde::{Deserialize, Serialize};

pub(crate) const FIGURE: Figure<Row> = Figure {
    stem: "layer_norm",
    name: "layer_norm_pencil",
    measures: Measures::Numbers,
    about: || {
        "The row [1, 2, 3, 4]: as it is, without its mean, and after LayerNorm(4) with ε = 0."
            .into()
    },
    measure,
    draw,
    summary,
};

/// One number of the row.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    x: f64,
    deviation: f64,
    pub(crate) x_hat: f64,
}

fn measure() -> Vec<Row> {
    let x = Tensor::new(array![1.0, 2.0, 3.0, 4.0]);
    let deviation = &x - x.mean();
    let x_hat = LayerNorm::new(4).with_eps(0.0).forward(&x);
    let numbers = x.to_vec().into_iter().zip(deviation.to_vec()).zip(x_hat.to_vec());
    numbers.map(|((x, deviation), x_hat)| Row { x, deviation, x_hat }).collect()
}

fn listed(rows: &[Row], value: fn(&Row) -> f64, decimals: usize) -> String {
    rows.iter().map(|row| number(value(row), decimals)).collect::<Vec<_>>().join(", ")
}

fn summary(rows: &[Row]) -> String {
    format!("x̂ of [1, 2, 3, 4]: {}", listed(rows, |row| row.x_hat, 4))
}

/// One number line.
struct Line {
    name: &'static str,
    /// From the upper edge of the figure, in pixels.
    height: f64,
    value: fn(&Row) -> f64,
    /// How many decimals its labels have.
    decimals: usize,
}

fn draw(rows: &[Row]) -> Result<String> {
    let words = Words {
        title: format!(
            "The row [1, 2, 3, 4] slides until its mean is 0, and is squeezed until its standard deviation is 1: [{}]",
            listed(rows, |row| row.x_hat, 2)
        ),
        description: format!(
            "Three number lines, one below the other. On the first, dots at {}, and a tick at their mean, 2.5. On the second, the same dots at {}: the tick is at 0. On the third, dots at {}, with a bar from -1 to 1, one standard deviation to either side. Thin lines join each dot to itself on the next line: parallel first, then drawing nearer to 0.",
            listed(rows, |row| row.x, 0),
            listed(rows, |row| row.deviation, 1),
            listed(rows, |row| row.x_hat, 2)
        ),
    };
    drawing::svg(FIGURE.name, 330.0, &words, |area| {
        // From −2 to 4.6 on every line, so that a slide is a slide and a squeeze a squeeze.
        let at = |value: f64| px(62.0 + (value + 2.0) * 74.0);
        let lines = [
            Line { name: "x", height: 58.0, value: |row| row.x, decimals: 0 },
            Line { name: "x − μ", height: 166.0, value: |row| row.deviation, decimals: 1 },
            Line { name: "x̂", height: 274.0, value: |row| row.x_hat, decimals: 2 },
        ];
        for pair in lines.windows(2) {
            for row in rows {
                let end = |line: &Line| (at((line.value)(row)), px(line.height));
                let ends = [end(&pair[0]), end(&pair[1])];
                area.draw(&PathElement::new(ends, line(drawing::GRID, 1.5)))?;
            }
        }
        for Line { name, height, value, decimals } in lines {
            let y = px(height);
            let ends = [(at(-2.0), y), (at(4.6), y)];
            area.draw(&PathElement::new(ends, line(drawing::MUTED, 1.2)))?;
            let label = Text::new(name.to_owned(), (px(4.0), y), text(drawing::INK, HPos::Left));
            area.draw(&label)?;
            let mean = rows.iter().map(value).sum::<f64>() / rows.len() as f64;
            let sd = (rows.iter().map(|row| (value(row) - mean).powi(2)).sum::<f64>()
                / rows.len() as f64)
                .sqrt();
            // One standard deviation to either side, and the mean.
            let bar = [(at(mean - sd), y), (at(mean + sd), y)];
            area.draw(&PathElement::new(bar, line(drawing::LAYER_NORM.mix(0.25), 18.0)))?;
            let tick = [(at(mean), y - px(13.0)), (at(mean), y + px(13.0))];
            area.draw(&PathElement::new(tick, line(drawing::INK, 2.5)))?;
            for row in rows {
                let place = (at(value(row)), y);
                area.draw(&Circle::new(place, drawing::width(7.0), drawing::SURFACE.filled()))?;
                area.draw(&Circle::new(place, drawing::width(6.0), drawing::LAYER_NORM.filled()))?;
                let label = number(value(row), decimals);
                let above = (place.0, y - px(24.0));
                area.draw(&Text::new(label, above, text(drawing::INK, HPos::Center)))?;
            }
            // Where no dot and no thin line is: above the first line on the left, below the others on the right.
            let first = mean > 1.0;
            let (side, end) = if first { (HPos::Left, -2.0) } else { (HPos::Right, 4.6) };
            let moments = [
                format!("mean {}", number(mean, 1)),
                format!("standard deviation {}", number(sd, 3)),
            ];
            for (words, below) in
                moments.into_iter().zip(if first { [-42.0, -22.0] } else { [22.0, 42.0] })
            {
                let at = (at(end), y + px(below));
                area.draw(&Text::new(words, at, text(drawing::MUTED, side)))?;
            }
        }
        Ok(())
    })
}
