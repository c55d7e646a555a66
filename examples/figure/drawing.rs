//! The look of all figures: sizes, axes, and colours that follow the theme of the page.

use std::fmt::Write as _;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
pub use plotters::style::text_anchor::HPos;
use plotters::style::text_anchor::{Pos, VPos};

use crate::Result;

/// Plotters rounds positions to whole units. Ten units to a pixel keep lines smooth and dots in place.
const UNITS: f64 = 10.0;

/// In pixels: narrow, so that the text can be read on a telephone.
const WIDTH: f64 = 560.0;

/// The size of all text, in pixels.
const TEXT: f64 = 17.0;

/// A length in pixels, in plotters' units.
pub fn px(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

/// A width of lines or a radius, in pixels, in plotters' units.
pub fn width(pixels: f64) -> u32 {
    px(pixels).unsigned_abs()
}

/// The colour of text. All colours here are placeholders: plotters knows only numbers for colours, and
/// [`svg`] replaces them by variables of the page. A layer has the same colour in every figure.
pub const INK: RGBColor = placeholder(0);
/// The colour of labels and axes.
pub const MUTED: RGBColor = placeholder(1);
/// The colour of the lines behind a plot.
pub const GRID: RGBColor = placeholder(2);
/// The background of the page.
pub const SURFACE: RGBColor = placeholder(3);
/// No normalization.
pub const NO_NORM: RGBColor = placeholder(4);
/// LayerNorm.
pub const LAYER_NORM: RGBColor = placeholder(5);
/// RMSNorm.
pub const RMS_NORM: RGBColor = placeholder(6);
/// BatchNorm.
pub const BATCH_NORM: RGBColor = placeholder(7);
/// The colour of anything else.
pub const ACCENT_1: RGBColor = placeholder(8);
/// The colour of a second thing.
pub const ACCENT_2: RGBColor = placeholder(9);
/// The colour of a third thing.
pub const ACCENT_3: RGBColor = placeholder(10);

const fn placeholder(number: u8) -> RGBColor {
    RGBColor(0xEE, 0x4B, number)
}

/// For each placeholder the page's variable, with the colour to use outside the page. The colours of the
/// layers and the accents are those of Okabe and Ito, which colour-blind readers can tell apart.
const THEME: [(RGBColor, &str); 11] = [
    (INK, "var(--ek-ink, #222)"),
    (MUTED, "var(--ek-muted, #595959)"),
    (GRID, "var(--ek-grid, #d9d9d9)"),
    (SURFACE, "var(--ek-surface, #fff)"),
    (NO_NORM, "var(--ek-none, #6b6b6b)"),
    (LAYER_NORM, "var(--ek-layer-norm, #0072b2)"),
    (RMS_NORM, "var(--ek-rms-norm, #d55e00)"),
    (BATCH_NORM, "var(--ek-batch-norm, #009e73)"),
    (ACCENT_1, "var(--ek-accent-1, #cc79a7)"),
    (ACCENT_2, "var(--ek-accent-2, #e69f00)"),
    (ACCENT_3, "var(--ek-accent-3, #56b4e9)"),
];

/// The area in which plotters draws.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The text of a figure, for readers who cannot see it.
pub struct Words {
    /// The finding with its numbers, in one sentence.
    pub title: String,
    /// What the picture shows.
    pub description: String,
}

/// Draws a figure that is `height` pixels high, as an `<svg>` for a page of the book: as wide as the page
/// allows, in the colours of the theme, with its words for readers who cannot see it.
pub fn svg(
    name: &str,
    height: f64,
    words: &Words,
    paint: impl FnOnce(&Area) -> Result<()>,
) -> Result<String> {
    page_svg(name, height, words, &content(height, paint)?)
}

/// One step of a stepped figure.
pub struct Step {
    /// What is read out when the reader comes to it: `ε = 10⁻⁵`.
    pub label: String,
    /// Whether it is the one that shows where there is no script.
    pub still: bool,
}

/// Draws a figure of several steps, of which the page shows one at a time: what `paint` draws for `None` is always
/// there, below what it draws for the step.
pub fn stepped(
    name: &str,
    height: f64,
    words: &Words,
    steps: &[Step],
    paint: impl Fn(&Area, Option<usize>) -> Result<()>,
) -> Result<String> {
    let mut all = content(height, |area| paint(area, None))?;
    for (number, Step { label, still }) in steps.iter().enumerate() {
        let class = if *still { "step still" } else { "step" };
        let drawn = content(height, |area| paint(area, Some(number)))?;
        write!(all, "<g class=\"{class}\" data-label=\"{}\">\n{drawn}</g>\n", escape(label))?;
    }
    page_svg(name, height, words, &all)
}

/// What plotters draws, without its outer element.
fn content(height: f64, paint: impl FnOnce(&Area) -> Result<()>) -> Result<String> {
    let mut drawn = String::new();
    {
        let size = (width(WIDTH), width(height));
        let root = SVGBackend::with_string(&mut drawn, size).into_drawing_area();
        paint(&root)?;
        root.present()?;
    }
    let (_, content) = drawn.split_once('\n').ok_or("plotters drew nothing")?;
    Ok(content.strip_suffix("</svg>\n").ok_or("plotters ended without </svg>")?.to_owned())
}

/// The content as an element of a page. It has no blank lines, since one would end the HTML block in Markdown.
fn page_svg(name: &str, height: f64, words: &Words, content: &str) -> Result<String> {
    let size = (width(WIDTH), width(height));
    let mut svg = String::new();
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{name}-title {name}-desc\" font-family=\"var(--ek-sans, system-ui, sans-serif)\">",
        size.0, size.1
    )?;
    writeln!(svg, "<title id=\"{name}-title\">{}</title>", escape(&words.title))?;
    writeln!(svg, "<desc id=\"{name}-desc\">{}</desc>", escape(&words.description))?;
    // The font is that of the page, and attributes that only repeat the default are left out.
    let mut content = content.to_owned();
    for attribute in
        [" font-family=\"sans-serif\"", " opacity=\"1\"", " stroke=\"none\" stroke-width=\"1\""]
    {
        content = content.replace(attribute, "");
    }
    svg.push_str(&content);
    svg.push_str("</svg>\n");
    for (RGBColor(r, g, b), css) in THEME {
        svg = svg.replace(&format!("\"#{r:02X}{g:02X}{b:02X}\""), &format!("\"{css}\""));
    }
    Ok(svg)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A number with `decimals` decimals, with a true minus sign, and without a minus before zero.
pub fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.trim_matches(['-', '0', '.']).is_empty() {
        text.replace('-', "")
    } else {
        text.replace('-', "−")
    }
}

