//! Three numbers as an arrow: centring as a projection, scaling as a circle, and where no gradient points.

use evenkeel::{LayerNorm, Tensor};
use figure::drawing::{self, HPos, Step, Words, line, px, text};
use figure::{Figure, Measures, Result};
use ndarray::array;
use plotters::prelude::{Circle, PathElement, Polygon, Text};
use plotters::style::{Color, RGBColor};
use serde::{Deserialize, Serialize};

pub(crate) const FIGURE: Figure<Row> = Figure {
    stem: "layer_norm",
    name: "layer_norm_geometry",
    measures: Measures::Numbers,
    about: || {
        "The row [4.3, 2.0, 0.9]: its mean, without its mean, after LayerNorm(3) with ε = 0, and the gradient of x from dy = [1, 0, 0].".into()
    },
    measure,
    draw,
    summary,
};

/// One arrow.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) arrow: String,
    x1: f64,
    x2: f64,
    x3: f64,
}

impl Row {
    pub(crate) fn tip(&self) -> [f64; 3] {
        [self.x1, self.x2, self.x3]
    }
}

fn measure() -> Vec<Row> {
    let x = Tensor::parameter(array![4.3, 2.0, 0.9]);
    let mean = x.mean().item();
    let y = LayerNorm::new(3).with_eps(0.0).forward(&x);
    let gradients = y.backward_from(&Tensor::new(array![1.0, 0.0, 0.0]));
    let arrow =
        |name: &str, tip: Vec<f64>| Row { arrow: name.into(), x1: tip[0], x2: tip[1], x3: tip[2] };
    vec![
        arrow("x", x.to_vec()),
        arrow("mean", vec![mean; 3]),
        arrow("centred", x.to_vec().iter().map(|x| x - mean).collect()),
        arrow("x_hat", y.to_vec()),
        arrow("dx", gradients[&x].to_vec()),
    ]
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn find(rows: &[Row], name: &str) -> [f64; 3] {
    rows.iter().find(|row| row.arrow == name).map_or([f64::NAN; 3], Row::tip)
}

fn summary(rows: &[Row]) -> String {
    let (x_hat, dx) = (find(rows, "x_hat"), find(rows, "dx"));
    format!(
        "length of x̂: {:.4} (√3 = 1.7321); dx·(1, 1, 1) = {:.0e}, dx·x̂ = {:.0e}",
        dot(x_hat, x_hat).sqrt(),
        dx.iter().sum::<f64>().abs(),
        dot(dx, x_hat).abs()
    )
}

/// Where a point of space is on the paper, in pixels: (1, 1, 1) points up, and the plane at a right angle to it is
/// seen from a little above.
fn place(point: [f64; 3]) -> (i32, i32) {
    let root = f64::sqrt;
    let up = dot(point, [1.0; 3]) / root(3.0);
    let right = dot(point, [1.0, -1.0, 0.0]) / root(2.0);
    let far = dot(point, [-1.0, -1.0, 2.0]) / root(6.0);
    let (sin, cos) = 26_f64.to_radians().sin_cos();
    (px(240.0 + 80.0 * right), px(335.0 - 80.0 * (up * cos + far * sin)))
}

/// The circle of this radius in the plane of mean 0.
fn circle(radius: f64) -> Vec<(i32, i32)> {
    let (a, b) = (radius / 2f64.sqrt(), radius / 6f64.sqrt());
    let point = |step: i32| {
        let (sin, cos) = (f64::from(step) * std::f64::consts::TAU / 120.0).sin_cos();
        place([a * cos - b * sin, -a * cos - b * sin, 2.0 * b * sin])
    };
    (0..=120).map(point).collect()
}

/// An arrow from one point of space to another.
fn arrow(
    area: &drawing::Area,
    from: [f64; 3],
    to: [f64; 3],
    colour: RGBColor,
    width: f64,
) -> Result<()> {
    let ((x0, y0), (x1, y1)) = (place(from), place(to));
    let (dx, dy) = (f64::from(x1 - x0), f64::from(y1 - y0));
    let length = dx.hypot(dy).max(1.0);
    let (dx, dy) = (dx / length, dy / length);
    let head = f64::from(px(6.0 + 2.0 * width));
    let back = |side: f64| {
        let (x, y) = (dx * head - side * dy * head * 0.42, dy * head + side * dx * head * 0.42);
        (x1 - x as i32, y1 - y as i32)
    };
    let neck = (x1 - (dx * head * 0.8) as i32, y1 - (dy * head * 0.8) as i32);
    area.draw(&PathElement::new([(x0, y0), neck], line(colour, width)))?;
    area.draw(&Polygon::new([(x1, y1), back(1.0), back(-1.0)], colour.filled()))?;
    Ok(())
}

fn label(
    area: &drawing::Area,
    words: &str,
    at: [f64; 3],
    offset: (f64, f64),
    colour: RGBColor,
) -> Result<()> {
    let (x, y) = place(at);
    let at = (x + px(offset.0), y + px(offset.1));
    area.draw(&Text::new(words.to_owned(), at, text(colour, HPos::Left)))?;
    Ok(())
}

fn scaled(a: [f64; 3], factor: f64) -> [f64; 3] {
    a.map(|a| a * factor)
}

fn plus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| a[i] + b[i])
}

