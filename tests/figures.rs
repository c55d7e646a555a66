//! The figures of the book: that what they show holds in a fresh run, with a margin, and that the pictures in the book
//! are what the programs draw from the tables beside them.

// An example is a program, and the modules of a program stand below it: only a path leads from here to there.
#[path = "../examples/iris.rs"]
mod iris;
#[path = "../examples/layer_norm.rs"]
mod layer_norm;
#[path = "../examples/speed.rs"]
mod speed;
#[path = "../examples/using_layer_norm.rs"]
mod using_layer_norm;

use std::path::Path;
use std::sync::OnceLock;
use std::thread;

use figure::{Figure, Measures};
use iris::Run;
use serde::{Deserialize, Serialize};

use crate::common::read;

fn committed(file: &str) -> String {
    read(Path::new("book/src/figures").join(file))
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// What `run` gives for ten seeds, on two threads.
fn ten_seeds<R: Send>(run: impl Fn(u64) -> R + Sync) -> Vec<R> {
    let five = |first: u64| (first..first + 5).map(&run).collect::<Vec<_>>();
    thread::scope(|scope| {
        let later = scope.spawn(|| five(5));
        let mut runs = five(0);
        runs.extend(later.join().expect("the other five seeds ran"));
        runs
    })
}

/// The runs of the page `iris`, for two tests: without the layer and with it.
fn iris_runs() -> &'static [[Run; 2]] {
    static RUNS: OnceLock<Vec<[Run; 2]>> = OnceLock::new();
    RUNS.get_or_init(|| ten_seeds(|seed| iris::runs(seed, 400)))
}

#[test]
fn the_iris_network_with_layer_norm_gets_nine_of_ten_test_flowers_right() {
    let accuracy = mean(iris_runs().iter().map(|[_, norm]| norm.test.accuracy()));
    assert!(
        accuracy >= 0.90,
        "expected a mean test accuracy of at least 0.90 over ten seeds, got {accuracy:.3}"
    );
}

#[test]
fn the_iris_network_fits_faster_with_layer_norm_and_is_not_more_accurate() {
    let steps =
        |arm: usize| {
            mean(iris_runs().iter().map(|run| {
                run[arm].steps_to_95.expect("every seed gets there in 400 steps") as f64
            }))
        };
    let (none, norm) = (steps(0), steps(1));
    assert!(
        norm < none - 3.0,
        "expected fewer steps to 95 % with LayerNorm, got {norm} against {none}"
    );

    let [none, norm] = [0, 1].map(|arm| mean(iris_runs().iter().map(|run| run[arm].training.loss)));
    assert!(
        norm < 0.8 * none,
        "expected a lower training loss with LayerNorm, got {norm} against {none}"
    );

    let [none, norm] =
        [0, 1].map(|arm| mean(iris_runs().iter().map(|run| run[arm].test.accuracy())));
    assert!(
        (norm - none).abs() < 0.03,
        "expected about the same test accuracy, got {norm} against {none}"
    );
}

#[test]
fn the_training_loss_falls_faster_with_layer_norm() {
    let runs = ten_seeds(|seed| using_layer_norm::losses(seed, 100));
    let lower = runs.iter().filter(|[none, norm]| norm[100] < none[100]).count();
    assert!(
        lower >= 9,
        "expected the lower loss after 100 steps in at least 9 of 10 seeds, got {lower}"
    );
    let [none, norm] = [0, 1].map(|arm| mean(runs.iter().map(|run| run[arm][100])));
    assert!(
        norm < 0.75 * none,
        "expected three quarters of the loss at most, got {norm} against {none}"
    );
}

