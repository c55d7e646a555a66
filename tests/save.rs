//! Saving and loading. Page: `book/src/tensor.md`.

mod batch_norm;
mod in_python;
mod lies;
mod on_disk;

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{normal, panic_of};
use evenkeel::{Adam, LoadError, Named, SaveError, Tensor, load, named, save};
use ndarray::{Array, array};
use proptest::prelude::*;
use tempfile::TempDir;

fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("model.safetensors")
}

/// What `load` says about the file when asked for these tensors; they must not change.
fn refused(path: &Path, tensors: &mut [(&str, Tensor)]) -> (LoadError, String) {
    let before = tensors.to_vec();
    let pairs = tensors.iter_mut().map(|(name, tensor)| (*name, tensor));
    let error = load(path, pairs.collect::<Named>()).unwrap_err();
    assert_eq!(tensors, before);
    let message = error.to_string();
    let message = message.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned();
    (error, message)
}

#[test]
fn what_is_saved_comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    let odd = array![0.1, -0.0, f64::MIN_POSITIVE / 8.0, f64::MAX, f64::INFINITY, f64::NAN];
    let tensors = [
        ("odd", Tensor::new(odd.clone())),
        ("scalar", Tensor::new(ndarray::arr0(3.0))),
        ("empty", Tensor::new(ndarray::Array2::zeros((0, 3)))),
        ("rank 4", normal(&[2, 3, 1, 5], 1)),
        ("ünïcode \"quoted\"\n", normal(&[2], 2)),
    ];
    let mut saved = tensors.clone();
    save(&path, saved.iter_mut().map(|(name, tensor)| (*name, tensor)).collect::<Named>()).unwrap();
    let mut back = tensors.clone().map(|(name, tensor)| (name, &tensor * 0.0 + 7.0));
    load(&path, back.iter_mut().map(|(name, tensor)| (*name, tensor)).collect::<Named>()).unwrap();
    for ((_, saved), (_, loaded)) in tensors.iter().zip(&back) {
        assert_eq!(saved.shape(), loaded.shape());
        let bits = |tensor: &Tensor| tensor.value().map(|x| x.to_bits());
        assert_eq!(bits(saved), bits(loaded));
    }

    let saved = odd.map(|&x| x as f32);
    save(&path, named([("odd", &mut Tensor::new(saved.view()))])).unwrap();
    let mut loaded = Tensor::<f32>::new(Array::zeros(6));
    load(&path, named([("odd", &mut loaded)])).unwrap();
    assert_eq!(saved.map(|x| x.to_bits()).into_dyn(), loaded.value().map(|x| x.to_bits()));
}

#[test]
fn the_same_tensors_give_the_same_file_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut a, mut b) = (normal(&[3], 1), normal(&[2, 2], 2));
    let bytes = |tensors: Named| {
        save(file_in(&folder), tensors).unwrap();
        fs::read(file_in(&folder)).unwrap()
    };
    let one = bytes(named([("a", &mut a), ("b", &mut b)]));
    assert_eq!(one, bytes(named([("b", &mut b), ("a", &mut a)])));
}

#[test]
fn a_loaded_parameter_is_the_same_parameter() {
    let folder = tempfile::tempdir().unwrap();
    save(file_in(&folder), named([("w", &mut Tensor::new(array![5.0, 6.0]))])).unwrap();
    let mut w = Tensor::parameter(array![1.0, 2.0]);
    let mut adam = Adam::new(0.1);
    let gradients = w.sum().backward();
    adam.step([&mut w], &gradients);
    let handle = w.clone();

    load(file_in(&folder), named([("w", &mut w)])).unwrap();
    assert_eq!(w, Tensor::new(array![5.0, 6.0]));
    assert!(w.is_parameter());
    assert!(gradients.get(&w).is_some() && adam.moments(&w).is_some());
    assert_eq!(handle, Tensor::new(array![0.9, 1.9].map(|x: &f64| x + 1e-9))); // the old numbers
    let mut constant = Tensor::new(array![0.0, 0.0]);
    load(file_in(&folder), named([("w", &mut constant)])).unwrap();
    assert!(!constant.is_parameter());
}

