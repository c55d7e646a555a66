//! What the peers share: the cases, their data, the check against Even Keel, the clock, the output.
//!
//! A peer is one file in `src/bin`. It hands [`main`] a function from a [`Case`] and its numbers to
//! a [`Job`]: the call to be timed, and how to read its result. The check and the clock use the
//! same job, so what is timed is what was checked.

use std::collections::BTreeSet;
use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};

/// Under the root of every layer.
pub const EPS: f64 = 1e-5;
/// The groups of every GroupNorm.
pub const GROUPS: usize = 32;
/// The step size of every Adam; betas 0.9 and 0.999, eps 1e-8, no decay.
pub const LR: f64 = 1e-3;
/// Rows of one training step of the digits network.
pub const BATCH: usize = 64;
/// The widths of the digits network: a layer of norm and a ReLU after all but the last product.
pub const WIDTHS: [usize; 6] = [64, 64, 64, 64, 64, 10];

const ROWS: [&[usize]; 5] = [&[64, 8], &[32, 64], &[512, 512], &[4096, 768], &[2048, 4096]];
const CHANNELS: [&[usize]; 3] = [&[256, 128], &[4096, 512], &[32, 64, 28, 28]];
const ADAM: &[usize] = &[1_000_000];
/// Five times through the digits.
const DIGITS: &[usize] = &[140];

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Layer {
    None,
    LayerNorm,
    RMSNorm,
    BatchNorm,
    GroupNorm,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// y, and nothing kept for a gradient. BatchNorm in training mode.
    Forward,
    /// y with running statistics: BatchNorm only.
    Eval,
    /// The gradients of sum(y·w), from x to the end.
    Train,
    /// The same gradients, with w handed to y as its gradient.
    Given,
    /// The backward pass of `Given` alone, on a forward pass that is kept.
    Backward,
    /// One step of Adam with one of two gradients in turn.
    Adam,
    /// Training the digits network with this layer before each ReLU: shape is the number of steps.
    Digits,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    F32,
    F64,
}

#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Case {
    pub work: Work,
    pub layer: Layer,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { work, layer, dtype, shape } = self;
        let shape = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
        let dtype = format!("{dtype:?}").to_lowercase();
        match work {
            Work::Adam => write!(f, "Adam {shape} {dtype}"),
            Work::Digits => write!(f, "digits {layer:?} {dtype}"),
            _ => write!(f, "{layer:?} {shape} {} {dtype}", format!("{work:?}").to_lowercase()),
        }
    }
}

impl Case {
    /// Everything that is timed.
    #[must_use]
    pub fn all() -> Vec<Self> {
        use Layer::{BatchNorm, GroupNorm, LayerNorm, None, RMSNorm};
        use Work::{Adam, Backward, Digits, Eval, Forward, Given, Train};

        let mut cases = Vec::new();
        for dtype in [Dtype::F32, Dtype::F64] {
            let mut add = |layer, work: &[Work], shapes: &[&[usize]]| {
                for (&work, shape) in work.iter().flat_map(|w| shapes.iter().map(move |s| (w, s))) {
                    cases.push(Self { work, layer, dtype, shape: shape.to_vec() });
                }
            };
            add(LayerNorm, &[Forward, Train, Given, Backward], &ROWS);
            add(RMSNorm, &[Forward, Train, Given, Backward], &ROWS);
            add(BatchNorm, &[Forward, Eval, Train, Given, Backward], &CHANNELS);
            add(GroupNorm, &[Forward, Train, Given, Backward], &CHANNELS[2..]);
            add(None, &[Adam], &[ADAM]);
            if dtype == Dtype::F32 {
                for layer in [None, LayerNorm, RMSNorm, BatchNorm] {
                    add(layer, &[Digits], &[DIGITS]);
                }
            }
        }
        cases
    }

    /// The same on a few numbers, with lengths that all differ and fill no vector.
    #[must_use]
    pub fn small(&self) -> Self {
        let shape: &[usize] = match (self.layer, self.work) {
            (_, Work::Digits) => &[3],
            (_, Work::Adam) => &[103],
            (Layer::GroupNorm, _) => &[3, 64, 2, 5],
            (Layer::BatchNorm, _) if self.shape.len() > 2 => &[3, 7, 2, 5],
            _ => &[5, 19],
        };
        Self { shape: shape.to_vec(), ..self.clone() }
    }

    /// How many features γ and β have.
    #[must_use]
    pub fn features(&self) -> usize {
        self.shape.get(1).copied().unwrap_or(0)
    }

