//! The look of all figures: sizes, axes, and colours that follow the theme of the page.

use std::fmt::Write as _;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
pub use plotters::style::text_anchor::HPos;
use plotters::style::text_anchor::{Pos, VPos};

use crate::Result;

/// Plotters places everything on whole units. Ten of them to a pixel keep lines smooth and dots where they belong.
const UNITS: f64 = 10.0;

/// Narrow, so that the text is still read when the figure is as wide as a telephone.
const WIDTH: f64 = 560.0;

/// Of all text, in pixels.
const TEXT: f64 = 17.0;

/// A length in pixels, in plotters' units.
pub fn px(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

/// A width of lines or a radius, in pixels, in plotters' units.
pub fn width(pixels: f64) -> u32 {
    px(pixels).unsigned_abs()
}

/// The colours, by what they are for: a layer has the same one in every figure. Plotters knows only numbers for
/// colours, so these stand for the page's variables until the drawing is done.
pub const INK: RGBColor = stand_in(0);
/// Of what is less important: labels and axes.
pub const MUTED: RGBColor = stand_in(1);
/// Of the lines behind a plot.
pub const GRID: RGBColor = stand_in(2);
/// The page's own.
pub const SURFACE: RGBColor = stand_in(3);
/// No normalization.
pub const NO_NORM: RGBColor = stand_in(4);
/// LayerNorm.
pub const LAYER_NORM: RGBColor = stand_in(5);
/// RMSNorm.
pub const RMS_NORM: RGBColor = stand_in(6);
/// BatchNorm.
pub const BATCH_NORM: RGBColor = stand_in(7);
/// Of whatever else is told apart.
pub const ACCENT_1: RGBColor = stand_in(8);
/// Of a second thing.
pub const ACCENT_2: RGBColor = stand_in(9);
/// Of a third thing.
pub const ACCENT_3: RGBColor = stand_in(10);

const fn stand_in(number: u8) -> RGBColor {
    RGBColor(0xEE, 0x4B, number)
}

/// The page's variable for each, and the colour where there is no page. Those of the layers and the accents are
/// Okabe's and Ito's, which colour-blind readers can tell apart.
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

/// Where plotters draws.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What a figure says in words: its finding first, with the numbers.
pub struct Words {
    /// The finding, in one sentence.
    pub title: String,
    /// What the picture shows, for who cannot see it.
    pub description: String,
}

/// Draws a figure that is `height` pixels high, as an `<svg>` to stand inside a page of the book: as wide as there is
/// room, in the colours of the theme, with its words for who cannot see it, and without blank lines, since one would
/// end the HTML block in Markdown.
pub fn svg(
    stem: &str,
    height: f64,
    words: &Words,
    paint: impl FnOnce(&Area) -> Result<()>,
) -> Result<String> {
    let size = (width(WIDTH), width(height));
    let mut drawn = String::new();
    {
        let root = SVGBackend::with_string(&mut drawn, size).into_drawing_area();
        paint(&root)?;
        root.present()?;
    }
    let (_, content) = drawn.split_once('\n').ok_or("plotters drew nothing")?;

    let mut svg = String::new();
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{stem}-title {stem}-desc\" font-family=\"var(--ek-sans, system-ui, sans-serif)\">",
        size.0, size.1
    )?;
    writeln!(svg, "<title id=\"{stem}-title\">{}</title>", escape(&words.title))?;
    writeln!(svg, "<desc id=\"{stem}-desc\">{}</desc>", escape(&words.description))?;
    // The font is the page's, and what only repeats the default is left out.
    let mut content = content.to_owned();
    for attribute in
        [" font-family=\"sans-serif\"", " opacity=\"1\"", " stroke=\"none\" stroke-width=\"1\""]
    {
        content = content.replace(attribute, "");
    }
    svg.push_str(&content);
    for (RGBColor(r, g, b), css) in THEME {
        svg = svg.replace(&format!("\"#{r:02X}{g:02X}{b:02X}\""), &format!("\"{css}\""));
    }
    Ok(svg)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A number as it is printed: with a true minus, and never as minus zero.
pub fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.trim_matches(['-', '0', '.']).is_empty() {
        text.replace('-', "")
    } else {
        text.replace('-', "−")
    }
}

/// Text that begins at, ends at or is centred on where it is put, and whose middle has the height of that point.
pub fn text(colour: RGBColor, horizontal: HPos) -> TextStyle<'static> {
    // Plotters divides the size by 1.24 on its way into the file.
    let font = ("sans-serif", TEXT * UNITS * 1.24).into_font();
    font.color(&colour).pos(Pos::new(horizontal, VPos::Center))
}

/// A line of so many pixels.
pub fn line(colour: impl Color, pixels: f64) -> ShapeStyle {
    colour.stroke_width(width(pixels))
}

/// The heading of the part of a figure that begins `top` pixels from its upper edge.
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
    /// Where something is written beside it, and what.
    pub ticks: Vec<(f64, String)>,
    /// Whether a line runs through the panel at each.
    pub grid: bool,
}

/// Where a panel stands in its figure, in pixels; what is written beside its axes stands outside of this.
pub struct Frame {
    /// From the left edge of the figure.
    pub left: f64,
    /// From its upper edge.
    pub top: f64,
    /// How wide it is.
    pub width: f64,
    /// How high it is.
    pub height: f64,
}

/// A plot with its axes. Its lengths and radii are in pixels.
pub struct Panel<'a> {
    /// Plotters' chart, for what is not drawn here.
    pub chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
    figure: Area<'a>,
}

impl<'a> Panel<'a> {
    /// An empty plot in a place of the figure.
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

    /// Where a point of the plot is in the figure.
    fn place(&self, (x, y): (f64, f64)) -> (i32, i32) {
        self.chart.plotting_area().map_coordinate(&(x, y))
    }

    /// Writes at a point of the plot, moved by `offset` pixels; also outside of the plot.
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

    /// A disc, with an edge in the page's own colour that keeps neighbours apart.
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