/// A style for text that begins at, ends at or is centred on a point. Vertically it is centred on the point.
pub fn text(colour: RGBColor, horizontal: HPos) -> TextStyle<'static> {
    // Plotters divides the size by 1.24 on its way into the file.
    let font = ("sans-serif", TEXT * UNITS * 1.24).into_font();
    font.color(&colour).pos(Pos::new(horizontal, VPos::Center))
}

/// A line of this width.
pub fn line(colour: impl Color, pixels: f64) -> ShapeStyle {
    colour.stroke_width(width(pixels))
}

/// Writes the heading of a part of a figure that begins `top` pixels below its upper edge.
pub fn title(figure: &Area, heading: &str, top: f64) -> Result<()> {
    figure.draw(&Text::new(
        heading.to_owned(),
        (px(6.0), px(top + 20.0)),
        text(INK, HPos::Left),
    ))?;
    Ok(())
}

/// One direction of a panel.
pub struct Axis {
    /// The values at its ends; the first is left or at the bottom.
    pub ends: (f64, f64),
    /// The values with a label, and the labels.
    pub ticks: Vec<(f64, String)>,
    /// Whether a line runs through the panel at each label.
    pub grid: bool,
}

/// The place of a panel in its figure, in pixels. The labels of its axes are outside of it.
pub struct Frame {
    /// From the left edge of the figure.
    pub left: f64,
    /// From the upper edge of the figure.
    pub top: f64,
    /// The width of the panel.
    pub width: f64,
    /// The height of the panel.
    pub height: f64,
}

