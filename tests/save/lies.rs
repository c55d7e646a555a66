//! Headers that are not true, or not what they should be. Page: `book/src/tensor.md`.

use std::fs;

use evenkeel::{LoadError, Named, Tensor, load, named};
use ndarray::{Array1, array};
use proptest::prelude::*;

use super::{file_in, file_of, refused};
use crate::common::{normal, panics};

fn file(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}

/// What `load` says about a file with this header and so many bytes of data, asked for `a`: `[2]`.
fn says(header: impl AsRef<[u8]>, length: usize) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    fs::write(&path, file(header.as_ref(), &vec![0; length])).unwrap();
    let (error, message) = refused(&path, &mut [("a", normal(&[2], 1))]);
    assert!(matches!(error, LoadError::NotSafetensors { .. }), "{error:?}");
    message.strip_prefix("not a whole safetensors file: ").unwrap().to_owned()
}

fn entry(name: &str, shape: &str, offsets: &str) -> String {
    format!(r#""{name}":{{"dtype":"F64","shape":{shape},"data_offsets":{offsets}}}"#)
}

fn header(entries: &[String]) -> String {
    format!("{{{}}}", entries.join(","))
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let a = |offsets| entry("a", "[2]", offsets);
    for second in ["[16,32]", "[0,16]"] {
        let (header, length) = (header(&[a("[0,16]"), a(second)]), 32);
        assert_eq!(says(&header, length), "the header names `a` twice");
        assert_eq!(says(&header, 16), "the header names `a` twice");
    }
    // The same name, written in another way.
    let escaped = entry("\\u0061", "[2]", "[16,32]");
    assert_eq!(says(header(&[a("[0,16]"), escaped]), 32), "the header names `a` twice");
    let metadata = r#""__metadata__":{"by":"me"}"#.to_owned();
    let twice = header(&[metadata.clone(), a("[0,16]"), metadata]);
    assert_eq!(says(twice, 16), "the header names `__metadata__` twice");
    let field = r#"{"a":{"dtype":"F64","shape":[2],"shape":[2],"data_offsets":[0,16]}}"#;
    assert_eq!(says(field, 16), "`a`: duplicate field `shape`");
}

#[test]
fn offsets_and_shapes_must_fit() {
    let max = u64::MAX;
    for (shape, offsets, length, message) in [
        ("[2]", "[0,15]", 15, "`a`: expected 16 bytes for F64 of shape [2], got offsets [0, 15]"),
        ("[2]", "[0,24]", 24, "`a`: expected 16 bytes for F64 of shape [2], got offsets [0, 24]"),
        ("[3]", "[0,16]", 16, "`a`: expected 24 bytes for F64 of shape [3], got offsets [0, 16]"),
        ("[]", "[0,0]", 0, "`a`: expected 8 bytes for F64 of shape [], got offsets [0, 0]"),
        ("[0]", "[0,8]", 8, "`a`: expected 0 bytes for F64 of shape [0], got offsets [0, 8]"),
        ("[2]", "[8,24]", 24, "`a`: expected data from byte 0 on, got 8"),
        ("[2]", "[16,0]", 16, "`a`: expected data from byte 0 on, got 16"),
        ("[2]", "[0,16]", 15, "expected 16 bytes of data after the header, got 15"),
        ("[2]", "[0,16]", 17, "expected 16 bytes of data after the header, got 17"),
    ] {
        assert_eq!(says(header(&[entry("a", shape, offsets)]), length), message);
    }
    for shape in [
        format!("[{max}]"),
        format!("[{max},{max}]"),
        "[4294967296,4294967296]".into(),
        format!("[{}]", 1u64 << 61),
        format!("[{max},2,0]"),
    ] {
        let message = says(header(&[entry("a", &shape, "[0,16]")]), 16);
        let shape = shape.replace(',', ", ");
        assert_eq!(message, format!("`a`: no number of bytes holds F64 of shape {shape}"));
    }
    let halves = r#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}"#;
    assert_eq!(says(halves, 2), "`a`: no number of bytes holds F4 of shape [3]");
}

#[test]
fn tensors_lie_one_after_the_other() {
    let with = |a, b| header(&[entry("b", "[2]", b), entry("a", "[2]", a)]);
    for (a, b, length, message) in [
        ("[0,16]", "[16,32]", 24, "expected 32 bytes of data after the header, got 24"),
        ("[0,16]", "[8,24]", 24, "`b`: expected data from byte 16 on, got 8"),
        ("[0,16]", "[0,16]", 16, "`b`: expected data from byte 16 on, got 0"),
        ("[0,16]", "[24,40]", 40, "`b`: expected data from byte 16 on, got 24"),
        ("[16,32]", "[0,16]", 33, "expected 32 bytes of data after the header, got 33"),
    ] {
        assert_eq!(says(with(a, b), length), message);
    }
}

#[test]
fn numbers_at_the_end_of_what_a_length_can_be_are_errors() {
    let (max, eighth) = (u64::MAX, (u64::MAX / 16) * 8);
    for (shape, offsets) in [
        ("[2]".into(), format!("[{},{max}]", max - 15)),
        ("[2]".into(), format!("[{max},{max}]")),
        ("[2]".into(), format!("[{max},0]")),
        (format!("[{}]", eighth / 8), format!("[0,{eighth}]")),
        ("[2]".into(), format!("[0,{max}]")),
        ("[2]".into(), format!("[0,{max}0]")), // no u64
        (format!("[{max}0]"), "[0,16]".into()),
        ("[-2]".into(), "[0,16]".into()),
        ("[2.0]".into(), "[0,16]".into()),
        ("[2]".into(), "[-1,15]".into()),
        ("[2]".into(), "[0]".into()),
        ("[2]".into(), "[0,8,16]".into()),
    ] {
        says(header(&[entry("a", &shape, &offsets)]), 16);
    }
    // One after the other, up to the last address, and one more.
    let each = (1u64 << 61) - 8;
    let mut entries: Vec<String> = (0..8)
        .map(|i| {
            entry(
                &format!("t{i}"),
                &format!("[{}]", each / 8),
                &format!("[{},{}]", i * each, (i + 1) * each),
            )
        })
        .collect();
    entries.push(entry("a", "[8]", &format!("[{},{}]", 8 * each, max)));
    says(header(&entries), 16);
}

#[test]
fn what_is_no_header_is_an_error() {
    let good = header(&[entry("a", "[2]", "[0,16]")]);
    for (bad, message) in [
        (String::new(), "the header, byte 0: expected `{`, got its end"),
        ("[]".into(), "the header, byte 0: expected `{`, got '['"),
        ("{".into(), "the header, byte 1: expected a value, got its end"),
        ("{} {}".into(), "the header, byte 3: expected nothing more, got '{'"),
        ("{\"a\"}".into(), "the header, byte 4: expected `:`, got '}'"),
        ("{\"a\":}".into(), "the header, near byte 5: expected value"),
        ("{\"a\":5}".into(), "`a`: invalid type: integer `5`, expected struct TensorInfo"),
        ("{\"a\":null}".into(), "`a`: invalid type: null, expected struct TensorInfo"),
        ("{\"a\":{}}".into(), "`a`: missing field `dtype`"),
        ("{5:{}}".into(), "the header, near byte 2: invalid type: integer `5`, expected a string"),
        (good.replace("F64", "float"), "`a`: unknown variant `float`, expected"),
        (good.replace("}}", "}"), "the header, byte 54: expected `}`, got its end"),
        (good.replace("}}", "},}"), "the header, near byte 55: expected value"),
        (good.replace("}}", "}}x"), "the header, byte 55: expected nothing more, got 'x'"),
        (format!("{{{}", "[".repeat(100_000)), "the header, near byte 1: recursion limit exceeded"),
        (
            format!("{{\"a\":{}", "{\"a\":".repeat(100_000)),
            "the header, near byte 5: recursion limit exceeded",
        ),
        (
            "{\"__metadata__\":5}".into(),
            "`__metadata__`: invalid type: integer `5`, expected a map",
        ),
        ("{\"__metadata__\":null}".into(), "`__metadata__`: invalid type: null, expected a map"),
        (
            "{\"__metadata__\":{\"a\":5}}".into(),
            "`__metadata__`: invalid type: integer `5`, expected a string",
        ),
        (
            "{\"__metadata__\":{\"a\":[\"b\"]}}".into(),
            "`__metadata__`: invalid type: sequence, expected a string",
        ),
    ] {
        let got = says(&bad, 16);
        assert!(got.starts_with(message), "{bad:.99}: {got}");
    }
    assert!(says(b"{\"\xff\":{}}", 0).starts_with("the header: invalid utf-8 sequence"));
    assert!(says(b"\xff\xfe{\0}\0", 0).starts_with("the header: invalid utf-8 sequence"));

    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    for (length, bytes) in [(100, 50), (u64::MAX, 50), (u64::MAX - 7, 50), (1 << 63, 50), (51, 50)]
    {
        fs::write(&path, [&length.to_le_bytes()[..], &vec![b' '; bytes]].concat()).unwrap();
        let (_, message) = refused(&path, &mut [("a", normal(&[2], 1))]);
        let expected = format!("expected a header of {length} bytes, got {bytes}");
        assert_eq!(message, format!("not a whole safetensors file: {expected}"));
    }
}

#[test]
fn what_others_write_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    let (a, none) = (entry("a", "[2]", "[16,32]"), entry("none", "[0,3]", "[16,16]"));
    let b = entry("b", "[1,2]", "[0,16]");
    let metadata = r#""__metadata__":{"format":"pt","ünïcode":"\u00e9 \" } ,"}"#.to_owned();
    let header = format!(" {} \n\t ", header(&[a, metadata, none, b]).replace(':', " :\r\n "));
    let data = [1.0f64, 2.0, 3.0, 4.0].map(f64::to_le_bytes).concat();
    fs::write(&path, file(header.as_bytes(), &data)).unwrap();
    let mut tensors = [normal(&[2], 1), normal(&[0, 3], 2), normal(&[1, 2], 3)];
    load(&path, ["a", "none", "b"].into_iter().zip(&mut tensors).collect::<Named>()).unwrap();
    assert_eq!(tensors[0], Tensor::new(array![3.0, 4.0]));
    assert_eq!(tensors[2], Tensor::new(array![[1.0, 2.0]]));

    fs::write(&path, file(b"{}", &[])).unwrap(); // no tensors
    load::<f64>(&path, named([])).unwrap();
}

