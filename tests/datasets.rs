//! Iris, digits, and tables from outside. Page: `book/src/iris.md`.

mod standardizer;
mod table;

use crate::common::panic_of;
use approx::assert_relative_eq;
use evenkeel::datasets::{Dataset, Standardizer, TableError, digits, iris};
use evenkeel::rng;
use ndarray::{Axis, array};

#[test]
fn iris_holds_fishers_numbers() {
    let iris = iris();
    assert_eq!(iris.features.dim(), (150, 4));
    for class in 0..3 {
        assert_eq!(iris.targets.iter().filter(|&&target| target == class).count(), 50);
    }
    let means = iris.features.mean_axis(Axis(0)).unwrap();
    assert_relative_eq!(means, array![5.843333, 3.057333, 3.758, 1.199333], epsilon = 1e-6);
    // The two flowers in which UCI's file differs.
    assert_eq!(iris.features.row(34), array![4.9, 3.1, 1.5, 0.2]);
    assert_eq!(iris.features.row(37), array![4.9, 3.6, 1.4, 0.1]);
}

#[test]
fn a_split_deals_every_flower_once() {
    let iris = iris();
    let (train, test) = iris.split(30, &mut rng(3));
    assert_eq!((train.len(), test.len()), (120, 30));
    assert_eq!((train.features.nrows(), test.features.nrows()), (120, 30));
    let mut dealt: Vec<String> = train
        .features
        .rows()
        .into_iter()
        .chain(test.features.rows())
        .map(|row| row.to_string())
        .collect();
    let mut all: Vec<String> =
        iris.features.rows().into_iter().map(|row| row.to_string()).collect();
    dealt.sort();
    all.sort();
    assert_eq!(dealt, all);
    // Each row still has its own class.
    for (row, target) in test.features.rows().into_iter().zip(&test.targets) {
        let found = iris
            .features
            .rows()
            .into_iter()
            .zip(&iris.targets)
            .any(|(r, t)| r == row && t == target);
        assert!(found);
    }
    assert_eq!(iris.split(30, &mut rng(3)).1, test);
    assert_ne!(iris.split(30, &mut rng(4)).1, test);
}

#[test]
fn a_split_may_leave_one_side_without_rows() {
    let mut rng = rng(0);
    for (test_len, train_len) in [(0, 150), (150, 0)] {
        let (train, test) = iris().split(test_len, &mut rng);
        assert_eq!((train.len(), test.len()), (train_len, test_len));
        assert_eq!((train.is_empty(), test.is_empty()), (train_len == 0, test_len == 0));
        assert_eq!((train.features.dim(), test.features.dim()), ((train_len, 4), (test_len, 4)));
    }
}

#[test]
#[should_panic(expected = "split: expected at most 150 test rows, got 151")]
fn panics_when_the_test_set_is_too_large() {
    let _ = iris().split(151, &mut rng(0));
}

#[test]
fn the_standardizer_uses_only_what_it_was_fitted_to() {
    let (train, test) = (array![[1.0, 5.0], [3.0, 5.0]], array![[5.0, 6.0]]);
    let standardizer = Standardizer::fit(&train);
    assert_eq!(standardizer.apply(&train), array![[-1.0, 0.0], [1.0, 0.0]]);
    assert_eq!(standardizer.apply(&test), array![[3.0, 1.0]]); // a constant column has sd 1, not 0
}

#[test]
fn iris_keeps_its_names() {
    let iris = iris();
    assert_eq!(iris.class_names, ["setosa", "versicolor", "virginica"]);
    assert_eq!(iris.feature_names[1], "sepal width (cm)");
    assert_eq!((iris.feature_names.len(), iris.len(), iris.is_empty()), (4, 150, false));
    assert_eq!((iris.targets[0], iris.targets[50], iris.targets[149]), (0, 1, 2));
}

#[test]
fn digits_holds_the_test_part_of_the_uci_set() {
    let digits = digits();
    assert_eq!(digits.features.dim(), (1797, 64));
    assert_eq!(digits.class_names, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let mut counts = [0; 10];
    for &target in &digits.targets {
        counts[target] += 1;
    }
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert_eq!(digits.targets[..11], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]);
    assert_eq!(digits.features.sum(), 561_718.0);
    assert!(digits.features.iter().all(|x| (0.0..=16.0).contains(x) && x.fract() == 0.0));
    assert_eq!(
        (digits.feature_names[0].as_str(), digits.feature_names[63].as_str()),
        ("p00", "p77")
    );
}