#[test]
fn layer_norm_takes_place_and_width_of_a_row_and_keeps_its_shape() {
    let rows = (layer_norm::FIGURE.measure)();
    let (mut sds, features) = (Vec::new(), 16);
    assert_eq!(rows.len(), 6 * features);
    for row in rows.chunks(features) {
        let moments = |values: Vec<f64>| {
            let mean = mean(values.iter().copied());
            (mean, self::mean(values.iter().map(|value| (value - mean).powi(2))).sqrt())
        };
        let (mean_before, sd_before) = moments(row.iter().map(|number| number.before).collect());
        let (mean, sd) = moments(row.iter().map(|number| number.after).collect());
        assert!(mean.abs() < 1e-12, "expected mean 0, got {mean:e}");
        assert!((sd - 1.0).abs() < 1e-5, "expected standard deviation 1, got {sd}");
        for number in row {
            let back = mean_before + sd_before * number.after;
            assert!((back - number.before).abs() < 1e-4, "expected {}, got {back}", number.before);
        }
        sds.push(sd_before);
    }
    let (narrow, wide) =
        sds.iter().fold((f64::MAX, 0.0_f64), |(low, high), &sd| (low.min(sd), high.max(sd)));
    assert!(wide > 3.0 * narrow, "expected rows of different width, got {narrow} to {wide}");
}

#[test]
fn a_row_of_three_ends_on_the_circle_and_its_gradient_runs_along_the_circle() {
    let rows = (layer_norm::geometry::FIGURE.measure)();
    let tip = |name: &str| rows.iter().find(|row| row.arrow == name).expect("an arrow").tip();
    let dot = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (x, mean, centred, x_hat, dx) =
        (tip("x"), tip("mean"), tip("centred"), tip("x_hat"), tip("dx"));
    assert!(dot(centred, [1.0; 3]).abs() < 1e-14, "the centred row lies in the plane");
    assert!(dot(mean, centred).abs() < 1e-13, "at a right angle to what was taken away");
    assert!((dot(x, x) - dot(mean, mean) - dot(centred, centred)).abs() < 1e-12, "Pythagoras");
    assert!((dot(x_hat, x_hat) - 3.0).abs() < 1e-14, "on the circle of radius √3");
    assert!(dot(dx, [1.0; 3]).abs() < 1e-15 && dot(dx, x_hat).abs() < 1e-15, "nothing is left");
    assert!(dot(dx, dx) > 0.01, "but not because dx is 0");
}

#[test]
fn the_knee_of_epsilon_stands_at_its_root() {
    let rows = (layer_norm::knee::FIGURE.measure)();
    for row in &rows {
        let expected = row.before / (row.before.powi(2) + 10_f64.powi(row.eps_exponent)).sqrt();
        assert!((row.after - expected).abs() < 1e-12, "{} {}", row.eps_exponent, row.before);
    }
    for eps in [-2, -3, -5, -8, -12] {
        let (knee, root) = (layer_norm::knee::knee(&rows, eps), 10_f64.powf(f64::from(eps) / 2.0));
        assert!((knee / root).ln().abs() < 0.15, "1e{eps}: {knee:e}");
    }
}

#[test]
fn the_pencils_row_is_drawn_where_the_pencil_puts_it() {
    let rows = (layer_norm::pencil::FIGURE.measure)();
    let root = 5_f64.sqrt();
    for (row, x_hat) in rows.iter().zip([-3.0, -1.0, 1.0, 3.0]) {
        assert!((row.x_hat - x_hat / root).abs() < 1e-14, "{}", row.x_hat);
    }
    assert_eq!(rows.len(), 4);
}

/// The one test of speed: a ratio within one run, and half of what the page's figure shows. What it would notice is a
/// kernel that is no longer vectorised or a buffer that is no longer used again.
#[test]
#[ignore = "means something in an optimised build only: cargo test --release --test integration figures -- --ignored"]
fn layer_norm_is_at_least_ten_times_as_fast_as_a_textbook_s() {
    let rows = speed::steps((512, 512), 5);
    let copies = |step: &str| {
        let row = rows.iter().find(|row| row.step == step).expect("a step of the figure");
        row.copies_median
    };
    let ratio = copies("textbook ndarray") / copies("memory used again");
    assert!(ratio >= 10.0, "expected at least 10 on one thread, got {ratio:.1}");
}

#[derive(Serialize, Deserialize)]
struct MadeUp {
    word: String,
    whole: u64,
    none: Option<f64>,
    fraction: f64,
}