#[test]
fn names_that_are_missing_or_not_asked_for_are_all_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    let (a, b) = (normal(&[2], 1), normal(&[3], 2));
    save(&path, named([("a", &mut a.clone()), ("l1.b", &mut b.clone()), ("l1.w", &mut b.clone())]))
        .unwrap();
    let (error, message) =
        refused(&path, &mut [("a", b.clone()), ("l1.weight", b.clone()), ("l1.bias", b.clone())]);
    assert_eq!(message, r#"missing ["l1.bias", "l1.weight"], not asked for ["l1.b", "l1.w"]"#);
    assert!(matches!(error, LoadError::Names { .. }));
    let (_, message) = refused(&path, &mut [("a", a), ("l1.b", b.clone())]);
    assert_eq!(message, r#"missing [], not asked for ["l1.w"]"#);
}

#[test]
fn another_shape_is_refused_and_nothing_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    save(&path, named([("a", &mut normal(&[2], 1)), ("w", &mut normal(&[2, 3], 2))])).unwrap();
    for shape in [&[3, 2][..], &[6], &[2, 3, 1]] {
        let (error, message) =
            refused(&path, &mut [("a", normal(&[2], 3)), ("w", normal(shape, 4))]);
        assert_eq!(message, format!("`w`: expected shape {shape:?}, got [2, 3]"));
        assert!(matches!(error, LoadError::Shape { name, .. } if name == "w"));
    }
}

#[test]
fn another_element_type_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    save(&path, named([("w", &mut Tensor::<f32>::new(array![1.0, 2.0]))])).unwrap();
    let (error, message) = refused(&path, &mut [("w", normal(&[2], 1))]);
    assert_eq!(message, "`w`: expected element type F64, got F32");
    assert!(matches!(error, LoadError::ElementType { .. }));

    save(&path, named([("w", &mut normal(&[2], 1))])).unwrap();
    let mut w = Tensor::<f32>::new(array![1.0, 2.0]);
    let message = load(&path, named([("w", &mut w)])).unwrap_err().to_string();
    assert!(message.ends_with("`w`: expected element type F32, got F64"), "{message}");
}

/// A safetensors file with one tensor of the given type.
fn file_of(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!(
        r#"{{"n":{{"dtype":"{kind}","shape":{shape},"data_offsets":[0,{}]}}}}"#,
        data.len()
    );
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

#[test]
fn pytorchs_count_of_batches_is_taken_where_it_fits_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    let scalar = || Tensor::new(ndarray::arr0(0.0));
    for (count, fits_f32, fits_f64) in [
        (3, true, true),
        (0, true, true),
        (-7, true, true),
        ((1 << 24) - 1, true, true),
        ((1 << 24) + 1, false, true),
        ((1 << 53) - 1, false, true),
        ((1 << 53) + 1, false, false),
        (i64::MAX, false, false),
        (i64::MIN, false, false),
    ] {
        fs::write(&path, file_of("I64", "[]", &i64::to_le_bytes(count))).unwrap();
        let mut n = scalar();
        assert_eq!(load(&path, named([("n", &mut n)])).is_ok(), fits_f64, "{count}");
        assert_eq!(n.item(), if fits_f64 { count as f64 } else { 0.0 });
        let mut n = Tensor::<f32>::new(ndarray::arr0(0.0));
        // 2²⁴ + 1 is the first integer that an f32 does not hold.
        let loaded = load(&path, named([("n", &mut n)])).is_ok();
        assert_eq!(loaded, fits_f32, "{count}");
    }
    fs::write(&path, file_of("I64", "[2]", &[0; 16])).unwrap();
    let (_, message) = refused(&path, &mut [("n", normal(&[2], 1))]);
    assert_eq!(message, "`n`: expected element type F64, got I64");
    fs::write(&path, file_of("BF16", "[]", &[0; 2])).unwrap();
    let (_, message) = refused(&path, &mut [("n", scalar())]);
    assert_eq!(message, "`n`: expected element type F64, got BF16");
}

#[test]
fn a_file_that_is_not_there_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let (error, _) = refused(&folder.path().join("nowhere"), &mut [("a", normal(&[2], 1))]);
    assert!(matches!(error, LoadError::Read { .. }));
    let (error, _) = refused(folder.path(), &mut [("a", normal(&[2], 1))]); // a folder
    assert!(matches!(error, LoadError::Read { .. }));
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    save(&path, named([("a", &mut normal(&[2], 1)), ("b", &mut normal(&[2, 3], 2))])).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let mut tensors = [("a", normal(&[2], 3)), ("b", normal(&[2, 3], 4))];
        let (error, message) = refused(&path, &mut tensors);
        assert!(matches!(error, LoadError::NotSafetensors { .. }));
        assert!(message.starts_with("not a whole safetensors file: "), "{message}");
    }
    fs::write(&path, [whole, vec![0]].concat()).unwrap(); // nor with a byte too many
    refused(&path, &mut [("a", normal(&[2], 3)), ("b", normal(&[2, 3], 4))]);
}

