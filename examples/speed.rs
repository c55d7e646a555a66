//! Figure of the page `book/src/speed.md`: what each step of a fast LayerNorm gains. Times are
//! multiples of the time of a copy of the same numbers. They differ from run to run, and so do the
//! table and the picture.

use std::hint::black_box;
use std::time::{Duration, Instant};

use evenkeel::{LayerNorm, Tensor, release_buffers, rng};
use figure::drawing::{self, Axis, Frame, HPos, Panel, Words, line, text};
use figure::statistics::quantile;
use figure::{Figure, Measures, Result};
use ndarray::{Array1, Array2, Axis as Along};
use rand_distr::{Distribution, StandardNormal};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::{Deserialize, Serialize};

/// Rows and features: 1 MiB, which stays in the caches, and 12 MiB, which hardly does.
const SHAPES: [(usize, usize); 2] = [(512, 512), (4096, 768)];
/// Each round times every step once, so that other work of the machine affects all steps alike.
const ROUNDS: usize = 15;
/// How long a step is repeated in a round.
const REPEATED_FOR: Duration = Duration::from_millis(20);

pub(crate) const FIGURE: Figure<Row> = Figure {
    stem: "speed",
    name: "speed",
    measures: Measures::Times,
    about,
    measure,
    draw,
    summary,
};

#[cfg(not(test))] // tests/figures.rs includes this file
fn main() -> std::process::ExitCode {
    if cfg!(debug_assertions)
        && !std::env::args().any(|word| word == "--redraw" || word == "--what")
    {
        eprintln!("speed: expected an optimised build: cargo run --release --example speed");
        return std::process::ExitCode::from(2);
    }
    figure::main(&[&FIGURE])
}

/// One step at one shape: its time as a multiple of the time of a copy in the same round.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) rows: usize,
    pub(crate) features: usize,
    pub(crate) step: String,
    pub(crate) copies_25: f64,
    pub(crate) copies_median: f64,
    pub(crate) copies_75: f64,
    threads: usize,
}

fn about() -> String {
    format!(
        "The forward pass of LayerNorm on f32 in five steps, each with what the one before it has: time as a multiple of a copy of the same numbers.\n\
         Median and quartiles of {ROUNDS} rounds; in each round every step is repeated for {} ms, and its fastest call is compared with the fastest copy.",
        REPEATED_FOR.as_millis()
    )
}

// ANCHOR: textbook
/// The formula as it is written: each operation makes an array.
fn textbook(x: &Array2<f32>, gamma: &Array1<f32>, beta: &Array1<f32>) -> Array2<f32> {
    let mean = x.mean_axis(Along(1)).expect("some features").insert_axis(Along(1));
    let var = x.var_axis(Along(1), 0.0).insert_axis(Along(1));
    (x - &mean) / (var + 1e-5).mapv(f32::sqrt) * gamma + beta
}
// ANCHOR_END: textbook

// ANCHOR: fused
/// The same formula, row by row, into one array.
fn fused(x: &[f32], gamma: &[f32], beta: &[f32]) -> Vec<f32> {
    let n = gamma.len() as f32;
    let mut y = vec![0.0; x.len()];
    for (x, y) in x.chunks_exact(gamma.len()).zip(y.chunks_exact_mut(gamma.len())) {
        let mean = x.iter().sum::<f32>() / n;
        let var = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / n;
        let rstd = 1.0 / (var + 1e-5).sqrt();
        for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
            *y = gamma * ((x - mean) * rstd) + beta;
        }
    }
    y
}
// ANCHOR_END: fused

/// The steps in the order of the figure. Each adds something to the step before it.
pub(crate) const STEPS: [&str; 5] =
    ["textbook ndarray", "one loop per row", "vectors", "memory used again", "all threads"];

/// The inputs of one shape, in the forms that the steps need.
struct Work {
    x: Array2<f32>,
    gamma: Array1<f32>,
    beta: Array1<f32>,
    tensor: Tensor<f32>,
    layer: LayerNorm<f32>,
    copy: Vec<f32>,
    one_thread: ThreadPool,
}

