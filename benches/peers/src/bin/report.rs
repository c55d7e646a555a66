//! The table: reads the lines the peers printed, from the files it is given.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use evenkeel_peers::{Case, Record, Work, median};

const OURS: &str = "evenkeel";
const FLOOR: &str = "floor";
/// The order of the columns.
const PEERS: [&str; 6] = ["torch", "torch fused", "onnxruntime", "candle", "burn", "ndarray"];

/// One value per round, of a case on so many threads.
type Rounds = BTreeMap<(usize, Case), Vec<f64>>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut times: BTreeMap<String, Rounds> = BTreeMap::new();
    let mut scores: BTreeMap<(Case, String), (f64, f64)> = BTreeMap::new();
    for file in std::env::args().skip(1) {
        for line in std::fs::read_to_string(file)?.lines() {
            let Record { peer, case, threads, wall, cpu, loss, accuracy } =
                serde_json::from_str(line)?;
            if let (Some(loss), Some(accuracy)) = (loss, accuracy) {
                scores.insert((case.clone(), peer.clone()), (loss, accuracy));
            }
            let time = if threads == 1 { cpu } else { wall };
            times.entry(peer).or_default().entry((threads, case)).or_default().push(time);
        }
    }
    print_times(&times);
    if !scores.is_empty() {
        print_scores(&scores);
    }
    Ok(())
}

fn print_times(times: &BTreeMap<String, Rounds>) {
    let peers: Vec<_> = PEERS.into_iter().filter(|&peer| times.contains_key(peer)).collect();
    println!("| threads | case | ours | {} | ours ÷ floor |", peers.join(" | "));
    println!("|---|---|---|{}---|", "---|".repeat(peers.len()));
    for (key, ours) in times.get(OURS).into_iter().flatten() {
        let (threads, case) = key;
        let (median, spread) = middle_and_spread(ours);
        let of = |peer: &str| times.get(peer).and_then(|rounds| rounds.get(key));
        let ratio = |peer: &&str| match of(peer).map(|rounds| middle_and_spread(rounds).0 / median)
        {
            Some(ratio) if ratio < 1.0 => format!("**{ratio:.2}**"),
            Some(ratio) if ratio < 10.0 => format!("{ratio:.2}"),
            Some(ratio) => format!("{ratio:.0}"),
            None => String::new(),
        };
        let ratios: Vec<_> = peers.iter().map(ratio).collect();
        let floor = of(FLOOR).map(|rounds| median / middle_and_spread(rounds).0);
        println!(
            "| {threads} | {case} | {}{spread} | {} | {} |",
            duration_or_rate(case, median),
            ratios.join(" | "),
            floor.map_or(String::new(), |ratio| format!("{ratio:.2}"))
        );
    }
    println!();
    println!(
        "Columns of peers: their time ÷ ours; above 1, we are faster, and **bold**, they are."
    );
    println!("± is half the distance of the quartiles of the rounds.");
}

/// What shows that the networks did the same work.
fn print_scores(scores: &BTreeMap<(Case, String), (f64, f64)>) {
    let order = |peer: &String| PEERS.iter().position(|column| column == peer);
    let mut peers: Vec<_> =
        scores.keys().map(|(_, peer)| peer).collect::<BTreeSet<_>>().into_iter().collect();
    peers.sort_by_key(|peer| order(peer));
    let names: Vec<_> = peers.iter().map(|peer| peer.as_str()).collect();
    println!("\n| after training: loss, accuracy | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(peers.len()));
    for case in scores.keys().map(|(case, _)| case).collect::<BTreeSet<_>>() {
        let cell = |peer: &&String| match scores.get(&(case.clone(), (*peer).clone())) {
            Some((loss, accuracy)) => format!("{loss:.4}, {:.2} %", 100.0 * accuracy),
            None => String::new(),
        };
        let cells: Vec<_> = peers.iter().map(cell).collect();
        println!("| {case}, {} steps | {} |", case.shape[0], cells.join(" | "));
    }
}

/// The median, and half the distance of the quartiles in words, if there are rounds enough.
fn middle_and_spread(rounds: &[f64]) -> (f64, String) {
    let mut rounds = rounds.to_vec();
    let middle = median(&mut rounds);
    if rounds.len() < 3 {
        return (middle, String::new());
    }
    let quantile = |share: f64| {
        let place = share * (rounds.len() - 1) as f64;
        let (below, rest) = (place.floor() as usize, place.fract());
        rounds[below] * (1.0 - rest) + rounds[place.ceil() as usize] * rest
    };
    let spread = 50.0 * (quantile(0.75) - quantile(0.25)) / middle;
    (middle, format!(" ± {spread:.0} %"))
}

fn duration_or_rate(case: &Case, nanoseconds: f64) -> String {
    match nanoseconds {
        step if case.work == Work::Digits => format!("{:.0} steps/s", 1e9 / step),
        short if short < 1e5 => format!("{:.2} µs", short / 1e3),
        long => format!("{:.3} ms", long / 1e6),
    }
}