#[test]
fn fractions_in_a_table_have_six_digits_and_all_else_stays() {
    let figure = Figure {
        stem: "made_up",
        name: "made_up",
        measures: Measures::Numbers,
        about: || "Made up: 0.123456789.".to_owned(),
        measure: Vec::new,
        draw: |_: &[MadeUp]| Ok(String::new()),
        summary: |_: &[MadeUp]| String::new(),
    };
    let fractions = [
        (0.210_183_584_124_483_99, "0.210184"),
        (-9.999_999_5, "-10.0"),
        (2.0, "2.0"),
        (1_234_567.8, "1234570.0"),
        (-1.234_567_89e-17, "-1.23457e-17"),
        (0.000_123_456_789, "0.000123457"),
        (1e300, "1e300"),
        (0.0, "0.0"),
        (f64::INFINITY, "inf"),
    ];
    let row = |&(fraction, _)| MadeUp {
        word: "14.7, 2".to_owned(),
        whole: 12_345_678,
        none: None,
        fraction,
    };
    let rows: Vec<MadeUp> = fractions.iter().map(row).collect();
    let lines = fractions.map(|(_, shown)| format!("\"14.7, 2\",12345678,,{shown}\n")).concat();
    let head = "# Made up: 0.123456789.\n# cargo run --release --example made_up\n";
    let expected = format!("{head}word,whole,none,fraction\n{lines}");
    assert_eq!(figure.csv(&rows).expect("a table"), expected);
}

#[test]
fn the_tables_of_the_book_have_no_more_than_six_digits() {
    for Files { stem, table, .. } in figures() {
        let rows = table.lines().filter(|line| !line.starts_with('#')).skip(1);
        for field in rows.flat_map(|row| row.split(',')).filter(|field| field.contains('.')) {
            let mantissa = field.split('e').next().unwrap_or_default();
            let digits = mantissa.replace(['-', '.'], "");
            let digits = digits.trim_start_matches('0').len();
            assert!(digits <= 6, "{stem}.csv: {field}");
        }
    }
}

/// In the full table, and in this one if each number were off by more than machines ever differ (some 1e-15 was seen).
#[test]
fn the_table_of_layer_norm_is_the_one_measured_now_on_any_machine() {
    let committed = committed("layer_norm.csv");
    for off in [0.0, 1e-12, -1e-12] {
        let mut rows = (layer_norm::FIGURE.measure)();
        for row in &mut rows {
            row.before *= 1.0 + off;
            row.after *= 1.0 - off;
        }
        let measured = layer_norm::FIGURE.csv(&rows).expect("a table");
        assert_eq!(measured, committed, "off by {off:e}");
    }
}

#[test]
fn the_table_of_iris_is_the_one_measured_now() {
    let rows = iris::FIGURE.rows(&committed("iris.csv")).expect("a table");
    for (row, runs) in rows.iter().zip(iris_runs()) {
        let measured = iris::Row::of(row.seed, runs, row.steps);
        let text = |row: iris::Row| iris::FIGURE.csv(&[row]).expect("a table");
        assert_eq!(text(measured), text(row.clone()), "seed {}", row.seed);
    }
}

/// The figure of times is the only one that `cargo book check` cannot measure again.
#[test]
fn only_the_figure_of_speed_measures_times() {
    let measures = [
        (iris::FIGURE.stem, iris::FIGURE.measures.to_string()),
        (layer_norm::FIGURE.stem, layer_norm::FIGURE.measures.to_string()),
        (layer_norm::geometry::FIGURE.name, layer_norm::geometry::FIGURE.measures.to_string()),
        (layer_norm::knee::FIGURE.name, layer_norm::knee::FIGURE.measures.to_string()),
        (layer_norm::pencil::FIGURE.name, layer_norm::pencil::FIGURE.measures.to_string()),
        (speed::FIGURE.stem, speed::FIGURE.measures.to_string()),
        (using_layer_norm::FIGURE.stem, using_layer_norm::FIGURE.measures.to_string()),
    ];
    for (stem, measures) in measures {
        assert_eq!(measures, if stem == "speed" { "times" } else { "numbers" }, "{stem}");
    }
}