    /// The numbers a job starts from:
    ///
    /// * a layer: `[x, w, gamma, beta, running_mean, running_var]`,
    /// * Adam: `[parameters, gradient, other gradient]`,
    /// * digits: one `[out, in]` weight per entry of [`WIDTHS`] but the first; biases start at 0.
    #[must_use]
    pub fn inputs(&self) -> Vec<Vec<f64>> {
        let (n, c) = (self.shape.iter().product(), self.features());
        let positive = |values: Vec<f64>| values.into_iter().map(|v| 0.5 + v * v).collect();
        match self.work {
            Work::Adam => (1..=3).map(|seed| normal(n, seed)).collect(),
            Work::Digits => {
                let weight = |(seed, pair): (u64, &[usize])| {
                    let scale = (2.0 / pair[0] as f64).sqrt();
                    let values = normal(pair[0] * pair[1], seed);
                    values.into_iter().map(|v| scale * v).collect()
                };
                (1..).zip(WIDTHS.windows(2)).map(weight).collect()
            }
            _ => {
                let (x, w) = (normal(n, 1), normal(n, 2));
                vec![x, w, normal(c, 3), normal(c, 4), normal(c, 5), positive(normal(c, 6))]
            }
        }
    }

    /// What a peer's outputs may differ from ours, relative to 1 and the number itself.
    fn tolerance(&self) -> f64 {
        // Adam divides a gradient by its size, even one that is nothing but rounding: two f32 runs
        // of the same network are 2e-3 apart after three steps, a wrong one 1e-1.
        if self.work == Work::Digits { 1e-2 } else { 1e-4 }
    }

    /// How many of what a report counts are in one call.
    fn units(&self) -> f64 {
        if self.work == Work::Digits { self.shape[0] as f64 } else { 1.0 }
    }
}

/// Numbers of mean 0 and variance 1, nearly normal: sums of four draws of an xorshift generator,
/// rounded to `f32` so that both types start from the same.
#[must_use]
pub fn normal(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut draw = || (0..4).map(|_| uniform()).sum::<f64>() - 2.0;
    (0..n).map(|_| f64::from((draw() * 3f64.sqrt()) as f32)).collect()
}

/// The digits, pixels from 0 to 1, row by row, and the digit of each row.
#[must_use]
pub fn digits() -> (Vec<f32>, Vec<usize>) {
    let digits = evenkeel::datasets::digits();
    (digits.features.iter().map(|&ink| ink as f32 / 16.0).collect(), digits.targets)
}

/// The digits as training sees them: batches in the order of the file, the incomplete one left out.
#[must_use]
pub fn batches() -> Vec<(Vec<f32>, Vec<usize>)> {
    let (pixels, targets) = digits();
    let rows = pixels.chunks_exact(BATCH * WIDTHS[0]).zip(targets.chunks_exact(BATCH));
    rows.map(|(pixels, targets)| (pixels.to_vec(), targets.to_vec())).collect()
}

/// What a job computed: y and the gradients of x, γ and β (if there are any), or Adam's parameters,
/// or the logits of all digits, with BatchNorm in training mode.
pub type Outputs = Vec<Vec<f64>>;

/// One case, ready to run.
pub trait Job {
    /// Runs it so many times.
    fn run(&mut self, times: u64);
    /// Runs it once more and reads the result.
    fn outputs(&mut self) -> Outputs;
}

struct Call<Run, Read> {
    run: Run,
    read: Read,
}

impl<R, Run: FnMut() -> R, Read: Fn(R) -> Outputs> Job for Call<Run, Read> {
    fn run(&mut self, times: u64) {
        for _ in 0..times {
            black_box((self.run)());
        }
    }

    fn outputs(&mut self) -> Outputs {
        (self.read)((self.run)())
    }
}

/// A job of the call to be timed (dropping its result is timed too) and how to read its result.
pub fn job<R>(
    run: impl FnMut() -> R + 'static,
    read: impl Fn(R) -> Outputs + 'static,
) -> Option<Box<dyn Job>>
where
    R: 'static,
{
    Some(Box::new(Call { run, read }))
}

/// What every peer reads before it starts: the cases, and what Even Keel makes of the small ones.
#[derive(Deserialize, Serialize)]
pub struct Answers {
    pub cases: Vec<Case>,
    pub checks: Vec<Check>,
}

#[derive(Deserialize, Serialize)]
pub struct Check {
    pub case: Case,
    pub inputs: Vec<Vec<f64>>,
    pub outputs: Outputs,
    pub tolerance: f64,
}

/// How often a job runs before its outputs are compared: Adam's third step has seen both gradients.
const RUNS_BEFORE_CHECK: u64 = 2;

impl Answers {
    /// Solves the small cases.
    pub fn of(jobs: impl Fn(&Case, &[Vec<f64>]) -> Option<Box<dyn Job>>) -> Self {
        let cases = Case::all();
        let small: BTreeSet<Case> = cases.iter().map(Case::small).collect();
        let check = |case: Case| {
            let (inputs, tolerance) = (case.inputs(), case.tolerance());
            let mut job = jobs(&case, &inputs).expect("we can do every case");
            job.run(RUNS_BEFORE_CHECK);
            Check { outputs: job.outputs(), case, inputs, tolerance }
        };
        Self { cases, checks: small.into_iter().map(check).collect() }
    }
}