impl Work {
    fn new((rows, features): (usize, usize)) -> Self {
        let mut rng = rng(0);
        let mut normal = || -> f32 { StandardNormal.sample(&mut rng) };
        let x = Array2::from_shape_simple_fn((rows, features), &mut normal);
        let gamma = Array1::from_shape_simple_fn(features, &mut normal);
        let beta = Array1::from_shape_simple_fn(features, &mut normal);
        let mut layer = LayerNorm::new(features);
        (layer.gamma, layer.beta) = (Tensor::new(gamma.view()), Tensor::new(beta.view()));
        let one_thread = ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        let (tensor, copy) = (Tensor::new(x.view()), vec![0.0; x.len()]);
        Self { x, gamma, beta, tensor, layer, copy, one_thread }
    }

    fn slices(&self) -> [&[f32]; 3] {
        [self.x.as_slice(), self.gamma.as_slice(), self.beta.as_slice()]
            .map(|slice| slice.expect("in one piece"))
    }

    /// The fastest call of a step in this round, in seconds.
    fn seconds(&self, step: usize) -> f64 {
        let [x, gamma, beta] = self.slices();
        match step {
            0 => fastest(|| textbook(&self.x, &self.gamma, &self.beta)),
            1 => fastest(|| fused(x, gamma, beta)),
            2 => self.one_thread.install(|| {
                fastest(|| {
                    release_buffers(); // so that y gets fresh memory
                    self.layer.forward(&self.tensor)
                })
            }),
            3 => self.one_thread.install(|| fastest(|| self.layer.forward(&self.tensor))),
            _ => fastest(|| self.layer.forward(&self.tensor)),
        }
    }

    fn seconds_of_a_copy(&mut self) -> f64 {
        let (x, copy) = (self.x.as_slice().expect("in one piece"), &mut self.copy);
        fastest(|| black_box(&mut *copy).copy_from_slice(black_box(x)))
    }

    /// Checks that all steps compute the same.
    fn check(&self) {
        let [x, gamma, beta] = self.slices();
        let y = self.layer.forward(&self.tensor);
        let close = |other: &[f32]| y.value().iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(close(
            textbook(&self.x, &self.gamma, &self.beta).as_slice().expect("in one piece")
        ));
        assert!(close(&fused(x, gamma, beta)));
    }
}

/// The time of the fastest of the calls in a round, at least three, in seconds.
fn fastest<R>(mut call: impl FnMut() -> R) -> f64 {
    let (start, mut best, mut calls) = (Instant::now(), f64::INFINITY, 0);
    while calls < 3 || start.elapsed() < REPEATED_FOR {
        let begin = Instant::now();
        drop(black_box(call()));
        best = best.min(begin.elapsed().as_secs_f64());
        calls += 1;
    }
    best
}

/// Each step's time as a multiple of the time of a copy, at one shape.
pub(crate) fn steps(shape: (usize, usize), rounds: usize) -> Vec<Row> {
    let mut work = Work::new(shape);
    work.check();
    let mut copies = vec![Vec::new(); STEPS.len()];
    for _ in 0..rounds {
        let copy = work.seconds_of_a_copy();
        for (step, copies) in copies.iter_mut().enumerate() {
            copies.push(work.seconds(step) / copy);
        }
    }
    let threads = |step| if step == STEPS.len() - 1 { rayon::current_num_threads() } else { 1 };
    let row = |(step, copies): (usize, &Vec<f64>)| {
        let share = |share| quantile(copies, share);
        Row {
            rows: shape.0,
            features: shape.1,
            step: STEPS[step].to_owned(),
            copies_25: share(0.25),
            copies_median: share(0.5),
            copies_75: share(0.75),
            threads: threads(step),
        }
    };
    copies.iter().enumerate().map(row).collect()
}

fn measure() -> Vec<Row> {
    SHAPES.into_iter().flat_map(|shape| steps(shape, ROUNDS)).collect()
}

/// `4.2 ×`, or `42 ×` from 10 on.
fn times(copies: f64) -> String {
    if copies < 10.0 { format!("{copies:.1} ×") } else { format!("{copies:.0} ×") }
}

