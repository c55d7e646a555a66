//! Figure of the page `book/src/iris.md`: what a LayerNorm changes in the 4-8-3 network, and what
//! not.

use std::cmp::Ordering;
use std::ops::Range;

use evenkeel::{LayerNorm, rng};
use figure::drawing::{self, Axis, Frame, HPos, Panel, Words, line, text};
use figure::iris_network::{Flowers, LinearNetwork, Score, score, train};
use figure::statistics::{mean, sample_sd};
use figure::{Figure, Measures, Result};
use serde::{Deserialize, Serialize};

const SEEDS: Range<u64> = 0..20;
const STEPS: usize = 400;

/// The room for the heading of a group of seeds, in lines.
const GROUP_HEADING: f64 = 1.5;

pub(crate) const FIGURE: Figure<Row> = Figure {
    stem: "iris",
    name: "iris",
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

/// One seed: the same flowers and first weights, without the layer and with it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) seed: u64,
    /// Steps until 95 % of the training flowers are right; empty if that never happened.
    none_steps: Option<usize>,
    layer_norm_steps: Option<usize>,
    none_training_loss: f64,
    layer_norm_training_loss: f64,
    /// The number of the 30 test flowers that are right after the last step.
    none_test_right: usize,
    layer_norm_test_right: usize,
    none_test_loss: f64,
    layer_norm_test_loss: f64,
    test_flowers: usize,
    /// The number of training steps.
    pub(crate) steps: usize,
}

fn about() -> String {
    format!(
        "Linear(4, 8), LayerNorm(8) or none, ReLU, Linear(8, 3) on Iris, standardized, 120 flowers to train on and 30 to test;\n\
         {STEPS} steps of Adam(0.01) on all 120; seeds {} to {}, each giving both networks the same flowers and first weights.\n\
         none_steps, layer_norm_steps: until 95 % of the training flowers are right, empty if never; losses and tests after the last step.",
        SEEDS.start,
        SEEDS.end - 1
    )
}

/// The results of one network.
pub(crate) struct Run {
    pub(crate) steps_to_95: Option<usize>,
    pub(crate) training: Score,
    pub(crate) test: Score,
}

/// The results without the layer and with it.
pub(crate) fn runs(seed: u64, steps: usize) -> [Run; 2] {
    [None, Some(LayerNorm::new(8))].map(|norm| {
        let mut rng = rng(seed);
        let flowers = Flowers::deal(&mut rng);
        let mut network = LinearNetwork::new(norm, &mut rng);
        let scores = train(&mut network, &flowers.train, steps);
        Run {
            steps_to_95: scores.iter().position(|score| score.accuracy() >= 0.95),
            training: scores[steps],
            test: score(&network, &flowers.test),
        }
    })
}

impl Row {
    pub(crate) fn of(seed: u64, [none, norm]: &[Run; 2], steps: usize) -> Self {
        Self {
            seed,
            none_steps: none.steps_to_95,
            layer_norm_steps: norm.steps_to_95,
            none_training_loss: none.training.loss,
            layer_norm_training_loss: norm.training.loss,
            none_test_right: none.test.right,
            layer_norm_test_right: norm.test.right,
            none_test_loss: none.test.loss,
            layer_norm_test_loss: norm.test.loss,
            test_flowers: none.test.of,
            steps,
        }
    }
}

fn measure() -> Vec<Row> {
    SEEDS.map(|seed| Row::of(seed, &runs(seed, STEPS), STEPS)).collect()
}

/// What the rows show. A pair is first without the layer, then with it.
struct Finding {
    /// Steps to 95 % and their differences, with minus without, over the seeds where both networks
    /// get there.
    steps: [Spread; 2],
    difference: Spread,
    /// In how many seeds the network with LayerNorm reaches 95 % sooner, at the same step, later.
    sooner: usize,
    same: usize,
    later: usize,
    never: [usize; 2],
    test_accuracy: [Spread; 2],
    test_loss: [Spread; 2],
    training_loss: [Spread; 2],
    /// In how many seeds the network with LayerNorm has the lower loss.
    training_loss_lower: usize,
    test_loss_lower: usize,
}

/// Mean and standard deviation over seeds.
struct Spread(f64, f64);

impl Spread {
    fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        Self(mean(&values), sample_sd(&values))
    }

    fn text(&self, decimals: usize) -> String {
        format!("{} ± {:.decimals$}", drawing::number(self.0, decimals), self.1)
    }
}

/// Compares the step at which the two networks reach 95 %. Never is later than any step.
fn order(row: &Row) -> Ordering {
    let late = |steps: Option<usize>| steps.unwrap_or(usize::MAX);
    late(row.layer_norm_steps).cmp(&late(row.none_steps))
}

