//! Tables as the world writes them: quotes, line ends, no header. Page: `book/src/iris.md`.

use std::io::Read;

use evenkeel::datasets::{Dataset, TableError};
use ndarray::array;
use proptest::prelude::*;

fn read(table: &str) -> Result<Dataset, TableError> {
    Dataset::from_csv(table.as_bytes())
}

#[track_caller]
fn says(table: &str, message: &str) {
    assert_eq!(read(table).unwrap_err().to_string(), message, "{table:?}");
}

/// The three ways to end a line: Unix, Windows, and the old Macintosh.
const ENDS: [&str; 3] = ["\n", "\r\n", "\r"];

const QUOTE: &str = "expected a quote to open right after the comma and to close in its line";

#[test]
fn a_quote_that_does_not_close_is_refused_with_its_line() {
    for end in ENDS {
        let lines = |lines: &[&str]| lines.join(end);
        // In the middle, and a later line has none; a later quote closes it; two lines later.
        let middle = lines(&["a,b,kind", "1,2,x", "3,4,\"y", "5,6,x", "7,8,y", ""]);
        says(&middle, &format!("line 3, column 3: {QUOTE}"));
        let closed_later = lines(&["a,b,kind", "1,2,x", "3,4,\"y", "5,6,x", "7,8,\"y", ""]);
        says(&closed_later, &format!("line 3, column 3: {QUOTE}"));
        let feature = lines(&["a,b,kind", "1,\"2,x", "3,4,y", ""]);
        says(&feature, &format!("line 2, column 2: {QUOTE}"));
        // On the last line, with and without an end of line; and nothing after the quote.
        for last in ["3,4,\"y", "3,4,\"", "3,4,\"y\"\"", "3,4,\"y,z", "3,4,\"y  ", "3,4,\"  "] {
            for tail in [&[][..], &[""], &["", ""], &["", "  ", ""]] {
                let table = lines(&[&["a,b,kind", "1,2,x", last], tail].concat());
                says(&table, &format!("line 3, column 3: {QUOTE}"));
            }
        }
        // In the header, which has no names yet.
        for (header, column) in [("\"a,b,kind", 1), ("a,\"b,kind", 2), ("a,b,\"kind", 3)] {
            for tail in [&[][..], &[""], &["1,2,x", "3,4,y", ""], &["1,2,\"x", "3,4,y"]] {
                let table = lines(&[&[header], tail].concat());
                says(&table, &format!("line 1, column {column}: {QUOTE}"));
            }
        }
        // A quote that closes, in a later line: the field would hold the end of a line.
        says(&lines(&["a,kind", "1,\"x", "y\"", "2,z"]), &format!("line 2, column 2: {QUOTE}"));
        // Also where what it holds of the next line is nothing but an end or spaces.
        says(&lines(&["a,kind", "1,\"x", "\"", "2,z"]), &format!("line 2, column 2: {QUOTE}"));
        says(&lines(&["a,kind", "\"", "1\",x"]), &format!("line 2, column 1: {QUOTE}"));
        // After a space it would be a letter like any other, and the class another class.
        says(&lines(&["a,kind", "1,x", "2, \"y"]), &format!("line 3, column 2: {QUOTE}"));
        says(&lines(&["a,kind", "1,x", "2, \"x\""]), &format!("line 3, column 2: {QUOTE}"));
    }
}

#[test]
fn a_quote_that_closes_in_its_line_is_fine() {
    for end in ENDS {
        for tail in ["", end] {
            let lines = [
                "\"a\",\" b\",\"the \"\"kind\"\"\"",
                "\"1\",\" 2 \",\"x, y\"",
                "3,4,\"\"\"z\"\"\"",
            ];
            let data = read(&(lines.join(end) + tail)).unwrap();
            assert_eq!(data.features, array![[1.0, 2.0], [3.0, 4.0]]);
            assert_eq!(data.feature_names, ["a", "b"]);
            assert_eq!(data.class_names, ["\"z\"", "x, y"]);
            assert_eq!(data.targets, [1, 0]);
        }
    }
    // A quote that does not open a field is a letter like any other.
    let inches = read("a,kind\n1,5\" pipe\n2,3\" pipe\n").unwrap();
    assert_eq!(inches.class_names, ["3\" pipe", "5\" pipe"]);
}