/// One figure's table and pictures.
struct Files {
    stem: &'static str,
    table: String,
    committed: String,
    /// Drawn just now from the committed table.
    drawn: String,
}

fn figures() -> Vec<Files> {
    use layer_norm::{geometry, knee, pencil};
    let files = |stem, draw: &dyn Fn(&str) -> String| {
        let table = committed(&format!("{stem}.csv"));
        let drawn = draw(&table);
        Files { stem, table, committed: committed(&format!("{stem}.svg")), drawn }
    };
    vec![
        files(iris::FIGURE.stem, &|csv| iris::FIGURE.svg(csv).expect("drawn")),
        files(layer_norm::FIGURE.stem, &|csv| layer_norm::FIGURE.svg(csv).expect("drawn")),
        files(geometry::FIGURE.name, &|csv| geometry::FIGURE.svg(csv).expect("drawn")),
        files(knee::FIGURE.name, &|csv| knee::FIGURE.svg(csv).expect("drawn")),
        files(pencil::FIGURE.name, &|csv| pencil::FIGURE.svg(csv).expect("drawn")),
        files(speed::FIGURE.stem, &|csv| speed::FIGURE.svg(csv).expect("drawn")),
        files(using_layer_norm::FIGURE.stem, &|csv| {
            using_layer_norm::FIGURE.svg(csv).expect("drawn")
        }),
    ]
}

#[test]
fn the_pictures_in_the_book_are_drawn_from_their_tables() {
    for Files { stem, committed, drawn, .. } in figures() {
        // No assert_eq!, which would print both.
        assert!(
            committed == drawn,
            "{stem}.svg is not what {stem}.csv gives: cargo run --example {stem} -- --redraw"
        );
    }
}

#[test]
fn every_picture_speaks_and_fits_into_a_page() {
    for Files { stem, committed: svg, .. } in figures() {
        assert!(svg.starts_with("<svg "), "{stem}: no prolog, since it stands inside a page");
        assert!(svg.contains(" role=\"img\""), "{stem}: a role");
        assert!(
            svg.contains(&format!("aria-labelledby=\"{stem}-title {stem}-desc\"")),
            "{stem}: its words"
        );
        for element in ["title", "desc"] {
            let words = svg
                .split_once(&format!("<{element} id=\"{stem}-{element}\">"))
                .map(|(_, rest)| rest);
            let words = words
                .and_then(|rest| rest.split_once(&format!("</{element}>")))
                .map(|(words, _)| words);
            let words = words.unwrap_or_else(|| panic!("{stem}: a <{element}>"));
            assert!(
                words.contains(|c: char| c.is_ascii_digit()),
                "{stem}: a number in its <{element}>"
            );
        }
        assert_eq!(svg.matches(" id=").count(), 2, "{stem}: no id but those of its words");
        assert!(
            svg.lines().all(|line| !line.trim().is_empty()),
            "{stem}: a blank line ends the HTML block"
        );
        for unwanted in ["<style", "<script", "href", "url(", "NaN"] {
            assert!(!svg.contains(unwanted), "{stem}: {unwanted}");
        }
        assert!(!svg.contains("\"#"), "{stem}: a colour that does not follow the theme");
        let head = svg.lines().next().unwrap_or_default();
        assert!(
            !head.contains(" width=") && !head.contains(" height="),
            "{stem}: the page decides how wide it is"
        );
    }
}

#[test]
fn a_network_that_never_gets_there_is_drawn_as_such() {
    let csv = committed("iris.csv");
    assert!(!iris::FIGURE.svg(&csv).expect("drawn").contains("\nnever\n"));
    let (comment, rows) = csv.split_once("\n0,").expect("the row of seed 0");
    let (_steps, rest) = rows.split_once(',').expect("its steps without the layer");
    let svg = iris::FIGURE.svg(&format!("{comment}\n0,,{rest}")).expect("drawn");
    assert!(svg.contains("\nnever\n") && svg.contains("Never there: 1 without, 0 with."));
}