fn summary(rows: &[Row]) -> String {
    let mut lines = vec!["shape        step                 copies (quartiles)   gain".to_owned()];
    let mut before: Option<&Row> = None;
    for row in rows {
        let gain = before.filter(|before| before.rows == row.rows);
        lines.push(format!(
            "{:<12} {:<20} {:>6.2} ({:.2} to {:.2})   {}",
            format!("{} × {}", row.rows, row.features),
            row.step,
            row.copies_median,
            row.copies_25,
            row.copies_75,
            gain.map_or(String::new(), |b| times(b.copies_median / row.copies_median)),
        ));
        before = Some(row);
    }
    lines.join("\n")
}

fn draw(rows: &[Row]) -> Result<String> {
    let shapes: Vec<&[Row]> = rows.chunks(STEPS.len()).collect();
    let [small, large] = shapes[..] else { return Err("expected two shapes".into()) };
    let name = |row: &Row| format!("{} × {}", row.rows, row.features);
    let last = STEPS.len() - 1;
    let copies = |shape: &[Row], step: usize| times(shape[step].copies_median).replace(" ×", "");
    let words = Words {
        title: format!(
            "LayerNorm on {} numbers: a textbook's takes as long as {} copies of them, one loop per row {}, with vectors {}, with memory used again {}, on all threads {}",
            name(&small[0]),
            copies(small, 0),
            copies(small, 1),
            copies(small, 2),
            copies(small, 3),
            copies(small, last),
        ),
        description: format!(
            "Five steps from top to bottom, each a dot on a logarithmic axis of copies, for two shapes. At {} the dots stand at {} copies; at {}, which does not fit into the caches, at {}. The last step ran on {} threads. A line marks one copy.",
            name(&small[0]),
            (0..=last).map(|step| copies(small, step)).collect::<Vec<_>>().join(", "),
            name(&large[0]),
            (0..=last).map(|step| copies(large, step)).collect::<Vec<_>>().join(", "),
            small[last].threads,
        ),
    };
    drawing::svg(FIGURE.name, 400.0, &words, |figure| {
        drawing::title(figure, "Forward pass, in the time of a copy", 0.0)?;
        let most = rows.iter().map(|row| row.copies_75).fold(10.0, f64::max);
        let x = Axis {
            ends: (0.45f64.log10(), (1.7 * most).log10()),
            ticks: [1.0, 3.0, 10.0, 30.0, 100.0, 300.0]
                .into_iter()
                .filter(|copies| *copies < 1.7 * most)
                .map(|copies: f64| (copies.log10(), copies.to_string()))
                .collect(),
            grid: true,
        };
        let height = |step: usize| (last - step) as f64;
        let y = Axis {
            ends: (-0.55, last as f64 + 0.75),
            ticks: (0..=last).map(|step| (height(step), STEPS[step].to_owned())).collect(),
            grid: false,
        };
        let frame = Frame { left: 184.0, top: 34.0, width: 360.0, height: 300.0 };
        let panel = Panel::new(figure, &frame, &x, &y)?;
        panel.line((0.0, y.ends.0), (0.0, y.ends.1), line(drawing::INK, 2.0))?;
        for (shape, colour, above) in
            [(small, drawing::LAYER_NORM, 0.18), (large, drawing::ACCENT_1, -0.18)]
        {
            let at = |copies: f64, step| (copies.log10(), height(step) + above);
            for (step, row) in shape.iter().enumerate() {
                panel.line(at(row.copies_25, step), at(row.copies_75, step), line(colour, 3.0))?;
                panel.disc(at(row.copies_median, step), 5.0, colour)?;
                // The first step's dots are the rightmost, so their labels are on the left. All
                // other labels are on the right, and never on the line at one copy.
                let (beside, offset, side) = match step {
                    0 => (row.copies_25, (-10.0, 0.0), HPos::Right),
                    _ => (row.copies_75.max(1.0), (10.0, 0.0), HPos::Left),
                };
                let times = times(row.copies_median);
                let words = if step == 0 { format!("{}: {times}", name(row)) } else { times };
                panel.write(&words, at(beside, step), offset, text(colour, side))?;
            }
        }
        panel.write("copies", (x.ends.1, y.ends.0), (0.0, 46.0), text(drawing::MUTED, HPos::Right))
    })
}