/// How many times as long as it is the gradient is drawn.
const LONGER: f64 = 5.0;

const STEPS: [&str; 4] = [
    "a row of three numbers is an arrow",
    "minus its mean: down onto the plane",
    "over its standard deviation: onto the circle",
    "the gradient: neither up nor outwards",
];

fn draw(rows: &[Row]) -> Result<String> {
    let [x, mean, centred, x_hat, dx] =
        ["x", "mean", "centred", "x_hat", "dx"].map(|name| find(rows, name));
    let words = Words {
        title: format!(
            "For three numbers LayerNorm is a projection onto a plane and then a move onto its circle of radius √3: the length of x̂ is {:.3}",
            dot(x_hat, x_hat).sqrt()
        ),
        description: format!(
            "A drawing in space. The axis (1, 1, 1) points up; the plane at a right angle to it is seen as a flat disc with a circle of radius √3 on it. The row [{}] is an arrow from the centre that points up and to the right. Its shadow straight below lies in the plane: the row without its mean. The shadow, made shorter or longer until its tip lies on the circle, is x̂. At x̂ two double arrows show the directions that the gradient dx has no part in: along (1, 1, 1) and along x̂; dx itself, drawn five times as long, runs along the circle.",
            x.map(|x| drawing::number(x, 1)).join(", ")
        ),
    };
    let steps: Vec<Step> = STEPS
        .iter()
        .enumerate()
        .map(|(i, label)| Step { label: (*label).into(), still: i + 1 == STEPS.len() })
        .collect();
    drawing::stepped(FIGURE.name, 450.0, &words, &steps, |area, step| {
        let zero = [0.0; 3];
        let Some(step) = step else {
            area.draw(&Polygon::new(circle(2.75), drawing::LAYER_NORM.mix(0.08).filled()))?;
            area.draw(&PathElement::new(
                circle(3f64.sqrt()),
                line(drawing::LAYER_NORM.mix(0.6), 2.0),
            ))?;
            arrow(area, zero, scaled([1.0; 3], 2.55), drawing::MUTED, 1.5)?;
            label(area, "(1, 1, 1)", scaled([1.0; 3], 2.55), (10.0, 2.0), drawing::MUTED)?;
            label(area, "mean 0", scaled([-1.0, 1.0, 0.0], 1.5), (-38.0, 30.0), drawing::MUTED)?;
            return Ok(());
        };
        // Each step keeps what the earlier ones drew.
        let width = |since: usize| if step > since { 1.6 } else { 3.0 };
        arrow(area, zero, x, drawing::INK, width(0))?;
        label(area, "x", x, (8.0, -8.0), drawing::INK)?;
        if step >= 1 {
            let (from, to) = (place(x), place(centred));
            area.draw(&PathElement::new([from, to], line(drawing::MUTED, 1.5)))?;
            label(area, "− μ", plus(centred, scaled(mean, 0.5)), (8.0, 0.0), drawing::MUTED)?;
            arrow(area, zero, centred, drawing::ACCENT_1, width(1))?;
            label(area, "x − μ", centred, (8.0, 8.0), drawing::INK)?;
        }
        if step >= 2 {
            arrow(area, zero, x_hat, drawing::LAYER_NORM, 3.0)?;
            area.draw(&Circle::new(
                place(x_hat),
                drawing::width(5.0),
                drawing::LAYER_NORM.filled(),
            ))?;
            label(area, "x̂", x_hat, (-26.0, 12.0), drawing::INK)?;
        }
        if step >= 3 {
            let outwards = scaled(x_hat, 0.55 / 3f64.sqrt());
            let upwards = scaled([1.0; 3], 0.45);
            for direction in [outwards, upwards] {
                for sign in [1.0, -1.0] {
                    arrow(
                        area,
                        x_hat,
                        plus(x_hat, scaled(direction, sign)),
                        drawing::NO_NORM,
                        1.5,
                    )?;
                }
            }
            arrow(area, x_hat, plus(x_hat, scaled(dx, LONGER)), drawing::RMS_NORM, 3.0)?;
            label(area, "dx", plus(x_hat, scaled(dx, LONGER)), (8.0, -6.0), drawing::INK)?;
        }
        Ok(())
    })
}
