//! How wide a row is after the layer, over how wide it was before, for several ε.

use evenkeel::{LayerNorm, Tensor};
use figure::drawing::{self, Axis, Frame, HPos, Panel, Step, Words, line, text};
use figure::statistics::population_sd;
use figure::{Figure, Measures, Result};
use ndarray::array;
use plotters::prelude::LineSeries;
use plotters::style::{Color, RGBColor};
use serde::{Deserialize, Serialize};

/// The exponents of ε; the layer's own is 10⁻⁵.
const EPS: [i32; 5] = [-2, -3, -5, -8, -12];
const OWN: i32 = -5;

pub(crate) const FIGURE: Figure<Row> = Figure {
    stem: "layer_norm",
    name: "layer_norm_knee",
    measures: Measures::Numbers,
    about: || {
        "The row [-sd, sd] through LayerNorm(2), for several ε: its standard deviation after."
            .into()
    },
    measure,
    draw,
    summary,
};

#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    /// ε = 10 to this.
    pub(crate) eps_exponent: i32,
    /// The standard deviation before.
    pub(crate) before: f64,
    pub(crate) after: f64,
}

fn measure() -> Vec<Row> {
    let curve = |&eps_exponent: &i32| {
        let layer = LayerNorm::new(2).with_eps(10_f64.powi(eps_exponent));
        // From 10⁻⁸ to 10, in eighths of a decade.
        (-64..=8).map(move |eighth| {
            let before = 10_f64.powf(f64::from(eighth) / 8.0);
            let y = layer.forward(&Tensor::new(array![-before, before]));
            Row { eps_exponent, before, after: population_sd(&y.to_vec()) }
        })
    };
    EPS.iter().flat_map(curve).collect()
}

/// The width before at which the width after is 0.707: √ε.
pub(crate) fn knee(rows: &[Row], eps_exponent: i32) -> f64 {
    let own = rows.iter().filter(|row| row.eps_exponent == eps_exponent);
    let distance = |row: &&Row| (row.after - 0.5_f64.sqrt()).abs();
    own.min_by(|a, b| distance(a).total_cmp(&distance(b))).map_or(f64::NAN, |row| row.before)
}

fn summary(rows: &[Row]) -> String {
    let knees = EPS.map(|eps| format!("ε = 1e{eps}: {:.1e}", knee(rows, eps)));
    format!("the knee, where a row comes out with 0.707: {}", knees.join(", "))
}

/// 10⁻⁵, written with small digits.
fn power(exponent: i32) -> String {
    let small = |c: char| match c {
        '-' => '⁻',
        digit => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize - '0' as usize],
    };
    format!("10{}", exponent.to_string().chars().map(small).collect::<String>())
}

fn draw(rows: &[Row]) -> Result<String> {
    let words = Words {
        title: "A row comes out with standard deviation 1 only if its own is far above the root of ε: for ε = 0.00001 the knee is at 0.003".into(),
        description: format!(
            "A plot of the standard deviation after the layer, from 0 to 1, over that before it, from 10⁻⁸ to 10 in powers of ten. Each of {} curves rises from 0 to 1 around one place, the root of its ε: {}. Left of that place the layer gives back a row of nearly no width.",
            EPS.len(),
            EPS.map(|eps| format!("ε = {} at {:.0e}", power(eps), knee(rows, eps))).join(", ")
        ),
    };
    let steps = EPS.map(|eps| Step { label: format!("ε = {}", power(eps)), still: eps == OWN });
    drawing::stepped(FIGURE.name, 330.0, &words, &steps, |area, step| {
        let ticks = (-8..=1).step_by(2).map(|at: i32| (f64::from(at), power(at)));
        let x = Axis { ends: (-8.0, 1.0), ticks: ticks.collect(), grid: true };
        let ticks = [0.0, 0.5, 1.0].map(|at| (at, drawing::number(at, 1)));
        let y = Axis { ends: (0.0, 1.08), ticks: ticks.into(), grid: true };
        let frame = Frame { left: 60.0, top: 50.0, width: 480.0, height: 220.0 };
        let curve = |panel: &mut Panel, eps: i32, colour: RGBColor, width: f64| -> Result<()> {
            let points = rows.iter().filter(|row| row.eps_exponent == eps);
            let points = points.map(|row| (row.before.log10(), row.after));
            panel.chart.draw_series(LineSeries::new(points, line(colour, width)))?;
            Ok(())
        };
        let Some(step) = step else {
            let mut panel = Panel::new(area, &frame, &x, &y)?;
            drawing::title(area, "Standard deviation of a row after the layer", 8.0)?;
            let below = text(drawing::INK, HPos::Center);
            panel.write("standard deviation before", (-3.5, 0.0), (0.0, 44.0), below)?;
            for eps in EPS {
                curve(&mut panel, eps, drawing::GRID, 2.0)?;
            }
            return Ok(());
        };
        // The same panel without its axes, which are drawn once.
        let bare = |ends| Axis { ends, ticks: Vec::new(), grid: false };
        let mut panel = Panel::new(area, &frame, &bare(x.ends), &bare(y.ends))?;
        let eps = EPS[step];
        let root = f64::from(eps) / 2.0;
        curve(&mut panel, eps, drawing::LAYER_NORM, 3.0)?;
        panel.line((root, 0.0), (root, 0.5_f64.sqrt()), line(drawing::MUTED.mix(0.8), 1.5))?;
        panel.disc((root, 0.5_f64.sqrt()), 5.5, drawing::LAYER_NORM)?;
        let label = format!("ε = {}", power(eps));
        panel.write(&label, (root, 0.5_f64.sqrt()), (14.0, 4.0), text(drawing::INK, HPos::Left))?;
        Ok(())
    })
}