#[test]
fn every_kind_of_line_end_counts_as_one_in_every_error() {
    for end in ENDS {
        let lines = |lines: &[&str]| lines.join(end);
        says(
            &lines(&["a,kind", "1,x", "?,y", "2,z"]),
            "line 3, column 1 (a): expected a finite number, got \"?\"",
        );
        says(&lines(&["a,kind", "", "1,x", "", "", "2"]), "line 6: expected 2 fields, got 1");
        says(
            &lines(&["a,kind", "1,x", "2,"]),
            "line 3, column 2 (kind): expected a class, got nothing",
        );
        says(
            &lines(&["", "", "kind", "x"]),
            "line 3: expected a header of at least two columns, got 1",
        );
        let text = lines(&["a,kind", "1,x", "", "2,"]);
        let not_text = Dataset::from_csv([text.as_bytes(), b"\xff"].concat().as_slice());
        assert_eq!(
            not_text.unwrap_err().to_string(),
            "line 4: expected text in UTF-8, got other bytes"
        );
    }
    // All three in one file.
    says(
        "a,kind\r1,x\r\n2,y\n\r\n\r?,z",
        "line 6, column 1 (a): expected a finite number, got \"?\"",
    );
    says("", "line 1: expected a header of at least two columns, got 0");
    says("\n\r\n\r", "line 1: expected a header of at least two columns, got 0");
    // A line of nothing but spaces is a line with one field.
    says("a,kind\r1,x\r  \r", "line 3: expected 2 fields, got 1");
}

#[test]
fn a_table_without_a_header_is_refused() {
    let flowers = "5.1,3.5,setosa\n7.0,3.2,versicolor\n6.3,3.3,virginica\n";
    says(flowers, "line 1, column 1: expected a header that names the columns, got the number 5.1");
    // Also where it is not the first column, in quotes, after empty lines, and written otherwise.
    says(
        "id,3.5,x\n",
        "line 1, column 2: expected a header that names the columns, got the number 3.5",
    );
    for number in ["0", "-1", "+4", ".5", "5.", "1e3", "\"7\"", " 7 "] {
        let got = number.trim_matches(['"', ' ']);
        says(
            &format!("\n{number},kind\n1,x\n"),
            &format!(
                "line 2, column 1: expected a header that names the columns, got the number {got}"
            ),
        );
    }
    let error = read(flowers).unwrap_err();
    assert!(matches!(error, TableError::NoHeader { line: 1, column: 1, .. }));

    // The last column is no feature: classes by a number have a name that may be one.
    assert_eq!(read("a,2020\n1,x\n").unwrap().feature_names, ["a"]);
    // What is no finite number is a name.
    for name in ["x1", "p00", "1st", "nan", "inf", "1e999", "0x10", "5.1 cm", ""] {
        assert_eq!(read(&format!("{name},kind\n1,x\n")).unwrap().feature_names, [name]);
    }

    let with_header = "length,width,kind\n".as_bytes().chain(flowers.as_bytes());
    assert_eq!(Dataset::from_csv(with_header).unwrap().len(), 3);
}

fn classes(labels: &[&str]) -> (Vec<String>, Vec<usize>) {
    let rows: String = labels.iter().map(|label| format!("1,{label}\n")).collect();
    let data = read(&format!("a,kind\n{rows}")).unwrap();
    for (label, &target) in labels.iter().zip(&data.targets) {
        assert_eq!(&data.class_names[target], label);
    }
    (data.class_names, data.targets)
}