fn finding(rows: &[Row]) -> Finding {
    let pairs: Vec<(f64, f64)> = rows
        .iter()
        .filter_map(|row| Some((row.none_steps? as f64, row.layer_norm_steps? as f64)))
        .collect();
    let accuracy = |right: fn(&Row) -> usize| {
        Spread::of(rows.iter().map(|row| right(row) as f64 / row.test_flowers as f64))
    };
    let spread = |value: fn(&Row) -> f64| Spread::of(rows.iter().map(value));
    let count = |wanted| rows.iter().filter(|row| order(row) == wanted).count();
    Finding {
        steps: [
            Spread::of(pairs.iter().map(|pair| pair.0)),
            Spread::of(pairs.iter().map(|pair| pair.1)),
        ],
        difference: Spread::of(pairs.iter().map(|pair| pair.1 - pair.0)),
        sooner: count(Ordering::Less),
        same: count(Ordering::Equal),
        later: count(Ordering::Greater),
        never: [
            rows.iter().filter(|row| row.none_steps.is_none()).count(),
            rows.iter().filter(|row| row.layer_norm_steps.is_none()).count(),
        ],
        test_accuracy: [
            accuracy(|row| row.none_test_right),
            accuracy(|row| row.layer_norm_test_right),
        ],
        test_loss: [spread(|row| row.none_test_loss), spread(|row| row.layer_norm_test_loss)],
        training_loss_lower: rows
            .iter()
            .filter(|row| row.layer_norm_training_loss < row.none_training_loss)
            .count(),
        test_loss_lower: rows
            .iter()
            .filter(|row| row.layer_norm_test_loss < row.none_test_loss)
            .count(),
        training_loss: [
            spread(|row| row.none_training_loss),
            spread(|row| row.layer_norm_training_loss),
        ],
    }
}

fn summary(rows: &[Row]) -> String {
    let finding = finding(rows);
    let both = |pair: &[Spread; 2], decimals| {
        format!("{}, {}", pair[0].text(decimals), pair[1].text(decimals))
    };
    format!(
        "over {} seeds, mean ± sd, without LayerNorm and with it:\n\
         steps to 95 % training accuracy   {}   (never there: {}, {})\n\
         with minus without, paired        {}   (sooner in {}, same step in {}, later in {})\n\
         test accuracy                     {}\n\
         test loss                         {}   (lower with in {})\n\
         training loss                     {}   (lower with in {})",
        rows.len(),
        both(&finding.steps, 1),
        finding.never[0],
        finding.never[1],
        finding.difference.text(1),
        finding.sooner,
        finding.same,
        finding.later,
        both(&finding.test_accuracy, 3),
        both(&finding.test_loss, 3),
        finding.test_loss_lower,
        both(&finding.training_loss, 4),
        finding.training_loss_lower
    )
}

fn draw(rows: &[Row]) -> Result<String> {
    let finding = finding(rows);
    let [none_steps, norm_steps] = &finding.steps;
    let [none_accuracy, norm_accuracy] = &finding.test_accuracy;
    let [none_loss, norm_loss] = &finding.test_loss;
    let words = Words {
        title: format!(
            "With LayerNorm the network is at 95 % training accuracy sooner in {} of {} seeds, after {:.0} steps instead of {:.0} in the mean; its mean test accuracy is {:.3}, without it {:.3}",
            finding.sooner,
            rows.len(),
            norm_steps.0,
            none_steps.0,
            norm_accuracy.0,
            none_accuracy.0
        ),
        description: format!(
            "Upper panel: for each of {} seeds, sorted by the difference, a ring at the step where the network without LayerNorm first has 95 % of the training flowers right, a diamond where the one with it does, and a line between them. LayerNorm is sooner in {}, at the same step in {} and later in {}; the paired difference is {} steps. Never there: {} without, {} with. Lower panel: how many of the {} test flowers each network gets right, one mark for a seed. Without: {}; with: {}. The test loss is {} without and {} with.",
            rows.len(),
            finding.sooner,
            finding.same,
            finding.later,
            finding.difference.text(1),
            finding.never[0],
            finding.never[1],
            rows[0].test_flowers,
            none_accuracy.text(3),
            norm_accuracy.text(3),
            none_loss.text(3),
            norm_loss.text(3)
        ),
    };
    drawing::svg(FIGURE.name, 804.0, &words, |figure| {
        draw_steps(figure, rows, &finding)?;
        draw_tests(figure, rows, &finding)
    })
}