#[test]
fn three_pixels_of_the_digits_are_always_zero_and_no_others_are_constant() {
    let digits = digits();
    let sd = digits.features.std_axis(Axis(0), 0.0);
    let constant: Vec<usize> = (0..64).filter(|&pixel| sd[pixel] == 0.0).collect();
    assert_eq!(constant, [0, 32, 39]);
    assert!(constant.iter().all(|&pixel| digits.features.column(pixel).iter().all(|&x| x == 0.0)));
    let standardized = Standardizer::fit(&digits.features).apply(&digits.features);
    assert!(standardized.iter().all(|x| x.is_finite()));
    assert!(standardized.column(39).iter().all(|&x| x == 0.0));
}

#[test]
fn the_embedded_files_are_those_of_their_origin() {
    // The sizes that src/datasets/ORIGIN.md gives beside the checksums; a checkout that changed the
    // line ends would change them.
    let origin = include_str!("../src/datasets/ORIGIN.md");
    for (name, bytes) in [
        ("iris.csv", include_bytes!("../src/datasets/iris.csv").as_slice()),
        ("digits.csv", include_bytes!("../src/datasets/digits.csv").as_slice()),
    ] {
        let row = format!("| `{name}` | {} |", bytes.len());
        assert!(origin.contains(&row), "{row}");
    }
}

#[test]
fn a_table_from_outside_numbers_its_classes_in_alphabetical_order() {
    let table = "\u{feff}a, b ,kind\r\n 1 ,-2.5e3,\"x, y\"\r\n\r\n0,+4, b\r\n";
    let data = Dataset::from_csv(table.as_bytes()).unwrap();
    assert_eq!(data.features, array![[1.0, -2500.0], [0.0, 4.0]]);
    assert_eq!(data.feature_names, ["a", "b"]);
    assert_eq!(data.class_names, ["b", "x, y"]);
    assert_eq!(data.targets, [1, 0]);
}

#[test]
fn a_table_that_is_wrong_is_an_error_with_line_and_column() {
    let error = |table: &str| Dataset::from_csv(table.as_bytes()).unwrap_err();
    let says = |table: &str, message: &str| assert_eq!(error(table).to_string(), message);
    for field in ["", "?", "NaN", "inf", "-Infinity", "1e999", "1.5 cm", "0x10"] {
        for end in ["\n", "\r\n"] {
            let table = ["\u{feff}a,b,kind", "1,2,x", "", &format!("3,{field},y")].join(end);
            let message = "line 4, column 2 (b): expected a finite number, got";
            says(&table, &format!("{message} {field:?}"));
        }
    }
    says("a,b,kind\n1,2,x\n1,2\n", "line 3: expected 3 fields, got 2");
    says("a,b,kind\n1,2,x,y\n", "line 2: expected 3 fields, got 4");
    says("a,kind\n1,x\n2,\n", "line 3, column 2 (kind): expected a class, got nothing");
    says("a,kind\n", "expected at least one row after the header, got none");
    says("kind\nx\n", "line 1: expected a header of at least two columns, got 1");
    says("", "line 1: expected a header of at least two columns, got 0");
    let not_text = Dataset::from_csv(b"a,kind\n1,\xff\n".as_slice()).unwrap_err();
    assert_eq!(not_text.to_string(), "line 2: expected text in UTF-8, got other bytes");
    let folder = std::fs::File::open(env!("CARGO_MANIFEST_DIR")).unwrap();
    assert!(matches!(Dataset::from_csv(folder).unwrap_err(), TableError::Unreadable(_)));
}

#[test]
fn the_standardizer_refuses_another_number_of_columns_and_no_rows() {
    let standardizer = Standardizer::fit(&array![[1.0, 2.0]]);
    let (message, file) = panic_of(|| standardizer.apply(&array![[1.0]]));
    assert_eq!(message, "Standardizer: expected 2 columns, got 1");
    assert!(file.contains("tests"), "{file}");
    let (message, _) = panic_of(|| Standardizer::fit(&ndarray::Array2::zeros((0, 3))));
    assert_eq!(message, "Standardizer: expected at least one row, got none");
}
