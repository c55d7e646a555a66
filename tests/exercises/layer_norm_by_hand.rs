//! Answers to the exercise *LayerNorm by hand*.

use evenkeel::exercises::{Verdict, layer_norm_by_hand};

use super::assert_refused;

fn layer_norm(row: [f64; 4]) -> [f64; 4] {
    let mean = row.iter().sum::<f64>() / 4.0;
    let deviations = row.map(|x| x - mean);
    let variance = deviations.iter().map(|d| d * d).sum::<f64>() / 4.0;
    deviations.map(|d| d / variance.sqrt())
}

/// Mean, deviations from it, and the sum of their squares.
fn parts(row: [f64; 4]) -> (f64, [f64; 4], f64) {
    let mean = (row[0] + row[1] + row[2] + row[3]) / 4.0;
    let deviations = row.map(|x| x - mean);
    (mean, deviations, deviations.iter().map(|d| d.powi(2)).sum())
}

#[test]
fn the_solution_passes() {
    assert_eq!(layer_norm_by_hand().verdict(layer_norm), Verdict::Solved);
}

#[test]
fn other_right_answers_pass() {
    let with_eps = |row| {
        let (_, deviations, squares) = parts(row);
        deviations.map(|d| d / (squares / 4.0 + 1e-5).sqrt())
    };
    assert_eq!(layer_norm_by_hand().verdict(with_eps), Verdict::Solved);
    let one_pass = |row: [f64; 4]| {
        let (mean, ..) = parts(row);
        let variance = row.iter().map(|x| x * x).sum::<f64>() / 4.0 - mean * mean;
        row.map(|x| (x - mean) / variance.sqrt())
    };
    assert_eq!(layer_norm_by_hand().verdict(one_pass), Verdict::Solved);
}

#[test]
fn wrong_answers_get_their_diagnosis() {
    assert_refused::<fn([f64; 4]) -> [f64; 4], _>(
        &layer_norm_by_hand(),
        [
            (
                "your answer divides the squares by n - 1 = 3, not by n = 4: for [1.0, 2.0, 3.0, 4.0], at [3]: 1.1619, expected 1.3416",
                |row| {
                    let (_, deviations, squares) = parts(row);
                    deviations.map(|d| d / (squares / 3.0).sqrt())
                },
            ),
            ("your answer divides by the variance, not by its root: ", |row| {
                let (_, deviations, squares) = parts(row);
                deviations.map(|d| d / (squares / 4.0))
            }),
            (
                "your answer divides by the root of the sum of the squares, not of their mean: ",
                |row| {
                    let (_, deviations, squares) = parts(row);
                    deviations.map(|d| d / squares.sqrt())
                },
            ),
            ("your answer is centred, but not divided by anything: ", |row| parts(row).1),
            ("your answer divides by the mean of the absolute deviations", |row| {
                let (_, deviations, _) = parts(row);
                let mean = deviations.iter().map(|d| d.abs()).sum::<f64>() / 4.0;
                deviations.map(|d| d / mean)
            }),
            (
                "your answer divides by the standard deviation without subtracting the mean: ",
                |row| {
                    let (.., squares) = parts(row);
                    row.map(|x| x / (squares / 4.0).sqrt())
                },
            ),
            ("your answer divides by the root of the mean of x², not of (x - mean)²: ", |row| {
                let (mean, ..) = parts(row);
                let squares: f64 = row.iter().map(|x| x * x).sum();
                row.map(|x| (x - mean) / (squares / 4.0).sqrt())
            }),
            ("your answer never subtracts the mean: ", |row| {
                let squares: f64 = row.iter().map(|x| x * x).sum();
                row.map(|x| x / (squares / 4.0).sqrt())
            }),
            ("your answer returns the row as it came: ", |row| row),
            ("your answer has the wrong sign: it subtracts the row from the mean: ", |row| {
                layer_norm(row).map(|x| -x)
            }),
            (
                "your answer lacks a parenthesis: only the mean is divided, as in x - mean / sd: ",
                |row| {
                    let (mean, _, squares) = parts(row);
                    row.map(|x| x - mean / (squares / 4.0).sqrt())
                },
            ),
            ("your answer multiplies by the standard deviation where it should divide: ", |row| {
                let (_, deviations, squares) = parts(row);
                deviations.map(|d| d * (squares / 4.0).sqrt())
            }),
            (
                "your answer scales from 0 to 1 by the smallest and the largest number (min-max): ",
                |row| {
                    let mut sorted = row;
                    sorted.sort_by(f64::total_cmp);
                    row.map(|x| (x - sorted[0]) / (sorted[3] - sorted[0]))
                },
            ),
            ("your answer is a softmax: eˣ over the sum of eˣ: ", |row| {
                let sum: f64 = row.iter().map(|x| x.exp()).sum();
                row.map(|x| x.exp() / sum)
            }),
            (
                "your answer divides the row by its length, the root of the sum of its squares (L2): ",
                |row| {
                    let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
                    row.map(|x| x / length)
                },
            ),
            (
                "your answer is not right: for [1.0, 2.0, 3.0, 4.0], at [3]: NaN, expected 1.3416",
                |_| [f64::NAN; 4],
            ),
        ],
    );
}

#[test]
fn constants_are_refused() {
    assert_refused::<fn([f64; 4]) -> [f64; 4], _>(
        &layer_norm_by_hand(),
        [
            ("your answer is the same for different inputs: for [4.0, ", |_| {
                layer_norm([1.0, 2.0, 3.0, 4.0])
            }),
            ("your answer is the same for different inputs: for [1.0, 2.0, 3.0, 4.0], ", |_| {
                [0.0; 4]
            }),
            // The page's row by heart, and any other row as it came.
            ("your answer is not right: for [4.0, ", |row| {
                if row == [1.0, 2.0, 3.0, 4.0] { layer_norm(row) } else { row }
            }),
        ],
    );
}