#[test]
fn classes_that_are_all_numbers_are_numbered_in_their_order() {
    let labels: Vec<String> = (0..=11).rev().map(|label| label.to_string()).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let (names, targets) = classes(&labels);
    assert_eq!(names, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
    assert_eq!(targets, (0..=11).rev().collect::<Vec<_>>());

    assert_eq!(classes(&["10", "2", "2", "10"]), (vec!["2".into(), "10".into()], vec![1, 0, 0, 1]));
    assert_eq!(classes(&["1", "-1", "0.5", "1e1"]).0, ["-1", "0.5", "1", "1e1"]);
    // The same number written in another way is another class: by number, and then by text.
    assert_eq!(classes(&["1.0", "2", "1", "01", "1"]).0, ["01", "1", "1.0", "2"]);
    assert_eq!(classes(&["-0", "1", "0", "+0"]).0, ["+0", "-0", "0", "1"]);
    // One that is no finite number, and all are words.
    assert_eq!(classes(&["10", "2", "x"]).0, ["10", "2", "x"]);
    for word in ["NaN", "inf", "1e999", "2 cm"] {
        let mut words = ["10", "2", word];
        words.sort_unstable();
        assert_eq!(classes(&["2", word, "10"]).0, words);
    }
    assert_eq!(classes(&["b", "B", "a", "ä"]).0, ["B", "a", "b", "ä"]);
}

#[test]
fn a_large_data_set_prints_short() {
    let many: String = (0..100_000).map(|row| format!("{row},kind {row}\n")).collect();
    let mut data = read(&format!("a,kind\n{many}")).unwrap();
    data.feature_names = (0..100_000).map(|column| format!("feature {column}")).collect();
    for text in [format!("{data:?}"), format!("{data:#?}")] {
        assert!(text.len() < 4000, "{} bytes: {text}", text.len());
        for part in [
            "features: [[0.0],",
            "targets: [0, ",
            "99999",
            "kind 0",
            "feature 0",
            "shape=[100000, 1]",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    // Names are left out from the 101st on, and only between the first five and the last.
    for (columns, names) in [
        (100, (0..100).map(|i| format!("\"f{i}\"")).collect::<Vec<_>>().join(", ")),
        (101, r#""f0", "f1", "f2", "f3", "f4", ... 95 more ..., "f100""#.into()),
        (107, r#""f0", "f1", "f2", "f3", "f4", ... 101 more ..., "f106""#.into()),
    ] {
        data.feature_names = (0..columns).map(|column| format!("f{column}")).collect();
        let text = format!("{data:?}");
        assert!(text.contains(&format!("feature_names: [{names}]")), "{names}: {text}");
    }
    // A small one is there whole.
    let small = read("a,b,kind\n1,2,x\n3,4,y\n5,6,x\n").unwrap();
    let text = format!("{small:?}");
    for part in
        ["[5.0, 6.0]", "targets: [0, 1, 0]", "[\"a\", \"b\"]", "class_names: [\"x\", \"y\"]"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn no_text_makes_it_panic(text in "[,\"\r\n1.a ]{0,40}", header in prop_oneof![Just(""), Just("a,k\n"), Just("a,b,k\r")]) {
        if let Ok(data) = read(&format!("{header}{text}")) {
            // What was taken is whole: one line per row, and no end of a line in any name.
            prop_assert_eq!(data.features.dim(), (data.targets.len(), data.feature_names.len()));
            prop_assert!(data.targets.iter().all(|&target| target < data.class_names.len()));
            let names = data.class_names.iter().chain(&data.feature_names);
            prop_assert!(names.into_iter().all(|name| !name.contains(['\r', '\n']) && name == name.trim()));
            let lines = text.split(['\r', '\n']).filter(|line| !line.is_empty()).count();
            prop_assert_eq!(data.len() + usize::from(header.is_empty()), lines);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = Dataset::from_csv(bytes.as_slice());
        let _ = Dataset::from_csv(b"a,k\n".as_slice().chain(bytes.as_slice()));
    }
}