#[test]
fn a_damaged_file_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    save(&path, named([("a", &mut normal(&[2], 1)), ("b", &mut normal(&[2, 3], 2))])).unwrap();
    let whole = fs::read(&path).unwrap();
    proptest!(|(place in 0..whole.len(), byte: u8, garbage: Vec<u8>)| {
        let mut damaged = whole.clone();
        damaged[place] = byte;
        for bytes in [damaged, garbage] {
            fs::write(&path, bytes).unwrap();
            let (mut a, mut b) = (normal(&[2], 3), normal(&[2, 3], 4));
            let _ = load(&path, named([("a", &mut a), ("b", &mut b)]));
        }
    });
}

#[test]
fn lengths_made_up_to_overflow_are_an_error() {
    // Eight tensors of 2⁶¹ - 1 bytes and a small one that ends at 2⁶⁴ - 1.
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    let each = (1u64 << 61) - 1;
    let mut entries: Vec<String> = (0..8)
        .map(|i| {
            let (start, end) = (i * each, (i + 1) * each);
            format!(r#""t{i}":{{"dtype":"U8","shape":[{each}],"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    entries.push(format!(
        r#""a":{{"dtype":"U8","shape":[7],"data_offsets":[{},{}]}}"#,
        8 * each,
        8 * each + 7
    ));
    let header = format!("{{{}}}", entries.join(","));
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    fs::write(&path, bytes).unwrap();
    let (mut a, mut rest) = (normal(&[7], 1), (0..8).map(|_| normal(&[2], 2)).collect::<Vec<_>>());
    let names: Vec<String> = (0..8).map(|i| format!("t{i}")).collect();
    let rest = names.iter().map(String::as_str).zip(&mut rest);
    assert!(load(&path, rest.chain([("a", &mut a)]).collect::<Named>()).is_err());
}

#[test]
fn a_name_given_twice_and_the_reserved_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    let (mut a, mut b) = (normal(&[2], 1), normal(&[2], 2));
    let error = save(&path, named([("a", &mut a.clone()), ("a", &mut b.clone())])).unwrap_err();
    assert_eq!(error.to_string(), "two tensors are called `a`");
    for other in ["a", "z"] {
        let (mut a, mut b) = (a.clone(), b.clone());
        let tensors = named([("__metadata__", &mut a), (other, &mut b)]);
        assert!(matches!(save(&path, tensors), Err(SaveError::Reserved)));
    }
    assert!(!path.exists());
    let error = load(&path, named([("a", &mut a), ("a", &mut b)])).unwrap_err();
    assert_eq!(error.to_string(), "two tensors are called `a`");
}

#[test]
fn a_save_that_fails_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    let error =
        save(folder.path().join("no/where"), named([("a", &mut normal(&[2], 1))])).unwrap_err();
    assert!(error.to_string().contains("where: "), "{error}");

    fs::create_dir(&path).unwrap(); // the new file cannot take this name
    fs::write(path.join("inside"), "").unwrap();
    save(&path, named([("a", &mut normal(&[2], 1))])).unwrap_err();
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1);
    assert!(path.join("inside").exists());
}

#[test]
fn a_save_replaces_the_old_file_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    for seed in [1, 2] {
        save(&path, named([("a", &mut normal(&[2], seed))])).unwrap();
    }
    let mut a = normal(&[2], 3);
    load(&path, named([("a", &mut a)])).unwrap();
    assert_eq!(a, normal(&[2], 2));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn panics_when_loading_into_the_result_of_an_operation() {
    let mut sum = Tensor::parameter(array![1.0]).sum();
    let (message, file) = panic_of(|| load("nowhere", named([("sum", &mut sum)])));
    assert_eq!(
        message,
        "load: expected constants and parameters, but `sum` is the result of an operation"
    );
    assert!(file.contains("tests"), "{file}");
}