/// A plot with its axes. Widths and radii are in pixels.
pub struct Panel<'a> {
    /// Plotters' chart, for shapes without a method here.
    pub chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
    figure: Area<'a>,
}

impl<'a> Panel<'a> {
    /// An empty plot at a place of the figure.
    pub fn new(figure: &Area<'a>, frame: &Frame, x: &Axis, y: &Axis) -> Result<Self> {
        let corner = (px(frame.left), px(frame.top));
        let area = figure.clone().shrink(corner, (px(frame.width), px(frame.height)));
        let chart =
            ChartBuilder::on(&area).build_cartesian_2d(x.ends.0..x.ends.1, y.ends.0..y.ends.1)?;
        let panel = Self { chart, figure: figure.clone() };
        for (value, label) in &x.ticks {
            if x.grid {
                panel.line((*value, y.ends.0), (*value, y.ends.1), line(GRID, 1.0))?;
            }
            panel.write(label, (*value, y.ends.0), (0.0, 17.0), text(MUTED, HPos::Center))?;
        }
        for (value, label) in &y.ticks {
            if y.grid {
                panel.line((x.ends.0, *value), (x.ends.1, *value), line(GRID, 1.0))?;
            }
            panel.write(label, (x.ends.0, *value), (-9.0, 0.0), text(MUTED, HPos::Right))?;
        }
        Ok(panel)
    }

    /// The position in the figure of a point of the plot.
    fn place(&self, (x, y): (f64, f64)) -> (i32, i32) {
        self.chart.plotting_area().map_coordinate(&(x, y))
    }

    /// Writes at a point of the plot, moved by `offset` pixels; the text may be outside of the plot.
    pub fn write(
        &self,
        words: &str,
        at: (f64, f64),
        offset: (f64, f64),
        style: TextStyle<'static>,
    ) -> Result<()> {
        let (x, y) = self.place(at);
        let moved = (x + px(offset.0), y + px(offset.1));
        self.figure.draw(&Text::new(words.to_owned(), moved, style))?;
        Ok(())
    }

    /// A straight line between two points of the plot.
    pub fn line(&self, from: (f64, f64), to: (f64, f64), style: ShapeStyle) -> Result<()> {
        self.figure.draw(&PathElement::new([self.place(from), self.place(to)], style))?;
        Ok(())
    }

    /// A disc, with an edge in the page's background colour that separates neighbours.
    pub fn disc(&self, at: (f64, f64), radius: f64, colour: RGBColor) -> Result<()> {
        let centre = self.place(at);
        self.figure.draw(&Circle::new(centre, width(radius + 1.0), SURFACE.filled()))?;
        self.figure.draw(&Circle::new(centre, width(radius), colour.filled()))?;
        Ok(())
    }

    /// A disc with a hole.
    pub fn ring(&self, at: (f64, f64), radius: f64, colour: RGBColor) -> Result<()> {
        self.disc(at, radius, colour)?;
        self.figure.draw(&Circle::new(self.place(at), width(radius - 2.2), SURFACE.filled()))?;
        Ok(())
    }

    /// A square on its corner, with the same edge as a disc.
    pub fn diamond(&self, at: (f64, f64), radius: f64, colour: RGBColor) -> Result<()> {
        let (x, y) = self.place(at);
        for (radius, colour) in [(px(radius + 1.4), SURFACE), (px(radius), colour)] {
            let corners = [(x - radius, y), (x, y - radius), (x + radius, y), (x, y + radius)];
            self.figure.draw(&Polygon::new(corners, colour.filled()))?;
        }
        Ok(())
    }
}