#[test]
fn integers_without_a_number_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    for (kind, shape) in [("I64", "[0]"), ("I64", "[0,3]"), ("I32", "[0]"), ("F32", "[0]")] {
        fs::write(&path, file_of(kind, shape, &[])).unwrap();
        let shape: &[usize] = if shape == "[0]" { &[0] } else { &[0, 3] };
        let (error, message) = refused(&path, &mut [("n", normal(shape, 1))]);
        assert_eq!(message, format!("`n`: expected element type F64, got {kind}"));
        assert!(matches!(error, LoadError::ElementType { .. }));
        let (_, message) = refused(&path, &mut [("n", normal(&[], 1))]);
        assert_eq!(message, format!("`n`: expected shape [], got {shape:?}"));
    }
    fs::write(&path, file_of("I64", "[0]", &[])).unwrap();
    let mut n = Tensor::<f32>::new(Array1::zeros(0));
    let message = load(&path, named([("n", &mut n)])).unwrap_err().to_string();
    assert!(message.ends_with("`n`: expected element type F32, got I64"), "{message}");
}

/// Pieces that headers are made of.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        " ",
        "0",
        "1",
        "16",
        "18446744073709551615",
        "-1",
        "\"a\"",
        "\"b\"",
        "\"__metadata__\"",
        "\"dtype\"",
        "\"F64\"",
        "\"F4\"",
        "\"I64\"",
        "\"shape\"",
        "\"data_offsets\"",
        "[0,16]",
        "[2]",
        "{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}",
        "null",
        "é",
    ])
}

#[test]
fn no_header_makes_it_panic_not_even_inside() {
    // A panic that is caught again is seen all the same.
    let before = panics::seen();
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    let number =
        prop_oneof![0..33u64, Just(u64::MAX), Just(u64::MAX - 15), Just(1 << 61), any::<u64>()];
    let numbers = prop::collection::vec((number.clone(), number.clone(), number), 1..5);
    proptest!(|(pieces in prop::collection::vec(piece(), 0..12), numbers in numbers)| {
        let entries: Vec<String> = (0..).zip(&numbers).map(|(i, (shape, start, end))| {
            entry(&format!("t{i}"), &format!("[{shape}]"), &format!("[{start},{end}]"))
        }).collect();
        for header in [pieces.concat(), header(&entries)] {
            fs::write(&path, file(header.as_bytes(), &[0; 16])).unwrap();
            let _ = load(&path, named([("a", &mut normal(&[2], 1))]));
        }
    });
    super::lengths_made_up_to_overflow_are_an_error();
    assert_eq!(panics::seen(), before);
}