fn draw_steps(figure: &drawing::Area, rows: &[Row], finding: &Finding) -> Result<()> {
    drawing::title(figure, "Steps to 95 % training accuracy, a line for each seed", 0.0)?;
    let reached =
        rows.iter().flat_map(|row| [row.none_steps, row.layer_norm_steps]).flatten().max();
    let end = (reached.unwrap_or(0) as f64 / 50.0).ceil() * 50.0;
    let mut x = Axis {
        ends: (0.0, end),
        ticks: (0..=end as usize).step_by(50).map(|step| (step as f64, step.to_string())).collect(),
        grid: true,
    };
    let never = end + 25.0;
    if finding.never != [0, 0] {
        x.ends.1 = never;
        x.ticks.push((never, "never".to_owned()));
    }
    let groups = [
        (Ordering::Less, format!("sooner with LayerNorm: {} of {}", finding.sooner, rows.len())),
        (Ordering::Equal, format!("the same step: {}", finding.same)),
        (Ordering::Greater, format!("later with LayerNorm: {}", finding.later)),
    ];
    let lines = rows.len() as f64 + GROUP_HEADING * groups.len() as f64;
    let y = Axis { ends: (lines, 0.0), ticks: Vec::new(), grid: false };
    let frame = Frame { left: 20.0, top: 70.0, width: 510.0, height: 16.0 * lines };
    let panel = Panel::new(figure, &frame, &x, &y)?;

    panel.diamond((end * 0.02, -0.8), 6.5, drawing::LAYER_NORM)?;
    panel.write(
        "LayerNorm",
        (end * 0.02, -0.8),
        (14.0, 0.0),
        text(drawing::LAYER_NORM, HPos::Left),
    )?;
    panel.ring((end * 0.3, -0.8), 7.0, drawing::NO_NORM)?;
    panel.write(
        "no normalization",
        (end * 0.3, -0.8),
        (14.0, 0.0),
        text(drawing::NO_NORM, HPos::Left),
    )?;

    let arrival = |steps: Option<usize>| steps.map_or(never, |steps| steps as f64);
    let difference = |row: &&Row| arrival(row.layer_norm_steps) - arrival(row.none_steps);
    let mut y = 0.0;
    for (wanted, heading) in groups {
        let mut group: Vec<&Row> = rows.iter().filter(|row| order(row) == wanted).collect();
        if group.is_empty() {
            continue;
        }
        group.sort_by(|a, b| difference(a).total_cmp(&difference(b)));
        y += GROUP_HEADING;
        panel.write(&heading, (0.0, y - 0.7), (6.0, 0.0), text(drawing::INK, HPos::Left))?;
        for row in group {
            y += 1.0;
            let (none, norm) = (arrival(row.none_steps), arrival(row.layer_norm_steps));
            let colour = if norm < none { drawing::LAYER_NORM } else { drawing::NO_NORM };
            let middle = y - 0.5;
            panel.line((none, middle), (norm, middle), line(colour, 2.5))?;
            panel.ring((none, middle), 7.0, drawing::NO_NORM)?;
            panel.diamond((norm, middle), 6.5, drawing::LAYER_NORM)?;
        }
    }
    Ok(())
}

fn draw_tests(figure: &drawing::Area, rows: &[Row], finding: &Finding) -> Result<()> {
    let flowers = rows[0].test_flowers;
    drawing::title(
        figure,
        &format!("Right of {flowers} test flowers, a mark for each seed"),
        510.0,
    )?;
    let rights: [Vec<usize>; 2] = [
        rows.iter().map(|row| row.none_test_right).collect(),
        rows.iter().map(|row| row.layer_norm_test_right).collect(),
    ];
    let least = rights.iter().flatten().copied().min().unwrap_or(0);
    let count = |arm: usize, n| rights[arm].iter().filter(|&&right| right == n).count();
    let most = (least..=flowers).flat_map(|n| [count(0, n), count(1, n)]).max().unwrap_or(0);
    for (arm, name, colour) in
        [(0, "none", drawing::NO_NORM), (1, "LayerNorm", drawing::LAYER_NORM)]
    {
        let ticks = (least..=flowers).map(|n| (n as f64, n.to_string()));
        let x = Axis {
            ends: (least as f64 - 0.5, flowers as f64 + 0.5),
            ticks: if arm == 1 { ticks.collect() } else { Vec::new() },
            grid: false,
        };
        let y = Axis { ends: (0.0, most as f64 + 0.6), ticks: Vec::new(), grid: false };
        let frame =
            Frame { left: 112.0, top: 548.0 + 118.0 * f64::from(arm), width: 280.0, height: 100.0 };
        let panel = Panel::new(figure, &frame, &x, &y)?;
        let arm = arm as usize;
        panel.line((x.ends.0, 0.0), (x.ends.1, 0.0), line(drawing::GRID, 1.0))?;
        for n in least..=flowers {
            for place in 0..count(arm, n) {
                let at = (n as f64, place as f64 + 0.7);
                if arm == 0 {
                    panel.ring(at, 4.5, colour)?;
                } else {
                    panel.diamond(at, 5.5, colour)?;
                }
            }
        }
        panel.write(name, (x.ends.0, 0.0), (-8.0, -10.0), text(colour, HPos::Right))?;
        let (accuracy, loss) = (finding.test_accuracy[arm].text(3), finding.test_loss[arm].text(3));
        let lines = [
            ("accuracy", drawing::MUTED),
            (&accuracy, drawing::INK),
            ("loss", drawing::MUTED),
            (&loss, drawing::INK),
        ];
        for (place, (words, colour)) in lines.into_iter().enumerate() {
            let above = 82.0 - 24.0 * place as f64;
            panel.write(words, (x.ends.1, 0.0), (152.0, -above), text(colour, HPos::Right))?;
        }
    }
    Ok(())
}