/// One measurement: a line of the output.
#[derive(Deserialize, Serialize)]
pub struct Record {
    pub peer: String,
    pub case: Case,
    pub threads: usize,
    /// Nanoseconds of a call, or of a training step: the best by the clock on the wall, and the
    /// median of the process's CPU time.
    pub wall: f64,
    pub cpu: f64,
    /// Of all digits after the last step.
    pub loss: Option<f64>,
    pub accuracy: Option<f64>,
}

/// A peer's program: checks it against the answers in the file `ANSWERS` names, then times it and
/// prints a [`Record`] per line.
pub fn main(peer: &str, jobs: impl Fn(&Case, &[Vec<f64>]) -> Option<Box<dyn Job>>) {
    let file = variable("ANSWERS").expect("ANSWERS names the file that `evenkeel answers` wrote");
    let answers = std::fs::read(file).expect("a readable file of answers");
    let answers: Answers = serde_json::from_slice(&answers).expect("answers");
    let threads = variable("RAYON_NUM_THREADS").map_or(1, |n| n.parse().expect("a number"));
    let filter = variable("BENCH_FILTER").unwrap_or_default();

    for check in answers.checks {
        let Some(mut job) = jobs(&check.case, &check.inputs) else { continue };
        job.run(RUNS_BEFORE_CHECK);
        compare(peer, &check.case, &job.outputs(), &check.outputs, check.tolerance);
    }
    for case in answers.cases {
        let name = case.to_string();
        let wanted = filter.split('|').any(|part| name.contains(part));
        if !wanted || (case.work == Work::Digits && threads > 1) {
            continue;
        }
        if let Some(mut job) = jobs(&case, &case.inputs()) {
            let record = measure(peer, case, threads, job.as_mut());
            println!("{}", serde_json::to_string(&record).expect("numbers and names"));
        }
    }
}

/// A variable of the environment that is set to something.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn compare(peer: &str, case: &Case, got: &Outputs, ours: &Outputs, tolerance: f64) {
    let lengths = |outputs: &Outputs| outputs.iter().map(Vec::len).collect::<Vec<_>>();
    let (found, expected) = (lengths(got), lengths(ours));
    assert!(found == expected, "{peer}, {case}: outputs of lengths {found:?}, ours {expected:?}");
    for (which, (got, ours)) in got.iter().zip(ours).enumerate() {
        for (at, (got, ours)) in got.iter().zip(ours).enumerate() {
            let close = (got - ours).abs() <= tolerance * (1.0 + ours.abs()); // NaN is not close
            assert!(close, "{peer}, {case}: output {which} is {got} at {at}, ours is {ours}");
        }
    }
}

/// Warms up, then takes samples of at least a millisecond.
fn measure(peer: &str, case: Case, threads: usize, job: &mut dyn Job) -> Record {
    let digits = (case.work == Work::Digits).then(|| score(&job.outputs()[0]));

    let (start, mut calls) = (Instant::now(), 0);
    while calls < 2 || start.elapsed() < Duration::from_millis(30) {
        job.run(1);
        calls += 1;
    }
    let one = start.elapsed().as_nanos() as u64 / calls;
    let times = (1_000_000 / one.max(1)).clamp(1, 100_000);

    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while wall.len() < 5 || (start.elapsed() < Duration::from_millis(120) && wall.len() < 400) {
        let (by_cpu, by_wall) = (ProcessTime::now(), Instant::now());
        job.run(times);
        wall.push(by_wall.elapsed().as_nanos() as f64);
        cpu.push(by_cpu.elapsed().as_nanos() as f64);
    }
    let units = times as f64 * case.units();
    let best = wall.iter().copied().fold(f64::INFINITY, f64::min);
    Record {
        peer: peer.to_owned(),
        threads,
        wall: best / units,
        cpu: median(&mut cpu) / units,
        loss: digits.map(|(loss, _)| loss),
        accuracy: digits.map(|(_, accuracy)| accuracy),
        case,
    }
}

/// The middle of some numbers, which it sorts.
///
/// # Panics
/// If there are none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    f64::midpoint(values[(n - 1) / 2], values[n / 2])
}

/// Mean cross-entropy and accuracy of the logits of all digits.
fn score(logits: &[f64]) -> (f64, f64) {
    let (_, targets) = digits();
    let (mut loss, mut right) = (0.0, 0);
    for (logits, &target) in logits.chunks_exact(10).zip(&targets) {
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        loss += most + logits.iter().map(|z| (z - most).exp()).sum::<f64>().ln() - logits[target];
        right += usize::from(logits[target] == most);
    }
    (loss / targets.len() as f64, right as f64 / targets.len() as f64)
}
